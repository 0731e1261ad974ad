from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.inference.segment import InputContract
from domains.errors import InputError
from recipes.verbs import unlabelled
from recipes.verbs.unlabelled import unlabelled_samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of 100 x 140 px, each of one grey."""
    for grey in (10, 20, 30):
        Image.fromarray(np.full((100, 140, 3), grey, np.uint8)).save(tmp_path / f"{grey}.png")
    return tmp_path


def test_windows_of_all_images_are_unlabelled(folder: Path) -> None:
    samples = unlabelled_samples(str(folder), InputContract(), "industrial", 32)
    assert {int(sample.image.mean()) for sample in samples} == {10, 20, 30}
    assert {sample.image.shape for sample in samples} == {(64, 64, 3)} and len(samples) == 3 * 2 * 3
    assert all((sample.truth.ids == -1).all() and sample.truth.ids.shape == (64, 64) for sample in samples)


def test_there_are_not_too_many_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlabelled, "WINDOWS", 2)
    samples = unlabelled_samples(str(folder), InputContract(), "industrial", 16)
    assert len(samples) == 2 and len({int(sample.image.mean()) for sample in samples}) == 2


def test_they_are_of_the_size_of_the_training_images(folder: Path) -> None:
    known = InputContract(scale=0.5, pixel_size_m=1e-6)
    (sample, *_) = unlabelled_samples(str(folder / "10.png"), known, "industrial", 16)
    assert sample.image.shape == (64, 64, 3)  # the network, which sees half of that, is shown two crops


@pytest.mark.parametrize(("place", "message"), [
    ("absent", "train.unlabelled: input .*absent' does not exist"),
    (".", "holds no image"),
])  # fmt: skip
def test_a_place_without_images_is_refused(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        unlabelled_samples(str(tmp_path / place), InputContract(), "industrial", 32)


def test_an_image_that_cannot_be_shown_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"train.unlabelled: .*10.png': "):
        unlabelled_samples(str(folder / "10.png"), InputContract(bands=("nir", "red"), channels=2), "industrial", 32)


def test_a_broken_image_among_others_is_left_out_and_told(folder: Path, capsys) -> None:
    whole = (folder / "10.png").read_bytes()
    (folder / "10.png").write_bytes(whole[: len(whole) // 2])
    samples = unlabelled_samples(str(folder), InputContract(), "industrial", 32)
    assert {int(sample.image.mean()) for sample in samples} == {20, 30}
    told = capsys.readouterr().err
    assert told.startswith("train.unlabelled: 1 of 3 images were left out; ") and "10.png" in told
    with pytest.raises(InputError, match=r"train.unlabelled: .*10.png'"):
        unlabelled_samples(str(folder / "10.png"), InputContract(), "industrial", 32)
