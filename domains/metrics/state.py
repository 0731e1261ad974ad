"""What metrics hold of the images seen, as JSON and back to the last bit: measured once, computed again at any time."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

ARRAY = {"dtype", "shape", "values"}
"""The keys of an array in JSON; no other mapping of a metric has a text at `dtype`."""
FEW = 16
"""Values of an array that stand in JSON as they are; more are packed: a match at a threshold takes a bit."""


class Stateful:
    """Base of what holds numbers of each image seen, in attributes that `HELD` names, and can give them away.

    Each of those is a list with an item for every image.
    """

    HELD: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Everything that `observe` has kept, as JSON holds it."""
        return {name: as_json(getattr(self, name)) for name in self.HELD}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` gave, in place of what was seen. Raises KeyError, TypeError or ValueError for other."""
        for name in self.HELD:
            setattr(self, name, from_json(state[name]))

    def pick(self, sources: Sequence[Stateful], choices: Sequence[int]) -> None:
        """Takes of image i what `sources[choices[i]]` holds of it, in place of what was seen."""
        for name in self.HELD:
            held = [getattr(source, name) for source in sources]
            setattr(self, name, [held[choice][i] for i, choice in enumerate(choices)])


def as_json(value: Any) -> Any:
    """Arrays, numbers, texts, lists and mappings as JSON holds them; a number's shortest text gives it back exactly."""
    if isinstance(value, np.ndarray):
        is_short = value.size <= FEW
        values = value.ravel().tolist() if is_short else base64.b64encode(zlib.compress(value.tobytes())).decode()
        return {"dtype": value.dtype.str, "shape": list(value.shape), "values": values}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """What `as_json` was given; tuples come back as lists."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == ARRAY and isinstance(value["dtype"], str):
        values, dtype = value["values"], np.dtype(value["dtype"])
        if isinstance(values, str):
            values = np.frombuffer(unpacked(values), dtype)
        return np.array(values, dtype).reshape(value["shape"])
    return {name: from_json(item) for name, item in value.items()}


def unpacked(text: str) -> bytearray:
    """The bytes of a packed array. Raises ValueError for a damaged one."""
    try:
        return bytearray(zlib.decompress(base64.b64decode(text)))
    except zlib.error as error:
        raise ValueError(f"a packed array is damaged: {error}") from error
