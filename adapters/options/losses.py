"""Losses: the terms, each scaled by its weight; 0 leaves a term out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from pydantic import Field

from adapters.options.decoders import Decoder, Dense
from adapters.options.ranges import Count, NotNegative, Share
from adapters.options.section import Options
from domains.errors import InputError

Weight = Annotated[NotNegative, Field(description="What the term is multiplied by; 0 leaves it out.")]


@dataclass(frozen=True)
class TermOptions(Options):
    """The options of a term."""

    weight: Weight = 1.0


@dataclass(frozen=True)
class Foreground(TermOptions):
    """Cross-entropy and Dice of the foreground."""

    SOURCE: ClassVar[str] = "losses.foreground."

    area_exponent: Share = 0.0
    """A pixel of an entity of A px weighs (256 / A) to this power: 0.5 lets a pinhole be heard beside a stain."""


@dataclass(frozen=True)
class BoundaryDistance(TermOptions):
    """Mean absolute error of the distance to the boundary, inside entities."""

    SOURCE: ClassVar[str] = "losses.boundary_distance."


@dataclass(frozen=True)
class CentreDistance(TermOptions):
    """Mean absolute error of the distance to the centre, inside entities."""

    SOURCE: ClassVar[str] = "losses.centre_distance."

    weight: Weight = 0.25


@dataclass(frozen=True)
class Boundary(TermOptions):
    """Balanced cross-entropy of the boundary."""

    SOURCE: ClassVar[str] = "losses.boundary."

    weight: Weight = 0.5
    nested: bool = False
    """Of entities that lie in one another the rims of wholes are 1, those of their parts 2/3, finer ones 1/3; for
    decoder.merging=rims, whose forest then has these levels."""


@dataclass(frozen=True)
class Embedding(TermOptions):
    """Pull and push of pixel embeddings; wants decoder.embedding_dim above 0."""

    SOURCE: ClassVar[str] = "losses.embedding."

    pull_margin: NotNegative = 0.5
    """delta_v: pixels nearer than this to their entity's mean are not pulled."""
    push_margin: NotNegative = 1.5
    """delta_d: means farther apart than twice this are not pushed."""
    regularise: NotNegative = 0.001
    """gamma: pulls the means to the origin."""


@dataclass(frozen=True)
class Topology(TermOptions):
    """Soft clDice: the centre lines of thin entities, found whole."""

    SOURCE: ClassVar[str] = "losses.topology."

    weight: Weight = 0.5
    iterations: Annotated[int, Field(ge=1, le=64)] = 8
    """Pixels peeled off from each side: at least half the width of the widest crack."""


@dataclass(frozen=True)
class SetCriterion(TermOptions):
    """Pairs queries with entities, then objectness, mask cross-entropy, Dice and predicted IoU."""

    SOURCE: ClassVar[str] = "losses.set."

    objectness: NotNegative = 2.0
    """Weight of the entity-or-not cross-entropy, in the loss and in pairing."""
    bce: NotNegative = 5.0
    """Weight of the masks' cross-entropy, in the loss and in pairing."""
    dice: NotNegative = 5.0
    """Weight of the masks' Dice loss, in the loss and in pairing."""
    iou: NotNegative = 5.0
    """Weight of half the squared error of the predicted IoU."""
    no_object: NotNegative = 0.1
    """Weight of a query without entity against one with, in the objectness."""
    points: Count = 512
    """Points per mask at which it is compared."""
    oversample: Annotated[float, Field(ge=1)] = 3.0
    """Candidates per point, of which the most uncertain are taken."""
    importance: Share = 0.75
    """Share of the points taken for their uncertainty; the others are random."""


@dataclass(frozen=True)
class Partition(TermOptions):
    """Gaps and overlaps of the queries' masks."""

    SOURCE: ClassVar[str] = "losses.partition."

    weight: Weight = 0.5


@dataclass(frozen=True)
class PromptedMasks(TermOptions):
    """Focal loss and Dice, 20 to 1, of the masks that answer prompts, and how far their predicted IoUs are off."""

    SOURCE: ClassVar[str] = "losses.prompted."

    iou: NotNegative = 1.0
    """Weight of the squared error of the predicted IoU."""


@dataclass(frozen=True)
class Losses(Options):
    """The terms of the loss, by name: the decoder's own, changed or added to by what is said here."""

    SOURCE: ClassVar[str] = "losses."

    foreground: Foreground | None = None
    boundary_distance: BoundaryDistance | None = None
    centre_distance: CentreDistance | None = None
    boundary: Boundary | None = None
    embedding: Embedding | None = None
    topology: Topology | None = None
    set: SetCriterion | None = None
    partition: Partition | None = None
    prompted: PromptedMasks | None = None

    def options(self) -> dict[str, dict[str, Any]]:
        """Term name -> its options, of the terms that are in: what `adapters.losses.build_loss` takes."""
        return {name: term.options() for name, term in super().options().items() if term is not None}

    def check_decoder(self, decoder: Decoder) -> None:
        """Raises InputError for terms of outputs that the decoder does not give, and where none has a weight."""
        terms = self.options()
        for term in terms:
            if term not in POSSIBLE_TERMS[decoder.name]:
                fitting = next(name for name, possible in POSSIBLE_TERMS.items() if term in possible)
                raise InputError(f"losses.{term} wants decoder.name={fitting}; decoder.name is {decoder.name!r}")
        if "embedding" in terms and isinstance(decoder, Dense) and not decoder.embedding_dim:
            raise InputError("losses.embedding wants decoder.embedding_dim above 0, for instance 8")
        if POSSIBLE_TERMS[decoder.name] and not any(options["weight"] for options in terms.values()):
            raise InputError("every term of losses has weight 0; wanted one above 0")


TERMS = tuple(field.name for field in fields(Losses))
"""The names of all terms."""

OWN_TERMS = {
    "dense": ("foreground", "boundary_distance", "centre_distance", "boundary"),
    "query": ("set", "partition"),
    "memory": (),
    "sam": ("prompted",),
}
"""Decoder -> the terms that it is trained by unless the recipe says otherwise."""

POSSIBLE_TERMS = {**OWN_TERMS, "dense": (*OWN_TERMS["dense"], "embedding", "topology")}
"""Decoder -> the terms whose outputs it gives; none of one that learns by no gradient."""
