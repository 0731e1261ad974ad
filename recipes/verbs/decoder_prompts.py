"""Entities of a fitted dense decoder as prompts of the base under it: its masks in place of the decoder's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from adapters.decoders.promptable import Promptable, PromptableImage
from adapters.decoders.sam import SamImage, SamPrompts
from adapters.inference.contract import InputContract
from adapters.inference.segment import decoded, segment
from adapters.network import EntitySegmenter, brought_back
from adapters.proposals.prompted import inner_points
from domains.errors import InputError
from domains.scenes import Scene

ALIKE = 1.25
"""How much larger or smaller SAM may show an image than the decoder was fitted to see it, if one pass serves both."""


@dataclass(frozen=True)
class DecoderPrompts:
    """Points in the entities of a network's flat maps. promptable: of its backbone.

    Raises InputError for a decoder without fields.
    """

    promptable: Promptable
    segmenter: EntitySegmenter
    contract: InputContract

    def __post_init__(self) -> None:
        if not self.segmenter.decoder.fields:
            raise InputError("--masks apg wants an adapter whose decoder finds entities by fields: decoder.name=dense")

    def in_one_pass(self, scene: Scene) -> bool:
        """Whether SAM's embedding of a scene serves the decoder too: one that SAM shows at about the pixel size that
        the decoder was fitted at, with the colours and channels that it was fitted on, and by itself.
        """
        contract = self.contract
        if not isinstance(self.promptable, SamPrompts):
            return False
        if contract.stain is not None or contract.bands or contract.context is not None:
            return False
        size = self.promptable.side_px / max(scene.shape) / contract.factor(scene.pixel_size_m)
        return 1 / ALIKE <= size <= ALIKE

    def on_embedding(self, embedded: PromptableImage) -> np.ndarray:
        """(N, 2) x and y in pixels of the image, from the fields on its embedding; the encoder is not asked again."""
        assert isinstance(embedded, SamImage) and embedded.shown is not None
        placed, features = embedded.shown
        self.segmenter.eval()
        with torch.no_grad(), embedded.autocast():
            outputs = brought_back(self.segmenter.decoder(features, placed))
        entities = self.segmenter.decoder.proposals.entities(outputs, 0, embedded.extent.size)
        return inner_points(entities.ids) / embedded.scale

    def on_scene(self, scene: Scene) -> np.ndarray:
        """(N, 2) x and y in pixels of a scene that is predicted as the adapter does it, tile by tile."""
        viewed = decoded(self.contract.viewed(scene))
        return inner_points(segment(self.segmenter, viewed, self.contract).ids)
