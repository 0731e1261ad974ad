from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from adapters.inference.segment import InputContract
from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.runtime import Runtime
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.fitting import Budget, Plan, Reporter, Unwatched, entities_of, fit, measured, steps_of_round
from adapters.training.module import TrainOptions
from domains.crops.crops import CropOptions
from domains.metrics import build_metrics


@pytest.fixture
def plan(tiny_segmenter, discs) -> Plan:
    def crops(train, val, round_steps: int) -> EntityDataModule:
        batches = BatchOptions(batch_size=2, round_steps=round_steps)
        return EntityDataModule(train, val, None, CropOptions(crop_px=32), batches)

    L.seed_everything(0, verbose=False)
    network, _ = tiny_segmenter("decoder_only")
    return Plan(
        network,
        build_loss(DEFAULT_LOSSES["dense"]),
        discs[:3],
        discs[3:5],
        discs[5:],
        crops,
        InputContract(tile_px=64, overlap_px=16),
        lambda: build_metrics(("f1", "pq")),
        Budget(4, round_steps=2),
        TrainOptions(warmup_steps=1),
        calibrate_for="pq",
    )


class Heard(Reporter):
    """Writes down what it hears."""

    def __init__(self, *callbacks: Callback) -> None:
        self.words: list[str] = []
        self.added = callbacks

    @contextmanager
    def stage(self, title, images=0):
        self.words.append(f"{title} {images}")
        yield Unwatched()

    def callbacks(self, budget):
        return self.added

    def trained(self, training):
        self.words.append(f"trained {training.steps}")

    def regions_learnt(self, candidates):
        self.words.append("learnt")

    def regions_given_up(self, candidates):
        self.words.append("given up")

    def calibrated(self, calibration):
        self.words.append(calibration.metric)


class AtFirstStep(Callback):
    def __init__(self, act) -> None:
        self.act = act

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if trainer.global_step == 1:
            self.act(module)


def weights(plan: Plan) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in plan.network.state_dict().items()}


