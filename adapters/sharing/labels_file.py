"""The labeller in an adapter's folder: `labels.safetensors`, and what `entity.json` says of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from adapters.labelling.labeller import Labeller
from adapters.options.labels import LabelInfo
from adapters.options.section import checked
from adapters.sharing.bounds import label_shapes
from adapters.sharing.door import read_info, reseal
from adapters.sharing.info import LABEL_WEIGHTS, RECIPE, AdapterInfo
from adapters.sharing.weights import check_shapes, tensors
from domains.atomic import atomic_path
from domains.errors import InputError


def describe_labeller(labeller: Labeller, accuracy: float | None = None) -> LabelInfo:
    """The info of a labeller. Raises InputError for names that no class may have.

    accuracy: the mean over the classes of what was labelled right, of entities that it did not learn from.
    """
    values = {
        "kind": labeller.kind,
        "vocabulary": labeller.vocabulary,
        "width": labeller.examples.shape[1],
        "examples": len(labeller.examples),
        "temperature": labeller.temperature,
        "farthest": labeller.farthest if math.isfinite(labeller.farthest) else None,
        "accuracy": None if accuracy is None or math.isnan(accuracy) else accuracy,
    }
    return checked(LabelInfo, values, LabelInfo.SOURCE)


def save_labeller(path: Path, labeller: Labeller) -> None:
    """Write a labeller's numbers."""
    save_file({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in labeller.arrays().items()}, path)
    path.chmod(0o644)  # safetensors writes for its owner alone


def set_labeller(
    folder: Path, labeller: Labeller, accuracy: float | None = None, recipe_yaml: str | None = None
) -> AdapterInfo:
    """Put a labeller into the folder of an adapter, or in the place of the one there, seal it anew, and write its card.

    recipe_yaml: in place of the adapter's recipe. Returns the folder's info. Raises InputError as `describe_labeller`
    does, with nothing changed.
    """
    info = replace(read_info(folder), labels=describe_labeller(labeller, accuracy))
    with atomic_path(folder / LABEL_WEIGHTS) as path:
        save_labeller(path, labeller)
    if recipe_yaml is not None:
        with atomic_path(folder / RECIPE) as path:
            path.write_text(recipe_yaml, encoding="utf-8")
    return reseal(folder, info)


def load_labeller(folder: Path, info: AdapterInfo) -> Labeller | None:
    """The labeller of an adapter, None where it has none. info: as `read_info` has it.

    Raises InputError for numbers that are not those that the info tells of.
    """
    if info.labels is None:
        return None
    path = folder / LABEL_WEIGHTS
    check_shapes(path, label_shapes(info, info.labels))
    stored = tensors(path)
    arrays = {name: in_half(path, name, value) for name, value in stored.items() if name != "classes"}
    classes, labels = stored["classes"].int().numpy(), info.labels
    if not np.array_equal(np.unique(classes), np.arange(len(labels.vocabulary))):
        raise InputError(f"{str(path)!r} has no example of some of its classes; get the adapter again")
    farthest = math.inf if labels.farthest is None else labels.farthest
    arrays["classes"] = classes
    return Labeller.of_arrays(labels.kind, labels.vocabulary, arrays, labels.temperature, farthest)


def in_half(path: Path, name: str, value: torch.Tensor) -> np.ndarray:
    """Numbers of a labeller in half precision, as it stores them, of any type. Raises InputError for one beyond."""
    half = value.half()
    if not half.isfinite().all():
        raise InputError(f"{str(path)!r}: {name!r} has numbers beyond half precision; get the adapter again")
    return half.numpy()
