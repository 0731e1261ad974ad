from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.inference import fields as fields_module
from adapters.inference.fields import NOTHING, Lattice, Seen, fields, surroundings
from adapters.inference.segment import InputContract, Tiles, segment, segment_into
from adapters.network import EntitySegmenter, Output, Views, to_tensor
from adapters.runtime import Runtime
from domains.errors import InputError
from domains.metrics import MetricSet
from domains.scenes import Photograph
from domains.tiling.grid import Grid, Window
from domains.tiling.running import stitch


@pytest.fixture
def scene() -> Photograph:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:150, :190]
    waves = 128 + 60 * np.sin(y / 7) * np.cos(x / 9)
    return Photograph((waves[..., None] + rng.normal(0, 10, (150, 190, 3))).clip(0, 255).astype(np.uint8))


@pytest.fixture
def network(tiny_segmenter) -> EntitySegmenter:
    """One that says foreground almost everywhere, whose cores follow the window."""
    network = tiny_segmenter()[0].eval()
    with torch.no_grad():
        network.decoder.head.bias[0] += 2
    network.decoder.options = replace(network.decoder.options, seed_height=0.005)
    return network


def image_fields(network: EntitySegmenter, image: np.ndarray, side: int) -> Output:
    scene = Photograph(image)
    return tile_fields(network, scene, Window(0, 0, *scene.shape), side)


def tile_fields(network: EntitySegmenter, scene: Photograph, tile: Window, side: int = 32) -> Output:
    lattice = Lattice(scene.shape, side)
    return fields(network, surroundings(scene, tile, lattice), lattice)


@pytest.mark.parametrize("side", [16, 32, 192])
def test_weights_of_neighbouring_windows_sum_to_one_over_what_they_share(side):
    lattice = Lattice((1000, 1000), side)
    weights, step = lattice.weights(), lattice.step
    total = torch.zeros(side + step, side + step)
    for y, x in ((0, 0), (0, step), (step, 0), (step, step)):
        total[y : y + side, x : x + side] += weights
    inside = slice(lattice.rim, step + side - lattice.rim)
    assert torch.allclose(total[inside, inside], torch.ones(())) and weights.min() > 0
    assert lattice.rim % 2 == 0 and 0.05 < lattice.rim / side < 0.15


@pytest.mark.parametrize("shape", [(150, 190), (5, 7), (32, 33), (58, 59), (60, 1000)])
def test_windows_cover_a_scene_and_their_cores_hold_each_pixel_once(shape):
    lattice, count = Lattice(shape, 32), np.zeros(shape, int)
    for core in lattice.cores():
        count[core.slices] += 1
    assert (count == 1).all()
    windows = lattice.touching(Window(0, 0, *shape))
    assert max(window.y for window in windows) < shape[0] and max(window.x for window in windows) < shape[1]
    assert len(windows) == len(lattice.cores()) == len(set(windows))


@pytest.mark.parametrize("tile", [(0, 0, 150, 190), (37, 50, 40, 61), (149, 189, 1, 1), (28, 28, 4, 4)])
def test_the_surroundings_of_a_tile_are_the_scene_mirrored_at_its_border(scene, tile):
    lattice = Lattice(scene.shape, 32)
    around = surroundings(scene, Window(*tile), lattice)
    padded = np.pad(scene.image, ((0, 64), (0, 64), (0, 0)), mode="reflect")
    touching = [
        window
        for window in lattice.touching(Window(0, 0, *scene.shape))
        if min(window.shared(Window(*tile))[2:]) > 0  # height and width
    ]
    assert around.windows == touching
    for window in touching:
        assert window.y % lattice.step == window.x % lattice.step == 0
        assert np.array_equal(around.of(window), padded[window.slices])


def test_a_scene_smaller_than_a_window_is_mirrored_as_often_as_it_takes(network):
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    output = image_fields(network, image, 32)
    assert output.size == (5, 7) and output.outputs["foreground"].shape == (1, 1, 5, 7)


def test_a_pixels_fields_are_the_same_in_every_tile(network, scene):
    whole = image_fields(network, scene.image, 32).outputs
    for tile in (Window(0, 0, 60, 60), Window(37, 50, 40, 61), Window(113, 90, 37, 100)):
        outputs = tile_fields(network, scene, tile).outputs
        for name in network.decoder.fields:
            assert torch.allclose(outputs[name], whole[name][..., *tile.slices], atol=1e-4), name
    moved = segment_of_tile(network, scene, Window(37, 50, 40, 61))
    assert not torch.allclose(moved, whole["foreground"][..., 37:77, 50:111], atol=1e-2)  # without a lattice it shows


