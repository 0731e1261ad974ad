"""Classes of tracks from what frames say, by hand; and in every format."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from domains.entities.overlay import class_colours
from domains.exports import Destination
from domains.exports.clip_film import OverlayFilm
from domains.exports.clip_masks import GeoJsonFrames, YoutubeVis
from domains.exports.clip_tables import MotText, TrackTable
from domains.exports.track_classes import TrackClass, TrackClasses
from tests.domains.exports.clips import CLIP

NAMES = ("cell", "debris", "unknown")
NOTHING = [np.nan] * 3


def test_a_track_has_the_class_of_its_frames_and_none_where_most_say_none() -> None:
    frames = [
        (np.array([1, 2, 5]), np.array([[0.6, 0.4, 0], [0.9, 0.1, 1], NOTHING])),
        (np.array([1, 2]), np.array([[0.2, 0.8, 0], [0.7, 0.3, 1]])),
        (np.array([2, 1]), np.array([[0.2, 0.8, 0], [0.99, 0.01, 1]])),
    ]
    classes = TrackClasses.of(NAMES, frames)
    assert classes.label(1) == 1 and np.isclose(classes.score(1), (0.4 + 0.8) / 2)
    assert classes.name(2) == "unknown" and np.isclose(classes.score(2), (0.9 + 0.7 + 0.2) / 3)
    assert (classes.name(5), classes.score(5)) == ("unknown", 0.0)


def test_every_format_tells_the_class_of_a_track(tmp_path: Path) -> None:
    classes = TrackClasses(NAMES, {1: TrackClass(1, 0.75), 2: TrackClass(0, 0.5)})
    clip, destination = replace(CLIP, classes=classes), Destination(tmp_path)
    for export in (MotText(), TrackTable(), YoutubeVis(), GeoJsonFrames()):
        export.write(clip, destination)
    boxes = [line.split(",") for line in (tmp_path / "clip.mot.txt").read_text().splitlines()]
    assert {(row[1], row[7]) for row in boxes} == {("1", "2"), ("2", "1"), ("7", "3"), ("9", "3")}
    assert (tmp_path / "clip.mot.labels.txt").read_text().splitlines() == [*NAMES]
    with (tmp_path / "clip.tracks.csv").open(newline="") as file:
        rows = {row["track"]: (row["label"], row["label_score"]) for row in csv.DictReader(file)}
    assert rows == {"1": ("debris", "0.75"), "2": ("cell", "0.5"), "7": ("unknown", "0"), "9": ("unknown", "0")}
    content = json.loads((tmp_path / "clip.ytvis.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert {track["id"]: names[track["category_id"]] for track in content["annotations"]} == {
        1: "debris", 2: "cell", 7: "unknown", 9: "unknown"
    }  # fmt: skip
    first = json.loads((tmp_path / "clip_geojson" / "000000.geojson").read_text())["features"]
    colours = dict(zip(NAMES, class_colours(NAMES).tolist(), strict=True))
    assert [feature["properties"]["classification"] for feature in first] == [
        {"name": name, "color": colours[name]} for name in ("debris", "cell")
    ]
    MotText().write(CLIP, Destination(tmp_path, overwrite=True))  # by an adapter without classes, in its place
    assert not (tmp_path / "clip.mot.labels.txt").exists() and (tmp_path / "clip.mot.txt").exists()


def test_the_film_is_in_the_colours_of_classes_above_their_names(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    classes = TrackClasses(NAMES, {1: TrackClass(0, 1.0), 2: TrackClass(0, 1.0)})
    OverlayFilm().write(replace(CLIP, classes=classes), Destination(tmp_path))
    with av.open(str(tmp_path / "clip.overlay.mp4")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert image.shape[0] > CLIP.shape[0] + 10 and image[CLIP.shape[0] + 4 :].max() > 200
    for place in (image[3:5, 3:5], image[14:16, 13:17]):  # both are red, the first class
        red, green, blue = place.mean((0, 1))
        assert red > 140 and red > 2 * max(green, blue)
