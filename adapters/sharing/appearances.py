"""How the images look that an adapter was fitted on, by which `predict --adapter auto` finds the adapter of an image.

A few kB: numbers of some training and validation images (`domains.scenes.appearance`), and no way back to pixels.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import iter_unpack
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from adapters.options.section import Options

if TYPE_CHECKING:
    import numpy as np

NUMBERS = 51
"""Of an image."""
MOST_TRAIN, MOST_VAL = 48, 32
ROW_BYTES = 2 * NUMBERS


def rows_text(rows: np.ndarray) -> str:
    """Rows (N, NUMBERS) as half-precision numbers in base64."""
    return base64.b64encode(rows.astype("<f2").tobytes()).decode()


def numbers_in(content: bytes) -> Iterator[float]:
    """The half-precision numbers of a text."""
    return (number for (number,) in iter_unpack("<e", content))


def text_limit(rows: int) -> int:
    """Signs of so many rows."""
    return 4 * (-(-rows * ROW_BYTES // 3))


@dataclass(frozen=True)
class Appearances(Options):
    """Numbers of some images that the weights learnt from, and of some that they were validated on."""

    SOURCE: ClassVar[str] = "appearances."

    train: Annotated[str, Field(min_length=1, max_length=text_limit(MOST_TRAIN))]
    val: Annotated[str, Field(max_length=text_limit(MOST_VAL))] = ""

    def check_agreement(self) -> None:
        """Raises InputError for what are no rows of finite numbers."""
        for name in ("train", "val"):
            try:
                content = base64.b64decode(getattr(self, name), validate=True)
            except (binascii.Error, ValueError) as error:
                raise self.wrong(name, f"wanted base64 ({error})") from error
            if len(content) % ROW_BYTES or not all(map(math.isfinite, numbers_in(content))):
                raise self.wrong(name, f"wanted rows of {NUMBERS} finite numbers in half precision")

    def rows(self, split: str) -> np.ndarray:
        """(N, NUMBERS) float64 of `train` or `val`. Imports numpy, as `united` does, and nothing else here."""
        import numpy as np

        content = base64.b64decode(getattr(self, split))
        return np.frombuffer(content, "<f2").reshape(-1, NUMBERS).astype(np.float64)


def united(several: Sequence[Appearances]) -> Appearances | None:
    """The images of several adapters as those of one: as many of each as of the others where not all have room, spread
    evenly over those that it has. None of none.
    """
    import numpy as np

    if not several:
        return None

    def together(split: str, limit: int) -> str:
        groups = [images.rows(split) for images in several]
        counts = even_shares([len(rows) for rows in groups], limit)
        taken = [rows[evenly(len(rows), count)] for rows, count in zip(groups, counts, strict=True)]
        return rows_text(np.concatenate(taken))

    return Appearances(together("train", MOST_TRAIN), together("val", MOST_VAL))


def even_shares(counts: Sequence[int], limit: int) -> list[int]:
    """How many of each to take, `limit` in all: equally many, and where one has fewer, more of the others."""
    shares = [0] * len(counts)
    for place, i in enumerate(sorted(range(len(counts)), key=lambda i: counts[i])):
        shares[i] = min(counts[i], (limit - sum(shares)) // (len(counts) - place))
    return shares


def evenly(count: int, limit: int) -> np.ndarray:
    """The places of at most so many of `count` things, spread over them, the ends among them."""
    import numpy as np

    return np.unique(np.linspace(0, count - 1, min(limit, count)).round().astype(int))
