"""`cli.py predict`: images and slides in, label maps, outlines, tables and pictures out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from PIL import Image

from adapters.inference.segment import InputContract, level_0_tiles, segment, segment_into, weights_digest
from adapters.network import EntitySegmenter
from adapters.runtime import CPU, Runtime
from domains.datasets.domain import WorthLooking, load_domain
from domains.entities import Place
from domains.errors import InputError
from domains.exports import STREAMED, Destination, Exports, open_exports, output_names
from domains.exports.density import CELL_UM
from domains.scenes import Photograph, Scene, Viewed, open_scene
from domains.scenes.ground import INSTALL, ground_of
from domains.scenes.images import as_rgb
from domains.scenes.pixel_size import show_pixel_size
from domains.scenes.results import signed
from domains.scenes.scene import read_whole
from domains.tiling.grid import Window
from domains.tiling.image_journal import ImageJournal, state_of
from domains.tiling.run_folder import open_run
from domains.tiling.running import RunningPrediction, discard
from recipes import set_up
from recipes.inputs import Asked
from recipes.load import loaded
from recipes.scene_files import scenes_of
from recipes.shared import on_base
from recipes.sides import window_on_patches
from recipes.verbs.progress import Progress

LARGE_PX = 2**25  # a scene of more pixels is not held in memory: 32 megapixels, some 5792 x 5792
HARDLY = 0.01  # of a scene's tiles: less is told at the end


def predict(
    adapter: str,
    inputs: Sequence[Path],
    out: Path,
    formats: Sequence[str] = (),
    recipe: str | None = None,
    overwrite: bool = False,
    asked: Asked = Asked(),  # noqa: B008  # frozen
    pixel_size_m: float | None = None,
    everywhere: bool = False,
    simplify_px: float | None = None,
    square: bool = False,
    backbone: str | None = None,
    smallest_um2: float | None = None,
    *,
    runtime: Runtime = CPU,
) -> None:
    """Write every format for every image. An image that cannot be read is named and left out; the others go on.

    Stopped, however it was, the same command goes on; images that are done are not predicted again, unless their file
    was changed since. The tables hold all images that are done in `out`.

    formats: as in `open_exports`. pixel_size_m: of all images, in place of what they say of themselves. everywhere:
    look at all tiles, those too where the domain says that there can be no entity (empty glass).
    asked: how often to look at a tile. simplify_px, square: of polygons, as in `Destination`. backbone: where the base
    lies, if not where the adapter says. smallest_um2: area of a piece of a slide below which it is dust.
    """
    set_up()
    given = scenes_of(inputs)
    paths, names = list(given.paths), output_names(given.paths)
    for note in given.notes():
        print(note, file=sys.stderr)
    with loaded(adapter, recipe, on_base(backbone), runtime=runtime) as network:
        flavour = "qupath" if network.recipe.domain.name == "pathology" else "plain"
        contract = network.contract.changed(**vars(window_on_patches(asked, network.segmenter.backbone)))
        spec = load_domain(network.recipe.domain.name)
        worth = None if everywhere else looking(spec, network.recipe.domain.name, smallest_um2)
        plan = {
            "adapter": [network.recipe.domain.name, weights_digest(network.segmenter)],
            "input contract (--symmetries, --test-scales, --window)": asdict(contract),
            "--format": sorted(set(formats)),
            "--pixel-size": pixel_size_m,
            "--everywhere": everywhere,
            "--smallest-piece": smallest_um2,
            "--simplify": simplify_px,
            "--square": square,
            **({} if runtime.precision == CPU.precision else {"--precision": runtime.precision}),
        }
        with open_run(out, plan, overwrite) as journal:
            names = names_of(paths, names, journal)
            remaining = [path for path in paths if not is_done(path, names[path], journal, out)]
            tidy(out, journal, names.values())
            describe, kept = getattr(spec, "describe", None), frozenset(path.resolve() for path in paths)
            order = tuple(names[path] for path in paths)
            destination = Destination(out, overwrite, flavour, describe, simplify_px, square, kept, journal, order)
            faults, done_before = [], len(paths) - len(remaining)
            if done_before and remaining:
                print(f"goes on: {done_before} of {len(paths)} images are done", file=sys.stderr)
            exports = open_exports(formats, destination, [names[path] for path in remaining])
            if not remaining and not exports.close():
                journal.end()
                print(f"nothing to do: {len(paths)} images are done in {out}; --overwrite predicts them anew")
                return
            with exports, Progress("predict", len(paths), unit="images") as progress:
                progress.begin_at(done_before)
                run = Run(
                    network.segmenter,
                    contract,
                    exports,
                    destination,
                    worth,
                    pixel_size_m,
                    smallest_um2,
                    on_tile=progress.tick,
                )
                tell_impossible(remaining, exports.parts, pixel_size_m)
                for path in remaining:
                    about = state_of(path)  # as it is when it is opened
                    try:
                        scene = run.open(path)
                    except InputError as error:
                        faults.append(str(error))
                    else:
                        with closing(scene):
                            run.predict(scene, path, names[path], about)
                            progress.saw(scene.shape[0] * scene.shape[1])
                    progress.advance()
            journal.end()
            done = [entry for entry in destination.done() if entry.name in set(order)]
            others = len(destination.done()) - len(done)
    entities = sum(entry.values["entities"] for entry in done)
    print(f"{entities} entities in {len(done)} images: {out}")
    if others:
        print(f"the tables hold {others} more images, which earlier commands predicted", file=sys.stderr)
    warning = hardly_looked({entry.name: entry.values.get("looked_at", 1.0) for entry in done}, smallest_um2)
    if faults:
        more = f"; {warning}" if warning else ""
        raise InputError(f"{len(faults)} of {len(paths)} images were left out, the others are done; {faults[0]}{more}")
    print("next: look at the .overlay.png files, or open the .geojson in QuPath, QGIS or napari", flush=True)
    if warning:
        print(warning, file=sys.stderr)


def names_of(paths: Iterable[Path], names: Mapping[Path, str], journal: ImageJournal) -> dict[Path, str]:
    """Of each image the name of its results: what it was begun under, where it was, else that of `names`.

    Raises InputError where an image would take the name of another's results.
    """
    begun = {entry.values["path"]: entry.name for entry in journal.images}
    paths_of = {name: path for path, name in begun.items()}
    given = {}
    for path in paths:
        resolved = str(path.resolve())
        given[path] = name = begun.get(resolved, names[path])
        if paths_of.get(name, resolved) != resolved:
            raise InputError(
                f"{str(path)!r} would be called {name!r}, as the results of {paths_of[name]!r} are; name another --out"
            )
    return given


def is_done(path: Path, name: str, journal: ImageJournal, out: Path) -> bool:
    """Whether all results of an image are there, and its file is as it was then."""
    entry = journal.entries.get(name)
    if entry is None or not entry.done or entry.about != state_of(path):
        return False
    return all((out / file).exists() for file in entry.files)


def tidy(out: Path, journal: ImageJournal, names: Iterable[str]) -> None:
    """Remove what a stopped run left of big scenes that are done or changed since, or that are to be begun anew."""
    for name in names:
        folder, entry = running_folder(out, name), journal.entries.get(name)
        anew = entry is None and journal.overwrites
        if folder.exists() and (
            anew or entry is not None and (entry.done or entry.about != state_of(Path(entry.values["path"])))
        ):
            discard(folder)


def running_folder(out: Path, name: str) -> Path:
    return out / f".{name}.running"


def looking(spec: object, name: str, smallest_um2: float | None) -> Callable[[Scene], WorthLooking | None] | None:
    """Where the domain of that name looks at a scene. Raises InputError for a size of dust where it has none."""
    worth = getattr(spec, "worth", None)
    if smallest_um2 is None:
        return worth
    if worth is None or "smallest_um2" not in signature(worth).parameters:
        raise InputError(
            f"--smallest-piece is {smallest_um2:g} um2; the domain {name!r} looks at all of an image whatever the "
            "size of its pieces, leave the option out"
        )
    return partial(worth, smallest_um2=smallest_um2)


def hardly_looked(looked_at: Mapping[str, float], smallest_um2: float | None) -> str:
    """A warning of scenes of which next to nothing was looked at, "" without any. looked_at: name to share of tiles."""
    scenes = [name for name, share in looked_at.items() if share < HARDLY]
    if not scenes:
        return ""
    share = looked_at[scenes[0]]
    amount = f"{share:.2%}" if share else "nothing"
    more = f" (and {len(scenes) - 1} more scenes)" if len(scenes) > 1 else ""
    smaller = "" if smallest_um2 == 0 else " or --smallest-piece 0 for every speck"
    return (
        f"warning: {amount} of {scenes[0]!r} was looked at{more}: the rest was taken for empty glass; look at "
        f"{scenes[0]}.tiles.png, and where it lacks tissue predict again with --everywhere{smaller}, and --overwrite"
    )


@dataclass(frozen=True)
class Run:
    """What the images of one call share. worth: of a scene, which tiles are worth looking at; None for all."""

    segmenter: EntitySegmenter
    contract: InputContract
    exports: Exports
    destination: Destination
    worth: Callable[[Scene], WorthLooking | None] | None
    pixel_size_m: float | None
    smallest_um2: float | None = None
    on_tile: Callable[[], None] = lambda: None
    """Called when a tile of a scene that is held in memory is done."""

    def open(self, path: Path) -> Scene:
        """As the network sees it; one of a single level that fits into memory is decoded.

        Raises InputError for all that won't do.
        """
        scene = open_scene(path, self.pixel_size_m)
        try:
            self.contract.factor(scene.pixel_size_m)
            check_formats(path, scene, self.exports)
            shown = Viewed(scene, self.contract.view(scene))
            if is_large(scene) or len(scene.levels) > 1:
                return shown
            picture = Photograph(read_whole(shown), scene.pixel_size_m, (), shown.nodata, scene.georeference)
        except BaseException:
            scene.close()
            raise
        scene.close()
        return picture

    def predict(self, scene: Scene, path: Path, name: str, about: Sequence[int] = ()) -> None:
        """Predict and write. about: size and time of change of its file."""
        values: dict[str, Any] = {"path": str(path.resolve())}
        wanted = self.worth(scene) if self.worth else None
        tiles = level_0_tiles(scene, self.contract) if wanted is not None else []
        if wanted is not None:
            values["looked_at"] = sum(map(wanted, tiles)) / max(1, len(tiles))
        self.exports.begin(name, str(path), about, **values)
        if wanted is not None:
            self.show_worth(wanted, tiles, name)
        place = Place(str(path), pixel_size_m=scene.pixel_size_m, georeference=scene.georeference)
        if is_large(scene):
            self.predict_large(scene, place, name, wanted)
            return
        entities = segment(self.segmenter, scene, self.contract, wanted, on_tile=self.on_tile)
        image = scene.image if isinstance(scene, Photograph) else read_whole(scene)
        self.exports.add(name, as_rgb(image), entities, place, frozenset(impossible(scene, self.exports.whole)))

    def predict_large(self, scene: Scene, place: Place, name: str, wanted: WorthLooking | None) -> None:
        """Piece by piece through a folder beside the results, which a later run takes up where this one is stopped."""
        path = Path(place.scene)
        about = path.stat()
        plan = {"scene": str(path.resolve()), "bytes": about.st_size, "modified_ns": about.st_mtime_ns}
        plan["everywhere"] = wanted is None
        if self.segmenter.runtime.precision != CPU.precision:
            plan["precision"] = self.segmenter.runtime.precision
        if self.smallest_um2 is not None:
            plan["smallest_um2"] = self.smallest_um2
        folder = running_folder(self.destination.folder, name)
        height, width = scene.shape
        left_out = [word for word in self.exports.whole if word not in STREAMED]
        note = f"; {', '.join(left_out)} would take it into memory and are left out" if left_out else ""
        print(f"{name}: {width} x {height} px, as {', '.join(self.exports.streamed)}{note}", file=sys.stderr)
        with Progress(f"predict {name}", 0, unit="tiles") as progress:

            def show(running: RunningPrediction, tile: int) -> None:
                if progress.steps:
                    progress.saw((tile - progress.done) * height * width / len(running.grid))
                elif running.resumed:
                    print(f"{name}: goes on at tile {tile} of {len(running.grid)}", file=sys.stderr)
                progress.reach("tiles", tile, len(running.grid))

            running = segment_into(folder, self.segmenter, scene, self.contract, plan, wanted, show)
        prediction = replace(running.prediction(), image=lambda window: as_rgb(scene.read(*window)))
        self.exports.stream(name, prediction, place, frozenset(impossible(scene, self.exports.streamed)))
        running.remove()

    def show_worth(self, worth: WorthLooking, tiles: list[Window], name: str) -> None:
        """Write what is looked at as `<name>.tiles.png`, where nobody else's lies, and say how much it is."""
        looked_at = sum(map(worth, tiles))
        if self.destination.is_free(picture := f"{name}.tiles.png"):
            with self.destination.writing(picture) as path:
                Image.fromarray(worth.picture(tiles)).save(path, pnginfo=signed())
        remark = getattr(worth, "remark", "")  # of ours; domains of others may have none
        more = f": {remark}" if remark else f" (see {name}.tiles.png; --everywhere for all)"
        print(
            f"{name}: looks at {looked_at} of {len(tiles)} tiles, {worth.share:.0%} of the scene{more}", file=sys.stderr
        )


