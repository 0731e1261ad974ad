"""Entities: a map of ids with what is known of each, and what is drawn, outlined and measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domains.entities.map import BACKGROUND as BACKGROUND
from domains.entities.map import NO_CLASS as NO_CLASS
from domains.entities.map import UNKNOWN as UNKNOWN
from domains.entities.map import UNLABELLED as UNLABELLED
from domains.entities.map import EntityMap as EntityMap
from domains.entities.map import renumber as renumber
from domains.entities.sample import EntitySample as EntitySample
from domains.entities.sample import Place as Place
from domains.entities.sample import Samples as Samples

if TYPE_CHECKING:
    from domains.entities.batch import EntityBatch as EntityBatch
    from domains.entities.batch import collate as collate


def __getattr__(name: str) -> Any:
    """Batches are of torch, which loads slowly; what reads, cuts and writes maps does without."""
    if name not in ("EntityBatch", "collate"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from domains.entities import batch

    return getattr(batch, name)
