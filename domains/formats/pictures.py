"""The image files that an annotation file speaks of."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

from domains.formats.finding import walk
from domains.formats.layout import Assumption, Fault, Listing, Record
from domains.scenes.names import composed, slashed

Key = TypeVar("Key", bound=Hashable)
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file
LOCAL_FILE = re.compile(r"[?&]d=([^&#]*)")  # Label Studio: /data/local-files/?d=folder/name.png
ELSEWHERE = "names folders that are not here; its pictures were found by their file names"


class Match(NamedTuple):
    """path: the picture. exact: whether the name is its path, from the root or from beside the annotation file.
    astray: whether the name has folders that disagree with those of the path.
    """

    path: Path
    exact: bool
    astray: bool


class Pictures:
    """The image files below a folder, found by what an annotation file calls them. No other file is ever named."""

    def __init__(self, root: Path):
        self.root = root
        self.paths = walk(root)
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_small_name: dict[str, list[Path]] = defaultdict(list)
        self.by_folder_and_name: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        for path in self.paths:
            self.by_name[composed(path.name)].append(path)
            self.by_folder_and_name[composed(path.parent.name), composed(path.name)].append(path)
            self.by_small_name[composed(path.name).casefold()].append(path)

    def find(self, name: object, file: Path, subset: str = "") -> Path:
        """The picture that `file` calls `name`. Raises ValueError with the reason: none, several, or no name.

        name: a path of any system, a URL, or what Label Studio makes of them. subset: a folder that it may lie in.
        Of the pictures of that file name the one beside the annotation file counts, else the one whose folders agree
        furthest, else the nearest to the annotation file. Names that differ in Unicode composition alone are equal.
        """
        return self.match(name, file, subset).path

    def find_all(
        self, names: Mapping[Key, tuple[object, str]], file: Path, faults: list[Fault]
    ) -> tuple[dict[Key, Path], dict[Key, str]]:
        """(picture of each key, reason of each key that has none). names: (name, subset) of each key.

        Two different names never mean one picture: `lot1/1.png` and `lot2/1.png` where there is one `1.png` are both
        left out, but for the one that is its very path. An assumption is appended to `faults` where folders disagree.
        """
        matches: dict[Key, Match] = {}
        reasons: dict[Key, str] = {}
        callers: dict[Path, dict[Key, tuple[str, ...]]] = defaultdict(dict)
        for key, (name, subset) in names.items():
            try:
                matches[key] = self.match(name, file, subset)
                callers[matches[key].path][key] = (*parts(subset), *parts(slashed(str(name))))
            except ValueError as error:
                reasons[key] = str(error)
        for path, called in callers.items():
            for key in called if len({*called.values()}) > 1 else ():
                if not matches[key].exact:
                    rivals = len({*called.values()}) - 1
                    reasons[key] = f"is called {names[key][0]!r}, and {rivals} others would be the same {path.name!r}"
                    del matches[key]
        if any(match.astray for match in matches.values()):
            faults.append(Assumption(file, ELSEWHERE))
        return {key: match.path for key, match in matches.items()}, reasons

    def match(self, name: object, file: Path, subset: str = "") -> Match:
        """As `find`, with how sure it is."""
        if not isinstance(name, str) or not name:
            raise ValueError(f"has the file name {name!r}, wanted text")
        for form, candidates in self._called(name):
            if candidates:
                return self._best(form, candidates, file, subset, name)
        if name.startswith(("/", "\\")) or ".." in slashed(name).split("/"):
            raise ValueError(f"is called {name!r:.80}, which leads out of the folder")
        raise ValueError(f"is called {name!r:.80}, of which there are 0 below the folder")

    def _called(self, name: str) -> Iterator[tuple[str, list[Path]]]:
        """Readings of a name, the likeliest first, with the pictures of that file name."""
        forms = [form for form in readings(name) if parts(form)]
        for form in forms:
            yield form, self.by_folder_and_name.get(parts(form)[-2:]) or self.by_name.get(parts(form)[-1], [])
        for form in forms:
            folder, slash, leaf = form.rpartition("/")
            if UPLOADED.match(leaf):
                form = f"{folder}{slash}{UPLOADED.sub('', leaf)}"
                yield form, self.by_name.get(composed(form.rpartition("/")[2]), [])
        for form in forms:
            yield form, self.by_small_name.get(parts(form)[-1].casefold(), [])

    def _best(self, form: str, candidates: list[Path], file: Path, subset: str, name: str) -> Match:
        beside, below = (composed(os.path.normpath(base / form)) for base in (file.parent, self.root))
        named = [parts(form), (*parts(subset), *parts(form))]
        home = self._inside(file.parent)

        def score(picture: Path) -> tuple[bool, int, int, bool, bool]:
            inside = self._inside(picture)
            agreed = max(_shared(inside[::-1], path[::-1]) for path in named)
            same_name = picture.name == form.rpartition("/")[2]
            at = composed(str(picture))
            return at == beside, agreed, _shared(inside, home), at == below, same_name

        scores = sorted(((score(path), path) for path in candidates), reverse=True)
        (best, path), *runners_up = scores
        if runners_up and runners_up[0][0] == best:
            raise ValueError(f"is called {name!r:.80}, of which there are {len(candidates)} below the folder")
        inside = self._inside(path)
        exact = best[0] or best[3] or inside in named
        return Match(path, exact, not exact and best[1] < min(len(inside), len(named[0])))

    def _inside(self, path: Path) -> tuple[str, ...]:
        return parts(path.relative_to(self.root).as_posix()) if path.is_relative_to(self.root) else ()

    def listing(self, records: Mapping[Path, Record], faults: list[Fault]) -> Listing:
        """Records by image, in the order of their names. An image beside those in use that neither a record nor a
        fault names is a fault.
        """
        used = {image.parent for image in records}
        named = {*records, *(fault.path for fault in faults)}
        unlisted = [image for image in self.paths if image.parent in used and image not in named]
        alone = [Fault(image, "is listed in no annotation file") for image in unlisted]
        return Listing(sorted(records.values(), key=lambda record: record.name), [*faults, *alone])


def readings(name: str) -> list[str]:
    """What a name may mean: itself, without its percent signs, without the query of a URL; of Label Studio's local
    files what they serve."""
    text = slashed(name)
    local = LOCAL_FILE.search(text)
    if local:
        served = local[1]
        forms = [slashed(unquote(served)), served, slashed(unquote(served.replace("+", " ")))]
    else:
        forms = [text, slashed(unquote(text)), unquote(re.split("[?#]", text, maxsplit=1)[0])]
    return list(dict.fromkeys(forms))


def parts(path: str) -> tuple[str, ...]:
    """The names in a path with slashes, composed; `..` takes one back, and none from the start on."""
    words: list[str] = []
    for word in path.split("/"):
        if word == "..":
            del words[-1:]
        elif word not in ("", "."):
            words.append(composed(word))
    return tuple(words)


def _shared(words: tuple[str, ...], rivals: tuple[str, ...]) -> int:
    """How many first words are equal."""
    pairs = zip(words, rivals, strict=False)
    return next((i for i, (word, rival) in enumerate(pairs) if word != rival), min(len(words), len(rivals)))
