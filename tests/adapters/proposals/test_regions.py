"""Candidates are nested and described by themselves alone; the scorer learns which are entities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from adapters.decoders import Dense
from adapters.losses.targets import DenseTargets, inner_rim
from adapters.proposals.region_choice import Candidates, RegionChoice
from adapters.proposals.regions import FEATURES, Regions, RegionScorer, best_iou, candidates
from adapters.proposals.watershed import FIELDS
from adapters.sharing.folder import compact_state
from adapters.training.fitting import round_to_half
from adapters.training.region_fit import FEWEST, fit_regions, learn, nearest_iou
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
    sets = [frozenset(one.tolist()) for one in regions.pixels]
    for threshold in set(thresholds):
        own = [one for one, t in zip(sets, thresholds, strict=True) if t == threshold]
        assert len(set(own)) == len(own)
        assert all(a <= b or b <= a or not a & b for a in own for b in own)


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


PIXELS = [np.arange(0, 40), np.arange(0, 20), np.arange(20, 40), np.arange(60, 80)]


def chosen(iou: list[float], least: float, min_area_px: int = 12, foreground: float = 0.2) -> EntityMap:
    """Of `PIXELS`, with that predicted IoU; the last one has that mean foreground score, those above .9 stay."""
    features = np.zeros((4, len(FEATURES)), np.float32)
    features[3, FEATURES.index("foreground")] = foreground
    regions, predicted = Regions(features, PIXELS, (10, 10)), np.array(iou, np.float32)
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
    assert set(decoder.proposals.tuned()) == {"least_iou", "min_area_px"}
    decoder.options = replace(decoder.options, sure_foreground=0.9)
    assert (
        set(decoder.proposals.tuned()) == set(Dense.OF_REGIONS) and 1.0 in decoder.proposals.tuned()["sure_foreground"]
    )


def test_each_pixel_has_the_best_iou_of_the_candidates_that_hold_it() -> None:
    pixels = [np.arange(0, 40), np.arange(0, 20), np.arange(20, 40)]
    regions = Regions(np.zeros((3, len(FEATURES)), np.float32), pixels, (10, 10))
    wanted = np.repeat([0.9, 0.5, 0], [20, 20, 60]).reshape(10, 10)
    np.testing.assert_allclose(best_iou(regions, np.array([0.5, 0.9, 0.1], np.float32)), wanted)
    assert not best_iou(Regions(np.zeros((0, len(FEATURES)), np.float32), [], (4, 4)), np.zeros(0, np.float32)).any()


def test_candidates_without_labels_teach_nothing() -> None:
    ids = np.zeros((10, 10), np.int32)
    ids[:2] = 1
    ids[5:] = -1
    iou = nearest_iou([np.arange(20), np.arange(10), np.arange(50, 70)], EntityMap(ids))
    assert np.allclose(iou[:2], [1, 0.5]) and np.isnan(iou[2])


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
    round_to_half(first)
    assert all(value.dtype == torch.float16 for value in compact_state(first).values())


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
                n: torch.from_numpy(np.clip(shown[n], 1e-4, 1 - 1e-4)).float().logit()[None, None] for n in FIELDS
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
