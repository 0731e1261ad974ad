"""Options of the memory decoder, which carries entities from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from adapters.options.ranges import NotNegative
from adapters.options.section import Options
from domains.errors import suggest

CLIPS = ("moving", "crossing", "occlusion", "births", "exits", "division", "stills")
"""Kinds of clips: things that move at random; clips in which one thing happens for sure; and a camera over a still."""

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra={"wanted": "64 hexadecimal digits"})]

LEAST_HIDING = 9
"""Frames of a clip in which something is fully hidden for one."""


def known_clips(clips: dict[str, float]) -> dict[str, float]:
    """Weights of kinds of clips. Raises ValueError for a kind that there is not, and where none has a weight."""
    for kind in clips:
        if kind not in CLIPS:
            raise ValueError(f"no kind of clip is called {kind!r}; {suggest(kind, CLIPS)}")
    if not any(clips.values()):
        raise ValueError("every kind of clip has weight 0; wanted one above 0")
    return clips


@dataclass(frozen=True)
class MemoryOptions(Options):
    """The size of a memory decoder, and the clips that it learns from."""

    SOURCE: ClassVar[str] = "memory."

    width: Annotated[int, Field(ge=32, le=256, multiple_of=16)] = 96
    """Channels of a slot; a multiple of `heads`."""
    layers: Annotated[int, Field(ge=1, le=6)] = 2
    """Layers in which slots attend to each other, to their memories and to the frame."""
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Attention heads."""
    frames: Annotated[int, Field(ge=1, le=32)] = 7
    """Frames in the memory of a slot: the last in which it was seen."""
    clips: Annotated[dict[str, NotNegative], Field(min_length=1), AfterValidator(known_clips)] = field(
        default_factory=lambda: dict.fromkeys(CLIPS, 1.0)
    )
    """Weight of each kind of clip to learn from; `stills` are of `scenes.families`."""
    drawn_frames: Annotated[int, Field(ge=2, le=64)] = 10
    """Frames of a clip that is drawn to learn from."""
    clip_frames: Annotated[int, Field(ge=2, le=16)] = 5
    """Frames of it that are looked at at a time; between two of them up to `most_gap` are left out."""
    most_gap: Annotated[int, Field(ge=0, le=16)] = 3
    """Most frames left out between two that are looked at: so hiding for long is learnt from short clips."""

    def check_agreement(self) -> None:
        """Raises InputError where the heads do not share the width evenly, and for clips too short to hide in."""
        if self.width % self.heads:
            raise self.wrong("heads", f"wanted it to divide memory.width, which is {self.width}")
        if self.clips.get("occlusion") and self.drawn_frames < LEAST_HIDING:
            raise self.wrong("drawn_frames", f"wanted at least {LEAST_HIDING} where memory.clips has occlusion")


@dataclass(frozen=True, kw_only=True)
class MemoryInfo(Options):
    """What the memory decoder of an adapter is, short of its weights (`adapters follow`)."""

    SOURCE: ClassVar[str] = "memory."

    width: Annotated[int, Field(ge=32, le=256, multiple_of=16)]
    layers: Annotated[int, Field(ge=1, le=6)]
    heads: Annotated[int, Field(ge=1, le=16)]
    frames: Annotated[int, Field(ge=1, le=32)]
    cells: Annotated[int, Field(ge=1, le=1024)]
    """Channels of what the base's prompt decoder sees of a frame."""
    dense: Hex
    """SHA-256 of the file of the base's general dense decoder, on which the prompt decoder stands."""
    prompts: Hex
    """SHA-256 of the file of the base's prompt decoder."""

    def check_agreement(self) -> None:
        """Raises InputError where the heads do not share the width evenly."""
        if self.width % self.heads:
            raise self.wrong("heads", f"wanted it to divide memory.width, which is {self.width}")

    @property
    def sizes(self) -> MemoryOptions:
        """The options of a decoder of that size."""
        return MemoryOptions(width=self.width, layers=self.layers, heads=self.heads, frames=self.frames)