def is_large(scene: Scene) -> bool:
    return scene.shape[0] * scene.shape[1] > LARGE_PX


def impossible(scene: Scene, formats: Iterable[str]) -> dict[str, str]:
    """The formats that a scene cannot have, each with why and what to do."""
    size, reasons = scene.pixel_size_m, {}
    if size is None:
        reasons["density"] = "it does not say the size of a pixel, which a density map wants; say it by --pixel-size"
    elif size > CELL_UM * 1e-6:
        reasons["density"] = (
            f"its pixels of {show_pixel_size(size)} are larger than a density map's cells, {CELL_UM:g} um; leave it out"
        )
    if scene.georeference is None:
        reasons["gpkg"] = "it does not say where on the Earth it lies, which a GeoPackage wants; write --format geojson"
    return {word: reasons[word] for word in formats if word in reasons}


def tell_impossible(paths: Sequence[Path], formats: Iterable[str], pixel_size_m: float | None) -> None:
    """Print, before anything is predicted, which of the formats some of the images cannot have."""
    told: dict[tuple[str, str], list[Path]] = {}
    asked = [word for word in ("density", "gpkg") if word in formats]
    for path in paths if asked else ():
        try:
            scene = open_scene(path, pixel_size_m)
        except InputError:  # named when its turn comes
            continue
        with closing(scene):
            for item in impossible(scene, asked).items():
                told.setdefault(item, []).append(path)
    for (word, reason), images in told.items():
        more = f" and {len(images) - 1} more" if len(images) > 1 else ""
        print(f"--format {word} is left out for {str(images[0])!r}{more}: {reason}", file=sys.stderr)


def check_formats(path: Path, scene: Scene, exports: Exports) -> None:
    """Raises InputError for a scene that can have none of the formats."""
    formats = exports.streamed if is_large(scene) else exports.whole
    reasons = impossible(scene, formats)
    if reasons and reasons.keys() >= set(formats):
        raise InputError(f"{str(path)!r}: no format is left to write; {'; '.join(reasons.values())}")
    if scene.georeference is not None and ground_of(scene.georeference) is None:
        print(f"{path}: polygons are in pixels, longitude and latitude want pyproj; {INSTALL}", file=sys.stderr)
    if is_large(scene) and not exports.streamed:
        height, width = scene.shape
        raise InputError(
            f"{str(path)!r} has {width} x {height} px: none of the formats asked for can be written piece by piece; "
            f"add --format with one of {', '.join(STREAMED)}"
        )
