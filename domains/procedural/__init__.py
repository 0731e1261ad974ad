"""Generated scenes with exact entities: pretraining the embedded base, and the `sample` data of each domain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from domains.entities import EntityMap
from domains.procedural.aerial import aerial
from domains.procedural.fluorescence import nuclei_fluo
from domains.procedural.histology import nuclei_he
from domains.procedural.landscapes import landscapes
from domains.procedural.leaves import leaves
from domains.procedural.mosaic import mosaic
from domains.procedural.nested import nested
from domains.procedural.objects import objects
from domains.procedural.surfaces import surfaces
from domains.procedural.tissue import tissue

SCENES: dict[str, Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray | EntityMap]]] = {
    "leaves": leaves,
    "nuclei_he": nuclei_he,
    "nuclei_fluo": nuclei_fluo,
    "tissue": tissue,
    "surfaces": surfaces,
    "aerial": aerial,
    "mosaic": mosaic,
    "objects": objects,
    "landscapes": landscapes,
    "nested": nested,
}
