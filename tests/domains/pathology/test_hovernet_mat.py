from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from domains.errors import InputError
from domains.pathology.hovernet_mat import CoNSeP, Lizard


def names(truth) -> list[str]:
    return [truth.vocabulary[label] for label in truth.labels]


def test_the_commonest_type_of_its_pixels_is_a_nucleus_class(build, tmp_path):
    records, faults = CoNSeP().scan(build.consep(tmp_path / "CoNSeP").parent)  # found from above too
    assert not faults
    assert [(record.name, record.split) for record in records] == [
        ("Test/test_1", "test"), ("Train/train_1", "train"), ("Train/train_2", "train"),
    ]  # fmt: skip
    truth = CoNSeP().read(records[0]).truth
    assert names(truth) == ["muscle", "inflammatory"] and truth.areas.tolist() == [12, 20]


def test_lizard_has_its_own_splits_and_a_class_per_id(build, tmp_path):
    records, faults = Lizard().scan(build.lizard(tmp_path))
    assert not faults
    assert [(record.name, record.split, record.stratum) for record in records] == [
        ("consep_1", "train", "consep"), ("crag_2", "val", "crag"), ("glas_3", "test", "glas"),
    ]  # fmt: skip
    assert names(Lizard().read(records[0]).truth) == ["epithelial", "plasma"]


def test_lizard_without_its_table_has_no_split(build, tmp_path):
    root = build.lizard(tmp_path)
    (root / "Lizard_Labels" / "info.csv").write_text("other,columns\n1,2\n")
    assert {record.split for record in Lizard().scan(root).records} == {None}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"inst_map": np.full((20, 30), 0.5)}, "whole numbers"),
        ({"inst_map": np.ones((5, 5))}, "got 5 x 5"),
        ({"class": np.array([[9], [4]])}, "classes 1 to 6"),
        ({"class": np.array([[2]])}, "a class per id, got 1 for 2"),
        ({"id": np.array([[3], [4]])}, "classes 1 to 6"),
    ],
)
def test_what_cannot_be_trusted_is_refused(build, tmp_path, change, reason):
    root = build.lizard(tmp_path)
    ids = np.zeros((20, 30))
    ids[2:5, 2:6], ids[10:14, 10:15] = 3, 8
    truth = {"inst_map": ids, "id": np.array([[3], [8]]), "class": np.array([[2], [4]])}
    savemat(root / "Lizard_Labels" / "Labels" / "consep_1.mat", {**truth, **change})
    with pytest.raises(InputError, match=reason):
        Lizard().read(Lizard().scan(root).records[0])
