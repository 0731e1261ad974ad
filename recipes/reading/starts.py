"""Whether the decoder of a recipe starts from what was pretrained with its base. Nothing here imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.options.backbone import EMBEDDED
from adapters.options.decoders import Dense
from recipes.reading.schema import Recipe

DECODER_OPTIONS = "entity_decoder.json"
"""Beside a base: the options of the decoders that were pretrained with it."""


def unstarted(recipe: Recipe) -> bool:
    """Whether the decoder starts from nothing: the base has none of its shape, and no adapter is gone on from."""
    return not recipe.train.start_adapter and lacks_decoder(recipe)


def lacks_decoder(recipe: Recipe) -> bool:
    """Whether no decoder of its shape was pretrained with the base."""
    if recipe.backbone.random or not isinstance(recipe.decoder, Dense):
        return True
    shape = decoder_shape(recipe.backbone.name)
    return any(shape.get(name) != getattr(recipe.decoder, name) for name in ("width", "detail"))


def decoder_shape(backbone: str) -> dict[str, Any]:
    """Options of the decoders that came with a base; none where there are none."""
    home = Path(__file__).parents[2] / "adapters" / "backbones"
    folder = home / backbone if backbone in EMBEDDED else Path(backbone).expanduser()
    try:
        shape = json.loads((folder / DECODER_OPTIONS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return shape if isinstance(shape, dict) else {}
