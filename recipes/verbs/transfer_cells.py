"""The cells of `transfer` that were measured before: kept by content, so that only what is new is measured.

A cell is one adapter, or the base, on one set. Its name is a digest of all that decides its numbers: network, images
and labels, split, how images are seen, metrics, precision, and the code. It holds what the metrics keep of every image
(`MetricSet.state`), from which every number of the table is computed again to the last digit.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch

from adapters.inference.segment import InputContract
from adapters.runtime import Runtime
from domains.datasets.contents import samples_sha256
from domains.entities import Samples
from domains.metrics import EntityMetric, MetricSet
from recipes.verbs.numbers import plain, write_json

HOUSE = Path(__file__).parents[2]
LIBRARIES = ("torch", "transformers", "peft", "numpy", "scipy", "scikit-image", "pillow", "tifffile", "pycocotools")
"""What a number may change with, beside the code of this house."""


class Measures(Protocol):
    """What says how a set is measured, such as a domain."""

    @property
    def headline(self) -> str:
        """Key of the metric that is shown before the others."""
        ...

    def metrics(self) -> Mapping[str, EntityMetric]:
        """Fresh metrics by key."""
        ...


@dataclass(frozen=True)
class MeasuredSet:
    """A column of the table: images with their labels, and what they are measured by."""

    name: str
    samples: Samples
    measures: Measures

    @cached_property
    def digest(self) -> str:
        """Of all images and labels; they are read for it, once."""
        return samples_sha256(self.samples)

    def metrics(self) -> MetricSet:
        """Fresh ones."""
        return MetricSet(self.measures.metrics())


@dataclass(frozen=True)
class CellFolder:
    """The cells in a folder, measured on `runtime` and on one split of every set."""

    folder: Path
    split: str
    runtime: Runtime

    def path(self, network: str, contract: InputContract, measured: MeasuredSet) -> Path:
        """Where the cell of a network lies or will lie. network: a digest of its weights and options."""
        decides = {
            "network": network,
            "contract": contract.values(),
            "metrics": {key: facts_of(metric) for key, metric in measured.measures.metrics().items()},
            "runtime": [self.runtime.device.type, self.runtime.precision, torch.backends.cpu.get_cpu_capability()],
            **self.facts(measured),
        }
        return self.named(decides)

    def facts(self, measured: MeasuredSet) -> dict[str, Any]:
        """What decides everything that is kept of a set: its images and labels, and the code."""
        return {"data": measured.digest, "split": self.split, "code": code_digest()}

    def named(self, decides: Mapping[str, Any]) -> Path:
        """The file of what is decided by those facts alone."""
        text = json.dumps(decides, sort_keys=True, default=repr)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def read(self, path: Path, measured: MeasuredSet) -> MetricSet | None:
        """The metrics of a cell; None where it was not measured yet, or its file is damaged."""
        metrics = measured.metrics()
        try:
            metrics.restore(json.loads(path.read_text(encoding="utf-8"))["state"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return metrics

    def keep(self, path: Path, measured: MeasuredSet, metrics: MetricSet, row: str) -> None:
        """Write a cell, whole or not at all; not where a metric of a package does not come back as it was."""
        state = metrics.state()
        if state is None:
            return
        names = {"adapter": row, "data": measured.name, "split": self.split}
        content = {**names, "metrics": plain(metrics.compute()), "state": state}
        again = measured.metrics()
        again.restore(json.loads(json.dumps(state)))
        if plain(again.compute()) == content["metrics"]:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, content, indent=None)


def facts_of(metric: EntityMetric) -> list[Any]:
    """Class and options of a metric, and of one of a package the digest of its source."""
    kind = type(metric)
    options = {name: value for name, value in vars(metric).items() if not name.startswith("_")}
    source = Path(inspect.getsourcefile(kind) or __file__)
    foreign = None if source.is_relative_to(HOUSE) else hashlib.sha256(source.read_bytes()).hexdigest()
    return [kind.__module__, kind.__qualname__, options, foreign]


@cache
def code_digest() -> str:
    """Of the sources of this house, and of the versions of what it computes with."""
    digest = hashlib.sha256(repr([(name, version(name)) for name in LIBRARIES]).encode())
    for file in sources():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def sources() -> Iterator[Path]:
    """The modules of this house, in one order on every machine."""
    for room in ("adapters", "domains", "recipes"):
        yield from sorted((HOUSE / room).rglob("*.py"))
