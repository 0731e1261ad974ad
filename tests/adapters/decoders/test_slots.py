from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.decoders.slots import NEVER, Look, Slots, shapes, shares_of


@pytest.fixture
def look() -> Look:
    torch.manual_seed(0)
    return Look(torch.randn(8, 8, 8), torch.randn(35, 16, 16))


def square(y: int, x: int, side: int = 16) -> torch.Tensor:
    ids = torch.zeros(64, 64, dtype=torch.int64)
    ids[y : y + side, x : x + side] = 1
    return shares_of(ids, 1)


def born(look: Look, shares: torch.Tensor, frame: float = 0) -> Slots:
    ids = torch.arange(1, len(shares) + 1)
    return Slots.empty(16, 3, look).joined(ids, frame, look.pooled(shares), shares)


def test_shares_are_the_means_of_masks_over_cells_at_any_scale() -> None:
    ids = torch.randint(0, 4, (32, 48))
    masks = torch.stack([(ids == i).float() for i in (1, 2, 3)])
    assert torch.allclose(shares_of(ids, 3), torch.nn.functional.avg_pool2d(masks[:, None], 4)[:, 0])
    large = ids.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.allclose(shares_of(large, 3, (32, 48)), shares_of(ids, 3))


def test_an_entity_of_one_pixel_of_a_large_frame_has_a_share() -> None:
    ids = torch.zeros(512, 512, dtype=torch.int64)
    ids[7, 100] = 1
    shares = shares_of(ids, 1, (64, 64))
    assert shares.shape == (1, 16, 16) and 0 < float(shares.sum()) < 0.01


def test_shapes_say_where_a_mask_is_and_how_large() -> None:
    y, x, tall, wide, together, area, border = shapes(square(16, 32))[0].tolist()
    assert (y, x, area, border) == pytest.approx((24, 40, 256, 0))
    assert tall == pytest.approx(wide) and tall == pytest.approx(16**2 / 12, rel=0.15) and together == pytest.approx(0)
    assert shapes(square(0, 0))[0, 6] > 0


def test_a_slot_is_expected_where_it_would_have_moved_to(look) -> None:
    slots = born(look, square(16, 8))
    for frame in (1, 2):
        shares = square(16, 8 + 4 * frame)
        slots = slots.observed(torch.tensor([0]), frame, look.pooled(shares), shares)
    assert slots.velocity()[0].tolist() == pytest.approx([0, 4])
    assert slots.expected(3)[0].tolist() == pytest.approx([24, 28], abs=0.3)
    moved = slots.moved(3)[0]
    assert float((moved - square(16, 20)[0]).abs().max()) < 0.2
    assert slots.seen[0].tolist() == [0, 1, 2]


def test_what_is_partly_hidden_stays_as_large_as_it_was_and_moves_on(look) -> None:
    slots = born(look, square(16, 8))
    shares = square(16, 12)
    slots = slots.observed(torch.tensor([0]), 1, look.pooled(shares), shares)
    half = square(16, 16)
    half[..., 6:] = 0  # its front is behind something
    slots = slots.observed(torch.tensor([0]), 2, look.pooled(half), half)
    assert slots.partly.tolist() == [1]
    assert slots.velocity()[0].tolist() == pytest.approx([0, 4], abs=0.2)
    assert float(slots.placed[0, -1, 5]) == pytest.approx(256)


def test_what_goes_behind_something_is_expected_at_the_speed_at_which_it_was_seen_whole(look) -> None:
    """The middle of what shows goes half as fast; by the median of single steps the mean error was 12 px."""
    rng, errors = np.random.default_rng(0), []
    for _ in range(16):
        slots = Slots.empty(16, 7, look)
        for frame in range(8):  # 4 px a frame, drawn raggedly, until it is behind a wall
            ids = torch.zeros(64, 64, dtype=torch.int64)
            (y, x), (tall, wide) = rng.integers(-1, 2, 2) + [16, 4 * frame], rng.integers(14, 19, 2)
            ids[y : y + tall, max(x, 0) : x + wide] = 1
            ids[:, 36:] = 0
            shares = shares_of(ids, 1)
            slots = (
                slots.observed(torch.tensor([0]), frame, look.pooled(shares), shares)
                if len(slots)
                else slots.joined(torch.tensor([1]), frame, look.pooled(shares), shares)
            )
        errors.append(abs(float(slots.expected(17)[0, 1]) - (4 * 17 + 8)))
    assert np.mean(errors) < 8


def test_the_bytes_of_a_slot_do_not_grow_with_frames(look) -> None:
    slots = born(look, square(16, 8))
    sizes = set()
    for frame in range(1, 60):
        shares = square(16, 8 + frame % 5)
        slots = slots.observed(torch.tensor([0]), frame, look.pooled(shares), shares)
        sizes.add(slots.bytes)
    assert len(sizes) == 1 and (slots.seen > NEVER).all()
