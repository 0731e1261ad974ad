"""A package of bioimage.io: a model's description (RDF 0.5), its ONNX and TorchScript graphs, test tensors, a cover.

https://bioimage-io.github.io/spec-bioimage-io; QuPath, deepImageJ and ilastik read such packages. Its description is
written here, without `bioimageio.spec`, of which 0.5.12 fails under pydantic 2.14; docs/runtimes.md says how a package
is checked by `bioimageio.core`. The graphs give fields; how these become entities is said in the README of the package
and in `entity_adapters.json`.
"""

from __future__ import annotations

import tempfile
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from adapters.network import EntitySegmenter, to_tensor
from adapters.sharing.card import card_text
from adapters.sharing.exported import IMAGES, KEY, Exported
from adapters.sharing.graph import Graph, traceable, write_onnx, write_torchscript
from domains.atomic import atomic_path
from domains.bands import RGB

OPSET = 20
MOST_PX = 256
"""Side of the test image."""
DECODE = """
## From fields to entities
The outputs are probabilities in [0, 1] after the package's own sigmoid. Where `core = (boundary_distance + 1 -
boundary) / 2` has its basins inside `foreground > foreground_threshold`, seeds rise by 1 less
`granularity`, or by `seed_height` where that is null; where
`entity_adapters.json` has a `scorer`, nested candidates are scored by its numbers instead. entity-adapters does all of
it: `predict --adapter model.onnx IMAGE --out RESULTS`, with the file `model.onnx` of this package.
"""


def write_package(segmenter: EntitySegmenter, contract: Exported, image: np.ndarray, path: Path) -> None:
    """One zip. image: (H, W, C) uint8, the test input, of which the upper left is taken. Raises InputError for a
    decoder without fields and for a missing package.
    """
    with tempfile.TemporaryDirectory() as parent, atomic_path(path) as temporary:
        folder = Path(parent)
        write_onnx(segmenter, contract, folder / "model.onnx")
        write_torchscript(segmenter, contract, folder / "model.pt")
        write_tensors(segmenter, contract, image, folder)
        (folder / f"{KEY}.json").write_text(contract.json_text(), encoding="utf-8")
        (folder / "README.md").write_text(card_text(contract.adapter, peft=False) + DECODE, encoding="utf-8")
        files = sorted(folder.iterdir())
        text = yaml.safe_dump(description(contract, folder), sort_keys=False, allow_unicode=True)
        (folder / "rdf.yaml").write_text(text, encoding="utf-8")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (folder / "rdf.yaml", *files):
                archive.write(file, file.name)


def write_tensors(segmenter: EntitySegmenter, contract: Exported, image: np.ndarray, folder: Path) -> None:
    """The test input, the output of each field, and a cover of both."""
    height, width = (
        max(1, min(side, MOST_PX) // contract.side_multiple) * contract.side_multiple for side in image.shape[:2]
    )
    image = np.ascontiguousarray(image[:height, :width])
    np.save(folder / f"{IMAGES}.npy", image.transpose(2, 0, 1)[None])
    with traceable(segmenter), torch.no_grad():  # as the graphs attend, which the test output is of
        fields = [field.sigmoid().numpy() for field in Graph(segmenter)(to_tensor(image)[None])]
    for name, values in zip(contract.fields, fields, strict=True):
        np.save(folder / f"{name}.npy", values)
    foreground = (fields[0][0, 0, :, :, None] * 255).round().astype(np.uint8).repeat(3, 2)
    shown = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2)
    Image.fromarray(np.concatenate([shown, foreground], 1)).resize((512, 256)).save(folder / "cover.png")


def description(contract: Exported, folder: Path) -> dict[str, Any]:
    """The model's description in the words of the specification, its files in `folder`."""

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": sha256((folder / name).read_bytes()).hexdigest()}

    info = contract.adapter
    size = info.input.pixel_size_m or info.input.seen_pixel_size_m
    size_words = "" if size is None else f"; pixels of {size / info.input.scale * 1e6:g} um"
    # without `unit` and `scale`: bioimageio.core 0.11 reckons 24 * 0.35 / 0.35 and expects 23 px
    space = [{"type": "space", "id": axis} for axis in "yx"]
    step = {"min": contract.side_multiple, "step": contract.side_multiple}
    names = list(info.input.bands) or list(RGB)
    image = {
        "id": IMAGES,
        "description": f"{', '.join(names)}; 0 to 255{size_words}",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": words(names, info.input.channels)},
            *({**axis, "size": step} for axis in space),
        ],
        "test_tensor": file(f"{IMAGES}.npy"),
        "data": {"type": "uint8", "range": [0, 255]},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}},
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},  # without, the tensor goes back to uint8
        ],
    }
    outputs = [
        {
            "id": name,
            "description": f"{name.replace('_', ' ')}, a probability",
            "axes": [
                {"type": "batch"},
                {"type": "channel", "channel_names": [name]},
                *({**axis, "size": {"tensor_id": IMAGES, "axis_id": axis["id"]}} for axis in space),
            ],
            "test_tensor": file(f"{name}.npy"),
            "data": {"type": "float32", "range": [0.0, 1.0]},
            "postprocessing": [{"id": "sigmoid"}],
        }
        for name in contract.fields
    ]
    return {
        "type": "model",
        "format_version": "0.5.4",
        "name": f"{info.domain} entities ({info.method.name})".replace(".", " "),
        "description": f"Fields of every entity of an image of {info.domain}, fitted on {info.data}",
        "documentation": file("README.md"),
        "covers": [file("cover.png")],
        "attachments": [file(f"{KEY}.json")],
        "tags": ["entity-segmentation", "instance-segmentation", info.domain],
        "timestamp": datetime.now(UTC).isoformat(),
        "inputs": [image],
        "outputs": outputs,
        "weights": {
            "torchscript": {**file("model.pt"), "pytorch_version": torch.__version__.split("+")[0]},
            "onnx": {**file("model.onnx"), "opset_version": OPSET, "parent": "torchscript"},
        },
    }


def words(names: list[str], channels: int) -> list[str]:
    """As many names of channels as there are, each a word."""
    plain = ["".join(sign if sign.isalnum() else "_" for sign in name.lower()) for name in names]
    return plain if len({*plain}) == channels else [f"channel{i}" for i in range(channels)]
