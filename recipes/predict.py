"""`cli.py predict`: images and slides in, label maps, outlines, tables and pictures out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from pathlib import Path

from PIL import Image

from adapters.inference import InputContract, level_0_tiles, segment, segment_into
from adapters.segmenter import EntitySegmenter
from domains.atomic import atomic_path
from domains.domain import WorthLooking, load_domain
from domains.entities import Place
from domains.errors import InputError
from domains.exports import STREAMED, Destination, Exports, open_exports, output_names
from domains.exports.density import CELL_UM
from domains.ground import INSTALL, ground_of
from domains.images import as_rgb
from domains.predictions.running import RunningPrediction
from domains.results import signed
from domains.scenes import Photograph, Scene, Viewed, open_scene
from domains.scenes.pixel_size import show_pixel_size
from domains.scenes.scene import read_whole
from recipes import set_up
from recipes.inputs import Asked
from recipes.load import loaded
from recipes.progress import Progress
from recipes.scene_files import scenes_of
from recipes.shared import on_base
from recipes.sides import window_on_patches

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
) -> None:
    """Write every format for every image. An image that cannot be read is named and left out; the others go on.

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
    with loaded(adapter, recipe, on_base(backbone)) as network:
        flavour = "qupath" if network.recipe.domain.name == "pathology" else "plain"
        contract = network.contract.changed(**vars(window_on_patches(asked, network.segmenter.backbone)))
        spec = load_domain(network.recipe.domain.name)
        worth = None if everywhere else looking(spec, network.recipe.domain.name, smallest_um2)
        describe, kept = getattr(spec, "describe", None), frozenset(path.resolve() for path in paths)
        destination = Destination(out, overwrite, flavour, describe, simplify_px, square, kept)
        faults, entities = [], 0
        with (
            open_exports(formats, destination, names.values()) as exports,
            Progress("predict", len(paths), unit="images") as progress,
        ):
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
            tell_impossible(paths, exports.parts, pixel_size_m)
            for path in paths:
                try:
                    scene = run.open(path)
                except InputError as error:
                    faults.append(str(error))
                else:
                    with closing(scene):
                        entities += run.predict(scene, path, names[path])
                        progress.saw(scene.shape[0] * scene.shape[1])
                progress.advance()
    print(f"{entities} entities in {len(paths) - len(faults)} images: {out}")
    warning = hardly_looked(run.looked_at, smallest_um2)
    if faults:
        more = f"; {warning}" if warning else ""
        raise InputError(f"{len(faults)} of {len(paths)} images were left out, the others are done; {faults[0]}{more}")
    print("next: look at the .overlay.png files, or open the .geojson in QuPath, QGIS or napari", flush=True)
    if warning:
        print(warning, file=sys.stderr)


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
    looked_at: dict[str, float] = field(default_factory=dict)
    """Share of the tiles of each scene that may have empty parts."""
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

    def predict(self, scene: Scene, path: Path, name: str) -> int:
        """Predict and write; returns the number of entities."""
        wanted = self.worth(scene) if self.worth else None
        if wanted is not None:
            self.show_worth(wanted, scene, name)
        place = Place(str(path), pixel_size_m=scene.pixel_size_m, georeference=scene.georeference)
        if is_large(scene):
            return self.predict_large(scene, place, name, wanted)
        found = segment(self.segmenter, scene, self.contract, wanted, on_tile=self.on_tile)
        image = scene.image if isinstance(scene, Photograph) else read_whole(scene)
        self.exports.add(name, as_rgb(image), found, place, frozenset(impossible(scene, self.exports.whole)))
        return found.count

    def predict_large(self, scene: Scene, place: Place, name: str, wanted: WorthLooking | None) -> int:
        """Piece by piece through a folder beside the results, which a later run takes up where this one is stopped."""
        path = Path(place.scene)
        about = path.stat()
        plan = {"scene": str(path.resolve()), "bytes": about.st_size, "modified_ns": about.st_mtime_ns}
        plan["everywhere"] = wanted is None
        if self.smallest_um2 is not None:
            plan["smallest_um2"] = self.smallest_um2
        folder = self.destination.folder / f".{name}.running"
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
        return prediction.count

    def show_worth(self, worth: WorthLooking, scene: Scene, name: str) -> None:
        """Write what is looked at as `<name>.tiles.png` (a run that goes on finds it there), and say how much it is."""
        tiles = level_0_tiles(scene, self.contract)
        looked_at = sum(map(worth, tiles))
        self.looked_at[name] = looked_at / max(1, len(tiles))
        picture = self.destination.folder / f"{name}.tiles.png"
        if not picture.exists() or (self.destination.overwrite and not self.destination.is_input(picture)):
            with atomic_path(picture) as path:
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
