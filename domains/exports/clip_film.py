"""A clip to look at: its frames with every track in its own colour, as H.264."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from domains.entities.overlay import class_colours, tracked_overlay, with_legend
from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.tracked import TrackedClip
from domains.scenes.video import av_module

RATE = 10
"""Frames per second, where a clip does not say its own."""
LEAST_RATE, MOST_RATE = 1, 60
CODECS = ("libx264", "h264", "libopenh264", "mpeg4")


class OverlayFilm:
    """`<name>.overlay.mp4`: an entity has one colour through the clip, the same as its id has in pictures; where tracks
    have classes the colour of its class, with the legend below.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The film."""
        return (f"{name}.overlay.mp4",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Draw and encode it frame by frame. Raises InputError where PyAV is not installed or has no encoder."""
        av = av_module()
        codec = next((name for name in CODECS if name in av.codecs_available), None)
        if codec is None:
            raise InputError(f"this PyAV has none of the encoders {', '.join(CODECS)}; leave out --format overlay")
        names = () if clip.classes is None else clip.classes.names
        blank = np.zeros((*clip.shape, 3), np.uint8)
        legend = np.array(with_legend(blank, names))[len(blank) :] if names else blank[:0]
        full = clip.shape[0] + len(legend), clip.shape[1]
        height, width = (side - side % 2 or 2 for side in full)  # H.264 in 4:2:0 wants even sides
        rate = Fraction(min(MOST_RATE, max(LEAST_RATE, clip.rate or RATE))).limit_denominator(1001)
        with destination.writing(*self.files(clip.name)) as path, av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {}
            for frame, image in zip(clip.frames(), clip.images(), strict=False):
                labels = (
                    None if clip.classes is None else [clip.classes.label(track) for track in frame.tracks.tolist()]
                )
                colours = None if labels is None else class_colours(names)[labels]
                picture = np.concatenate([tracked_overlay(image, frame.ids, frame.tracks, colours), legend])
                picture = np.pad(
                    picture, ((0, max(0, height - len(picture))), (0, max(0, width - picture.shape[1])), (0, 0))
                )
                pixels = np.ascontiguousarray(picture[:height, :width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