def segment_of_tile(network: EntitySegmenter, scene: Photograph, tile: Window) -> torch.Tensor:
    output = network.outputs([scene.read(*tile)])[0]
    return output.outputs["foreground"][..., : tile.height, : tile.width]


def test_the_tiling_does_not_show_where_windows_lie_on_a_lattice(network, scene):
    """Of a network that says something everywhere; the entities of two tilings are each other's to 0.98."""
    found = []
    for tile_px, overlap_px in ((190, 0), (96, 48), (120, 50)):
        tiles = Tiles(scene, InputContract(tile_px=64, overlap_px=48, window_px=32))
        assert len(tiles.grid) == 1  # what is decoded at once is large
        tiles.grid = Grid(scene.shape, tile_px, overlap_px)
        found.append(stitch(tiles.grid, tiles.predicted(network), scene.shape))
    assert found[0].count > 5
    for other in found[1:]:
        metric = MetricSet(["pq"])
        metric.update(other, (found[0],), "scene", "")
        assert metric.compute()["pq"] > 0.98


def test_a_prediction_on_a_lattice_is_resumed_to_the_same(network, scene, tmp_path):
    contract = InputContract(tile_px=64, overlap_px=32, window_px=16)
    assert len(contract.grid(scene.shape)) == 4 and contract.grid(scene.shape).axes[0].tile == 91  # of 128 at most
    whole = segment(network, scene, contract)

    def stop(tile):
        if tile == 2:
            raise KeyboardInterrupt

    tiles = Tiles(scene, contract)
    with pytest.raises(KeyboardInterrupt):
        segment_into(tiles.in_folder(tmp_path / "r", {}, "a"), tiles, network, stop)
    running = tiles.in_folder(tmp_path / "r", {}, "a")
    assert running.resumed == 2
    prediction = segment_into(running, tiles, network)
    assert np.array_equal(prediction.read(Window(0, 0, *scene.shape)), whole.ids)
    with pytest.raises(InputError, match="another input, adapter or tiling"):
        Tiles(scene, InputContract(tile_px=64, overlap_px=32)).in_folder(tmp_path / "r", {}, "a")


@pytest.mark.parametrize("side", [0, 20, 10_000, True, 32.0])
def test_windows_that_no_network_takes_are_refused(side):
    with pytest.raises(InputError, match="window_px"):
        InputContract(window_px=side)


def test_a_decoder_without_fields_cannot_be_averaged(tiny_segmenter, scene):
    network = tiny_segmenter(decoder="query")[0].eval()
    with pytest.raises(InputError, match="only decoder.name=dense"):
        image_fields(network, scene.image, 32)


def test_only_a_scene_larger_than_a_tile_is_seen_by_windows(network, scene):
    contract = InputContract(tile_px=192, overlap_px=32, window_px=32)
    assert not contract.by_windows((192, 100)) and contract.by_windows((100, 193))
    assert Tiles(scene, contract).lattice is None  # 150 x 190
    whole, plain = (segment(network, scene, one) for one in (contract, replace(contract, window_px=None)))
    assert np.array_equal(whole.ids, plain.ids)


def test_what_is_shown_of_a_slide_are_its_windows_side_by_side(scene):
    contract = InputContract(tile_px=64, overlap_px=32, window_px=32)
    cores = Tiles(scene, contract).level_0()
    assert len(cores) == 5 * 7 and sum(core.height * core.width for core in cores) == 150 * 190
    assert len(Tiles(scene, replace(contract, window_px=None)).level_0()) == 4 * 5


