from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from domains.errors import InputError
from domains.formats import recognise
from domains.formats.brush_strokes import brush_mask
from domains.formats.coco_regions import FlawedRegion
from domains.formats.inline_png import png_mask
from domains.formats.label_studio import LabelStudio


def packed(values: np.ndarray, word: int = 8, widths: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """rle-pack as its notes describe it: count, word size, widths, then runs and stretches of single values."""
    bits = f"{len(values):032b}{word - 1:05b}" + "".join(f"{width - 1:04b}" for width in widths)

    def head(repeated: bool, length: int) -> str:
        chosen = next(i for i, width in enumerate(widths) if length <= 2**width)
        return f"{int(repeated)}{chosen:02b}{length - 1:0{widths[chosen]}b}"

    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    single: list[int] = []
    for start, stop in zip(edges, edges[1:], strict=False):
        if stop - start == 1:
            single.append(int(values[start]))
            continue
        if single:
            bits += head(False, len(single)) + "".join(f"{value:0{word}b}" for value in single)
            single = []
        for at in range(start, stop, 2**16):
            bits += head(True, min(stop - at, 2**16)) + f"{int(values[start]):0{word}b}"
    if single:
        bits += head(False, len(single)) + "".join(f"{value:0{word}b}" for value in single)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_each_annotator_is_a_truth_and_cancelled_ones_are_none(build, tmp_path):
    root = build.label_studio(tmp_path)
    records, faults = LabelStudio().scan(root)
    assert not faults and [record.name for record in records] == ["2", "part 1"]
    sample = LabelStudio().read(records[1])
    assert [truth.areas.tolist() for truth in sample.truths] == [[24], [24, 9]]
    assert sample.truths[1].vocabulary == ("dent", "scratch") and sample.truths[1].labels.tolist() == [0, 1]
    assert sample.truths[0].ids[2:6, 2:8].all()
    assert LabelStudio().read(records[0]).truth.count == 0


@pytest.mark.parametrize("noise", [0.02, 0.5, 1.0])
def test_brush_strokes_come_back_as_they_were_painted(build, tmp_path, noise):
    rng = np.random.default_rng(0)
    mask = rng.random((20, 30)) < noise
    channels = np.repeat(mask.ravel(), 4) * np.uint8(255)
    assert np.array_equal(brush_mask(packed(channels), mask.shape), mask)
    mixed = rng.integers(0, 256, (600, 4))
    mixed[:, 3] = mask.ravel() * 200  # the last channel alone counts
    assert np.array_equal(brush_mask(packed(mixed.ravel()), mask.shape), mask)
    content = build.label_studio_content()
    value = {"format": "rle", "rle": packed(channels), "brushlabels": ["stain"]}
    content[1]["annotations"][0]["result"] = [{"id": "s", "type": "brushlabels", "value": value}]
    root = build.label_studio(tmp_path, content)
    assert np.array_equal(LabelStudio().read(LabelStudio().scan(root).records[0]).truth.foreground, mask)


def test_damaged_brush_strokes_are_told():
    good = packed(np.repeat(np.eye(6, 8).ravel(), 4).astype(int) * 255)
    for rle, shape, why in (
        (good[:10], (6, 8), "cut off"),
        (good[:2], (6, 8), "cut off"),
        (good, (8, 8), "of 48 pixels, its image has 64"),
        ([256], (6, 8), "no list of bytes"),
        ("rle", (6, 8), "no list of bytes"),
        (packed(np.zeros(192, int))[:5] + [0xFF] * 40, (6, 8), "run out|cut off"),
    ):
        with pytest.raises(FlawedRegion, match=why):
            brush_mask(rle, shape)


def test_a_region_without_outline_and_one_on_a_turned_image_are_refused(build, tmp_path):
    content = build.label_studio_content()
    region = content[0]["annotations"][0]["result"][0]
    for change, why in (
        ({"type": "rectanglelabels"}, "got 'rectanglelabels', which has no outline"),
        ({"image_rotation": 90}, "drawn on a turned image"),
        ({"original_width": 77}, "got 77 x 20"),
    ):
        changed = [{**content[0], "annotations": [{"result": [{**region, **change}]}]}]
        root = build.label_studio(tmp_path, changed)
        with pytest.raises(InputError, match=why):
            LabelStudio().read(LabelStudio().scan(root).records[0])


def test_flawed_polygons_images_elsewhere_and_tasks_without_annotation_are_faults(build, tmp_path):
    content = build.label_studio_content()
    content[0]["annotations"][0]["result"][0]["value"]["points"] = [[1, 1], [2]]
    content[1]["annotations"] = []
    content.append({"id": 9, "annotations": [{"result": []}], "data": {"image": "../../../etc/passwd"}})
    root = build.label_studio(tmp_path / "data", content)
    alone = build.save(root / "unlisted.png", build.picture())
    records, faults = LabelStudio().scan(root)
    assert {fault.path.name for fault in faults} == {"export.json", "2.png", alone.name} and len(records) == 1
    sample, faults = LabelStudio().examine(records[0])
    assert len(faults) == 2 and all("has no points" in fault.reason for fault in faults)
    assert [truth.count for truth in sample.truths] == [
        1
    ]  # the annotator none of whose regions can be drawn is no truth


def test_the_real_exports_read_as_far_as_they_are_outlines(build, real_data, tmp_path):
    """Their images are not there: grey ones of the declared size stand in, with a suffix to their names."""
    source = real_data / "annotation_formats" / "label_studio"
    for name in ("data_polygons", "data"):
        root = tmp_path / name
        for task in (tasks := json.loads((source / f"{name}.json").read_text())):
            one = task["annotations"][0]["result"][0]
            file = task["data"]["image"].rpartition("/")[2].rpartition("=")[2] + ".png"
            task["data"]["image"] = file
            root.mkdir(exist_ok=True)
            Image.new("L", (one["original_width"], one["original_height"])).save(root / file)
        (root / "export.json").write_text(json.dumps(tasks))
        layout = recognise(root)
        records, faults = layout.scan(root)
        assert layout.name == "label_studio" and len(records) == len(tasks) and not faults
        if name == "data":
            with pytest.raises(InputError, match="rectanglelabels.*no outline"):
                layout.read(records[0])
        else:
            truth = layout.read(records[0]).truth
            regions = [one for one in tasks[0]["annotations"][0]["result"] if one["type"] == "polygonlabels"]
            assert truth.count == len(regions) and set(truth.vocabulary) <= {"Airplane", "Car"}


def triangle(name: str, at: float = 10, **more) -> dict:
    value = {"points": [[at, 10], [at + 20, 10], [at + 20, 60]], "polygonlabels": ["dent"]}
    return {"id": name, "type": "polygonlabels", "value": value, **more}


def task(number: int, data: dict, *results: dict) -> dict:
    return {"id": number, "data": data, "annotations": [{"result": list(results)}]}


def folder(build, root, pictures: tuple[str, ...], *tasks: dict):
    for i, name in enumerate(pictures):
        build.save(root / name, build.picture(i))
    (root / "export.json").write_text(json.dumps(tasks))
    return root


def counts(root) -> dict[str, int]:
    records = LabelStudio().scan(root).records
    return {record.image.relative_to(root).as_posix(): LabelStudio().read(record).truth.count for record in records}


def test_to_name_says_on_which_picture_of_a_task_a_region_lies(build, tmp_path):
    pictures = ("before.png", "after.png", "map.png")
    data = {"lot": "L-17", **{name[:-4]: f"/data/upload/4/{name}" for name in pictures}}
    drawn = task(1, data, triangle("a", to_name="after"), triangle("b", 40, to_name="after"))
    other = task(2, {"before": "2.png", "after": "gone.png"}, triangle("c", to_name="before"))
    root = folder(build, tmp_path, (*pictures, "2.png"), drawn, other)
    assert counts(root) == {"after.png": 2, "before.png": 0, "2.png": 1}
    reasons = {fault.path.name: fault.reason for fault in LabelStudio().scan(root).faults}
    assert "no task draws on its like" in reasons["map.png"] and "there are 0" in reasons["export.json"]
    unclear = folder(build, tmp_path / "unclear", pictures, task(1, data, triangle("a", to_name="img")))
    listing = LabelStudio().scan(unclear)
    assert not listing.records and "called as none of its pictures (before, after, map)" in listing.faults[0].reason


def test_the_only_picture_of_a_task_is_meant_whatever_its_key_and_the_tag_are_called(build, tmp_path):
    data = {"lot": "L-17", "file": "report.pdf", "photo": "/data/upload/1/1f2e3d4c-a.png"}
    assert counts(folder(build, tmp_path, ("a.png",), task(1, data, triangle("a", to_name="img")))) == {"a.png": 1}


def test_of_a_list_of_pictures_the_index_counts(build, tmp_path):
    data = {"pages": ["s3://bucket/p1.png", "s3://bucket/p2.png"]}
    drawn = task(
        1, data, triangle("a", to_name="pages", item_index=1), triangle("b", 50, to_name="pages", item_index=1)
    )
    assert counts(folder(build, tmp_path, ("p1.png", "p2.png"), drawn)) == {"p1.png": 0, "p2.png": 2}


@pytest.mark.parametrize("prefix", ["/data/local-files/?d=", "/data/local-files/?d=photos%2F", "\\share\\"])
def test_the_folders_of_a_path_say_which_picture_is_meant(build, tmp_path, prefix):
    pictures = ("1.png", "lot1/1.png", "lot2/1.png")
    drawn = [task(i, {"image": f"{prefix}lot{i}/1.png"}, *[triangle("a")] * i) for i in (1, 2)]
    root = folder(build, tmp_path, pictures, *drawn)
    assert {record.name for record in LabelStudio().scan(root).records} == {"lot1/1", "lot2/1"}
    (root / "lot1" / "1.png").unlink()
    assert [record.name for record in LabelStudio().scan(root).records] == ["lot2/1"]  # 1.png may be lot1's, or not
    (root / "lot2" / "1.png").unlink()
    listing = LabelStudio().scan(root)  # two names, one picture: neither is guessed
    assert not listing.records and sum("would be the same '1.png'" in fault.reason for fault in listing.faults) == 2


def data_url(mask: np.ndarray, mode: str) -> str:
    alpha = mask * np.uint8(255)
    black = np.zeros((*mask.shape, 3), np.uint8)
    pixels = {
        "black on transparent": np.dstack([black, alpha]),
        "white on opaque": np.dstack([alpha] * 3 + [np.full_like(alpha, 255)]),
        "grey": alpha,
        "one bit": mask,
    }[mode]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("mode", ["black on transparent", "white on opaque", "grey", "one bit"])
def test_a_bit_mask_is_what_is_opaque_or_not_black(build, tmp_path, mode):
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:25:2] = True
    value = {"imageDataURL": data_url(mask, mode), "bitmasklabels": ["dent"]}
    root = folder(
        build, tmp_path, ("a.png",), task(1, {"image": "a.png"}, {"id": "m", "type": "bitmasklabels", "value": value})
    )
    truth = LabelStudio().read(LabelStudio().scan(root).records[0]).truth
    assert np.array_equal(truth.foreground, mask) and truth.count == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (data_url(np.ones((21, 30), bool), "grey"), "a PNG of 30 x 21, wanted 30 x 20"),
        (data_url(np.ones((20, 30), bool), "grey")[:-60], "cannot be read"),
        ("data:image/png;base64," + "A" * 200_000, "PNG of 150000 bytes"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "cannot be read"),
        (None, "has no PNG"),
    ],
)
def test_a_bit_mask_is_checked_before_it_is_decoded(url, why):
    with pytest.raises(FlawedRegion, match=why):
        png_mask(url, (20, 30))


