"""SAM's prompts: one embedding of an image, and masks of as many points and boxes as one likes.

Kirillov et al., https://arxiv.org/abs/2304.02643. The weights are those of the `SamModel` that the backbone keeps whole
around its encoder; an adapter of the encoder has its effect here too. The image is resized to 1,024 px on its longer
side and padded, prompts and masks go the same way and back, as in the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from adapters.backbones.backbone import Backbone
from adapters.backbones.sam import SamBackbone
from adapters.decoders.two_way import Decoded, TwoWay
from adapters.proposals.automatic import stability
from adapters.proposals.mask_set import Bits, MaskSet
from domains.errors import InputError

PROMPTS_AT_ONCE = 4
"""Some 40 MB each; on a processor more at once take longer, as they leave the cache."""
PARTS = ("prompt_encoder", "mask_decoder")


class Promptable:
    """SAM on a backbone: `set_image` embeds an image, whose `predict` takes prompts; on the backbone's own device.

    autocast: the context in which the encoder runs; masks are made in single precision, as their thresholds are fine.
    Raises InputError for a backbone that is no SAM, or whose files lack the prompt encoder or the mask decoder.
    """

    def __init__(self, backbone: Backbone, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        if not isinstance(backbone, SamBackbone):
            raise InputError(
                f"prompts want a SAM, such as facebook/sam-vit-base; {backbone.name} is of the family {backbone.family}"
            )
        if absent := [name for name in backbone.absent if name.startswith(PARTS)]:
            raise InputError(
                f"{backbone.name} lacks {len(absent)} tensors of SAM's prompt encoder and mask decoder, such as "
                f"{absent[0]}; give the complete model"
            )
        self.backbone = backbone.eval()
        self.autocast = autocast

    @property
    def side_px(self) -> int:
        """The longer side of the images that the network sees."""
        return self.backbone.vision_config.image_size

    @torch.no_grad()
    def set_image(self, image: np.ndarray) -> PromptableImage:
        """The embedding of an image (H, W, 3) uint8, ready for prompts."""
        backbone, (height, width) = self.backbone, image.shape[:2]
        size = rows, columns = input_size((height, width), self.side_px)
        pixels = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        placed = backbone.mean.expand(-1, self.side_px, self.side_px).clone()  # zero once it is normalised
        placed[:, :rows, :columns] = torch.from_numpy(pixels).permute(2, 0, 1).to(placed) / 255
        with self.autocast():
            prefix = backbone.prefix(placed[None], backbone.depth)
            embedding = backbone.neck(backbone.spatial(prefix.tokens, 0, 0))
        embedded = PromptableImage(backbone.model, embedding.float(), (height, width), size)
        embedded.seen = placed[None], prefix.features
        return embedded


class PromptableImage:
    """An image that was embedded. shape: (H, W) as it came; size: (h, w) as the network saw it, without padding; seen:
    what it saw, (1, 3, side, side), and the backbone's features of that, for another decoder on them.
    """

    seen: tuple[Tensor, list[Tensor]]

    def __init__(self, model: Any, embedding: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> None:
        self.model = model
        self.embedding = embedding  # (1, C, h, w)
        self.shape = shape
        self.size = size
        self.side_px = model.config.prompt_encoder_config.image_size
        dense = model.prompt_encoder.no_mask_embed.weight[0]
        with torch.no_grad():
            self.decoder = TwoWay(model.mask_decoder, embedding, model.get_image_wide_positional_embeddings(), dense)

    @torch.no_grad()
    def candidates(
        self,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
        several: bool = True,
        least_iou: float = float("-inf"),
    ) -> Iterator[Decoded]:
        """Masks as logits of a quarter of the network's side, batch by batch; of which prompt says `prompts`.

        As `predict`; without those whose predicted IoU is not above the least.
        """
        count = len(points if points is not None else boxes if boxes is not None else ())
        for start in range(0, count, PROMPTS_AT_ONCE):
            batch = slice(start, start + PROMPTS_AT_ONCE)
            chosen = [None if table is None else table[batch] for table in (points, labels, boxes)]
            decoded = self.decoder(self.embedded(*chosen), several, least_iou)
            yield decoded._replace(prompts=decoded.prompts + start)

    def embedded(self, points: np.ndarray | None, labels: np.ndarray | None, boxes: np.ndarray | None) -> Tensor:
        """(P, n, C) of prompts: points (P, n, 2) with labels (P, n), and boxes (P, 4)."""
        scale = torch.tensor([self.size[1] / self.shape[1], self.size[0] / self.shape[0]], dtype=torch.float64)
        tables: list[Tensor | None] = [None, None, None]
        device = self.embedding.device
        if points is not None:
            marks = np.ones(points.shape[:2]) if labels is None else labels
            tables[0] = (torch.from_numpy(np.asarray(points, np.float64)) * scale)[None].to(device)
            tables[1] = torch.from_numpy(np.asarray(marks, np.int32))[None].to(device)
        if boxes is not None:
            corners = torch.from_numpy(np.asarray(boxes, np.float64)) * scale.repeat(2)
            tables[2] = corners[None].to(device)
        return self.model.prompt_encoder(*tables, None)[0][0]

    def predict(
        self,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
        several: bool = True,
    ) -> MaskSet:
        """The masks of P prompts, of the size of the image: three of each, finer and coarser; without `several` one.

        points: (P, n, 2) x and y in pixels, from the upper left; labels: (P, n), 1 inside the entity, 0 outside, -1 no
        point; all inside by default. boxes: (P, 4) x0, y0, x1, y1. With both, a prompt is a box and its points. Row i
        of the result is mask i % 3 of prompt i // 3. Raises ValueError for other shapes.
        """
        check_prompts(points, labels, boxes)
        bits, measures = [], []
        for decoded in self.candidates(points, labels, boxes, several):
            columns = (decoded.ious.tolist(), decoded.prompts.tolist(), decoded.levels.tolist())
            for logits, *row in zip(decoded.logits, *columns, strict=True):
                field = self.upsampled(logits)
                bits.append(Bits.of((field > 0).cpu().numpy()))
                measures.append((row[0], stability(field), *row[1:]))
        ious, stabilities, prompts, levels = np.array(measures).reshape(-1, 4).T
        return MaskSet.of_bits(self.shape, bits, ious, stabilities, prompts, levels)

    @torch.no_grad()
    def features(self, points: np.ndarray) -> np.ndarray:
        """(P, C) of the embedding at points (P, 2), x and y in pixels, between its cells bilinearly."""
        scale = np.array(self.size[::-1]) / self.shape[::-1] / self.side_px
        places = torch.from_numpy(2 * points * scale - 1).to(self.embedding)[None, None]  # in [-1, 1]
        sampled = F.grid_sample(self.embedding, places, padding_mode="border", align_corners=False)
        return sampled[0, :, 0].mT.cpu().numpy()

    @torch.no_grad()
    def upsampled(self, logits: Tensor) -> Tensor:
        """(H, W) logits of the image of logits (h, w) of the padded input, by two bilinear steps as in the original."""
        field = F.interpolate(logits[None, None], (self.side_px, self.side_px), mode="bilinear", align_corners=False)
        field = field[..., : self.size[0], : self.size[1]]
        if self.size == self.shape:  # a resize to the same size changes nothing
            return field[0, 0]
        return F.interpolate(field, self.shape, mode="bilinear", align_corners=False)[0, 0]


def input_size(shape: tuple[int, int], side_px: int) -> tuple[int, int]:
    """(h, w) to which an image (H, W) is resized: its longer side becomes side_px, halves are rounded up."""
    scale = side_px / max(shape)
    return int(shape[0] * scale + 0.5), int(shape[1] * scale + 0.5)


def check_prompts(points: np.ndarray | None, labels: np.ndarray | None, boxes: np.ndarray | None) -> None:
    """Raises ValueError for prompts of no or of different numbers, or of other shapes."""
    shapes: dict[str, tuple[int, ...]] = {
        name: table.shape
        for name, table in (("points", points), ("labels", labels), ("boxes", boxes))
        if table is not None
    }
    rows = shapes.get("points"), shapes.get("boxes")
    fits = any(rows) and len({shape[0] for shape in rows if shape}) == 1
    fits = fits and (rows[0] is None or rows[0][2:] == (2,)) and (rows[1] is None or rows[1][1:] == (4,))
    fits = fits and ("labels" not in shapes or (rows[0] is not None and shapes["labels"] == rows[0][:2]))
    if not fits:
        raise ValueError(f"wanted points (P, n, 2), labels (P, n) of them, boxes (P, 4), or some; got {shapes}")
