"""When `predict` follows entities, by which options, and what it refuses before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.options.tracking import Motion, Nearest, Overlap
from cli import main
from domains.errors import InputError
from recipes.verbs import tracking
from recipes.verbs.tracking import asks_for_tracks, tracking_of


def test_options_are_set_by_key_and_value_and_another_tracker_by_its_name() -> None:
    options = Motion(divisions=False)
    assert tracking_of(options, ["memory_frames=60"]) == Motion(memory_frames=60, divisions=False)
    assert tracking_of(options, ["name=nearest", "tracking.most_px=9"]) == Nearest(most_px=9)
    assert tracking_of(options, []) == options


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("memory_frames", "wanted KEY=VALUE"),
        ("memory_frames=many", "tracking.memory_frames is 'many'"),
        ("memory_frame=3", "did you mean 'memory_frames'"),
        ("name=kalman", "tracking.name is 'kalman'; known: iou, memory, motion, nearest"),
        ("keyframe_frames=0", "tracking.keyframe_frames is 0"),
    ],
)
def test_wrong_options_are_told_in_a_line(setting: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        tracking_of(Motion(), [setting])


def test_realtime_goes_with_trackers_that_take_any_frame_s_entities() -> None:
    assert tracking_of(Motion(), ["name=iou", "realtime=true"]) == Overlap(realtime=True)
    with pytest.raises(InputError, match="memory looks at every frame .* --realtime goes with iou, motion, nearest"):
        tracking_of(Motion(), ["name=memory", "realtime=true"])


def test_films_are_clips_and_all_else_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "check_films", lambda: None)
    film, picture = tmp_path / "a.mp4", tmp_path / "a.png"
    film.touch()
    picture.touch()
    assert asks_for_tracks([film], (), False, ())
    assert not asks_for_tracks([picture, tmp_path], ("csv",), False, ())
    assert asks_for_tracks([tmp_path], (), True, ()) and asks_for_tracks([tmp_path], ("mot",), False, ())
    with pytest.raises(InputError, match="is a film and .* is none; predict them apart"):
        asks_for_tracks([film, picture], (), False, ())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--adapter", "auto"], "leave out --adapter auto"),
        (["--adapter", "base", "--recipe", "natural", "--square"], "leave out --square"),
        (["--adapter", "base", "--recipe", "natural", "--track", "memory_frame=3"], "did you mean 'memory_frames'"),
    ],
)
def test_what_clips_do_not_have_is_refused_before_anything_is_loaded(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.setattr("recipes.runtime.choose", lambda *_: pytest.fail("torch is asked"))
    assert main(["predict", str(tmp_path), "--video", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and "\n" not in error
