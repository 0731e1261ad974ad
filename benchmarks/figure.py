"""The README's picture: image, truth, bare base, adapter and classical method (where it was run), a row per set.

python benchmarks/accuracy.py --data DIR --budget minutes --method decoder_only --method classical --runs RUNS
python benchmarks/figure.py --data DIR --runs RUNS --set dsb2018_he --image 9 --set dsb2018_fluo --image 3 \\
    --set magnetic_tile --image 0 --set nwpu_vhr10 --image 10 --set bsds500 --image 12 --out docs/overlays.png
python benchmarks/figure.py --data DIR --runs RUNS --set magnetic_tile --image 0 --set magnetic_tile --image 2 \\
    --set magnetic_tile --image 19 --set magnetic_tile --image 41 --set magnetic_tile --image 46 \\
    --set magnetic_tile --image 58 --set crackforest --image 2 --out docs/defects.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import typer

from adapters.inference.segment import segment
from benchmarks.accuracy import classical
from benchmarks.accuracy.plan import SETS
from domains.atomic import atomic_path
from domains.entities.overlay import contact_sheet, overlay
from domains.scenes import Photograph
from recipes import set_up
from recipes.build import domain_of
from recipes.load import BASE, loaded

HERE = Path(__file__).resolve().parent


def main(
    data: Annotated[Path, typer.Option(help="folder of the data sets and their index/")],
    runs: Annotated[Path, typer.Option(help="where the benchmark kept its adapters")],
    set_: Annotated[list[str], typer.Option("--set", help="one row each")],
    out: Annotated[Path, typer.Option(help="PNG to write")],
    image: Annotated[list[int] | None, typer.Option(help="which test image of each set; the first by default")] = None,
    method: Annotated[str, typer.Option(help="whose adapter")] = "decoder_only",
    results: Annotated[Path, typer.Option(help="the benchmark's results")] = HERE / "results",
) -> None:
    """A row per set: an image of its test split, its truth, and what each method finds there."""
    set_up()
    rows = []
    for name, index in zip(set_, image or [0] * len(set_), strict=True):
        run = runs / f"{name}-{method}-minutes-0" / "adapter"
        where = [f"domain.data={data / name}"]
        if (data / "index" / f"{name}.csv").is_file():
            where.append(f"domain.groups={data / 'index' / name}.csv")
        with loaded(str(run), None, where) as adapted, loaded(BASE, str(run / "recipe.yaml"), where) as base:
            sample = domain_of(adapted.recipe).dataset("test")[index]
            networks = [segment(one.segmenter, Photograph(sample.image), one.contract) for one in (base, adapted)]
        found = dict(zip(("truth", "base", method.replace("_", " ")), (sample.truth, *networks), strict=True))
        tuned = results / f"{name}-classical-minutes-0.json"
        if tuned.is_file():
            parameters = json.loads(tuned.read_text(encoding="utf-8"))["parameters"]
            found["classical"] = classical.METHODS[SETS[name].classical](**parameters)(sample.image)
        pictures = [(f"{word}: {entities.count}", overlay(sample.image, entities)) for word, entities in found.items()]
        rows.append([(name, sample.image), *pictures])
    with atomic_path(out) as temporary:
        contact_sheet(rows).save(temporary)


if __name__ == "__main__":
    typer.run(main)
