"""From scenes to entities, with a predictor that is a rule: what is tested is the way there and back."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import binary_erosion
from skimage.measure import label
from torch import nn

from adapters.inference.segment import Cut, InputContract, Tiles, segment, segment_into, weights_digest
from domains.entities import EntityMap, EntitySample, Place
from domains.entities.resize import resize_image
from domains.errors import InputError
from domains.scenes import Photograph, Viewed, open_scene, plain_view
from domains.tiling.grid import Window


class Threshold(nn.Module):
    """Connected bright regions of a tile."""

    def __init__(self, level: int = 127) -> None:
        super().__init__()
        self.decoder = SimpleNamespace(options=f"threshold {level}")
        self.level, self.tiles = level, 0

    def entities(self, images, views=None):
        self.tiles += len(images)
        found = [np.asarray(label(image[..., 0] > self.level, connectivity=2)) for image in images]
        return [EntityMap(ids, np.full(ids.max(), 0.75, np.float32)) for ids in found]


def discs(height=256, width=320, count=25, radius=14, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    for cy, cx, r in rng.uniform((0, 0, 5), (height, width, radius), (count, 3)):
        image[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = 220
    return image


def test_one_scene_stored_at_two_pixel_sizes_has_the_same_entities():
    fine = discs()
    coarse = resize_image(fine, (128, 160))
    contract = InputContract(tile_px=64, overlap_px=32, pixel_size_m=0.5e-6)
    from_fine = segment(Threshold(), Photograph(fine, 0.25e-6), contract)
    from_coarse = segment(Threshold(), Photograph(coarse, 0.5e-6), contract)
    assert from_coarse.count > 5 and from_fine.shape == (256, 320)
    assert np.array_equal(from_fine.ids, np.kron(from_coarse.ids, np.ones((2, 2), np.int32)))
    # 0.4 um: nothing falls on whole pixels; the same entities, their areas to a few percent
    between = segment(Threshold(), Photograph(resize_image(fine, (160, 200)), 0.4e-6), contract)
    assert between.count == from_coarse.count
    big = from_coarse.areas > 60
    areas = [np.sort(one)[::-1][: big.sum()] for one in (between.areas * 0.4**2, from_coarse.areas * 0.5**2)]
    assert np.allclose(*areas, rtol=0.1)


def test_the_pyramid_of_a_file_gives_the_entities_that_the_finest_level_gives(tmp_path):
    fine = discs()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "rgb", "tile": (64, 64), "resolutionunit": "CENTIMETER"}
        file.write(fine, resolution=(40000, 40000), **options)
        file.write(resize_image(fine, (128, 160)), resolution=(20000, 20000), subfiletype=1, **options)
    scene = open_scene(tmp_path / "a.tif")
    assert scene.pixel_size_m == pytest.approx(0.25e-6) and len(scene.levels) == 2
    contract = InputContract(tile_px=64, overlap_px=32, pixel_size_m=0.5e-6)
    from_file = segment(Threshold(), Viewed(scene, plain_view(scene)), contract)
    assert np.array_equal(from_file.ids, segment(Threshold(), Photograph(fine, 0.25e-6), contract).ids)
    scene.close()


def test_an_unknown_pixel_size_is_refused_where_the_adapter_needs_one():
    with pytest.raises(InputError, match="--pixel-size") as error:
        segment(Threshold(), Photograph(discs()), InputContract(pixel_size_m=0.25e-6))
    assert "\n" not in str(error.value) and "0.25 um" in str(error.value)
    assert segment(Threshold(), Photograph(discs()), InputContract()).count > 5
    with pytest.raises(InputError, match="between"):
        segment(Threshold(), Photograph(discs(), 1.0), InputContract(pixel_size_m=0.25e-6))


def test_labelled_images_are_taken_to_be_of_the_adapters_size_where_they_do_not_say():
    image = discs()
    truth = EntityMap(np.zeros(image.shape[:2], np.int32))
    contract = InputContract(scale=2.0, pixel_size_m=0.5e-6)
    known, unknown = (EntitySample(image, (truth,), Place("a", pixel_size_m=size)) for size in (0.25e-6, None))
    assert contract.factor_of(known) == 1.0 and contract.factor_of(unknown) == 2.0
    assert contract.photograph(known).pixel_size_m == 0.25e-6
    assert contract.photograph(unknown).pixel_size_m == 0.5e-6


@pytest.mark.parametrize("size", [float("nan"), -1.0, 0, "0.25", 1e9])
def test_an_adapter_with_an_impossible_pixel_size_is_refused(size):
    with pytest.raises(InputError, match="pixel_size_m"):
        InputContract(pixel_size_m=size)


def test_tiles_that_are_not_wanted_are_not_asked_for():
    network = Threshold()
    contract = InputContract(tile_px=64, overlap_px=0, pixel_size_m=0.5e-6)

    def left_half(window: Window) -> bool:
        return window.x < 160

    found = segment(network, Photograph(discs(), 0.25e-6), contract, left_half)
    assert network.tiles <= 4 and (found.ids[:, 256:] == -1).all() and found.count


def test_a_scene_is_segmented_into_a_folder_and_taken_up_again(tmp_path):
    image = discs(300, 400, 60, 20)
    scene, contract = Photograph(image, 0.25e-6), InputContract(tile_px=64, overlap_px=32)
    whole = segment(Threshold(), scene, contract)

    def stop(tile):
        if tile == 20:
            raise KeyboardInterrupt

    tiles, weights = Tiles(scene, contract), weights_digest(Threshold())
    with pytest.raises(KeyboardInterrupt):
        segment_into(tiles.in_folder(tmp_path / "r", {"scene": "a"}, weights), tiles, Threshold(), stop)
    network, seen = Threshold(), []
    running = tiles.in_folder(tmp_path / "r", {"scene": "a"}, weights)
    prediction = segment_into(running, tiles, network, seen.append)
    assert 0 < running.resumed <= 20 and network.tiles <= len(tiles.grid) - running.resumed
    assert seen == list(range(running.resumed + 1, len(tiles.grid) + 1))
    assert np.array_equal(prediction.read(Window(0, 0, 300, 400)), whole.ids)
    with pytest.raises(InputError, match="another input, adapter"):
        tiles.in_folder(tmp_path / "r", {"scene": "a"}, weights_digest(Threshold(90)))


def test_memory_does_not_grow_with_the_scene(tmp_path):
    """A sparse scene of 6,000 x 6,000 px, whose numbers per pixel alone would take 288 MB."""
    side, stored = 6_000, 1008
    spot = np.zeros((stored, stored), np.uint8)
    spot[490:510, 480:] = 255
    count = -(-side // stored)
    filled = [i % 7 == 3 for i in range(count**2)]
    tiles = (spot.tobytes() if full else b"" for full in filled)
    grey = {"dtype": "uint8", "photometric": "minisblack", "tile": (stored, stored)}
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=(side, side), **grey)
    scene = open_scene(tmp_path / "a.tif")
    scene.reader.cache_bytes = 2**23
    tracemalloc.start()
    shown, contract = Viewed(scene, plain_view(scene)), InputContract(tile_px=512)
    tiles = Tiles(shown, contract)
    prediction = segment_into(tiles.in_folder(tmp_path / "r", {"scene": "a"}, ""), tiles, Threshold())
    entities = sum(1 for _ in prediction.outlined())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    scene.close()
    assert entities == prediction.count == sum(filled) > 3
    assert peak < 2**26


class Dark(Threshold):
    """Connected dark regions of a tile, one pixel wider than they are: holes, if no one looks after them."""

    def entities(self, images, views=None):
        found = [
            np.asarray(label(~binary_erosion(image[..., 0] > 60, np.ones((3, 3)), border_value=1))) for image in images
        ]
        return [EntityMap(ids, np.full(ids.max(), 0.75, np.float32)) for ids in found]


@pytest.mark.parametrize("scale", [1.0, 0.5, 1.7])
def test_no_entity_lies_where_there_are_no_data_in_memory_and_tile_by_tile(tmp_path, scale):
    image = np.full((256, 320, 3), 120, np.uint8)
    image[20:60, 20:60] = image[100:140, 150:300] = 10
    image[100:120, 150:200] = 255  # a corner of the second entity
    for y, x in product(range(160, 240, 20), range(40, 300, 24)):
        image[y : y + 12, x : x + 12] = 255
    scene = Photograph(image, nodata=255)
    shown = Viewed(scene, plain_view(scene))
    contract = InputContract(scale=scale, tile_px=64, overlap_px=32)
    found = segment(Dark(), shown, contract)
    assert found.count == 2 and not found.ids[(image == 255).all(axis=2)].any()
    assert (found.ids[20:60, 20:60] == found.ids[40, 40]).all() and found.ids[130, 200] > 0
    whole = Window(0, 0, 256, 320)
    tiles = Tiles(shown, contract)
    prediction = segment_into(tiles.in_folder(tmp_path / "running", {}, ""), tiles, Dark())
    assert np.array_equal(prediction.read(whole), found.ids)
    assert prediction.entities.area_px.tolist() == found.areas.tolist()


@pytest.mark.parametrize("window_px", [None, 32])
@pytest.mark.parametrize("regions", [True, False])
def test_a_forest_over_tiles_has_the_flat_map_and_every_cut_of_the_network(tiny_segmenter, window_px, regions):
    network = tiny_segmenter()[0].eval()
    network.decoder.options = replace(network.decoder.options, regions=regions, least_iou=0.05, min_area_px=4)
    with torch.no_grad():
        network.decoder.head.weight.mul_(40)
        network.decoder.head.bias[0] += 3
    scene, contract = Photograph(discs()[:150, :200]), InputContract(tile_px=64, overlap_px=16, window_px=window_px)
    flat, forest = (
        segment_into(tiles.begun(None, {}, ""), tiles, network)
        for tiles in (Tiles(scene, contract), Tiles(scene, contract, cut=Cut.of(network, None, nested=True)))
    )
    assert flat.forest is None and forest.forest is not None
    assert np.array_equal(flat.whole_map.ids, forest.whole_map.ids)
    assert np.array_equal(flat.whole_map.pixel_scores, forest.whole_map.pixel_scores)
    assert forest.forest.nodes.count > flat.count > 0
    tiles = Tiles(scene, contract, cut=Cut.of(network, 1.0, nested=False))
    finest = segment_into(tiles.begun(None, {}, ""), tiles, network)
    assert finest.count > flat.count
    tiles = Tiles(scene, contract, cut=Cut.of(network, 1.0, nested=True))
    of_forest = segment_into(tiles.begun(None, {}, ""), tiles, network)
    assert np.array_equal(finest.whole_map.ids, of_forest.whole_map.ids)
