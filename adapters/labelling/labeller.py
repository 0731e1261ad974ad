"""A labeller: from what is pooled over entities to classes, their probabilities, and whether it is none of them.

Three kinds share one space, the principal directions of the training entities, in which features, colours and shape
weigh alike:

    linear        logistic regression, every class of the same weight
    prototypes    the mean of a class's examples; the nearer, the likelier (Snell et al., https://arxiv.org/abs/1703.05175)
    knn           every example is a prototype

None of the classes is what lies far from its nearest examples, in every kind: a sure class says nothing of that, as a
logistic regression is surest where it has seen nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b

import numpy as np
from scipy.special import logsumexp, softmax

from domains.entities import UNKNOWN

NEAREST = 5
"""Examples whose mean distance says how strange an entity is."""


@dataclass(frozen=True)
class Space:
    """Where entities lie by D numbers: (d,) coordinates. mean, scale: (D,); axes: (D, d)."""

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray

    def at(self, features: np.ndarray) -> np.ndarray:
        """(n, d) float32 of features (n, D)."""
        return ((features - self.mean) * self.scale) @ self.axes


@dataclass(frozen=True)
class Labeller:
    """vocabulary: K names. examples: (M, d) in the space, with `classes` (M,). weights: (d, K) and bias (K,), of kind
    `linear`. temperature: divides logits. farthest: the distance from which on an entity is unknown.
    """

    kind: str
    vocabulary: tuple[str, ...]
    space: Space
    examples: np.ndarray
    classes: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    temperature: float = 1.0
    farthest: float = np.inf

    @property
    def names(self) -> tuple[str, ...]:
        """The vocabulary and, last, `UNKNOWN`."""
        return (*self.vocabulary, UNKNOWN)

    def label(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(labels, probabilities) of features (n, D): indices into `names` (n,) int32, and (n,) float32 in [0, 1] of
        the likeliest class, also where the entity is unknown.
        """
        shares, strange = self.shares(features)
        labels = np.where(strange, len(self.vocabulary), shares.argmax(1))
        return labels.astype(np.int32), shares.max(1).astype(np.float32)

    def shares(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(probabilities, strange) of features (n, D): (n, K) of each class, which sum to 1, and (n,) bool whether an
        entity is none of them.
        """
        at = self.space.at(features)
        return softmax(self.logits(at) / self.temperature, axis=1), self.distance(at) > self.farthest

    def likeliest(self, features: np.ndarray) -> np.ndarray:
        """(n,) int32 the likeliest class of features (n, D), indices into `vocabulary`, of what is unknown too."""
        return self.logits(self.space.at(features)).argmax(1).astype(np.int32)

    def logits(self, at: np.ndarray) -> np.ndarray:
        """(n, K) at places (n, d), before the temperature."""
        if self.kind == "linear":
            return at @ self.weights + self.bias
        if self.kind == "prototypes":
            return -squared(at, self.prototypes)
        near = -squared(at, self.examples)
        groups = [near[:, self.classes == k] for k in range(len(self.vocabulary))]
        return np.stack([logsumexp(group, axis=1) - np.log(group.shape[1]) for group in groups], 1)

    @property
    def prototypes(self) -> np.ndarray:
        """(K, d): the means of the classes' examples."""
        return np.stack([self.examples[self.classes == k].mean(0) for k in range(len(self.vocabulary))])

    def distance(self, at: np.ndarray) -> np.ndarray:
        """(n,) how strange places (n, d) are: the mean distance to the nearest examples."""
        nearest = np.sort(squared(at, self.examples), axis=1)[:, :NEAREST]
        return np.sqrt(nearest).mean(1)

    def arrays(self) -> dict[str, np.ndarray]:
        """All numbers by name, as they are stored."""
        space = {field.name: getattr(self.space, field.name) for field in fields(Space)}
        return {
            **{name: values.astype(np.float16) for name, values in space.items()},
            "examples": self.examples.astype(np.float16),
            "classes": self.classes.astype(np.int32),
            "weights": self.weights.astype(np.float16),
            "bias": self.bias.astype(np.float16),
        }

    def digest(self) -> str:
        """Of all that decides its labels."""
        digest = blake2b(repr((self.kind, self.vocabulary, self.temperature, self.farthest)).encode(), digest_size=16)
        for name, values in sorted(self.arrays().items()):
            digest.update(name.encode() + values.tobytes())
        return digest.hexdigest()

    @classmethod
    def of_arrays(
        cls,
        kind: str,
        vocabulary: tuple[str, ...],
        arrays: Mapping[str, np.ndarray],
        temperature: float,
        farthest: float,
    ) -> Labeller:
        """The labeller that `arrays` wrote down."""
        single = {name: values.astype(np.float32) for name, values in arrays.items() if name != "classes"}
        space = Space(**{field.name: single.pop(field.name) for field in fields(Space)})
        return cls(
            kind, vocabulary, space, classes=arrays["classes"], temperature=temperature, farthest=farthest, **single
        )


def squared(places: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n, m) squared distances between places (n, d) and centres (m, d)."""
    product = places @ centres.T
    return np.maximum((places**2).sum(1)[:, None] - 2 * product + (centres**2).sum(1), 0)
