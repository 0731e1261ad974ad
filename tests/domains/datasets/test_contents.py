from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest

from domains.datasets.contents import content_sha256, files_sha256, samples_sha256
from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError


def filled(root, names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes([i]) * (i + 1))
    return [root / name for name in names]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum on this system")
def test_a_digest_of_files_is_what_sha256sum_gives(tmp_path):
    names = ["b/2.png", "a.png", "b/1.png", "B.png"]
    files = filled(tmp_path, names)
    command = f"sha256sum {' '.join(names)} | LC_ALL=C sort -k2 | sha256sum"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert files_sha256(tmp_path, reversed(files)) == done.stdout.split()[0]


def test_a_digest_follows_names_and_contents_and_not_their_order(tmp_path):
    files = filled(tmp_path, ["1.png", "2.png"])
    before = files_sha256(tmp_path, files)
    assert files_sha256(tmp_path, files[::-1]) == before != files_sha256(tmp_path, files[:1])
    files[0].write_bytes(b"another")
    changed = files_sha256(tmp_path, files)
    files[0].rename(tmp_path / "3.png")
    assert len({before, changed, files_sha256(tmp_path, [tmp_path / "3.png", files[1]])}) == 3


def test_a_folder_is_the_sum_of_its_files_and_any_name_will_do(tmp_path):
    odd = os.fsdecode(b"noyau_\xe9.png")
    files = filled(tmp_path / "scene.zarr", ["0/0.0", odd])
    assert content_sha256(tmp_path / "scene.zarr") == files_sha256(tmp_path / "scene.zarr", files)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"gone.png': wanted a file to read, got No such file"):
        content_sha256(tmp_path / "gone.png")


def labelled(pixel=0, entity=1, scene="a", labels=None, **place) -> EntitySample:
    image, ids = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.int32)
    image[1, 1], ids[2, 2:4] = pixel, entity
    truth = EntityMap(ids, labels=None if labels is None else np.array(labels, np.int32), vocabulary=("x", "y"))
    return EntitySample(image, (truth,), Place(scene, **place))


def test_a_digest_of_samples_follows_pixels_entities_sizes_groups_and_order(tmp_path):
    slide = tmp_path / "slide.tif"
    slide.write_bytes(b"1")
    sets = [
        [labelled(), labelled(pixel=1)],
        [labelled(pixel=1), labelled()],
        [labelled(), labelled(pixel=2)],
        [labelled(), labelled(pixel=1, entity=-1)],
        [labelled(), labelled(pixel=1, labels=[1])],
        [labelled(), labelled(pixel=1, scene="b")],
        [labelled(), labelled(pixel=1, pixel_size_m=1e-6)],
        [labelled(), labelled(pixel=1, cut_from=slide)],
        [labelled()],
        [],
    ]
    digests = [samples_sha256(samples) for samples in sets]
    assert len(set(digests)) == len(sets) and digests[0] == samples_sha256([labelled(), labelled(pixel=1)])
    slide.write_bytes(b"22")
    assert samples_sha256(sets[7]) != digests[7]
