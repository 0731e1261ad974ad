"""Films of every container, and what is odd about them: rotation, bits, alpha, beat, an end too soon."""

from __future__ import annotations

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domains.errors import InputError
from domains.scenes import video
from domains.scenes.video import open_clip
from tests.domains.scenes import films
from tests.domains.scenes.films import SHAPE, corner, drawn, film, film_of_two_sizes, trimmed

pytest.importorskip("av")


@pytest.mark.parametrize(
    "suffix, remark", [(".mp4", ""), (".mov", ""), (".avi", ""), (".webm", ""), (".mkv", "10 bits")]
)
def test_a_film_is_read_frame_by_frame_from_any_frame_on(tmp_path: Path, suffix: str, remark: str) -> None:
    clip = open_clip(film(tmp_path / f"clip{suffix}", drawn()))
    assert clip.about.shape == SHAPE and clip.about.rate == 10 and remark in " ".join(clip.about.remarks)
    frames = list(clip.frames())
    assert [frame.tick for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [corner(frame.scene.read(0, 0, *SHAPE)) for frame in frames] == [[10, 4 + 5 * at] for at in range(6)]
    assert [frame.number for frame in clip.frames(4)] == [4, 5] and clip.noted() == ()


def test_a_rotation_flag_is_obeyed_and_told(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", drawn())
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # of the track header (ISO/IEC 14496-12, 8.3.2)
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    clip = open_clip(path)
    assert clip.about.shape == SHAPE[::-1] and "turned by 270 degrees" in clip.about.remarks[0]
    image = next(clip.frames(2)).scene.read(0, 0, 64, 48)
    assert corner(image) == [14, 48 - 22]


def test_frames_at_varying_times_are_taken_as_they_are(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "clip.mp4", drawn(), times_ms=[0, 100, 200, 350, 400, 900]))
    ticks = [frame.tick for frame in clip.frames()]
    assert ticks == sorted(set(ticks)) and "varying times" in clip.noted()[0]
    steps = np.diff(ticks)
    assert steps.max() > 3 * steps.min()


@pytest.mark.parametrize("suffix, told", [(".mp4", "of 24"), (".avi", "of 24"), (".mkv", "of about 24")])
def test_a_film_that_is_cut_off_gives_what_came_before_and_says_so(tmp_path: Path, suffix: str, told: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, *SHAPE, 3), dtype=np.uint8)
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = film(tmp_path / f"clip{suffix}", list(noise), **options)
    assert len(list(open_clip(path).frames())) == 24
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    frames = []
    with pytest.raises(InputError, match=f"ends after .* {told} frames: it is cut off"):
        for frame in open_clip(path).frames():
            frames.append(frame.number)
    assert 0 < len(frames) < 24 and frames == [*range(len(frames))]


def test_a_film_that_was_trimmed_and_not_coded_anew_is_whole(tmp_path: Path) -> None:
    clip = open_clip(trimmed(film(tmp_path / "long.mp4", drawn()), tmp_path / "clip.mp4", first=2))
    corners = [corner(frame.scene.read(0, 0, *SHAPE)) for frame in clip.frames()]
    assert clip.about.count == 6 and corners == [[10, 4 + 5 * at] for at in range(2, 6)]


def test_a_film_that_changes_its_size_gives_what_came_before(tmp_path: Path) -> None:
    frames = iter(open_clip(film_of_two_sizes(tmp_path / "clip.mkv", 2, 4)).frames())
    assert [next(frames).number for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match="frame 2 .* is 64 x 24 px, those before 64 x 48"):
        next(frames)


def test_what_is_no_film_is_refused_in_a_line(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", drawn())
    lists = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{whole}\n#EXT-X-ENDLIST\n"
    for name, content in {"list.mp4": lists.encode(), "empty.mp4": b"", "half.mp4": whole.read_bytes()[:300]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}': wanted a whole film"):
            open_clip(tmp_path / name)


def test_without_pyav_a_film_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install \"entity-adapters\[video\]\""):
        open_clip(tmp_path / "clip.mp4")


def test_alpha_is_dropped_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(films.CODECS, ".mkv", ("ffv1", "yuva420p"))
    clip = open_clip(film(tmp_path / "clip.mkv", drawn(2)))
    assert clip.about.remarks == ("its alpha is dropped",)
    assert [frame.scene.read(0, 0, *SHAPE).shape for frame in clip.frames()] == [(*SHAPE, 3)] * 2


def test_a_film_of_too_many_pixels_is_refused_before_they_are_decoded(tmp_path: Path, monkeypatch) -> None:
    path = film(tmp_path / "clip.mp4", drawn(2))
    monkeypatch.setattr(video, "MAX_PIXELS", 100)
    with pytest.raises(InputError, match="clip.mp4.*64 x 48"):
        open_clip(path)


def test_sound_without_a_picture_and_a_film_without_a_frame_are_refused(tmp_path: Path) -> None:
    av: Any = import_module("av")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for number in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="sound.mp4' has no picture, only sound; wanted a film"):
        open_clip(tmp_path / "sound.mp4")
    path = film(tmp_path / "clip.avi", drawn(2))
    content = bytearray(path.read_bytes())
    start = content.index(b"movi") + 12
    content[start : content.index(b"idx1")] = bytes(content.index(b"idx1") - start)
    path.write_bytes(content)
    with pytest.raises(InputError, match="no frame that can be read|damaged or unsupported") as caught:
        open_clip(path)
    assert "\n" not in str(caught.value)
