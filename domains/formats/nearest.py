"""The layout that an unknown folder comes nearest to, and what it lacks to be one.

The evidence, strongest first: no picture at all; two folders of the same file names of which one holds label pictures;
files that are called as label pictures and are none; the keys of JSON files; the folders and endings that a layout's
`expects` names. Where nothing speaks, all that lacks is labels.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from domains.errors import InputError
from domains.formats.label_maps import LABEL_ENDINGS, LABEL_FOLDERS, LabelMaps
from domains.formats.label_meanings import LabelPicture, LabelSet
from domains.formats.layout import Layout
from domains.formats.slides import SLIDES
from domains.formats.survey import Survey, ending, shown
from domains.scenes.images import IMAGE_SUFFIXES
from domains.scenes.names import printable

ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz", ".tar.gz"})
ARRAYS = frozenset({".npy", ".npz", ".nii", ".nii.gz", ".mha", ".h5", ".pkl"})
PICTURES = IMAGE_SUFFIXES | SLIDES | {".npy"}
HEAD = 2**16  # bytes of a JSON file whose keys are looked at
MAPS = LabelMaps.name


class Nearest(NamedTuple):
    """layout: its name, "" where none is near. lacks: what the folder would need for it."""

    layout: str
    lacks: str


def nearest(survey: Survey, layouts: Mapping[str, Layout]) -> Nearest:
    """Looks at names, at the heads of a few JSON files and at one picture of a folder of labels."""
    for look in (without_pictures, of_same_names, called_as_labels):
        if (near := look(survey)) is not None:
            return near
    return (
        too_high(survey, layouts)
        or by_keys(survey, layouts)
        or by_marks(survey, layouts)
        or Nearest(MAPS, "labels: it holds images alone")
    )


def without_pictures(survey: Survey) -> Nearest | None:
    """A folder in which no file is a picture that can be read: packed, or of a format that must be exported first."""
    endings = survey.endings()
    if any(suffix in PICTURES for suffix in endings):
        return None
    packed = next((path for path in survey.files if ending(path.name) in ARCHIVES), None)
    if packed is not None:
        return Nearest("", f"unpacked files: unpack {printable(packed.name)[:40]!r} first")
    kinds = ", ".join(suffix for suffix, _ in endings.most_common(2))
    return Nearest("", f"images: none is a .png, .jpg, .tif or the like; export {kinds} to .png" if kinds else "images")


def too_high(survey: Survey, layouts: Mapping[str, Layout]) -> Nearest | None:
    """A folder that holds a set as one of its own."""
    for folder in (folder for folder in survey.folders if "/" not in folder and folder != "."):
        inner = survey.root / folder
        layout = next((layout for layout in layouts.values() if layout.matches(inner)), None)
        if layout is not None and holds_images(layout, inner):
            return Nearest(layout.name, f"only the right folder: name {shown(folder)} inside it, which is such a set")
    return None


def holds_images(layout: Layout, root: Path) -> bool:
    """Whether a layout lists an image there."""
    try:
        return bool(layout.listing(root).records)
    except InputError:
        return False


def of_same_names(survey: Survey) -> Nearest | None:
    """Two folders of pictures of the same names, of which one holds label pictures, called otherwise than we know."""
    stems = {
        folder: {PurePosixPath(name).stem for name in names if ending(name) in IMAGE_SUFFIXES}
        for folder, names in survey.folders.items()
    }
    filled = sorted((folder for folder, inner in stems.items() if inner), key=lambda folder: -len(stems[folder]))[:12]
    labels = [folder for folder in filled if holds_labels(survey, folder)]
    pairs = [
        (len(stems[images] & stems[masks]) / len(stems[masks]), "object" in masks.lower(), images, masks)
        for masks in labels
        for images in filled
        if images not in labels
    ]
    share, _, images, masks = max(pairs, default=(0.0, False, "", ""))
    if share < 0.5:
        return None
    return Nearest(MAPS, f"their names: call {shown(images)} images/ and {shown(masks)} masks/")


def holds_labels(survey: Survey, folder: str) -> bool:
    """Whether the first picture of a folder can be read as labels, which a photograph cannot."""
    path = next(survey.root / folder / name for name in survey.folders[folder] if ending(name) in IMAGE_SUFFIXES)
    try:
        return LabelPicture(path, LabelSet([path])).truth()[0].count > 0
    except InputError:
        return False


def called_as_labels(survey: Survey) -> Nearest | None:
    """Files called as label pictures, or in a folder of labels beside images, that are no pictures: `a_seg.npy`."""
    images = {path.stem for path in survey.files if ending(path.name) in IMAGE_SUFFIXES}
    for path in (path for path in survey.files if ending(path.name) in ARRAYS):
        mark = next((mark for mark in LABEL_ENDINGS if path.stem.lower().endswith(mark)), "")
        beside = bool(mark) and path.stem[: -len(mark)] in images
        named = path.parent.name.lower() in LABEL_FOLDERS and path.stem.removesuffix(mark) in images
        if beside or named:
            return Nearest(MAPS, f"pictures of ids: save {printable(path.name)[:40]!r} and its like as .png or .tif")
    return None


def by_keys(survey: Survey, layouts: Mapping[str, Layout]) -> Nearest | None:
    """JSON files beside images, by the keys in them, else by whether there is one for each image."""
    annotations = [path for path in survey.files if ending(path.name) == ".json"]
    if not annotations:
        return None
    places = Counter(path.parent for path in annotations)
    path = next(path for path in annotations if path.parent == places.most_common(1)[0][0])
    keys = keys_of(survey.root / path)
    expected = {name: keys_expected(layout) for name, layout in layouts.items() if keys_expected(layout)}
    if not expected:
        return None
    images = sum(ending(file.name) in IMAGE_SUFFIXES for file in survey.files)
    single = len(annotations) > 1 and 2 * len(annotations) >= images
    name = max(
        expected, key=lambda name: (len(keys & set(expected[name])), ("each" in layouts[name].expects) == single)
    )
    lacking = [key for key in expected[name] if key not in keys]
    if not lacking:
        return None
    return Nearest(name, f"{', '.join(lacking)} in {printable(str(path))[-40:]!r}")


def keys_expected(layout: Layout) -> list[str]:
    """The keys that a layout's `expects` names: `.json (shapes, imagePath)`."""
    inside = re.search(r"\.json \(([\w, ]+)\)", layout.expects)
    return re.findall(r"\w+", inside[1]) if inside else []


