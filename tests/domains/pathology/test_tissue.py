from __future__ import annotations

import numpy as np
import pytest

from domains.pathology.tissue import black, find_tissue, pen_marks, thumbnail, tissue_mask, tissue_of
from domains.scenes import Photograph, open_scene
from domains.tiling.grid import Window, windows

PINK, PURPLE, GLASS = (225, 170, 200), (130, 80, 160), (243, 242, 244)


def slide(noise: int = 3) -> np.ndarray:
    """(200, 300, 3): a piece of pink tissue with purple glands on glass."""
    image = np.full((200, 300, 3), GLASS, np.int16)
    image[60:140, 50:150] = PINK
    image[80:100, 70:120] = PURPLE
    image += np.random.default_rng(0).integers(-noise, noise + 1, image.shape, dtype=np.int16)
    return image.clip(0, 255).astype(np.uint8)


def truth() -> np.ndarray:
    mask = np.zeros((200, 300), bool)
    mask[60:140, 50:150] = True
    return mask


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_tissue_is_found_and_glass_is_not() -> None:
    assert iou(tissue_mask(slide()), truth()) > 0.93


@pytest.mark.parametrize("colour", [GLASS, (255, 255, 255), (200, 200, 200), (0, 0, 0), (235, 230, 224)])
def test_a_slide_of_glass_paper_or_nothing_has_no_tissue(colour: tuple[int, int, int]) -> None:
    image = np.full((100, 120, 3), colour, np.int16) + np.random.default_rng(0).integers(-3, 4, (100, 120, 3))
    assert not tissue_mask(image.clip(0, 255).astype(np.uint8)).any()


def test_a_slide_of_tissue_alone_is_all_tissue() -> None:
    image = np.full((100, 120, 3), PINK, np.uint8)
    image[::7, ::5] = PURPLE
    assert tissue_mask(image).mean() > 0.99


@pytest.mark.parametrize(
    "ink", [(40, 150, 70), (30, 60, 170), (190, 40, 50), (20, 20, 24)], ids=["green", "blue", "red", "black"]
)
def test_ink_beside_and_borders_around_are_no_tissue(ink: tuple[int, int, int]) -> None:
    image = slide()
    image[20:32, 180:280] = ink
    image[:, -12:] = (5, 5, 5)
    found = tissue_mask(image)
    assert iou(found, truth()) > 0.93
    assert not found[20:32, 180:280].any() and not found[:, -12:].any()


def test_haematoxylin_and_eosin_are_neither_ink_nor_border() -> None:
    deep = np.array([[PINK, PURPLE, (90, 50, 130), (60, 40, 110), (200, 80, 140), (150, 60, 110)]], np.uint8)
    deep = deep.repeat(20, 0).repeat(20, 1)
    assert not pen_marks(deep).any() and not black(deep).any()


def test_specks_go_and_holes_close_by_their_size() -> None:
    image = slide()
    image[10:14, 10:14] = PURPLE
    image[110:113, 110:113] = GLASS
    tissue = tissue_mask(image, pixel_um=2.0)
    assert not tissue[6:18, 6:18].any() and tissue[110:113, 110:113].all()
    assert tissue_mask(image, pixel_um=2.0, smallest_um2=0)[11:13, 11:13].all()
    assert tissue_mask(image, pixel_um=16.0)[11:13, 11:13].all()  # 64 x 64 micrometres


@pytest.mark.parametrize("side_um", [20, 50, 90])
@pytest.mark.parametrize("pixel_um", [0.25, 0.5])
@pytest.mark.parametrize("sized", [True, False])
def test_single_cells_and_fragments_are_tissue(side_um: int, pixel_um: float, sized: bool) -> None:
    rng = np.random.default_rng(0)
    image = np.full((2400, 3600, 3), GLASS, np.uint8)
    side = round(side_um / pixel_um)
    corners = [(y, x) for y in range(100, 2000, 800) for x in range(100, 3000, 900)]
    for y, x in corners:
        image[y : y + side, x : x + side] = PINK
        image[y + side // 3 : y + side // 2, x + side // 3 : x + side // 2] = PURPLE
    image = (image + rng.integers(-3, 4, image.shape)).clip(0, 255).astype(np.uint8)
    tissue = tissue_of(Photograph(image, pixel_size_m=pixel_um * 1e-6 if sized else None))
    assert tissue is not None and not tissue.remark and tissue.share < 0.2
    assert all(tissue(Window(y, x, side, side)) for y, x in corners)
    assert not tissue(Window(600, 600, 200, 200))


def test_a_long_slide_has_a_thumbnail_that_shows_cells_and_a_small_picture() -> None:
    image = np.full((400, 24000, 3), GLASS, np.uint8)
    image[200:280, 12000:12080] = PURPLE  # 20 micrometres
    tissue = tissue_of(Photograph(image, pixel_size_m=0.25e-6))
    assert tissue is not None and tissue.mask.shape[1] == 1500 and tissue.picture([]).shape[1] == 750
    assert tissue(Window(180, 11990, 100, 100)) and not tissue(Window(0, 0, 400, 11000))


def test_a_tile_is_wanted_where_tissue_lies_in_pixels_of_level_0() -> None:
    whole = slide().repeat(4, 0).repeat(4, 1)  # 800 x 1200 px
    tissue = find_tissue(Photograph(whole, pixel_size_m=4e-6), thumbnail_px=300)
    assert tissue.mask.shape == (200, 300) and tissue.share == pytest.approx(truth().mean(), abs=0.01)
    assert tissue(Window(300, 300, 64, 64)) and tissue(Window(200, 100, 200, 200))
    assert not tissue(Window(0, 0, 200, 180)) and not tissue(Window(600, 800, 200, 400))
    kept = [tile for tile in windows(800, 1200, 100, 0) if tissue(tile)]
    assert 16 <= len(kept) <= 30 and len(windows(800, 1200, 100, 0)) == 96
    for y, x in ((250, 210), (550, 590)):  # no tissue is left out
        assert any(tile.y <= y < tile.y + 100 and tile.x <= x < tile.x + 100 for tile in kept)


def test_a_thumbnail_is_the_area_average_whatever_the_strips() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4200, 60, 3), dtype=np.uint8)
    small = thumbnail(Photograph(image), 420)
    assert small.shape == (420, 6, 3)
    assert np.abs(small.astype(int) - image.reshape(420, 10, 6, 10, 3).mean(axis=(1, 3))).max() <= 1
    assert thumbnail(Photograph(image[:50]), 420).shape == (50, 60, 3)


