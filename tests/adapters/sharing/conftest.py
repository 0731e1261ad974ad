"""An adapter that needs no network: what opens, packs and sends one looks at its texts and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.options.section import checked
from adapters.sharing.door import sealed
from adapters.sharing.info import CARD, INFO, RECIPE, AdapterInfo

VALUES = {
    "schema_version": 2,
    "backbone": {
        "name": "entity-small", "family": "dinov2", "model_type": "dinov2", "dim": 192, "depth": 6, "stride": 8,
        "taps": [2, 4, 6], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2],
    },
    "fingerprint": "0" * 64, "method": {"name": "decoder_only"}, "decoder": {"name": "dense"}, "input": {},
    "domain": "natural", "data": "images", "probe": [0.5],
}  # fmt: skip


def write_adapter(folder: Path, weights: bytes = b"weights", **changes: object) -> Path:
    """An adapter whose texts are whole, sealed; weights: of both its files, no tensors unless they are said."""
    folder.mkdir()
    (folder / RECIPE).write_text("domain: {name: natural}\nmethod: {name: decoder_only}\n")
    (folder / CARD).write_text("# A card\n")
    for name in ("adapter_model.safetensors", "entity_decoder.safetensors"):
        (folder / name).write_bytes(weights)
    (folder / INFO).write_text(sealed(folder, checked(AdapterInfo, {**VALUES, **changes})).json_text())
    return folder


@pytest.fixture
def adapter_folder(tmp_path: Path) -> Path:
    """An adapter whose weights are no weights, which nothing here looks at."""
    return write_adapter(tmp_path / "adapter")
