"""VisA, DAGM, KolektorSDD, Severstal and sets of cracks."""

from __future__ import annotations

import numpy as np
import pytest

from domains.datasets.splits import assign
from domains.errors import InputError
from domains.formats import recognise
from domains.industrial.crack_masks import CrackMasks
from domains.industrial.dagm import Dagm
from domains.industrial.kolektor import Kolektor
from domains.industrial.severstal import Severstal
from domains.industrial.visa import Visa


def counts(layout, root):
    records, faults = layout.scan(root)
    assert not faults
    return {record.name: layout.read(record).truth.areas.tolist() for record in records}


def test_visa_takes_every_value_above_0_for_a_defect(build, tmp_path):
    found = counts(Visa(), build.visa(tmp_path))
    assert found == {"candle/normal/0000": [], "candle/normal/0001": [], "candle/anomaly/000": [13]}
    record = Visa().scan(tmp_path).records[-1]
    assert Visa().read(record).truth.vocabulary == ("candle",) and record.stratum == "candle/anomaly"
    assert recognise(tmp_path / "candle").name == "visa"


def test_dagm_s_images_without_label_are_good_and_its_split_holds(build, tmp_path):
    root = build.dagm(tmp_path)
    found = counts(Dagm(), root)
    assert len(found) == 8 and found["Class10/Test/0001"] == [54] and found["Class10/Test/0000"] == []
    records = Dagm().scan(root).records
    assert {record.split for record in records} == {"train", "test"}
    assert len(assign(records)["test"]) == 4
    assert Dagm().read(records[-1]).truth.vocabulary == ("Class1", "Class10")  # in the order of the numbers
    alone = build.save(root / "Class1" / "Train" / "Label" / "0009_label.PNG", build.box(1, 1, 3, 3))
    assert [fault.path for fault in Dagm().scan(root).faults] == [alone]


def test_parts_of_one_kolektor_item_are_a_group(build, tmp_path):
    root = build.kolektor(tmp_path)
    assert counts(Kolektor(), root) == {"kos01/Part0": [10], "kos01/Part1": [], "kos02/Part0": [10], "kos02/Part1": []}
    assert [record.group for record in Kolektor().scan(root).records] == ["kos01", "kos01", "kos02", "kos02"]


def test_kolektor_2_has_splits_of_its_own(build, tmp_path):
    for part in ("train", "test"):
        for i in range(2):
            build.save(tmp_path / part / f"1000{i}.png", build.picture())
            build.save(tmp_path / part / f"1000{i}_GT.png", build.box(3, 3, 5, 5) if i else build.box(0, 0, 0, 0))
    layout = recognise(tmp_path)
    assert layout.name == "kolektor" and sorted(map(len, counts(layout, tmp_path).values())) == [0, 0, 1, 1]
    assert {(record.name, record.split) for record in layout.scan(tmp_path).records} >= {("train/10001", "train")}


def test_severstal_runs_go_down_the_columns_from_1(build, tmp_path):
    root = build.severstal(tmp_path)
    records, faults = Severstal().scan(root)
    truth = Severstal().read(records[0]).truth
    assert not faults and [record.stratum for record in records] == ["class 1+3", "good"]
    assert {truth.vocabulary[label]: area for label, area in zip(truth.labels, truth.areas, strict=True)} == {
        "3": 6,
        "1": 1,
    }
    assert np.argwhere(truth.ids == np.flatnonzero(truth.areas == 6)[0] + 1).tolist() == [
        [y, x] for y in (1, 2) for x in (2, 3, 4)
    ]
    assert truth.ids[5, 5] > 0
    assert Severstal().read(records[1]).truth.count == 0


def test_severstal_s_first_table_is_read_too(build, tmp_path):
    root = build.severstal(tmp_path)
    rows = "".join(
        f"{image}_{kind},{'1 3' if (image, kind) == ('b.jpg', 2) else ''}\n"
        for image in ("a.jpg", "b.jpg")
        for kind in (1, 2, 3, 4)
    )
    (root / "train.csv").write_text("ImageId_ClassId,EncodedPixels\n" + rows)
    assert counts(Severstal(), root) == {"a": [], "b": [3]}


