"""What a verb is given, looked at before the libraries are loaded that its work wants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from domains.errors import InputError
from domains.scenes.address import Source, check_installed, source_of
from domains.scenes.area import Area, parse_area
from domains.scenes.pixel_size import parse_pixel_size
from recipes.shared import BASE, check_adapter, is_exported, members_of, on_base

FOREST = "forest"
"""The first word of formats of all nested entities."""
AUTO = "auto"
"""In place of an adapter: each image by the one that was fitted on such images."""
APG = "apg"
"""Masks of SAM prompted by the entities of a fitted decoder."""
ALL = "all"
"""In place of a granularity: every one at which forests change."""
LISTS = frozenset({".txt", ".lst"})


def expanded(inputs: Iterable[Source]) -> list[Source]:
    """The inputs, in place of each text file the paths and addresses that it lists, one a line, paths from its own
    folder on; blank lines and those that begin with # are passed over. Raises InputError for a list that names nothing,
    or what isn't there.
    """
    sources: list[Source] = []
    for source in inputs:
        if isinstance(source, Path) and source.suffix.lower() in LISTS and source.is_file():
            sources += of_list(source)
        else:
            sources.append(source)
    return sources


def of_list(file: Path) -> list[Source]:
    """The paths and addresses in a text file. Raises InputError."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(file)!r} cannot be read as a list of paths: {error}; wanted a path a line") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    words = {number: line for number, line in numbered if line and not line.startswith("#")}
    if not words:
        raise InputError(f"the list {str(file)!r} names no image; wanted a path a line")
    sources = []
    for number, word in words.items():
        try:
            source = source_of(word, file.parent)
            check_source(source, "")
        except InputError as error:
            raise InputError(f"{str(file)!r}, line {number}: {error}") from error
        sources.append(source)
    return sources


def check_present(inputs: Iterable[Source]) -> None:
    """Raises InputError for a path that does not exist, and for addresses where what reads them is not installed."""
    for source in inputs:
        check_source(source, "input ", " of images")


def check_source(source: Source, kind: str, contents: str = "") -> None:
    """Raises InputError, with `kind` before it and `contents` behind it, as `check_present`."""
    if not isinstance(source, Path):
        check_installed(source)
    elif not source.exists():
        raise InputError(f"{kind}{str(source)!r} does not exist; wanted an image or a folder{contents}")


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
    granularity: float | None = None
    """At which nested entities are cut, from 0, the wholes, to 1, the finest parts; None for what the adapter says."""


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
    registry: Path | None = None
    """Of entities that are known beyond this run (`--ids`)."""

    @property
    def nested(self) -> bool:
        """Whether a format wants all nested entities."""
        return any(word.partition("-")[0] == FOREST for word in self.formats)


@dataclass(frozen=True)
class Prompting:
    """What the decoder of prompts is asked with in place of a fitted one: files of points and boxes, or a way to
    propose all masks, `automatic`, `esam` or `apg`.
    """

    points: Path | None = None
    boxes: Path | None = None
    masks: str | None = None

    @property
    def words(self) -> str:
        """The options that say it."""
        options = {"--points": self.points, "--boxes": self.boxes, "--masks": self.masks}
        return " and ".join(f"{option} {value}" for option, value in options.items() if value is not None)


@dataclass(frozen=True)
class Scheduler:
    """Who has the workers of a prediction. word: as it was said. workers: processes on this machine, 0 for those of a
    scheduler, whose address the word is, or whose file. device: of the workers, as `--device` has it.
    """

    word: str
    workers: int = 0
    device: str = "auto"

    @property
    def is_file(self) -> bool:
        """Whether the word is a file in which the scheduler says its address."""
        return not self.workers and "://" not in self.word


