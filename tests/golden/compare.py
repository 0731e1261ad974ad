"""Whether two golden runs gave the same: file by file, equal to the byte, or but for times, places and versions.

    python -m tests.golden.compare A B

Exits with 1 where a file differs or is missing. What may differ is in `tests/golden/masks.py`, with its reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from safetensors import safe_open

from tests.golden.formats import rows_of_geopackage, text_of_journal, values_of_checkpoint
from tests.golden.masks import MASKS

SHOWN = 160  # letters of a difference
TEXTS = (".json", ".jsonl", ".csv", ".md", ".html", ".yaml", ".geojson", ".out", ".err", ".txt")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--all", action="store_true", help="name equal files too")
    asked = parser.parse_args()
    for folder in (asked.a, asked.b):
        if not folder.is_dir():
            parser.error(f"{str(folder)!r} is no folder")
    outcomes = compare_folders(asked.a, asked.b)
    for name, outcome in outcomes.items():
        if asked.all or outcome != "equal":
            print(f"{name}: {outcome}")
    different = [name for name, outcome in outcomes.items() if is_fault(outcome)]
    masked = sum(outcome.startswith("equal but") for outcome in outcomes.values())
    print(f"{len(outcomes)} files: {masked} equal but for what is masked, {len(different)} different or missing")
    return int(bool(different) or not outcomes)


def is_fault(outcome: str) -> bool:
    return outcome.startswith(("different", "missing"))


def compare_folders(a: Path, b: Path) -> dict[str, str]:
    """The outcome for each file that either folder has, by its path: `equal`, `equal but ...`, `different: ...`
    or `missing ...`."""
    names = sorted({path.relative_to(root).as_posix() for root in (a, b) for path in root.rglob("*") if path.is_file()})
    outcomes = {name: compare_files(name, a, b) for name in names}
    notes = [f"done/{Path(name).stem}.json" for name in names if fnmatch(name, "terminal/*.out")]
    return outcomes | {note: "missing in both: the job has failed" for note in notes if note not in outcomes}


def compare_files(name: str, root_a: Path, root_b: Path) -> str:
    """The outcome for one file, of the same path in two folders."""
    a, b = root_a / name, root_b / name
    for path, letter in ((a, "A"), (b, "B")):
        if not path.is_file():
            return f"missing in {letter}"
    if a.read_bytes() == b.read_bytes():
        return "equal"
    places = {"A": str(root_a.resolve()), "B": str(root_b.resolve())}
    return KINDS.get(a.suffix or a.name, compare_texts if a.suffix in TEXTS else compare_bytes)(name, a, b, places)


def compare_bytes(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    left, right = a.read_bytes(), b.read_bytes()
    return "different: " + first_byte(left, right)


def first_byte(left: bytes, right: bytes) -> str:
    """Where two strings of bytes part."""
    shorter = min(len(left), len(right))
    at = next((i for i in range(shorter) if left[i] != right[i]), shorter)
    return f"{len(left)} and {len(right)} bytes, the first other one at {at}"


def compare_texts(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    """Line by line, when the masks of the file are laid on both."""
    left, right = masked(name, text_of(a), places["A"]), masked(name, text_of(b), places["B"])
    for number, (line, other) in enumerate(zip_longest(left, right, fillvalue="(no line)"), 1):
        if line != other:
            at = next((i for i, (x, y) in enumerate(zip(line, other, strict=False)) if x != y), 0)
            start = max(0, at - 40)
            return f"different: line {number}: {line[start:][:SHOWN]!r}, {other[start:][:SHOWN]!r}"
    return f"equal but for {'; '.join(mask.reason for mask in MASKS if fnmatch(name, mask.files)) or 'its folder'}"


def text_of(path: Path) -> str:
    return text_of_journal(path) if path.name == "journal" else path.read_text()


def masked(name: str, text: str, place: str) -> list[str]:
    """Lines of a text without what may differ: the folder of the run, and the masks of the file."""
    text = text.replace(place, "FOLDER")
    for mask in MASKS:
        if fnmatch(name, mask.files):
            text = mask.pattern.sub(mask.by, text)
    return text.splitlines()


def compare_tensors(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    """Tensor by tensor, to the bit. A header of other words is a difference too."""
    with safe_open(a, "np") as left, safe_open(b, "np") as right:
        if sorted(left.keys()) != sorted(right.keys()):
            return f"different: tensors {sorted(set(left.keys()) ^ set(right.keys()))} in one of them"
        for key in left.keys():  # noqa: SIM118  # a file, not a dict
            outcome = compare_arrays(left.get_tensor(key), right.get_tensor(key))
            if outcome:
                return f"different: {key}: {outcome}"
        if left.metadata() != right.metadata():
            return f"different: metadata {left.metadata()}, {right.metadata()}"
    return "different: equal tensors in another order"


def compare_arrays(left: np.ndarray, right: np.ndarray) -> str:
    """What tells two arrays apart, "" where they are equal to the bit."""
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        return f"{left.dtype} {left.shape}, {right.dtype} {right.shape}"
    if left.tobytes() == right.tobytes():
        return ""
    apart = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return f"{np.count_nonzero(apart)} of {apart.size} values differ, by {apart.max():.3g} at most"


def compare_checkpoints(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    """Value by value, the state of the optimizer and of the random numbers among them."""
    left, right = values_of_checkpoint(a, places["A"]), values_of_checkpoint(b, places["B"])
    if list(left) != list(right):
        return f"different: keys {sorted(left.keys() ^ right.keys())[:4] or 'in another order'}"
    for keys, value in left.items():
        other = right[keys]
        if isinstance(value, np.ndarray) and isinstance(other, np.ndarray):
            if outcome := compare_arrays(value, other):
                return f"different: {keys}: {outcome}"
        elif type(value) is not type(other) or value != other:
            return f"different: {keys}: {str(value)[:SHOWN]}, {str(other)[:SHOWN]}"
    return "equal but for seconds and the folder of the run"


def compare_archives(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    """Member by member, whatever their times are."""
    with ZipFile(a) as left, ZipFile(b) as right:
        members = left.namelist()
        if members != right.namelist():
            return f"different: members {members}, {right.namelist()}"
        for member in members:
            content, other = left.read(member), right.read(member)
            if Path(member).suffix in TEXTS:
                content = "\n".join(masked(member, content.decode(), places["A"])).encode()
                other = "\n".join(masked(member, other.decode(), places["B"])).encode()
            if content != other:
                return f"different: member {member}: {first_byte(content, other)}"
    return "equal but for times and folders of its members"


def compare_geopackages(name: str, a: Path, b: Path, places: Mapping[str, str]) -> str:
    """Table by table: the file holds the time at which it was made."""
    left, right = rows_of_geopackage(a), rows_of_geopackage(b)
    if left.keys() != right.keys():
        return f"different: tables {sorted(left.keys() ^ right.keys())} in one of them"
    for table, rows in left.items():
        for number, (row, other) in enumerate(zip_longest(rows, right[table]), 1):
            if row != other:
                return f"different: {table}, row {number}: {str(row)[:SHOWN]}, {str(other)[:SHOWN]}"
    return "equal but for gpkg_contents.last_change, the time at which it was made"


KINDS: dict[str, Callable[[str, Path, Path, Mapping[str, str]], str]] = {
    "journal": compare_texts,
    ".safetensors": compare_tensors,
    ".zip": compare_archives,
    ".ckpt": compare_checkpoints,
    ".gpkg": compare_geopackages,
}

if __name__ == "__main__":
    sys.exit(main())
