"""Train, validation and test without leaks: whole groups of images are split, by a hash of the group's name.

A group is what shows one thing: a slide, a scene, a patient, a tile of origin. Adding files moves no other file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from domains.errors import InputError
from domains.formats.finding import visible
from domains.formats.layout import SPLITS, Fault, Record, Split
from domains.options import DataOptions
from domains.scenes.images import IMAGE_SUFFIXES
from domains.scenes.names import composed, printable, slashed

FRACTIONS = DataOptions.fractions  # of train, val, test: a fifth for test, of the rest a fifth for val
GROUPS_FILE = "groups.csv"
_FILE_COLUMNS = (
    "file", "file_name", "filename", "image", "image_id", "path", "file_path", "filepath", "image_path", "id", "name",
)  # fmt: skip
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
    splits: dict[Split, list[Record]] = {split: [] for split in SPLITS}
    for record in records:
        splits[hashed.get(record.group) or record.split or "train"].append(record)
    return splits


def find_groups(root: Path, table: Path | None = None) -> Path | None:
    """The table of groups to use: the one named, else `groups.csv` in the folder, else None."""
    if table is not None:
        return table
    return next((path for path in sorted(visible(root)) if path.name.lower() == GROUPS_FILE and path.is_file()), None)


def read_groups(table: Path) -> dict[str, str]:
    """Group of each file, from a CSV with a header: a column of files and one of groups (`group`, `tile_group`, ...).

    Columns of files: file, image, image_id, id, name; where a `class` or `folder` column stands beside it, the key is
    `class/file`. Comma, semicolon or tab, in UTF-8 or as Excel writes it; rows of empty cells are none.

    Raises InputError.
    """
    reader, file, group, key_of = _table(table)
    groups: dict[str, str] = {}
    for row in reader:
        name, value, key = (row[file] or "").strip(), (row[group] or "").strip(), key_of(row)
        if not name and not value:
            continue
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
        text = _text(table.read_bytes())
    except OSError as error:
        raise InputError(f"{str(table)!r}: wanted a table of groups, {error.strerror}; check domain.groups") from error
    if "\0" in text:
        raise InputError(f"{str(table)!r}: wanted a table of groups as text, got other content; save it as CSV")
    if text.startswith("sep="):  # for Excel alone
        text = text.partition("\n")[2]
    head = text.partition("\n")[0].strip()
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    file = next((column for name in _FILE_COLUMNS if (column := _named(reader, name.__eq__))), None)
    group = _named(reader, lambda name: name == "group" or name.endswith("_group"))
    if file is None or group is None:
        raise InputError(
            f"{str(table)!r}: wanted a header with a column of files ({', '.join(_FILE_COLUMNS)}) "
            f"and a column `group`, got {head[:80]!r}"
        )
    folder = next((column for name in _FOLDER_COLUMNS if (column := _named(reader, name.__eq__))), None)

    def key_of(row: Mapping[str, str]) -> str:
        name = (row[file] or "").strip()
        return f"{row[folder] or ''}/{name}" if folder else name

    return reader, file, group, key_of


def _text(table: bytes) -> str:
    """UTF-8, or UTF-16 as Excel's "Unicode text" is; names may hold bytes that are neither."""
    if table.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return table.decode("utf-16", errors="replace")
    return table.decode("utf-8-sig", errors="surrogateescape")


def _named(reader: csv.DictReader, accepts: Callable[[str], bool]) -> str | None:
    """The first column whose name, in small letters and with underscores for spaces, is accepted."""
    words = {name: re.sub(r"[\s-]+", "_", (name or "").strip().lower()) for name in reader.fieldnames or ()}
    return next((name for name, word in words.items() if accepts(word)), None)


