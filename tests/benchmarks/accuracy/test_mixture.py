"""The page of the mixture, its base measured and its sets counted right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import mixture
from benchmarks.accuracy.mixture import beside, page

SETS = {"dsb2018_he": ("aji", 0.4, 0.62, 0.6), "crackforest": ("class_iou", 0.2, 0.5, 0.19)}
"""Set -> its headline, and that of the base, of the specialist and of the mixture."""


def state_of(state: str, key: str, value: float) -> dict[str, Any]:
    return {"metrics": {state: {key: value}}, "intervals_95": {state: {key: [value - 0.1, value + 0.1]}}}


def results() -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Specialists, bases and the mixture."""
    specialists, bases, mixed = [], [], {}
    for name, (key, base, alone, together) in SETS.items():
        head = {"set": name, "headline": key, "images": 3}
        specialists.append({**head, "seconds": 100.0, "steps": 9, **state_of("after", key, alone)})
        bases.append({**head, **state_of("before", key, base)})
        mixed[name] = {"images": 3, "steps": 50, **state_of("after", key, together)}
    whole = {"seconds": 200.0, "megabytes": 1.5, "shares": dict.fromkeys(SETS, 0.5), "sets": mixed}
    return specialists, bases, whole


def test_the_page_has_the_base_and_counts_what_is_near_and_what_is_above() -> None:
    specialists, bases, whole = results()
    rows = [beside(*pair) for pair in zip(specialists, bases, strict=True)]
    better = {**whole, "sets": {**whole["sets"], "crackforest": {"steps": 50, **state_of("after", "class_iou", 0.6)}}}
    text = "\n".join(page(rows, {"shared": whole, "domain": better}, "LINE"))
    cells = "0.400 [0.300, 0.500] | 0.620 [0.520, 0.720] | 0.600 [0.500, 0.700] (-0.020) |"
    assert f"| dsb2018_he | aji | 3 | {cells} 0.600" in text and "0.600 [0.500, 0.700] (+0.100) |" in text
    assert "`shared`: within 0.03 of the specialist or above on 1 of 2 sets, not below the\nbase on 1 of 2." in text
    assert "`domain`: within 0.03 of the specialist or above on 2 of 2 sets, not below the\nbase on 2 of 2." in text
    assert "Shares of the crops 0.50, 0.50;\n50 steps, 1.5 MB." in text


def test_a_base_that_was_not_measured_is_not_counted_as_passed_or_failed() -> None:
    specialists, bases, whole = results()
    text = "\n".join(page([specialists[0], beside(specialists[1], bases[1])], {"shared": whole}, "LINE"))
    assert "| dsb2018_he | aji | 3 | – |" in text and "not below the\nbase on 0 of 1." in text


def test_results_of_other_test_images_are_not_put_side_by_side() -> None:
    specialists, bases, _ = results()
    with pytest.raises(SystemExit, match="measured on 3 test images, the base on 2"):
        beside(specialists[0], {**bases[0], "images": 2})


def test_the_base_is_measured_on_the_test_images_of_the_specialists_rows(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture, "CHOSEN", ("dsb2018_he",))
    monkeypatch.setattr(mixture, "mixture", lambda *_: results()[2])
    views = {"metrics": {"aji": 0.7}, "intervals_95": {"aji": [0.6, 0.8]}}
    count = len(mixture.splits_of(mixture.domain_of(mixture.recipe_on(data, "dsb2018_he", ()))).test)
    row = {"set": "dsb2018_he", "seconds_limit": 40.0, "steps": 9, "images": count, "metrics": {}, "views": views}
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "dsb2018_he-shipped-minutes-0.json").write_text(json.dumps(row))
    out, text = tmp_path / "out", tmp_path / "mixture.md"
    words = ["--data", str(data), "--specialists", str(tmp_path / "rows"), "--out", str(out), "--page", str(text)]
    mixture.main(words)
    before = json.loads((out / "dsb2018_he-base.json").read_text())["metrics"]["before"]
    assert 0 <= before["aji"] <= 1 and f"| {before['aji']:.3f}" in text.read_text()
    assert "| 0.700 [0.600, 0.800] |" in text.read_text() and "of 1. Shares" in text.read_text()
