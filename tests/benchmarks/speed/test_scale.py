from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.speed import scale
from benchmarks.speed.child import Cost
from benchmarks.speed.small_images import write_images

INPUTS = scale.Inputs(scale.PAGE, images=3, tiles=4, slide=None, adapter=["--adapter", "base"])


def test_the_page_says_how_work_grows_with_the_input():
    costs = {"predict images 1000": Cost(9, 20, 900), "predict images 4000": Cost(9, 70, 910.4)}
    costs |= {"fit scene 60000": Cost(9, 5, 1200)}
    text = scale.page(costs, tiles=40)
    assert "| predict | 1,000 | 20 |  | 900 MiB |\n| predict | 4,000 | 70 | 3.50 (images 4.00) | 910 MiB |" in text
    assert "| fit | 60,000 | 5 |  | 1,200 MiB |" in text and "40 tiles of 256 px" in text


def test_a_row_is_measured_once_and_kept(tmp_path, monkeypatch):
    ran = []

    def run(words, environment):
        ran.append(words)
        return Cost(1, 2, 3)

    monkeypatch.setattr(scale, "run", run)
    inputs = replace(INPUTS, folder=tmp_path)
    for _ in range(2):
        scale.measure(inputs, scale.kept_costs(tmp_path), "check images 2", lambda inputs, size, out: [f"{size}"])
    assert ran == [["2"]] and json.loads((tmp_path / scale.KEPT).read_text()) == {"check images 2": [1, 2, 3, False]}


def test_small_images_differ_and_those_that_are_there_stay(tmp_path):
    write_images(tmp_path, 2, 64)
    first = tmp_path / "images" / "000000.png"
    before = first.stat().st_mtime_ns
    write_images(tmp_path, 3, 64)
    images = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "images").iterdir())]
    assert [image.shape for image in images] == [(64, 64, 3)] * 3 and first.stat().st_mtime_ns == before
    assert not any(np.array_equal(images[i], images[i - 1]) for i in range(3))
    assert all(np.asarray(Image.open(path)).any() for path in (tmp_path / "labels").iterdir())
