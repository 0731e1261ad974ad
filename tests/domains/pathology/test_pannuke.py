from __future__ import annotations

import numpy as np
import pytest

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats import recognise
from domains.pathology.pannuke import CLASSES, PanNuke


def test_channels_become_classes_and_the_smaller_nucleus_lies_on_top(build, tmp_path):
    records, faults = PanNuke().scan(build.pannuke(tmp_path))
    assert not faults and len(records) == 6
    assert [record.split for record in records[::2]] == ["train", "val", "test"]
    assert (records[0].name, records[0].stratum, records[1].stratum) == ("fold1/00000", "Breast", "Colon")
    truth = PanNuke().read(records[0]).truth
    assert sorted(zip(truth.areas.tolist(), truth.labels.tolist(), strict=True)) == [(8, 0), (12, 4)]
    assert truth.vocabulary == CLASSES


def test_a_patch_is_read_from_its_place_in_the_array(build, tmp_path):
    root = build.pannuke(tmp_path, folds=1, count=5)
    images = np.load(root / "Fold 1" / "images" / "fold1" / "images.npy")
    folder = open_folder(root)
    assert len(folder.records) == 5
    for sample, record in zip(folder.dataset("all"), folder.records, strict=True):
        assert (sample.image == images[record.truth.index]).all()


def test_arrays_in_one_folder_are_found_too(build, tmp_path):
    root = build.pannuke(tmp_path / "given", folds=1)
    for file in root.rglob("*.npy"):
        (tmp_path / "flat" / "fold2").mkdir(parents=True, exist_ok=True)
        file.rename(tmp_path / "flat" / "fold2" / file.name)
    records, _ = recognise(tmp_path / "flat").scan(tmp_path / "flat")
    assert [(record.name, record.split) for record in records] == [("fold2/00000", "val"), ("fold2/00001", "val")]


def test_pickled_arrays_are_never_loaded(build, tmp_path):
    root = build.pannuke(tmp_path, folds=2)
    folder = root / "Fold 1" / "images" / "fold1"
    np.save(folder / "types.npy", np.array(["Breast", None], object), allow_pickle=True)
    _, faults = PanNuke().scan(root)
    assert "no plain array of text" in faults[0].reason
    np.save(folder / "images.npy", np.array([{}, {}], object), allow_pickle=True)
    records, faults = PanNuke().scan(root)
    assert {record.name.partition("/")[0] for record in records} == {"fold2"}
    assert faults[0].path == folder / "images.npy" and "Python objects" in faults[0].reason


@pytest.mark.parametrize("damage", ["cut", "channels", "count", "values"])
def test_damaged_arrays_are_told(build, tmp_path, damage):
    root = build.pannuke(tmp_path, folds=1)
    images, masks = (root / "Fold 1" / kind / "fold1" / f"{kind}.npy" for kind in ("images", "masks"))
    if damage == "cut":
        masks.write_bytes(masks.read_bytes()[:500])
    elif damage == "channels":
        np.save(masks, np.load(masks)[..., :5])
    elif damage == "count":
        np.save(masks, np.load(masks)[:1])
    else:
        np.save(images, np.load(images) + 1000)
    if damage == "values":
        record = PanNuke().scan(root).records[0]
        with pytest.raises(InputError, match="values of 0 to 255"):
            PanNuke().read(record)
    else:
        records, faults = PanNuke().scan(root)
        assert not records and "masks.npy" in str(faults[0])


def test_what_a_fold_lacks_is_told(build, tmp_path):
    root = build.pannuke(tmp_path, folds=2)
    images = sorted(root.rglob("images.npy"))
    types, masks = sorted(root.rglob("types.npy")), sorted(root.rglob("masks.npy"))
    np.save(types[0], np.arange(3))
    _, faults = PanNuke().scan(root)
    assert any("wanted" in str(fault) and "names" in str(fault) for fault in faults)
    types[0].unlink()
    records, faults = PanNuke().scan(root)
    assert not faults and any(not record.stratum for record in records)
    np.save(images[0], np.load(images[0])[:, :-4])
    short = next(record for record in PanNuke().scan(root).records if record.truth.masks == masks[0])
    with pytest.raises(InputError, match="masks.npy': wanted patches of"):
        PanNuke().read(short)
    masks[0].unlink()
    assert any("has no masks.npy" in str(fault) for fault in PanNuke().scan(root)[1])