def with_groups(
    records: Sequence[Record], groups: Mapping[str, str], strata: Mapping[str, str] | None = None
) -> tuple[list[Record], list[str]]:
    """(records in the groups of the table, keys of the table that name no record).

    strata: of the same keys; a record keeps its own where they say nothing.
    A key names a record by the path of its file or by a last part of it, with or without suffix, in slashes of any
    system; the longest part that means one file counts. A path of another machine (`C:\\data\\a.png`) is its last part,
    unless another row has the whole path of that file: tables list files too that are not here.
    Raises InputError where the table leaves records out: an image of unknown group could leak.
    """
    indices = [(_by_name(records, spelling), spelling) for spelling in _SPELLINGS]
    called = {key: _called(key, indices) for key in groups}
    by_whole_path = {record.name for records_of, by_path, _ in called.values() if by_path for record in records_of}
    group_of: dict[str, str] = {}
    kinds: dict[str, str] = {}
    unused = []
    for key, group in groups.items():
        candidates, by_path, _ = called[key]
        claimed = [record for record in candidates if by_path or record.name not in by_whole_path]
        if not claimed:
            unused.append(key)
        for claimant in claimed:
            if group_of.setdefault(claimant.name, group) != group:
                raise InputError(
                    f"{str(claimant.image)!r}: wanted one group, the table gives {group_of[claimant.name]!r} and "
                    f"{group!r}; keep one of the two rows"
                )
            kinds[claimant.name] = (strata or {}).get(key) or claimant.stratum
    missing = [record.name for record in records if record.name not in group_of]
    if missing:
        several = next((f"{key!r} names {number} of them" for key, (_, _, number) in called.items() if number > 1), "")
        advice = f"{several}: write more of its path" if several else "give each image a row, or use no table"
        raise InputError(
            f"{str(records[0].image.parent)!r}: {len(missing)} of {len(records)} images have no group in the table "
            f"(first: {missing[0]!r}); {advice}"
        )
    return [replace(record, group=group_of[record.name], stratum=kinds[record.name]) for record in records], unused


def unused_rows(table: Path, unused: Sequence[str]) -> list[Fault]:
    """One fault for all the rows of a table that name no image of the folder."""
    if not unused:
        return []
    return [Fault(table, f"{len(unused)} rows name no image of the folder, or several (first: {unused[0]!r})")]


def _own_split_holds(records: Sequence[Record]) -> bool:
    named = {record.split for record in records}
    splits_of: dict[str, set] = defaultdict(set)
    for record in records:
        splits_of[record.group].add(record.split)
    complete = None not in named and "train" in named and len(named) > 1
    return complete and all(len(splits) == 1 for splits in splits_of.values())


def _fill_empty(chosen: dict[str, Split], weights: Sequence[float]) -> None:
    """In place: gives each empty split of a weight above 0 its nearest group, where another split can spare one."""
    ends = [sum(weights[: i + 1]) / sum(weights) for i in range(3)]
    for split in ("train", "test", "val"):
        index = SPLITS.index(split)
        counts = Counter(chosen.values())
        spare = [group for group, current in chosen.items() if counts[current] > 1 or split == "train"]
        if spare and weights[index] and not counts[split]:
            start, end = [0.0, *ends][index], ends[index]
            away = {group: max(start - _position(group), _position(group) - end) for group in spare}
            chosen[min(spare, key=lambda group: (away[group], group))] = split


def _position(group: str) -> float:
    """[0, 1), even over names, the same on every machine."""
    digest = blake2b(group.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


_Index = tuple[Mapping[str, list[Record]], Callable[[str], str]]
"""Records by spelling of their names, and the spelling."""


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


_SPELLINGS = (printable, lambda name: composed(printable(name)), lambda name: composed(printable(name)).casefold())
"""Of names: as they are, as they may have come from a Mac, and from Windows."""


def _called(key: str, indices: Sequence[_Index]) -> tuple[list[Record], bool, int]:
    """(the records of the file that a key names, whether by all of it, how many files it may mean).

    A file may have several records, the tiles of a slide. None where it means no file or several.
    """
    several = 0
    for name in _forms(key):
        for index, spelling in indices:
            for form in _last_parts(spelling(name)):
                records = index.get(form, [])
                images = len({record.image for record in records})
                if images == 1:
                    return records, form == spelling(name), 1
                several = several or images
    return [], False, several


def _forms(key: str) -> list[str]:
    """A key with slashes, as it is and, where it names an image file, without its suffix; bytes that are no UTF-8 as
    they are and as Windows has them.
    """
    foreign = any("\udc80" <= sign <= "\udcff" for sign in key)
    texts = [key, key.encode("utf-8", "surrogateescape").decode("cp1252", "replace")] if foreign else [key]
    paths = [PurePosixPath(slashed(text)) for text in texts]
    bare = [path.with_suffix("") for path in paths if _has_suffix(path.name)]
    return [path.as_posix() for path in [*paths, *bare]]


def _last_parts(path: str) -> list[str]:
    """`a/b/c`, `b/c`, `c`."""
    steps = path.split("/")
    return ["/".join(steps[i:]) for i in range(len(steps))]


def _has_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES | {".svs", ".ndpi", ".mrxs", ".scn"}