def test_windows_that_are_not_worth_looking_at_are_not_looked_at(network, scene, monkeypatch):
    seen = []
    forward = network.averaged
    monkeypatch.setattr(
        network, "averaged", lambda images, views: (seen.append(len(images)), forward(images, views))[1]
    )
    monkeypatch.setattr(fields_module, "AT_ONCE_PX", {"cpu": 32 * 32})
    lattice = Lattice(scene.shape, 32)
    around = surroundings(scene, Window(0, 0, 150, 190), lattice, lambda window: window.x < 50)
    assert {window.x for window in around.windows} == {0, 30}  # the cores of which begin before 50
    there = fields(network, around, lattice).outputs["foreground"][0, 0]
    everywhere = image_fields(network, scene.image, 32).outputs["foreground"][0, 0]
    assert len(seen) == len(around.windows) + 7 * 5  # then everywhere
    assert torch.allclose(there[:, :60], everywhere[:, :60], atol=1e-4) and (there[:, 62:] == NOTHING).all()
    tiles = Tiles(scene, InputContract(tile_px=64, overlap_px=32, window_px=32), lambda window: False)
    nothing = tiles.predictor(network)([tiles.read(Window(0, 0, 150, 190))])[0]
    assert nothing.count == 0


def test_what_a_user_asks_for_in_place_of_what_was_fitted():
    fitted = InputContract(tile_px=320, overlap_px=48, symmetries=2)
    assert fitted.changed() == fitted and fitted.changed(symmetries=8).symmetries == 8
    asked = fitted.changed(window_px=128)
    assert (asked.window_px, asked.tile_px, asked.grid((5000, 5000)).tile_px) == (128, 320, 1024)
    assert fitted.changed(window_px=2048).grid((60_000, 60_000)).tile_px == 2048
    assert asked.grid((5000, 5000)).overlap_px == 64  # half a window
    assert asked.grid((300, 300)).overlap_px == fitted.grid((5000, 5000)).overlap_px == 48
    assert (asked.views, asked.window_views) == (Views(2), Views(1))
    assert asked.changed(symmetries=8).window_views == Views(4)
    assert asked.changed(window_px=0) == fitted
    assert fitted.changed(test_scales=(1.0, 0.5)).views == Views(2, (1.0, 0.5))


def test_a_window_is_looked_at_once_whatever_number_of_tiles_hold_it(network, scene, monkeypatch):
    contract = InputContract(tile_px=64, overlap_px=32, window_px=16)
    monkeypatch.setattr(fields_module, "AT_ONCE_PX", {"cpu": 16 * 16})
    whole, windows = segment(network, scene, contract), len(Lattice(scene.shape, 16).cores())
    looks: list[int] = []
    predicted = network.predicted

    def counted(images, views):
        looks.append(len(images))
        return predicted(images, views)

    monkeypatch.setattr(network, "predicted", counted)
    assert np.array_equal(segment(network, scene, contract).ids, whole.ids)
    assert sum(looks) == windows and len(contract.grid(scene.shape)) > 1
    looks.clear()
    monkeypatch.setattr(fields_module, "KEPT_BYTES", 0)
    assert np.array_equal(segment(network, scene, contract).ids, whole.ids)
    assert sum(looks) > windows


def test_the_oldest_windows_are_forgotten_where_they_are_too_many(monkeypatch):
    logits, seen = torch.zeros(4, 16, 16), Seen()
    monkeypatch.setattr(fields_module, "KEPT_BYTES", 2 * logits.nbytes)
    windows = [Window(0, x, 16, 16) for x in (0, 14, 28)]
    for window in windows:
        seen.keep(window, logits)
    assert list(seen.of_window) == windows[1:]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_the_network_says_of_a_window_does_not_depend_on_the_others_of_its_batch(network, scene, precision):
    network.place(Runtime(precision=precision))
    images = torch.stack([to_tensor(scene.image[y : y + 64, y : y + 64]) for y in (0, 20, 40, 60, 80)])
    first = network.predicted(images[:4])["foreground"][0]
    for order in ([1, 0, 2, 3], [4, 3, 0, 2], [1, 2, 3, 0], [0, 0, 0, 0]):
        assert torch.equal(network.predicted(images[order])["foreground"][order.index(0)], first)


def test_the_last_batch_of_a_tile_is_filled_up(network, scene, monkeypatch):
    looks: list[int] = []
    forward = network.averaged
    monkeypatch.setattr(
        network, "averaged", lambda images, views: (looks.append(len(images)), forward(images, views))[1]
    )
    monkeypatch.setattr(fields_module, "AT_ONCE_PX", {"cpu": 4 * 32 * 32})
    tile_fields(network, scene, Window(0, 0, 70, 70))
    assert looks == [4, 4, 4] and len(Lattice(scene.shape, 32).touching(Window(0, 0, 70, 70))) == 9
