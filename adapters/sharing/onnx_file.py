"""An exported ONNX file, which comes from anybody, as a network: its contract, its graph and its probe are checked.

A graph is no code, but it is a program: its time and memory are not bounded by what is checked here.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from adapters.decoders import decoder_options
from adapters.decoders.dense import Dense
from adapters.sharing.exported import AGAIN, IMAGES, Exported, exported_of
from adapters.sharing.folder import check_contract
from adapters.sharing.onnx_runtime import GraphBackbone, GraphDecoder, OnnxSegmenter, open_session
from adapters.sharing.probe import exercise, probe, probe_differs
from domains.errors import InputError

MOST_BYTES = 2**31
"""Of a protobuf file."""


def load_onnx(path: Path) -> tuple[OnnxSegmenter, Exported]:
    """The network of a file that `adapters export --format onnx` wrote, and its contract. Raises InputError."""
    source, model = repr(str(path)), content_of(path)
    try:
        session = open_session(model)
        contract = exported_of(session.get_modelmeta().custom_metadata_map, source)
        check_graph(session, contract, source)
        segmenter = network_of(session, contract, sha256(model).digest(), source)
        if difference := probe_differs(probe(segmenter), contract.probe):
            raise InputError(f"{source} does not give the output it was exported with ({difference}); {AGAIN}")
        exercise(segmenter, contract.adapter.contract)
    except InputError as error:
        raise error if str(error).startswith(source) else InputError(f"{source}: {error}") from error
    return segmenter, contract


def content_of(path: Path) -> bytes:
    """The bytes of a file. Raises InputError for one that is not there, or larger than an ONNX file can be."""
    if not path.is_file():
        raise InputError(f"{str(path)!r} does not exist; wanted a file that `adapters export --format onnx` wrote")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{str(path)!r} has {path.stat().st_size} bytes; an ONNX file has at most {MOST_BYTES}")
    return path.read_bytes()


def network_of(session: Any, contract: Exported, digest: bytes, source: str) -> OnnxSegmenter:
    """The network that a session runs. digest: of the file. Raises InputError where the contract does not fit it."""
    base, options = contract.adapter.backbone, decoder_options(contract.adapter.decoder)
    if not isinstance(options, Dense) or contract.fields != GraphDecoder.fields:
        raise InputError(
            f"{source} has the fields {contract.fields!r:.200}; this version decodes {GraphDecoder.fields}"
        )
    backbone = GraphBackbone(base.name, contract.side_multiple)  # of a student less than the base's
    check_contract(contract.adapter.contract, options, backbone)
    decoder = GraphDecoder(options)
    load_scorer(decoder, contract, source)
    return OnnxSegmenter(session, backbone, decoder, contract.adapter.input.channels, digest).eval()


def load_scorer(decoder: GraphDecoder, contract: Exported, source: str) -> None:
    """Give a decoder the scorer of regions in a contract; without, the watershed decides. Raises InputError where its
    tensors are others than ours, or the decoder proposes no regions.
    """
    if contract.scorer is None:
        return
    fresh = {} if decoder.scorer is None else decoder.scorer.state_dict()
    sizes = {name: len(values) for name, values in contract.scorer.items()}
    if decoder.scorer is None or sizes != {name: value.numel() for name, value in fresh.items()}:
        raise InputError(f"{source}: its scorer of regions has tensors of {sizes!r:.200}, which are not ours; {AGAIN}")
    state = {name: torch.tensor(contract.scorer[name]).view(value.shape) for name, value in fresh.items()}
    decoder.scorer.load_state_dict(state)


def check_graph(session: Any, contract: Exported, source: str) -> None:
    """The graph takes one batch of images and gives the fields, in single precision. Raises InputError."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    channels = contract.adapter.input.channels
    image = [(value.name, value.type, value.shape[1:2]) for value in inputs if len(value.shape) == 4]
    if image != [(IMAGES, "tensor(float)", [channels])] or len(inputs) > 1:
        wish = f"{IMAGES} (batch, {channels}, height, width) of float32"
        came = "; ".join(f"{value.name} {value.shape} {value.type}" for value in inputs)
        raise InputError(f"{source} takes {came:.300}; wanted {wish} alone; {AGAIN}")
    names = tuple(value.name for value in outputs if value.type == "tensor(float)" and len(value.shape) == 4)
    if names != contract.fields or len(outputs) != len(names):
        raise InputError(f"{source} gives {[value.name for value in outputs]!r:.300}; its contract says "
                         f"{list(contract.fields)!r:.200}; {AGAIN}")  # fmt: skip
