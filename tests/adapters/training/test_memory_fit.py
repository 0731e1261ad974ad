"""A memory of good images: the coreset, the rate of false alarms, and a defect that is found without a label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Dinov2Config

from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.decoders.patch_memory import Memory
from adapters.inference.segment import InputContract, segment
from adapters.network import EntitySegmenter
from adapters.training.memory_fit import coreset, fill_memory, quiet_score
from adapters.training.quiet import good_of
from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError


def network(**options: object) -> EntitySegmenter:
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=32
    )
    backbone = Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny", taps=(1, 2))
    return EntitySegmenter(backbone, Memory(size=60, **options).build(24, 2, 8))  # type: ignore[arg-type]


def surface(seed: int, defect: bool = False, side: int = 64) -> EntitySample:
    """64 x 64 px of noise, or of another side, with a dark square where there is a defect."""
    image = np.random.default_rng(seed).normal(150, 6, (side, side, 3))
    ids = np.zeros((side, side), np.int32)
    if defect:
        image[24:40, 16:32] -= 120
        ids[24:40, 16:32] = 1
    return EntitySample(image.clip(0, 255).astype(np.uint8), (EntityMap(ids),), Place(f"surface-{seed}"))


def test_a_coreset_takes_the_furthest_next() -> None:
    rows = torch.cat([torch.randn(40, 6) * 0.1 + centre for centre in torch.randn(4, 6) * 10])
    chosen = coreset(rows, 4, torch.Generator().manual_seed(0))
    assert {int(index) // 40 for index in chosen} == {0, 1, 2, 3}
    assert torch.equal(coreset(rows[:3], 4, torch.Generator()), torch.arange(3))


def test_no_more_new_good_images_than_the_rate_are_above_the_quiet_score() -> None:
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(2000):
        scores = rng.beta(2, 5, 21)
        alarms.append(scores[0] > quiet_score(np.sort(scores[1:]), 0.1))
    assert 0.05 < np.mean(alarms) <= 0.11
    few = np.array([0.3, 0.4, 0.5])
    assert quiet_score(few, 0.05) > 0.5 and quiet_score(few, 0.5) == 0.4


def test_a_defect_is_found_that_no_label_tells_of() -> None:
    segmenter, contract = network(smoothing_px=2.0), InputContract(tile_px=64, overlap_px=16)
    train = [surface(i) for i in range(4)] + [surface(50, defect=True)]
    remembered = fill_memory(segmenter, train, [surface(i) for i in range(10, 16)], contract)
    assert (remembered.images, remembered.held_back, remembered.kept, remembered.patches) == (4, 6, 60, 256)
    assert remembered.alarms == 0 and "cannot promise less than 0.14" in str(remembered)
    found = segment(segmenter, contract.photograph(surface(70, defect=True)), contract)
    assert found.count == 1
    inside = found.ids[24:40, 16:32] > 0
    assert inside.mean() > 0.9 and (found.ids > 0).sum() < 6 * inside.sum()  # a patch and its neighbours more
    assert segment(segmenter, contract.photograph(surface(71)), contract).count == 0


def test_a_scratch_is_found_by_its_texture() -> None:
    segmenter, contract = network(description="texture"), InputContract(tile_px=128, overlap_px=16)
    train, val = ([surface(i, side=128) for i in seeds] for seeds in (range(2), range(10, 13)))
    remembered = fill_memory(segmenter, train, val, contract)
    assert (remembered.kept, remembered.patches, remembered.alarms) == (60, 512, 0)
    scratched = surface(70, side=128)
    scratched.image[62:64, 40:72] = 255
    entities = segment(segmenter, contract.photograph(scratched), contract)
    assert entities.count == 1 and entities.ids[56:70].any() and not entities.ids[:40].any()


@pytest.mark.parametrize(("split", "line"), [("train", "in train"), ("val", "in val")])
def test_without_good_images_nothing_is_remembered(split: str, line: str) -> None:
    good, bad = [surface(0)], [surface(1, defect=True)]
    assert good_of(good + bad) == [0] and good_of(None) == []
    with pytest.raises(InputError, match=line):
        fill_memory(
            network(), *((bad, good) if split == "train" else (good, bad)), InputContract(tile_px=64, overlap_px=16)
        )
