"""The entities of images by a registry: two tiles of one slide give what they share the same ids."""

from pathlib import Path

import numpy as np

from adapters.tracking import identified as module
from adapters.tracking.identified import identified
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.entities import EntityMap
from domains.tiling.prediction import Prediction
from tests.adapters.tracking.test_recognising import scene_of


def tile_of(seed: int, top: int, left: int, side: int) -> tuple[Prediction, np.ndarray]:
    """A square of a scene with discs in it, and of each entity its number in the scene."""
    picture, centres, areas = scene_of(seed)
    y, x = np.mgrid[: len(picture), : len(picture)]
    ids = np.zeros(picture.shape[:2], np.int32)
    for number, ((cy, cx), area) in enumerate(zip(centres, areas, strict=True), start=1):
        ids[(y - cy) ** 2 + (x - cx) ** 2 < area / np.pi] = number
    cut = ids[top : top + side, left : left + side]
    numbers = np.unique(cut[cut > 0])
    dense = np.searchsorted(numbers, cut).astype(np.int32) + 1
    dense[cut == 0] = 0
    image = picture[top : top + side, left : left + side]
    return Prediction.of_map(EntityMap(dense), image=image), numbers


def ids_of(path: Path, prediction: Prediction) -> np.ndarray:
    with Registry(path) as registry:
        ids = identified(prediction, Visit(registry, prediction.name)).entities.persistent_ids
    assert ids is not None and (ids > 0).all() and len(set(ids.tolist())) == len(ids)
    return ids


def test_two_tiles_of_one_slide_share_ids_where_they_overlap(tmp_path: Path):
    (first, numbers_1), (second, numbers_2) = tile_of(0, 0, 0, 280), tile_of(0, 70, 90, 280)
    ids_1 = dict(zip(numbers_1.tolist(), ids_of(tmp_path / "r", first).tolist(), strict=True))
    ids_2 = dict(zip(numbers_2.tolist(), ids_of(tmp_path / "r", second).tolist(), strict=True))
    shared = sorted(ids_1.keys() & ids_2.keys())
    assert len(shared) > 15
    assert np.mean([ids_1[number] == ids_2[number] for number in shared]) > 0.8


def test_blocks_of_a_scene_are_recognised_one_by_one(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_PX", 200)
    monkeypatch.setattr(module, "BESIDE_PX", 60)
    prediction, _ = tile_of(1, 0, 0, 400)
    first = ids_of(tmp_path / "r", prediction)
    assert (ids_of(tmp_path / "r", prediction) == first).mean() > 0.95


def test_an_image_without_an_entity_adds_nothing(tmp_path: Path):
    empty = Prediction.of_map(EntityMap(np.zeros((20, 30), np.int32)), image=np.zeros((20, 30, 3), np.uint8))
    assert len(ids_of(tmp_path / "r", empty)) == 0
