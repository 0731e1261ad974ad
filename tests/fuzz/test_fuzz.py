"""A sample of the damaged inputs of `tests.fuzz.run` and of `tests.fuzz.adapters`; and failures are seen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.fuzz.mutations import changed_bytes, changed_json, changed_words
from tests.fuzz.run import main
from tests.fuzz.targets import BUILDERS, KINDS, Corpus


def test_damaged_inputs_are_read_or_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("tests.fuzz.run.BATCH", 300)  # one process: each spends seconds on its imports and whole inputs
    assert main(count=300, seed=1_000_000) == []


def test_adapters_from_strangers_are_equivalent_or_refused_in_one_line():
    assert main(count=60, seed=1_000_000, module="tests.fuzz.adapters") == []


def test_every_layout_and_every_kind_of_picture_is_damaged():
    from domains.formats import all_layouts

    assert set(BUILDERS) == set(all_layouts()) and len(KINDS) >= 60


def test_a_reader_that_breaks_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.targets.open_folder", lambda *_, **__: [][0])
    corpus = Corpus(tmp_path)
    with pytest.raises(IndexError):
        for seed in range(20):
            corpus.trial(seed)


def test_mutations_change_what_they_are_given_and_are_the_same_for_a_seed():
    content = json.dumps({"images": [{"id": 1, "size": [3, 4]}], "annotations": []}).encode()
    for change in (changed_json, changed_words, changed_bytes):
        results = [change(content, np.random.default_rng(seed)) for seed in range(40)]
        assert sum(result != content for result in results) > 20
        assert results == [change(content, np.random.default_rng(seed)) for seed in range(40)]
