"""Entities described and labelled over the tiles of a scene: each once, alike however the scene is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.inference.contract import InputContract
from adapters.inference.labelled import EntityTiles, examples_of, labelled
from adapters.labelling.learning import calibrated, taught
from adapters.labelling.pooled import Blocks, describe, pooled_features, shape_of
from domains.entities import UNKNOWN, EntityMap, EntitySample, Place
from domains.scenes import Photograph
from domains.tiling.prediction import Prediction

CONTRACT = InputContract(tile_px=64, overlap_px=16)


def scene_of(seed: int, height: int = 160, width: int = 120) -> EntitySample:
    """Discs, dark or bright by their class, and bars of either, on a grey ground."""
    rng = np.random.default_rng(seed)
    ids, labels = np.zeros((height, width), np.int32), []
    image = rng.normal(120, 6, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    for row in range(12, height - 10, 24):
        for column in range(12, width - 10, 24):
            label = int(rng.integers(2))
            inside = (
                (y - row) ** 2 + (x - column) ** 2 < 49
                if rng.random() < 0.7
                else (abs(y - row) < 3) & (abs(x - column) < 9)
            )
            labels.append(label)
            ids[inside] = len(labels)
            image[inside] += (-70, 70)[label]
    truth = EntityMap(ids, labels=np.array(labels, np.int32), vocabulary=("dark", "bright"))
    return EntitySample(image.clip(0, 255).astype(np.uint8), (truth,), Place(f"scene-{seed}"))


@pytest.fixture
def network(tiny_segmenter):
    return tiny_segmenter("decoder_only")[0].eval()


def test_features_are_the_mean_over_an_entitys_pixels_and_shapes_tell_a_disc_from_a_bar(network) -> None:
    sample = scene_of(0, 64, 48)
    truth = sample.truths[0]
    pooled = pooled_features(network, sample.image, truth.ids, truth.count)
    import torch

    from adapters.network import to_tensor

    with torch.inference_mode():
        taps = torch.cat([tap[0] for tap in network.backbone(to_tensor(sample.image)[None])])
    fine = taps.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()
    for number in (1, truth.count):
        assert np.allclose(pooled[number - 1], fine[:, truth.ids == number].mean(1), atol=1e-4)
    y, x = np.mgrid[:21, :21]
    disc, bar = (y - 10) ** 2 + (x - 10) ** 2 < 49, (abs(y - 10) < 3) & (abs(x - 10) < 9)
    slim, round_, turned = shape_of(bar), shape_of(disc), shape_of(bar.T)
    assert slim[2] < round_[2] - 0.8 and slim[3] > round_[3] and np.allclose(slim, turned)
    assert describe(network, sample.image, truth.ids, np.array([1, 3])).shape == (2, sum(Blocks.of(network)))


def test_every_entity_is_described_once_over_tiles_and_labelled(network) -> None:
    train, val, test = (examples_of(network, [scene_of(seed)], CONTRACT) for seed in (1, 2, 3))
    assert len(train) == scene_of(1).truths[0].count and train.vocabulary == ("bright", "dark")
    labeller = calibrated(taught("linear", train, Blocks.of(network)), val)
    sample = scene_of(3)
    truth, heard = sample.truths[0], []
    scene = Photograph(sample.image)
    unnamed = Prediction.of_map(replace(truth, labels=None, vocabulary=()))
    network_of = (CONTRACT, network, labeller)
    prediction = labelled(unnamed, scene, *network_of, lambda done, count: heard.append((done, count)))
    names = np.array(prediction.vocabulary)[prediction.entities.labels]
    known = names != UNKNOWN
    assert prediction.vocabulary == prediction.classes == ("bright", "dark", UNKNOWN) and known.mean() > 0.7
    assert (names == np.array(truth.vocabulary)[truth.labels])[known].mean() > 0.95
    assert heard[-1][0] == heard[-1][1] == len(heard) > 4 and not unnamed.classes
    assert prediction.whole_map.labels.tolist() == prediction.entities.labels.tolist()
    assert prediction.measure(0).label == names[0] and 0.5 <= prediction.measure(0).label_score <= 1
    numbers = [number for _, members in EntityTiles.of(scene, CONTRACT).holding(unnamed) for number in members]
    assert sorted(numbers) == list(range(1, truth.count + 1)) and len(test) == truth.count


def test_what_no_tile_shows_is_unknown_and_an_empty_scene_has_no_labels(network) -> None:
    train = examples_of(network, [scene_of(1)], CONTRACT)
    labeller = taught("prototypes", train, Blocks.of(network))
    ids = np.zeros((200, 200), np.int32)
    ids[4:-4, 4:-4] = 1
    ids[12:-12, 12:-12] = 0  # a ring: the tile of its centre shows nothing of it
    scene = Photograph(np.full((200, 200, 3), 90, np.uint8))
    ring = labelled(Prediction.of_map(EntityMap(ids)), scene, CONTRACT, network, labeller)
    assert ring.measure(0).label == UNKNOWN and ring.measure(0).label_score == 0
    empty = labelled(Prediction.of_map(EntityMap(0 * ids)), scene, CONTRACT, network, labeller)
    assert empty.count == 0 and len(empty.entities.labels) == 0


def test_classes_go_by_the_names_of_a_map_and_others_are_left_out(network) -> None:
    samples = [scene_of(1)]
    mapped = examples_of(network, samples, CONTRACT, {"dark": "hole"})
    dark = (samples[0].truths[0].labels == 0).sum()
    assert mapped.vocabulary == ("hole",) and len(mapped) == dark and set(mapped.groups) == {"scene-1"}
