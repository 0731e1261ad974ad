"""A clip as boxes of MOTChallenge and as a row per track, against numbers worked out by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from domains.exports import Destination
from domains.exports.clip_tables import MotText, TrackTable
from tests.domains.exports.clips import CLIP


def test_mot_counts_frames_and_pixels_from_one(tmp_path: Path) -> None:
    MotText().write(CLIP, Destination(tmp_path))
    lines = (tmp_path / "clip.mot.txt").read_text().splitlines()
    assert lines[0] == "1,1,3,3,4,4,0.5,-1,-1,-1"
    assert lines[1] == "1,2,11,13,10,6,0.5,-1,-1,-1"
    assert [line.split(",")[:2] for line in lines[4:]] == [["3", "7"], ["3", "9"], ["4", "1"], ["4", "7"]]


def test_a_track_has_its_course_in_pixels_and_micrometres(tmp_path: Path) -> None:
    TrackTable().write(CLIP, Destination(tmp_path))
    with (tmp_path / "clip.tracks.csv").open(newline="") as file:
        rows = {row["track"]: row for row in csv.DictReader(file)}
    moving = rows["1"]
    assert (moving["birth_frame"], moving["last_frame"], moving["exit"]) == ("0", "3", "end")
    assert (moving["length_frames"], moving["visible_frames"], moving["length_s"]) == ("4", "3", "2")
    assert (moving["path_px"], moving["speed_px_per_frame"]) == ("9", "3")
    assert (moving["path_um"], moving["speed_um_per_frame"], moving["speed_um_per_s"]) == ("4.5", "1.5", "3")
    assert (moving["mean_area_px"], moving["mean_area_um2"], moving["mean_score"]) == ("16", "4", "0.5")
    assert (rows["2"]["exit"], rows["7"]["parent"], rows["9"]["exit"]) == ("divided", "2", "lost")


def test_units_that_are_unknown_have_no_column(tmp_path: Path) -> None:
    TrackTable().write(replace(CLIP, rate=None, pixel_size_m=None), Destination(tmp_path))
    header = (tmp_path / "clip.tracks.csv").read_text().splitlines()[0]
    assert "um" not in header and "_s" not in header.replace("_score", "")