def test_the_picture_shows_tissue_and_its_tiles() -> None:
    tissue = find_tissue(Photograph(slide()))
    picture = tissue.picture(windows(200, 300, 50, 0))
    assert picture.shape == (200, 300, 3) and (picture[50, 60:90] == (60, 110, 200)).all()
    assert (picture[0] != (60, 110, 200)).any(axis=-1).all()


def test_small_pictures_and_fluorescence_are_looked_at_everywhere() -> None:
    large = np.tile(slide(), (11, 8, 1))
    assert tissue_of(Photograph(slide())) is None
    assert tissue_of(Photograph(255 - large)) is None and tissue_of(Photograph(large // 16)) is None
    found = tissue_of(Photograph(large))
    assert found is not None and found.share == pytest.approx(truth().mean(), rel=0.1)


def as_slide(image: np.ndarray) -> Photograph:
    """A thumbnail as a scene that is large enough for a slide."""
    return Photograph(image.repeat(9, 0).repeat(9, 1))


def in_greys(image: np.ndarray) -> np.ndarray:
    return image.mean(axis=-1, keepdims=True).repeat(3, -1).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("change", ["none", "pen", "border", "one channel"])
def test_a_slide_in_greys_is_looked_at_everywhere_and_says_so(noise: int, change: str) -> None:
    image = in_greys(slide())
    image = (image + np.random.default_rng(1).integers(-noise, noise + 1, image.shape)).clip(0, 255).astype(np.uint8)
    if change == "pen":
        image[10:20, 180:240] = (30, 60, 170)
    if change == "border":
        image[:, -40:] = image[-20:] = (5, 5, 5)
    found = tissue_of(as_slide(image[..., :1] if change == "one channel" else image))
    assert found is not None and found.share == 1 and "shades of grey" in found.remark


@pytest.mark.parametrize("border", [0, 12, 170])
def test_a_stained_slide_keeps_its_rule_within_black_borders_and_beside_ink(border: int) -> None:
    image = np.full((200 + 2 * border, 300 + 2 * border, 3), (8, 8, 8), np.uint8)
    inside = image[border : border + 200, border : border + 300]
    inside[:] = slide()
    inside[20:26, 180:280] = (20, 20, 24)
    found = tissue_of(as_slide(image))
    assert found is not None and not found.remark
    assert found.share == pytest.approx(truth().sum() / image[..., 0].size, rel=0.1)


@pytest.mark.parametrize(("paper", "ink", "remark"), [
    ((240, 240, 240), (226, 226, 226), "too faint"), ((240, 240, 240), (238, 228, 233), "too faint"),
    ((120, 120, 120), (160, 160, 160), None), ((20, 20, 20), (250, 250, 250), None),
    ((240, 240, 240), (240, 240, 240), ""),
])  # fmt: skip
def test_faint_stains_and_dark_fields_are_looked_at_and_empty_glass_is_not(paper, ink, remark) -> None:
    image = np.full((200, 300, 3), paper, np.int16)
    image[60:140, 50:150] = ink
    image += np.random.default_rng(0).integers(-2, 3, image.shape, dtype=np.int16)
    found = tissue_of(as_slide(image.clip(0, 255).astype(np.uint8)))
    if remark is None:
        assert found is None or found.share == 1
    else:
        assert found is not None and (remark in found.remark if remark else not found.mask.any())


def test_the_real_slide_is_mostly_tissue_with_glass_at_its_side(real_data) -> None:
    scene = open_scene(real_data / "slides" / "small_HE.svs")
    tissue = find_tissue(scene)
    scene.close()
    assert 0.15 < tissue.share < 0.95
    kept = [tissue(tile) for tile in windows(*scene.shape, 320, 48)]
    assert 0.2 < np.mean(kept) <= 1
