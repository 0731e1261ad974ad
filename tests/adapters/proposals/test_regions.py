"""Candidates are nested and described by themselves alone; the scorer learns which are entities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import ndimage

from adapters.decoders import Dense
from adapters.losses.targets import DenseTargets, inner_rim
from adapters.proposals.basins import basins, merge_shallow
from adapters.proposals.pixel_sets import PixelSets
from adapters.proposals.region_choice import Candidates, RegionChoice
from adapters.proposals.regions import (
    FEATURES,
    SMALLEST_PX,
    THRESHOLDS,
    Regions,
    RegionScorer,
    best_iou,
    candidates,
)  # fmt: skip
from adapters.proposals.watershed import DECODED, HEIGHTS, LEVELS, core_field
from adapters.sharing.weights import compact
from adapters.training.region_fit import FEWEST, fit_regions, learn, nearest_entity
from adapters.training.rounding import round_to_half
from domains.entities import EntityMap, EntitySample, Place

RNG = np.random.default_rng(0)


def twins(count: int, shape: tuple[int, int] = (96, 96)) -> np.ndarray:
    """Ids of touching pairs and of single discs, of many radii."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    ids = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        cy, cx, r = RNG.integers(12, shape[0] - 12), RNG.integers(12, shape[1] - 12), RNG.integers(5, 10)
        ids[((y - cy) ** 2 + (x - cx) ** 2 < r * r) & (ids == 0)] = number
    return EntityMap.from_ids(ids).ids


def blurred(ids: np.ndarray, seam: float) -> dict[str, np.ndarray]:
    """Fields of a network that sees a seam between touching entities by `seam` alone."""
    targets = DenseTargets.of(torch.from_numpy(ids)[None])
    distance = targets.boundary_distance[0].numpy()
    noise = RNG.normal(0, 0.03, ids.shape)
    return {
        "foreground": np.clip(0.1 + 0.8 * (ids > 0) + noise, 0, 1).astype(np.float32),
        "boundary_distance": np.clip(1 - seam + seam * distance + noise, 0, 1).astype(np.float32) * (ids > 0),
        "centre_distance": targets.centre_distance[0].numpy(),
        "boundary": (seam * inner_rim(ids)).astype(np.float32),
    }


def test_candidates_are_distinct_and_nested_at_each_threshold() -> None:
    regions = candidates(blurred(twins(14), 0.4), 1.0)
    assert regions.features.shape == (len(regions.pixels), len(FEATURES)) and len(regions.pixels) > 14
    assert np.isfinite(regions.features).all()
    thresholds = regions.features[:, FEATURES.index("threshold")]
    sets = [frozenset(pixels.tolist()) for pixels in regions.pixels]
    for threshold in set(thresholds):
        nested = [pixels for pixels, t in zip(sets, thresholds, strict=True) if t == threshold]
        assert len(set(nested)) == len(nested)
        assert all(a <= b or b <= a or not a & b for a in nested for b in nested)


def test_features_are_those_of_the_pixels() -> None:
    fields = blurred(twins(14), 0.4)
    regions = candidates(fields, 1.0)
    assert len(regions.pixels) > 14
    for row, inside in zip(regions.features, regions.pixels, strict=True):
        named = dict(zip(FEATURES, row, strict=True))
        assert np.isclose(named["log_area"], np.log(len(inside)), atol=1e-4)
        assert np.isclose(named["foreground"], fields["foreground"].ravel()[inside].mean(), atol=1e-4)
        y, x = np.divmod(inside, 96)
        spread = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12
        assert np.isclose(named["ellipse_by_area"], 4 * np.pi * np.sqrt(np.linalg.det(spread)) / len(inside), rtol=1e-2)


def test_a_candidate_does_not_depend_on_where_the_image_begins() -> None:
    fields = blurred(np.pad(twins(6, (64, 64)), 16), 0.5)
    moved = {name: np.roll(field, (5, 9), (0, 1)) for name, field in fields.items()}
    here, there = (np.sort(candidates(one, 1.0).features, 0) for one in (fields, moved))
    np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-3)


