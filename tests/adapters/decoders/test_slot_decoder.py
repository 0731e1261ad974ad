from __future__ import annotations

import pytest
import torch

from adapters.decoders.slot_decoder import MemoryDecoder, Proposed
from adapters.decoders.slots import Look, Slots, shares_of
from adapters.options.memory_decoder import MemoryOptions
from domains.errors import InputError

OPTIONS = MemoryOptions(width=32, layers=2, heads=2, frames=3)


@pytest.fixture
def decoder() -> MemoryDecoder:
    torch.manual_seed(0)
    decoder = MemoryDecoder(OPTIONS, 8, 35)
    with torch.no_grad():
        for weights in decoder.parameters():  # as if it had learnt: nothing is at its beginning
            weights += 0.05 * torch.randn_like(weights)
    return decoder.eval()


def scene(shift: int = 0) -> tuple[Look, torch.Tensor]:
    """Three squares that look differently, and their map."""
    ids = torch.zeros(96, 96, dtype=torch.int64)
    for number, (y, x) in enumerate(((16, 16), (16, 56), (56, 32)), 1):
        ids[y + shift : y + shift + 16, x : x + 16] = number
    looks = torch.randn(4, 43, generator=torch.Generator().manual_seed(1))
    fine = looks[ids[::4, ::4]].permute(2, 0, 1)
    pixels = torch.cat([torch.nn.functional.normalize(fine[:32], dim=0), fine[32:35]])
    return Look(fine[35:, ::2, ::2], pixels), ids


def remembered(order: list[int]) -> tuple[Slots, Look, Proposed]:
    """Slots born in one frame in some order, the next frame, and what is proposed there."""
    look, ids = scene()
    shares = shares_of(ids, 3)[order]
    slots = Slots.empty(32, 3, look).joined(torch.tensor(order) + 1, 0, look.pooled(shares), shares)
    after, moved = scene(4)
    return slots, after, Proposed.of(after, shares_of(moved, 3))


@torch.no_grad()
def test_slots_in_another_order_say_the_same_in_that_order(decoder) -> None:
    slots, look, proposed = remembered([0, 1, 2])
    answer = decoder(look, slots, 1, proposed)
    order = [2, 0, 1]
    again = decoder(look, slots.of(torch.tensor(order)), 1, proposed)
    for name in ("tokens", "masks", "exists", "daughters"):
        assert torch.allclose(getattr(again, name), getattr(answer, name)[order], atol=1e-4), name
    assert torch.allclose(again.pairs, answer.pairs[[*order, 3]], atol=1e-4)


@torch.no_grad()
def test_a_clip_that_lies_elsewhere_comes_to_the_same(decoder) -> None:
    """Nothing is absolute; the rim of the picture alone is, so all stays away from it."""
    (look, ids), (after, moved) = scene(), scene(4)

    def rolled(look: Look) -> Look:
        return Look(look.cells.roll((1, 1), (1, 2)), look.pixels.roll((2, 2), (1, 2)))

    answers = []
    for change, turn in ((lambda x: x, 0), (rolled, 8)):
        shares = shares_of(ids.roll((turn, turn), (0, 1)), 3)
        slots = Slots.empty(32, 3, look).joined(torch.arange(3), 0, change(look).pooled(shares), shares)
        proposed = Proposed.of(change(after), shares_of(moved.roll((turn, turn), (0, 1)), 3))
        answers.append(decoder(change(after), slots, 1, proposed))
    assert torch.allclose(answers[0].pairs, answers[1].pairs, atol=2e-2)
    assert torch.allclose(
        answers[0].masks.roll((2, 2), (1, 2))[:, 8:-8, 8:-8], answers[1].masks[:, 8:-8, 8:-8], atol=2e-2
    )


@torch.no_grad()
def test_before_it_has_learnt_it_names_what_moves_and_looks_like_before() -> None:
    torch.manual_seed(0)
    slots, look, proposed = remembered([2, 0, 1])
    answer = MemoryDecoder(OPTIONS, 8, 35)(look, slots, 1, proposed)
    assert answer.pairs[:-1].argmax(1).tolist() == [2, 0, 1]
    assert answer.pairs[:, :-1].argmax(0).tolist() == [1, 2, 0]
    overlap = ((answer.masks > 0).flatten(1).float() @ proposed.shares.flatten(1).mT).argmax(1)
    assert overlap.tolist() == [2, 0, 1]


@torch.no_grad()
def test_frames_without_slots_or_without_proposals_are_answered(decoder) -> None:
    slots, look, proposed = remembered([0, 1, 2])
    nothing = Proposed.of(look, torch.zeros(0, 24, 24))
    assert decoder(look, slots, 1, nothing).pairs.shape == (4, 1)
    answer = decoder(look, Slots.empty(32, 3, look), 1, proposed)
    assert answer.pairs.shape == (1, 4) and answer.masks.shape == (0, 24, 24)


def test_heads_that_do_not_share_the_width_are_refused() -> None:
    with pytest.raises(InputError, match=r"memory\.heads is 5; wanted it to divide memory\.width, which is 96"):
        MemoryOptions(heads=5)
