"""An adapter in Python: arrays in, entities out. `from recipes.api import load`, nothing else is needed.

adapter = load("runs/fit-pathology-1/adapter")
entities = adapter.predict(image, pixel_size_um=0.25)
entities.ids        # (H, W) int32: 0 none, 1..N the entities
entities.scores     # (N,) float32
forest = adapter.forest(image, pixel_size_um=0.25)
forest.cut(0.2)     # the entities at another granularity: 0 the wholes, 1 the finest parts
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.inference.segment import Cut, Tiles, decoded, segment, segment_into
from adapters.training.denormals import flush_denormals
from domains.bands import RGB
from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.scenes import Photograph
from recipes.inputs import Sight
from recipes.load import Loaded, loaded
from recipes.looking import looking
from recipes.runtime import choose
from recipes.shared import on_base


def load(
    adapter: str | Path,
    backbone: str | Path | None = None,
    device: str = "auto",
    fast: bool = False,
    domain: str | None = None,
) -> Adapter:
    """The adapter of a folder or of a packed file (`adapters pack`), ready to predict.

    backbone: the folder or file of the base, if it does not lie where the adapter says. device: as `--device` has it.
    fast: its student takes its place, and no base is wanted. domain: of an adapter of several, which it is to be.
    Denormal numbers are flushed to zero in this process, as by every command, so that numbers are the same. Raises
    InputError for what is no whole adapter.
    """
    flush_denormals()
    base = on_base(None if backbone is None else str(backbone))
    with loaded(str(adapter), overrides=base, runtime=choose(device), fast=fast, member=domain) as network:
        return Adapter(network)


@dataclass(frozen=True)
class Adapter:
    """A network ready to predict, as `load` gives it."""

    network: Loaded

    def predict(self, image: np.ndarray, pixel_size_um: float | None = None) -> EntityMap:
        """The entities of an image of any size, tiled as a scene is: those that `predict` writes of the same pixels.

        image: (H, W, 3) RGB, (H, W) grey, or (H, W, C) the bands that the adapter was fitted to, in their file's order;
        uint8 as it is, other integers and floats stretched by their 0.1 to 99.9 percentiles. pixel_size_um: micrometres
        per pixel; without it an adapter that was fitted at a known size raises InputError, as for any image that the
        network cannot be shown. Where the domain says that a slide has nothing to show (empty glass) it is not looked
        at: the ids there are 0, or -1 in tiles of nothing else.
        """
        viewed = decoded(self.network.contract.viewed(scene_of(image, pixel_size_um)))
        worth = looking(self.network.recipe.domain.name, Sight())
        return segment(self.network.segmenter, viewed, self.network.contract, worth and worth(viewed))

    def forest(self, image: np.ndarray, pixel_size_um: float | None = None) -> EntityForest:
        """All nested entities of an image, as `predict --format forest` writes them; those of `predict` are the nodes
        1, 2, ... in their order. Raises InputError as `predict` does, and for an adapter of flat maps alone.
        """
        network, contract = self.network.segmenter, self.network.contract
        viewed = decoded(contract.viewed(scene_of(image, pixel_size_um)))
        worth = looking(self.network.recipe.domain.name, Sight())
        tiles = Tiles(viewed, contract, worth and worth(viewed), Cut.of(network, None, nested=True))
        forest = segment_into(tiles.begun(None, {}, ""), tiles, network).forest
        assert forest is not None
        return forest.entity_forest


def scene_of(image: np.ndarray, pixel_size_um: float | None = None) -> Photograph:
    """An array as the scene that its file would be. Raises InputError for what is no image."""
    values = np.asarray(image)
    if values.ndim not in (2, 3) or not values.size or values.dtype.kind not in "uif":
        raise InputError(
            f"an image is {values.shape} {values.dtype}; wanted (H, W) or (H, W, C) with pixels in it, of integers or "
            "floats"
        )
    if pixel_size_um is not None and not 0 < pixel_size_um < np.inf:
        raise InputError(f"pixel_size_um is {pixel_size_um!r}; wanted micrometres, such as 0.25")
    values = np.ascontiguousarray(values if values.ndim == 3 else values[..., None])
    count = values.shape[2]
    names = (*RGB, "")[:count] if count in (3, 4) else ("",) * count
    return Photograph(values, None if pixel_size_um is None else pixel_size_um * 1e-6, names)
