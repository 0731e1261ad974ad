from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from domains.errors import InputError
from domains.layouts import recognise
from domains.layouts.coco_regions import FlawedRegion
from domains.layouts.label_studio import LabelStudio, brush_mask


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
    assert "has no points" in faults[0].reason and sample.truths[0].count == 0


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
