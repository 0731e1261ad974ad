"""A view of the whole scene beside its tiles: off it is not there, on it is the same however a scene is tiled."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from adapters.inference.overview import read_by_strips
from adapters.inference.segment import Cut, InputContract, Tiles, segment, segment_into, weights_digest
from adapters.network import EntitySegmenter
from adapters.options.contract import ContextOptions
from domains.errors import InputError
from domains.procedural.land import Land
from domains.scenes import Photograph
from domains.scenes.resampled import Resampled

TILED = InputContract(tile_px=64, overlap_px=16)
WINDOWED = replace(TILED, window_px=32)
WITH = {"context": ContextOptions(side_px=128)}


@pytest.fixture(scope="module")
def land() -> Photograph:
    return Photograph(Land(5, 300).draw(0, 0, 200, 300)[0])


@pytest.fixture
def network(tiny_segmenter) -> EntitySegmenter:
    """Random weights whose fields are steep enough for borders to stand."""
    segmenter = tiny_segmenter()[0].eval()
    with torch.no_grad():
        segmenter.decoder.head.weight.mul_(40)
        segmenter.decoder.head.bias[0] += 3
    return segmenter


@pytest.mark.parametrize("contract", [TILED, WINDOWED])
def test_without_context_a_tile_is_what_the_network_says_of_it(network, land, contract):
    tiles = Tiles(land, contract)
    assert tiles.overview is None
    if tiles.lattice is None:
        image = tiles.read(tiles.grid.window(1))
        alone = network.entities([image])[0]
        np.testing.assert_array_equal(tiles.predictor(network)([image])[0].ids, alone.ids)
    assert "context" not in contract.values() and asdict(contract)["context"] is None


@pytest.mark.parametrize("contract", [TILED, WINDOWED])
def test_a_scene_no_larger_than_a_tile_is_seen_as_without(network, land, contract):
    small = Photograph(land.image[:64, :64])
    tiles = Tiles(small, replace(contract, **WITH))
    assert tiles.overview is None
    joint, alone = segment(network, small, replace(contract, **WITH)), segment(network, small, contract)
    np.testing.assert_array_equal(joint.ids, alone.ids)
    assert joint.scores is not None and alone.scores is not None
    np.testing.assert_array_equal(joint.scores, alone.scores)


@pytest.mark.parametrize("contract", [TILED, WINDOWED])
def test_the_whole_is_looked_at_once_and_decides_with_the_tiles(network, land, contract, monkeypatch):
    tiles = Tiles(land, replace(contract, **WITH))
    assert tiles.overview is not None
    overview = tiles.overview.view(network)
    assert max(overview.ids.shape) == 128 and overview.boundary.shape == overview.ids.shape
    assert tiles.overview.view(network) is overview
    looked = []
    monkeypatch.setattr(
        "adapters.inference.overview.of_both", lambda tile, boundary, view, y, x: looked.append(view) or tile
    )
    alone = segment_into(tiles.in_memory(), tiles, network).whole_map
    assert len(looked) == len(tiles.grid) and all(view is overview for view in looked)
    np.testing.assert_array_equal(alone.ids, segment(network, land, contract).ids)


@pytest.mark.parametrize("contract", [TILED, WINDOWED])
def test_batches_of_tiles_by_themselves_give_what_all_give(network, land, contract):
    """As the workers of a cluster predict them, each with a view of its own."""
    contract = replace(contract, **WITH)
    contract = InputContract.of(asdict(contract))
    maps = dict(Tiles(land, contract).predicted(network))
    for start, end in Tiles(land, contract).batches():
        for index, entities in Tiles(land, contract).predicted(network, start, end=end):
            np.testing.assert_array_equal(entities.ids, maps[index].ids)


def test_a_prediction_with_context_is_taken_up_again_and_not_by_one_without(network, land, tmp_path):
    contract, digest = replace(WINDOWED, **WITH), weights_digest(network)
    tiles = Tiles(land, contract)
    overview = segment_into(tiles.in_memory(), tiles, network).whole_map
    running = tiles.in_folder(tmp_path / "run", {}, digest)
    for index, entities in tiles.predicted(network, 0, end=1):
        running.add(index, entities)
    running.commit()
    again = Tiles(land, contract)
    prediction = segment_into(again.in_folder(tmp_path / "run", {}, digest), again, network)
    np.testing.assert_array_equal(prediction.read(again.grid.window(0)), overview.ids[again.grid.window(0).slices])
    with pytest.raises(InputError, match="another input, adapter or tiling"):
        Tiles(land, WINDOWED).in_folder(tmp_path / "run", {}, digest)


@pytest.mark.parametrize("strip_px", [1, 5000, 2**22])
def test_the_copy_is_the_same_in_strips_of_any_size(land, strip_px, monkeypatch):
    monkeypatch.setattr("adapters.inference.overview.STRIP_PX", strip_px)
    scene = Resampled(land, 0.3)
    np.testing.assert_array_equal(read_by_strips(scene), scene.read(0, 0, *scene.shape))


def test_a_decoder_without_fields_has_no_context(tiny_segmenter, land):
    network = tiny_segmenter(decoder="query")[0].eval()
    with pytest.raises(InputError, match="context wants decoder.name=dense"):
        segment(network, land, replace(TILED, **WITH))


def test_the_whole_decides_on_flat_maps_alone(land):
    with pytest.raises(InputError, match="leave out --granularity and --format forest"):
        Tiles(land, replace(TILED, **WITH), cut=Cut(granularity=0.5))
    assert Tiles(land, TILED, cut=Cut(granularity=0.5)).overview is None
