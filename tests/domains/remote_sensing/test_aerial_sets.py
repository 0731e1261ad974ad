"""SpaceNet, xView2, Inria, Massachusetts, LandCover.ai and iSAID, each in a tiny folder of its layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from domains.datasets.splits import assign
from domains.errors import InputError
from domains.formats import all_layouts, recognise
from domains.formats.layout import Reading
from domains.remote_sensing.spacenet import chip
from domains.scenes.images import read_image


def test_spacenet_chips_are_groups_and_one_may_be_empty(build, tmp_path):
    records, faults = recognise(build.spacenet(tmp_path)).scan(tmp_path, strict=True)
    layout = all_layouts()["spacenet"]
    assert len(records) == len({one.group for one in records}) == 4
    assert sorted(layout.read(one).truth.count for one in records) == [0, 2, 2, 2]
    first = layout.read(records[0])
    assert first.image.shape == (65, 65, 3) and first.truth.areas.tolist() == [30 * 30, 12 * 20]
    assert first.place.pixel_size_m == pytest.approx(0.5)


def test_spacenet_with_bands_is_read_from_its_multispectral_product(build, tmp_path):
    layout = all_layouts()["spacenet"].with_reading(Reading(bands=("5", "3", "2", "7"), band_names=()))
    records = layout.listing(build.spacenet(tmp_path)).records
    sample = layout.read(records[0])
    assert sample.image.shape == (33, 33, 4) and sample.place.pixel_size_m == pytest.approx(1.0)
    assert sample.truth.count == 2 and abs(sample.truth.areas[0] - 15 * 15) < 35


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("SN2_buildings_train_AOI_2_Vegas_PS-RGB_img1", "SN2_buildings_train_AOI_2_Vegas_geojson_buildings_img1"),
        ("RGB-PanSharpen_AOI_2_Vegas_img1", "buildings_AOI_2_Vegas_img1"),
        ("MUL-PanSharpen_AOI_5_Khartoum_img12", "buildings_AOI_5_Khartoum_img12"),
        (
            "SN6_Train_AOI_11_Rotterdam_PS-RGB_20190804111224_tile_4679",
            "SN6_Train_AOI_11_Rotterdam_Buildings_20190804111224_tile_4679",
        ),
    ],
)
def test_spacenets_names_differ_by_product_alone(tmp_path, image, labels):
    assert chip(tmp_path / f"{image}.tif") == chip(tmp_path / f"{labels}.geojson")


def test_xview2_pairs_are_two_scenes_of_one_group_with_the_damage_as_class(build, tmp_path):
    layout = recognise(build.xview2(tmp_path))
    records, faults = layout.scan(tmp_path, strict=True)
    assert layout.name == "xview2" and len(records) == 4 and len({one.group for one in records}) == 2
    assert {one.split for one in records} == {"train"} and {one.stratum for one in records} == {"pre", "post"}
    for record in records:
        truth = layout.read(record).truth
        names = [truth.vocabulary[label] for label in truth.labels]
        assert truth.areas.tolist() == [24, 20]
        assert names == (["building"] * 2 if record.stratum == "pre" else ["no-damage", "destroyed"])


def test_xview2_leaves_out_broken_wkt_and_refuses_other_json(build, tmp_path):
    layout = recognise(build.xview2(tmp_path))
    record = layout.listing(tmp_path).records[0]
    content = json.loads(record.truth.read_text())
    content["features"]["xy"] += [{"wkt": "POLYGON ((1 2, 3"}, {"wkt": "POLYGON EMPTY"}, {"properties": None}]
    record.truth.write_text(json.dumps(content))
    sample, faults = layout.examine(record)
    assert sample.truth.count == 2 and len(faults) == 2
    record.truth.write_text(json.dumps({"features": {"xy": content["features"]["xy"][2:]}}))
    with pytest.raises(InputError, match="none of 2 can be drawn"):
        layout.examine(record)
    record.truth.write_text(json.dumps({"features": {"xy": []}}))
    assert layout.examine(record)[0].truth.count == 0  # somebody looked, and there is nothing
    record.truth.write_text("[]")
    with pytest.raises(InputError, match="wanted xView2's JSON") as error:
        layout.examine(record)
    assert "\n" not in str(error.value)


def test_the_first_five_inria_tiles_of_a_city_validate(build, tmp_path):
    layout = recognise(build.mask_tiles(tmp_path))
    records, faults = layout.scan(tmp_path, strict=True)
    assert {one.group: one.split for one in records} == {
        "austin1": "val", "austin6": "train", "tyrol-w1": "val", "tyrol-w6": "train",
    }  # fmt: skip
    assert [layout.read(one).truth.areas.tolist() for one in records] == [[12, 20]] * 4
    assert {record.pixel_size_m for record in records} == {0.3}
    assert all(assign(records).values())


def test_a_large_mask_is_read_by_blocks(build, tmp_path, monkeypatch):
    monkeypatch.setattr("domains.formats.blocks.LARGEST_PX", 10)
    layout = recognise(build.mask_tiles(tmp_path))
    records = layout.listing(tmp_path).records
    assert len(records) == 4 * 2 * 3 and len({one.name for one in records}) == 24
    whole = read_image(records[0].image)
    pixels = 0
    for record in records[:6]:
        sample = layout.read(record)
        assert np.array_equal(sample.image, whole[record.truth.window.slices])
        pixels += int((sample.truth.ids > 0).sum())
    assert pixels == 32


@pytest.mark.parametrize("folders", [("{}", "{}_labels"), ("{}/sat", "{}/map")])
def test_massachusetts_has_red_masks_and_three_parts(build, tmp_path, folders):
    images, masks = folders
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[4:10, 5:15, 0] = 255
    for part in ("train", "val", "test"):
        build.save(tmp_path / "tiff" / images.format(part) / f"{part}_22828930_15.tiff", build.picture())
        build.save(tmp_path / "tiff" / masks.format(part) / f"{part}_22828930_15.tif", mask)
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path, strict=True)
    assert layout.name == "mask_tiles" and {one.split for one in records} == {"train", "val", "test"}
    assert [layout.read(one).truth.areas.tolist() for one in records] == [[60]] * 3


def test_sheets_whose_orthophotos_touch_are_one_group(build, tmp_path):
    for i, sheet in enumerate(("M-33-20-D-a", "M-33-20-D-b", "M-33-20-D-c", "N-34-66-C-a", "N-34-66-C-b")):
        corner = 5e5 + (15 if i == 1 else 1000 * i), 5e6  # the second begins where the first ends
        build.raster(tmp_path / "images" / f"{sheet}.tif", build.picture(), corner=corner)
        build.save(tmp_path / "masks" / f"{sheet}.tif", np.zeros_like(build.picture()[..., 0]))
    records, faults = recognise(tmp_path).scan(tmp_path, strict=True)
    assert [one.group[-3:] for one in records] == ["D-a", "D-a", "D-c", "C-a", "C-b"]


def test_land_cover_has_classes_and_orthophotos_are_groups(build, tmp_path):
    classes = build.box(1, 1, 6, 6, 1) + build.box(10, 10, 15, 20, 2) + build.box(15, 10, 18, 20, 3)
    for sheet in ("M-33-20-D-c-4-2", "N-34-66-C-c-4-3"):
        build.save(tmp_path / "images" / f"{sheet}.tif", build.picture())
        build.save(tmp_path / "masks" / f"{sheet}.tif", classes)
        for k in range(2):
            build.save(tmp_path / "output" / f"{sheet}_{k}.jpg", build.picture())
            build.save(tmp_path / "output" / f"{sheet}_{k}_m.png", classes)
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path, strict=True)
    assert len(records) == 6 and {one.group for one in records} == {"M-33-20-D-c-4-2", "N-34-66-C-c-4-3"}
    truth = layout.read(records[0]).truth
    assert truth.areas.tolist() == [25, 50, 30]
    assert [truth.vocabulary[label] for label in truth.labels] == ["building", "woodland", "water"]
    build.save(records[0].image.parents[1] / "masks" / records[0].truth.mask.name, build.box(1, 1, 4, 4, 9))
    with pytest.raises(InputError, match="wanted classes up to 4, got 9"):
        layout.read(records[0])


def test_patches_of_an_isaid_image_stay_together(build, tmp_path):
    content = build.coco_content(4)
    names = ["P0000_0_800_0_800", "P0000_600_1400_0_800", "P0003_0_800_0_800", "P0007"]
    for entry, name in zip(content["images"], names, strict=True):
        entry["file_name"] = f"{name}.png"
        build.save(tmp_path / "train" / "images" / f"{name}.png", build.picture())
    (tmp_path / "train" / "instancesonly_filtered_train.json").write_text(json.dumps(content))
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path, strict=True)
    assert layout.name == "coco"
    groups = [f"train/images/{name}" for name in ("P0000", "P0000", "P0003", "P0007")]
    assert [one.group for one in records] == groups and len({one.name for one in records}) == 4
