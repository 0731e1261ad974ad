from __future__ import annotations

import pytest
from scipy.io import savemat

from domains.errors import InputError
from domains.formats import recognise
from domains.natural.bsds500 import Bsds500


def test_every_annotator_is_a_truth_and_every_pixel_has_a_region(build, tmp_path):
    records, _ = Bsds500().scan(build.bsds500(tmp_path))
    sample = Bsds500().read(records[0])
    assert [truth.count for truth in sample.truths] == [2, 3]
    assert all(truth.foreground.all() for truth in sample.truths)


def test_the_folders_of_the_split_are_told_with_the_records(build, tmp_path):
    root = build.bsds500(tmp_path / "data", parts=("train", "val", "test"), count=2)
    records, _ = recognise(root.parent).scan(root.parent)  # the archive's BSDS500/data, found from above
    assert [record.split for record in records] == ["test", "test", "train", "train", "val", "val"]


def test_a_file_without_annotators_is_refused(build, tmp_path):
    root = build.bsds500(tmp_path)
    savemat(root / "groundTruth" / "train" / "0.mat", {"groundTruth": []})
    savemat(root / "groundTruth" / "train" / "1.mat", {"groundTruth": [1, 2, 3]})
    records, _ = Bsds500().scan(root)
    with pytest.raises(InputError, match="at least one annotator"):
        Bsds500().read(records[0])
    with pytest.raises(InputError, match="structs with Segmentation"):
        Bsds500().read(records[1])


def test_the_real_folder_holds_what_its_notes_say(real_data):
    layout = recognise(real_data / "bsds500")
    records, faults = layout.scan(real_data / "bsds500", strict=True)
    assert layout.name == "bsds500" and len(records) == 118
    some = [layout.read(record) for record in records[::10]]
    assert all(truth.labelled.all() and truth.foreground.all() for sample in some for truth in sample.truths)
    assert all(4 <= len(sample.truths) <= 9 for sample in some)
