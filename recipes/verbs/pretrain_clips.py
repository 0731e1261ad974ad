"""The clips that a memory decoder learns from: generated ones with exact tracks, and pseudo-clips of generated
stills."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from adapters.training.clip_bank import Drawn
from domains.procedural.clips import draw_clip
from domains.procedural.dataset import ProceduralScenes
from domains.procedural.moving import moving_clip
from domains.procedural.still_clips import clip_of_still
from recipes.reading.pretrain_schema import PretrainRecipe

STRIDES = (1, 1, 2, 3)
"""Of the frames that are shown of a clip: things move as fast, and hide for as long, as in a faster camera's."""
AROUND_HIDDEN = 8
"""Frames before and after a full occlusion, which a clip of one wants at least."""
MOST_HIDDEN = 16
CLIPS = 7
"""Beside a seed and a number: clips of other uses have other seeds."""


def clips_of(recipe: PretrainRecipe, seed: int) -> Callable[[int], Drawn]:
    """Clips by number, of a seed, of the kinds and in the shares that `memory.clips` says."""
    assert recipe.memory is not None
    kinds = list(recipe.memory.clips)
    shares = np.array([recipe.memory.clips[kind] for kind in kinds]) / sum(recipe.memory.clips.values())
    frames, size = recipe.memory.drawn_frames, recipe.scenes.crop_px
    stills = ProceduralScenes(recipe.scenes.families, 2**31, seed, recipe.scenes.size_px)

    def draw(number: int) -> Drawn:
        rng = np.random.default_rng((seed, number, CLIPS))
        kind = str(rng.choice(kinds, p=shares))
        stride = int(rng.choice(STRIDES))
        key, length = (seed, number, CLIPS, 1), frames * stride
        if kind == "moving":
            clip = moving_clip(np.random.default_rng(key), length, size, size)
            return Drawn(clip.images[::stride], clip.ids[::stride], clip.parents)
        if kind == "stills":
            still = clip_of_still(stills[number], key, frames, size, size)
            return drawn([still.frame(index) for index in range(frames)], {})
        longest = min(length - AROUND_HIDDEN, MOST_HIDDEN)
        hidden = int(rng.integers(1, longest + 1)) if kind == "occlusion" else None
        scene = draw_clip(kind, key, length, size, size, hidden)
        return drawn([scene.frame(index) for index in range(0, length, stride)], dict(scene.parents))

    return draw


def drawn(frames: Sequence[tuple[np.ndarray, np.ndarray]], parents: dict[int, int]) -> Drawn:
    """A clip of its frames."""
    images, ids = zip(*frames, strict=True)
    return Drawn(np.stack(images), np.stack(ids), parents)
