"""What a verb is given, looked at before the libraries are loaded that its work wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domains.errors import InputError
from domains.scenes.area import Area, parse_area
from domains.scenes.pixel_size import parse_pixel_size


def check_present(inputs: Iterable[Path]) -> None:
    """Raises InputError for what does not exist."""
    for path in inputs:
        if not path.exists():
            raise InputError(f"input {str(path)!r} does not exist; wanted an image or a folder of images")


@dataclass(frozen=True)
class Asked:
    """How often prediction is to look at a tile, in place of what the adapter says, as `InputContract.changed` takes
    it; None leaves that.
    """

    symmetries: int | None = None
    window_px: int | None = None
    test_scales: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Sight:
    """How `predict` sees its scenes."""

    asked: Asked = Asked()
    """How often it looks at a tile."""
    pixel_size_m: float | None = None
    """Of all images, in place of what they say of themselves."""
    everywhere: bool = False
    """Look at all tiles, those too where the domain says that there can be no entity (empty glass)."""
    smallest_um2: float | None = None
    """Area of a piece of a slide below which it is dust; None for what the domain says."""


@dataclass(frozen=True)
class Writing:
    """What `predict` writes."""

    formats: tuple[str, ...] = ()
    """As in `open_exports`."""
    overwrite: bool = False
    """Replace what lies there."""
    simplify_px: float | None = None
    """Of polygons, as in `Destination`."""
    square: bool = False
    """Polygons with right angles, for buildings."""
    least_score: float | None = None
    """Entities below are left out of all formats, and those outside of the two areas."""
    least_area: Area | None = None
    most_area: Area | None = None


@dataclass(frozen=True)
class Request:
    """What `predict` is asked for: an adapter (folder, file or `base`), images and folders of them, and where results
    go. recipe: in place of the adapter's. backbone: where the base lies, if not where the adapter says.
    """

    adapter: str
    inputs: Sequence[Path]
    out: Path
    recipe: str | None = None
    backbone: str | None = None
    sight: Sight = Sight()
    writing: Writing = Writing()
    runtime: str = "auto"
    """What runs the network: `torch`, `onnx`, or `auto`, by the file."""

    @property
    def by_onnx(self) -> bool:
        """Whether ONNX Runtime runs the network."""
        return self.runtime == "onnx" or (self.runtime == "auto" and is_exported(self.adapter))


def is_exported(adapter: str) -> bool:
    """Whether an adapter is called by the name of an exported graph."""
    return Path(adapter).suffix.lower() == ".onnx"


def metres(pixel_size: str | None) -> float | None:
    """What `--pixel-size` says. Raises InputError."""
    return None if pixel_size is None else parse_pixel_size(pixel_size)


def parse_areas(smallest: str | None, largest: str | None) -> tuple[Area | None, Area | None]:
    """What `--least-area` and `--most-area` say. Raises InputError, also where no area lies between them."""
    least_area = None if smallest is None else parse_area(smallest, "--least-area")
    most_area = None if largest is None else parse_area(largest, "--most-area")
    if least_area is None or most_area is None or (least_area.unit_m2 is None) != (most_area.unit_m2 is None):
        return least_area, most_area
    units = least_area.unit_m2 or 1.0, most_area.unit_m2 or 1.0
    if least_area.value * units[0] > most_area.value * units[1]:
        raise InputError(f"--least-area {least_area} is more than --most-area {most_area}; no entity has such an area")
    return least_area, most_area


def parse_scales(text: str | None) -> tuple[float, ...] | None:
    """What `--test-scales` says. Raises InputError."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"--test-scales is {text!r}; wanted numbers with commas between, such as 1,0.7") from error
