"""How entities of a clip's frames become tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapters.options.ranges import Natural, Share
from adapters.options.section import Options

Memory = Annotated[int, Field(ge=0, le=1000)]
Weight = Annotated[float, Field(ge=0, le=10)]


@dataclass(frozen=True)
class TrackingOptions(Options):
    """The options of a tracker."""

    SOURCE: ClassVar[str] = "tracking."

    name: str


@dataclass(frozen=True)
class Keyframes(TrackingOptions):
    """Of trackers that take any frame's entities: whether the network sees all frames, or optical flow carries its
    entities from one keyframe to the next."""

    # as descriptions: pydantic reads sentences below fields of the class itself alone, not of those that inherit it
    realtime: Annotated[bool, Field(description="The network sees keyframes alone (`--realtime`).")] = False
    keyframe_frames: Annotated[
        int, Field(ge=1, le=64, description="With realtime, of so many frames one is a keyframe at least.")
    ] = 4
    keyframe_change: Annotated[
        Share,
        Field(
            description="With realtime, share of a frame's pixels that the last keyframe does not explain, from which "
            "on that frame is one too."
        ),
    ] = 0.1


@dataclass(frozen=True)
class Motion(Keyframes):
    """By where an entity is expected at its velocity, what it looks like, and its size; with a memory for what is
    hidden, divisions and merges."""

    name: Literal["motion"] = "motion"
    memory_frames: Memory = 30
    """So many frames an entity may be hidden and keeps its id; one that was visible in few frames, five times as long
    as it was."""
    position: Weight = 0.5
    """Weight of where an entity is: the overlap of its mask, moved on at its velocity, else the distance."""
    likeness: Weight = 0.3
    """Weight of how alike the colours of two entities are, and the backbone's features over them."""
    size: Weight = 0.2
    """Weight of the ratio of areas."""
    most_cost: Share = 0.5
    """Weighted mean of the three costs from which on two entities are not the same."""
    reach: Annotated[float, Field(gt=0, le=20)] = 1.0
    """How far an entity may be from where it is expected, in its own sizes (roots of its area)."""
    divisions: bool = True
    """A mother whose mask two daughters take over ends, and they begin, as cells do; false: the larger keeps the id."""
    least_daughter: Annotated[float, Field(ge=0.05, le=0.5)] = 0.25
    """Area of the smaller daughter as a share of the mother's."""


@dataclass(frozen=True)
class Overlap(Keyframes):
    """The plain baseline: an entity of the frame before that it overlaps enough, or a new one."""

    name: Literal["iou"] = "iou"
    least_iou: Share = 0.3
    """Intersection over union of the two masks, where they are."""


@dataclass(frozen=True)
class Nearest(Keyframes):
    """The classical baseline: the nearest centroid of the frame before, or a new entity."""

    name: Literal["nearest"] = "nearest"
    most_px: Natural = 50
    """Distance of the two centroids, in pixels of the frame."""


@dataclass(frozen=True)
class MemoryTracking(TrackingOptions):
    """By a trained memory decoder, whose slots follow entities by what they look like and where they would be."""

    name: Literal["memory"] = "memory"
    base: str = "entity-small"
    """The base whose memory decoder it is, an embedded one or a folder; it looks at each frame beside the adapter."""
    side_px: Annotated[int, Field(ge=64, le=2048)] = 384
    """Larger frames are looked at at this longer side; their entities stay as fine as they are."""
    memory_frames: Memory = 30
    """So many frames an entity may be hidden and keeps its id; one that was visible in few frames, five times as long
    as it was."""
    paint: bool = True
    """What the network misses in a frame and a slot sees is painted by the slot, where no entity lies."""
    least_score: Share = 0.95
    """Of being visible, from which on a slot paints."""
    divisions: bool = True
    """A mother that two proposals are taken for the daughters of ends, and they begin (cells)."""


@dataclass(frozen=True)
class Sam2Tracking(TrackingOptions):
    """By SAM 2, which carries each entity's mask from frame to frame by its memory; wants its weights, and better a
    GPU."""

    name: Literal["sam2"] = "sam2"
    weights: str = "facebook/sam2.1-hiera-tiny"
    """A Hub id, or a folder with config.json and model.safetensors, of a SAM 2 of videos (`sam2_video`)."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id."""
    side_px: Annotated[int, Field(ge=64, le=1024, multiple_of=32)] | None = None
    """SAM 2 sees every frame as a square of this side; null: its own (1,024), at which it is best. The time goes with
    its fourth power at most."""
    outlines: Literal["propagated", "proposed"] = "propagated"
    """An entity's outline is the one that SAM 2 propagates, or the network's, where the network finds it too."""
    least_iou: Share = 0.5
    """Intersection over union with a propagated mask from which on an entity of the network is the same."""
    least_free: Share = 0.5
    """Share of an entity's pixels that no propagated mask covers, from which on it is a new one."""
    memory_frames: Memory = 30
    """So many frames an entity may be hidden and keeps its id; one that was visible in few frames, five times as long
    as it was."""
    most_slots: Annotated[int, Field(ge=1, le=256)] = 100
    """Entities that are followed at once, each in 3.6 MiB of memory: for more, those hidden for longest end, then the
    largest are followed."""


Tracking = Annotated[Motion | Overlap | Nearest | MemoryTracking | Sam2Tracking, Field(discriminator="name")]
