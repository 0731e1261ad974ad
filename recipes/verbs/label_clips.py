"""The clips that an adapter learns to follow entities from: pseudo-clips of its labelled images, as it sees their
frames, and generated ones against forgetting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adapters.inference.contract import InputContract
from adapters.inference.segment import segment
from adapters.network import EntitySegmenter
from adapters.options.ranges import SCALES
from adapters.training.clip_bank import Drawn
from domains.entities import EntityMap, EntitySample, Place, Samples
from domains.entities.resize import resize_sample
from domains.procedural.pasted_clips import PastedClip, clip_of_labels
from domains.scenes.images import as_rgb
from recipes.reading.compose import load_any
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.verbs.pretrain_clips import clips_of

FRAME_PX, FRAMES = 128, 12
CROP_PX = 160
"""Of a still, over which the camera moves: a pixel of a frame is then about one of the still."""
TRIES = 8
"""To come upon an image that has entities."""
GENERATED = 0.5
"""Share of generated clips among those of training: nothing divides in a pseudo-clip, and little hides for long."""
LABELS = 11
"""Beside a seed and a number: clips of other uses have other seeds."""
Draw = Callable[[int], Drawn]


def clips_of_labels(
    samples: Samples, segmenter: EntitySegmenter, contract: InputContract, side_px: int, seed: int
) -> Draw:
    """Pseudo-clips by number, with what an adapter finds in their frames. side_px: the longer side at which the memory
    decoder sees a frame, to which larger images are reduced.
    """

    def draw(number: int) -> Drawn:
        rng = np.random.default_rng((seed, number, LABELS))
        still = still_of(samples, rng, side_px)
        frames = frames_of(clip_of_labels(still, (seed, number, LABELS, 1), FRAMES, FRAME_PX, FRAME_PX))
        size = frame_pixel_size(still.place.pixel_size_m, contract)
        proposals = [entities_in(image, size, segmenter, contract) for image, _ in frames]
        images, ids = (np.stack(planes) for planes in zip(*frames, strict=True))
        return Drawn(np.stack([as_rgb(image) for image in images]), ids, {}, np.stack(proposals))

    return draw


def mixed(of_labels: Draw, seed: int) -> Draw:
    """Clips by number, of which a share is generated, as `pretrain --recipe pretrain_video` draws them."""
    recipe = load_any("pretrain_video")
    assert isinstance(recipe, PretrainRecipe)
    generated = clips_of(recipe, seed)

    def draw(number: int) -> Drawn:
        is_generated = np.random.default_rng((seed, number, LABELS, 2)).random() < GENERATED
        return generated(number) if is_generated else of_labels(number)

    return draw


def still_of(samples: Samples, rng: np.random.Generator, side_px: int) -> EntitySample:
    """A crop of a labelled image around a pixel of an entity, at the scale at which clips are looked at."""
    sample = samples[int(rng.integers(len(samples)))]
    for _ in range(TRIES):
        if sample.truth.count:
            break
        sample = samples[int(rng.integers(len(samples)))]
    sample = resize_sample(sample, min(1.0, side_px / max(sample.truth.shape)))
    rows, columns = np.nonzero(sample.truth.ids > 0)
    height, width = sample.truth.shape
    index = int(rng.integers(max(len(rows), 1)))
    middle = (rows[index], columns[index]) if len(rows) else (height // 2, width // 2)
    y, x = (
        int(np.clip(at - CROP_PX // 2, 0, max(side - CROP_PX, 0)))
        for at, side in zip(middle, (height, width), strict=True)
    )
    image = sample.image[y : y + CROP_PX, x : x + CROP_PX]
    truth: EntityMap = sample.truth.crop(y, x, CROP_PX, CROP_PX)
    return EntitySample(np.ascontiguousarray(image), (truth,), replace(sample.place, georeference=None))


def frames_of(clip: PastedClip) -> list[tuple[np.ndarray, np.ndarray]]:
    """Image and map of every frame."""
    return [clip.frame(index) for index in range(len(clip))]


def frame_pixel_size(size_m: float | None, contract: InputContract) -> float | None:
    """The pixel size of frames, in metres, such that the adapter can be shown them; None where nobody says one."""
    if size_m is None or contract.pixel_size_m is None:
        return None
    smallest, largest = (limit * contract.pixel_size_m / contract.scale for limit in SCALES)
    return float(np.clip(size_m, smallest * 1.001, largest * 0.999))


def entities_in(
    image: np.ndarray, pixel_size_m: float | None, segmenter: EntitySegmenter, contract: InputContract
) -> np.ndarray:
    """(H, W) int32 of the entities that an adapter finds in a frame."""
    frame = EntitySample(image, (), Place("frame", pixel_size_m=pixel_size_m))
    return segment(segmenter, contract.photograph(frame), contract).ids
