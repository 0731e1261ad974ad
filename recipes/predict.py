"""`cli.py predict`: images in, label maps, outlines, tables and pictures out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.inference import segment
from domains.entities import Place
from domains.errors import InputError
from domains.exports import Destination, open_exports, output_names
from domains.images import IMAGE_SUFFIXES
from domains.scenes import Photograph
from recipes import set_up
from recipes.load import loaded
from recipes.progress import Progress


def predict(
    adapter: str,
    inputs: Sequence[Path],
    out: Path,
    formats: Sequence[str],
    recipe: str | None = None,
    overwrite: bool = False,
    symmetries: int | None = None,
) -> None:
    """Write every format for every image. An image that cannot be read is named and left out; the others go on."""
    set_up()
    paths = list(images_of(inputs))
    names = output_names(paths)
    with loaded(adapter, recipe) as network:
        flavour = "qupath" if network.recipe.domain.name == "pathology" else "plain"
        contract = network.contract if symmetries is None else replace(network.contract, symmetries=symmetries)
        destination = Destination(out, overwrite, flavour)
        faults, entities = [], 0
        with (
            open_exports(formats, destination, names.values()) as exports,
            Progress("predict", len(paths), unit="images") as progress,
        ):
            for path in paths:
                try:
                    scene = Photograph.open(path)
                except InputError as error:
                    faults.append(str(error))
                else:
                    found = segment(network.segmenter, scene, contract)
                    exports.add(names[path], scene.image, found, Place(str(path)))
                    entities += found.count
                progress.advance()
    print(f"{entities} entities in {len(paths) - len(faults)} images: {out}")
    if faults:
        raise InputError(f"{len(faults)} of {len(paths)} images were left out, the others are done; {faults[0]}")
    print("next: look at the .overlay.png files, or open the .geojson in QuPath, QGIS or napari")


def images_of(inputs: Sequence[Path]) -> Iterable[Path]:
    """Files as they are given; of a folder, the images in it. Raises InputError for what does not exist."""
    found = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(
                one for one in path.iterdir() if one.suffix.lower() in IMAGE_SUFFIXES and one.name[0] != "."
            )
            if not inside:
                raise InputError(
                    f"folder {str(path)!r} holds no image; wanted one of {', '.join(sorted(IMAGE_SUFFIXES))}"
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"input {str(path)!r} does not exist; wanted an image or a folder of images")
    return dict.fromkeys(found)
