from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adapters.decoders.near import FARTHEST, NEAREST, RADII_PX, Marks, Near, distances, middles


@pytest.fixture(scope="module")
def near() -> Near:
    torch.manual_seed(0)
    return Near(32)


def of_points(*points: tuple[float, float], inside: tuple[int, ...] = (1,)) -> Marks:
    return Marks(torch.tensor([points]), torch.tensor([inside]), None)


BOX = Marks(torch.zeros(1, 0, 2), torch.zeros(1, 0), torch.tensor([[8.0, 4, 40, 28]]))
ALIKE = F.normalize(torch.ones(1, 32, 20, 30), dim=1)  # of an image of 40 x 60 px, all of it the same
RADII = torch.tensor(RADII_PX)[None, :, None, None]


def test_a_point_begins_with_discs_of_three_sizes(near) -> None:
    logits = near.nearness(torch.Size((40, 40)), of_points((40.5, 40.5)), RADII)[0]
    areas = 4 * (logits > 0).sum((1, 2))
    assert areas.tolist() == pytest.approx([3.14 * radius**2 for radius in (16, 8, 16, 40)], rel=0.12)
    assert logits[:, 20, 20].tolist() == [NEAREST] * 4 and logits.min() == FARTHEST


def test_a_box_begins_with_the_ellipse_that_fills_it(near) -> None:
    logits = near.nearness(torch.Size((20, 30)), BOX, RADII)
    y, x = torch.meshgrid(2 * torch.arange(20) + 1.0, 2 * torch.arange(30) + 1.0, indexing="ij")  # edges between pixels
    ellipse = ((x - 24) / 16) ** 2 + ((y - 16) / 12) ** 2 < 1
    assert all(torch.equal(mask, ellipse) for mask in logits[0] > 0)


def test_a_point_outside_takes_away_around_it(near) -> None:
    alone = near.nearness(torch.Size((20, 30)), of_points((20.0, 20)), RADII)
    together = near.nearness(torch.Size((20, 30)), of_points((20.0, 20), (30.0, 20), inside=(1, 0)), RADII)
    lower = together < alone
    assert lower[0, 3, 10, 15] and not lower[0, 3, 10, 5] and together[0, 3, 10, 15] < 0 < alone[0, 3, 10, 15]


def test_what_looks_like_the_points_is_likely_and_what_looks_like_those_outside_is_not(near) -> None:
    features = torch.zeros(1, 32, 20, 30)
    features[:, 0, :, :10], features[:, 1, :, 10:] = 1, 1  # two kinds, side by side
    bar = torch.zeros(1, 4, 1, 1)
    likeness = near.likeness(features, of_points((5.0, 20)), bar)[0, 0]
    assert (likeness[:, :10] > 0).all() and (likeness[:, 10:] < 0).all()
    contrary = near.likeness(features, of_points((5.0, 20), (7.0, 10), inside=(1, 0)), bar)[0, 0]
    assert (contrary[:, :10] <= 0).all()


def test_no_point_is_no_mark() -> None:
    marks = of_points((3.0, 3), (50.0, 50), inside=(1, -1))
    points, weights = marks.looked_at()
    assert weights.tolist() == [[1, 0]] and points.shape == (1, 2, 2)
    away = distances(torch.tensor([[[50.0, 50]]]), marks.points, marks.inside == 1)
    assert away.item() == pytest.approx(47 * 2**0.5)
    assert BOX.looked_at()[1].sum() == pytest.approx(1)
    assert [table.tolist() for table in middles(torch.tensor([[8.0, 4, 40, 28]]))] == [[[23.5, 15.5]], [[16, 12]]]


def test_settings_are_read_from_what_is_seen_and_learn(near) -> None:
    described = torch.randn(1, 68)
    logits = near(ALIKE, of_points((20.0, 20)), described)
    logits.sum().backward()
    final = near.settings[-1]
    assert isinstance(final, torch.nn.Linear) and final.weight.grad is not None and bool(final.weight.grad.any())
    with torch.no_grad():
        final.bias[:4] = 1.0  # all radii wider
        assert (near(ALIKE, of_points((20.0, 20)), described) >= logits - 1e-4).all()
