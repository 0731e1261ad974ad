"""The card of an adapter: results with intervals for the Hub, and licences that may be at odds."""

from __future__ import annotations

import pytest
import yaml

from adapters.options.section import checked
from adapters.sharing.card import base_licence, card_text, licence_of
from adapters.sharing.info import AdapterInfo
from tests.adapters.sharing.conftest import VALUES


def info(**changes: object) -> AdapterInfo:
    return checked(AdapterInfo, {**VALUES, "digest": "0" * 64, **changes})


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---")[1])


def test_results_are_listed_with_their_intervals_as_the_hub_reads_them():
    measured = {"after": {"f1": 0.81234, "aji": None}, "before": {"f1": 0.7}}
    intervals = {"after": {"f1": (0.76, 0.85), "aji": None}}
    text = card_text(info(metrics=measured, intervals=intervals), peft=False)
    (entry,) = front(text)["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"type": "natural", "name": "images", "split": "test"}
    assert result["metrics"] == [{"type": "f1", "name": "f1", "value": 0.8123, "args": {"interval_95": [0.76, 0.85]}}]
    assert "| f1 | 0.812 [0.760, 0.850] | 0.700 |" in text


def test_what_was_not_measured_is_not_listed():
    assert "model-index" not in front(card_text(info(), peft=True))


@pytest.mark.parametrize(
    "data, licence, words",
    [
        ("cc0-1.0", "apache-2.0", "are under cc0-1.0."),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0 may forbid what apache-2.0 allows"),
        ("non-commercial-research-and-education", "other", "may forbid what apache-2.0 allows"),
        (None, "other", "Find out before you hand the adapter on."),
    ],
)
def test_the_stricter_licence_counts_and_a_conflict_is_told(data, licence, words):
    text = card_text(info(data_licence=data), peft=False)
    assert front(text)["license"] == licence
    assert words in text
    assert ("license_name" in front(text)) == (licence == "other")


def test_a_base_that_nobody_knows_has_no_licence_here():
    assert base_licence("facebook/dinov2-small") == base_licence("entity-small") == "apache-2.0"
    assert base_licence("/home/me/base") is None
    assert licence_of(info(data_licence="mit", backbone={**VALUES["backbone"], "name": "mine"})) == "unknown"