def test_severstal_equals_marking_pixel_by_pixel(build, tmp_path):
    rng = np.random.default_rng(0)
    mask = rng.random((20, 30)) < 0.4
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    starts, stops = np.flatnonzero(np.diff(flat) == 1) + 1, np.flatnonzero(np.diff(flat) == -1) + 1
    runs = " ".join(f"{start} {stop - start}" for start, stop in zip(starts, stops, strict=True))
    root = build.severstal(tmp_path)
    (root / "train.csv").write_text(f"ImageId,ClassId,EncodedPixels\na.jpg,1,{runs}\n")
    assert np.array_equal(Severstal().read(Severstal().scan(root).records[0]).truth.foreground, mask)


@pytest.mark.parametrize("runs", ["1", "0 3", "599 5", "1 0", "1 x", "-4 2", "1 99999999999999999999"])
def test_severstal_runs_that_leave_the_image_are_refused_in_one_line(build, tmp_path, runs):
    root = build.severstal(tmp_path)
    (root / "train.csv").write_text(f"ImageId,ClassId,EncodedPixels\na.jpg,1,{runs}\n")
    with pytest.raises(InputError, match=r"train\.csv.*mask of 'a'.*wanted") as caught:
        Severstal().read(Severstal().scan(root).records[0])
    assert "\n" not in str(caught.value)


def test_severstal_tells_of_rows_without_image_and_of_other_columns(build, tmp_path):
    root = build.severstal(tmp_path)
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\nz.jpg,1,1 3\n")
    assert "'z.jpg', which is not in train_images" in Severstal().scan(root).faults[0].reason
    (root / "train.csv").write_text("Image,EncodedPixels\nz.jpg,1 3\n")
    with pytest.raises(InputError, match="wanted the columns ImageId, ClassId, EncodedPixels"):
        Severstal().scan(root)


def test_deep_crack_s_folders_are_paired(build, tmp_path):
    root = build.crack_masks(tmp_path)
    assert counts(CrackMasks(), root) == {"train_img/0": [23], "train_img/1": [], "test_img/0": [23]} | {}
    assert [record.split for record in CrackMasks().scan(root).records] == ["test", "train", "train"]


def test_crops_of_one_crack500_photograph_are_a_group(build, tmp_path):
    for part, names in (
        ("traincrop", ("20160222_081011_1_361", "20160222_081011_641_1")),
        ("valcrop", ("20160301_101010_1_1", "IMG_2935_1_969", "IMG_2935_361_1")),
    ):
        for name in names:
            build.save(tmp_path / part / f"{name}.jpg", build.picture())
            build.save(tmp_path / part / f"{name}.png", build.box(5, 2, 6, 25))
    alone = build.save(tmp_path / "traincrop" / "20160222_081011_1_721.jpg", build.picture())
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path)
    assert layout.name == "crack_masks" and [fault.path for fault in faults] == [alone]
    assert [(record.group, record.split) for record in records] == [
        *[("20160222_081011", "train")] * 2,
        ("20160301_101010", "val"),
        *[("IMG_2935", "val")] * 2,
    ]


@pytest.mark.parametrize("name", ["visa", "dagm", "kolektor", "crack_masks", "mvtec_ad"])
def test_a_mask_of_another_size_is_refused(build, tmp_path, name):
    root = getattr(build, name)(tmp_path)
    layout = recognise(root)
    record = next(record for record in layout.scan(root).records if layout.read(record).truth.count)
    path = record.truth.masks[0] if hasattr(record.truth, "masks") else getattr(record.truth, "path", record.truth)
    build.save(path, np.full((30, 20), 255, np.uint8))
    with pytest.raises(InputError, match="wanted the size of its image .* 30 x 20, got 20 x 30"):
        layout.read(record)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"ImageId,ClassId,EncodedPixels\xff\n", "its first line: .*; copy the table again"),
        (
            b"ImageId,ClassId,EncodedPixels\n" + b"a.jpg,1,1 3\n" * 2000 + b"a.jpg,2,\xff\n",
            "line .*; copy the table again",
        ),
        (b"Image,EncodedPixels\n", "wanted the columns ImageId, ClassId, EncodedPixels"),
    ],
)
def test_a_table_of_severstal_that_cannot_be_read_is_refused(content, reason, build, tmp_path):
    root = build.severstal(tmp_path)
    (root / "train.csv").write_bytes(content)
    with pytest.raises(InputError, match=f"train.csv': {reason}"):
        Severstal().scan(root)


def test_runs_of_no_image_are_counted(build, tmp_path):
    root = build.severstal(tmp_path)
    (root / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n,1,1 3\na.jpg,2,1 3\n")
    assert any("line 2 has runs, but no image" in str(fault) for fault in Severstal().scan(root)[1])
