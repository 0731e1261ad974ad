"""What hears how far a stage of a fit is."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Hears how far a stage is."""

    def advance(self) -> None:
        """One image more is done."""
        ...

    def tick(self) -> None:
        """Something is done inside an image."""
        ...

    def reach(self, unit: str, done: int, steps: int, /) -> None:
        """`done` of `steps` units are done, of a stage that counts for itself."""
        ...


class Unwatched:
    """A `Watch` that lets everything pass."""

    def advance(self) -> None:
        """Does nothing."""

    def tick(self) -> None:
        """Does nothing."""

    def reach(self, unit: str, done: int, steps: int, /) -> None:
        """Does nothing."""
