from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.runtime import best_precision
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.mining import WINDOWS, HardNegatives
from adapters.training.module import EntityModule, NotFiniteError, TrainOptions
from adapters.training.trainer import StopOnInterrupt, keep_best, make_trainer
from domains.crops.crops import CropOptions
from domains.entities import EntityBatch, EntityMap, collate
from domains.errors import InputError


class At(Callback):
    """Do something after the step of that number."""

    def __init__(self, step: int, act) -> None:
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer: L.Trainer, *_) -> None:
        if trainer.global_step == self.step:
            self.act()


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing that runs on an Exception gets to run."""


def raise_killed() -> None:
    raise Killed


@pytest.fixture
def train(tiny_segmenter, discs):
    def run(
        folder: Path,
        *callbacks: Callback,
        resume: bool = False,
        steps: int = 6,
        seed: int = 0,
        samples: list | None = None,
        hard_share: float = 0.0,
        **options,
    ):
        L.seed_everything(seed, verbose=False)
        segmenter, _ = tiny_segmenter(seed=seed)
        loss = build_loss(DEFAULT_LOSSES["dense"])
        module = EntityModule(segmenter, loss, TrainOptions(steps=steps, warmup_steps=1, **options))
        crops = CropOptions(crop_px=32, hard_share=hard_share)
        batches = BatchOptions(batch_size=2, round_steps=2, seed=seed)
        data = EntityDataModule(samples or discs[:4], discs[4:], None, crops, batches)
        mining = [HardNegatives(data.crops)] if hard_share else []
        trainer = make_trainer(folder, steps, 2, callbacks=[*callbacks, *mining])
        trainer.fit(module, data, ckpt_path=folder / "checkpoints" / "last.ckpt" if resume else None, weights_only=True)
        return module, trainer, data

    return run


def losses(folder: Path) -> dict[tuple[int, str], float]:
    """(step, column) -> value, of what a resumed run must repeat."""
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (int(row["step"]), key): float(row[key]) for row in rows for key in ("loss", "val/loss", "lr") if row.get(key)
    }


def test_a_killed_run_resumes_to_the_same_losses(train, tmp_path) -> None:
    whole, *_ = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", At(5, raise_killed))
    resumed, *_ = train(tmp_path / "killed", resume=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert len({step for step, _ in losses(tmp_path / "whole")}) == 6
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_killed_run_with_a_teacher_resumes_to_the_same_losses(train, tmp_path, discs) -> None:
    """Two of the images have no label at all, which the teacher gives from the second step on."""
    nothing = [replace(disc, truths=(EntityMap(np.full_like(disc.truth.ids, -1)),)) for disc in discs[2:4]]
    options = {"samples": [*discs[:2], *nothing], "teacher": True, "teacher_score": 0.0, "teacher_ramp": 0.1}
    whole, *_ = train(tmp_path / "whole", **options)
    assert whole.teacher is not None and whole.teacher.steps == 6
    with pytest.raises(Killed):
        train(tmp_path / "killed", At(5, raise_killed), **options)
    resumed, *_ = train(tmp_path / "killed", resume=True, **options)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert all(torch.equal(mean, resumed.teacher.mean[name]) for name, mean in whole.teacher.mean.items())


def test_hard_negatives_are_looked_up_after_validation_and_a_resumed_run_has_the_same(train, tmp_path, discs) -> None:
    """Two of the images hold a bright disc that nobody calls an entity."""
    unnamed = [replace(one, truths=(EntityMap(np.zeros_like(one.truth.ids)),)) for one in discs[2:4]]
    options = {"samples": [*discs[:2], *unnamed], "hard_share": 0.9}
    _, _, data = train(tmp_path / "whole", **options)
    spots = data.crops.spots
    assert len(spots) == WINDOWS // 4 and set(spots[:, 0]) <= {2, 3}
    with pytest.raises(Killed):
        train(tmp_path / "killed", At(5, raise_killed), **options)
    _, _, again = train(tmp_path / "killed", resume=True, **options)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert np.array_equal(again.crops.spots, spots)
    train(tmp_path / "without", samples=options["samples"])
    first, other = losses(tmp_path / "whole"), losses(tmp_path / "without")
    assert first[1, "loss"] == other[1, "loss"] and first[6, "loss"] != other[6, "loss"]


def test_a_fit_moves_what_the_method_and_the_decoder_train_and_nothing_else(train, tmp_path, tiny_segmenter) -> None:
    before = dict(tiny_segmenter()[0].named_parameters())
    module, *_ = train(tmp_path)
    for name, parameter in module.segmenter.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved <= parameter.requires_grad, name
    assert any(not torch.equal(p, before[n]) for n, p in module.segmenter.named_parameters() if "lora_B" in n)


def test_checkpoints_hold_the_trainable_weights_alone(train, tmp_path) -> None:
    module, *_ = train(tmp_path)
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_the_last_round_is_written_though_an_earlier_one_was_better(train, tmp_path) -> None:
    train(tmp_path, lr=1e-30, backbone_lr=1e-30)  # nothing moves, so no round beats the first
    files = {name: tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")}
    steps = {name: torch.load(file, weights_only=True)["global_step"] for name, file in files.items()}
    assert steps == {"best": 2, "last": 6}


@pytest.mark.parametrize("kind", ["cut off", "empty", "text", "something else"])
def test_a_damaged_checkpoint_is_refused_with_the_ways_out(kind: str, train, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    last = checkpoints / "last.ckpt"
    torch.save({"state_dict": {}}, last)
    if kind != "something else":
        last.write_bytes({"cut off": last.read_bytes()[:-30], "empty": b"", "text": b"notes"}[kind])
    with pytest.raises(InputError, match=r"last\.ckpt' is damaged, or holds no round; begin anew in another --out"):
        train(tmp_path, resume=True)
    (checkpoints / "best.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"copy '.*best\.ckpt' over it to go on from the best round, or begin"):
        train(tmp_path, resume=True)


def test_a_fit_goes_on_from_the_best_round_where_that_takes_the_place_of_the_last(train, tmp_path: Path) -> None:
    train(tmp_path, steps=2)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "last.ckpt").write_bytes((checkpoints / "best.ckpt").read_bytes())
    module, *_ = train(tmp_path, resume=True, steps=4)
    assert module.steps_done == 4


def test_a_loss_that_is_not_finite_names_the_batch(tiny_segmenter, discs) -> None:
    segmenter, _ = tiny_segmenter()
    module = EntityModule(segmenter, build_loss(DEFAULT_LOSSES["dense"]))
    batch = collate(discs[:2])
    broken = EntityBatch(torch.full_like(batch.images, float("nan")), batch.ids, batch.places)
    with pytest.raises(NotFiniteError, match=r"not finite at step 0 .*discs-0 .*discs-1 .*lower train.lr"):
        module.training_step(broken, 0)


def test_the_first_interrupt_ends_training_and_keeps_the_weights(train, tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell started us in the background
    module, trainer, data = train(tmp_path, At(3, lambda: os.kill(os.getpid(), signal.SIGINT)), steps=100)
    assert trainer.global_step in (3, 4)
    assert next(one for one in trainer.callbacks if isinstance(one, StopOnInterrupt)).interrupted
    assert keep_best(trainer, module, data) < float("inf")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_time_budget_ends_training_and_the_rate_with_it(train, tmp_path) -> None:
    module, trainer, _ = train(tmp_path, steps=10_000, seconds=1.0)
    assert 1 <= trainer.global_step < 10_000
    assert module.progress == 1
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.2 * module.options.lr


def test_the_best_round_is_kept(train, tmp_path) -> None:
    module, trainer, data = train(tmp_path, lr=0.5, backbone_lr=0.5)  # such a rate makes later rounds worse than others
    best = keep_best(trainer, module, data)
    validations = [value for (_, key), value in losses(tmp_path).items() if key == "val/loss"]
    assert best == pytest.approx(min(validations))
    assert float(trainer.validate(module, data, verbose=False)[0]["val/loss"]) == pytest.approx(best)


@pytest.mark.parametrize(
    ("avx512", "amx", "chosen"),
    [(False, False, "32-true"), (True, False, "bf16-mixed"), (False, True, "bf16-mixed"), (True, True, "bf16-mixed")],
)
def test_precision_is_bf16_only_where_it_is_asked_for_or_fast(monkeypatch, avx512, amx, chosen) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert best_precision("auto") == best_precision("auto", "cpu") == chosen
    assert best_precision("fp32") == "32-true" and best_precision("bf16") == "bf16-mixed"


@pytest.mark.parametrize(
    ("there", "native", "chosen"),
    [(False, True, "32-true"), (True, False, "32-true"), (True, True, "bf16-mixed")],
)
def test_precision_of_a_gpu_is_bf16_where_it_has_the_instructions(monkeypatch, there, native, chosen) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert best_precision("auto", "cuda") == chosen
    assert best_precision("fp32", "cuda") == "32-true" and best_precision("bf16", "cuda") == "bf16-mixed"


def test_a_device_without_memory_for_a_step_is_one_line_that_says_what_to_lower(train, tmp_path) -> None:
    def fill() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(InputError, match="cpu has not the memory for a training step; lower train.batch_size or "):
        train(tmp_path, At(2, fill))
