"""The jobs of a golden run: lines of `cli.py`, with paths from the folder of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RECIPES = ("pathology", "industrial", "remote_sensing", "natural")
# seconds=null: steps alone end the fit and set the learning rate, which otherwise follows the clock too.
SHORT = ("train.steps=40", "train.seconds=null", "train.validate_every=20", "train.batch_size=2", "domain.symmetries=1")
SAMPLE = (*SHORT, "domain.sample_count=16")
PICTURES = ("labels", "geojson", "coco", "csv", "images", "overlay", "zarr", "parquet", "heat")
MAPS = ("labels", "geojson", "gpkg", "csv", "images", "overlay")
DRAWN = "inputs/drawn"


@dataclass(frozen=True)
class Job:
    """words: what follows `cli.py`. Results, where a job has any, lie in out/NAME."""

    name: str
    words: tuple[str, ...]

    @property
    def out(self) -> str:
        return f"out/{self.name}"


def jobs(real: bool) -> list[Job]:
    """All jobs, in an order in which each has what it needs; real: those on real images too."""
    return [*told(), *fitted(), *used(), *(on_real_images() if real else [])]


def told() -> list[Job]:
    """What is there: recipes, and a folder of images."""
    shown = [Job(f"recipe_{name}", ("recipes", "show", name)) for name in (*RECIPES, "base", "pretrain")]
    return [*shown, checked("check_drawn", DRAWN)]


def fitted() -> list[Job]:
    return [fit(f"fit_{name}", name, SAMPLE) for name in RECIPES]


def used() -> list[Job]:
    """What is done with the adapters that were fitted on generated images, on drawn ones."""
    return [
        predict("predict_formats", "fit_pathology", f"{DRAWN}/images", PICTURES),
        predict("predict_density", "fit_pathology", f"{DRAWN}/images/0.png", ("density",), "--pixel-size", "0.25"),
        predict("predict_defects", "fit_industrial", f"{DRAWN}/images"),
        predict("predict_regions", "fit_natural", f"{DRAWN}/images", (), "--symmetries", "2"),
        predict("predict_map", "fit_remote_sensing", "inputs/map.tif", MAPS, "--square"),
        evaluate("evaluate_drawn", "fit_pathology", "--data", DRAWN, "--split", "all"),
        Job("transfer", ("transfer", *between("fit_pathology", "fit_industrial"), "--out", "out/transfer")),
        *(Job(f"show_{name}", ("adapters", "show", adapter(f"fit_{name}"))) for name in RECIPES),
        Job("verify", ("adapters", "verify", adapter("fit_natural"))),
        Job("pack", ("adapters", "pack", adapter("fit_natural"), "out/pack.zip")),
    ]


def on_real_images() -> list[Job]:
    """Fits on subsets of real sets, a slide's crop, a map with a place."""
    stained = ("--data", "inputs/stained", "domain.groups=inputs/stained.csv")
    cracks = ("--data", "inputs/cracks", "domain.groups=inputs/cracks.csv")
    return [
        checked("check_stained", "inputs/stained", "--groups", "inputs/stained.csv"),
        fit("fit_stained", "pathology", (*stained, *SHORT)),
        fit("fit_cracks", "industrial", (*cracks, *SHORT)),
        evaluate("evaluate_stained", "fit_stained", *stained),
        predict("predict_scene", "fit_stained", "inputs/scene.tif", (*PICTURES, "density")),
        predict("predict_real_map", "fit_remote_sensing", "inputs/real_map.tif", MAPS, "--simplify", "1"),
    ]


def fit(name: str, recipe: str, options: Sequence[str]) -> Job:
    return Job(name, ("fit", "--recipe", recipe, "--out", f"out/{name}", *options))


def predict(name: str, fit_name: str, images: str, formats: Sequence[str] = (), *options: str) -> Job:
    asked = [word for each in formats for word in ("--format", each)]
    return Job(name, ("predict", "--adapter", adapter(fit_name), images, "--out", f"out/{name}", *asked, *options))


def evaluate(name: str, fit_name: str, *options: str) -> Job:
    return Job(name, ("evaluate", "--adapter", adapter(fit_name), "--json", f"out/{name}.json", *options))


def checked(name: str, folder: str, *options: str) -> Job:
    return Job(name, ("domains", "check", folder, "--report", f"out/{name}.html", *options))


def between(*fit_names: str) -> list[str]:
    """What `transfer` measures: adapters on the drawn images."""
    rows = [word for name in fit_names for word in ("--adapter", f"{name}:{adapter(name)}")]
    return [*rows, "--data", f"pathology={DRAWN}", "--split", "all"]


def adapter(fit_name: str) -> str:
    return f"out/{fit_name}/adapter"
