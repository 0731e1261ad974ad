"""`cli.py pseudo-label`: images without labels in, labels that nobody drew out, for `fit` to begin with.

LABELS holds, in the layout of `predict` beside its images, a copy of each image, NAME.labels.tif with the flat map,
NAME.weights.csv with how much each of its entities counts in a fit, and NAME.forest.tif and .csv with all that is
nested. Where the network's decoder has learnt anything they are what it finds in many views of the image, else what its
frozen features tell apart. A run that was stopped goes on; images that are done stay.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.backbones.embedded_bases import folder_of
from adapters.inference.many_views import MANY, of_many_views
from adapters.inference.neighbours import QUANTILES, Neighbours, cells_of
from adapters.inference.segment import decoded
from adapters.network import Views
from adapters.proposals.explored import FLAT, Exploration, Features, explored
from adapters.runtime import CPU, Runtime
from adapters.sharing.texts import parse_json
from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports.destination import output_names
from domains.exports.forest_files import CSV, RASTER, write_csv, write_raster
from domains.exports.label_raster import write_strips
from domains.formats.label_maps import WEIGHTS
from domains.scenes import Photograph, open_scene
from domains.scenes.results import LABELS
from domains.tiling.canvas import LARGE_PX
from domains.tiling.prediction import Prediction
from domains.tiling.scene_forest import SceneForest
from recipes import set_up
from recipes.inputs import numbers
from recipes.load import Loaded, loaded
from recipes.reading.command import following
from recipes.scene_files import scenes_of
from recipes.shared import BASE
from recipes.verbs.numbers import counted
from recipes.verbs.progress import Progress

SETTINGS = "pseudo-labels.json"
ENTITIES, FEATURES = "entities", "features"
"""What labels are made of: what the network finds in many views, or what its backbone's features tell apart."""
MEASURED = 16
"""Images on which the similarities of a backbone are measured that does not say them."""
LEAST_PX = 32
"""Of the shorter side of an image."""
FITTED = {
    ENTITIES: ("train.lr=4e-4", "train.backbone_lr=4e-4"),
    FEATURES: (),
}
"""The options by which a fit makes most of labels (benchmarks/pseudo-labels.md)."""


def parse_quantiles(text: str | None) -> tuple[float, ...] | None:
    """What `--thresholds` says, None for nothing. Raises InputError."""
    if text is None:
        return None
    quantiles = tuple(numbers(text, "--thresholds"))
    if len(quantiles) < 2 or not all(0 <= b < a <= 1 for a, b in zip(quantiles, quantiles[1:], strict=False)):
        raise InputError(f"--thresholds is {text!r:.80}; wanted two falling quantiles or more, such as 0.7,0.5,0.3,0.1")
    return quantiles


def parse_views(symmetries: int | None, scales: Sequence[float] | None) -> Views:
    """What `--symmetries` and `--test-scales` say, of either what is usual where it says nothing."""
    return Views(symmetries or MANY.symmetries, MANY.scales if scales is None else tuple(scales))


