from __future__ import annotations

import numpy as np

from domains.entities import EntityMap
from domains.entities.overlay import contact_sheet, overlay, palette, resized, resized_ids, thumbnail


def test_colours_are_the_same_in_every_picture_and_distinct_from_id_to_id():
    colours = palette(200)
    assert np.array_equal(palette(50), colours[:51]) and colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == 201
    assert np.abs(np.diff(colours[1:].astype(int), axis=0)).sum(axis=1).min() > 100


def test_each_entity_is_outlined_in_full_colour_and_tinted_within():
    image = np.full((12, 12, 3), 200, np.uint8)
    ids = np.zeros((12, 12), np.int32)
    ids[2:7, 2:7], ids[2:7, 7:11] = 1, 2
    picture = overlay(image, EntityMap(ids))
    colours = palette(2)
    assert np.array_equal(picture[2, 2:7], np.tile(colours[1], (5, 1)))
    assert picture[4, 6].tolist() == colours[1].tolist() and picture[4, 7].tolist() == colours[2].tolist()
    assert np.array_equal(picture[4, 4], np.round(0.6 * 200 + 0.4 * colours[1]))
    assert (picture[ids == 0] == 200).all()


def test_unlabelled_pixels_are_darkened_and_no_pixel_wraps_around():
    for value in (0, 255):
        picture = overlay(np.full((4, 4, 3), value, np.uint8), EntityMap(np.full((4, 4), -1)))
        assert (picture == round(value / 2)).all()


def test_a_contact_sheet_holds_panels_of_any_size_at_one_scale():
    rng = np.random.default_rng(0)
    small, wide = rng.integers(0, 256, (16, 16, 3), np.uint8), rng.integers(0, 256, (100, 400, 3), np.uint8)
    sheet = contact_sheet(
        [[("image", small), ("a caption that is far too long for its panel", wide)], [("", small)]], 64
    )
    pixels = np.asarray(sheet)
    assert sheet.size == (6 + 64 + 6 + 64 + 6, 2 * (6 + 18 + 64) + 6)
    assert np.array_equal(pixels[24:88:4, 6:70:4], small)  # grown fourfold with sharp pixels
    assert (pixels[24 + 64 :, 76:] == 255).all()  # nothing leaves its cell


def test_an_image_and_its_ids_are_resized_alike_and_a_small_one_grows_only_where_asked():
    image = np.zeros((6, 12, 3), np.uint8)
    image[:, 6:] = 240
    ids = (image[..., 0] > 0).astype(np.int32)
    assert resized(image, 100).shape == (6, 12, 3) and resized_ids(ids, 100).shape == (6, 12)
    for side_px, enlarge in ((4, False), (48, True)):
        small, small_ids = resized(image, side_px, enlarge), resized_ids(ids, side_px, enlarge)
        assert small.shape[:2] == small_ids.shape == (side_px // 2, side_px)
        assert np.array_equal(small[..., 0] > 120, small_ids == 1)
    assert resized_ids(ids[:1], 3).shape == (1, 3)


def test_a_thumbnail_shows_outlines_in_full_colour():
    ids = np.zeros((40, 80), np.int32)
    ids[8:32, 8:32] = 1
    picture = thumbnail(np.full((40, 80, 3), 90, np.uint8), EntityMap(ids), 20)
    assert picture.shape == (10, 20, 3) and picture[2, 2].tolist() == palette(1)[1].tolist()
    assert picture[4, 4].tolist() == picture[0, 0].tolist() == [90, 90, 90]
