"""Teach a labeller from entities whose classes are known, in seconds of one processor and without a gradient's step
through the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from adapters.labelling.labeller import Labeller, Space
from adapters.labelling.pooled import Blocks
from adapters.options.labels import MOST_EXAMPLES
from domains.errors import InputError

WIDTH = 64
"""Directions of the space: a file stays small. Other widths were not measured."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Of squared weights, of which the one is taken that labels a fifth of the groups best, taught by the others."""
FOLDS = 5
KEPT = 0.95
"""Share of the validation entities of known classes that stay known."""
SMALLEST = 1e-4
"""Deviation of a number that says nothing."""


@dataclass(frozen=True)
class Examples:
    """Entities with their classes. features: (n, sum(Blocks)) float32; classes: (n,) indices into `vocabulary`; groups:
    (n,) of which image or series each is.
    """

    features: np.ndarray
    classes: np.ndarray
    groups: np.ndarray
    vocabulary: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def none(cls, numbers: int) -> Examples:
        """No entity, of which `numbers` would be said."""
        return cls(np.zeros((0, numbers), np.float32), np.zeros(0, np.int32), np.zeros(0, object), ())

    def at(self, rows: np.ndarray) -> Examples:
        """Some of them, by index or as (n,) bool."""
        return replace(self, features=self.features[rows], classes=self.classes[rows], groups=self.groups[rows])

    def named(self, vocabulary: Sequence[str]) -> Examples:
        """Those whose class has its name in another vocabulary, by the numbers of that."""
        number = {name: i for i, name in enumerate(vocabulary)}
        table = np.array([number.get(name, -1) for name in self.vocabulary], np.int32)
        classes = table[self.classes] if len(table) else self.classes
        examples = replace(self, classes=classes, vocabulary=tuple(vocabulary))
        return examples.at(examples.classes >= 0)


def taught(kind: str, examples: Examples, blocks: Blocks, seed: int = 0) -> Labeller:
    """The labeller of a kind (`linear`, `prototypes`, `knn`) that examples teach, not yet calibrated.

    Raises InputError for fewer than two classes, and for a class without an example.
    """
    counts = np.bincount(examples.classes, minlength=len(examples.vocabulary))
    if len(counts) < 2 or not counts.all():
        named = dict(zip(examples.vocabulary, counts.tolist(), strict=True))
        raise InputError(f"wanted entities of two classes or more, each with one at least; got {named}")
    space = space_of(examples.features, blocks)
    at = space.at(examples.features)
    kept = some_of_each(examples.classes, seed)
    width, classes = at.shape[1], len(examples.vocabulary)
    labeller = Labeller(
        *(kind, examples.vocabulary, space, at[kept], examples.classes[kept]),
        weights=np.zeros((width, classes), np.float32),
        bias=np.zeros(classes, np.float32),
    )
    if kind == "linear":
        weights, bias = logistic(at, examples.classes, classes, penalty_for(at, examples, seed))
        labeller = replace(labeller, weights=weights, bias=bias)
    return rounded(labeller)


def rounded(labeller: Labeller) -> Labeller:
    """The labeller as it is stored, in half precision."""
    calibration = labeller.temperature, labeller.farthest
    return Labeller.of_arrays(labeller.kind, labeller.vocabulary, labeller.arrays(), *calibration)


def space_of(features: np.ndarray, blocks: Blocks) -> Space:
    """The principal directions of features (n, D), of which every block has the same variance in all."""
    mean, deviation = features.mean(0), features.std(0) + SMALLEST
    sizes = np.repeat(blocks, blocks).astype(np.float32)  # (D,) of the block that each number is of
    scale = (1 / (deviation * np.sqrt(sizes))).astype(np.float32)
    axes = np.linalg.svd((features - mean) * scale, full_matrices=False)[2][:WIDTH].T
    return Space(mean.astype(np.float32), scale, axes.astype(np.float32))


def some_of_each(classes: np.ndarray, seed: int) -> np.ndarray:
    """Indices of at most `MOST_EXAMPLES` of each class, drawn by a seed, ascending."""
    order = np.random.default_rng(seed).permutation(len(classes))
    groups = [order[classes[order] == k][:MOST_EXAMPLES] for k in np.unique(classes)]
    return np.sort(np.concatenate(groups))


