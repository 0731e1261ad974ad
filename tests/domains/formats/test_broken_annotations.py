"""Broken annotation files of slides and rasters are read, or refused in one line."""

from __future__ import annotations

import json
import random
from contextlib import suppress

import numpy as np
import pytest

from domains.errors import InputError
from domains.formats.geojson_frame import frame_of
from domains.formats.slides import _outline_tiles, drawing_of
from domains.formats.vectors import outlines_on
from domains.scenes.georeference import Georeference

HERE = Georeference("EPSG:32633", (1, 0, 500_000, 0, -1, 5_000_000))
ODD = [None, [], {}, "a", 1, -1.5, True, [[]], [1, 2], 1e308, 10**30, "Polygon", {"name": None}]
SIGNS = [b"null", b"NaN", b"1e999", b"-1", b"[]", b"{}", b'""', b"9" * 20, b'"x"', b"[", b"}", b"\xff", b"\x00", b"<!"]


def qupath(build, path):
    path = build.qupath(path, build.lozenges(4), [(0, 0), (90, 1), (90, 90), (0, 90)])
    content = json.loads(path.read_text())
    children = [dict(content["features"][0], id="PathCellObject")]
    content["features"][1]["properties"] |= {
        "childObjects": children,
        "measurements": [],
        "kind": 1,
        "isMissing": False,
    }
    content["features"][2]["geometry"]["plane"] = {"c": -1, "z": 0, "t": 0}
    path.write_text(json.dumps(content))
    return path


def odd_value(content: dict, rng: random.Random) -> bytes:
    """The content with a value somewhere that is another one."""
    content = json.loads(json.dumps(content))
    inner: dict | list = content
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys:
            return json.dumps(content).encode()
        key = rng.choice(keys)
        value = inner[key]  # type: ignore[index]
        if rng.random() < 0.2 or not isinstance(value, dict | list):
            inner[key] = rng.choice(ODD)  # type: ignore[index]
            return json.dumps(content).encode()
        inner = value


def odd_bytes(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(changed))
        changed[start : start + rng.randint(0, 20)] = rng.choice([*SIGNS, b"", bytes([rng.randrange(256)])])
    return bytes(changed) or b"x"


@pytest.mark.parametrize("kind", ["qupath", "map", "xml", "gpkg", "fgb"])
def test_a_broken_file_is_read_or_refused_in_one_line(build, tmp_path, kind):
    suffix = {"qupath": "geojson", "map": "geojson"}.get(kind, kind)
    path = tmp_path / f"a.{suffix}"
    if kind == "qupath":
        qupath(build, path)
    elif kind == "map":
        build.footprints(path, [(5, 5, 20, 30), (30, 30, 50, 60)])
    elif kind == "xml":
        build.aperio(path, *build.lozenges(4), [(0, 0), (90, 1), (90, 90), (0, 90)], negative=(1,))
    else:
        pyogrio, shapely = pytest.importorskip("pyogrio"), pytest.importorskip("shapely")
        shapes = np.array([shapely.to_wkb(shapely.box(500_010, 4_999_950, 500_030, 4_999_990))] * 4, object)
        pyogrio.raw.write(path, shapes, [np.arange(4)], ["kind"], geometry_type="Polygon", crs="EPSG:32633")
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for number in range(150):
        odd = suffix == "geojson" and rng.random() < 0.7
        broken = tmp_path / f"{number}.{suffix}"
        broken.write_bytes(odd_value(json.loads(whole), rng) if odd else odd_bytes(whole, rng))
        try:
            if kind in ("qupath", "xml"):
                _outline_tiles((512, 512), drawing_of(broken, []))
            else:
                outlines_on(broken, HERE, (100, 100), "kind", [])
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and broken.name in str(error)
        frame_of(broken)
        with suppress(FileNotFoundError):
            broken.unlink()
    assert refused > 10