def test_an_ellipse_is_turned_in_pixels(build, tmp_path):
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90, "ellipselabels": ["dent"]}
    root = folder(
        build, tmp_path, ("a.png",), task(1, {"image": "a.png"}, {"id": "e", "type": "ellipselabels", "value": value})
    )
    rows, columns = np.nonzero(LabelStudio().read(LabelStudio().scan(root).records[0]).truth.ids)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 15, 13, 16)  # 6 px up and down, 2 aside


def test_a_label_that_is_a_result_of_its_own_belongs_to_its_region(build, tmp_path):
    bare, label = triangle("a"), {"id": "a", "type": "labels", "value": {"labels": ["scratch"]}}
    bare = {**bare, "type": "polygon", "value": {"points": bare["value"]["points"]}}
    root = folder(build, tmp_path, ("a.png",), task(1, {"image": "a.png"}, bare, label))
    assert LabelStudio().read(LabelStudio().scan(root).records[0]).truth.vocabulary == ("scratch",)


def test_a_picture_of_two_exports_is_joined_and_of_two_tasks_has_two_annotators(build, tmp_path):
    first, second = (task(i, {"image": "a.png"}, triangle("a", 10 + 40 * i)) for i in range(2))
    root = folder(build, tmp_path / "tasks", ("a.png",), first, second)
    (record,), faults = LabelStudio().scan(root)
    assert [truth.count for truth in LabelStudio().read(record).truths] == [1, 1] and "one more annotator" in faults[
        0
    ].reason
    root = folder(build, tmp_path / "exports", ("a.png",), first)
    (root / "other.json").write_text(json.dumps([second]))
    (record,), faults = LabelStudio().scan(root)
    assert [truth.count for truth in LabelStudio().read(record).truths] == [2] and "is joined" in faults[0].reason


def test_a_picture_whose_regions_all_fail_is_no_negative(build, tmp_path):
    root = folder(build, tmp_path, ("a.png",), task(1, {"image": "a.png"}, triangle("a", 400)))
    with pytest.raises(InputError, match="none of the 1 shapes on this picture"):
        counts(root)