def joined(peaks: dict[int, int], passes: dict[tuple[int, int], int], height: int) -> list[list[int]]:
    """Leaves that are one at a height, by a plain union of sets: the highest pass first, then by number."""
    union = {leaf: leaf for leaf in peaks}
    for (a, b), across in sorted(passes.items(), key=lambda item: (-item[1], item[0])):
        a, b = union[a], union[b]
        if a != b and min(peaks[a], peaks[b]) - across <= height:
            low, high = (a, b) if peaks[a] < peaks[b] else (b, a)
            union = {leaf: high if top == low else top for leaf, top in union.items()}
    tops = sorted({top for top in union.values() if peaks[top] > height})
    return [[leaf for leaf in peaks if union[leaf] == top] for top in tops]


def plain_candidates(fields: dict[str, np.ndarray]) -> Iterator[tuple[list[int], dict[str, float]]]:
    """Pixels and some features of each candidate, pixel by pixel and candidate by candidate."""
    core = core_field(fields, 0)
    level = np.round(core * LEVELS).astype(np.int32)
    for threshold in THRESHOLDS:
        mask = fields["foreground"] > threshold
        leaves, tops = merge_shallow(*basins(level, mask), level, round(HEIGHTS[0] * LEVELS))
        peaks = dict(enumerate(tops.tolist()[1:], 1))
        passes: dict[tuple[int, int], int] = {}
        for y, x, down, right in product(*map(range, mask.shape), (0, 1), (-1, 0, 1)):
            if (down, right) > (0, 0) and y + down < mask.shape[0] and 0 <= x + right < mask.shape[1]:
                a, b = sorted((int(leaves[y, x]), int(leaves[y + down, x + right])))
                if a and a != b:
                    height = min(level[y, x], level[y + down, x + right])
                    passes[a, b] = max(passes.get((a, b), 0), int(height))
        before = set()
        for height in HEIGHTS:
            for members in joined(peaks, passes, round(height * LEVELS)):
                pixels = [pixel for leaf in members for pixel in np.flatnonzero(leaves == leaf).tolist()]
                if tuple(pixels) not in before and len(pixels) >= SMALLEST_PX:
                    inside = np.isin(leaves, members)
                    yield (
                        pixels,
                        plain_features(fields, core, leaves, inside) | {"threshold": threshold, "height": height},
                    )
                before.add(tuple(pixels))


def plain_features(
    fields: dict[str, np.ndarray], core: np.ndarray, leaves: np.ndarray, inside: np.ndarray
) -> dict[str, float]:
    """Those of one candidate, by its mask (H, W)."""
    sides = [
        (at, beside)
        for at in np.argwhere(inside).tolist()
        for beside in ([at[0] + 1, at[1]], [at[0] - 1, at[1]], [at[0], at[1] + 1], [at[0], at[1] - 1])
        if all(0 <= i < n for i, n in zip(beside, inside.shape, strict=True)) and not inside[tuple(beside)]
    ]
    y, x = np.nonzero(inside)
    rim = [tuple(at) for at, _ in sides]
    values = {name: fields[name][inside].astype(np.float64) for name in ("foreground", "boundary_distance", "boundary")}
    spread = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12
    shorter, longer = np.linalg.eigvalsh(spread)
    return {
        "log_area": np.log(len(y)),
        "foreground": values["foreground"].mean(),
        "foreground_deviation": values["foreground"].std(),
        "boundary_distance": values["boundary_distance"].mean(),
        "boundary": values["boundary"].mean(),
        "rim_boundary": np.mean([fields["boundary"][at] for at in rim]) if rim else 0,
        "rim_core": np.mean([core[at] for at in rim]) if rim else 0,
        "outer_foreground": np.mean([fields["foreground"][tuple(beside)] for _, beside in sides]) if rim else 0,
        "peak": core[inside].round(3).max(),
        "rim_squared_by_area": len(rim) ** 2 / len(y),
        "ellipse_by_area": 4 * np.pi * np.sqrt(np.linalg.det(spread)) / len(y),
        "axis_ratio": np.sqrt(shorter / longer),
        "touching": np.mean([leaves[tuple(beside)] > 0 for _, beside in sides]) if rim else 0,
    }


