from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch

from adapters.network import EntitySegmenter
from adapters.proposals.watershed import FIELDS
from adapters.runtime import CPU
from adapters.student import decoder_of
from adapters.training import distilling
from adapters.training.distilling import (
    LABELS,
    WEIGHTS,
    Distillation,
    Pool,
    blended,
    distil,
    field_loss,
    follow,
)
from domains.entities import EntityBatch, collate


@pytest.fixture
def batch(discs) -> EntityBatch:
    return collate(discs[:2])


@pytest.fixture
def teacher(tiny_segmenter) -> EntitySegmenter:
    return tiny_segmenter("decoder_only")[0].eval()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def ticking(step: float = 1.0):
    """A clock that goes on by so much whenever it is asked."""
    return itertools.count(0, step).__next__


def test_a_student_comes_nearer_to_its_teacher(teacher: EntitySegmenter, batch: EntityBatch) -> None:
    with torch.inference_mode():
        says = blended(teacher.predicted(batch.images), batch)
        least = float(field_loss(dict(zip(WEIGHTS, says[:, :, None].logit(eps=1e-6).unbind(1), strict=True)), says))
    errors = []
    for seconds in (2, 80):
        options = Distillation(seconds, ticking())
        student, steps = distil(teacher, itertools.repeat(batch), options, CPU)
        assert steps == seconds // 2 and student.decoder.options == teacher.decoder.options
        with torch.inference_mode():
            errors.append(float(field_loss(student(batch.images), says)) - least)
    assert 0 < errors[1] < 0.8 * errors[0]


def test_two_students_of_one_seed_are_one(teacher: EntitySegmenter, batch: EntityBatch) -> None:
    first, second = (distil(teacher, itertools.repeat(batch), Distillation(6, ticking()), CPU)[0] for _ in range(2))
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_labels_count_where_they_are_known(teacher: EntitySegmenter, batch: EntityBatch) -> None:
    outputs = teacher.predicted(batch.images)
    unknown = EntityBatch(batch.images, torch.full_like(batch.ids, -1))
    says = torch.cat([outputs[name] for name in WEIGHTS], 1).sigmoid()
    assert torch.allclose(blended(outputs, unknown), says)
    mixed, inside = blended(outputs, batch), batch.ids > 0
    assert torch.allclose(mixed[:, 0][inside], says[:, 0][inside] * (1 - LABELS) + LABELS)
    assert torch.allclose(mixed[:, 0][~inside], says[:, 0][~inside] * (1 - LABELS))
    assert torch.allclose(mixed[:, 1][~inside], says[:, 1][~inside])
    assert set(WEIGHTS) == set(FIELDS)


def test_fields_are_turned_with_their_crops(monkeypatch: pytest.MonkeyPatch, teacher: EntitySegmenter) -> None:
    """The teacher says of a pixel what its red is; light alone makes the two differ."""

    def red(images: torch.Tensor) -> dict[str, torch.Tensor]:
        decoder_of(teacher).tokens(torch.zeros(len(images), 48, 2, 2))  # which it is asked for too
        return dict.fromkeys(FIELDS, images[:, :1].clamp(0.01, 0.99).logit())

    monkeypatch.setattr(teacher, "predicted", red)
    monkeypatch.setattr(distilling, "LIGHT", 0.0)
    images = torch.rand(3, 3, 16, 16)
    pool = Pool(teacher, itertools.repeat(EntityBatch(images, torch.full((3, 16, 16), -1))), generator())
    pool.add()
    drawn, fields, tokens = pool.drawn(20)
    assert tokens.shape == (20, 128, 2, 2)
    assert all(torch.allclose(fields[:, i], drawn[:, 0], atol=0.02) for i in range(len(FIELDS)))
    assert len({tuple(image[0, 0].tolist()) for image in drawn}) > 6


def test_the_pool_forgets_the_oldest_crops(
    monkeypatch: pytest.MonkeyPatch, teacher: EntitySegmenter, batch: EntityBatch
) -> None:
    monkeypatch.setattr(distilling, "POOL_BYTES", 0)
    monkeypatch.setattr(distilling, "FEWEST_BATCHES", 1)

    def numbered() -> Iterator[EntityBatch]:
        for number in itertools.count():
            yield EntityBatch(torch.full_like(batch.images, min(1.0, number / 10)), batch.ids)

    pool = Pool(teacher, numbered(), generator())
    for _ in range(7):
        pool.add()
    assert len(pool.crops) == distilling.BATCH
    assert {round(float(image.float().mean()) / 25.5) for image, _, _ in pool.crops} == {3, 4, 5, 6}


def test_the_mean_follows_by_what_is_not_kept() -> None:
    mean, module = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        mean.weight.fill_(1.0)
        module.weight.fill_(3.0)
    follow(mean, module, 0.75)
    assert mean.weight.item() == 1.5
