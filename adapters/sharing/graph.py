"""An adapter as one graph, from pixels to fields: base, merged adapter, projection of bands and decoder.

ONNX through torch's exporter (`torch.onnx.export` of a `torch.export` program), TorchScript by tracing; batch, height
and width stay open in both. What is written is run again at sizes that it was not traced at and compared with the
network: a size that an exporter takes for a constant would otherwise show in somebody's image alone.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.inference.segment import weights_digest
from adapters.network import EntitySegmenter
from adapters.sharing.exported import IMAGES, KEY, Exported, shareable
from adapters.sharing.info import AdapterInfo
from adapters.sharing.onnx_runtime import open_session, run
from adapters.sharing.probe import probe, probe_image
from adapters.sharing.weights import plain_state
from domains.atomic import atomic_path
from domains.errors import InputError

INSTALL = 'wanted onnx, onnxscript and onnxruntime; pip install "entity-adapters[onnx]"'
MOST_ONNX_BYTES = 2**31 - 2**24
"""Of weights, in a file of protobuf: 2 GiB with all the rest."""
TOLERANCE = 1e-4
"""Of logits, and of their largest where that is above 1."""
TRACED = (2, 6, 5)
CHECKED = ((1, 4, 7), (3, 3, 2), (1, 25, 31))
"""Images, rows and columns, in the least sides that the network takes."""


class Graph(nn.Module):
    """forward: images (B, C, H, W) float32 in [0, 1] -> the decoder's fields in order, each (B, 1, H, W) logits."""

    def __init__(self, segmenter: EntitySegmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The fields of the images, without an embedding, which nothing decodes."""
        outputs = self.segmenter(images)
        return tuple(outputs[name] for name in self.segmenter.decoder.fields)


def contract_of(segmenter: EntitySegmenter, info: AdapterInfo, version: str) -> Exported:
    """What the files of a network say of it. segmenter: on the CPU, its adapter merged; version: of entity-adapters."""
    decoder: Any = segmenter.decoder
    scorer = decoder.scorer if getattr(decoder, "by_regions", False) else None
    return Exported(
        version=version,
        fields=tuple(decoder.fields),
        side_multiple=math.lcm(segmenter.backbone.stride, 8),
        weights=weights_digest(segmenter),
        probe=tuple(probe(segmenter, decoder.fields)) if decoder.fields else (),
        scorer=None if scorer is None else numbers_of(scorer),
        adapter=shareable(info),
    )


def numbers_of(scorer: nn.Module) -> dict[str, tuple[float, ...]]:
    """The tensors of a scorer as numbers, row by row."""
    return {name: tuple(value.flatten().tolist()) for name, value in scorer.state_dict().items()}


# The formats


def write_onnx(segmenter: EntitySegmenter, contract: Exported, path: Path) -> None:
    """One ONNX file with the contract as metadata. Raises InputError: a decoder without fields, more than 2 GiB of
    weights, or a package that is missing.
    """
    check_fields(segmenter, "onnx")
    size = sum(value.numel() * value.element_size() for value in segmenter.state_dict().values())
    if size > MOST_ONNX_BYTES:
        raise InputError(
            f"the network has {size / 2**30:.1f} GiB of weights, an ONNX file holds 2; write --format torchscript"
        )
    try:
        for package in ("onnxruntime", "onnxscript"):  # before the minute that the export takes
            import_module(package)
    except ImportError as error:
        raise InputError(INSTALL) from error
    images, free = example(segmenter, *TRACED), torch.export.Dim.DYNAMIC
    with traceable(segmenter), torch.no_grad():
        program = torch.export.export(Graph(segmenter), (images,), dynamic_shapes=({0: free, 2: free, 3: free},))
        exported: Any = torch.onnx.export(
            program, verbose=False, input_names=[IMAGES], output_names=list(contract.fields)
        )
    name_nothing_else(exported.model)
    exported.model.metadata_props[KEY] = contract.json_text()
    with atomic_path(path) as temporary:
        exported.save(temporary, external_data=False)
        session = open_session(temporary.read_bytes())
        with traceable(segmenter):
            check_parity(segmenter, lambda images: run(session, contract.fields, images.numpy()))


def write_torchscript(segmenter: EntitySegmenter, contract: Exported, path: Path) -> None:
    """One TorchScript file with the contract beside the graph. Raises InputError for a decoder without fields."""
    check_fields(segmenter, "torchscript")
    with traceable(segmenter), torch.no_grad():
        traced: Any = torch.jit.trace(Graph(segmenter), (example(segmenter, *TRACED),), check_trace=False)
        with atomic_path(path) as temporary:
            traced.save(str(temporary), _extra_files={KEY: contract.json_text().encode()})
            check_parity(segmenter, traced)


def write_merged(segmenter: EntitySegmenter, contract: Exported, path: Path) -> None:
    """All weights in one safetensors file, the adapter merged into the base, with the contract as metadata."""
    state = {name.replace(".base_layer", ""): value for name, value in plain_state(segmenter).items()}
    state = {name: value.clone() for name, value in state.items() if ".lora_" not in name}
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"format": "pt", KEY: contract.json_text()})


WRITERS: dict[str, Callable[[EntitySegmenter, Exported, Path], None]] = {
    "onnx": write_onnx,
    "torchscript": write_torchscript,
    "safetensors-merged": write_merged,
}


def check_fields(segmenter: EntitySegmenter, word: str) -> None:
    """Raises InputError for a decoder that gives no fields."""
    if not segmenter.decoder.fields:
        raise InputError(
            f"--format {word} wants decoder.name=dense; the adapter has {segmenter.decoder.options.name!r}, whose "
            "queries are no fields: write --format safetensors-merged"
        )


def check_parity(segmenter: EntitySegmenter, graph: Callable[[Tensor], Sequence[Any]]) -> None:
    """Raises RuntimeError where a graph's fields are not the network's, at sizes that it was not traced at."""
    for sides in CHECKED:
        images = example(segmenter, *sides)
        with torch.no_grad():
            expected, outputs = Graph(segmenter)(images), graph(images)
        for name, a, b in zip(segmenter.decoder.fields, expected, outputs, strict=True):
            scale = max(1.0, float(a.abs().max()))
            error = float((a - torch.as_tensor(np.asarray(b))).abs().max())
            if not error <= TOLERANCE * scale:
                raise RuntimeError(
                    f"the graph's {name} is off by {error:.2g} at {tuple(images.shape)}; a fault of ours"
                )


def example(segmenter: EntitySegmenter, count: int, rows: int, columns: int) -> Tensor:
    """(count, C, rows m, columns m) float32 in [0, 1], where m is the least side that the network takes."""
    multiple = math.lcm(segmenter.backbone.stride, 8)
    image = probe_image(max(rows, columns) * multiple, segmenter.channels)[..., : rows * multiple, : columns * multiple]
    return torch.cat([image.roll(number, -1) for number in range(count)])


# Tracing


@contextmanager
def traceable(segmenter: EntitySegmenter) -> Iterator[None]:
    """For the while, lines that turn sizes into constants do not; warnings and logs are silent.

    `torch_int` of transformers makes a Python number of a size that is still open (DINOv2 with registers), and SAM's
    relative positions divide one side by itself. How many squares an image has decides the shapes of all that follows,
    which no exporter leaves open: a graph attends to all of its image (`Backbone.attends_px`). What is written is
    checked at other sizes, against a network that attends so too.
    """
    attends_px, segmenter.backbone.attends_px = segmenter.backbone.attends_px, None
    level = (registry := logging.getLogger("torch.onnx")).level
    modules: dict[Any, Any] = {}
    for layer in segmenter.backbone.modules():
        module = import_module(type(layer).__module__)
        if hasattr(module, "torch_int"):
            modules[module] = module.torch_int
    relative: list[Any] = [layer for layer in segmenter.backbone.modules() if hasattr(layer, "get_rel_pos")]
    try:
        registry.setLevel(logging.ERROR)
        for module in modules:
            module.torch_int = lambda size: size if isinstance(size, torch.SymInt | Tensor) else int(size)
        for layer in relative:
            layer.get_rel_pos = relative_positions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        segmenter.backbone.attends_px = attends_px
        registry.setLevel(level)
        for module, function in modules.items():
            module.torch_int = function
        for layer in relative:
            del layer.get_rel_pos


def relative_positions(side: int, keys: int, table: Tensor) -> Tensor:
    """(side, side, D) of a table (L, D): SAM's `get_rel_pos` where queries and keys lie on one grid, as there."""
    length = 2 * side - 1
    resized = F.interpolate(table.T[None], size=length, mode="linear")[0].T  # (length, D)
    at = torch.arange(side)
    return resized[at[:, None] - at[None, :] + (side - 1)]


def name_nothing_else(model: Any) -> None:
    """Take out what the exporter wrote of this machine: the stack behind each node, with its files."""
    for graph in (model.graph, *model.functions.values()):
        for node in graph.all_nodes() if hasattr(graph, "all_nodes") else graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
