"""Which images to label next: doubt, unlikeness, copies and what was learnt from, and what is written."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli import main
from domains.entities import EntityMap
from domains.scenes.appearance import SIZE
from recipes.verbs import next_images
from recipes.verbs.next_images import Candidate, choose, doubt_of


def candidate(name: str, doubt: float, look: float) -> Candidate:
    return Candidate(Path(name), doubt, np.full(SIZE, look), 3, np.zeros((8, 8, 3), np.uint8))


def test_the_most_doubted_comes_first_then_what_is_unlike_it() -> None:
    pool = [
        candidate("a", 0.9, 0.0),
        candidate("a again", 0.89, 0.01),
        candidate("b", 0.5, 5.0),
        candidate("c", 0.1, 9.0),
    ]
    chosen = choose(pool, np.zeros((0, SIZE)), 3)
    assert [entry.candidate.path.name for entry in chosen] == ["a", "b", "c"] and np.isnan(chosen[0].distance)
    assert [entry.candidate.path.name for entry in choose(pool, np.zeros((0, SIZE)), 9)][-1] == "a again"


def test_what_looks_as_labelled_images_do_comes_later() -> None:
    pool = [candidate("labelled", 0.6, 0.0), candidate("new", 0.5, 5.0)]
    assert choose(pool, np.zeros((0, SIZE)), 1)[0].candidate.path.name == "labelled"
    (first,) = choose(pool, np.full((2, SIZE), 0.01), 1)
    assert first.candidate.path.name == "new" and first.distance > 1


def test_without_any_doubt_what_differs_most_is_chosen() -> None:
    pool = [candidate("a", 0.0, 0.0), candidate("b", 0.0, 9.0), candidate("c", 0.0, 1.0)]
    assert [entry.candidate.path.name for entry in choose(pool, np.full((1, SIZE), 0.0), 2)] == ["b", "c"]


def test_a_sheet_shows_no_more_than_a_viewer_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_images, "MOST_SHOWN", 2)
    pool = [candidate(name, 0.5, float(look)) for look, name in enumerate("abcdefg")]
    chosen = choose(pool, np.zeros((0, SIZE)), 7)  # two rows, were it not for the bound
    assert next_images.sheet(chosen).size == next_images.sheet(chosen[:2]).size


def test_doubt_is_the_entropy_of_pixel_scores_and_without_them_of_entities() -> None:
    ids = np.zeros((4, 4), np.int32)
    ids[:2] = 1
    sure = EntityMap(ids, pixel_scores=np.where(ids > 0, 1, 0).astype(np.float16))
    unsure = EntityMap(ids, pixel_scores=np.full((4, 4), 0.5, np.float16))
    assert doubt_of(sure) == 0 and doubt_of(unsure) == pytest.approx(1)
    assert doubt_of(EntityMap(ids, np.array([0.5], np.float32))) == pytest.approx(0.5)
    assert doubt_of(EntityMap(0 * ids)) == 0


def test_a_list_and_a_sheet_are_written_without_copies_broken_files_and_what_was_learnt_from(
    run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (64, 48, 3), np.uint8)
        Image.fromarray(noise).save(pool / f"new-{i}.png")
    shutil.copy(pool / "new-0.png", pool / "copy.png")
    shutil.copy(data / "images" / "0.png", pool / "known.png")
    shutil.copy(data / "images" / "1.png", pool / "known-too.png")
    (pool / "broken.png").write_bytes(b"no picture")
    words = [
        "next-images",
        "--adapter",
        str(run / "adapter"),
        str(pool),
        "--out",
        str(tmp_path / "out"),
        "--count",
        "2",
    ]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "1 of 7 images were left out" in told.err and "broken.png" in told.err
    assert (
        "1 images were left out: they are copies of others" in told.err and "the adapter learnt from them" in told.err
    )
    assert "train.start=" in told.out.splitlines()[-1]
    rows = list(csv.DictReader((tmp_path / "out" / "next-images.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2"] and len({row["image"] for row in rows}) == 2
    assert (tmp_path / "out" / "next-images.png").read_bytes().startswith(b"\x89PNG")
    assert main(words) == 2
    assert "exists; name another --out, or add --overwrite" in capsys.readouterr().err


def test_a_pool_of_nothing_new_is_one_line(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    words = [
        "next-images",
        "--adapter",
        str(run / "adapter"),
        str(tmp_path / "broken.png"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) == 2
    assert "no image is left to label: 1 of 1 images were left out" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "o").exists()
