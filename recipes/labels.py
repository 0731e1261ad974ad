"""The classes of a fit's data, taught to a labeller when the entities have been fitted; and more of them later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.inference.labelled import examples_of, unheard
from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import Examples, calibrated, mean_class_accuracy, taught
from adapters.labelling.pooled import Blocks
from adapters.options.labels import MOST_CLASSES, NAME_RULE, LabelOptions, may_be_class
from domains.entities import UNKNOWN, Samples
from domains.errors import InputError, printable
from recipes.plan import Prepared

FEWEST = 2
"""Entities of a class, by which it is learnt; of a single one nothing can be told."""
SHOWN_SIGNS = 40


@dataclass(frozen=True)
class Taught:
    """A labeller, and of the test split's entities by their true outlines: the mean share of each class that it labels
    right, and how many there are; the share of them that it calls unknown.
    """

    labeller: Labeller
    accuracy: float
    tested: int
    unknown: float
    rare: tuple[str, ...] = ()
    """Classes that were left out, as they occur too seldom."""
    unfit: tuple[str, ...] = ()
    """Classes that were left out, as no class of an adapter may have such a name."""

    def line(self) -> str:
        """What was learnt, for people."""
        names, line = self.labeller.vocabulary, f"labels: {len(self.labeller.vocabulary)} classes"
        line = f"{line} ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"
        if self.tested:
            line += (
                f", {self.accuracy:.3f} of each right on {self.tested} test entities by their true outlines, "
                f"{self.unknown:.1%} called unknown"
            )
        line += rare_words(self.rare, len(names) == MOST_CLASSES) + unfit_words(self.unfit)
        if alike := spelt_alike(names):
            line += (
                f"; {alike[0]!r} and {alike[1]!r} differ in spelling alone and are two classes: "
                f"labels.map makes them one ({{{alike[0]}: {alike[1]}, ...}} with all that are to be learnt)"
            )
        return printable(line)


def rare_words(rare: Sequence[str], full: bool = False) -> str:
    """Which classes are left out as they are rare; "" without any. full: others are as many as an adapter knows."""
    if not rare:
        return ""
    limit = f", or are more than the {MOST_CLASSES} most frequent" if full else ""
    listed = ", ".join(map(short, rare[:20])) + (", ..." if len(rare) > 20 else "")
    return f"; left out, as they occur less than {FEWEST} times in training{limit}: {listed}"


def spelt_alike(names: Sequence[str]) -> tuple[str, str] | None:
    """Two classes whose names differ in capitals or signs alone; None without."""
    plain: dict[str, str] = {}
    for name in names:
        former = plain.setdefault(spelt_plainly(name), name)
        if former != name:
            return former, name
    return None


def spelt_plainly(name: str) -> str:
    """A name without what spellings differ in; of one that has nothing else, as it is."""
    return "".join(sign for sign in name.casefold() if sign.isalnum()) or name


def unfit_words(unfit: Sequence[str]) -> str:
    """What to do with classes whose names no class of an adapter may have; "" without any."""
    if not unfit:
        return ""
    listed = ", ".join(repr(short(name)) for name in unfit[:6]) + (", ..." if len(unfit) > 6 else "")
    return (
        f"; left out, as names of classes are of {NAME_RULE}: {listed}; `adapters teach` adds them by other names, "
        "with --class NAME=OTHER"
    )


def short(name: str) -> str:
    """A name as a line shows it, however long it is."""
    return name if len(name) <= SHOWN_SIGNS else f"{name[:SHOWN_SIGNS]}..."


def labels_of(prepared: Prepared, on_image: Callable[[int, int], None] = unheard) -> Taught | None:
    """What a fit's data teach, by the recipe's `labels`; None where they have fewer than two classes."""
    options, plan = prepared.recipe.labels, prepared.plan
    if options.kind == "none":
        return None
    if not several_classes(plan.train):
        return None
    splits = (plan.train, plan.val or [], plan.test)
    train, val, test = (examples_of(plan.network, split, plan.contract, options.map, on_image) for split in splits)
    return learnt(options, train, val, test, Blocks.of(plan.network), plan.seed)


def several_classes(samples: Samples) -> bool:
    """Whether the entities of a data set have a vocabulary of two classes or more; one that a map makes of them, or of
    which all but one are too rare, is told later.
    """
    vocabulary: set[str] = set()
    for i in range(len(samples)):
        truth = samples[i].truths[0]
        vocabulary.update(truth.vocabulary if truth.labels is not None else ())
        if len(vocabulary) > 1:
            return True
    return False


def class_names(samples: Samples) -> set[str]:
    """The classes that entities of a data set have."""
    names: set[str] = set()
    for i in range(len(samples)):
        truth = samples[i].truths[0]
        if truth.labels is not None:
            names.update(truth.vocabulary[label] for label in np.unique(truth.labels) if label >= 0)
    return names


def check_map(options: LabelOptions, samples: Samples) -> None:
    """Raises InputError where the map names a class that no entity has which is learnt from."""
    if options.map and (strange := sorted(options.map.keys() - (names := class_names(samples)))):
        listed = ", ".join(sorted(names)) or "none"
        raise InputError(f"labels.map names {strange[0]!r}; the training entities have the classes: {listed}")


def learnt(
    options: LabelOptions, train: Examples, val: Examples, test: Examples, blocks: Blocks, seed: int
) -> Taught | None:
    """What examples teach, calibrated on `val` and measured on `test`; None where `train` has fewer than two classes of
    `FEWEST` entities that may be taught. Of more than `MOST_CLASSES` those of the most entities.
    """
    counts = Counter(train.vocabulary[k] for k in train.classes)
    unfit = tuple(sorted(name for name in counts if not may_be_class(name)))
    for name in unfit:
        del counts[name]
    for name in {*val.vocabulary, *test.vocabulary} - {*unfit}:  # a class of which all entities are there
        counts.setdefault(name, 0)
    frequent = [(-count, name) for name, count in counts.items() if count >= FEWEST and name != UNKNOWN]
    names = tuple(sorted(name for _, name in sorted(frequent)[:MOST_CLASSES]))
    left_out = _rare(counts, names), unfit
    if len(names) < 2:
        if any(left_out) or options.map is not None:
            remaining = f"{short(names[0])!r} is the only class" if names else "no class is left"
            line = f"labels: none; {remaining}, and two are wanted{rare_words(left_out[0])}{unfit_words(unfit)}"
            print(printable(line), flush=True)
        return None
    labeller = taught(options.kind, train.named(names), blocks, seed)
    labeller = calibrated(labeller, val, options.keep)
    tested = test.named(names)
    if not len(tested):
        return Taught(labeller, float("nan"), 0, float("nan"), *left_out)
    labels, _ = labeller.label(tested.features)
    likeliest = labeller.likeliest(tested.features)
    unknown = float((labels == len(names)).mean())
    return Taught(labeller, mean_class_accuracy(likeliest, tested.classes), len(tested), unknown, *left_out)


def _rare(counts: Counter[str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(name for name in counts if name not in names and name != UNKNOWN))
