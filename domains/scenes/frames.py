"""Clips that are not films: folders of numbered frames, and TIFF stacks with an axis of time, one frame in memory.

What a clip is stands here too, see `Clip`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from domains.errors import InputError
from domains.scenes.decode import MAX_PIXELS, quiet, too_large
from domains.scenes.main_image import main_image
from domains.scenes.open import SCENE_SUFFIXES, open_scene
from domains.scenes.results import results_among
from domains.scenes.scene import Photograph, Scene
from domains.scenes.tiff import TiffScene, tiff_file

TIMES = "TIQRZ"
"""Axes of a stack that are taken for time, the surest first; Z only where a stack has no other."""
UNITS = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0, "µs": 1e-6}
TIME_WORD = re.compile(r"(?:^|[_\W])(?:t|time|frame|f)_?$", re.IGNORECASE)


class Frame(NamedTuple):
    """A frame of a clip. number: from 0, in the order of the clip. tick: when it is, in frames of the clip's rate, so
    that a gap is one in time. scene: its pixels; whoever takes the frame closes it.
    """

    number: int
    tick: float
    scene: Scene


@dataclass(frozen=True)
class AboutClip:
    """shape: (height, width) of every frame, upright. count: frames, None where only reading tells; rate: frames per
    second, None where unknown. remarks: which reading was taken where the clip allows another.
    """

    shape: tuple[int, int]
    count: int | None
    rate: float | None
    pixel_size_m: float | None
    remarks: tuple[str, ...] = ()
    likely: int | None = None
    """About how many frames there are, where `count` is None."""


class Clip(Protocol):
    """Frames in their order, read one at a time."""

    @property
    def about(self) -> AboutClip:
        """What is known before a frame is read."""
        ...

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from number `start` on. Raises InputError, behind those that can be had, where one cannot be read
        or has another size, or the clip ends before it should: whoever reads keeps what came before.
        """
        ...

    def noted(self) -> tuple[str, ...]:
        """What only reading showed, a line each: that its beat varies."""
        ...

    def close(self) -> None:
        """Gives back files."""
        ...


class FolderClip:
    """The pictures of a folder, by the numbers in their names. Raises InputError for a folder without any, and where
    several numbers of the names change (channels, planes) and none is said to be the time.
    """

    def __init__(self, folder: Path, pixel_size_m: float | None = None) -> None:
        self.folder, self.pixel_size_m = folder, pixel_size_m
        entries = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
        ours = results_among(entries)
        paths = [path for path in entries if path.suffix.lower() in SCENE_SUFFIXES and path not in ours]
        if not paths:
            raise InputError(f"folder {str(folder)!r} holds no frame; wanted numbered pictures, as 0001.png, 0002.png")
        self.paths, self.ticks = in_order(paths)
        missing = self.ticks[-1] + 1 - len(self.paths)
        gaps = (f"{missing} numbers are missing among {len(self.paths)} frames, which counts as time",)
        with closing(open_scene(self.paths[0], pixel_size_m)) as scene:
            size = scene.pixel_size_m
            self.about = AboutClip(scene.shape, len(self.paths), None, size, gaps if missing else ())

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """As `Clip.frames`."""
        for number, path in enumerate(self.paths[start:], start=start):
            scene = open_scene(path, self.pixel_size_m)
            check_size(scene.shape, self.about.shape, number, path)
            yield Frame(number, float(self.ticks[number]), scene)

    def noted(self) -> tuple[str, ...]:
        """Nothing: a folder has the frames that it has."""
        return ()

    def close(self) -> None:
        """Frames are closed one by one."""


def check_size(shape: tuple[int, int], expected: tuple[int, int], number: int, path: Path) -> None:
    """Raises InputError for a frame of another size than the clip's."""
    if shape != expected:
        raise InputError(
            f"frame {number} ({str(path)!r}) is {shape[1]} x {shape[0]} px, those before {expected[1]} x "
            f"{expected[0]}; a clip has one size: split it there, or leave out --video"
        )


