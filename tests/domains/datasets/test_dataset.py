from __future__ import annotations

import pickle

import numpy as np
import pytest

from domains.datasets.dataset import EntityDataset, SampleCache, open_folder
from domains.errors import InputError, SkippedFilesError
from domains.formats import recognise


def test_a_folder_opens_into_splits_that_share_what_was_read(build, tmp_path):
    root = build.dsb2018(tmp_path, count=8)
    folder = open_folder(root)
    parts = {split: folder.dataset(split) for split in ("train", "val", "test", "all")}
    assert [len(part) > 0 for part in parts.values()] == [True] * 4
    assert len(parts["all"]) == 8 == sum(len(parts[split]) for split in ("train", "val", "test"))
    assert parts["train"][0] is folder.cache.samples[parts["train"].records[0].name]


def test_a_pickled_data_set_reads_the_same_samples(build, tmp_path):
    dataset = open_folder(build.dsb2018(tmp_path)).dataset("all")
    copy = pickle.loads(pickle.dumps(dataset))  # what a worker process gets
    assert len(dataset) > 0
    for here, there in zip(dataset, copy, strict=True):
        assert (here.image == there.image).all() and (here.truth.ids == there.truth.ids).all()


def test_the_cache_keeps_what_fits_and_stays_behind_when_pickled(build, tmp_path):
    records, _ = recognise(build.dsb2018(tmp_path)).scan(tmp_path)
    layout = recognise(tmp_path)
    size = 20 * 30 * 7
    dataset = EntityDataset(records, layout, SampleCache(2.5 * size / 2**20))
    first = [dataset[i] for i in range(4)]
    assert len(dataset.cache.samples) == 2
    assert dataset[0] is first[0] and dataset[3] is not first[3]
    assert np.array_equal(dataset[3].truth.ids, first[3].truth.ids)
    copy = pickle.loads(pickle.dumps(dataset))
    assert not copy.cache.samples and copy.records == records and copy.cache.limit_mb == dataset.cache.limit_mb


def test_a_broken_image_is_skipped_told_and_under_strict_an_error(build, tmp_path):
    root = build.dsb2018(tmp_path)
    broken = root / "stage1_train" / "0001" / "images" / "0001.png"
    broken.write_bytes(broken.read_bytes()[:60])
    folder = open_folder(root)
    assert len(folder.records) == 3
    assert [fault.path for fault in folder.faults] == [broken] and str(folder.faults[0]).count(str(broken)) == 1
    with pytest.raises(SkippedFilesError, match=r"1 skipped, the first is .*0001\.png.*--strict"):
        open_folder(root, strict=True)
    records, _ = folder.layout.scan(root)
    with pytest.raises(InputError, match=r"0001\.png"):
        EntityDataset(records, folder.layout)[1]


def test_a_folder_without_a_usable_image_is_an_error(build, tmp_path):
    root = build.dsb2018(tmp_path, count=1)
    (root / "stage1_train" / "0000" / "images" / "0000.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none is usable .1 skipped.*0000\.png.*0 bytes.*docs/formats.md"):
        open_folder(root)


def test_the_groups_of_the_folder_are_used(build, tmp_path):
    root = build.label_maps(tmp_path)
    (root / "groups.csv").write_text("file,group\n0.png,a\n1.png,a\n2.png,b\n")
    assert [record.group for record in open_folder(root).records] == ["a", "a", "b"]