def pseudo_label(
    adapter: str,
    pool: Path,
    out: Path,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    explore: str | None = None,
    quantiles: Sequence[float] | None = None,
    views: Views = MANY,
    runtime: Runtime = CPU,
    overwrite: bool = False,
) -> Path:
    """Write LABELS; returns it.

    explore: None for entities where the network's decoder has learnt any, features elsewhere and where quantiles, of
    neighbours' similarity, are said. views: in which entities are found. Raises InputError for a pool without a usable
    image, or in which nothing is told apart, for labels that were made otherwise, for a network that has no entities of
    its own to explore, and for options of the other way to explore.
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
        explore = explore or (FEATURES if quantiles or not finds_entities(network, adapter) else ENTITIES)
        if explore == ENTITIES:
            if quantiles:
                raise InputError("--thresholds are of --explore features; leave one of the two out")
            labeller = begun_by_entities(network, adapter, out, overwrite, views)
        elif views != MANY:
            raise InputError("--symmetries and --test-scales are of --explore entities; leave them out of features")
        else:
            labeller = begun(network, adapter, paths, out, quantiles or QUANTILES, overwrite)
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
        print(f"left out: nothing is told apart in {counted(len(plain), 'image')}, such as {plain[0]}", file=sys.stderr)
    if not written + done:
        remedy = "other --thresholds" if explore == FEATURES else "--explore features"
        raise InputError(
            f"{str(pool)!r}: no region was found in any of its {len(paths)} images; look at them, or say {remedy}"
        )
    kept = f", {done} were there" if done else ""
    print(f"{counted(written, 'image')} labelled with {counted(entities, 'region')}{kept}: {out}")
    print(following("fit", "--recipe", network.domain, "--data", out, *FITTED[explore]))
    return out


def check_network(network: Loaded, adapter: str) -> None:
    """Raises InputError for an adapter of other channels than RGB, on which merging has not been tried."""
    if network.contract.channels != 3:
        raise InputError(
            f"{adapter!r} sees {network.contract.channels} channels; pseudo-label wants RGB: --adapter base"
        )


def finds_entities(network: Loaded, adapter: str) -> bool:
    """Whether a network has learnt entities, and its fields can be averaged over views."""
    decoder = network.segmenter.decoder
    return bool(decoder.fields) and (adapter != BASE or decoder.start is not None)


def photograph_of(network: Loaded, path: Path) -> Photograph:
    """The image as the network is shown it. Raises InputError for what cannot be read, or not whole."""
    with closing(open_scene(path)) as scene:
        height, width = scene.shape
        if height * width > LARGE_PX or min(height, width) < LEAST_PX:
            few_or_many = "too many to be labelled whole: cut tiles of it"
            reason = few_or_many if height * width > LARGE_PX else f"wanted {LEAST_PX} or more each way"
            raise InputError(f"{str(path)!r} has {width} x {height} px, {reason}")
        return decoded(network.contract.viewed(scene))


@dataclass(frozen=True)
class Labeller:
    """What labels one image after the other. explore: from an image to its forest, of which the flat map is a cut."""

    network: Loaded
    explore: Callable[[Photograph], SceneForest]
    out: Path

    def label(self, path: Path, name: str) -> int:
        """Write the files of an image, its labels last; returns how many regions the flat map has, 0 where nothing was
        written as there are not two. Raises InputError.
        """
        forest = self.explore(photograph_of(self.network, path))
        flat = forest.entity_forest.cut(forest.granularity)
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


def write_forest(out: Path, name: str, path: Path, forest: SceneForest, flat: EntityMap) -> None:
    """The forest as `predict --format forest` writes it."""
    prediction = Prediction.of_map(flat, name, Place(str(path)))
    with atomic_path(out / f"{name}{RASTER}") as temporary:
        write_raster(temporary, prediction, forest, "plain")
    with atomic_path(out / f"{name}{CSV}") as temporary:
        write_csv(temporary, forest)


def begun_by_entities(network: Loaded, adapter: str, out: Path, overwrite: bool, views: Views) -> Labeller:
    """What labels into OUT by the network's own entities, in many views. Raises InputError where settings stand there
    by which labels were made otherwise, and for a network that this is not for.
    """
    if not finds_entities(network, adapter):
        raise InputError(
            f"{adapter!r} has no decoder that has learnt entities and can be averaged over views (decoder.name=dense); "
            "say --explore features"
        )
    base = Path(network.segmenter.backbone.name).name
    told = {"symmetries": views.symmetries, "scales": list(views.scales)}
    settings = {"adapter": adapter, "base": base, "explore": ENTITIES, "views": told}
    present_settings(out, settings, overwrite)
    labeller = Labeller(network, of_many_views(network.segmenter, network.contract, views), out)
    write_settings(out, settings)
    return labeller


def begun(
    network: Loaded, adapter: str, paths: Sequence[Path], out: Path, quantiles: Sequence[float], overwrite: bool
) -> Labeller:
    """What labels into OUT by features, with the settings that stand there. Raises InputError where others do."""
    backbone = network.segmenter.backbone
    stored = Neighbours.read(folder_of(backbone.name))
    tap = backbone.taps[0] if stored is None or stored.tap not in backbone.taps else stored.tap
    features = cells_of(network.segmenter, tap)
    settings: dict[str, Any] = {"adapter": adapter, "base": Path(backbone.name).name, "quantiles": list(quantiles)}
    present = present_settings(out, settings, overwrite)
    if present is not None:
        thresholds = thresholds_in(present, out / SETTINGS)
    else:
        if stored is None or stored.tap != tap:
            stored = measured(network, features, tap, paths)
        thresholds = stored.thresholds(quantiles)
    options = Exploration(thresholds)

    def explore(scene: Photograph) -> SceneForest:
        return SceneForest.of_forest(explored(scene.image, features, options), FLAT)

    labeller = Labeller(network, explore, out)
    write_settings(out, {**settings, "tap": tap, "thresholds": list(thresholds)})
    return labeller


def present_settings(out: Path, settings: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The settings that stand in OUT and agree with these; None where none do. Raises InputError where others stand
    there, damaged ones, or other files.
    """
    file = out / SETTINGS
    present = settings_in(file) if file.exists() and not overwrite else None
    if present is not None and {key: present.get(key) for key in settings} != settings:
        raise InputError(f"{str(out)!r} holds labels that were made otherwise; name another --out, or add --overwrite")
    if present is None and out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{str(out)!r} holds other files; name another --out, or add --overwrite")
    return present


def write_settings(out: Path, settings: dict[str, Any]) -> None:
    """Put the settings into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def settings_in(file: Path) -> dict[str, Any]:
    """The settings by which labels were made. Raises InputError for a damaged file."""
    source = repr(str(file))
    settings = parse_json(file.read_text("utf-8", errors="replace"), source)
    if not isinstance(settings, dict):
        raise InputError(f"{source} is damaged: it has no settings; name another --out, or add --overwrite")
    return settings


def thresholds_in(settings: dict[str, Any], file: Path) -> tuple[float, ...]:
    """The thresholds by which features were merged. Raises InputError for a damaged file."""
    thresholds = settings.get("thresholds")
    if not isinstance(thresholds, list) or not all(isinstance(x, int | float) for x in thresholds):
        raise InputError(
            f"{str(file)!r} is damaged: it has no list of thresholds; name another --out, or add --overwrite"
        )
    return tuple(thresholds)


def measured(network: Loaded, features: Features, tap: int, paths: Sequence[Path]) -> Neighbours:
    """The similarities of a backbone that does not say them, on images of the pool spread over it."""
    step = max(1, len(paths) // MEASURED)

    def cells() -> Any:
        for path in paths[::step]:
            try:
                yield features(photograph_of(network, path).image)
            except InputError:  # it is told when its turn comes
                continue

    return Neighbours.measured(tap, islice(cells(), MEASURED))