@pytest.mark.parametrize("steps", [4, 1000])  # of few levels many saddles and peaks are equal
@pytest.mark.parametrize("sparse", [0.0, 0.5])
def test_candidates_are_those_of_a_plain_search(steps: int, sparse: float) -> None:
    rng = np.random.default_rng(steps)
    fields = {
        name: (np.round(np.clip(ndimage.zoom(rng.normal(0.5, 0.3, (7, 8)), 3) - sparse, 0, 1) * steps) / steps).astype(
            np.float32
        )
        for name in DECODED
    }
    regions, plain = candidates(fields, 0), list(plain_candidates(fields))
    assert [pixels.tolist() for pixels in regions.pixels] == [pixels for pixels, _ in plain] and len(plain) > 2
    for row, (_, features) in zip(regions.features, plain, strict=True):
        assert dict(zip(FEATURES, row, strict=True)) == pytest.approx(features, abs=2e-3, rel=1e-4)


@pytest.mark.parametrize(("foreground", "core", "images"), [(0.0, 0.5, 0), (1.0, 0.5, 3), (1.0, 0.0, 0)])
def test_an_image_is_one_candidate_a_threshold_or_none(foreground: float, core: float, images: int) -> None:
    fields = {
        name: np.full((9, 11), value, np.float32) for name, value in zip(DECODED, (foreground, core, 1), strict=True)
    }
    fields["boundary_distance"][4, 5] += min(core, 0.1)  # the peak
    assert [len(pixels) for pixels in candidates(fields, 0).pixels] == [99] * images


PIXELS = [np.arange(0, 40), np.arange(0, 20), np.arange(20, 40), np.arange(60, 80)]


def chosen(iou: list[float], least: float, min_area_px: int = 12, foreground: float = 0.2) -> EntityMap:
    """Of `PIXELS`, with that predicted IoU; the last one has that mean foreground score, those above .9 stay."""
    features = np.zeros((4, len(FEATURES)), np.float32)
    features[3, FEATURES.index("foreground")] = foreground
    regions, predicted = Regions(features, PixelSets.of(PIXELS), (10, 10)), np.array(iou, np.float32)
    choice = RegionChoice(Dense(least_iou=least, sure_foreground=0.9, min_area_px=min_area_px), RegionScorer())
    return choice.cut(Candidates(regions, predicted, np.zeros((10, 10), np.float16)))


def test_the_better_of_overlapping_candidates_is_taken_and_the_poor_left_out() -> None:
    parts = chosen([0.5, 0.9, 0.8, 0.3], 0.4)
    assert parts.count == 2 and np.allclose(sorted(parts.scores), [0.8, 0.9])  # type: ignore[arg-type]
    whole = chosen([0.95, 0.9, 0.8, 0.3], 0.4)
    assert whole.count == 1 and (whole.ids > 0).sum() == 40
    assert chosen([0.95, 0.9, 0.8, 0.3], 0.2, 30).count == 1
    assert chosen([np.nan] * 4, 0.2).count == 0


def test_a_piece_that_is_surely_foreground_stays_whatever_its_iou() -> None:
    assert not chosen([0.95, 0.9, 0.8, 0.3], 0.4, foreground=0.85).ids.ravel()[60:80].any()
    piece = chosen([0.95, 0.9, 0.8, 0.3], 0.4, foreground=0.95)
    assert piece.ids.ravel()[60:80].all() and np.allclose(sorted(piece.scores), [0.3, 0.95])  # type: ignore[arg-type]


