"""What goes to the referee of another environment, and that a disagreement is seen; its part is played by counting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import referee
from domains.entities import EntityMap
from domains.metrics.matching import compare
from domains.metrics.panoptic_quality import PanopticQuality


def counted(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[sum of IoUs above 1/2, TP + FP/2 + FN/2], mask by mask."""
    ids = [np.unique(numbers[numbers > 0]) for numbers in (prediction, truth)]
    ious = [
        ((prediction == i) & (truth == j)).sum() / ((prediction == i) | (truth == j)).sum()
        for i in ids[0]
        for j in ids[1]
    ]
    matched = [iou for iou in ious if iou > 0.5]
    return np.array([sum(matched), sum(map(len, ids)) / 2])


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Three images: entities a little off, one of nothing, one with a prediction alone."""
    truth = np.zeros((20, 24), np.int32)
    truth[2:8, 2:8], truth[10:18, 4:12], truth[3:9, 14:20] = 1, 2, 3
    moved, empty = np.roll(truth, 1, 1), np.zeros_like(truth)
    moved[moved == 3] = 0
    arrays = {}
    for i, (prediction, true) in enumerate([(moved, truth), (empty, empty), (truth, empty)]):
        comparison = compare(EntityMap.from_ids(prediction), EntityMap.from_ids(true))
        arrays[f"prediction_{i}"] = comparison.predicted.astype(np.uint16)
        arrays[f"truth_{i}"] = comparison.true.astype(np.uint16)
        arrays[f"sums_{i}"] = np.array(PanopticQuality().measure(comparison))
    np.savez_compressed(tmp_path / "maps.npz", **arrays)  # type: ignore[arg-type]
    return tmp_path / "maps.npz"


def test_a_referee_that_counts_the_same_finds_nothing(
    maps: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(referee, "referee_sums", counted)
    assert referee.judge(maps) == 0
    with np.load(maps) as file:
        pooled = np.sum([counted(*pair) for pair in referee.pairs_of(dict(file))], axis=0)
    assert f"3 images, 0 apart; PQ {pooled[0] / pooled[1]:.6f}, panoptica's" in capsys.readouterr().out


def test_an_image_on_which_it_counts_otherwise_is_told(
    maps: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(referee, "referee_sums", lambda *pair: counted(*pair) + [0, pair[0].any() & ~pair[1].any()])
    assert referee.judge(maps) == 1
    assert "image 2: IoUs of matches sum to 0.000000, TP + FP/2 + FN/2 is 1.5" in capsys.readouterr().out


def test_nothing_of_ours_is_imported_to_judge() -> None:
    source = Path(referee.__file__).read_text(encoding="utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not any(name in line for line in top for name in ("adapters", "domains", "recipes", "torch"))