def test_a_plan_is_measured_trained_calibrated_and_measured_again(plan: Plan, tmp_path: Path) -> None:
    heard, before = Heard(), weights(plan)
    fitted = fit(replace(plan, shown=(0,)), heard, tmp_path / "run")
    assert heard.words == ["measure before 1", "trained 4", "calibrate 0", "pq", "measure after 1"]
    assert fitted.training.steps == 4 and not fitted.training.interrupted and fitted.training.cpu_s > 0
    assert list(fitted.measured) == ["before", "after"] and len(fitted.measured["after"]) == 1
    assert fitted.calibration is not None and fitted.calibration.metric == "pq"
    moved = {name for name, value in weights(plan).items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert sorted(file.name for file in (tmp_path / "run" / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (fitted.shown_before[0].ids.shape, fitted.shown_after[0].ids.shape) == ((48, 48), (48, 48))


def test_the_entities_that_are_shown_are_those_of_the_network_as_it_was_measured(plan: Plan) -> None:
    plan = replace(plan, shown=(0,))
    start = entities_of(plan)
    for measures_before in (True, False):
        fitted = fit(replace(plan, budget=Budget(0), measure_before=measures_before))
        for shown in (fitted.shown_before, fitted.shown_after):
            assert list(shown) == [0] and np.array_equal(shown[0].ids, start[0].ids)


def test_what_is_measured_is_what_a_file_in_half_precision_holds(plan: Plan) -> None:
    fit(plan)
    for parameter in plan.network.decoder.parameters():
        assert torch.equal(parameter, parameter.half().float())


def test_no_steps_leave_the_weights_and_choose_thresholds_alone(plan: Plan) -> None:
    before, heard = weights(plan), Heard()
    fitted = fit(replace(plan, budget=Budget(0), measure_before=False, regions=False), heard)
    assert heard.words == ["calibrate 0", "pq", "measure after 1"] and list(fitted.measured) == ["after"]
    assert all(torch.equal(value, before[name]) for name, value in weights(plan).items())


def test_the_network_learns_in_training_mode_from_the_first_step_on(plan: Plan) -> None:
    modes = []
    fit(plan, Heard(AtFirstStep(lambda module: modes.append(module.segmenter.training))))
    assert modes == [True]  # measuring leaves it in evaluation mode, in which dropout does nothing


def test_ctrl_c_ends_the_training_and_nothing_is_measured_after_it(plan: Plan) -> None:
    heard = Heard(AtFirstStep(lambda _: os.kill(os.getpid(), signal.SIGINT)))
    fitted = fit(replace(plan, shown=(0,)), heard)
    assert fitted.training.interrupted and fitted.training.steps == 1 and list(fitted.measured) == ["before"]
    assert heard.words == ["measure before 1"] and list(fitted.shown_after) == [0]


def test_a_killed_fit_goes_on_to_the_same_weights(plan: Plan, tiny_segmenter, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(module) -> None:
        raise Killed

    class AtThirdStep(AtFirstStep):
        def on_train_batch_end(self, trainer, module, *_) -> None:
            if trainer.global_step == 3:
                self.act(module)

    start = weights(plan)
    fit(plan, run=tmp_path / "whole")
    whole = weights(plan)
    plan.network.load_state_dict(start)
    with pytest.raises(Killed):
        fit(plan, Heard(AtThirdStep(kill)), tmp_path / "killed")
    plan.network.load_state_dict(start)
    fit(plan, run=tmp_path / "killed", checkpoint=tmp_path / "killed" / "checkpoints" / "last.ckpt")
    assert all(torch.equal(value, whole[name]) for name, value in weights(plan).items())


@pytest.mark.parametrize(("steps", "looks", "expected"), [(12, 3, 4), (2, 8, 1)])
def test_looks_are_spread_over_the_steps(plan: Plan, steps: int, looks: int, expected: int) -> None:
    assert steps_of_round(replace(plan, budget=Budget(steps, looks=looks)), plan.module()) == expected


def test_looks_are_spread_over_the_seconds_by_the_budget_s_clock(plan: Plan) -> None:
    ticks = itertools.count()
    timed = replace(plan, budget=Budget(10**6, 60.0, lambda: float(next(ticks)), looks=3))
    assert steps_of_round(timed, timed.module()) == 20  # a step takes one tick: sixty of them


def test_seconds_of_the_processor_end_a_fit_and_no_weight_moves_before_it(plan: Plan) -> None:
    budget = Budget(10**6, 0.2, time.process_time, looks=2)
    fitted = fit(replace(plan, budget=budget, measure_before=False))
    assert 1 <= fitted.training.steps < 1000 and fitted.training.seconds >= 0.2
    assert fitted.training.val_loss is not None


def test_too_few_regions_are_told(plan: Plan) -> None:
    decoder = plan.network.decoder
    heard = Heard()
    decoder.options = replace(decoder.options, regions=True)
    fitted = fit(replace(plan, measure_before=False, calibrate_for=None), heard)
    assert heard.words[1:3] == ["regions 0", "given up"] and fitted.candidates == 0
    assert not decoder.options.regions


def test_training_and_validation_are_shown_through_the_contract_s_stain(plan: Plan, discs) -> None:
    from domains.crops.normalisers import fit_normaliser

    stain = fit_normaliser("reinhard", discs)
    stained = replace(plan, contract=replace(plan.contract, stain=stain))
    assert plan.learnt is plan.train
    assert stained.learnt[0].image.shape == discs[0].image.shape
    assert not np.array_equal(stained.learnt[1].image, discs[1].image)
    assert stained.watched is not None and len(stained.watched) == 2


def test_other_images_are_measured_alike(plan: Plan, discs) -> None:
    heard = Heard()
    assert len(measured(plan, discs, heard, "elsewhere")) == 6 and heard.words == ["elsewhere 6"]


def test_a_fit_by_a_cache_in_half_precision_learns_from_the_crops_that_it_keeps(plan: Plan, tmp_path: Path) -> None:
    options = replace(plan.options, cache="prefix", cached_crops=4)
    budget = Budget(6, seconds=60, clock=time.process_time, looks=2)
    cached = replace(plan, options=options, budget=budget, runtime=Runtime(training="bf16-mixed"))
    before = {name: weights.clone() for name, weights in plan.network.decoder.named_parameters()}
    fitted = fit(cached, run=tmp_path)
    assert fitted.training.steps == 6 and fitted.after is not None
    assert any(not torch.equal(before[name], x) for name, x in plan.network.decoder.named_parameters())
