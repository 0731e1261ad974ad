"""Labellers of every kind on points whose classes are plain: they label, doubt, keep, and come back from their file."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import (
    Examples,
    calibrated,
    calibrated_on_itself,
    extended,
    logistic,
    mean_class_accuracy,
    taught,
)
from adapters.labelling.pooled import Blocks
from domains.entities import UNKNOWN
from domains.errors import InputError

BLOCKS = Blocks(6, 2, 2)
CENTRES = np.random.default_rng(7).normal(0, 4, (4, sum(BLOCKS)))
KINDS = ("linear", "prototypes", "knn")


def drawn(classes: list[int], seed: int = 0, spread: float = 1.0) -> Examples:
    """Points about the centres of classes, ten a group; the vocabulary names every class up to the last."""
    rng = np.random.default_rng(seed)
    numbers = np.array(classes, np.int32)
    features = CENTRES[numbers] + rng.normal(0, spread, (len(numbers), sum(BLOCKS)))
    names = tuple("abcd"[: numbers.max() + 1])
    return Examples(features.astype(np.float32), numbers, rng.permutation(len(numbers)) // 10, names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_labels_what_it_has_not_seen_and_calls_a_fourth_class_unknown(kind: str) -> None:
    labeller = calibrated(taught(kind, drawn([0, 1, 2] * 40), BLOCKS), drawn([0, 1, 2] * 30, seed=1))
    labels, probabilities = labeller.label(drawn([0, 1, 2] * 30, seed=2).features)
    truth = np.array([0, 1, 2] * 30)
    known = labels < 3
    assert (labels[known] == truth[known]).all() and 0.85 < known.mean() <= 1
    assert probabilities.dtype == np.float32 and (probabilities > 1 / 3).all() and (probabilities <= 1).all()
    strange, _ = labeller.label(drawn([3] * 50, seed=3).features)
    assert labeller.names == ("a", "b", "c", UNKNOWN) and (strange == 3).mean() > 0.9
    assert set(labeller.likeliest(drawn([3] * 50, seed=3).features)) <= {0, 1, 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_labeller_comes_back_from_its_numbers_as_it_was(kind: str) -> None:
    labeller = calibrated(taught(kind, drawn([0, 1] * 30), BLOCKS), drawn([0, 1] * 20, seed=1))
    arrays = labeller.arrays()
    again = Labeller.of_arrays(kind, labeller.vocabulary, arrays, labeller.temperature, labeller.farthest)
    for first, second in zip(labeller.label(CENTRES), again.label(CENTRES), strict=True):
        assert np.array_equal(first, second)
    assert again.digest() == labeller.digest()
    assert {values.dtype for name, values in arrays.items() if name != "classes"} == {np.dtype(np.float16)}
    other = Labeller.of_arrays(kind, ("a", "z"), arrays, labeller.temperature, labeller.farthest)
    assert other.digest() != labeller.digest()


def test_probabilities_are_right_as_often_as_they_say() -> None:
    spread = 9.0  # classes overlap
    labeller = taught("linear", drawn([0, 1, 2] * 100, spread=spread), BLOCKS)
    labeller = calibrated(labeller, drawn([0, 1, 2] * 300, seed=1, spread=spread), kept=1.0)
    asked = drawn([0, 1, 2] * 300, seed=2, spread=spread)
    _, probabilities = labeller.label(asked.features)
    right = labeller.likeliest(asked.features) == asked.classes
    assert 0.5 < right.mean() < 0.95 and abs(probabilities.mean() - right.mean()) < 0.05


def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    rng = np.random.default_rng(0)
    at = np.concatenate([rng.normal(-0.5, 1, (1000, 1)), rng.normal(0.5, 1, (20, 1))])
    weights, bias = logistic(at, np.repeat([0, 1], [1000, 20]), 2, 1e-4)
    middle = (bias[0] - bias[1]) / (weights[0, 1] - weights[0, 0])
    assert abs(middle) < 0.4  # by their numbers it would lie near 4


def test_a_class_may_be_added_and_the_others_stay() -> None:
    for kind in KINDS:
        labeller = calibrated(taught(kind, drawn([0, 1] * 40), BLOCKS), drawn([0, 1] * 30, seed=1))
        few = Examples(drawn([2] * 5, seed=4).features, np.zeros(5, np.int32), np.arange(5), ("c",))
        more = extended(labeller, few)
        assert more.vocabulary == ("a", "b", "c") and more.space is not labeller.space
        asked = drawn([0, 1, 2] * 20, seed=5)
        assert mean_class_accuracy(more.likeliest(asked.features), asked.classes) > 0.9
        assert (more.label(drawn([2] * 40, seed=6).features)[0] == 2).mean() > 0.5  # and not unknown any more


def test_a_handful_is_calibrated_on_its_halves_and_a_single_example_on_nothing() -> None:
    few = calibrated_on_itself("prototypes", drawn([0, 1, 2] * 6), BLOCKS)
    assert np.isfinite(few.farthest) and few.temperature != 1
    single = calibrated_on_itself("prototypes", drawn([0, 0, 0, 1]), BLOCKS)
    assert np.isinf(single.farthest) and (single.likeliest(drawn([0, 1] * 9, seed=2).features) == [0, 1] * 9).all()


def test_one_class_is_refused_and_names_lead_to_numbers() -> None:
    with pytest.raises(InputError, match=r"wanted entities of two classes or more.*\{'a': 4\}"):
        taught("linear", drawn([0] * 4), BLOCKS)
    renamed = drawn([0, 1, 2]).named(("c", "a"))
    assert renamed.classes.tolist() == [1, 0] and renamed.vocabulary == ("c", "a") and len(renamed.features) == 2
    assert np.isnan(mean_class_accuracy(np.zeros(0), np.zeros(0)))
    assert mean_class_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])) == 0.5
