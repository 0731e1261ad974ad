"""Small films drawn for tests, in whatever codec; and the same frames as a folder and as a stack."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHAPE = (48, 64)
CODECS = {".mp4": ("libx264", "yuv420p"), ".mov": ("libx264", "yuv420p"), ".avi": ("mpeg4", "yuv420p"),
          ".webm": ("libvpx-vp9", "yuva420p"), ".mkv": ("ffv1", "yuv420p10le")}  # fmt: skip


def drawn(count: int = 6) -> list[np.ndarray]:
    """(H, W, 3) uint8 frames of a bright square that moves right, 5 px a frame, from its corner at (10, 4)."""
    frames = []
    for number in range(count):
        frame = np.full((*SHAPE, 3), 20, np.uint8)
        frame[10:22, 4 + 5 * number : 16 + 5 * number] = 230
        frames.append(frame)
    return frames


def corner(image: np.ndarray) -> list[int]:
    """y and x of the upper left of what is bright."""
    return np.argwhere(image[..., 0] > 128).min(0).tolist()


def film(path: Path, frames: Sequence[np.ndarray], times_ms: Sequence[int] | None = None, **options: str) -> Path:
    """Write a film of 10 frames per second, or of frames at these times."""
    av: Any = import_module("av")
    codec, pixels = CODECS[path.suffix]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels_of_frame in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_of_frame, format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def film_of_two_sizes(path: Path, first: int, count: int) -> Path:
    """Write a film of so many frames, each a JPEG, of which those from `first` on are half as high."""
    av: Any = import_module("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = SHAPE[1], SHAPE[0], "yuvj420p"
        for number, frame in enumerate(drawn(count)):
            content = BytesIO()
            Image.fromarray(frame if number < first else frame[: SHAPE[0] // 2]).save(content, "jpeg")
            packet = av.Packet(content.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


def trimmed(film: Path, path: Path, first: int) -> Path:
    """Write a film from frame `first` on without coding it anew: the frames before stay in it, and are not shown."""
    av: Any = import_module("av")
    with av.open(str(film)) as container, av.open(str(path), "w") as copy:
        stream = container.streams.video[0]
        copied = copy.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.dts is not None:
                shift = int(first / stream.average_rate / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copied
                copy.mux(packet)
    return path
