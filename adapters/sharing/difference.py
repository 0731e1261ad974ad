"""Two adapters beside each other: what they say of themselves, and how far apart their weights are. Without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from adapters.options.section import values_of
from adapters.sharing.info import AGAIN, WEIGHTS, AdapterInfo, present
from domains.errors import InputError, printable

LEFT_OUT = ("probe", "digest", "learnt_from", "metrics", "intervals", "schema_version")
"""What two adapters never share, or a table says better."""
CODES = ".codes"  # of `weights.py`, which imports torch


def differences(infos: tuple[AdapterInfo, AdapterInfo], folders: tuple[Path, Path]) -> list[str]:
    """Lines `what: before -> after` for options, then metrics, then weights; none for two that are alike."""
    old, new = (dict(flat(values_of(info))) for info in infos)
    lines = [
        f"{name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name.split(".")[0] not in LEFT_OUT
    ]
    return [printable(line) for line in (*lines, *metric_lines(*infos), *weight_lines(*folders))]


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested options as dotted names and their values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def metric_lines(old: AdapterInfo, new: AdapterInfo) -> Iterator[str]:
    """What was measured after both fits: a line a metric that both have and that differs."""
    was, now = old.metrics.get("after", {}), new.metrics.get("after", {})
    for name, value in was.items():
        present_value = now.get(name)
        if value is not None and present_value is not None and value != present_value:
            yield f"after {name}: {value:.3f} -> {present_value:.3f} ({present_value - value:+.3f})"


def weight_lines(old: Path, new: Path) -> Iterator[str]:
    """A line a file of weights: tensors that only one of them has or that differ in shape, how far the others are
    apart, as a share of the first one's norm, and how many updates of few bits have other codes. Raises InputError for
    a damaged file.
    """
    for name in WEIGHTS:
        if present(old, name) != present(new, name):
            yield f"{name}: {'only the first' if present(old, name) else 'only the second'} has it"
        elif present(old, name):
            before, after = tensors(old / name), tensors(new / name)
            shared = [key for key in before if key in after and before[key].shape == after[key].shape]
            alike = [key for key in shared if not key.endswith(CODES)]
            recoded = sum(not np.array_equal(before[key], after[key]) for key in shared if key.endswith(CODES))
            norm = sum(float(np.square(before[key]).sum()) for key in alike) ** 0.5
            gap = sum(float(np.square(before[key] - after[key]).sum()) for key in alike) ** 0.5
            unmatched = len(before.keys() | after.keys()) - len(shared)
            if gap or unmatched or recoded:
                missing = f", {unmatched} that only one of them has" if unmatched else ""
                missing += f", {recoded} updates of few bits with other codes" if recoded else ""
                yield f"{name}: {len(alike)} tensors {gap / max(norm, 1e-12):.3f} of their norm apart{missing}"


def tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, in double precision. Raises InputError for a damaged one."""
    try:
        with safe_open(path, "np") as file:
            return {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError) as error:  # TypeError: numpy knows no bfloat16
        raise InputError(f"{str(path)!r} cannot be compared ({error}); {AGAIN}") from error
