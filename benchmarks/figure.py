"""The README's picture: image, truth, before and after, of several runs in one figure.

python benchmarks/figure.py --run runs/he --run runs/tiles --run runs/aerial --run runs/photos --out docs/overlays.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import typer

from adapters.inference import segment
from domains.atomic import atomic_path
from domains.overlay import contact_sheet, overlay
from domains.scenes import Photograph
from recipes import set_up
from recipes.build import domain_of
from recipes.load import BASE, loaded


def main(
    run: Annotated[list[Path], typer.Option(help="folders that `fit` wrote, one row each")],
    out: Annotated[Path, typer.Option(help="PNG to write")],
    image: Annotated[list[int] | None, typer.Option(help="which test image of each run; the first by default")] = None,
) -> None:
    """A row per run: an image of its test split, its truth, the bare base and the adapter."""
    set_up()
    rows = []
    for folder, index in zip(run, image or [0] * len(run), strict=True):
        recipe = folder / "recipe.yaml"
        with loaded(str(folder / "adapter")) as adapted, loaded(BASE, str(recipe)) as base:
            sample = domain_of(adapted.recipe).dataset("test")[index]
            found = [segment(one.segmenter, Photograph(sample.image), one.contract) for one in (base, adapted)]
        shown = zip(("truth", "base", adapted.recipe.method.name), (sample.truth, *found), strict=True)
        pictures = [(f"{word}: {entities.count}", overlay(sample.image, entities)) for word, entities in shown]
        rows.append([(adapted.recipe.domain.name, sample.image), *pictures])
    with atomic_path(out) as temporary:
        contact_sheet(rows).save(temporary)


if __name__ == "__main__":
    typer.run(main)
