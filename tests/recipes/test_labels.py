"""What a fit's data teach: two classes or more, each seldom one left out, measured on what it did not learn from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.labelling.learning import Examples
from adapters.labelling.pooled import Blocks
from adapters.options.labels import LabelOptions, may_be_class
from adapters.options.section import checked
from adapters.sharing.labels_file import describe_labeller
from domains.errors import InputError
from recipes.labels import learnt, several_classes

BLOCKS = Blocks(3, 2, 2)
CENTRES = np.random.default_rng(3).normal(0, 5, (3, sum(BLOCKS)))


def drawn(names: list[str], seed: int) -> Examples:
    """Points about the centres of "a", "b" and "c"."""
    numbers = np.array(["abc".index(name) for name in names], np.int32)
    features = CENTRES[numbers] + np.random.default_rng(seed).normal(0, 1, (len(names), sum(BLOCKS)))
    return Examples(features.astype(np.float32), numbers, np.arange(len(names)), ("a", "b", "c"))


@pytest.mark.parametrize("name", ["=1+1", "@sum", "+", "-x", "a\x85b", "a\u202eb", "<b>", "R&D", "", "x" * 101])
def test_names_of_classes_are_no_formulas_and_turn_no_text_round(name: str) -> None:
    assert not may_be_class(name)
    with pytest.raises(InputError, match="wanted a"):
        checked(LabelOptions, {"map": {"disc": name}}, "labels")


def test_names_of_classes_are_of_any_script() -> None:
    assert all(map(may_be_class, ["CD3+", "type-2", "Zelle ä", "細胞", "0", "a = b"]))


def test_a_class_of_one_entity_is_left_out_and_named() -> None:
    splits = drawn(["a"] * 9 + ["b"] * 9 + ["c"], 0), drawn(["a", "b"] * 9, 1), drawn(["a", "b", "b", "c"], 2)
    labels = learnt(LabelOptions(), *splits, BLOCKS, seed=0)
    assert labels is not None and labels.labeller.vocabulary == ("a", "b") and labels.rare == ("c",)
    assert (labels.accuracy, labels.tested) == (1.0, 3)
    assert "2 classes (a, b), 1.000 of each right on 3 test entities" in labels.line()
    assert labels.line().endswith("left out, as they occur less than 2 times in training: c")


def test_one_class_teaches_nothing_and_a_test_split_without_classes_says_nothing() -> None:
    nothing = Examples.none(sum(BLOCKS))
    assert learnt(LabelOptions(), drawn(["a"] * 9, 0), nothing, nothing, BLOCKS, seed=0) is None
    assert learnt(LabelOptions(), nothing, nothing, nothing, BLOCKS, seed=0) is None
    labels = learnt(LabelOptions(kind="knn"), drawn(["a", "b"] * 9, 0), nothing, nothing, BLOCKS, seed=0)
    assert labels is not None and labels.tested == 0 and labels.line() == "labels: 2 classes (a, b)"
    assert np.isnan(labels.accuracy) and np.isinf(labels.labeller.farthest)


def test_names_that_no_class_may_have_and_too_many_classes_do_not_end_a_fit(capsys, monkeypatch) -> None:
    nothing = Examples.none(sum(BLOCKS))
    train = replace(drawn(["a", "b", "c"] * 9, 0), vocabulary=("R&D", "b", "c"))
    labels = learnt(LabelOptions(), train, nothing, nothing, BLOCKS, seed=0)
    assert labels is not None and labels.labeller.vocabulary == ("b", "c") and labels.unfit == ("R&D",)
    assert "none of = + - @: 'R&D'" in labels.line() and describe_labeller(labels.labeller).vocabulary == ("b", "c")
    train = replace(train, vocabulary=("R&D", "x < 5", "c"))
    assert learnt(LabelOptions(), train, nothing, nothing, BLOCKS, seed=0) is None
    assert capsys.readouterr().out.startswith("labels: none; 'c' is the only class, and two are wanted; left out")
    monkeypatch.setattr("recipes.labels.MOST_CLASSES", 2)
    labels = learnt(LabelOptions(), drawn(["a", "b", "c"] * 9 + ["c", "a"], 0), nothing, nothing, BLOCKS, seed=0)
    assert labels is not None and labels.labeller.vocabulary == ("a", "c") and labels.rare == ("b",)
    assert "or are more than the 2 most frequent: b" in labels.line()
    assert LabelOptions(map={"R&D": "research"}).map == {"R&D": "research"}


def test_a_class_of_val_or_test_alone_and_a_map_to_one_class_are_told(capsys) -> None:
    nothing, train = Examples.none(sum(BLOCKS)), drawn(["a", "b"] * 9, 0).named(["a", "b"])
    labels = learnt(LabelOptions(), train, nothing, drawn(["c"], 1), BLOCKS, seed=0)
    assert labels is not None and labels.rare == ("c",)
    alone = replace(drawn(["a"] * 9, 0).named(["a"]), vocabulary=("round",))
    assert learnt(LabelOptions(map={"disc": "round"}), alone, nothing, nothing, BLOCKS, seed=0) is None
    assert capsys.readouterr().out == "labels: none; 'round' is the only class, and two are wanted\n"
    assert learnt(LabelOptions(map={}), nothing, nothing, nothing, BLOCKS, seed=0) is None
    assert capsys.readouterr().out == "labels: none; no class is left, and two are wanted\n"
    assert learnt(LabelOptions(), alone, nothing, nothing, BLOCKS, seed=0) is None  # of data that have no other
    assert capsys.readouterr().out == ""


def test_a_line_of_classes_is_short_and_no_command_to_a_terminal() -> None:
    nothing = Examples.none(sum(BLOCKS))
    train = replace(drawn(["a", "b", "c"] * 9, 0), vocabulary=("Cell", "cell", "x" * 150))
    labels = learnt(LabelOptions(), train, nothing, nothing, BLOCKS, seed=0)
    assert labels is not None and f": '{'x' * 40}...'; `adapters teach`" in labels.line()
    assert "'Cell' and 'cell' differ in spelling alone and are two classes: labels.map" in labels.line()
    turned = learnt(LabelOptions(), replace(train, vocabulary=("a\u202e", "b", "c")), nothing, nothing, BLOCKS, seed=0)
    assert turned is not None and "a\\u202e" in turned.line() and "\u202e" not in turned.line()


def test_classes_are_those_of_all_images_where_each_has_a_single_one() -> None:
    def named(*names: str) -> Any:
        truth = SimpleNamespace(labels=np.zeros(1, np.int32) if names else None, vocabulary=names)
        return SimpleNamespace(truths=(truth,))

    assert several_classes([named("a"), named(), named("b")])
    assert not several_classes([named("a"), named(), named("a")])


def test_a_name_that_no_class_may_have_is_told_as_such() -> None:
    with pytest.raises(
        InputError, match="labels.map.disc is '<b>'; wanted a name of 1 to 100 signs without <, > and &"
    ):
        checked(LabelOptions, {"map": {"disc": "<b>"}}, LabelOptions.SOURCE)
    assert checked(LabelOptions, {"map": {3: "scratch"}}, LabelOptions.SOURCE).map == {"3": "scratch"}
