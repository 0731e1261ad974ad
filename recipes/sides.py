"""Sides of crops, tiles and windows that a backbone takes: whole patches, rounded where a recipe says others.

A recipe is written for one backbone and fitted on many, whose patches are 8, 14 or 16 px wide. What decides is the
backbone that was built, be it from the Hub, a folder or a checkpoint. The adapter stores the rounded sides.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from adapters.options.ranges import CROP_PX, TILE_PX, WINDOW_PX
from domains.errors import InputError
from recipes.inputs import Asked
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe

if TYPE_CHECKING:
    from adapters.backbones import Backbone

CELL_PX = 8
"""A cell of the dense decoder's coarsest grid."""
RANGES = {"crop_px": CROP_PX, "tile_px": TILE_PX, "window_px": WINDOW_PX}


def multiple_of(stride: int) -> int:
    """What a side is a multiple of: of the backbone's patch and of the decoder's coarsest cell."""
    return math.lcm(CELL_PX, stride)


def nearest(length: int, multiple: int, smallest: int, largest: int) -> int:
    """The nearest multiple from `smallest` to `largest`, of two the larger."""
    rounded = (2 * length + multiple) // (2 * multiple) * multiple
    return min(max(rounded, -(-smallest // multiple) * multiple), largest // multiple * multiple)


def on_patches(recipe: Recipe, backbone: Backbone) -> Recipe:
    """The recipe with the nearest sides that the backbone takes; a line on standard error says what was rounded."""
    domain, multiple = recipe.domain, multiple_of(backbone.stride)
    sides = {name: getattr(domain, name) for name in RANGES if getattr(domain, name) is not None}
    rounded = {name: nearest(length, multiple, *RANGES[name]) for name, length in sides.items()}
    if rounded["tile_px"] <= domain.overlap_px:  # rounded down below its overlap
        rounded["tile_px"] += multiple
    moved = {f"domain.{name}": (sides[name], side) for name, side in rounded.items() if side != sides[name]}
    tell_rounded(backbone.name, backbone.stride, moved)
    return replace(recipe, domain=replace(domain, **rounded))


def crops_on_patches(recipe: PretrainRecipe) -> PretrainRecipe:
    """The recipe of a pretraining with the nearest side of a crop that its ViT takes, which is told."""
    scenes, stride = recipe.scenes, recipe.vit.patch_px
    side = nearest(scenes.crop_px, multiple_of(stride), *CROP_PX)
    if side != scenes.crop_px:
        tell_rounded("vit", stride, {"scenes.crop_px": (scenes.crop_px, side)})
    return replace(recipe, scenes=replace(scenes, crop_px=side))


def window_on_patches(asked: Asked, backbone: Backbone) -> Asked:
    """What a user asks for, with the nearest window that the backbone takes, which is told; 0 is none."""
    window = asked.window_px
    if not window or not WINDOW_PX[0] <= window <= WINDOW_PX[1]:
        return asked  # out of range is refused where all options are checked
    side = nearest(window, multiple_of(backbone.stride), *WINDOW_PX)
    tell_rounded(backbone.name, backbone.stride, {"--window": (window, side)} if side != window else {})
    return replace(asked, window_px=side)


def tell_rounded(name: str, stride: int, moved: Mapping[str, tuple[int, int]]) -> None:
    """moved: option -> (as it was, as it is now)."""
    if moved:
        why = f"has patches of {stride} px, the decoder cells of {CELL_PX}, so sides are multiples of"
        moves = ", ".join(f"{option} {was} -> {now}" for option, (was, now) in moved.items())
        print(f"rounded: {name} {why} {multiple_of(stride)}: {moves}", file=sys.stderr)


def check_sides(recipe: Recipe, backbone: Backbone) -> None:
    """Raises InputError for a crop or a window that the network does not take: `on_patches` was not asked."""
    multiple = multiple_of(backbone.stride)
    for option, length in (("crop_px", recipe.domain.crop_px), ("window_px", recipe.domain.window_px or 0)):
        if length % multiple:
            raise InputError(
                f"domain.{option} is {length}; {backbone.name} has a stride of {backbone.stride} px and wants a "
                f"multiple of {multiple}: set it to {nearest(length, multiple, *RANGES[option])}"
            )