def test_calibration_tries_what_matters() -> None:
    decoder = Dense(width=8, regions=True).build(8, 1, 8)
    assert set(decoder.proposals.tuned()) == set(Dense.OF_WATERSHED)  # nothing has been learnt yet
    decoder.scorer.fitted.fill_(1)
    assert set(decoder.proposals.tuned()) == {"least_iou", "min_area_px", "granularity"}
    decoder.options = replace(decoder.options, sure_foreground=0.9)
    assert (
        set(decoder.proposals.tuned()) == set(Dense.OF_REGIONS) and 1.0 in decoder.proposals.tuned()["sure_foreground"]
    )


def test_each_pixel_has_the_best_iou_of_the_candidates_that_hold_it() -> None:
    pixels = [np.arange(0, 40), np.arange(0, 20), np.arange(20, 40)]
    regions = Regions(np.zeros((3, len(FEATURES)), np.float32), PixelSets.of(pixels), (10, 10))
    wanted = np.repeat([0.9, 0.5, 0], [20, 20, 60]).reshape(10, 10)
    np.testing.assert_allclose(best_iou(regions, np.array([0.5, 0.9, 0.1], np.float32)), wanted)
    nothing = Regions(np.zeros((0, len(FEATURES)), np.float32), PixelSets.of([]), (4, 4))
    assert not best_iou(nothing, np.zeros(0, np.float32)).any()


def test_candidates_without_labels_teach_nothing() -> None:
    ids = np.zeros((10, 10), np.int32)
    ids[:2] = 1
    ids[5:] = -1
    iou, weights = nearest_entity([np.arange(20), np.arange(10), np.arange(50, 70)], EntityMap(ids))
    assert np.allclose(iou[:2], [1, 0.5]) and np.isnan(iou[2]) and (weights == 1).all()


def test_a_candidate_weighs_as_the_entity_that_it_is_nearest_to() -> None:
    ids = np.zeros((10, 10), np.int32)
    ids[:2], ids[2:4] = 1, 2
    truth = EntityMap(ids, scores=np.array([0.25, 0.5], np.float32))
    candidates = [np.arange(20), np.arange(15, 40), np.arange(60, 80)]  # the first, mostly the second, ground
    iou, weights = nearest_entity(candidates, truth)
    assert np.allclose(iou, [1, 0.8, 0]) and np.allclose(weights, [0.25, 0.5, 1])


def test_the_scorer_believes_candidates_of_weight_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.training.region_fit.STEPS", 60)
    x, targets = torch.zeros(600, len(FEATURES)), (torch.arange(600) % 2).float()  # no feature tells: a mean is learnt
    weightings = {"none": None, "alike": torch.full((600,), 0.5), "unlike": 0.1 + 0.9 * targets}
    means = {}
    for name, weights in weightings.items():
        scorer = RegionScorer()
        learn(scorer, x, targets, 3, weights=weights)
        means[name] = float(scorer.iou(x[:1].numpy())[0])
    assert means["none"] == means["alike"] == pytest.approx(0.5, abs=0.1)
    assert means["unlike"] == pytest.approx(1 / 1.1, abs=0.1)


def test_the_scorer_learns_the_iou_and_the_same_from_the_same_seed() -> None:
    x = torch.rand(600, len(FEATURES), generator=torch.Generator().manual_seed(0))
    wanted = (x[:, 0] > 0.5).float() * 0.9
    first, second = RegionScorer(), RegionScorer()
    state = torch.get_rng_state()
    learn(first, x, wanted, 3)
    learn(second, x, wanted, 3)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not any(one.requires_grad for one in first.parameters())
    assert np.abs(first.iou(x.numpy()) - wanted.numpy()).mean() < 0.1
    second.layers[-1].bias.data.fill_(float("nan"))  # an adapter comes from anybody
    assert not second.iou(x.numpy()).any()
    round_to_half(first.parameters())
    assert all(value.dtype == torch.float16 for value in compact(first.state_dict()).values())


