"""`cli.py pseudo-label`: images without labels in, labels that nobody drew out, for `fit` to begin with.

LABELS holds, in the layout of `predict` beside its images, a copy of each image, NAME.labels.tif with the regions that
persist most, NAME.weights.csv with how much each counts in a fit, and NAME.forest.tif and .csv with all that is nested.
A run that was stopped goes on; images that are done stay.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from adapters.backbones.embedded_bases import folder_of
from adapters.inference.neighbours import QUANTILES, Neighbours, cells_of
from adapters.inference.segment import decoded
from adapters.proposals.explored import FLAT, Exploration, Features, explored
from adapters.runtime import CPU, Runtime
from adapters.sharing.texts import parse_json
from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.exports.destination import output_names
from domains.exports.forest_files import CSV, RASTER, write_csv, write_raster
from domains.exports.label_raster import write_strips
from domains.formats.label_maps import WEIGHTS
from domains.scenes import open_scene
from domains.scenes.results import LABELS
from domains.tiling.canvas import LARGE_PX
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest
from recipes import set_up
from recipes.inputs import numbers
from recipes.load import Loaded, loaded
from recipes.reading.command import following
from recipes.scene_files import scenes_of
from recipes.verbs.progress import Progress

SETTINGS = "pseudo-labels.json"
MEASURED = 16
"""Images on which the similarities of a backbone are measured that does not say them."""
LEAST_PX = 32
"""Of the shorter side of an image."""


def parse_quantiles(text: str | None) -> tuple[float, ...]:
    """What `--thresholds` says. Raises InputError."""
    if text is None:
        return QUANTILES
    quantiles = tuple(numbers(text, "--thresholds"))
    if len(quantiles) < 2 or not all(0 <= b < a <= 1 for a, b in zip(quantiles, quantiles[1:], strict=False)):
        raise InputError(f"--thresholds is {text!r:.80}; wanted two falling quantiles or more, such as 0.7,0.5,0.3,0.1")
    return quantiles


def pseudo_label(
    adapter: str,
    pool: Path,
    out: Path,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    quantiles: Sequence[float] = QUANTILES,
    runtime: Runtime = CPU,
    overwrite: bool = False,
) -> Path:
    """Write LABELS; returns it. Raises InputError for a pool without a usable image, or in which nothing is told apart,
    and for labels that were made otherwise.
    """
    set_up()
    if out.resolve() == pool.resolve() or pool.resolve() in out.resolve().parents:
        raise InputError(f"--out {str(out)!r} lies in the images {str(pool)!r}, whose copies would be labelled next")
    scenes = scenes_of([pool])
    for note in scenes.notes():
        print(note, file=sys.stderr)
    paths = [path for path in scenes.paths if isinstance(path, Path)]
    names = output_names(paths)
    with loaded(adapter, recipe, overrides, runtime=runtime) as network:
        check_network(network, adapter)
        labeller = begun(network, adapter, paths, out, quantiles, overwrite)
        done, entities, faults, plain = 0, 0, [], []
        with Progress("pseudo-label", len(paths), unit="images") as progress:
            for path in paths:
                if not overwrite and (out / f"{names[path]}{LABELS}").exists():
                    done += 1
                else:
                    try:
                        count = labeller.label(path, names[path])
                    except InputError as error:
                        faults.append(str(error))
                    else:
                        entities += count
                        plain += [path] if not count else []
                progress.advance()
    written = len(paths) - done - len(faults) - len(plain)
    if faults:
        print(f"{len(faults)} of {len(paths)} images were left out; {faults[0]}", file=sys.stderr)
    if plain:
        print(f"{len(plain)} images were left out: nothing is told apart in them, such as {plain[0]}", file=sys.stderr)
    if not written + done:
        raise InputError(f"{str(pool)!r}: no region was found in any of its {len(paths)} images; look at them, or say "
                         "other --thresholds")  # fmt: skip
    kept = f", {done} were there" if done else ""
    print(f"{written} images labelled with {entities} regions{kept}: {out}")
    print(following("fit", "--recipe", network.domain, "--data", out, "train.teacher=true"))
    return out


def check_network(network: Loaded, adapter: str) -> None:
    """Raises InputError for an adapter of other channels than RGB, on which merging has not been tried."""
    if network.contract.channels != 3:
        raise InputError(
            f"{adapter!r} sees {network.contract.channels} channels; pseudo-label wants RGB: --adapter base"
        )


@dataclass(frozen=True)
class Labeller:
    """What labels one image after the other."""

    network: Loaded
    features: Features
    options: Exploration
    out: Path

    def image(self, path: Path) -> np.ndarray:
        """(H, W, 3) uint8 as the network is shown it. Raises InputError for what cannot be read, or not whole."""
        with closing(open_scene(path)) as scene:
            height, width = scene.shape
            if height * width > LARGE_PX or min(height, width) < LEAST_PX:
                few_or_many = "too many to be labelled whole: cut tiles of it"
                reason = few_or_many if height * width > LARGE_PX else f"wanted {LEAST_PX} or more each way"
                raise InputError(f"{str(path)!r} has {width} x {height} px, {reason}")
            return decoded(self.network.contract.viewed(scene)).image

    def label(self, path: Path, name: str) -> int:
        """Write the files of an image, its labels last; returns how many regions the flat map has, 0 where nothing was
        written as there are not two. Raises InputError.
        """
        image = self.image(path)
        forest = explored(image, self.features, self.options)
        flat = forest.cut(FLAT)
        if flat.count < 2:
            return 0
        with atomic_path(self.out / f"{name}{path.suffix}") as temporary:
            shutil.copyfile(path, temporary)
        write_forest(self.out, name, path, forest, flat)
        assert flat.scores is not None
        with atomic_path(self.out / f"{name}{WEIGHTS}") as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["id", "weight"])
            table.writerows((i, f"{score:.4f}") for i, score in enumerate(flat.scores.tolist(), 1))
        with atomic_path(self.out / f"{name}{LABELS}") as temporary:
            write_strips(temporary, flat.ids)
        return flat.count


def write_forest(out: Path, name: str, path: Path, forest: EntityForest, flat: EntityMap) -> None:
    """The forest as `predict --format forest` writes it."""
    scene_forest = SceneForest.of_forest(forest, FLAT)
    prediction = Prediction.of_map(flat, name, Place(str(path)))
    with atomic_path(out / f"{name}{RASTER}") as temporary:
        write_raster(temporary, prediction, scene_forest, "plain")
    with atomic_path(out / f"{name}{CSV}") as temporary:
        write_csv(temporary, scene_forest)


def begun(
    network: Loaded, adapter: str, paths: Sequence[Path], out: Path, quantiles: Sequence[float], overwrite: bool
) -> Labeller:
    """What labels into OUT, with the settings that stand there. Raises InputError where others do."""
    backbone = network.segmenter.backbone
    stored = Neighbours.read(folder_of(backbone.name))
    tap = backbone.taps[0] if stored is None or stored.tap not in backbone.taps else stored.tap
    features = cells_of(network.segmenter, tap)
    settings: dict[str, Any] = {"adapter": adapter, "base": Path(backbone.name).name, "quantiles": list(quantiles)}
    file = out / SETTINGS
    present = settings_in(file) if file.exists() and not overwrite else None
    agrees = present is not None and {key: present.get(key) for key in settings} == settings
    if present is not None and not agrees:
        raise InputError(f"{str(out)!r} holds labels that were made otherwise; name another --out, or add --overwrite")
    if present is None and out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{str(out)!r} holds other files; name another --out, or add --overwrite")
    if agrees and present is not None:
        thresholds = tuple(present["thresholds"])
    else:
        if stored is None or stored.tap != tap:
            stored = measured(network, features, tap, paths, out)
        thresholds = stored.thresholds(quantiles)
    labeller = Labeller(network, features, Exploration(thresholds), out)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps({**settings, "tap": tap, "thresholds": list(thresholds)}, indent=2) + "\n")
    return labeller


def settings_in(file: Path) -> dict[str, Any]:
    """The settings by which labels were made. Raises InputError for a damaged file."""
    source = repr(str(file))
    settings = parse_json(file.read_text("utf-8", errors="replace"), source)
    thresholds = settings.get("thresholds") if isinstance(settings, dict) else None
    if not isinstance(thresholds, list) or not all(isinstance(x, int | float) for x in thresholds):
        raise InputError(f"{source} is damaged: it has no list of thresholds; name another --out, or add --overwrite")
    return settings


def measured(network: Loaded, features: Features, tap: int, paths: Sequence[Path], out: Path) -> Neighbours:
    """The similarities of a backbone that does not say them, on images of the pool spread over it."""
    reader = Labeller(network, features, Exploration((1.0,)), out)
    step = max(1, len(paths) // MEASURED)

    def cells() -> Any:
        for path in paths[::step]:
            try:
                yield features(reader.image(path))
            except InputError:  # it is told when its turn comes
                continue

    return Neighbours.measured(tap, islice(cells(), MEASURED))
