"""The JSON Schema of recipes, for editors: `python -m recipes.reading.editor_schema` writes it.

With the name of an installed package's domain it prints the schema with that domain's options instead.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from adapters.options.section import Options, schema_of
from recipes.reading.compose import SHIPPED
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe, recipe_of

SCHEMAS: dict[str, type[Options]] = {"recipe.schema.json": Recipe, "pretrain.schema.json": PretrainRecipe}


def editor_schema(kind: type[Options]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe as it is written: nothing is required, since a parent may say it."""
    extends = {"type": "string", "description": "A shipped recipe, or a .yaml in this folder or below it."}
    schema = {**schema_of(kind)}
    schema["properties"] = {"extends": extends, **schema["properties"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_optional(schema)}


def _optional(node: Any) -> Any:
    if isinstance(node, list):
        return [_optional(item) for item in node]
    if not isinstance(node, dict):
        return node
    rename = {"oneOf": "anyOf"}  # without a name, a section may fit several parts
    dropped = {"required", "discriminator", "wanted", "title"}
    return {rename.get(key, key): _optional(value) for key, value in node.items() if key not in dropped}


def write_schemas(folder: Path) -> None:
    """Write the schemas of both kinds of recipe."""
    for file, kind in SCHEMAS.items():
        (folder / file).write_text(json.dumps(editor_schema(kind), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(editor_schema(recipe_of(sys.argv[1])), indent=2))
    else:
        write_schemas(SHIPPED)
