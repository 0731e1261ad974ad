"""Annotation files with random damage are read or refused in one line. `ENTITY_FUZZ=2000 pytest FILE` tries more."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats import all_layouts

FILES = {"coco": "*.json", "cvat": "*.xml", "label_studio": "*.json", "labelme": "*.json", "yolo_seg": "*.txt"}
ROUNDS = int(os.environ.get("ENTITY_FUZZ", "40"))
BYTES = [
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"1e999", b"-1", b"NaN", b"9" * 20, b"[]", b"{}", b"\0",
    b"\xff", b"<", b">", b"/", b"&a;", b"inf", b".", b"\\ud800",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 2.5, 1e308, float("nan"), 10**30, "", "1", "\0", "\ud800", "a" * 100, "../x.png", [], {}, [[]],
    [None], [1, 2], [[1, 2]], {"a": 1},
]  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, put in, taken out, or written twice."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, token = rng.randrange(len(data) or 1), rng.choice(BYTES)
        start = rng.randrange(len(data) or 1)
        data = rng.choice([
            data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
            data[:at] + token + data[at:],
            data[:at] + token + data[at + rng.randrange(6) :],
            data[:at] + data[at + rng.randrange(12) :],
            data[:at] + data[start : start + 40] + data[at:],
        ])  # fmt: skip
    return data


def replaced(content: Any, rng: random.Random) -> bytes:
    """The JSON with one value in it, at any depth, replaced."""
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        holder = waiting.pop()
        for key in holder if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    holder, key = rng.choice(places)
    holder[key] = rng.choice(VALUES)
    return json.dumps(content).encode()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_in_one_line(build, tmp_path, name):
    getattr(build, name)(tmp_path)
    files = {path: path.read_bytes() for path in sorted(tmp_path.rglob(FILES[name]))}
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        path, data = rng.choice([*files.items()])
        structured = path.suffix == ".json" and rng.random() < 0.6
        path.write_bytes(replaced(json.loads(data), rng) if structured else damaged(data, rng))
        try:
            open_folder(tmp_path, layout=all_layouts()[name])
        except InputError as error:
            assert "\n" not in str(error), seed
        path.write_bytes(data)
