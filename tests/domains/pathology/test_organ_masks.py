from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.pathology.organ_masks import CryoNuSeg, NuInsSeg


def test_vague_areas_are_unlabelled_unless_a_nucleus_lies_there(build, tmp_path):
    records, faults = NuInsSeg().scan(build.nuinsseg(tmp_path))
    assert not faults and [record.group for record in records] == ["human bladder"] * 2 + ["mouse liver"] * 2
    vague, plain = (NuInsSeg().read(record).truth for record in records[:2])
    assert vague.count == plain.count == 2 and vague.areas.tolist() == [12, 20]
    assert np.count_nonzero(~vague.labelled) == 8 * 8 - 20 and plain.labelled.all()


def test_masks_with_borders_serve_where_the_others_are_missing(build, tmp_path):
    root = build.nuinsseg(tmp_path)
    (root / "mouse liver" / "label masks modify").rename(root / "mouse liver" / "label masks")
    assert len(NuInsSeg().scan(root).records) == 4


def test_every_annotation_is_a_truth(build, tmp_path):
    records, faults = CryoNuSeg().scan(build.cryonuseg(tmp_path))
    assert not faults and [record.stratum for record in records] == ["Colon"] * 3
    assert [truth.count for truth in CryoNuSeg().read(records[0]).truths] == [2, 2, 1]


def test_an_annotation_that_is_missing_is_told_and_the_others_serve(build, tmp_path):
    root = build.cryonuseg(tmp_path)
    next(root.glob("Annotator 2*/label masks modify/*_02.tif")).unlink()
    records, faults = CryoNuSeg().scan(root)
    assert [len(record.truth) for record in records] == [3, 2, 3]
    assert "Annotator 2 (bioinformatician)" in faults[0].reason


def test_a_mask_of_another_size_is_refused(build, tmp_path):
    root = build.cryonuseg(tmp_path)
    path = next(root.glob("Annotator 2*/label masks modify/*_01.tif"))
    build.save(path, np.ones((5, 5), np.uint16))
    with pytest.raises(InputError, match="got 5 x 5"):
        CryoNuSeg().read(CryoNuSeg().scan(root).records[0])
