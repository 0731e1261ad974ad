from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.backbones.folders import save_base
from adapters.decoders.dense import Dense
from adapters.inference.segment import InputContract
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.info import INFO, STUDENT_WEIGHTS, parse_info
from adapters.sharing.package import pack, unpack
from adapters.sharing.student_file import add_student, describe_student, load_student
from adapters.student import Student
from adapters.training.rounding import round_to_half
from domains.errors import InputError

RECIPE_TEXT = "domain: {name: pathology}\n"


@pytest.fixture
def student() -> Student:
    student = Student(Dense(width=16, least_iou=0.3)).eval().requires_grad_(False)
    round_to_half(student.parameters())
    return student


@pytest.fixture
def adapter(student: Student, tiny_segmenter, tmp_path: Path) -> Path:
    """A folder with a student; its base is not kept."""
    segmenter, method = tiny_segmenter("decoder_only")
    save_base(segmenter.backbone, tmp_path / "base")
    contract = InputContract(tile_px=64, overlap_px=16)
    info = describe(segmenter, method, contract, "pathology", "discs", student=describe_student(student))
    save_adapter(tmp_path / "adapter", segmenter, method, info, RECIPE_TEXT, student=student.decoder)
    shutil.rmtree(tmp_path / "base")
    return tmp_path / "adapter"


def seal_anew(folder: Path) -> None:
    info = parse_info((folder / INFO).read_text(), "info")
    (folder / INFO).write_text(sealed(folder, info).json_text())


def test_a_student_is_loaded_as_it_was_saved_and_without_its_base(adapter: Path, student: Student, tmp_path) -> None:
    pack(adapter, tmp_path / "adapter.zip")
    unpack(tmp_path / "adapter.zip", tmp_path / "again")
    for folder in (adapter, tmp_path / "again"):
        loaded, images = load_student(folder, read_info(folder)), torch.rand(1, 3, 40, 48)
        assert loaded.decoder.options == student.decoder.options and loaded.decoder.options.least_iou == 0.3
        assert all(torch.equal(value, student(images)[name]) for name, value in loaded(images).items())
    stored = load_file(adapter / STUDENT_WEIGHTS).values()
    assert {value.dtype for value in stored} == {torch.float16} and (adapter / STUDENT_WEIGHTS).stat().st_size < 6e6


def test_a_student_is_put_into_an_adapter_later(adapter: Path) -> None:
    other = Student(Dense(min_area_px=40)).eval().requires_grad_(False)
    add_student(adapter, other)
    loaded, images = load_student(adapter, read_info(adapter)), torch.rand(1, 3, 16, 16)
    assert loaded.decoder.options.min_area_px == 40
    assert torch.equal(loaded(images)["boundary"], other(images)["boundary"])


def shifted(path: Path) -> None:
    state = load_file(path)
    save_file({**state, "head.bias": state["head.bias"] + 1}, path)


def endless(path: Path) -> None:
    state = load_file(path)
    save_file({**state, "head.bias": state["head.bias"] * float("nan")}, path)


def grown(path: Path) -> None:
    save_file({**load_file(path), "head.bias": torch.zeros(99)}, path)


def large(path: Path) -> None:
    save_file({**load_file(path), "head.bias": torch.zeros(2**24)}, path)


FAULTS = {
    "weights": (shifted, "does not give the output it was saved with"),
    "not finite": (endless, "values that are not finite"),
    "shape": (grown, "1 of .* tensors of another shape, such as head.bias"),
    "size": (large, "student.safetensors has .* bytes; its options need at most"),
    "absent": (lambda path: path.unlink(), "student.safetensors' is missing; get the adapter again"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_student_that_was_changed_is_refused_by_the_seal_and_behind_it(adapter: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    change(adapter / STUDENT_WEIGHTS)
    with pytest.raises(InputError):
        read_info(adapter)
    seal_anew(adapter)
    with pytest.raises(InputError, match=message):
        load_student(adapter, read_info(adapter))


def test_weights_of_a_student_that_nothing_is_said_of_are_refused(adapter: Path) -> None:
    values = json.loads((adapter / INFO).read_text())
    del values["student"]
    (adapter / INFO).write_text(json.dumps(values))
    seal_anew(adapter)
    with pytest.raises(InputError, match="is of a student, and entity.json says nothing of one"):
        read_info(adapter)


def test_an_adapter_without_a_student_says_nothing_of_one(tiny_segmenter) -> None:
    segmenter, method = tiny_segmenter("decoder_only")
    info = describe(segmenter, method, InputContract(tile_px=64, overlap_px=16), "pathology", "discs")
    assert "student" not in json.loads(info.json_text())