def in_order(paths: Sequence[Path]) -> tuple[list[Path], list[int]]:
    """(paths, ticks) by the number in their names that changes: ticks count from the first, gaps included. Names
    without numbers, or with the same twice, are in the order of the names. Raises InputError.
    """
    patterns = {re.sub(r"\d+", "#", path.stem) for path in paths}
    words = [re.split(r"(\d+)", path.stem) for path in sorted(paths)]
    if len(patterns) > 1 or len(words[0]) == 1:
        return sorted(paths, key=natural), list(range(len(paths)))
    changing = [at for at in range(1, len(words[0]), 2) if len({int(word[at]) for word in words}) > 1]
    timed = [at for at in changing if TIME_WORD.search(words[0][at - 1])]
    if len(changing) > 1 and not (len(timed) == 1 and len(changing) == 1):
        example = min(path.name for path in paths)
        raise InputError(
            f"the names of the frames have {len(changing)} numbers that change, as {example!r}; wanted a folder of "
            "one channel and one plane, whose frames are numbered by time alone"
        )
    if not changing:
        return sorted(paths), list(range(len(paths)))
    numbered = sorted((int(re.split(r"(\d+)", path.stem)[changing[0]]), path) for path in paths)
    if len({number for number, _ in numbered}) < len(numbered):
        return sorted(paths), list(range(len(paths)))
    return [path for _, path in numbered], [number - numbered[0][0] for number, _ in numbered]


def natural(path: Path) -> list[tuple[int, str]]:
    """What file names are sorted by, so that frame 2 comes before frame 10: each number, each word between."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", path.stem)]


class StackClip:
    """A TIFF whose picture has an axis of time: ImageJ's, OME's or a plain one of pages. Channels are the frame's, of
    planes in depth the first is taken. Raises InputError for what has no such axis.
    """

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        self.path = path
        with ExitStack() as open_files:  # what it opened is closed where it is no clip
            self._open(open_files, pixel_size_m)
            self._open_files = open_files.pop_all()

    def _open(self, open_files: ExitStack, pixel_size_m: float | None) -> None:
        path = self.path
        try:
            with quiet():
                self.scene = open_files.enter_context(closing(TiffScene(path, pixel_size_m)))
                self.file = open_files.enter_context(tiff_file(path))
                self.series = whole_series(self.file, main_image(self.file))
        except (InputError, OSError):
            raise
        except Exception as error:  # a chain of pages that breaks off makes tifffile raise anything
            raise InputError(f"{str(path)!r} is damaged or cut off ({str(error)[:120]}); copy it again") from error
        sizes = dict(zip(self.series.axes, self.series.shape, strict=True))
        axes = [axis for axis in TIMES if sizes.get(axis, 1) > 1]
        if not axes:
            raise InputError(
                f"{str(path)!r} has axes {self.series.axes} and no time; wanted TYX or TCYX, or leave out --video "
                "(a stack that is cut off reads so too: copy it again)"
            )
        self.axis = axes[0]
        shape = sizes["Y"], sizes["X"]
        if shape[0] * shape[1] > MAX_PIXELS:
            raise too_large(path, f"{shape[1]} x {shape[0]}")
        depth = " and of depth the first plane" if "Z" in axes[1:] else ""
        remark = f"axis {self.axis} of {self.series.axes} is taken for time{depth}"
        remarks = (remark,) if depth or self.axis != "T" else ()
        self.about = AboutClip(shape, sizes[self.axis], rate_of(self.file), self.scene.pixel_size_m, remarks)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """As `Clip.frames`."""
        for number in range(start, self.about.count or 0):
            try:
                values = self._stored(number)
            except InputError:
                raise
            except Exception as error:  # damaged pages make decoders raise anything
                reason = " ".join(str(error).split())[:120]
                raise InputError(
                    f"{str(self.path)!r}: frame {number} cannot be read ({reason}); copy it again"
                ) from error
            yield Frame(number, float(number), self._scene(values))

    def _stored(self, number: int) -> np.ndarray:
        """(Y, X, C) as it is stored."""
        series = self.series
        pixels = [axis for axis in series.axes if axis in "YXS"]
        outer = series.axes[: len(series.axes) - len(pixels)]
        if set(outer) & set("YXS"):
            raise InputError(f"{str(self.path)!r} has axes {series.axes}; wanted time and channels before rows")
        lengths = [series.shape[series.axes.index(axis)] for axis in outer]
        planes = []
        for channel in range(dict(zip(outer, lengths, strict=True)).get("C", 1)):
            at = [number if axis == self.axis else channel if axis == "C" else 0 for axis in outer]
            plane = self._plane(int(np.ravel_multi_index(at, lengths)) if outer else 0)
            planes.append(np.moveaxis(plane, pixels.index("S"), -1) if "S" in pixels else plane[..., None])
        return np.concatenate(planes, axis=-1)

    def _plane(self, index: int) -> np.ndarray:
        series: Any = self.series
        shape = tuple(series.shape[series.axes.index(axis)] for axis in series.axes if axis in "YXS")
        if series.dataoffset is not None:  # ImageJ lists the first page alone
            dtype = np.dtype(series.dtype).newbyteorder(self.file.byteorder)
            size = int(np.prod(shape)) * dtype.itemsize
            self.file.filehandle.seek(series.dataoffset + index * size)
            content = self.file.filehandle.read(size)
            if len(content) < size:
                raise InputError(f"{str(self.path)!r} ends before frame {index}: it is cut off; copy it again")
            return np.frombuffer(content, dtype).reshape(shape).astype(series.dtype)
        page = series[index]
        if page is None:
            raise InputError(f"{str(self.path)!r}: plane {index} is missing, or lies in another file")
        return page.asarray().reshape(shape)

    def _scene(self, values: np.ndarray) -> Photograph:
        scene = self.scene
        pixels = np.ascontiguousarray(scene.meaning(values, scene._names))
        return Photograph(pixels, self.about.pixel_size_m, scene.channels, scene.nodata, format=scene.format)

    def noted(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Closes the file."""
        self._open_files.close()


