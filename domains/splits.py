"""Train, validation and test without leaks: whole groups of images are split, by a hash of the group's name.

A group is what shows one thing: a slide, a scene, a patient, a tile of origin. Adding files moves no other file.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from domains.errors import InputError
from domains.images import IMAGE_SUFFIXES
from domains.layouts.layout import SPLITS, Fault, Record, Split
from domains.layouts.names import composed, printable, slashed

FRACTIONS = (0.64, 0.16, 0.20)  # of train, val, test: a fifth for test, of the rest a fifth for val
GROUPS_FILE = "groups.csv"
_FILE_COLUMNS = ("file", "file_name", "filename", "image", "image_id", "id", "name")
_FOLDER_COLUMNS = ("class", "folder")


def split_of(group: str, fractions: Sequence[float] = FRACTIONS) -> Split:
    """The split of a group, from its name alone. fractions: weights of train, val, test."""
    shares: list[tuple[Split, float]] = [
        (split, share) for split, share in zip(SPLITS, fractions, strict=True) if share > 0
    ]
    position, end = _position(group) * sum(fractions), 0.0
    for split, share in shares:
        end += share
        if position < end:
            return split
    return shares[-1][0]  # the sum's rounding


def assign(
    records: Sequence[Record],
    groups: Mapping[str, str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> dict[Split, list[Record]]:
    """Records of each split, in their order; every record is in exactly one, every group too.

    The data set's own split holds where every record has one, at least two are named, train among them, and none
    cuts a group; a split that it lacks is taken out of its train by hash. Otherwise all groups are split by hash.

    With few groups a hash can leave a split empty. Then, in the order train, test, val, the group whose hash lies
    nearest to the empty split's range moves there from a split that has two or more (for train: from any). So one
    group is all train, three groups fill three splits, and only such a moved group can change its split when files
    are added.
    """
    records = with_groups(records, groups)[0] if groups is not None else list(records)
    fixed = {record.split for record in records if record.split != "train"} if _own_split_holds(records) else set()
    weights = [0.0 if split in fixed else share for split, share in zip(SPLITS, fractions, strict=True)]
    hashed: dict[str, Split] = {
        record.group: split_of(record.group, weights) for record in records if record.split not in fixed
    }
    _fill_empty(hashed, weights)
    parts: dict[Split, list[Record]] = {split: [] for split in SPLITS}
    for record in records:
        parts[hashed.get(record.group) or record.split or "train"].append(record)
    return parts


def find_groups(root: Path, table: Path | None = None) -> Path | None:
    """The table of groups to use: the one named, else `groups.csv` in the folder, else None."""
    if table is None and (root / GROUPS_FILE).is_file():
        return root / GROUPS_FILE
    return table


def read_groups(table: Path) -> dict[str, str]:
    """Group of each file, from a CSV with a header: a column of files and one of groups (`group`, `tile_group`, ...).

    Columns of files: file, image, image_id, id, name; where a `class` or `folder` column stands beside it, the key is
    `class/file`. Comma, semicolon or tab. Raises InputError.
    """
    reader, file, group, key_of = _table(table)
    groups: dict[str, str] = {}
    for row in reader:
        name, value, key = (row[file] or "").strip(), (row[group] or "").strip(), key_of(row)
        if not name or not value or groups.get(key, value) != value:
            came = f"the groups {groups[key]!r} and {value!r}" if name and value else f"{name!r}, {value!r}"
            raise InputError(f"{str(table)!r}: line {reader.line_num}: wanted a file and one group, got {came}")
        groups[key] = value
    if not groups:
        raise InputError(f"{str(table)!r}: wanted a row per image, got none; fill it in or remove it")
    return groups


def read_strata(table: Path) -> dict[str, str]:
    """Stratum of each file from the same table, where it has such a column (`stratum`, `stain_stratum`, ...), else
    nothing: the kinds of image that metrics are reported for apart. Keys as in `read_groups`."""
    reader, _, _, key_of = _table(table)
    column = _named(reader, lambda name: name == "stratum" or name.endswith("_stratum"))
    return {} if column is None else {key_of(row): (row[column] or "").strip() for row in reader}


def _table(table: Path) -> tuple[csv.DictReader, str, str, Callable[[Mapping[str, str]], str]]:
    """(its rows, the column of files, that of groups, the key of a row)."""
    try:
        text = table.read_text(encoding="utf-8-sig", errors="surrogateescape")  # names may be bytes that are no UTF-8
    except OSError as error:
        raise InputError(f"{str(table)!r}: wanted a table of groups, {error.strerror}; check domain.groups") from error
    head = text.partition("\n")[0].strip()
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    file = next((found for one in _FILE_COLUMNS if (found := _named(reader, one.__eq__))), None)
    group = _named(reader, lambda name: name == "group" or name.endswith("_group"))
    if file is None or group is None:
        raise InputError(
            f"{str(table)!r}: wanted a header with a column of files ({', '.join(_FILE_COLUMNS)}) "
            f"and a column `group`, got {head[:80]!r}"
        )
    folder = next((found for one in _FOLDER_COLUMNS if (found := _named(reader, one.__eq__))), None)

    def key_of(row: Mapping[str, str]) -> str:
        name = (row[file] or "").strip()
        return f"{row[folder] or ''}/{name}" if folder else name

    return reader, file, group, key_of


def _named(reader: csv.DictReader, wanted: Callable[[str], bool]) -> str | None:
    """The first column whose name, in small letters, is wanted."""
    return next((name for name in reader.fieldnames or () if wanted((name or "").strip().lower())), None)


def with_groups(
    records: Sequence[Record], groups: Mapping[str, str], strata: Mapping[str, str] | None = None
) -> tuple[list[Record], list[str]]:
    """(records in the groups of the table, keys of the table that name no record).

    strata: of the same keys; a record keeps its own where they say nothing.
    A key names a record by the path of its file or by a last part of it, with or without suffix, in slashes of any
    system; the longest part that means one file counts. A path of another machine (`C:\\data\\a.png`) is its last part.
    Raises InputError where the table leaves records out: an image of unknown group could leak.
    """
    spellings = (printable, lambda name: composed(printable(name)))  # as it is, then as it may have come from a Mac
    indices = [_by_name(records, spelling) for spelling in spellings]
    found: dict[str, str] = {}
    kinds: dict[str, str] = {}
    unused = []
    for key, group in groups.items():
        tried = [
            index.get(form, [])
            for name in _forms(key)
            for index, spelling in zip(indices, spellings, strict=True)
            for form in _last_parts(spelling(name))
        ]
        candidates = next((some for some in tried if len({one.image for one in some}) == 1), [])  # tiles of a slide too
        if not candidates:
            unused.append(key)
        for one in candidates:
            if found.setdefault(one.name, group) != group:
                raise InputError(
                    f"{str(one.image)!r}: wanted one group, the table gives {found[one.name]!r} and {group!r}; "
                    "keep one of the two rows"
                )
            kinds[one.name] = (strata or {}).get(key) or one.stratum
    missing = [record.name for record in records if record.name not in found]
    if missing:
        raise InputError(
            f"{str(records[0].image.parent)!r}: {len(missing)} of {len(records)} images have no group in the table "
            f"(first: {missing[0]!r}); give each image a row, or use no table"
        )
    return [replace(record, group=found[record.name], stratum=kinds[record.name]) for record in records], unused


def unused_rows(table: Path, unused: Sequence[str]) -> list[Fault]:
    """One fault for all the rows of a table that name no image of the folder."""
    if not unused:
        return []
    return [Fault(table, f"{len(unused)} rows name no image of the folder (first: {unused[0]!r})")]


def _own_split_holds(records: Sequence[Record]) -> bool:
    named = {record.split for record in records}
    splits_of: dict[str, set] = defaultdict(set)
    for record in records:
        splits_of[record.group].add(record.split)
    complete = None not in named and "train" in named and len(named) > 1
    return complete and all(len(own) == 1 for own in splits_of.values())


def _fill_empty(chosen: dict[str, Split], weights: Sequence[float]) -> None:
    """In place: gives each empty split of a weight above 0 its nearest group, where another split can spare one."""
    ends = [sum(weights[: i + 1]) / sum(weights) for i in range(3)]
    for split in ("train", "test", "val"):
        index = SPLITS.index(split)
        counts = Counter(chosen.values())
        spare = [group for group, own in chosen.items() if counts[own] > 1 or split == "train"]
        if spare and weights[index] and not counts[split]:
            start, end = [0.0, *ends][index], ends[index]
            away = {group: max(start - _position(group), _position(group) - end) for group in spare}
            chosen[min(spare, key=lambda group: (away[group], group))] = split


def _position(group: str) -> float:
    """[0, 1), even over names, the same on every machine."""
    digest = blake2b(group.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _by_name(records: Sequence[Record], spelling: Callable[[str], str]) -> dict[str, list[Record]]:
    """Records by every last part of their name, and of the path of their file with its suffix."""
    index: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        file = (PurePosixPath(record.name).parent / record.image.name).as_posix()
        names = (slashed(spelling(name)) for name in (record.name, file, record.image.stem))
        forms = {form for name in names for form in _last_parts(name)}
        for form in forms:
            index[form].append(record)
    return index


def _forms(key: str) -> list[str]:
    """A key with slashes, as it is and, where it names an image file, without its suffix."""
    path = PurePosixPath(slashed(key))
    return [path.as_posix(), path.with_suffix("").as_posix()] if _has_suffix(path.name) else [path.as_posix()]


def _last_parts(path: str) -> list[str]:
    """`a/b/c`, `b/c`, `c`."""
    parts = path.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _has_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES | {".svs", ".ndpi", ".mrxs", ".scn"}
