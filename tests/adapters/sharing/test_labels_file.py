"""A labeller in an adapter's folder: sealed with it, packed with it, and refused where it is not what is told."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors import torch as torch_file
from safetensors.numpy import load_file, save_file

from adapters.inference.segment import InputContract
from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import Examples, taught
from adapters.labelling.pooled import Blocks
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.info import CARD, INFO, LABEL_WEIGHTS, parse_info
from adapters.sharing.labels_file import describe_labeller, load_labeller, set_labeller
from adapters.sharing.opening import show
from adapters.sharing.package import pack, unpack
from domains.errors import InputError


@pytest.fixture
def plain(tiny_segmenter, tmp_path: Path) -> tuple[Path, Labeller]:
    """An adapter without classes, and a labeller that fits it."""
    segmenter, method = tiny_segmenter("decoder_only")
    info = describe(segmenter, method, InputContract(tile_px=64, overlap_px=16), "pathology", "discs")
    save_adapter(tmp_path / "adapter", segmenter, method, info, "domain: {name: pathology}\n")
    blocks, rng = Blocks.of(segmenter), np.random.default_rng(0)
    features = rng.normal(0, 1, (20, sum(blocks))).astype(np.float32)
    examples = Examples(features, np.arange(20, dtype=np.int32) % 2, np.arange(20), ("cell", "tumour"))
    return tmp_path / "adapter", taught("linear", examples, blocks)


def seal_anew(folder: Path) -> None:
    info = parse_info((folder / INFO).read_text(), "info")
    (folder / INFO).write_text(sealed(folder, info).json_text())


def test_a_labeller_travels_with_the_adapter_and_one_without_says_nothing_of_it(plain, tmp_path: Path) -> None:
    folder, labeller = plain
    assert "labels" not in json.loads((folder / INFO).read_text()) and load_labeller(folder, read_info(folder)) is None
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.name not in (INFO, CARD)}
    info = set_labeller(folder, labeller, 0.75)
    assert info.labels is not None and (info.labels.accuracy, info.labels.farthest) == (0.75, None)
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert "Gives each a class: `cell`, `tumour`, or `unknown`. Of true outlines 0.750" in (folder / CARD).read_text()
    assert "classes   cell, tumour (told by linear)" in show(folder)
    assert stat.S_IMODE((folder / LABEL_WEIGHTS).stat().st_mode) == 0o644
    pack(folder, tmp_path / "adapter.zip")
    unpack(tmp_path / "adapter.zip", tmp_path / "again")
    again = load_labeller(tmp_path / "again", read_info(tmp_path / "again"))
    assert again is not None and again.digest() == labeller.digest()


@pytest.mark.parametrize(
    "change, line",
    [
        (lambda arrays: arrays.pop("axes"), "1 of 7 tensors missing, such as axes"),
        (lambda arrays: arrays.update(bias=np.zeros(3, np.float16)), "of another shape, such as bias"),
        (lambda arrays: arrays.update(bias=np.full(2, np.nan, np.float16)), "values that are not finite"),
        (lambda arrays: arrays.update(bias=np.full(2, 1e37, np.float32)), "numbers beyond half precision"),
        (lambda arrays: arrays["classes"].fill(1), "no example of some of its classes"),
        (lambda arrays: arrays["classes"].fill(7), "no example of some of its classes"),
    ],
)
def test_other_numbers_than_the_info_tells_of_are_refused_in_a_line(plain, change, line: str) -> None:
    folder, labeller = plain
    set_labeller(folder, labeller)
    arrays = load_file(folder / LABEL_WEIGHTS)
    change(arrays)
    save_file(arrays, folder / LABEL_WEIGHTS)
    with pytest.raises(InputError, match="is not as it was saved"):
        read_info(folder)
    seal_anew(folder)
    with pytest.raises(InputError, match=line):
        load_labeller(folder, read_info(folder))


def test_numbers_of_another_type_are_the_same_labeller(plain) -> None:
    folder, labeller = plain
    set_labeller(folder, labeller)
    arrays = torch_file.load_file(folder / LABEL_WEIGHTS)
    arrays.update(bias=arrays["bias"].bfloat16(), classes=arrays["classes"].float())
    torch_file.save_file(arrays, folder / LABEL_WEIGHTS)
    seal_anew(folder)
    again = load_labeller(folder, read_info(folder))
    assert again is not None and again.classes.dtype == np.int32 and np.allclose(again.bias, labeller.bias, rtol=0.01)


def test_a_file_too_many_or_too_few_or_too_large_is_refused(plain) -> None:
    folder, labeller = plain
    (folder / LABEL_WEIGHTS).write_bytes(b"")
    with pytest.raises(InputError, match="is of a labeller, and entity.json says nothing of one"):
        read_info(folder)
    (folder / LABEL_WEIGHTS).unlink()
    set_labeller(folder, labeller)
    (folder / LABEL_WEIGHTS).write_bytes(bytes(2**22))
    with pytest.raises(InputError, match=r"labels.safetensors has 4194304 bytes; its options need at most"):
        read_info(folder)
    (folder / LABEL_WEIGHTS).unlink()
    with pytest.raises(InputError, match="is missing; get the adapter again"):
        read_info(folder)


@pytest.mark.parametrize(
    "vocabulary, line",
    [
        (("cell", "<b>tumour</b>"), "vocabulary"),
        (("cell", "cell"), "wanted each class once"),
        (("cell", "unknown"), "'unknown' is what is none of the classes"),
        (("cell", ""), "vocabulary"),
    ],
)
def test_names_that_no_class_may_have_are_refused_and_nothing_is_changed(plain, vocabulary, line: str) -> None:
    folder, labeller = plain
    named = Labeller.of_arrays("linear", vocabulary, labeller.arrays(), 1.0, 1.0)
    before = (folder / INFO).read_bytes()
    with pytest.raises(InputError, match=line):
        set_labeller(folder, named)
    assert (folder / INFO).read_bytes() == before and not (folder / LABEL_WEIGHTS).exists()
    assert describe_labeller(labeller).vocabulary == ("cell", "tumour")
