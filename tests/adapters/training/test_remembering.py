from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders.pretrained_memory import Looking, fresh_parts
from adapters.options.memory_decoder import MemoryOptions
from adapters.options.training import TrainOptions
from adapters.training.clip_bank import ClipBank, ClipBatch, Drawn, SeenClip
from adapters.training.remembering import TERMS, MemoryModule, MemorySegmenter, Rehearsal, shared
from domains.procedural.moving import moving_clip

SMALL = MemoryOptions(width=32, layers=1, heads=2, frames=3, clip_frames=3, most_gap=1)


@pytest.fixture(scope="module")
def bank() -> ClipBank:
    backbone = build_backbone(BackboneOptions("entity-small"))
    parts = fresh_parts(FOLDERS["entity-small"], backbone, SMALL)

    def draw(number: int):
        clip = moving_clip(np.random.default_rng((7, number)), 4, 48, 48)
        return Drawn(clip.images, clip.ids, clip.parents)

    return ClipBank(draw, Looking(backbone, parts.trunk, parts.prompts), 4, turns=2)


@pytest.fixture
def module(bank) -> MemoryModule:
    torch.manual_seed(0)
    parts = fresh_parts(FOLDERS["entity-small"], bank.looking.backbone, SMALL)
    return MemoryModule(MemorySegmenter(bank.looking, parts.decoder), TrainOptions())


def test_steps_lower_the_loss_and_move_the_memory_decoder_alone(module, bank) -> None:
    batch = ClipBatch([bank[0], bank[1]])
    before = {name: value.clone() for name, value in module.segmenter.state_dict().items()}
    optimizer = torch.optim.AdamW([weights for weights in module.parameters() if weights.requires_grad], 3e-3)
    losses = []
    for _ in range(8):
        terms = module.terms(batch)
        assert set(terms) == set(TERMS)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    moved = {name for name, value in module.segmenter.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert {name.split(".")[1] for name in moved} >= {"layers", "mask", "exists", "pair", "nobody", "carried"}


def test_a_clip_is_the_same_in_the_same_turn_and_another_in_the_next_round(bank) -> None:
    bank.set_epoch(0)
    first, seeds = bank[0], {bank[i].seed for i in range(len(bank))}
    bank.set_epoch(1)
    other = bank[0]
    bank.set_epoch(0)
    again = bank[0]
    assert len(seeds) == len(bank)
    assert again.seed == first.seed and torch.equal(again.ids, first.ids)
    assert torch.allclose(again.looks[0].pixels, first.looks[0].pixels)
    assert other.ids.shape != first.ids.shape or not torch.equal(other.ids, first.ids)


def test_slots_belong_to_the_tracks_of_the_truth(module, bank) -> None:
    rehearsal = Rehearsal(module.segmenter.decoder, bank[0])
    rehearsal.costs()
    labels = rehearsal.labels[rehearsal.labels > 0]
    assert len(labels) and len(labels) == len(labels.unique()) == len(
        set(labels.tolist()) & set(bank[0].ids.unique().tolist())
    )
    assert len(rehearsal.slots) == len(rehearsal.labels)


def test_a_clip_without_entities_costs_nothing(module, bank) -> None:
    clip = bank[0]
    nothing = SeenClip(clip.looks, torch.zeros_like(clip.ids), torch.zeros_like(clip.ids), {}, 0)
    terms = module.terms(ClipBatch([nothing]))
    assert all(float(value.detach()) == 0 for value in terms.values())
    torch.stack(list(terms.values())).sum().backward()


def test_numbers_of_tracks_may_have_gaps_and_all_may_be_entities() -> None:
    shares, numbers = shared(torch.tensor([[5, 5, 9, 9]] * 4).repeat_interleave(4, 0).repeat_interleave(4, 1))
    assert numbers.tolist() == [5, 9] and shares.sum((1, 2)).tolist() == [8, 8]
    assert shared(torch.zeros(8, 8, dtype=torch.int64))[0].shape == (0, 2, 2)