class Shown(torch.nn.Module):
    """Stands for a segmenter whose network gives the fields painted for an image, by its first pixel."""

    def __init__(self, options: Dense, fields: list[dict[str, np.ndarray]]) -> None:
        super().__init__()
        self.decoder = options.build(8, 1, 8)
        self.fields = fields

    def outputs(self, images, views):
        from adapters.network import Output

        for image in images:
            shown = self.fields[int(image[0, 0, 0])]
            logits = {
                n: torch.from_numpy(np.clip(shown[n], 1e-4, 1 - 1e-4)).float().logit()[None, None] for n in DECODED
            }
            yield Output(logits, 0, image.shape[:2])


def test_until_it_is_fitted_a_scorer_is_always_the_same() -> None:
    first, second = RegionScorer().state_dict(), RegionScorer().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)  # by which a stopped prediction is known


def test_regions_beat_the_watershed_where_seams_differ_from_image_to_image() -> None:
    from adapters.inference.segment import InputContract
    from domains.metrics import MetricSet, build_metrics

    maps = [twins(16) for _ in range(16)]
    fields = [blurred(ids, (0.15, 0.9)[i % 2]) for i, ids in enumerate(maps)]
    samples = [
        EntitySample(np.full((96, 96, 3), i, np.uint8), (EntityMap(ids),), Place(f"{i}")) for i, ids in enumerate(maps)
    ]
    network = Shown(Dense(width=8, regions=True), fields)
    contract = InputContract(tile_px=96, overlap_px=8)
    assert fit_regions(network, samples[:12], contract, seed=0) > 200  # type: ignore[arg-type]

    def f1() -> float:
        found = MetricSet(build_metrics(["f1"]))
        for sample, one in zip(samples[12:], network.outputs([s.image for s in samples[12:]], None), strict=True):
            found.update(network.decoder.proposals.entities(*one), sample.truths, sample.place.scene)
        return found.compute()["f1"]

    by_regions = f1()
    one = next(network.outputs([samples[12].image], None))
    prepared = network.decoder.proposals.prepared(*one)
    heat = network.decoder.proposals.cut(prepared).pixel_scores
    assert heat.max() == np.float16((fields[12]["foreground"] + best_iou(prepared.regions, prepared.iou)).max() / 2)
    assert heat[maps[12] > 0].mean() > heat[maps[12] == 0].mean() + 0.5
    network.decoder.adopt(replace(network.decoder.options, regions=False))
    assert network.decoder.scorer is None and by_regions > f1() + 0.02 and by_regions > 0.8


def test_too_few_candidates_leave_the_watershed() -> None:
    from adapters.inference.segment import InputContract

    empty = [EntitySample(np.zeros((96, 96, 3), np.uint8), (EntityMap(np.zeros((96, 96), np.int32)),), Place("0"))]
    network = Shown(Dense(width=8, regions=True), [blurred(np.zeros((96, 96), np.int32), 0.5)])
    contract, told = InputContract(tile_px=96, overlap_px=8), []
    assert fit_regions(network, empty, contract, given_up=told.append) == 0  # type: ignore[arg-type]
    assert len(told) == 1 and told[0] < FEWEST
    assert network.decoder.scorer is None and not network.decoder.options.regions


def test_candidates_of_entities_that_count_nothing_are_too_few() -> None:
    from adapters.inference.segment import InputContract

    ids = twins(16)
    nothing = EntityMap(ids, scores=np.zeros(int(ids.max()), np.float32))
    samples = [EntitySample(np.full((96, 96, 3), i, np.uint8), (nothing,), Place(f"{i}")) for i in range(12)]
    network = Shown(Dense(width=8, regions=True), [blurred(ids, 0.9)] * 12)
    told: list[int] = []
    contract = InputContract(tile_px=96, overlap_px=8)
    assert fit_regions(cast(Any, network), samples, contract, given_up=told.append) == 0
    assert told and told[0] < FEWEST and network.decoder.scorer is None
