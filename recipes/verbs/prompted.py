"""Entities of an image by prompts, a user's or a decoder's, by a grid of points, or by E-SAM; flat maps for exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.decoders.promptable import Promptable, PromptableImage
from adapters.proposals.automatic import AutomaticMasks
from adapters.proposals.esam import WHOLE, ESam, roots_first
from adapters.proposals.mask_set import MaskSet, mask_nms
from adapters.proposals.nested_prompts import ENTITIES, nested_masks
from adapters.proposals.prompted import PromptedMasks
from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.formats.prompts import Prompt
from domains.scenes import Scene
from domains.tiling.grid import Window
from recipes.verbs.decoder_prompts import DecoderPrompts

Read = Callable[[Window], np.ndarray]
"""A window to its (h, w, 3) uint8 image."""
WINDOWS = 2
"""Prompts of an image whose longer side is more than so many times the network's are seen in windows."""


@dataclass(frozen=True)
class PromptedEntities:
    """What finds entities by prompts. window_px: side of the windows in which prompts are seen, 0 for the whole image,
    None for the network's own side where the image is much larger. granularity: of points, and of E-SAM's forest, from
    0, the wholes, to 1, the finest parts; None where it is not said. decoder: whose entities are prompts, where there
    is one.
    """

    promptable: Promptable
    window_px: int | None = None
    granularity: float | None = None
    decoder: DecoderPrompts | None = None

    def of_prompts(self, read: Read, shape: tuple[int, int], prompts: Sequence[Prompt]) -> EntityMap:
        """Of each prompt, in pixels of an image (H, W), its surest mask, of a box its single one; see `painted`."""
        return painted(self.masks_of(read, shape, prompts))

    def forest_of_prompts(
        self, read: Read, shape: tuple[int, int], prompts: Sequence[Prompt]
    ) -> tuple[EntityMap, EntityForest]:
        """The map of `of_prompts`, and the forest of all masks of the prompts, three of those without a box."""
        masks = self.masks_of(read, shape, prompts, every=True)
        entities = painted(masks.take(surest_of(masks)))
        return entities, nested_masks(entities, masks)

    def of_decoder(self, scene: Scene, read: Read) -> EntityMap:
        """The surest mask of a point in each entity that the decoder finds, without those that are nearly the same."""
        decoder, proposed = self.decoder, PromptedMasks()
        assert decoder is not None
        if decoder.in_one_pass(scene):
            embedded = self.promptable.set_image(np.ascontiguousarray(read(Window(0, 0, *scene.shape))))
            return painted(proposed.masks(embedded, decoder.on_embedding(embedded)))
        return painted(proposed.apart(self.masks_of(read, scene.shape, self.prompts_on(scene))))

    def forest_of_decoder(self, scene: Scene, read: Read) -> tuple[EntityMap, EntityForest]:
        """The map of `of_decoder`, and the forest of all masks of its points."""
        decoder, proposed = self.decoder, PromptedMasks()
        assert decoder is not None
        if decoder.in_one_pass(scene):
            embedded = self.promptable.set_image(np.ascontiguousarray(read(Window(0, 0, *scene.shape))))
            masks = embedded.predict(decoder.on_embedding(embedded)[:, None])
        else:
            masks = self.masks_of(read, scene.shape, self.prompts_on(scene), every=True)
        entities = painted(proposed.apart(masks.take(surest_of(masks))))
        return entities, nested_masks(entities, apart(masks))

    def prompts_on(self, scene: Scene) -> list[Prompt]:
        """A point in each entity that the decoder finds on a scene."""
        assert self.decoder is not None
        label = np.ones(1, np.int32)
        return [Prompt(f"entity {i}", point[None], label) for i, point in enumerate(self.decoder.on_scene(scene), 1)]

    def masks_of(self, read: Read, shape: tuple[int, int], prompts: Sequence[Prompt], every: bool = False) -> MaskSet:
        """The masks of `of_prompts`, in the order of the prompts; with `every` all masks of each prompt."""
        sets = [MaskSet.of([], shape=shape)]
        for window, numbers in self.windows(shape, prompts):
            image = self.promptable.set_image(read(window))
            for batch in alike(prompts, numbers):
                answers = asked(image, [prompts[i] for i in batch], window, self.granularity)
                answers.prompts[:] = np.repeat(batch, len(answers) // len(batch))
                answers = answers if every else answers.take(surest_of(answers))
                sets.append(answers.placed(window.y, window.x, shape))
        masks = MaskSet.joined(sets)
        return masks.take(np.argsort(masks.prompts, kind="stable"))

    def windows(self, shape: tuple[int, int], prompts: Sequence[Prompt]) -> Iterator[tuple[Window, list[int]]]:
        """Windows of the image, and the numbers of the prompts that are seen in each: in the middle of one, or, where a
        box or its points are larger, in a window around them.
        """
        side = self.window_px
        if side is None:
            side = self.promptable.side_px if max(shape) > WINDOWS * self.promptable.side_px else 0
        if not side or max(shape) <= side:
            if prompts:
                yield Window(0, 0, *shape), list(range(len(prompts)))
            return
        cells: dict[Window, list[int]] = {}
        for number, prompt in enumerate(prompts):
            cells.setdefault(window_of(prompt.corners, side, shape), []).append(number)
        yield from cells.items()

    def of_grid(self, image: np.ndarray, way: str) -> EntityMap:
        """The entities of an image (H, W, 3) uint8 without prompts; way: `automatic` or `esam`."""
        if way == "automatic":
            return painted(self.automatic(image))
        return self.esam(image).cut(WHOLE if self.granularity is None else self.granularity)

    def forest_of_grid(self, image: np.ndarray, way: str) -> tuple[EntityMap, EntityForest, float]:
        """The map of `of_grid`, the forest that it is a cut of, and the granularity of that cut: of `automatic` all
        masks as parts and groups of the entities, of `esam` its own.
        """
        if way == "automatic":
            masks = self.automatic(image)
            entities = painted(masks)
            return entities, nested_masks(entities, masks), ENTITIES
        forest = self.esam(image)
        return forest.cut(WHOLE), forest, WHOLE

    def automatic(self, image: np.ndarray) -> MaskSet:
        """Automatic masks of an image (H, W, 3) uint8."""
        return AutomaticMasks(**self.promptable.sure._asdict()).masks(self.promptable, image)

    def esam(self, image: np.ndarray) -> EntityForest:
        """E-SAM's forest of an image (H, W, 3) uint8, the entities first."""
        return roots_first(ESam().forest(image, self.promptable.set_image(image)))


def apart(masks: MaskSet) -> MaskSet:
    """Masks that are not empty, without those that are nearly a surer one."""
    masks = masks.take(masks.areas > 0)
    return masks.take(mask_nms(masks, PromptedMasks.most_overlap))


def asked(
    image: PromptableImage, prompts: Sequence[Prompt], window: Window, granularity: float | None = None
) -> MaskSet:
    """The masks, three or one, of each of some prompts that are alike, of the image of a window; they are in pixels of
    the scene.
    """
    corner = np.array([window.x, window.y])
    points = labels = boxes = None
    if len(prompts[0].points):
        points = np.stack([prompt.points - corner for prompt in prompts])
        labels = np.stack([prompt.labels for prompt in prompts])
    if prompts[0].box is not None:
        boxes = np.stack([prompt.box - np.tile(corner, 2) for prompt in prompts if prompt.box is not None])
    return image.predict(points, labels, boxes, several=boxes is None, granularity=granularity)


def surest_of(masks: MaskSet) -> np.ndarray:
    """The number of each prompt's mask of the greatest predicted IoU, by prompt; of equal ones the finer."""
    order = np.lexsort((-masks.scores, masks.prompts))
    return order[np.unique(masks.prompts[order], return_index=True)[1]]


def window_of(corners: np.ndarray, side: int, shape: tuple[int, int]) -> Window:
    """The window of an image (H, W) in which corners (K, 2), x and y, are seen: of a lattice of half the side, so that
    many prompts share one; twice as large as the corners are apart where that is more.
    """
    low, high = corners.min(0), corners.max(0)
    side = max(side, int(np.ceil(2 * (high - low).max())))
    step = max(side // 2, 1)
    at = np.floor((low + high) / 2 / step).astype(int) * step - side // 4
    x, y = np.clip(at, 0, np.maximum(np.array(shape[::-1]) - side, 0)).tolist()
    return Window(y, x, min(side, shape[0] - y), min(side, shape[1] - x))


def alike(prompts: Sequence[Prompt], numbers: Sequence[int]) -> list[list[int]]:
    """The numbers of prompts in groups of as many points each, with a box or without."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for number in numbers:
        groups.setdefault((len(prompts[number].points), prompts[number].box is None), []).append(number)
    return list(groups.values())


def painted(masks: MaskSet) -> EntityMap:
    """One map of masks that may overlap, the smaller on top; numbers follow the masks' order, and what is hidden whole
    is dropped. An entity's score is its predicted IoU, within [0, 1].
    """
    ids = np.zeros(masks.shape, np.int32)
    for number in np.argsort(-masks.areas, kind="stable").tolist():
        down, across, crop = masks.pixels(number)
        ids[down, across][crop] = number + 1
    return EntityMap.from_ids(ids, np.clip(masks.scores, 0, 1))
