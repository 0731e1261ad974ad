from __future__ import annotations

import pytest

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.pathology.monuseg import MoNuSeg, patient


def test_outlines_become_nuclei_grouped_by_patient_in_the_archives_splits(build, tmp_path):
    records, faults = MoNuSeg().scan(build.monuseg(tmp_path))
    assert not faults and len(records) == 4
    assert {(record.group, record.split) for record in records} == {
        ("TCGA-18-5592", "train"), ("TCGA-38-6178", "train"), ("TCGA-2Z-A9J9", "test"),
    }  # fmt: skip
    truth = MoNuSeg().read(records[0]).truth
    assert truth.count == 2 and 24 in truth.areas and truth.labels is None
    assert records[0].pixel_size_m == 0.25e-6


def test_the_test_archive_is_the_test_split(build, tmp_path):
    folder = open_folder(build.monuseg(tmp_path))
    assert [record.group for record in folder.dataset("test").records] == ["TCGA-2Z-A9J9"]


def test_an_outline_outside_its_picture_and_a_picture_alone_are_told(build, tmp_path):
    root = build.monuseg(tmp_path)
    image = next(root.glob("MoNuSegTestData/*.tif"))
    build.aperio(image.with_suffix(".xml"), [(2, 2), (8, 3), (4, 9)], [(2000, 2), (2010, 3), (2005, 9)])
    build.save(image.with_stem("alone"), build.picture())
    records, faults = MoNuSeg().scan(root)
    assert [fault.path.stem for fault in faults] == ["alone"]
    record = next(record for record in records if record.image == image)
    sample, found = MoNuSeg().examine(record)
    assert sample.truth.count == 1 and "x 2000, y 2 lies outside" in found[0].reason


def test_a_picture_whose_every_outline_failed_is_no_picture_without_nuclei(build, tmp_path):
    root = build.monuseg(tmp_path)
    image = next(root.glob("MoNuSegTestData/*.tif"))
    record = next(record for record in MoNuSeg().listing(root).records if record.image == image)
    for rings in ([[(2, 2), (2, 2), (8, 3)]], [[(2000, 2), (2010, 3), (2005, 9)]]):
        build.aperio(image.with_suffix(".xml"), *rings)
        with pytest.raises(InputError, match="none of 1"):
            MoNuSeg().examine(record)
    build.aperio(image.with_suffix(".xml"))
    assert MoNuSeg().examine(record)[0].truth.count == 0  # somebody looked, and there is nothing


def test_a_barcode_gives_the_patient_and_other_names_stay():
    assert patient("TCGA-G9-6336-01Z-00-DX1") == "TCGA-G9-6336"
    assert patient("slide 7") == "slide 7"