def logistic(at: np.ndarray, classes: np.ndarray, count: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """(weights (d, K), bias (K,)) of a multinomial logistic regression, every class of the same weight in all."""
    size = at.std() * np.sqrt(at.shape[1]) + SMALLEST  # of the space, which the penalty must not depend on
    x, width = (at / size * np.sqrt(WIDTH)).astype(np.float64), at.shape[1]
    share = 1 / np.bincount(classes, minlength=count).clip(1)[classes]
    share, rows = share / share.sum(), np.arange(len(classes))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = flat[: width * count].reshape(width, count), flat[width * count :]
        logs = log_softmax(x @ weights + bias, axis=1)
        error = np.exp(logs)
        error[rows, classes] -= 1
        error *= share[:, None]
        value = -(share * logs[rows, classes]).sum() + penalty / 2 * (weights**2).sum()
        return value, np.r_[(x.T @ error + penalty * weights).ravel(), error.sum(0)]

    flat = minimize(loss, np.zeros(width * count + count), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    weights = flat[: width * count].reshape(width, count) / size * np.sqrt(WIDTH)
    return weights.astype(np.float32), flat[width * count :].astype(np.float32)


def penalty_for(at: np.ndarray, examples: Examples, seed: int) -> float:
    """The penalty by which examples label those of other groups best, every class of the same weight."""
    names, group = np.unique(examples.groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[group] % FOLDS
    scores = []
    for penalty in PENALTIES:
        labels = np.full(len(examples), -1)
        for held in range(FOLDS):
            in_train, in_test = fold != held, fold == held
            if in_train.any() and in_test.any():
                weights, bias = logistic(at[in_train], examples.classes[in_train], len(examples.vocabulary), penalty)
                labels[in_test] = (at[in_test] @ weights + bias).argmax(1)
        scores.append(mean_class_accuracy(labels, examples.classes))
    return PENALTIES[int(np.argmax(scores))]


def mean_class_accuracy(labels: np.ndarray, classes: np.ndarray) -> float:
    """The share of each class that is labelled as it, its mean over the classes that there are; NaN of none."""
    shares = [(labels[classes == k] == k).mean() for k in np.unique(classes)]
    return float(np.mean(shares)) if shares else float("nan")


def extended(labeller: Labeller, examples: Examples, seed: int = 0) -> Labeller:
    """The labeller with more examples, of its own classes or of new ones, in the space that it has; what it kept of the
    former stays. A `linear` one is solved again on all of these. What is unknown moves away until every new example
    would be known by the others.
    """
    vocabulary = (*labeller.vocabulary, *(name for name in examples.vocabulary if name not in labeller.vocabulary))
    added = examples.named(vocabulary)
    at = np.concatenate([labeller.examples, labeller.space.at(added.features)])
    classes = np.concatenate([labeller.classes, added.classes])
    kept = some_of_each(classes, seed)
    at, classes, new = at[kept], classes[kept].astype(np.int32), np.flatnonzero(kept >= len(labeller.examples))
    weights, bias = np.zeros((at.shape[1], len(vocabulary)), np.float32), np.zeros(len(vocabulary), np.float32)
    if labeller.kind == "linear":
        weights, bias = logistic(at, classes, len(vocabulary), PENALTIES[1])
    reach = [replace(labeller, examples=np.delete(at, row, 0)).distance(at[row : row + 1])[0] for row in new]
    farthest = float(max([labeller.farthest, *reach]))
    changes: dict[str, Any] = {
        "vocabulary": vocabulary,
        "examples": at,
        "classes": classes,
        "weights": weights,
        "bias": bias,
    }
    return rounded(replace(labeller, farthest=farthest, **changes))


def calibrated_on_itself(kind: str, examples: Examples, blocks: Blocks, seed: int = 0) -> Labeller:
    """The labeller of all examples, calibrated as one that half of them taught is on the others; where a class has but
    one example, not calibrated: nothing is unknown to it.
    """
    labeller = taught(kind, examples, blocks, seed)
    order = np.random.default_rng(seed).permutation(len(examples))
    rank = np.zeros(len(examples), int)  # of each among those of its class, by chance
    for k in range(len(examples.vocabulary)):
        members = order[examples.classes[order] == k]
        if len(members) < 2:
            return labeller
        rank[members] = np.arange(len(members))
    half = calibrated(taught(kind, examples.at(rank % 2 == 0), blocks, seed), examples.at(rank % 2 == 1))
    return replace(labeller, temperature=half.temperature, farthest=half.farthest)


def calibrated(labeller: Labeller, examples: Examples, kept: float = KEPT) -> Labeller:
    """The labeller with a temperature by which its probabilities are right of examples that it did not learn from, and
    the distance within which a share of them lies; as it is where there are none of its classes.
    """
    named = examples.named(labeller.vocabulary)
    if not len(named):
        return labeller
    at, rows = labeller.space.at(named.features), np.arange(len(named))
    logits = labeller.logits(at)

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, named.classes].mean()

    solved: Any = minimize_scalar(loss, bounds=(-6, 6), method="bounded")
    temperature = float(np.exp(solved.x))
    return replace(labeller, temperature=temperature, farthest=float(np.quantile(labeller.distance(at), kept)))
