"""Films: MP4, MOV, AVI, WebM and Matroska through PyAV (FFmpeg), decoded one frame at a time.

https://pyav.basswood-io.com. The file is given to FFmpeg as bytes and by its container alone: lists that name other
files or addresses (HLS, concat) are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from domains.errors import InputError
from domains.scenes.decode import MAX_PIXELS, too_large
from domains.scenes.frames import AboutClip, Clip, FolderClip, Frame, StackClip, check_size
from domains.scenes.scene import Photograph

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv"})
STACK_SUFFIXES = frozenset({".tif", ".tiff", ".btf"})
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
INSTALL = 'pip install "entity-adapters[video]"'
UNEVEN = 0.1
"""Frames from the even beat, by which a clip's rate is said to vary."""
LACKS, LACKS_FRAMES = 0.1, 3
"""Share of a film's length, and frames, that must lack at its end before it is said to be cut off, where its header
counts no frames and only says how long it is."""
LACKS_COUNTED = 0.5
"""Frames that must lack at its end where its header counts them and fewer came: in films that were trimmed without
coding them anew, and in AVI, it counts frames that are not shown."""


def is_film(path: Path) -> bool:
    """Whether a file is called as a film is."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def check_films() -> None:
    """Raises InputError where PyAV is not installed."""
    if find_spec("av") is None:
        raise InputError(f"films are read and written through PyAV, which is not installed: {INSTALL}")


def av_module() -> Any:
    """PyAV. Raises InputError where it is not installed."""
    check_films()
    return import_module("av")


def open_clip(path: Path, pixel_size_m: float | None = None) -> Clip:
    """Whatever has frames: a film, a folder of numbered pictures, a TIFF stack with time. Raises InputError."""
    if path.is_dir():
        return FolderClip(path, pixel_size_m)
    if is_film(path):
        return FilmClip(path, pixel_size_m)
    if path.suffix.lower() in STACK_SUFFIXES:
        return StackClip(path, pixel_size_m)
    raise InputError(
        f"{str(path)!r} is no clip; wanted a folder of numbered frames, a TIFF stack, or one of "
        f"{', '.join(sorted(VIDEO_SUFFIXES))}"
    )


class FilmClip:
    """A film, upright as its rotation flag says, in 8-bit RGB without alpha.

    `remarks` of it say what was changed on the way. Raises InputError for what is none, or is encrypted or damaged.
    """

    def __init__(self, path: Path, pixel_size_m: float | None = None) -> None:
        check_films()
        self.path, self.pixel_size_m, self._notes = path, pixel_size_m, dict[str, None]()
        with Opened(self.path) as (container, stream):
            codec = stream.codec_context
            if codec.width * codec.height > MAX_PIXELS:
                raise too_large(path, f"{codec.width} x {codec.height}")
            frame = self._first(container, stream)
            turns = quarter_turns(frame)
            height, width = frame.height, frame.width
            rate = stream.average_rate or stream.guessed_rate
            self.rate = float(rate) if rate else None
            seconds = (container.duration or 0) / av_module().time_base
            likely = round(seconds * self.rate) if self.rate else None
            self.about = AboutClip(
                (width, height) if turns % 2 else (height, width), stream.frames or None, self.rate, pixel_size_m,
                remarks_of(frame, turns), likely,
            )  # fmt: skip

    def _first(self, container: Any, stream: Any) -> Any:
        """The first frame. Raises InputError."""
        av = av_module()
        try:
            frame = next(iter(container.decode(stream)), None)
        except (av.FFmpegError, ValueError) as error:
            raise unreadable(self.path, error) from error
        if frame is None:
            raise InputError(f"{str(self.path)!r} has no frame that can be read; copy or export it again")
        return frame

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """As `Clip.frames`. Raises InputError behind the last frame of a film that breaks off, or is cut off."""
        av = av_module()
        self._notes, number, begin, tick, time = {}, 0, None, -1.0, None
        with Opened(self.path) as (container, stream):
            decoded = container.decode(stream)
            while True:
                try:
                    frame = next(decoded, None)
                except (av.FFmpegError, ValueError) as error:
                    reason = reason_of(error)
                    raise InputError(f"{str(self.path)!r} breaks off after {number} frames ({reason})") from error
                if frame is None:
                    break
                begin, time = frame.time if begin is None else begin, frame.time
                tick = max(tick + 1e-3, self._tick(frame, begin, number))
                if number >= start:
                    yield Frame(number, tick, self._scene(frame, number))
                number += 1
            expected = self._expected(container, stream, time, number)
        if number < expected:
            about = "" if self.about.count else "about "
            raise InputError(f"{str(self.path)!r} ends after {number} of {about}{expected} frames: it is cut off")

    def _expected(self, container: Any, stream: Any, time: float | None, number: int) -> int:
        """How many frames a film has, of which `number` came, the last at a time. Sound may outlast the picture: where
        the header says only how long both are, and counts no frames, all are taken to have come.
        """
        count, end = self.about.count, None
        if stream.duration:
            end = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        elif container.duration and not container.streams.audio:
            end = (container.duration + (container.start_time or 0)) / av_module().time_base
        if end is None or not self.rate or time is None:
            return count or number
        lacking = (end - time) * self.rate - 1
        if count is not None:
            return count if lacking > LACKS_COUNTED else number
        return number + round(lacking) if lacking > max(LACKS_FRAMES, LACKS * end * self.rate) else number

    def _tick(self, frame: Any, begin: float | None, number: int) -> float:
        if frame.time is None or begin is None or self.rate is None:
            return float(number)
        tick = (frame.time - begin) * self.rate
        if abs(tick - round(tick)) < UNEVEN:
            return float(round(tick))
        self._notes[f"{str(self.path)!r}: its frames come at varying times, which are taken as they are"] = None
        return tick

    def _scene(self, frame: Any, number: int) -> Photograph:
        turns = quarter_turns(frame)
        pixels = np.rot90(frame.to_ndarray(format="rgb24"), turns)
        check_size(pixels.shape[:2], self.about.shape, number, self.path)
        return Photograph(np.ascontiguousarray(pixels), self.pixel_size_m, ("red", "green", "blue"), format="film")

    def noted(self) -> tuple[str, ...]:
        """That its beat varies, where it is so."""
        return tuple(self._notes)

    def close(self) -> None:
        """The file is open while frames are read."""


class Opened:
    """A context manager: (container, stream) of a film. Raises InputError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> tuple[Any, Any]:
        av = av_module()
        options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
        try:
            self.container = av.open(str(self.path.resolve()), options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise unreadable(self.path, error) from error
        streams = self.container.streams.video
        if not streams:
            self.container.close()
            raise InputError(f"{str(self.path)!r} has no picture, only sound; wanted a film")
        streams[0].thread_type = "AUTO"
        return self.container, streams[0]

    def __exit__(self, *of: object) -> None:
        self.container.close()


def unreadable(path: Path, error: Exception) -> InputError:
    """What to say of a film that cannot be opened."""
    reason = reason_of(error)
    return InputError(
        f"{str(path)!r}: wanted a whole film, got a damaged or unsupported one ({reason}); copy or export it again"
    )


def reason_of(error: Exception) -> str:
    """What FFmpeg said, short."""
    return str(getattr(error, "strerror", "") or error).strip()[:120]


def quarter_turns(frame: Any) -> int:
    """Turns to the left by which a frame is upright, 0 to 3: its rotation is in degrees to the left."""
    return round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4


def remarks_of(frame: Any, turns: int) -> tuple[str, ...]:
    """What of a film becomes else, in words."""
    remarks = []
    if turns:
        remarks.append(f"turned by {90 * turns} degrees to the left, as its file says")
    components = frame.format.components
    if any(component.bits > 8 for component in components):
        remarks.append(f"{max(component.bits for component in components)} bits a channel are shown as 8")
    if any(component.is_alpha for component in components):
        remarks.append("its alpha is dropped")
    return tuple(remarks)
