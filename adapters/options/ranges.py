"""Types of options with their ranges, for those that stand in more than one section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from domains.options import Count as Count
from domains.options import Natural as Natural
from domains.options import PixelSize as PixelSize
from domains.options import Share as Share

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Blocks = Annotated[tuple[Count, ...], Strict(False), Field(min_length=1)]
"""Numbers of a backbone's blocks, from 1."""

SCALES = (1 / 64, 16)
CROP_PX, TILE_PX, WINDOW_PX = (16, 4096), (16, 8192), (16, 2048)
"""The least and the most."""
Scale = Annotated[float, Field(ge=SCALES[0], le=SCALES[1])]
CropSide = Annotated[int, Field(ge=CROP_PX[0], le=CROP_PX[1])]
TileSide = Annotated[int, Field(ge=TILE_PX[0], le=TILE_PX[1])]
WindowSide = Annotated[int, Field(ge=WINDOW_PX[0], le=WINDOW_PX[1])]
Symmetries = Annotated[int, Field(ge=1, le=8)]
TestScales = Annotated[
    tuple[Annotated[float, Field(ge=0.25, le=4)], ...], Strict(False), Field(min_length=1, max_length=4)
]
