"""Metrics of clips before referees of other hands, before their definitions mask by mask, and worked out by hand."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from domains.errors import InputError
from domains.metrics.assignment import heaviest
from domains.metrics.clip_metric_set import ClipMetricSet, TrackMaps
from domains.metrics.clip_table import CLIP_METRICS, build_clip_metrics
from tests.domains.metrics.clip_referees import NUMBERS, SEEDS
from tests.domains.metrics.drawn_clips import DrawnClip, drawn_clip


def measured(*clips: DrawnClip, metrics=tuple(CLIP_METRICS)) -> dict[str, float]:
    values = ClipMetricSet(metrics)
    for i, clip in enumerate(clips):
        prediction = TrackMaps(iter(clip.predicted), clip.predicted_parents)
        values.update(prediction, TrackMaps(iter(clip.true), clip.true_parents), f"clip {i}")
    return values.compute()


def line(*frames: list[int]) -> np.ndarray:
    """A clip (F, 1, W) of frames one pixel high."""
    return np.array(frames, np.int32)[:, None]


def of_lines(predicted: np.ndarray, true: np.ndarray, *metrics: str, **parents) -> dict[str, float]:
    named = {f"{side}_parents": parents.get(side, {}) for side in ("predicted", "true")}
    return measured(DrawnClip(predicted, true, **named), metrics=metrics)


def test_they_equal_trackeval_and_py_ctcmetrics_on_drawn_clips() -> None:
    """Every clip alone, and all together as TrackEval pools them."""
    referees = json.loads(NUMBERS.read_text(encoding="utf-8"))
    for seed in SEEDS:
        expected = referees[str(seed)]
        assert measured(drawn_clip(seed), metrics=expected) == pytest.approx(expected, abs=1e-9), seed
    pooled = referees["together"]
    assert measured(*map(drawn_clip, SEEDS), metrics=pooled) == pytest.approx(pooled, abs=1e-9)


def test_veq_equals_its_definition_tube_by_tube() -> None:
    """Sums are pooled over the windows of all clips, then the lengths are averaged."""
    clips, qualities = [drawn_clip(seed) for seed in range(6)], []
    for frames in (1, 2, 4, 6, 8):
        total = tubes = 0.0
        for clip in clips:
            for start in range(len(clip.true) - frames + 1):
                predicted, true = clip.predicted[start : start + frames], clip.true[start : start + frames]
                names = [np.unique(maps[maps > 0]) for maps in (predicted, true)]
                ious = [((predicted == p) & (true == t)).sum() / ((predicted == p) | (true == t)).sum()
                        for p in names[0] for t in names[1]]  # fmt: skip
                total += sum(iou for iou in ious if iou > 0.5)
                tubes += (len(names[0]) + len(names[1])) / 2
        qualities.append(total / tubes)
    assert measured(*clips, metrics=["veq"])["veq"] == pytest.approx(np.mean(qualities), abs=1e-12)


def test_stq_equals_its_definition_track_by_track() -> None:
    clips = [drawn_clip(seed) for seed in range(6)]
    association, tracks = 0.0, 0
    for clip in clips:
        for t in np.unique(clip.true[clip.true > 0]):
            true = clip.true == t
            for p in np.unique(clip.predicted[clip.predicted > 0]):
                predicted = clip.predicted == p
                shared = (true & predicted).sum()
                association += shared * shared / (true | predicted).sum() / true.sum()
            tracks += 1
    shared = sum(((clip.true > 0) & (clip.predicted > 0)).sum() for clip in clips)
    either = sum(((clip.true > 0) | (clip.predicted > 0)).sum() for clip in clips)
    expected = (association / tracks * shared / either) ** 0.5
    assert measured(*clips, metrics=["stq"])["stq"] == pytest.approx(expected, abs=1e-12)


def test_a_perfect_clip_scores_one_on_every_metric_whatever_its_ids() -> None:
    clips = [drawn_clip(seed) for seed in range(4)]
    perfect = [
        DrawnClip(np.where(c.true > 0, 50 - c.true, 0), c.true, {50 - a: 50 - b for a, b in c.true_parents.items()},
                  c.true_parents) for c in clips
    ]  # fmt: skip
    values = measured(*perfect)
    assert values.pop("id_switches") == 0 and np.isnan(values.pop("ids_kept_10"))
    assert values == pytest.approx(dict.fromkeys(values, 1.0))


def test_a_track_cut_in_two_is_worked_out_by_hand() -> None:
    """Four frames of one entity, its id switched in the middle; every mask is right."""
    true, predicted = line(*[[1, 1, 0]] * 4), line([5, 5, 0], [5, 5, 0], [7, 7, 0], [7, 7, 0])
    values = of_lines(predicted, true, "veq_1", "veq", "stq", "idf1", "hota", "det_a", "ass_a", "mota", "id_switches")
    assert values["veq_1"] == values["det_a"] == 1
    halves = 2 / (2 + (1 + 2) / 2)  # windows of two: right, two tubes of IoU 1/2 and so no match, right
    quarters = 0.0  # the window of four: no tube has more than half
    assert values["veq"] == pytest.approx((1 + halves + quarters) / 3)
    assert values["stq"] == pytest.approx((2 * 4 * 0.5 / 8) ** 0.5)  # each half: TPA 4, IoU 1/2, size 8
    assert values["idf1"] == pytest.approx(2 * 2 / 8)
    assert values["ass_a"] == pytest.approx(0.5) and values["hota"] == pytest.approx(0.5**0.5)
    assert (values["mota"], values["id_switches"]) == (pytest.approx(3 / 4), 1)


def test_an_id_is_kept_where_it_returns_after_the_gap() -> None:
    there, away = [1, 1, 2, 2], [0, 0, 2, 2]
    true = line(there, *[away] * 10, there, there, there)
    kept = np.where(true == 1, 8, np.where(true == 2, 9, 0))
    late = kept.copy()
    late[11] = 0  # found again a frame later, and known
    wrong = kept.copy()
    wrong[12:] = np.where(kept[12:] == 8, 30, kept[12:])  # known for a frame, then new
    lost = np.where(np.arange(14)[:, None, None] > 10, np.where(kept == 8, 30, kept), kept)
    never = np.where((np.arange(14)[:, None, None] > 10) & (kept == 8), 0, kept)
    keys = "ids_kept", "ids_kept_10"
    assert [[*of_lines(tracks, true, *keys).values()] for tracks in (kept, late, wrong, lost, never)] == [
        [1, 1], [1, 1], [0, 0], [0, 0], [0, 0]
    ]  # fmt: skip
    assert np.isnan(of_lines(kept[2:], true[2:], "ids_kept")["ids_kept"])  # a first visit is no return
    assert np.isnan(of_lines(kept[1:], true[1:], "ids_kept_10")["ids_kept_10"])


def test_the_cell_tracking_challenge_charges_each_correction_its_cost() -> None:
    """A mother of two frames with two daughters of two: 6 vertices, 5 edges (1 + 2 + 2), so AOGM0 = 60 + 7.5."""
    true = line([1, 1, 1, 1], [1, 1, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3])
    truth = {2: 1, 3: 1}

    def tra(predicted: np.ndarray, parents: dict[int, int]) -> tuple[float, float]:
        clip = DrawnClip(predicted, true, parents, truth)
        values = measured(clip, metrics=["ctc_det", "ctc_tra"])
        return (1 - values["ctc_det"]) * 60, (1 - values["ctc_tra"]) * 67.5

    assert tra(true, truth) == pytest.approx((0, 0))
    assert tra(true, {}) == pytest.approx((0, 2 * 1.5))  # both edges to the daughters are missed
    stayed = np.where(true == 2, 1, true)  # a daughter goes on as the mother: an edge of the other kind
    assert tra(stayed, {3: 1}) == pytest.approx((0, 1))
    assert tra(np.where(np.arange(4)[:, None, None] == 3, 0, true), truth) == pytest.approx((20, 20 + 2 * 1.5))
    merged = np.where(true == 3, 2, true)  # one over both: two splits, and its edges are of no single cell
    assert tra(merged, {2: 1}) == pytest.approx((2 * 5, 2 * 5 + 4 * 1.5))
    more = line([1, 1, 1, 0], [1, 1, 1, 9], [2, 2, 3, 3], [2, 2, 3, 3])  # a false one is deleted
    assert tra(more, truth) == pytest.approx((1, 1))


def test_an_object_has_the_track_of_best_overlap_and_empty_frames_count() -> None:
    true = line([1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0])
    predicted = line([3, 3, 4, 4, 0, 5], [3, 3, 3, 3, 5, 0], [0, 0, 0, 0, 5, 5])
    assert of_lines(predicted, true, "j")["j"] == pytest.approx((0.5 + 1 + 1) / 3)  # 3; others are not charged for
    assert of_lines(np.zeros_like(true), true, "j")["j"] == pytest.approx(1 / 3)


def test_what_is_unlabelled_is_neither_right_nor_wrong() -> None:
    true = line([1, 1, 0, -1, -1], [-1] * 5, [1, 1, 0, -1, -1])
    predicted = line([4, 4, 6, 6, 6], [7, 7, 7, 7, 7], [4, 4, 0, 5, 5])  # two thirds of 6 are unlabelled, frame 1 is
    values = of_lines(predicted, true, "veq_1", "idf1", "hota", "stq", "mota", "ctc_det")
    assert values == pytest.approx(dict.fromkeys(values, 1.0))


def test_clips_are_resampled_and_a_stratum_is_told_apart() -> None:
    values = ClipMetricSet(["veq", "idf1"])
    for seed in range(5):
        clip = drawn_clip(seed)
        values.update(TrackMaps(clip.predicted), TrackMaps(clip.true), f"clip {seed}", "odd" if seed % 2 else "even")
    low, high = values.interval()["idf1"]
    assert low < values.compute()["idf1"] < high
    alone = [measured(drawn_clip(seed), metrics=["idf1"])["idf1"] for seed in range(5)]
    assert values.of_each_image("idf1") == pytest.approx(alone)
    odd = measured(drawn_clip(1), drawn_clip(3), metrics=["idf1"])["idf1"]
    assert values.by_stratum()["odd"]["idf1"] == pytest.approx(odd)


def test_memory_does_not_grow_with_the_pictures_of_a_long_clip() -> None:
    clip, side = drawn_clip(3), 40

    def peak(frames: int) -> int:
        turns = [clip.true[i % 12] for i in range(frames)]
        tracemalloc.start()
        ClipMetricSet().update(TrackMaps(ids.copy() for ids in turns), TrackMaps(ids.copy() for ids in turns), "a")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    growth = (peak(36) - peak(12)) / 24
    assert growth < side * side * 4  # a frame's tables, of this small a picture, are less than one of its maps


def test_the_heaviest_assignment_is_that_of_the_whole_table() -> None:
    rng = np.random.default_rng(0)
    for density in (0.02, 0.3):  # many small groups of pairs, and one large
        table = rng.random((80, 90)) * (rng.random((80, 90)) < density)
        rows, columns = np.nonzero(table)
        chosen = heaviest(rows, columns, table[rows, columns])
        assert len({*rows[chosen]}) == len({*columns[chosen]}) == len(chosen)
        assert table[rows, columns][chosen].sum() == pytest.approx(table[linear_sum_assignment(-table)].sum())


def test_clips_of_two_lengths_or_sizes_and_unknown_metrics_are_refused() -> None:
    true = line([1, 1], [1, 1])
    with pytest.raises(InputError, match="predicted clip of 1 frames cannot be held against a true one of 2"):
        of_lines(true[:1], true, "veq")
    with pytest.raises(InputError, match=r"shape \(1, 3\) .* \(1, 2\)"):
        of_lines(line([1, 1, 1], [1, 1, 1]), true, "veq")
    with pytest.raises(InputError, match="metric of clips is 'vqe'.*did you mean 'veq'"):
        build_clip_metrics(["vqe"])
