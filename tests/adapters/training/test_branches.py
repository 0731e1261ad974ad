"""Several decoders on one frozen backbone that learn in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from adapters.inference.segment import InputContract
from adapters.losses import build_loss
from adapters.network import EntitySegmenter
from adapters.training.branches import BranchBatch, BranchOrder
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.fitting import Budget, Plan, train
from adapters.training.mixture import Mixture
from adapters.training.module import TrainOptions
from domains.crops.crops import CropOptions
from domains.metrics import build_metrics


@pytest.fixture
def mixture(tiny_segmenter, discs) -> Mixture:
    """Two members on two decoders, of which the second is to have three steps of four."""

    def crops(train, val, round_steps: int) -> EntityDataModule:
        batches = BatchOptions(batch_size=2, round_steps=round_steps, val_crops=4)
        return EntityDataModule(train, val, None, CropOptions(crop_px=32), batches)

    L.seed_everything(0, verbose=False)
    first, _ = tiny_segmenter("decoder_only")
    second = EntitySegmenter(first.backbone, tiny_segmenter("decoder_only")[0].decoder)
    plan = Plan(
        first,
        build_loss({"foreground": {}}),
        discs[:3],
        discs[3:5],
        discs[5:],
        crops,
        InputContract(tile_px=64, overlap_px=16),
        lambda: build_metrics(("f1",)),
        Budget(8, round_steps=4),
        TrainOptions(warmup_steps=1, lr=1e-2),
    )
    other = replace(plan, network=second, loss=build_loss({"foreground": {}, "boundary": {}}))
    return Mixture({"a": plan, "b": other}, None, seconds={"a": 10.0, "b": 30.0})


def test_any_run_of_steps_has_of_each_branch_its_share_and_turns_are_counted_through() -> None:
    order = BranchOrder([0.1, 0.3, 0.6], seed=3)
    steps = [order[step] for step in range(2100)]  # past the first block that is laid out
    for start in (0, 17, 1000, 2000):
        counts = np.bincount([branch for branch, _ in steps[start : start + 100]], minlength=3)
        assert np.abs(counts - [10, 30, 60]).max() <= 2
    for branch in range(3):
        turns = [turn for number, turn in steps if number == branch]
        assert turns == [*range(len(turns))]


def test_branches_are_those_members_that_share_a_network_and_their_shares_go_by_seconds(mixture: Mixture) -> None:
    lead = mixture.lead
    assert mixture.branches == {"a": ["a"], "b": ["b"]} and mixture.shares == {"a": 0.25, "b": 0.75}
    together = replace(mixture, members={**mixture.members, "c": lead}, temperature=1.0)
    assert together.branches == {"a": ["a", "c"], "b": ["b"]} and together.shares["c"] == pytest.approx(1 / 3)


def test_a_step_moves_the_decoder_of_its_own_branch_alone_by_its_own_loss(mixture: Mixture) -> None:
    plan = mixture.together()
    module, data = plan.module(), plan.crops(plan.learnt, plan.watched, 4)
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(1)
    batches = {batch.branch: batch for batch in loader}
    for name, terms in (("a", {"foreground"}), ("b", {"foreground", "boundary"})):
        losses = module.terms(batches[name])
        torch.stack([*losses.values()]).sum().backward()
        assert {*losses} == terms
        for branch, member in mixture.members.items():
            learns = any(weights.grad is not None for weights in member.network.decoder.parameters())
            assert learns == (branch == name)
        module.zero_grad()


def test_the_crops_of_a_branch_go_on_from_round_to_round(mixture: Mixture) -> None:
    plan = mixture.together()
    whole, halves = (plan.crops(plan.learnt, plan.watched, steps).train_dataloader() for steps in (8, 4))
    batches: list[BranchBatch] = [*whole]
    sampler: Any = halves.sampler
    for round_number in range(2):
        sampler.set_epoch(round_number)
        for batch, same in zip(halves, batches[4 * round_number :], strict=False):
            assert batch.branch == same.branch and torch.equal(batch.crops.images, same.crops.images)


def test_every_branch_keeps_the_weights_of_its_own_lowest_loss(mixture: Mixture) -> None:
    plan = mixture.together()
    module: Any = plan.module()
    decoders: dict[str, Any] = {name: member.network.decoder for name, member in mixture.members.items()}
    for losses in ({"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 2.0}):
        module._watched = {name: [(value, 2), (value, 1)] for name, value in losses.items()}
        for name, decoder in decoders.items():
            torch.nn.init.constant_(decoder.head.bias, losses[name])
        module.note_best()
    assert module.kept(5.0) == 1.5
    assert {name: decoder.head.bias[0].item() for name, decoder in decoders.items()} == {"a": 1.0, "b": 2.0}


def test_a_training_leaves_the_backbone_as_it_was_and_every_branch_better(mixture: Mixture) -> None:
    before = [weights.clone() for weights in mixture.lead.network.backbone.parameters()]
    training = train(mixture.together())
    after = mixture.lead.network.backbone.parameters()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert training.steps == 8 and training.val_loss is not None and np.isfinite(training.val_loss)