def keys_of(path: Path) -> set[str]:
    """The keys in the head of a JSON file, at any depth."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return set()
    return set(re.findall(r'"(\w{1,60})"\s*:', head.decode("utf-8", "replace")))


# Folders and endings that a layout names


def by_marks(survey: Survey, layouts: Mapping[str, Layout]) -> Nearest | None:
    """The layout of which most is there by the folders and endings that its `expects` names, rare ones before common
    ones; None where no folder or ending of labels is any layout's."""
    below = [str(path).lower() for path in survey.files]
    below += [f"{folder.lower()}/" for folder in survey.folders]
    wishes = {
        name: [[forms(text) for text in choices] for choices in needs]
        for name, layout in layouts.items()
        for needs in alternatives(layout.expects)
    }
    usual = Counter(word for needs in wishes.values() for word in set(all_words(needs)))
    best, near = 0.0, None
    for name, layout in sorted(layouts.items(), key=lambda item: item[0] != MAPS):  # the general one before its like
        for needs in alternatives(layout.expects):
            evidence, lacking = 0.0, []
            for choices in needs:
                form = next((text for text in choices if lies(forms(text), below)), None)
                if form is None:
                    lacking.append(" or ".join(choices))
                else:
                    rare = [math.log(1 + len(layouts) / usual[word]) for word in words(forms(form)) if usual[word]]
                    evidence += sum(rare)
            if lacking and evidence / (1 + 0.1 * len(lacking)) > best:
                best, near = evidence / (1 + 0.1 * len(lacking)), Nearest(name, " and ".join(lacking)[:100])
    return near


def alternatives(expects: str) -> list[list[list[str]]]:
    """The ways of `A with B or C, or D beside E`: [[[A], [B, C]], [[D], [E]]], of each the paths alone."""
    ways = []
    for way in re.split(r", or (?=[<\w])", expects):
        needs = [re.split(r"\bor\b|,|\(|\)", phrase) for phrase in re.split(r"\bwith\b|\bbeside\b|\band\b", way)]
        paths = [[path_in(text) for text in phrase if path_in(text)] for phrase in needs]
        ways.append([phrase for phrase in paths if phrase])
    return ways


def path_in(text: str) -> str:
    """The path that a phrase names, "" for words."""
    text = re.sub(r"\[.*?\]|`.*?`", "", text).strip(" .")
    text = re.sub(r"^.* in (?=.*/)|^(the|a|an|of) |[ ](of|in|export)\b.*$", "", text)
    return text if "/" in text or re.search(r"\.\w", text) else ""


def forms(path: str) -> str:
    """A pattern for `fnmatch`: `<id>`, `NNN` and `...` stand for anything."""
    return re.sub(r"\*+", "*", re.sub(r"<\w+>|N{3,}|\.\.\.", "*", path)).lower()


def words(form: str) -> list[str]:
    """What of a pattern speaks for a layout: its folders, and endings that are no images'."""
    *steps, file = form.split("/")
    named = [step for step in steps if re.search(r"[a-z]{2}", step)]
    suffix = PurePosixPath(file).suffix
    if file and not suffix and file != "*":
        named.append(file)
    return named + ([suffix] if suffix and suffix not in IMAGE_SUFFIXES else [])


def all_words(needs: list[list[str]]) -> list[str]:
    """What speaks for a layout in any of its alternatives."""
    return [word for choices in needs for form in choices for word in words(form)]


def lies(form: str, below: Iterable[str]) -> bool:
    """Whether a file or folder lies as a pattern has it, anywhere below the root."""
    tail = f"{form}*" if form.endswith("/") else form if PurePosixPath(form).suffix else f"{form}/*"
    return any(fnmatch.fnmatchcase(path, tail) or fnmatch.fnmatchcase(path, f"*/{tail}") for path in below)
