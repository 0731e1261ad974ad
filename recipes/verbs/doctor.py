"""`cli.py doctor`: the machine, the versions, what is missing, and how fast `fit` and `predict` are here.

Nothing heavy is imported before it is known to be there: `doctor` is for installations that are broken, too.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from textwrap import wrap
from typing import Any

from packaging.requirements import Requirement

NAME = "entity-adapters"
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
"""Of a checkout; in a wheel there is none, and the package's metadata say the same."""
FOR_DEVELOPERS = "test"
LEAST_DISK = 200e6
"""Bytes: a run's checkpoints, its adapter and its pictures."""
BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Flags of processors with bf16 instructions, the last of ARM."""
SELF_TEST_SECONDS = 20.0
WIDTH = 110


@dataclass(frozen=True)
class Package:
    """A package, the versions that will do, and the one that is there, None for none. extra: which extra of ours asks
    for it, "" for all of us."""

    name: str
    specifier: str
    installed: str | None
    extra: str = ""

    @property
    def fault(self) -> str:
        """What is wrong with it, "" for nothing."""
        if self.installed is None:
            return f"{self.name} is missing"
        if not Requirement(f"{self.name}{self.specifier}").specifier.contains(self.installed, prereleases=True):
            return f"{self.name} is {self.installed}, wanted {self.specifier}"
        return ""


@dataclass(frozen=True)
class Machine:
    """Sizes in bytes; None for what the system does not tell. cores: those that this process may use."""

    processor: str
    cores: float
    bf16: tuple[str, ...]
    memory: int | None
    memory_free: int | None
    disk_free: int


@dataclass(frozen=True)
class Torch:
    """How torch sees the machine. precision: of a fit by the recipes' defaults; devices: name and bytes of GPUs."""

    threads: int
    precision: str
    devices: dict[str, int | None]


@dataclass
class Diagnosis:
    """All that is printed. speeds: of the self-test, a mapping for each recipe with its estimate in words; faults: what
    keeps `fit` from working.
    """

    machine: Machine
    versions: dict[str, str]
    packages: list[Package]
    torch: Torch | None = None
    speeds: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def json_text(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self), indent=2)

    def text(self) -> str:
        """All of it for a terminal: less than forty lines, names to the left."""
        return "\n".join([*self._machine(), *self._packages(), *self._extras(), *self._speeds(), *self._verdict()])

    def _machine(self) -> Iterator[str]:
        machine, torch = self.machine, self.torch
        threads = f", torch works on {torch.threads}" if torch else ""
        yield row("processor", f"{machine.processor}, {machine.cores:g} cores{threads}")
        used = f"; a fit is in {'bf16' if 'bf16' in torch.precision else 'fp32'}" if torch else ""
        yield row("bf16", (", ".join(machine.bf16) or "no instructions") + used)
        yield row("memory", f"{gigabytes(machine.memory_free)} free of {gigabytes(machine.memory)}")
        devices = [f"{name}, {gigabytes(size)}" for name, size in torch.devices.items()] if torch else []
        yield row("GPU", "; ".join(devices) or "none that torch can use")
        yield row("disk", f"{gigabytes(machine.disk_free)} free in {str(Path.cwd())!r}, where runs/ goes")

    def _packages(self) -> Iterator[str]:
        programs = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        yield from paragraph("versions", programs)
        required = [package for package in self.packages if not package.extra]
        yield from paragraph(
            "packages", ", ".join(f"{package.name} {package.installed or 'missing'}" for package in required)
        )

    def _extras(self) -> Iterator[str]:
        for extra in dict.fromkeys(package.extra for package in self.packages if package.extra):
            faults = [package.fault for package in self.packages if package.extra == extra and package.fault]
            install = f'{"; ".join(faults)}: pip install "{NAME}[{extra}]"'
            yield row(f"extra {extra}", install if faults else "installed")

    def _speeds(self) -> Iterator[str]:
        for speed in self.speeds:
            rates = f"{speed['steps_per_second']:6.2f} steps/s  {speed['megapixels_per_second']:6.3f} megapixels/s"
            yield row(speed["recipe"], f"{rates}  {speed['estimate']}")

    def _verdict(self) -> Iterator[str]:
        yield from (row("broken", fault) for fault in self.faults)
        if not self.faults:
            yield row("verdict", "all that fit and predict need is there")


def doctor(seconds: float = SELF_TEST_SECONDS, recipes: Iterable[str] | None = None) -> Diagnosis:
    """Examine this installation. seconds: of the self-test, which is left out where packages are missing; recipes: in
    it, None for all.
    """
    diagnosis = Diagnosis(examine_machine(), versions(), list(packages()))
    diagnosis.faults += [package.fault for package in diagnosis.packages if package.fault and not package.extra]
    if diagnosis.machine.disk_free < LEAST_DISK:
        diagnosis.faults.append(f"{gigabytes(diagnosis.machine.disk_free)} of disk are free, a run takes .2 GB")
    if not diagnosis.faults:
        try:
            run_test(diagnosis, seconds, recipes)
        except Exception as error:  # whatever breaks here would break in a fit
            diagnosis.faults.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return diagnosis


