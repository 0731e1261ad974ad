"""The frame of a GeoJSON by its marks, and files that are not whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from domains.errors import InputError
from domains.formats import geojson_frame
from domains.formats.geojson_frame import frame_of, is_result, read_json


def written(path: Path, **members: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [], **members}))
    return path


@pytest.mark.parametrize(
    "members, frame",
    [
        ({}, "degrees"),
        ({"coordinates": [[4.0, 400.0]]}, "beyond degrees"),
        ({"measurements": [], "coordinates": [[4.0, 40.0]]}, "marked"),
        ({"measurements": [], "coordinates": [[4.0, 400.0]]}, "pixels"),
        ({"crs": {"type": "name"}}, "map"),
        ({"objectType": "annotation"}, "pixels"),
    ],
)
def test_a_frame_goes_by_the_marks_in_a_file(members: dict, frame: str, tmp_path: Path) -> None:
    assert frame_of(written(tmp_path / "a.geojson", **members)) == frame


def test_a_number_that_is_none_says_nothing_of_the_frame(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"coordinates": [[1.2.3, 400]]}')
    assert frame_of(tmp_path / "a.geojson") == "degrees"


@pytest.mark.parametrize("name, frame", [("a.geojson", "degrees"), ("a.geojson.gz", "pixels")])
def test_a_file_that_is_damaged_or_not_there_is_told_where_it_is_read(name: str, frame: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert frame_of(path) == "degrees" and not is_result(path)
    with pytest.raises(InputError, match="wanted a whole file, got .*; copy it again"):
        read_json(path)
    path.write_bytes(gzip.compress(b'{"objectType": "annotation"}' * 99)[:40] if name.endswith("gz") else b'{"type": ')
    assert frame_of(path) == frame
    with pytest.raises(InputError, match="copy it again|is no whole JSON"):
        read_json(path)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson_frame, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="wanted outlines of at most 0 MB; split the file"):
        read_json(written(tmp_path / "a.geojson"), "outlines")
