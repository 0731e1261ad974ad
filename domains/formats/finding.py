"""What lies in a folder: visible files in a stable order, images paired with their truths, names made printable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from domains.errors import InputError
from domains.formats.layout import Fault, Split
from domains.scenes import names
from domains.scenes.images import IMAGE_SUFFIXES
from domains.scenes.names import printable as printable
from domains.scenes.results import LABELS, PICTURES, is_run, named_after, results_among

_SPLIT_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip


def visible(root: Path) -> list[Path]:
    """What a folder shows, nothing where there is no such folder. Raises InputError where it may not be read."""
    try:
        return [path for path in root.iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"{str(root)!r}: wanted a folder to read, got {error.strerror}; check its permissions"
        ) from error


def folders(root: Path) -> list[Path]:
    """Direct subfolders in a stable order, without hidden ones, macOS's archive leftovers and what `fit` left."""
    return sorted(path for path in visible(root) if path.is_dir() and path.name != "__MACOSX" and not is_run(path))


def files(root: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Direct, visible files of these (lower-case) suffixes in a stable order; none where there is no such folder.

    Pictures that `predict` wrote are left out; a label map only beside its image: elsewhere it may be meant as truth.
    """
    paths = visible(root)
    pictures = [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    results = results_among(paths) if any(path.name.endswith(PICTURES) for path in pictures) else set()
    stems = {path.stem for path in paths if path not in results} if results else set()
    truths = {path for path in results if path.name.endswith(LABELS) and named_after(path.name) not in stems}
    return sorted(path for path in pictures if path not in results - truths)


def walk(root: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES, depth: int = 8) -> list[Path]:
    """`files` of `root` and of its subfolders down to `depth` levels; a link back to a folder above is not followed."""
    paths = files(root, suffixes)
    for folder in folders(root) if depth else ():
        if not (folder.is_symlink() and root.resolve().is_relative_to(folder.resolve())):
            paths += walk(folder, suffixes, depth - 1)
    return paths


Key = Callable[[Path], str]


def stem(path: Path) -> str:
    """The file's name without its suffix, by which most sets pair image and truth."""
    return path.stem


def composed(path: Path) -> str:
    """The stem with its accents composed, as either of a pair may have passed through a Mac."""
    return names.composed(path.stem)


def pair(
    images: Sequence[Path],
    truths: Sequence[Path],
    kind: str,
    rounds: Sequence[tuple[Key, Key]] = ((stem, stem), (composed, composed)),
) -> tuple[list[tuple[Path, Path]], list[Fault]]:
    """Images with the truth file of the same key; what has no or several counterparts is a fault.

    kind: what a truth is called. rounds: (image key, truth key), tried one after the other on what is still alone.
    """
    partners: dict[Path, Path] = {}
    for image_key, truth_key in rounds:
        partnered = set(partners.values())
        by_key = _unambiguous((path for path in truths if path not in partnered), truth_key)
        for key, image in _unambiguous((path for path in images if path not in partners), image_key).items():
            if key in by_key:
                partners[image] = by_key[key]
    partnered = set(partners.values())
    faults = [Fault(image, f"has no {kind}, or several") for image in images if image not in partners]
    faults += [Fault(path, f"is a {kind} without image, or with several") for path in truths if path not in partnered]
    return [(image, partners[image]) for image in images if image in partners], faults


def _unambiguous(paths: Iterable[Path], key: Key) -> dict[str, Path]:
    keys = [(key(path), path) for path in paths]
    counts = Counter(name for name, _ in keys)
    return {name: path for name, path in keys if counts[name] == 1}


def own_split(path: Path) -> Split | None:
    """The split that a relative path names as a word (`images/train`, `instances_val2017`), the last one if several."""
    words = re.findall("[a-z]+", path.as_posix().lower())
    return next((_SPLIT_WORDS[word] for word in reversed(words) if word in _SPLIT_WORDS), None)