class CutSeries(NamedTuple):
    """A stack of ImageJ that is cut off: as its header says it was, whatever of it is there."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    dataoffset: int


def whole_series(file: Any, series: Any) -> Any:
    """The series of a TIFF; of an ImageJ stack that is cut off, of which tifffile gives the first plane alone, all."""
    about = file.imagej_metadata or {} if file.is_imagej else {}
    counts = {axis: about.get(key, 1) for axis, key in (("T", "frames"), ("Z", "slices"), ("C", "channels"))}
    images = about.get("images", 1)
    if not all(isinstance(count, int) and 0 < count < 2**31 for count in (*counts.values(), images)):
        return series
    if set(counts.values()) == {1}:
        counts = {"I": images}
    outer = {axis: count for axis, count in counts.items() if count > 1}
    if not outer or series.dataoffset is None or set(series.axes) - set("YXS") or len(series.axes) > 3:
        return series
    shape = (*outer.values(), *series.shape)
    return CutSeries("".join(outer) + series.axes, shape, np.dtype(series.dtype), series.dataoffset)


def rate_of(file: Any) -> float | None:
    """Frames per second of a stack, as ImageJ (`finterval`) and OME-XML (`TimeIncrement`) say; None where unknown."""
    seconds = 0.0
    if file.is_imagej:
        seconds = (file.imagej_metadata or {}).get("finterval", 0.0)
    elif file.is_ome:
        try:
            pixels = ElementTree.fromstring(file.ome_metadata or "").find(".//{*}Pixels")
        except ElementTree.ParseError:
            pixels = None
        if pixels is not None:
            unit = UNITS.get(pixels.get("TimeIncrementUnit", "s"), 0.0)
            with suppress(ValueError):  # of what is no number
                seconds = float(pixels.get("TimeIncrement", 0)) * unit
    return 1 / seconds if isinstance(seconds, int | float) and 0 < seconds < 1e9 else None
