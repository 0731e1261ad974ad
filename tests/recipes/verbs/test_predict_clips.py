"""A clip from the command line on: tracks in files, the same after a kill, and memory that does not grow."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from adapters.tracking.motion import MotionTracker
from adapters.tracking.registry import Registry
from cli import main
from domains.exports.clip_tables import MotText
from domains.tiling.clip_journal import ClipJournal
from tests.adapters.decoders.tiny_sam2 import tiny_folder

FRAMES = 8


@pytest.fixture(scope="module")
def clip(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A window that moves over an image of the data, 1 px a frame, as numbered pictures."""
    folder = tmp_path_factory.mktemp("clips") / "moving"
    folder.mkdir()
    image = np.array(Image.open(data / "images" / "0.png").convert("RGB"))
    side = min(image.shape[:2]) - FRAMES
    for at in range(FRAMES):
        Image.fromarray(image[at : at + side, at : at + side]).save(folder / f"{at:03}.png")
    return folder


def words(run: Path, clip: Path, out: Path) -> list[str]:
    formats = ["--format", "ctc", "--format", "csv", "--format", "mot"]
    return ["predict", "--adapter", str(run / "adapter"), str(clip), "--video", *formats, "--out", str(out)]


def contents(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and ".predict" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_a_clip_s_entities_keep_their_ids(run: Path, clip: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(words(run, clip, out)) == 0
    told = capsys.readouterr()
    assert f"tracks in {FRAMES} frames" in told.out and f"0/{FRAMES} frames" in told.err
    assert [*contents(out)] and not list(out.glob(".moving*"))
    masks = [tifffile.imread(path) for path in sorted((out / "moving_RES").glob("mask*.tif"))]
    assert len(masks) == FRAMES
    shared = [
        (np.count_nonzero((a[1:, 1:] == b[:-1, :-1]) & (b[:-1, :-1] > 0)) / max(np.count_nonzero(b[:-1, :-1]), 1))
        for a, b in zip(masks, masks[1:], strict=False)
    ]
    assert np.mean(shared) > 0.6  # of pixels of the same place in the picture
    with (out / "moving.tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert max(int(row["length_frames"]) for row in rows) == FRAMES
    assert main(words(run, clip, out)) == 0 and "nothing to do" in capsys.readouterr().out
    assert main([*words(run, clip, out), "--track", "memory_frames=5"]) == 2
    assert "with another --track;" in capsys.readouterr().err


def test_a_killed_run_goes_on_with_the_same_ids(
    run: Path, clip: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(words(run, clip, whole)) == 0
    monkeypatch.setattr(ClipJournal, "is_due", lambda self: True)
    step, commit, calls = MotionTracker.step, ClipJournal.commit, iter(range(FRAMES))

    def dying(self, frame):
        if next(calls) == 5:
            monkeypatch.setattr(ClipJournal, "commit", lambda self, state: None)  # as after kill -9
            raise KeyboardInterrupt
        return step(self, frame)

    monkeypatch.setattr(MotionTracker, "step", dying)
    assert main(words(run, clip, killed)) == 130
    monkeypatch.setattr(MotionTracker, "step", step)
    monkeypatch.setattr(ClipJournal, "commit", commit)
    capsys.readouterr()
    assert main(words(run, clip, killed)) == 0
    assert "goes on at frame 5" in capsys.readouterr().err
    assert contents(killed) == contents(whole)


def test_a_run_stopped_while_it_writes_asks_the_registry_once(
    run: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, out = tmp_path / "ids.sqlite", tmp_path / "out"
    line = [*words(run, clip, out), "--ids", str(registry), "--realtime"]
    write = MotText.write

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MotText, "write", stopped)
    assert main(line) == 130
    monkeypatch.setattr(MotText, "write", write)
    assert main(line) == 0
    with Registry(registry, make=False) as known:
        assert known.ask("SELECT count(*) FROM visit") == [(1,)]


def test_sam2_follows_what_the_network_finds_and_other_weights_leave_the_folder_free(
    run: Path, clip: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    words_of = [*words(run, clip, out), "--track", "name=sam2", "--track", "most_slots=5", "--track"]
    assert main([*words_of, f"weights={run / 'adapter'}"]) == 2
    assert f"{run / 'adapter'} has no config.json: wanted a folder with config.json" in capsys.readouterr().err
    assert main([*words_of, f"weights={tiny_folder(tmp_path / 'sam2', exists=2.0)}"]) == 0
    masks = [tifffile.imread(path) for path in sorted((out / "moving_RES").glob("mask*.tif"))]
    counts = [len(np.unique(mask[mask > 0])) for mask in masks]
    assert len(masks) == FRAMES and 1 <= max(counts) <= 5
    with (out / "moving.tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["visible_frames"]) for row in rows) == sum(counts)
    assert max(int(row["visible_frames"]) for row in rows) > 1


def test_what_came_before_a_bad_frame_is_kept_and_the_other_clips_too(
    run: Path, clip: Path, tmp_path: Path, capsys
) -> None:
    out, inputs = tmp_path / "out", [tmp_path / name for name in ("none", "damaged", "resized", "good")]
    for folder, frames in zip(inputs, (1, 3, 4, 1), strict=True):  # a clip of one frame is one
        folder.mkdir()
        for at in range(frames):
            shutil.copy(clip / f"{at:03}.png", folder)
    (inputs[0] / "000.png").write_bytes(b"")
    (inputs[1] / "002.png").write_bytes((inputs[1] / "002.png").read_bytes()[:200])
    Image.new("RGB", (20, 30)).save(inputs[2] / "001.png")
    first, *following = words(run, inputs[3], out)
    line = [first, *map(str, inputs[:3]), *following]
    for going_on in ("", "goes on: 3 of 4 clips are done"):  # said again where all that can be done is done
        assert main(line) == 2
        told = capsys.readouterr().err
        assert going_on in told
        last = told.strip().splitlines()[-1]
        assert last.startswith(
            "error: 1 of 4 clips were left out; 2 of 4 clips ended early, what came before is kept: "
        )
        assert "000.png" in last and "002.png" in last
        counts = {path.name: len(list(path.glob("mask*.tif"))) for path in out.glob("*_RES")}
        assert counts == {"damaged_RES": 2, "resized_RES": 1, "good_RES": 1}
        assert (out / "damaged.mot.txt").stat().st_size and (out / "resized.tracks.csv").exists()
    assert main(words(run, inputs[0], tmp_path / "left out")) == 2 and not (tmp_path / "left out").exists()
    capsys.readouterr()
    assert main([*words(run, inputs[2], tmp_path / "alone")]) == 2
    assert "frame 1 " in (told := capsys.readouterr().err) and "mend it and predict with --overwrite" in told


def test_the_state_does_not_grow_with_the_clip() -> None:
    from adapters.tracking import FrameEntities

    def frames(count: int) -> Iterator[FrameEntities]:
        y, x = np.mgrid[:48, :64]
        for at in range(count):  # things enter and leave for ever
            ids = np.zeros((48, 64), np.int32)
            for number, left in enumerate(range(-16 + 3 * at % 16, 64, 16), start=1):
                ids[(y - 24) ** 2 + (x - left) ** 2 < 25] = number
            present = np.unique(ids[ids > 0])
            yield FrameEntities(np.searchsorted(present, ids).astype(np.int32) + (ids > 0), float(at))

    tracker, sizes, ended = MotionTracker(), [], 0
    for frame in frames(120):
        ended += len(tracker.step(frame).ended)
        sizes.append(sum(values.nbytes for values in tracker.state().values()))
    assert ended > 5 and max(sizes[80:]) <= 1.2 * max(sizes[40:80])
