"""The verbs of the command line that help to decide: what to label, how many images, which method.

Arguments in, one function called; each imports its work when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recipes.verbs.arguments import (
    Adapter,
    Base,
    Device,
    Explored,
    InPrecision,
    MaybeRecipe,
    OutOfFits,
    Overwrite,
    PixelSize,
    Precision,
    Recipe,
    Seconds,
    Seeds,
    Symmetries,
    TestScales,
    on_data,
)

deciding_app = typer.Typer()


@deciding_app.command()
@on_data
def compare(
    recipe: Recipe,
    methods: Annotated[
        str, typer.Option(metavar="NAME[:OPTION=VALUE...],...", help="Such as decoder_only,lora:scope=both,dora.")
    ],
    out: OutOfFits,
    changed: list[str],
    seconds: Seconds = 300,
    seeds: Seeds = 3,
) -> None:
    """Fit several methods with the same seconds, seeds and splits: a table and a picture of size against worth."""
    from recipes.verbs.compare import compare as run
    from recipes.verbs.compare import parse_methods

    run(recipe, parse_methods(methods), out, seconds, seeds, changed)


@deciding_app.command("learning-curve")
@on_data
def learning_curve(
    recipe: Recipe,
    images: Annotated[str, typer.Option(metavar="N,N,...", help="Training images of each point, such as 5,10,20,all.")],
    out: OutOfFits,
    changed: list[str],
    seconds: Seconds = 300,
    seeds: Seeds = 2,
) -> None:
    """Fit to more and more of the training images, and say whether yet more of them would help."""
    from recipes.verbs.learning_curve import learning_curve as run
    from recipes.verbs.learning_curve import parse_images

    run(recipe, parse_images(images), out, seconds, seeds, changed)


@deciding_app.command("pseudo-label")
def pseudo_label(
    pool: Annotated[Path, typer.Argument(metavar="DIR", help="Images without labels.")],
    out: Annotated[Path, typer.Option("--out", metavar="LABELS", help="Where images and labels go, for fit --data.")],
    adapter: Adapter = "base",
    recipe: MaybeRecipe = None,
    explore: Annotated[
        Explored | None,
        typer.Option(
            help="What labels are made of: the entities that the network finds in many views, or what its frozen "
            "features tell apart; by default entities where its decoder has learnt any."
        ),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(metavar="Q,Q,...", help="Falling quantiles of neighbours' similarity, such as 0.7,0.5,0.3,0.1."),
    ] = None,
    symmetries: Symmetries = None,
    test_scales: TestScales = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    backbone: Base = None,
) -> None:
    """Label images without any label, by a network's own entities in many views or by its features, for a fit."""
    from recipes.inputs import check_present, parse_scales
    from recipes.shared import check_adapter, on_base
    from recipes.verbs.pseudo_label import parse_quantiles, parse_views

    check_present([pool])
    quantiles, views = parse_quantiles(thresholds), parse_views(symmetries, parse_scales(test_scales))
    check_adapter(adapter, recipe, on_base(backbone))
    from recipes.runtime import choose
    from recipes.verbs.pseudo_label import pseudo_label as run

    changed, how = on_base(backbone), choose(device, str(precision))
    kind = None if explore is None else str(explore)
    run(
        adapter, pool, out, recipe, changed,
        explore=kind, quantiles=quantiles, views=views, runtime=how, overwrite=overwrite,
    )  # fmt: skip


@deciding_app.command("next-images")
def next_images(
    adapter: Adapter,
    pool: Annotated[list[Path], typer.Argument(metavar="POOL...", help="Images without labels, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the list and the contact sheet go.")],
    count: Annotated[int, typer.Option(min=1, help="Images to label.")] = 20,
    recipe: MaybeRecipe = None,
    pixel_size: PixelSize = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: InPrecision = Precision.auto,
    backbone: Base = None,
) -> None:
    """Say which images of a pool to label next: where the adapter doubts, and unlike what is labelled already."""
    from recipes.inputs import metres
    from recipes.shared import check_adapter, on_base

    size = metres(pixel_size)
    check_adapter(adapter, recipe, on_base(backbone))
    from recipes.runtime import choose
    from recipes.verbs.next_images import next_images as run

    run(
        adapter, pool, count, out, recipe, on_base(backbone),
        runtime=choose(device, str(precision)), pixel_size_m=size, overwrite=overwrite,
    )  # fmt: skip
