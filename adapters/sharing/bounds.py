"""How large an adapter's weights may be by its options, known before a byte of them is unpacked, hashed or read.

Upper bounds, of up to a few times what is needed: they keep a few kilobytes of a packed file from becoming terabytes.
What a file holds is compared with its options exactly, but later, where the network is built (`folder.py`).
`tests/adapters/sharing/test_bounds.py` holds them above every method and decoder.
"""

from __future__ import annotations

from math import prod

from adapters.options.decoders import Decoder, Dense, Memory, Sam
from adapters.options.labels import SHAPE_NUMBERS, LabelInfo
from adapters.options.lora import PeftOptions
from adapters.options.memory_decoder import MemoryInfo
from adapters.options.methods import Biases, Bottleneck, ConvLora, Full, Method, Norms, Prompts, Ssf
from adapters.sharing.info import (
    BACKBONE_WEIGHTS,
    DECODER_WEIGHTS,
    LABEL_WEIGHTS,
    MEMORY_WEIGHTS,
    PROJECTION_WEIGHTS,
    STUDENT_WEIGHTS,
    AdapterInfo,
    Base,
)

BYTES = 4  # of a weight in single precision
SLACK = 2  # bases differ in how wide their MLPs are
HEADER_BYTES = 2**20
MOST_POSITIONS = 2**14
MASK_DIM, MASK_MLP_DIM = 256, 2048
"""Widths of SAM's mask decoder."""
MOST_ANSWERING = 2**23
"""Twice as many weights as SAM's mask decoder has."""
GLANCE = 128
"""Of `adapters.student`, which imports torch."""


def weight_bounds(info: AdapterInfo) -> dict[str, int]:
    """File -> the most bytes that it can have."""
    counts = {
        BACKBONE_WEIGHTS: SLACK * (of_method(info.method, info.backbone) + of_answering(info)),
        DECODER_WEIGHTS: SLACK * of_decoder(info.decoder, info.backbone) * len(info.branches),
        PROJECTION_WEIGHTS: 3 * info.input.channels + 3,
        STUDENT_WEIGHTS: of_student(info.student.decoder.width, info.input.channels) if info.student else 0,
        LABEL_WEIGHTS: sum(map(prod, label_shapes(info, info.labels).values())) if info.labels else 0,
        MEMORY_WEIGHTS: of_memory(info.memory) if info.memory else 0,
    }
    return {name: BYTES * count + HEADER_BYTES for name, count in counts.items()}


def label_shapes(info: AdapterInfo, labels: LabelInfo) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each of a labeller's tensors."""
    numbers = info.backbone.dim * len(info.backbone.taps) + 2 * info.input.channels + SHAPE_NUMBERS
    width, classes = labels.width, len(labels.vocabulary)
    return {
        "mean": (numbers,),
        "scale": (numbers,),
        "axes": (numbers, width),
        "examples": (labels.examples, width),
        "classes": (labels.examples,),
        "weights": (width, classes),
        "bias": (classes,),
    }


def of_method(method: Method, base: Base) -> int:
    """Weights of the backbone that learn. MLPs are taken to be four times as wide as tokens, which `SLACK` doubles."""
    if isinstance(method, PeftOptions):
        dim, wide = base.dim, 4 * base.dim
        layers = ((dim, dim), (dim, dim), (dim, dim), (dim, dim), (dim, wide), (dim, wide), (wide, dim))
        per_block = sum(method.weights_beside(*layer) for layer in layers)
    else:
        per_block = of_block(method, base.dim)
    stem = 32 * base.dim
    if method.name == "full":
        stem += base.dim * (MOST_POSITIONS + 3 * base.stride**2) + 2**20  # positions, patches, SAM's neck
    return base.depth * per_block + stem


def of_answering(info: AdapterInfo) -> int:
    """Weights of SAM's mask decoder that learn, where it is the decoder."""
    if not isinstance(info.decoder, Sam) or info.backbone.family != "sam":
        return 0
    if isinstance(info.method, PeftOptions):
        per_layer = 14 * info.method.weights_beside(MASK_DIM, MASK_DIM)
        return 5 * (per_layer + 2 * info.method.weights_beside(MASK_DIM, MASK_MLP_DIM))
    return MOST_ANSWERING


def of_block(method: Method, dim: int) -> int:
    """Weights that learn in a block, by a method of ours or a control."""
    match method:
        case Ssf():
            return 40 * dim
        case Bottleneck():
            return method.width * (2 * dim + 1) + dim
        case ConvLora():
            expert = 9 * method.rank**2 + 2 * method.rank + 1
            return 7 * (8 * dim * method.rank + method.experts * expert)
        case Prompts():
            return method.count * dim
        case Norms() | Biases():
            return 32 * dim
        case Full():
            return 20 * dim**2 + 32 * dim
        case _:
            return 0


def of_student(width: int, channels: int) -> int:
    """Weights of a student: of the dense decoder, and of what stands for the backbone."""
    grid = 8 * width
    return 102 * grid**2 + 12 * grid * GLANCE + 66 * GLANCE**2 + width * (64 + 9 * channels) + 2**14


def of_memory(memory: MemoryInfo) -> int:
    """Weights of a memory decoder."""
    width = memory.width
    return 32 * (memory.layers + 1) * width**2 + 4 * (memory.cells + 64) * width + 2**16


def of_decoder(decoder: Decoder, base: Base) -> int:
    """Weights of a decoder on a base."""
    taps = len(base.taps)
    if isinstance(decoder, Memory):
        return (decoder.size + 2) * taps * base.dim + 1
    if isinstance(decoder, Sam):
        return MOST_ANSWERING + taps * base.dim * MASK_DIM
    if isinstance(decoder, Dense):
        grid = 8 * decoder.width
        return 80 * grid**2 + taps * base.dim * (grid + 2) + decoder.width * (64 + decoder.embedding_dim) + 2**14
    dim, detail = decoder.dim, decoder.detail_channels
    attention = (12 * decoder.layers + 16) * dim * (dim + 2)
    return attention + taps * base.dim * (dim + 2) + 2 * decoder.queries * dim + detail * (48 * detail + 5 * dim + 64)
