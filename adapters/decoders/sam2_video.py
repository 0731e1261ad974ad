"""SAM 2's propagation of masks through a clip: transformers' `Sam2VideoModel`, its submodules driven directly.

Ravi et al., https://arxiv.org/abs/2408.00714. transformers answers entities one by one and keeps all frames; here those
with equally many frames behind them go through memory attention in one batch, and all through mask decoder and memory
encoder, with a memory of fixed size (`MemoryBank`). The logits are those of its streamed sessions, of each entity
alone: there an entity that is prompted late also hardens the memories that others have of that frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.sam2_video.modeling_sam2_video import NO_OBJ_SCORE, get_1d_sine_pe

from adapters.decoders.sam2_memory import Memorised, MemoryBank

AT_ONCE = 8
"""Slots in a batch: at 64 x 64 cells each has some 60 MB of memories and their projections in it."""
LEAST_SHOWN = 0.5
"""Share of a cell of the network's image from which on it is a prompt's."""
SCALE, OFFSET = 20.0, -10.0
"""Logits of a mask that is given: 10 within, -10 elsewhere."""


class Seen(NamedTuple):
    """A frame as SAM 2 sees it. fine: (1, C / 8, 4 h, 4 w) and (1, C / 4, 2 h, 2 w) for outlines; tokens, places:
    (h w, 1, C) features and their positions.
    """

    fine: list[Tensor]
    tokens: Tensor
    places: Tensor


class Propagated(NamedTuple):
    """Masks of N slots in a frame. logits: (N, 4 h, 4 w), -1024 throughout where the entity is not there; scores: (N,)
    predicted IoU; exists: (N,) logits of being there; memorised: what is to be remembered.
    """

    logits: Tensor
    scores: Tensor
    exists: Tensor
    memorised: Memorised

    @classmethod
    def joined(cls, batches: list[Propagated]) -> Propagated:
        """Of several batches, one after the other."""
        memorised = Memorised(
            torch.cat([batch.memorised.maps for batch in batches]),
            torch.cat([batch.memorised.pointers for batch in batches]),
        )
        logits, scores, exists = (torch.cat(tensors) for tensors in zip(*(batch[:3] for batch in batches), strict=True))
        return cls(logits, scores, exists, memorised)

    def of(self, rows: Tensor) -> Propagated:
        """Of these slots alone, in this order."""
        memorised = Memorised(self.memorised.maps[rows], self.memorised.pointers[rows])
        return Propagated(self.logits[rows], self.scores[rows], self.exists[rows], memorised)


class Sam2Propagation(nn.Module):
    """A `Sam2VideoModel` in evaluation mode. mean, std: (3,) by which it normalises images in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model: Any = model.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.side_px: int = self.model.config.image_size
        self.cells: tuple[int, int] = self.model.prompt_encoder.image_embedding_size

    @property
    def rings(self) -> tuple[int, int]:
        """Frames and pointers that are remembered beside those of the prompt."""
        return self.model.num_maskmem - 1, self.model.config.max_object_pointers_in_encoder - 1

    def pixels(self, image: np.ndarray) -> Tensor:
        """(1, 3, S, S) normalised, of an image (H, W, 3) uint8: SAM 2 sees every frame as a square."""
        values = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(self.mean) / 255
        size = (self.side_px, self.side_px)
        resized = F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)
        return (resized - self.mean) / self.std

    def prompts(self, masks: np.ndarray) -> Tensor:
        """(N, 1, S, S) of 0 and 1, of masks (N, H, W) bool; one that is finer than the network's pixels keeps the pixel
        of which it covers most.
        """
        size = (self.side_px, self.side_px)
        shares = torch.from_numpy(masks)[:, None].to(self.mean)
        shares = F.interpolate(shares, size, mode="bilinear", align_corners=False, antialias=True)
        highest = shares.amax((1, 2, 3), keepdim=True)
        return (shares >= highest.clamp(1e-6, LEAST_SHOWN)).to(shares)

    def boxes(self, masks: np.ndarray) -> Tensor:
        """(N, 4) left, top, right and bottom edges in the network's pixels, of masks (N, H, W) bool, none of them
        empty.
        """
        scales = np.array([self.side_px / masks.shape[2], self.side_px / masks.shape[1]] * 2)
        across, down = np.asarray(masks.any(1)), np.asarray(masks.any(2))  # (N, W), (N, H)
        edges = [
            (columns.argmax(), rows.argmax(), len(columns) - columns[::-1].argmax(), len(rows) - rows[::-1].argmax())
            for columns, rows in zip(across, down, strict=True)
        ]
        return torch.from_numpy(np.array(edges) * scales).to(self.mean)

    def look(self, pixels: Tensor) -> Seen:
        """What the image encoder says of normalised pixels (1, 3, S, S)."""
        decoder, seen = self.model.mask_decoder, self.model.vision_encoder(pixels, return_dict=True)
        finest, fine, coarse = seen.fpn_hidden_states
        tokens, places = (grid.flatten(2).permute(2, 0, 1) for grid in (coarse, seen.fpn_position_encoding[-1]))
        return Seen([decoder.conv_s0(finest), decoder.conv_s1(fine)], tokens, places)

    def prompted(self, seen: Seen, masks: Tensor) -> Propagated:
        """What is to be remembered of masks (N, 1, S, S) of 0 and 1 in a frame; they are their own answer."""
        return Propagated.joined([self._prompted(seen, batch) for batch in masks.split(AT_ONCE)])

    def _prompted(self, seen: Seen, masks: Tensor) -> Propagated:
        logits = SCALE * masks + OFFSET
        small = F.interpolate(
            logits, self.model.prompt_encoder.mask_input_size, mode="bilinear", align_corners=False, antialias=True
        )
        features = self._grid(seen.tokens)
        dense = self.model.prompt_encoder.mask_embed(self.model.mask_downsample(masks))
        pointers = self._decoded(seen, features.expand(len(masks), -1, -1, -1), dense, several=True).pointers
        covers = masks.flatten(1).amax(1)
        pointers = torch.where(covers[:, None] > 0, pointers, self.model.no_object_pointer)
        exists = SCALE * covers + OFFSET
        maps = self._memories(seen, masks, exists)
        return Propagated(small[:, 0], torch.ones_like(covers), exists, Memorised(maps, pointers))

    def boxed(self, seen: Seen, boxes: Tensor) -> Propagated:
        """The masks of entities in boxes (N, 4) of a frame, and what is to be remembered of them."""
        return Propagated.joined([self._boxed(seen, batch) for batch in boxes.split(AT_ONCE)])

    def _boxed(self, seen: Seen, boxes: Tensor) -> Propagated:
        config, encoder, count = self.model.config, self.model.prompt_encoder, len(boxes)
        corners = torch.tensor([[[2, 3]]], device=boxes.device).expand(count, 1, 2)  # labels of a box's two corners
        sparse, dense = encoder(boxes.view(count, 1, 2, 2), corners, None, None)
        features = self._grid(seen.tokens + self.model.no_memory_embedding).expand(count, -1, -1, -1)
        several = config.multimask_output_in_sam
        several = several and config.multimask_min_pt_num <= 2 <= config.multimask_max_pt_num
        decoded = self._decoded(seen, features, dense, several, sparse)
        maps = self._memories(seen, (self._large(decoded.logits) > 0).to(self.mean), decoded.exists)
        return Propagated(decoded.logits, decoded.scores, decoded.exists, Memorised(maps, decoded.pointers))

    def _large(self, logits: Tensor) -> Tensor:
        """(N, 1, S, S) of logits (N, 4 h, 4 w)."""
        size = (self.side_px, self.side_px)
        return F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)

    def propagated(self, seen: Seen, bank: MemoryBank, at: int) -> Propagated:
        """The masks of all slots of a bank in frame `at`; slots are prompted in frames before it."""
        rows = [*bank.alike(at, AT_ONCE)]
        batches = [self._propagated(seen, bank.of(batch), at) for batch in rows]
        return Propagated.joined(batches).of(torch.cat(rows).argsort())

    def _propagated(self, seen: Seen, bank: MemoryBank, at: int) -> Propagated:
        config, encoder = self.model.config, self.model.prompt_encoder
        several = config.multimask_output_in_sam and config.multimask_output_for_tracking
        several = several and config.multimask_min_pt_num <= 0 <= config.multimask_max_pt_num
        decoded = self._decoded(seen, self._remembering(seen, bank, at), encoder.no_mask_embed.weight[..., None, None],
                                several)  # fmt: skip
        maps = self._memories(seen, self._large(decoded.logits).sigmoid(), decoded.exists)
        return Propagated(decoded.logits, decoded.scores, decoded.exists, Memorised(maps, decoded.pointers))

    def _remembering(self, seen: Seen, bank: MemoryBank, at: int) -> Tensor:
        """(N, C, h, w) of a frame, by memory attention of slots that are `alike`."""
        maps, offsets = bank.maps_behind(at)  # (N, k, T, M)
        spatial = self._memory_places(maps)  # (T, M)
        temporal = self.model.memory_temporal_positional_encoding[:, 0, 0]  # (R + 1, M), the last of the prompt
        places = spatial + temporal[[offset - 1 for offset in offsets], None]  # (k, T, M)
        pointers, behind = bank.pointers_behind(at)  # (N, p, C), (N, p)
        splits = pointers.shape[2] // maps.shape[3]
        pointer_places = self._pointer_places(behind, pointers.shape[2]).repeat_interleave(splits, 1)
        pointers = pointers.unflatten(2, (splits, -1)).flatten(1, 2)  # (N, p splits, M)
        memory = torch.cat([maps.flatten(1, 2).to(pointers), pointers], 1)
        positions = torch.cat([places.flatten(0, 1).expand(len(bank), -1, -1), pointer_places], 1)
        tokens = self.model.memory_attention(
            current_vision_features=seen.tokens.expand(-1, len(bank), -1),
            current_vision_position_embeddings=seen.places.expand(-1, len(bank), -1),
            memory=memory.transpose(0, 1),
            memory_posision_embeddings=positions.transpose(0, 1),  # transformers' spelling
            num_object_pointer_tokens=pointers.shape[1],
        )  # (1, N, T, C)
        return tokens[0].transpose(1, 2).unflatten(2, self.cells)

    def _pointer_places(self, behind: Tensor, width: int) -> Tensor:
        """(N, p, M) positions in time of pointers that are so many frames (N, p) behind."""
        config = self.model.config
        if not config.enable_temporal_pos_encoding_for_object_pointers:
            return behind.new_zeros(*behind.shape, self.model.mem_dim)
        steps = behind / (config.max_object_pointers_in_encoder - 1)
        return self.model.temporal_positional_encoding_projection_layer(get_1d_sine_pe(steps, dim=width))

    def _memory_places(self, maps: Tensor) -> Tensor:
        """(T, M) positions of the cells of a memory."""
        encoding, shape = self.model.memory_encoder.position_encoding, (1, maps.shape[3], *self.cells)
        return encoding(torch.Size(shape), maps.device, self.mean.dtype)[0].flatten(1).T

    def _grid(self, tokens: Tensor) -> Tensor:
        """(B, C, h, w) of tokens (h w, B, C)."""
        return tokens.permute(1, 2, 0).unflatten(2, self.cells)

    def _decoded(
        self, seen: Seen, features: Tensor, dense: Tensor, several: bool, sparse: Tensor | None = None
    ) -> Decoded:
        """The best mask of each slot, of features (N, C, h, w) and a dense prompt; several: chosen among three; sparse:
        (N, 1, k, C) of points, none by default.
        """
        model, count = self.model, len(features)
        nowhere = model.prompt_encoder.not_a_point_embed.weight.expand(count, 1, 2, -1)
        logits, scores, tokens, exists = model.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=nowhere if sparse is None else sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=seen.fine,
        )
        best, rows = scores[:, 0].argmax(1), torch.arange(count, device=features.device)
        exists = exists[:, 0, 0]
        chosen = torch.where(exists[:, None, None] > 0, logits[rows, 0, best], NO_OBJ_SCORE)
        pointers = model.object_pointer_proj(tokens[rows, 0, best])
        pointers = torch.where(exists[:, None] > 0, pointers, model.no_object_pointer)
        return Decoded(chosen, scores[rows, 0, best], exists, pointers)

    def _memories(self, seen: Seen, masks: Tensor, exists: Tensor) -> Tensor:
        """(N, T, M) bfloat16, as SAM 2 stores them, of a frame with masks (N, 1, S, S) in [0, 1]."""
        config, encoder = self.model.config, self.model.memory_encoder
        scaled = masks * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        fused = encoder.feature_projection(self._grid(seen.tokens)) + encoder.mask_downsampler(scaled)
        maps = encoder.projection(encoder.memory_fuser(fused))  # (N, M, h, w)
        hidden = self.model.occlusion_spatial_embedding_parameter
        if hidden is not None:
            maps = maps + (exists <= 0)[:, None, None, None] * hidden[..., None, None]
        return maps.to(torch.bfloat16).flatten(2).transpose(1, 2)


class Decoded(NamedTuple):
    """logits: (N, 4 h, 4 w); scores, exists: (N,); pointers: (N, C)."""

    logits: Tensor
    scores: Tensor
    exists: Tensor
    pointers: Tensor
