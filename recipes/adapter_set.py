"""Several adapters in one process, each ready at once: `load_many`.

An adapter is loaded, checked and merged once, as `load` does it, on layers of its own; what it leaves as it is in the
base is then the base's own tensor, shared by all. So to go from one to the next is to call another network: nothing is
copied, and an adapter takes the memory of its decoder and of the layers that it changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adapters.backbones import Backbone
from adapters.runtime import Runtime
from adapters.training.denormals import flush_denormals
from domains.entities import EntityMap
from domains.errors import InputError, suggest
from recipes.api import Adapter
from recipes.bases import base_of
from recipes.load import loaded
from recipes.runtime import choose
from recipes.sets import parse_adapters
from recipes.shared import BASE, on_base


def load_many(
    adapters: Sequence[str | Path] | Mapping[str, str | Path],
    backbone: str | Path | None = None,
    device: str = "auto",
) -> AdapterSet:
    """Several adapters, ready to predict: folders, packed files, names of the shelf or ids of the Hub.

    adapters: by names of one's own, or a list, in which each is called as in the table of `transfer` (`NAME:PATH`, else
    by its run). backbone: where the base of all lies, if not where they say. device: as `--device` has it. Raises
    InputError for what is no whole adapter, and for two of one name.
    """
    flush_denormals()
    runtime, words = choose(device), on_base(None if backbone is None else str(backbone))
    bases: dict[str, Backbone] = {}
    shared: dict[int, dict[str, Tensor]] = {}
    ready = {}
    for name, path in named(adapters).items():
        base = base_of(path, bases, None if backbone is None else str(backbone))
        if id(base) not in shared:
            shared[id(base)] = placed(base, runtime)
        with loaded(path, None, words, deepcopy(base), runtime) as network:
            share(network.segmenter.backbone, shared[id(base)])
            ready[name] = Adapter(network)
    return AdapterSet(ready)


class AdapterSet:
    """Adapters by name, of which one is in use; the one that is named before the others to begin with."""

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        if not adapters:
            raise InputError("a set of adapters wants at least one")
        self.adapters = dict(adapters)
        self.current = next(iter(self.adapters))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.adapters)

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(self.adapters)

    def __getitem__(self, name: str) -> Adapter:
        """The adapter of a name. Raises InputError where there is none."""
        if name not in self.adapters:
            raise InputError(f"there is no adapter {name!r}; {suggest(name, self.adapters)}")
        return self.adapters[name]

    def use(self, name: str) -> Adapter:
        """The adapter of a name, by which `predict` goes from here on. Raises InputError where there is none."""
        adapter = self[name]
        self.current = name
        return adapter

    def predict(
        self,
        images: Sequence[np.ndarray],
        adapters: str | Sequence[str] | None = None,
        pixel_size_um: float | Sequence[float | None] | None = None,
    ) -> list[EntityMap]:
        """The entities of images of any sizes, in their order, each as its adapter alone gives them.

        adapters: a name for each image, which are then predicted adapter by adapter; one for all; or None for the one
        in use. pixel_size_um: of each image, or of all. Raises InputError as `Adapter.predict` does, for an unknown
        name, and for fewer names or sizes than images.
        """
        count = len(images)
        names = [adapters or self.current] * count if adapters is None or isinstance(adapters, str) else adapters
        sizes = pixel_size_um if isinstance(pixel_size_um, Sequence) else [pixel_size_um] * count
        if not len(names) == len(sizes) == count:
            raise InputError(
                f"wanted an adapter and a size for each of {count} images; got {len(names)} and {len(sizes)}"
            )
        chosen = {name: self[str(name)] for name in dict.fromkeys(names)}
        entities: dict[int, EntityMap] = {}
        for name, adapter in chosen.items():
            for i in (i for i in range(count) if names[i] == name):
                entities[i] = adapter.predict(images[i], sizes[i])
        return [entities[i] for i in range(count)]


def named(adapters: Sequence[str | Path] | Mapping[str, str | Path]) -> dict[str, str]:
    """Name -> path. Raises InputError for two of one name."""
    if isinstance(adapters, Mapping):
        return {name: str(path) for name, path in adapters.items()}
    if isinstance(adapters, str | Path):
        raise InputError(f"wanted several adapters, in a list or by name; got {str(adapters)!r}")
    return {name: path for path, name in parse_adapters([str(path) for path in adapters]).items() if path != BASE}


def placed(base: Backbone, runtime: Runtime) -> dict[str, Tensor]:
    """The bare base's tensors on the device, by name."""
    return {name: parameter.detach().to(runtime.device) for name, parameter in base.base_parameters().items()}


def share(backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
    """Let a backbone with a merged adapter have those of the tensors that are equal to its own in their place.

    The values from before the merge, which it keeps aside, become those tensors too.
    """
    for name, parameter in backbone.base_parameters().items():
        if torch.equal(parameter, tensors[name]):
            parameter.data = tensors[name]
    backbone.originals = {name: tensors[name] for name in backbone.originals}