@dataclass(frozen=True)
class Request:
    """What `predict` is asked for: an adapter (folder, file or `base`), images, folders of them and addresses, and
    where results go. recipe: in place of the adapter's. backbone: where the base lies, if not where the adapter says.
    scheduler: of the workers that predict in place of this process.
    """

    adapter: str
    inputs: Sequence[Source]
    out: Path
    recipe: str | None = None
    backbone: str | None = None
    sight: Sight = Sight()
    writing: Writing = Writing()
    scheduler: Scheduler | None = None
    runtime: str = "auto"
    """What runs the network: `torch`, `onnx`, or `auto`, by the file."""
    fast: bool = False
    """Predict by the adapter's student."""
    member: str | None = None
    """Of an adapter of several domains; None lets each image choose."""

    @property
    def by_onnx(self) -> bool:
        """Whether ONNX Runtime runs the network."""
        return self.runtime == "onnx" or (self.runtime == "auto" and is_exported(self.adapter))

    def words_of_runtime(self, device: str, precision: str) -> tuple[str, str]:
        """`--device` and `--precision` of this process: ONNX Runtime is on the CPU in fp32 unless a user asks for else,
        and where workers predict their devices are their own.
        """
        if self.by_onnx:
            return "cpu" if device == "auto" else device, "fp32" if precision == "auto" else precision
        return device if self.scheduler is None else "cpu", precision


def parse_scheduler(word: str | None, device: str = "auto") -> Scheduler | None:
    """What `--scheduler` says. Raises InputError, also where Dask is not installed."""
    if word is None:
        return None
    kind, _, count = word.partition(":")
    if kind == "local" and count.isdecimal() and int(count):
        scheduler = Scheduler(word, int(count), device)
    elif "://" in word or word.endswith(".json"):
        scheduler = Scheduler(word, device=device)
    else:
        raise InputError(
            f"--scheduler is {word!r}; wanted local:N for N processes on this machine, tcp://HOST:PORT, or the .json "
            "file that `dask scheduler --scheduler-file` writes"
        )
    if scheduler.is_file and not Path(word).is_file():
        raise InputError(f"--scheduler {word!r} does not exist; wanted what `dask scheduler --scheduler-file` writes")
    if find_spec("distributed") is None:
        raise InputError('--scheduler wants Dask, which is not installed: pip install "entity-adapters[cluster]"')
    return scheduler


def check_predictor(request: Request, shelf: Path | None = None) -> None:
    """All that can be said of what `predict` is given before torch is imported. Raises InputError.

    shelf: the folder of adapters to choose from.
    """
    adapter, options = request.adapter, {"--recipe": request.recipe, "--backbone": request.backbone}
    if adapter == AUTO and request.member is not None:
        raise InputError(f"--domain is of one adapter; --adapter {AUTO} chooses several: leave out --domain")
    if shelf is not None and adapter != AUTO:
        raise InputError(f"--shelf is for --adapter {AUTO}; --adapter is {adapter!r}: leave one")
    if adapter == AUTO:
        return  # every adapter that is chosen is checked
    if request.scheduler is not None and (request.sight.granularity is not None or request.writing.nested):
        raise InputError("--scheduler has flat maps of the adapter's own; leave out --granularity and --format forest")
    if request.by_onnx and find_spec("onnxruntime") is None:
        raise InputError('--runtime onnx wants onnxruntime; pip install "entity-adapters[onnx]"')
    if request.by_onnx and adapter == BASE:
        raise InputError("--runtime onnx wants an adapter; the bare base is predicted by torch alone")
    if request.by_onnx and request.scheduler is not None:
        raise InputError("--scheduler wants an adapter that torch runs; leave out --runtime onnx, or the scheduler")
    if not is_exported(adapter):
        for member in members_asked(request):
            check_adapter(adapter, request.recipe, on_base(request.backbone), request.fast, member)
        return
    if request.member is not None:
        raise InputError(f"{adapter!r} is one graph, of one domain; leave out --domain")
    if request.fast:
        raise InputError(f"{adapter!r} is one graph; leave out --fast, or export the student by `export --fast`")
    if not request.by_onnx:
        raise InputError(f"{adapter!r} is an ONNX graph; leave out --runtime torch, or name the adapter itself")
    if not Path(adapter).is_file():
        raise InputError(f"adapter {adapter!r} does not exist; wanted a file that `adapters export` wrote")
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{adapter!r} holds its base and its contract; leave out {option}")


