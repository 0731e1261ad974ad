"""`predict --ids` and `ids show | merge | forget`, from the command line on."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from cli import main
from tests.adapters.tracking.test_recognising import cropped, scene_of


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.sqlite"
    view, _ = cropped(scene_of(0), 0, 0, 400)
    with Registry(path) as registry:
        Visit(registry, "line.mp4").ids(view, mask=lambda row: np.ones((2, 3), bool))
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_a_second_run_finds_the_entities_of_the_first(run: Path, data: Path, tmp_path: Path, capsys) -> None:
    registry = tmp_path / "ids.sqlite"
    again = tmp_path / "again.png"
    shutil.copy(data / "images" / "0.png", again)
    ids = []
    for image, out in ((data / "images" / "0.png", "one"), (again, "two")):
        words = ["predict", "--adapter", str(run / "adapter"), str(image), "--format", "csv", "--format", "geojson"]
        said(capsys, *words, "--ids", registry, "--out", tmp_path / out)
        with (tmp_path / out / "entities.csv").open(newline="") as file:
            ids.append([int(row["persistent_id"]) for row in csv.DictReader(file)])
        assert f'"persistent_id": {ids[-1][0]}' in (tmp_path / out / f"{image.stem}.geojson").read_text()
    assert len(set(ids[0])) == len(ids[0]) >= 2 and ids[0] == ids[1]
    assert "another --ids" in refused(capsys, *words, "--out", tmp_path / "two")
    assert f"{len(ids[0])} entities" in said(capsys, "ids", "show", registry)


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ")
    return error[-1]


def test_a_registry_is_shown_corrected_and_its_masks_written(registry: Path, tmp_path: Path, capsys) -> None:
    table = said(capsys, "ids", "show", registry, "--limit", "2").splitlines()
    assert [line.split("\t")[0] for line in table[:3]] == ["id", "1", "2"] and "--limit" in table[-1]
    assert table[1].endswith("line.mp4")
    assert "2 is 1 from now on" in said(capsys, "ids", "merge", registry, "1", "2")
    assert said(capsys, "ids", "show", registry, "2").splitlines()[1].startswith("1 (was 2)\t2\t")
    said(capsys, "ids", "show", registry, "3", "--masks", tmp_path / "masks")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "3.png")), np.full((2, 3), 255))
    assert "is there already" in refused(capsys, "ids", "show", registry, "3", "--masks", tmp_path / "masks")
    assert said(capsys, "ids", "forget", registry, "1", "3").startswith("2 forgotten")
    assert "knows no entity 3" in refused(capsys, "ids", "forget", registry, "3")
    assert f"knows no entity {10**20}" in refused(capsys, "ids", "show", registry, str(10**20))
    assert "knows no entity 3" in refused(capsys, "ids", "merge", registry, "4", "5", "3")
    assert said(capsys, "ids", "show", registry, "5").splitlines()[1].startswith("5\t1\t")  # as it was
    assert "5, 5 are 4 from now on" in said(capsys, "ids", "merge", registry, "4", "5", "5")
    assert "is not there" in refused(capsys, "ids", "show", tmp_path / "none.sqlite")


def test_a_registry_that_cannot_be_used_ends_a_prediction_before_it_begins(
    run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    other = tmp_path / "words.txt"
    other.write_text("no registry " * 100)
    words = [
        "predict",
        "--adapter",
        run / "adapter",
        data / "images" / "0.png",
        "--ids",
        other,
        "--out",
        tmp_path / "out",
    ]
    assert "is no registry, or is damaged" in refused(capsys, *words)
    assert not (tmp_path / "out").exists() and other.read_text() == "no registry " * 100