def run_test(diagnosis: Diagnosis, seconds: float, recipes: Iterable[str] | None) -> None:
    """Add what torch sees and the speeds to a diagnosis; raises what a fit would raise."""
    from recipes.reading.domain_section import BUILT_IN_DOMAINS
    from recipes.verbs.self_test import fault_of, self_test

    diagnosis.torch = examine_torch()
    print(f"self-test: about {seconds:g} s, and as long again to load", file=sys.stderr, flush=True)
    speeds = self_test(seconds, list(recipes or BUILT_IN_DOMAINS))
    diagnosis.speeds = [asdict(speed) | {"estimate": speed.estimate()} for speed in speeds]
    diagnosis.faults += [fault for fault in [fault_of(speeds)] if fault]


# The machine


def examine_machine() -> Machine:
    """The machine without torch."""
    about = processor()
    memory, free = memory_bytes()
    disk = shutil.disk_usage(Path.cwd()).free
    return Machine(
        about["model name"], cores(), tuple(f for f in BF16 if f in about["flags"].split()), memory, free, disk
    )


def processor() -> dict[str, str]:
    """`model name` and `flags` of the first core."""
    facts = {}
    for line in text_of("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags") or facts.get("Features") or ""
    return {"model name": facts.get("model name") or platform.processor() or platform.machine(), "flags": flags}


def cores() -> float:
    """Cores that this process may use, by its affinity and by the quota of its container (cgroup 2)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = text_of("/sys/fs/cgroup/cpu.max").partition(" ")
    return min(count, round(int(quota) / int(period), 1)) if quota.isdigit() else count


def memory_bytes() -> tuple[int | None, int | None]:
    """All and free memory, the container's limit (cgroup 2) included."""
    facts = dict(line.split(":") for line in text_of("/proc/meminfo").splitlines())
    sizes = [int(facts[key].split()[0]) * 1024 if key in facts else None for key in ("MemTotal", "MemAvailable")]
    total, free = sizes
    limit, used = (text_of(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if total is not None and free is not None and limit.isdigit() and used.isdigit():
        return min(total, int(limit)), min(free, int(limit) - int(used))
    return total, free


def examine_torch() -> Torch:
    """How torch sees the machine. Raises what importing torch raises."""
    import torch

    from recipes.reading.compose import load_recipe
    from recipes.runtime import of_training

    devices: dict[str, int | None] = {}
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        devices[f"cuda:{i} {about.name}"] = about.total_memory
    if torch.backends.mps.is_available():
        devices["mps"] = None
    return Torch(torch.get_num_threads(), of_training(load_recipe("base").train).training, devices)


# Packages


def versions() -> dict[str, str]:
    """Of Python, the system and this package; a checkout says its own in `pyproject.toml`."""
    project = project_table()
    return {
        NAME: project["version"] if project else version(NAME),
        "Python": platform.python_version(),
        platform.system(): platform.release(),
    }


def packages() -> Iterator[Package]:
    """Every package that we ask for: those for all first, then those of each extra but the developers'."""
    for extra, requirement in requirements():
        if requirement.name == NAME or extra == FOR_DEVELOPERS:
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = None
        yield Package(requirement.name, str(requirement.specifier), installed, extra)


def requirements() -> Iterator[tuple[str, Requirement]]:
    """(extra, requirement), as `pyproject.toml` of a checkout or the metadata of a wheel say it."""
    if project := project_table():
        yield from (("", Requirement(line)) for line in project["dependencies"])
        for extra, lines in project["optional-dependencies"].items():
            yield from ((extra, Requirement(line)) for line in lines)
        return
    about = metadata(NAME)
    listed = [Requirement(line) for line in about.get_all("Requires-Dist") or ()]
    for extra in ("", *(about.get_all("Provides-Extra") or ())):
        for requirement in listed:
            marker = requirement.marker
            if (marker is None and not extra) or (extra and marker and marker.evaluate({"extra": extra})):
                yield extra, requirement


def project_table() -> dict[str, Any]:
    """The table `project` of a checkout's `pyproject.toml`; empty in a wheel."""
    if not PROJECT.is_file():
        return {}
    import tomllib

    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]


# Texts


def text_of(path: str) -> str:
    """The text of a file of the system, "" where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def row(name: str, value: str) -> str:
    """A name and its value."""
    return f"{name:<16} {value}"


def paragraph(name: str, value: str) -> Iterator[str]:
    """A name and a value of several lines."""
    for i, line in enumerate(wrap(value, WIDTH - 17)):
        yield row("" if i else name, line)


def gigabytes(count: int | None) -> str:
    """Bytes as a person reads them."""
    return "unknown" if count is None else f"{count / 1e9:.1f} GB"
