"""The memory decoder in an adapter's folder: `memory_decoder.safetensors`, and what `entity.json` says of it.

It follows entities through clips (`adapters follow`). Reading it wants no base, which is asked for when a clip is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from adapters.decoders.slot_decoder import FittedMemory, MemoryDecoder
from adapters.decoders.slots import PIXELS
from adapters.options.memory_decoder import MemoryInfo
from adapters.sharing.door import read_info, reseal
from adapters.sharing.info import MEMORY_WEIGHTS, AdapterInfo
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.weights import check_shapes, compact, tensors
from domains.atomic import atomic_path


def describe_memory(memory: FittedMemory) -> MemoryInfo:
    """The info of a memory decoder."""
    options, cells = memory.decoder.options, memory.decoder.cells.in_features
    sizes = (options.width, options.layers, options.heads, options.frames, cells)
    names = ("width", "layers", "heads", "frames", "cells")
    return MemoryInfo(**dict(zip(names, sizes, strict=True)), dense=memory.dense, prompts=memory.prompts)


def set_memory(folder: Path, memory: FittedMemory, learnt_from: LearntFrom | None = None) -> AdapterInfo:
    """Put a memory decoder into the folder of an adapter, or in the place of the one there, seal it anew, and write its
    card. learnt_from: the images of its clips, beside those that the adapter learnt from. Returns the folder's info.
    """
    info = read_info(folder)
    learnt = info.learnt_from if learnt_from is None else learnt_from.joined(info.learnt_from)
    info = replace(info, memory=describe_memory(memory), learnt_from=learnt)
    with atomic_path(folder / MEMORY_WEIGHTS) as path:
        save_file(compact(memory.decoder.state_dict()), path)
        path.chmod(0o644)  # safetensors writes for its owner alone
    return reseal(folder, info)


def load_memory(folder: Path, info: AdapterInfo) -> FittedMemory | None:
    """The memory decoder of an adapter, in evaluation mode; None where it has none. info: as `read_info` has it.

    Raises InputError for weights that are not those that the info tells of; nothing of another shape is read.
    """
    if info.memory is None:
        return None
    path, sizes = folder / MEMORY_WEIGHTS, info.memory.sizes
    with torch.device("meta"):
        plan = MemoryDecoder(sizes, info.memory.cells, PIXELS)
    check_shapes(path, {name: tuple(value.shape) for name, value in plan.state_dict().items()})
    decoder = MemoryDecoder(sizes, info.memory.cells, PIXELS)
    decoder.load_state_dict(tensors(path))
    return FittedMemory(decoder.eval().requires_grad_(False), info.memory.dense, info.memory.prompts)
