"""Damage to files: bytes as disks and networks leave them, and texts as other programs write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = {".json", ".geojson", ".xml", ".csv", ".txt", ".prj", ".tfw", ".yaml"}
HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, -(2**40), 10**30, 0.5, 1e308, float("nan"), float("inf"), "", "x", "1e999",
    "../../etc", "\0", "9" * 400, [], {}, [[]], [None], {"a": []}, [[[[0]]]], [1, 2, 3], "0.5 0.5", ["x"] * 50,
]  # fmt: skip
WORDS = [
    "",
    "nan",
    "-1",
    "1e999",
    "99999999999",
    "0",
    "null",
    "<",
    "&lt;",
    "[",
    "]",
    "{",
    '"',
    ",,",
    ";",
    "\n\n",
    "\t",
    "x",
]


def mutate(path: Path, rng: np.random.Generator) -> None:
    """Change a file in place, in a way that its kind knows or in bytes."""
    content = path.read_bytes()
    suffix = path.suffix.lower()
    if suffix in {".json", ".geojson"} and rng.random() < 0.6:
        path.write_bytes(changed_json(content, rng))
    elif suffix in TEXTS and rng.random() < 0.6:
        path.write_bytes(changed_words(content, rng))
    else:
        path.write_bytes(changed_bytes(content, rng))


def changed_json(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three values of a JSON replaced, removed or repeated; bytes where it is none."""
    try:
        root = json.loads(content)
    except ValueError:
        return changed_bytes(content, rng)
    for _ in range(rng.integers(1, 4)):
        holder, key = pick_node(root, rng)
        if holder is None:
            root = HOSTILE[rng.integers(len(HOSTILE))]
        elif rng.random() < 0.2:
            del holder[key]
        elif isinstance(holder, list) and rng.random() < 0.2:
            holder.extend([holder[key]] * int(rng.integers(1, 4)))
        else:
            holder[key] = HOSTILE[rng.integers(len(HOSTILE))]
    return json.dumps(root).encode()


def pick_node(root: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """(the list or mapping, the index or key) of a value at any depth; (None, None) for the root itself."""
    holder, key, here = None, None, root
    while isinstance(here, (dict, list)) and here and (holder is None or rng.random() < 0.8):
        holder = here
        key = list(here)[rng.integers(len(here))] if isinstance(here, dict) else int(rng.integers(len(here)))
        here = here[key]
    return holder, key


def changed_words(content: bytes, rng: np.random.Generator) -> bytes:
    """Some words, numbers or marks of a text replaced."""
    parts = re.split(rb"([\s,;<>\"'=/]+)", content)
    for _ in range(rng.integers(1, 5)):
        parts[rng.integers(len(parts))] = WORDS[rng.integers(len(WORDS))].encode()
    return b"".join(parts)


def changed_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, cut, repeated, zeroed, or numbers of the head made extreme."""
    data = bytearray(content or b"\0")
    kind = rng.integers(7)
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, 65))
    if kind == 0:
        for position in rng.integers(len(data), size=rng.integers(1, 9)):
            data[position] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[start:]
    elif kind == 2:
        del data[start : start + length]
    elif kind == 3:
        data[start:start] = data[start : start + length] * int(rng.integers(1, 9))
    elif kind == 4:
        data[start : start + length] = bytes(len(data[start : start + length]))
    elif kind == 5:
        width = int(rng.choice([1, 2, 4, 8]))
        extreme = int(rng.choice([0, 1, 127, 128, 254, 255])) * (256**width - 1) // 255
        head = int(rng.integers(min(len(data), 600)))
        data[head : head + width] = extreme.to_bytes(width, "little")
    else:
        data[start : start + length] = rng.bytes(length)
    return bytes(data)
