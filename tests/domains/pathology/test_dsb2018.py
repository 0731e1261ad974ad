from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.formats import recognise
from domains.pathology.dsb2018 import Dsb2018


def test_each_mask_file_is_one_nucleus(build, tmp_path):
    layout = Dsb2018()
    records, _ = layout.scan(build.dsb2018(tmp_path))
    sample = layout.read(records[0])
    assert len(records) == 4 and (sample.image == build.picture(0)).all()  # alpha dropped
    assert sorted(sample.truth.areas) == [12, 20] and sample.truth.labels is None


def test_the_smaller_of_two_overlapping_nuclei_lies_on_top(build, tmp_path):
    root = build.dsb2018(tmp_path, count=1)
    build.save(root / "stage1_train" / "0000" / "masks" / "c.png", build.box(11, 11, 13, 13))
    (record,), _ = Dsb2018().scan(root)
    assert sorted(Dsb2018().read(record).truth.areas) == [4, 12, 16]


def test_an_empty_instance_mask_is_left_out_and_told(build, tmp_path):
    root = build.dsb2018(tmp_path, count=1)
    empty = build.save(root / "stage1_train" / "0000" / "masks" / "c.png", build.box(0, 0, 0, 0))
    (record,), _ = Dsb2018().scan(root)
    sample, faults = Dsb2018().examine(record)
    assert sample.truth.count == 2 and [fault.path for fault in faults] == [empty]


def test_a_mask_of_another_size_names_both_files_and_sizes(build, tmp_path):
    root = build.dsb2018(tmp_path, count=1)
    short = build.save(root / "stage1_train" / "0000" / "masks" / "c.png", build.box(1, 1, 3, 3)[:-1])
    (record,), _ = Dsb2018().scan(root)
    with pytest.raises(InputError) as caught:
        Dsb2018().read(record)
    text = str(caught.value)
    assert str(short) in text and str(record.image) in text and "30 x 20" in text and "30 x 19" in text


@pytest.mark.parametrize("inner", ["stage1_train", "."])
def test_the_root_may_be_the_folder_of_the_ids(build, tmp_path, inner):
    root = build.dsb2018(tmp_path) / "stage1_train" if inner == "." else build.dsb2018(tmp_path)
    assert recognise(root).name == "dsb2018" and len(Dsb2018().scan(root).records) == 4


@pytest.mark.parametrize(("name", "images", "entities", "median"), [
    ("dsb2018_he", 74, 3706, 253), ("dsb2018_fluo", 80, 3987, 174),
])  # fmt: skip
def test_the_real_folders_hold_what_their_notes_say(real_data, name, images, entities, median):
    layout = recognise(real_data / name)
    records, faults = layout.scan(real_data / name, strict=True)
    assert layout.name == "dsb2018" and len(records) == images
    assert sum(len(record.truth) for record in records) == entities
    some = [layout.examine(record) for record in records[::8]]
    assert not any(found for _, found in some)
    assert sum(sample.truth.count for sample, _ in some) == sum(len(record.truth) for record in records[::8])
    areas = np.concatenate([sample.truth.areas for sample, _ in some])
    assert median / 2 < np.median(areas) < median * 2