def members_asked(request: Request) -> list[str | None]:
    """The members of a mixture that images may go to: the one that is said, or all; [None] for an adapter of one
    domain. Raises InputError.
    """
    if request.member is not None or request.adapter in (BASE, AUTO):
        return [request.member]
    return [*members_of(request.adapter)] or [None]


def check_prompting(request: Request, prompting: Prompting, precision: str = "auto") -> None:
    """Raises InputError for what does not go with prompts, and for files of prompts that are not there."""
    if prompting.masks is not None and (prompting.points or prompting.boxes):
        raise InputError(f"{prompting.words}: masks are proposed without prompts; leave one out")
    if prompting.masks == APG and request.adapter == BASE:
        raise InputError(
            f"--masks {APG} wants an adapter that was fitted on a SAM; the bare base has no decoder of its own"
        )
    asked = request.sight.asked
    unfit = {
        f"--adapter {AUTO}": request.adapter == AUTO,
        "--fast": request.fast,
        "--runtime onnx": request.by_onnx,
        "--scheduler": request.scheduler is not None,
        "--symmetries": asked.symmetries is not None,
        "--test-scales": asked.test_scales is not None,
        "--everywhere": request.sight.everywhere,
        "--ids": request.writing.registry is not None,
        "--smallest-piece": request.sight.smallest_um2 is not None,
        "--precision int8": precision == "int8",
        "--window with --masks": asked.window_px is not None and prompting.masks is not None,
        "--granularity with --boxes": request.sight.granularity is not None and prompting.boxes is not None,
        "--granularity with --masks automatic": request.sight.granularity is not None
        and prompting.masks == "automatic",
    }
    for option, is_set in unfit.items():
        if is_set:
            raise InputError(f"{prompting.words} asks the decoder of prompts; leave out {option}")
    for option, path in (("--points", prompting.points), ("--boxes", prompting.boxes)):
        if path is not None and not path.is_file():
            raise InputError(
                f"{option} {str(path)!r} does not exist; wanted a CSV or GeoJSON, of boxes also COCO's JSON"
            )


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


def parse_granularity(text: str | None) -> float | str | None:
    """What `--granularity` of `evaluate` says: a number from 0 to 1, or `all`. Raises InputError."""
    if text is None or text == ALL:
        return text
    try:
        granularity = float(text)
    except ValueError:
        granularity = math.nan
    if not 0 <= granularity <= 1:
        raise InputError(f"--granularity is {text!r}; wanted 0, the wholes, to 1, the finest parts, or {ALL}")
    return granularity


def numbers(text: str, option: str) -> list[float]:
    """`0.7,0.3` as numbers, none for an empty text. Raises InputError for what is no finite number."""
    try:
        values = [float(word) for word in text.split(",")] if text.strip() else []
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise InputError(f"{option} is {text!r:.80}; wanted numbers with commas between, such as 0.7,0.3")
    return values


def check_evaluated(adapter: str | None, data: str | None, tracks: Path | None, follows: bool) -> str:
    """The adapter that `evaluate` measures, "" for tracks in a folder. follows: by a tracker. Raises InputError for too
    much or too little.
    """
    if tracks is None and not follows:
        if adapter is None:
            raise InputError("evaluate wants --adapter FOLDER, or base; or, for clips, --tracks FOLDER")
        return adapter
    if data is None or (tracks is None) == (adapter is None) or (tracks is None) != follows:
        raise InputError(
            "clips are measured by --data CLIPS with --tracks FOLDER, or with --adapter FOLDER and --tracker motion; "
            "give one of the two"
        )
    return adapter or ""
