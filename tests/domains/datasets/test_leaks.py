from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from domains.datasets.leaks import find_leaks
from domains.datasets.looks import look_at
from domains.formats.layout import Record
from domains.scenes.images import read_image
from tests.domains.datasets.test_looks import texture


def record(path: Path, image: np.ndarray) -> Record:
    Image.fromarray(image).save(path)
    return Record(path.stem, path, None, path.stem)


def leaks(parts, split="test", nearly=True):
    return find_leaks(parts, split, lambda one: look_at(read_image(one.image)), nearly)


def test_the_same_and_nearly_the_same_are_found_in_test_and_told(tmp_path):
    train = [record(tmp_path / f"train{i}.png", texture(i)) for i in range(4)]
    shutil.copy(train[2].image, tmp_path / "copy.png")
    test = [
        record(tmp_path / "other.png", texture(9)),
        Record("copy", tmp_path / "copy.png", None, "copy"),
        record(tmp_path / "mirrored.jpg", texture(1)[:, ::-1]),
    ]
    parts = {"train": train, "val": [record(tmp_path / "val.png", texture(9)[::-1])], "test": test}
    found = leaks(parts)
    assert [(leak.learned.name, leak.teacher, leak.measured.name) for leak in found] == [
        ("train2", "train", "copy"), ("train1", "train", "mirrored"), ("val", "val", "other"),
    ]  # fmt: skip
    assert str(found[0]) == "'train2' (train) and 'copy' (test) hold the same bytes"
    assert "'train1' (train) and 'mirrored' (test) show nearly the same (" in str(found[1])
    assert [leak.measured.name for leak in leaks(parts, nearly=False)] == ["copy"]


def test_val_is_held_against_train_only_and_train_against_nothing(tmp_path):
    parts = {split: [record(tmp_path / f"{split}.png", texture(1))] for split in ("train", "val", "test")}
    assert [(leak.teacher, leak.split) for leak in leaks(parts, "val")] == [("train", "val")]
    assert len(leaks(parts)) == 2 and leaks(parts, "train") == []


def test_images_of_one_colour_are_no_leak(tmp_path):
    parts = {split: [record(tmp_path / f"{split}.png", np.zeros((32, 32, 3), np.uint8))] for split in ("train", "test")}
    assert leaks(parts) == []


def test_images_of_one_file_are_held_against_each_other_by_their_look(tmp_path):
    """Patches in one array, windows of one scene."""
    scene = record(tmp_path / "patches.png", texture(1)).image
    looks = {"a": look_at(texture(1)), "b": look_at(texture(2)), "c": look_at(texture(1)[::-1])}
    one, other, again = (Record(name, scene, None, name) for name in looks)
    found = find_leaks({"train": [one], "test": [other, again]}, "test", lambda record: looks[record.name])
    assert [leak.measured.name for leak in found] == ["c"]
