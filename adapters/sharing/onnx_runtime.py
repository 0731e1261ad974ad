"""A network whose graph ONNX Runtime runs: in place of `EntitySegmenter`, for tiles, windows and views alike."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.decoders.dense import FieldDecoder
from adapters.network import EntitySegmenter
from adapters.runtime import Runtime
from domains.errors import InputError

INSTALL = 'wanted onnxruntime; pip install "entity-adapters[onnx]"'


class GraphBackbone(Backbone):
    """The name and the stride of a base that lies in a graph, and no weights."""

    family: ClassVar[str] = "graph"

    def __init__(self, name: str, stride: int) -> None:
        nn.Module.__init__(self)  # a backbone's own wants a model of transformers
        self.name, self._stride = name, stride

    @property
    def stride(self) -> int:
        """The side of a patch in pixels."""
        return self._stride


class GraphDecoder(FieldDecoder):
    """The options and the scorer of a dense decoder whose layers lie in a graph."""


class OnnxSegmenter(EntitySegmenter):
    """forward: images (B, C, H, W) float32 in [0, 1] -> the decoder's fields, by name, on the CPU in single precision.

    session: of a graph with one input and these fields as outputs. digest: bytes that tell this graph from others; a
    buffer, so that `weights_digest` has them.
    """

    decoder: GraphDecoder
    digest: Tensor

    def __init__(self, session: Any, backbone: Backbone, decoder: GraphDecoder, channels: int, digest: bytes) -> None:
        super().__init__(backbone, decoder)
        self.session, self._channels = session, channels
        self.register_buffer("digest", torch.frombuffer(bytearray(digest), dtype=torch.uint8))

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def channels(self) -> int:
        """The number of channels of the images that the graph takes."""
        return self._channels

    def place(self, runtime: Runtime) -> Self:
        """The network itself. Raises InputError for another device than the CPU, or another precision than single."""
        check_runtime(runtime)
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The decoder's fields of images (B, C, H, W) in [0, 1], each (B, 1, H, W) logits."""
        outputs = run(self.session, self.decoder.fields, images.numpy())
        return {name: torch.from_numpy(values) for name, values in zip(self.decoder.fields, outputs, strict=True)}


def check_runtime(runtime: Runtime) -> None:
    """Raises InputError for what ONNX Runtime is not used for here: another device than the CPU, other than fp32."""
    if runtime.device.type != "cpu" or runtime.precision != "fp32":
        raise InputError(
            f"ONNX Runtime is asked for {runtime.device} in {runtime.precision}; here it runs on the CPU in fp32: "
            "leave out --device and --precision"
        )


def run(session: Any, fields: Sequence[str], images: np.ndarray) -> list[np.ndarray]:
    """The fields of images (B, C, H, W) float32, each (B, 1, H, W). Raises InputError for what a graph can't take."""
    try:
        return session.run(list(fields), {session.get_inputs()[0].name: np.ascontiguousarray(images)})
    except Exception as error:  # the runtime's errors share no class but this
        raise InputError(f"the ONNX graph cannot take images of {images.shape}: {first_line(error)}") from error


def open_session(model: bytes) -> Any:
    """A session on the CPU with as many threads as torch has, denormal numbers flushed to zero as the verbs do.

    Weights outside of the file are refused, since it comes from anybody. Raises InputError: onnxruntime is missing, or
    the file is no ONNX graph that it runs.
    """
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise InputError(INSTALL) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 4  # errors are raised as well
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    try:
        with tempfile.TemporaryDirectory() as nowhere:  # of bytes the runtime looks for weights where the process runs
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", nowhere)
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise InputError(f"ONNX Runtime refuses the graph: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The beginning of what a library says."""
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]
