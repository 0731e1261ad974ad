from __future__ import annotations

import pytest
from scipy.io import savemat

from domains.errors import InputError
from domains.formats import recognise
from domains.industrial.crackforest import CrackForest


def test_only_label_2_is_crack_and_its_components_are_the_entities(build, tmp_path):
    records, _ = CrackForest().scan(build.crackforest(tmp_path))
    truth = CrackForest().read(records[0]).truth
    assert truth.areas.tolist() == [25 - 9, 15]  # the enclosed road (3) and the detached piece (4) are none


def test_another_size_or_a_file_without_segmentation_is_refused(build, tmp_path):
    root = build.crackforest(tmp_path)
    savemat(root / "groundTruth" / "001.mat", {"groundTruth": {"Segmentation": build.box(0, 0, 1, 1)[:, :-1]}})
    savemat(root / "groundTruth" / "002.mat", {"groundTruth": {"Boundaries": build.box(0, 0, 1, 1)}})
    savemat(root / "groundTruth" / "003.mat", {"other": 1})
    records, _ = CrackForest().scan(root)
    for record, message in zip(records, ("29 x 20", "groundTruth.Segmentation", "variable 'groundTruth'"), strict=True):
        with pytest.raises(InputError, match=message):
            CrackForest().read(record)


def test_the_real_folder_holds_what_its_notes_say(real_data):
    layout = recognise(real_data / "crackforest")
    records, faults = layout.scan(real_data / "crackforest", strict=True)
    assert layout.name == "crackforest" and len(records) == 60
    truths = [layout.read(record).truth for record in records]
    assert sum(truth.count for truth in truths) == 186
    assert sum(int(truth.foreground.sum()) for truth in truths) == pytest.approx(0.0169 * 60 * 480 * 320, rel=0.01)
