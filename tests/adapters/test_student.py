from __future__ import annotations

import pytest
import torch

from adapters.decoders.dense import Dense, DenseDecoder, resize
from adapters.network import Views
from adapters.proposals.watershed import FIELDS
from adapters.student import Student


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (72, 56)])
def test_a_student_gives_the_fields_of_images_of_any_multiple_of_8(size: tuple[int, int]) -> None:
    outputs = Student(Dense(embedding_dim=4, detail=False)).eval()(torch.rand(2, 3, *size))
    assert {name: tuple(field.shape) for name, field in outputs.items()} == dict.fromkeys(FIELDS, (2, 1, *size))


def test_a_student_begins_as_the_fitted_decoder_and_lacks_its_tokens_alone(tiny_segmenter) -> None:
    teacher = tiny_segmenter("decoder_only")[0].eval()
    assert isinstance(teacher.decoder, DenseDecoder)
    student, images, tokens = Student(teacher.decoder.options).eval(), torch.rand(2, 3, 48, 40), []
    student.decoder.begin_as(teacher.decoder)
    teacher.decoder.tokens.register_forward_hook(lambda *of: tokens.append(of[-1]))
    with torch.no_grad():
        says = teacher(images)
        outputs = student.decoder.upwards(resize(tokens[0], (6, 5)), student.decoder.details(images))
    assert all(torch.equal(outputs[name], says[name]) for name in FIELDS)
    assert not any(name.startswith(("norms.", "tokens.")) for name in student.decoder.state_dict())


def test_a_fitted_decoder_of_another_stem_or_scorer_is_taken_as_far_as_it_goes() -> None:
    fitted, student = Dense(regions=True).build(24, 2, 8), Student(Dense(regions=True), 5).decoder
    before = student.state_dict()["stem.0.weight"].clone()
    student.begin_as(fitted)
    assert torch.equal(student.state_dict()["stem.0.weight"], before)
    assert torch.equal(student.state_dict()["head.weight"], fitted.state_dict()["head.weight"])


def test_a_student_sees_as_many_channels_as_the_adapter() -> None:
    student = Student(Dense(), 5).eval()
    assert student.channels == 5 and student(torch.rand(1, 5, 16, 16))["boundary"].shape == (1, 1, 16, 16)


def test_a_student_is_looked_through_as_every_segmenter() -> None:
    images = [torch.randint(0, 255, (40, 30, 3)).byte().numpy()]
    (output,) = Student(Dense()).eval().outputs(images, Views(symmetries=4))
    assert output.size == (40, 30) and output.outputs["foreground"].shape == (1, 1, 40, 32)
