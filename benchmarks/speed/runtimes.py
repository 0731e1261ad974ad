"""What other runtimes of an adapter are worth: CPU-seconds per megapixel turn by turn, and metrics of the test split.

    python -m benchmarks.speed.runtimes ADAPTER DATA        one thread; torch, ONNX Runtime in fp32 and in int8

int8 is static quantisation by `onnxruntime.quantization` (QDQ, one scale per channel, min-max), calibrated on tiles of
the training split. The table stands in docs/runtimes.md.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import numpy as np
import torch

from adapters.inference.segment import measure
from adapters.network import EntitySegmenter
from adapters.sharing.exported import IMAGES
from adapters.sharing.onnx_file import load_onnx
from adapters.sharing.onnx_runtime import OnnxSegmenter, open_session
from benchmarks.speed.turns import turn_by_turn
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import domain_of
from recipes.load import Loaded, loaded
from recipes.reading.compose import changed
from recipes.verbs.export import export

TILES, SIDE, AT_ONCE = 12, 192, 8
KINDS: dict[str, list[str] | None] = {
    "int8, all that can be": None,
    "int8, convolutions and matrix products": ["Conv", "MatMul", "Gemm"],
    "int8, convolutions": ["Conv"],
    "int8, matrix products": ["MatMul", "Gemm"],
}
"""Row of the table -> operators that are quantised."""


def main(adapter: str, data: str) -> None:
    """Print a row of each runtime: CPU-seconds per megapixel, speed against torch, and the metrics."""
    set_up()
    torch.set_num_threads(1)
    with loaded(adapter) as network, tempfile.TemporaryDirectory() as folder:
        domain = domain_of(changed(network.recipe, [f"domain.data={json.dumps(data)}"]))
        tiles = list(tiles_of(domain.dataset("train")))
        networks = {"torch fp32": network.segmenter, **dict(graphs(network, Path(folder), tiles))}
        seconds = seconds_of(networks, torch.from_numpy(np.concatenate(tiles[:AT_ONCE])))
        for name, segmenter in networks.items():
            metrics = measure(
                segmenter, domain.dataset("test"), MetricSet(domain.metrics()), network.contract
            ).compute()
            shown = "  ".join(f"{key} {metrics[key]:.4f}" for key in ("f1", "aji", "pq") if key in metrics)
            ratio = seconds["torch fp32"] / seconds[name]
            print(f"{name:<40} {seconds[name]:.2f} CPU-s/Mpx, {ratio:.2f} times as fast  {shown}", flush=True)


def tiles_of(samples: Any) -> Iterator[np.ndarray]:
    """(1, C, SIDE, SIDE) float32 in [0, 1] of images spread over a split."""
    rng = np.random.default_rng(0)
    for i in range(0, len(samples), max(1, len(samples) // TILES)):
        image = samples[i].image
        y, x = (int(rng.integers(0, side - SIDE + 1)) for side in image.shape[:2])
        yield image[y : y + SIDE, x : x + SIDE].transpose(2, 0, 1)[None].astype(np.float32) / 255


def graphs(network: Loaded, folder: Path, tiles: list[np.ndarray]) -> Iterator[tuple[str, OnnxSegmenter]]:
    """The exported network, then its quantised graphs, each run as `predict` runs it."""
    export(network, "onnx", folder / "fp32.onnx")
    plain, _ = load_onnx(folder / "fp32.onnx")
    yield "ONNX Runtime fp32", plain
    quantization = import_module("onnxruntime.quantization")
    import_module("onnxruntime.quantization.shape_inference").quant_pre_process(
        str(folder / "fp32.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True
    )
    for name, operators in KINDS.items():
        quantization.quantize_static(
            str(folder / "ready.onnx"),
            str(file := folder / "int8.onnx"),
            reader(quantization.CalibrationDataReader, tiles),
            op_types_to_quantize=operators,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        segmenter = OnnxSegmenter(
            open_session(file.read_bytes()), plain.backbone, plain.decoder, plain.channels, b"int8"
        )
        yield name, segmenter.eval()


def reader(kind: type[Any], tiles: list[np.ndarray]) -> Any:
    """A reader of calibration data, of onnxruntime's own class, that gives each tile once."""
    remaining = iter(tiles)

    class Tiles(kind):
        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next tile, None at the end."""
            tile = next(remaining, None)
            return None if tile is None else {IMAGES: tile}

    return Tiles()


def seconds_of(networks: dict[str, EntitySegmenter], images: torch.Tensor) -> dict[str, float]:
    """Median CPU-seconds per megapixel of each network; the first turn warms up."""
    megapixels = len(images) * SIDE * SIDE / 1e6
    took = turn_by_turn(*(partial(segmenter.predicted, images) for segmenter in networks.values()))
    return {name: median(times) / megapixels for name, times in zip(networks, took, strict=True)}


if __name__ == "__main__":
    main(*sys.argv[1:])
