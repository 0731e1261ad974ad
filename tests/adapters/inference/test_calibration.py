"""Thresholds are chosen by the metric, on the tiles that were given, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from adapters.decoders import Decoder, Dense
from adapters.inference.calibration import calibrate, tile_outputs
from adapters.inference.segment import InputContract
from adapters.network import Output
from adapters.proposals.watershed import Watershed
from domains.entities import EntityMap, EntitySample, Place
from domains.metrics import build_metrics

CONTRACT = InputContract(tile_px=48, overlap_px=8)


class Painted(Decoder):
    """Stands for a segmenter: the foreground score is the image's brightness, every entity has one deep core."""

    def __init__(self, options: Dense) -> None:
        super().__init__()
        self.options = options

    @property
    def decoder(self) -> Painted:
        return self

    def outputs(self, images, views):
        for image in images:
            bright = torch.from_numpy(image[..., 0] / 255).float().clamp(1e-4, 1 - 1e-4).logit()[None, None]
            core = torch.where(bright > -2, 4.0, -4.0)
            fields = {"foreground": bright, "boundary_distance": core, "centre_distance": core, "boundary": -core}
            yield Output(fields, 0, image.shape[:2])

    @property
    def proposals(self) -> Watershed:
        return Watershed(self.options)


def dim_discs(brightness: float) -> list[EntitySample]:
    """Discs of that score on a ground of score 0.05."""
    y, x = np.mgrid[:48, :48]
    samples = []
    for i in range(4):
        ids = ((y - 20 - i) ** 2 + (x - 24) ** 2 < 100).astype(np.int32)
        image = np.where(ids[..., None] > 0, round(255 * brightness), 13).repeat(3, -1).astype(np.uint8)
        samples.append(EntitySample(image, (EntityMap(ids),), Place(f"disc-{i}")))
    return samples


def metrics():
    return build_metrics(["aji", "pq"])


def test_a_threshold_above_every_score_is_lowered() -> None:
    segmenter = Painted(Dense())
    found = calibrate(segmenter, dim_discs(0.3), metrics, "aji", CONTRACT)  # type: ignore[arg-type]
    assert found.before == 0 and found.after > 0.95
    assert found.changed["foreground_threshold"] == (0.5, 0.2)
    assert segmenter.options.foreground_threshold == 0.2
    assert "foreground_threshold 0.5 -> 0.2" in str(found) and found.tiles == 4


def test_what_gains_nothing_stays() -> None:
    options = Dense(smoothing_px=0.5)
    segmenter = Painted(options)
    found = calibrate(segmenter, dim_discs(0.9), metrics, "aji", CONTRACT)  # type: ignore[arg-type]
    assert not found.changed and segmenter.options == replace(options, granularity=0.8)
    assert "stay" in str(found)


def test_a_metric_that_is_undefined_changes_nothing() -> None:
    nothing = [replace(one, truths=(EntityMap(np.full((48, 48), -1, np.int32)),)) for one in dim_discs(0.9)]
    segmenter = Painted(Dense())
    found = calibrate(segmenter, nothing, metrics, "aji", CONTRACT)  # type: ignore[arg-type]
    assert not found.changed and "aji is undefined there" in str(found)


def test_tiles_come_from_all_samples_with_their_truth(tiny_segmenter, discs) -> None:
    segmenter, _ = tiny_segmenter()
    kept = list(tile_outputs(segmenter, discs, InputContract(tile_px=32, overlap_px=0), 12))
    assert len(kept) == 12 and {scene for _, _, scene in kept} == {f"discs-{i}" for i in range(6)}
    for output, truths, _ in kept:
        assert truths[0].shape == output.size == (32, 32)


def test_a_real_decoder_is_calibrated_and_keeps_its_weights(tiny_segmenter, discs) -> None:
    for decoder in ("dense", "query"):
        segmenter, _ = tiny_segmenter(decoder=decoder)
        before = {name: value.clone() for name, value in segmenter.state_dict().items()}
        found = calibrate(segmenter, discs, metrics, "pq", CONTRACT)
        assert found.after >= found.before
        assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())
        for name, (was, now) in found.changed.items():
            assert was != now == getattr(segmenter.decoder.options, name)
