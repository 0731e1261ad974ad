from __future__ import annotations

import itertools
from dataclasses import replace

import lightning as L
import numpy as np
import pytest
import torch

from adapters.inference.segment import InputContract
from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.distilling import Distillation
from adapters.training.fitting import Budget, Plan
from adapters.training.student_fit import Joined, fit_student
from domains.crops.crops import CropOptions
from domains.entities import EntityMap
from domains.metrics import build_metrics


@pytest.fixture
def shown() -> list[object]:
    """The data sets that crops were asked of."""
    return []


@pytest.fixture
def plan(tiny_segmenter, discs, shown) -> Plan:
    def crops(train, val, round_steps: int) -> EntityDataModule:
        shown.append(train)
        return EntityDataModule(
            train, val, None, CropOptions(crop_px=32), BatchOptions(batch_size=2, round_steps=round_steps)
        )

    L.seed_everything(0, verbose=False)
    return Plan(
        tiny_segmenter("decoder_only")[0],
        build_loss(DEFAULT_LOSSES["dense"]),
        discs[:3],
        discs[3:5],
        discs[5:],
        crops,
        InputContract(tile_px=64, overlap_px=16),
        lambda: build_metrics(("f1", "pq")),
        Budget(0),
        calibrate_for="pq",
    )


def seconds(count: int) -> Distillation:
    return Distillation(count, itertools.count().__next__)


def test_a_student_is_distilled_calibrated_and_measured_and_its_teacher_stays(plan: Plan) -> None:
    before = {name: value.clone() for name, value in plan.network.state_dict().items()}
    fitted = fit_student(plan, seconds(8))
    assert fitted.steps == 4 and len(fitted.measured) == 1 and fitted.measure_cpu_s > 0
    assert fitted.calibration is not None and fitted.calibration.metric == "pq"
    assert all(torch.equal(value, before[name]) for name, value in plan.network.state_dict().items())
    for parameter in fitted.student.parameters():
        assert torch.equal(parameter, parameter.half().float())


def test_the_scorer_of_regions_learns_from_the_student_itself(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.training.region_fit.FEWEST", 1)
    monkeypatch.setattr("adapters.training.region_fit.STEPS", 2)
    decoder = plan.network.decoder
    decoder.adopt(replace(decoder.options, regions=True))
    fitted = fit_student(replace(plan, calibrate_for=None), seconds(4))
    assert fitted.candidates > 0 and fitted.student.decoder.by_regions
    assert not decoder.by_regions  # type: ignore[union-attr]


def test_images_without_labels_are_shown_beside_the_training_images(plan: Plan, discs, shown) -> None:
    unlabelled = [replace(discs[0], truths=(EntityMap(np.full((48, 48), -1, np.int32)),))]
    fit_student(plan, seconds(2), unlabelled)
    assert len(shown[-1]) == 4 and (shown[-1][3].truth.ids == -1).all()


def test_joined_sets_are_counted_through(discs) -> None:
    both = Joined(discs[:2], discs[4:])
    assert len(both) == 4 and [both[i].place.scene for i in range(4)] == ["discs-0", "discs-1", "discs-4", "discs-5"]
    with pytest.raises(IndexError):
        both[4]
