"""An ONNX file with a contract, made by hand: a convolution of the image in place of a network, which takes 13
CPU-seconds to export.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapters.decoders import decoder_options
from adapters.options.section import checked
from adapters.sharing.exported import IMAGES, KEY, Exported
from adapters.sharing.graph import numbers_of
from adapters.sharing.info import AdapterInfo
from adapters.sharing.onnx_file import network_of
from adapters.sharing.onnx_runtime import GraphDecoder, open_session
from adapters.sharing.probe import probe
from tests.adapters.sharing.conftest import VALUES

FIELDS = ("foreground", "boundary_distance", "centre_distance", "boundary")


def kernels() -> np.ndarray:
    """(4, 3, 3, 3) float32: of the image, each field."""
    return np.random.default_rng(3).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)


def onnx_graph(contract: str, names: tuple[str, ...] = FIELDS, image: str = IMAGES) -> Any:
    """images (B, 3, H, W) -> the fields (B, 1, H, W), each a convolution."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper, numbers = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Conv", [image, "kernels"], ["all"], pads=[1, 1, 1, 1]),
        helper.make_node("Split", ["all"], list(names), axis=1, num_outputs=len(names)),
    ]
    taken = [helper.make_tensor_value_info(image, numbers, ["b", 3, "h", "w"])]
    given = [helper.make_tensor_value_info(name, numbers, ["b", 1, "h", "w"]) for name in names]
    graph = helper.make_graph(nodes, "tiny", taken, given, [numpy_helper.from_array(kernels(), "kernels")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {KEY: contract})
    return model


def write_graph(path: Path, change: Callable[[dict[str, Any]], object] = lambda values: None, **graph: Any) -> Path:
    """The graph with its contract, regions scored by numbers from the seed. change: of the contract, after its probe
    was taken. graph: `names` and `image` of `onnx_graph`.
    """
    pytest.importorskip("onnxruntime")
    decoder: dict[str, Any] = {"name": "dense", "regions": True}
    info = checked(AdapterInfo, {**VALUES, "digest": "0" * 64, "decoder": decoder,
                                 "input": {"tile_px": 64, "overlap_px": 16}})  # fmt: skip
    torch.manual_seed(0)
    scorer = GraphDecoder(decoder_options(info.decoder)).begin_scorer()
    contract = Exported(version="0.1.0", fields=FIELDS, side_multiple=8, weights="0" * 32, adapter=info,
                        scorer=numbers_of(scorer))  # fmt: skip
    session = open_session(onnx_graph("").SerializeToString())
    values = json.loads(contract.json_text())
    values["probe"] = probe(network_of(session, contract, b"0" * 32, "tiny"))
    change(values)
    path.write_bytes(onnx_graph(json.dumps(values), **graph).SerializeToString())
    return path
