from __future__ import annotations

import pytest
import torch

from adapters.decoders.dense import Dense
from adapters.network import Views
from adapters.proposals.watershed import FIELDS
from adapters.student import Normalised, Student


def learnt(channels: int = 3) -> Student:
    """A student whose norms have seen some images."""
    student = Student(Dense(), channels).train()
    with torch.no_grad():
        for _ in range(3):
            student(torch.rand(4, channels, 32, 32))
    return student.eval()


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (72, 56)])
def test_a_student_gives_the_fields_of_images_of_any_multiple_of_8(size: tuple[int, int]) -> None:
    outputs = learnt()(torch.rand(2, 3, *size))
    assert {name: tuple(field.shape) for name, field in outputs.items()} == dict.fromkeys(FIELDS, (2, 1, *size))


def test_folded_norms_change_nothing_and_leave_convolutions_alone() -> None:
    student, images = learnt(), torch.rand(2, 3, 48, 40)
    with torch.no_grad():
        before = student(images)
        after = student.folded()(images)
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in FIELDS)
    assert not any(isinstance(module, Normalised | torch.nn.BatchNorm2d) for module in student.modules())


def test_a_student_sees_as_many_channels_as_the_adapter() -> None:
    student = learnt(5)
    assert student.channels == 5 and student(torch.rand(1, 5, 16, 16))["boundary"].shape == (1, 1, 16, 16)


def test_what_is_16_px_further_is_said_16_px_further() -> None:
    student, image = learnt(), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        here, there = student(image)["foreground"], student(image.roll(16, -1))["foreground"]
    assert torch.allclose(here[..., 96:160, 96:144], there[..., 96:160, 112:160], atol=1e-5)


def test_a_student_is_looked_through_as_every_segmenter() -> None:
    images = [torch.randint(0, 255, (40, 30, 3)).byte().numpy()]
    (output,) = learnt().outputs(images, Views(symmetries=4))
    assert output.size == (40, 30) and output.outputs["foreground"].shape == (1, 1, 40, 32)
