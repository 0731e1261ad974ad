"""Recolouring scenes before the network, and keeping with an adapter how that was done.

A normaliser is a frozen dataclass whose fields are its target; `fitted` turns pixels of one scene into the function
that recolours all of it, so that every tile of a slide is treated alike. Domains register theirs
(`DomainSpec.normalisers`). An adapter stores `{"name": ..., fields}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from domains.entities import EntitySample, Samples
from domains.errors import InputError, suggest
from domains.registry import house_specs, installed_specs
from domains.scenes import Photograph, Scene, Viewed, open_scene, plain_view
from domains.scenes.validity import Validity
from domains.scenes.view import sample_values

FIT_IMAGES = 64


class Normaliser(Protocol):
    """A target that scenes are recoloured towards: a frozen dataclass of numbers."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def like(cls, images: Sequence[np.ndarray]) -> Self:
        """The one whose target is the median look of the images, each (H, W, 3) uint8. Raises InputError."""
        ...

    def fitted(self, pixels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Pixels (..., 3) uint8 of a scene to a function of any (H, W, 3) uint8 window of it."""
        ...


def normaliser_type(name: object) -> type[Normaliser]:
    """The normaliser that a domain of this house, or else one of an installed package, registered under that name.

    Raises InputError for any other.
    """
    types: dict[str, type[Normaliser]] = {}
    for spec in chain(house_specs(), installed_specs()):
        types = {**getattr(spec, "normalisers", {}), **types}
        if isinstance(name, str) and name in types:
            return types[name]
    raise InputError(f"stain normalisation is {name!r}; {suggest(str(name), types)}")


def build_normaliser(options: Mapping[str, Any]) -> Normaliser:
    """The normaliser of stored options. Raises InputError: an unknown name, other fields, numbers that won't do."""
    kind = normaliser_type(options.get("name"))
    names, stored = {field.name for field in fields(kind)}, set(options) - {"name"}
    if names != stored:
        raise InputError(
            f"stain {options['name']}: wanted {sorted(names)}, got {sorted(stored)}; fit the adapter again"
        )
    return kind(**{key: options[key] for key in names})


def fit_normaliser(name: str, samples: Samples) -> dict[str, Any]:
    """Options of the normaliser whose target is the median look of up to `FIT_IMAGES` of the samples, evenly chosen."""
    kind = normaliser_type(name)
    count = len(samples)
    chosen = sorted({round(i) for i in np.linspace(0, count - 1, min(count, FIT_IMAGES))})
    return {"name": name, **asdict(kind.like([samples[i].image for i in chosen]))}


class Normalised:
    """Samples recoloured as `normalised` does with scenes: by the pixels of the slide that they were cut from, else by
    their own.
    """

    def __init__(self, samples: Samples, options: Mapping[str, Any]) -> None:
        self.samples, self.options = samples, dict(options)
        self.records: Sequence[Any] = getattr(samples, "records", ())

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> EntitySample:
        sample = self.samples[index]
        scene = normalised(Photograph(sample.image, cut_from=sample.place.cut_from), self.options)
        return EntitySample(scene.read(0, 0, *sample.image.shape[:2]), sample.truths, sample.place)


class Recoloured:
    """The view of a scene of three uint8 channels through a fitted normaliser."""

    channels = ("red", "green", "blue")
    validity = Validity()
    remarks: tuple[str, ...] = ()

    def __init__(self, recolour: Callable[[np.ndarray], np.ndarray]) -> None:
        self.recolour = recolour

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return self.recolour(values)


def normalised(scene: Scene, options: Mapping[str, Any] | None) -> Scene:
    """The scene recoloured, fitted to pixels from all over it, a tile to those of its slide; the scene itself without
    options.
    """
    if not options:
        return scene
    if isinstance(scene, Photograph) and scene.cut_from is not None:
        changed_ns = scene.cut_from.stat().st_mtime_ns
        return Viewed(scene, Recoloured(fitted_to_file(scene.cut_from, changed_ns, json.dumps(options))))
    return Viewed(scene, Recoloured(build_normaliser(options).fitted(sample_values(scene))))


@lru_cache(maxsize=256)
def fitted_to_file(path: Path, changed_ns: int, options: str) -> Callable[[np.ndarray], np.ndarray]:
    """What recolours a slide, found once per process for all its tiles. changed_ns: tells one state of the file from
    another; options: as JSON.
    """
    with closing(open_scene(path)) as scene:
        return build_normaliser(json.loads(options)).fitted(sample_values(Viewed(scene, plain_view(scene))))
