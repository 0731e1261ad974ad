from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.tracking import build_tracker
from cli import main
from domains.errors import InputError
from domains.formats.sav import write_sav
from domains.procedural.clips import Clip, draw_clip
from recipes.inputs import check_evaluated
from recipes.verbs.evaluate_clips import evaluate_adapter, evaluate_tracks
from recipes.verbs.following import Followed, SeenFrame
from recipes.verbs.tracking import KINDS

PALETTE = [value for number in range(256) for value in (number, 37 * number % 256, 11 * number % 256)]


def write_clip(root: Path, name: str, clip: Clip, pictures: bool = True) -> None:
    """A clip as DAVIS lies."""
    for folder in ("Annotations", *(["JPEGImages"] if pictures else [])):
        (root / folder / "480p" / name).mkdir(parents=True)
    for i in range(len(clip)):
        image, ids = clip.frame(i)
        picture = Image.fromarray(ids.astype(np.uint8), "P")
        picture.putpalette(PALETTE)
        picture.save(root / f"Annotations/480p/{name}/{i:05d}.png")
        if pictures:
            Image.fromarray(image).save(root / f"JPEGImages/480p/{name}/{i:05d}.png")


def test_tracks_of_another_format_are_measured_beside_the_truth(tmp_path: Path, capsys) -> None:
    """The truth as DAVIS, the tracks as SA-V, with a switch of ids in one of two clips."""
    clips = {name: draw_clip("crossing", seed, 8, 48, 48) for seed, name in enumerate(("bear", "car"))}
    tracks = tmp_path / "tracks"
    tracks.mkdir()
    for name, clip in clips.items():
        write_clip(tmp_path / "truth", name, clip)
        maps = np.stack(list(clip.maps()))
        if name == "car":
            maps[4:] = np.where(maps[4:] > 0, maps[4:] + 20, 0)
        write_sav(tracks / f"{name}.json", name, maps)
    result = evaluate_tracks(tracks, tmp_path / "truth", tmp_path / "numbers.json")
    assert result["by_clip"]["bear"]["veq"] == 1 and result["metrics"]["veq_1"] == 1 and result["metrics"]["j"] < 1
    assert result["by_clip"]["car"]["id_switches"] == pytest.approx(1, abs=0.3) and (
        result["clips"],
        result["frames"],
    ) == (2, 16)
    assert json.loads((tmp_path / "numbers.json").read_text()) == result
    low, high = result["intervals_95"]["idf1"]
    assert low < result["metrics"]["idf1"] < high and "idf1" in capsys.readouterr().out


def test_an_adapter_and_a_tracker_are_measured_frame_by_frame(tmp_path: Path, capsys) -> None:
    write_clip(tmp_path, "bear", draw_clip("births", 3, 3, 48, 48))
    result = evaluate_adapter("base", tmp_path, "motion", recipe="base")
    assert 0 <= result["metrics"]["hota"] <= 1 and result["frames"] == 3 and result["tracker"] == "motion"
    assert "no interval: it wants at least two clips" in capsys.readouterr().out


def test_an_adapter_is_measured_in_realtime_where_its_recipe_says_so(tmp_path: Path) -> None:
    write_clip(tmp_path, "bear", draw_clip("crossing", 3, 2, 48, 48))
    results = {}
    for realtime in ("false", "true"):
        overrides = [f"tracking.realtime={realtime}", "tracking.keyframe_change=1"]
        results[realtime] = evaluate_adapter("base", tmp_path, "motion", recipe="base", overrides=overrides)["metrics"]
    assert results["true"] != results["false"]


@pytest.mark.parametrize("tracker", [name for name in KINDS if name != "sam2"])  # which wants its weights
def test_true_entities_in_any_numbers_are_followed_to_the_end(tracker: str) -> None:
    clip, rng = draw_clip("division", 5, 10, 96, 96), np.random.default_rng(0)
    images, maps = list(clip.images()), list(clip.maps())
    shuffled = [np.concatenate([[0], rng.permutation(20) + 1])[ids].astype(np.int32) for ids in maps]
    frames = [SeenFrame(ids, None, image) for ids, image in zip(shuffled, images, strict=True)]
    tracks = list(Followed(build_tracker(KINDS[tracker](name=tracker)), frames).maps)
    assert all(np.array_equal(ids > 0, track > 0) for ids, track in zip(maps, tracks, strict=True))
    final = {int(number): np.unique(tracks[-1][maps[-1] == number]).tolist() for number in np.unique(maps[-1])[1:]}
    before = {number: np.unique(tracks[-2][maps[-2] == number]).tolist() for number in final}
    assert len(final) >= 3 and all(len(track) == 1 for track in final.values())
    assert sum(final[number] == before[number] for number in final) >= len(final) - 1


def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path: Path) -> None:
    truth, tracks = tmp_path / "truth", tmp_path / "tracks"
    clip = draw_clip("births", 3, 4, 48, 48)
    write_clip(truth, "bear", clip)
    write_clip(tracks, "dog", draw_clip("births", 3, 3, 48, 48), pictures=False)
    with pytest.raises(InputError, match="has no frame 3 of clip 'dog', which the truth has"):
        evaluate_tracks(tracks, truth)
    with pytest.raises(InputError, match="--json is .* no folder"):
        evaluate_tracks(tracks, truth, tmp_path / "none" / "a.json")
    with pytest.raises(InputError, match="the pictures of clip 'dog' are not here"):
        evaluate_adapter("base", tracks, "motion", recipe="base")
    with pytest.raises(InputError, match="--tracker is 'kalman'"):
        evaluate_adapter("base", truth, "kalman", recipe="base")
    folder = Path("t")
    for way in (
        (None, None, None, None),
        (None, "d", None, "motion"),
        ("a", "d", folder, None),
        ("a", None, None, "iou"),
        (None, "d", folder, "iou"),
    ):
        with pytest.raises(InputError, match="evaluate wants --adapter|give one of the two"):
            check_evaluated(*way)
    assert check_evaluated("a", "d", None, "iou") == "a" and check_evaluated(None, "d", Path("t"), None) == ""


def test_a_clip_without_tracks_names_those_that_there_are(tmp_path: Path) -> None:
    clip = draw_clip("births", 3, 3, 48, 48)
    for name in ("bear", "car"):
        write_clip(tmp_path / "truth", name, clip, pictures=False)
    write_clip(tmp_path / "tracks", "bear", clip, pictures=False)
    write_clip(tmp_path / "tracks", "dog", clip, pictures=False)
    with pytest.raises(InputError, match="has no tracks of clip 'car'; it has bear, dog; predict every clip"):
        evaluate_tracks(tmp_path / "tracks", tmp_path / "truth")


def test_tracks_are_measured_by_the_command_line(tmp_path: Path, capsys) -> None:
    clip = draw_clip("crossing", 0, 3, 48, 48)
    write_clip(tmp_path / "truth", "bear", clip, pictures=False)
    (tmp_path / "tracks").mkdir()
    write_sav(tmp_path / "tracks" / "bear.json", "bear", np.stack(list(clip.maps())))
    words = ["--tracks", str(tmp_path / "tracks"), "--data", str(tmp_path / "truth")]
    assert main(["evaluate", *words, "--json", str(tmp_path / "numbers.json")]) == 0
    assert json.loads((tmp_path / "numbers.json").read_text())["metrics"]["idf1"] == 1
    assert "no interval: it wants at least two clips" in capsys.readouterr().out
