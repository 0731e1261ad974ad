"""From a decoder's outputs to entities: what every way of proposing them can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Levels


class Proposals(ABC):
    """Entities at several granularities, and the flat map that a user sees, which is one cut of them.

    A proposal holds the decoder's options and what it has learnt besides the fields; it is made anew wherever these
    change, and works on the processor alone.
    """

    @property
    @abstractmethod
    def granularity(self) -> float:
        """Where the forest is cut for the flat map, in [0, 1]: 0 the wholes, 1 the finest parts."""

    @property
    def levels(self) -> Levels:
        """Every granularity at which a forest changes, the same for all images."""
        return Levels.of({1.0, self.granularity}, self.granularity)

    @abstractmethod
    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> Any:
        """All the work on one image of a batch that none of the options in `tuned` alters.

        outputs: of the decoder, by name; size: (H, W), to which the image is cropped where its input was padded.
        """

    @abstractmethod
    def forest(self, prepared: Any, nested: bool = True) -> EntityForest:
        """The nested entities; without `nested` those of the flat map alone, which takes less time."""

    @abstractmethod
    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """Options that calibration may set, and the values that it tries for each."""

    def cut(self, prepared: Any, granularity: float | None = None) -> EntityMap:
        """The flat map, by the options as they are; or the one at another granularity."""
        if granularity is None:
            return self.forest(prepared, nested=False).cut(self.granularity)
        return self.forest(prepared).cut(granularity)

    def entities(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> EntityMap:
        """The flat map of one image of a batch, (H, W) as `size` says."""
        return self.cut(self.prepared(outputs, index, size))
