"""The student in an adapter's folder: `student.safetensors`, and what `entity.json` says of it.

It is loaded without the adapter's base, which need not be on the machine.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from safetensors.torch import save_file

from adapters.decoders import decoder_options
from adapters.decoders.dense import Dense
from adapters.options.section import checked
from adapters.sharing.door import read_info, sealed
from adapters.sharing.info import INFO, STUDENT_WEIGHTS, AdapterInfo, StudentInfo
from adapters.sharing.probe import exercise, probe, probe_differs
from adapters.sharing.weights import check_shapes, compact, tensors
from adapters.student import Student
from domains.atomic import atomic_path
from domains.errors import InputError


def describe_student(student: Student) -> StudentInfo:
    """The info of a student as it stands, on the CPU, its probe included."""
    return checked(StudentInfo, {"decoder": asdict(student.decoder.options), "probe": probe(student)})


def add_student(folder: Path, student: Student) -> None:
    """Put a student, on the CPU, into the folder of an adapter, or in the place of the one there, and seal it anew."""
    info = replace(read_info(folder), student=describe_student(student))
    with atomic_path(folder / STUDENT_WEIGHTS) as path:
        save_file(compact(student.decoder.state_dict()), path)
    with atomic_path(folder / INFO) as path:
        path.write_text(sealed(folder, info).json_text(), encoding="utf-8")


def student_as_adapter(info: AdapterInfo) -> AdapterInfo:
    """The info of an adapter whose student takes its place: the student's decoder, and no student beside it.

    info: of an adapter that has one.
    """
    assert info.student is not None
    return replace(info, decoder=info.student.decoder, student=None)


def load_student(folder: Path, info: AdapterInfo) -> Student:
    """The student of an adapter, on the CPU, checked against its probe; info: as `read_info` has it.

    Raises InputError for an adapter without one, and for one that is not as it was saved.
    """
    if info.student is None:
        raise InputError(f"{str(folder)!r} has no student")  # told before, with what to do, where a user asked for it
    options = decoder_options(info.student.decoder)
    assert isinstance(options, Dense)
    student = Student(options, info.input.channels).eval().requires_grad_(False)
    state = student.decoder.state_dict()
    check_shapes(folder / STUDENT_WEIGHTS, {name: tuple(value.shape) for name, value in state.items()})
    student.decoder.load_state_dict(tensors(folder / STUDENT_WEIGHTS))
    if difference := probe_differs(probe(student), info.student.probe):
        raise InputError(
            f"{str(folder)!r} has a student that does not give the output it was saved with ({difference}): its "
            "weights or options were changed; get the adapter again"
        )
    exercise(student, info.contract)
    return student
