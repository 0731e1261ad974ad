"""Which images an adapter learnt from, by digests of their pixels: to say so when it is measured on them.

Digests tell whether an image at hand is one of them, and nothing else: no names, no places, and no way back to pixels.
Of more images than `MOST` those of the lowest digests are kept, a sample in which every image comes or not by its own
digest alone: an image below the highest kept one is told for certain, others are not told (bottom-k sampling; E. Cohen
and H. Kaplan, Summarizing Data using Bottom-k Sketches, 2007).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from adapters.options.section import Options
from domains.errors import InputError

MOST = 4096
DIGITS = 16


@dataclass(frozen=True)
class Digests(Options):
    """Of the images of one split."""

    images: Annotated[int, Field(ge=0, le=2**40)] = 0
    """How many different ones there were: more than there are digests where those are a sample."""
    digests: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]*$",
            max_length=DIGITS * MOST,
            json_schema_extra={"wanted": f"up to {MOST} digests of {DIGITS} hexadecimal digits, one after the other"},
        ),
    ] = ""

    def check_agreement(self) -> None:
        """Raises InputError unless these are the lowest of so many different digests."""
        if len(self.digests) % DIGITS or self.each != sorted(set(self.each)):
            raise InputError(f"wanted different digests of {DIGITS} hexadecimal digits, in their order")
        if len(self.each) > self.images or (self.images and not self.each):
            raise InputError(f"wanted as many digests as images, {self.images}, or the lowest of them")

    @property
    def each(self) -> list[str]:
        """The digests, one by one, in their order."""
        return [self.digests[i : i + DIGITS] for i in range(0, len(self.digests), DIGITS)]

    @property
    def whole(self) -> bool:
        """Whether every image has its digest here."""
        return len(self.each) == self.images

    def telling(self, digests: Collection[str]) -> list[str]:
        """Those of the digests of which it can be told whether they are among these."""
        return list(digests) if self.whole else [digest for digest in digests if digest <= self.each[-1]]

    def joined(self, earlier: Digests) -> Digests:
        """The images of both, as far as both can tell."""
        bounds = [digests.each[-1] for digests in (self, earlier) if not digests.whole]
        union = sorted({*self.each, *earlier.each})
        lowest = [digest for digest in union if not bounds or digest <= min(bounds)][:MOST]
        images = len(union) if not bounds else self.images + earlier.images
        return Digests(images=images, digests="".join(lowest))


@dataclass(frozen=True)
class LearntFrom(Options):
    """train: images that the weights learnt from; val: those on which thresholds and the best weights were chosen."""

    train: Digests = Digests()
    val: Digests = Digests()

    def joined(self, earlier: LearntFrom | None) -> LearntFrom:
        """With what an adapter had learnt from on which this one goes on."""
        if earlier is None:
            return self
        return LearntFrom(train=self.train.joined(earlier.train), val=self.val.joined(earlier.val))

    def among(self, digests: Iterable[str]) -> Met:
        """How many of an image set's digests are known from the fit."""
        images = list(digests)
        train, val = set(self.train.each), set(self.val.each)
        telling = set(self.train.telling(images)) & set(self.val.telling(images))
        return Met(
            sum(digest in train for digest in images),
            sum(digest in val and digest not in train for digest in images),
            sum(digest in telling or digest in train or digest in val for digest in images),
        )


@dataclass(frozen=True)
class Met:
    """How many of the images that are measured on the adapter learnt from.

    comparable: of how many that can be told.
    """

    train: int
    val: int
    comparable: int

    @property
    def images(self) -> int:
        """Of how many it is certain that the adapter met them in the fit."""
        return self.train + self.val

    def __str__(self) -> str:
        return f"{self.train} in training" + (f", {self.val} in validation" if self.val else "")


def digests_of(digests: Iterable[str]) -> Digests:
    """Of the images of a split: all, or the lowest `MOST`."""
    different = sorted(set(digests))
    return Digests(images=len(different), digests="".join(different[:MOST]))
