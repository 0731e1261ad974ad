"""The overlay film: as many frames, even sides, and one colour for an id."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domains.exports import Destination
from domains.exports.clip_film import OverlayFilm
from tests.domains.exports.clips import CLIP

pytest.importorskip("av")


def test_an_id_has_one_colour_through_the_film(tmp_path: Path) -> None:
    OverlayFilm().write(CLIP, Destination(tmp_path))
    av: Any = import_module("av")
    with av.open(str(tmp_path / "clip.overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and float(stream.average_rate) == 2
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]
    assert [frame.shape for frame in frames] == [(20, 30, 3)] * 4
    colours = [frames[at][3:5, 3 + 3 * at : 5 + 3 * at].mean((0, 1)) for at in (0, 1, 3)]
    apart = np.linalg.norm(colours[0] - frames[0][14:16, 13:17].mean((0, 1)))
    assert apart > 100 > 2 * np.linalg.norm(np.diff(colours, axis=0), axis=1).max()
