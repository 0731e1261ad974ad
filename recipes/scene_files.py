"""Which scenes an input of `predict` names: a file itself, of a folder the images in it and below.

Left out, and told, are results of ours (`domains.scenes.results`) and label pictures. Hidden files are passed over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from domains.errors import InputError
from domains.formats.label_maps import IMAGE_ENDINGS, IMAGE_FOLDERS, LABEL_ENDINGS, LABEL_FOLDERS
from domains.scenes import SCENE_SUFFIXES
from domains.scenes.address import Source
from domains.scenes.names import composed
from domains.scenes.ome_zarr import is_zarr
from domains.scenes.results import is_run, named_after, results_among
from recipes.inputs import check_present, expanded

DEPTH = 8  # folders below a folder, as for labelled images
NAMED = 3  # folders in a note
SUFFIXES = ", ".join(sorted(SCENE_SUFFIXES))


@dataclass
class SceneFiles:
    """paths: the scenes, addresses too, each once, in the order of the inputs. results, labels: what was left out.

    called_so: scenes that are called as results of ours are, and aren't. below: scenes in each folder below an input.
    """

    paths: dict[Source, None] = field(default_factory=dict)
    results: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    called_so: list[Path] = field(default_factory=list)
    below: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """A line for each kind of thing that somebody may not expect."""
        lines = []
        if self.below:
            folders = [f"{folder}/ ({count})" for folder, count in sorted(self.below.items())]
            lines.append(f"{self.below.total()} of {len(self.paths)} images lie in folders below: {listed(folders)}")
        if self.results:
            lines.append(f"left out: {amount(self.results, 'file')}, which an earlier prediction or fit wrote")
        if self.labels:
            lines.append(
                f"left out: {amount(self.labels, 'label picture')} of other images; named alone it is predicted"
            )
        if self.called_so:
            lines.append(
                f"predicted: {amount(self.called_so, 'image')} with a name as results have, and nothing else that "
                "tells a result"
            )
        return lines


def scenes_of(inputs: Sequence[Source]) -> SceneFiles:
    """The scenes that the inputs, or lists of these, name. Raises InputError for what does not exist, and for a folder
    without any. Of addresses nothing is asked yet.
    """
    check_present(inputs)
    inputs = expanded(inputs)
    files = SceneFiles()
    scenes: dict[Source, Path | None] = {}
    named = {path for path in inputs if isinstance(path, Path) and (not path.is_dir() or is_zarr(path))}
    results = results_of_given(named)
    for path in inputs:
        if not isinstance(path, Path):
            scenes[path] = None
        elif path in results:
            files.results.append(path)
        elif path in named:
            scenes[path] = None
        else:
            left_out = len(files.results)
            inside = list(walk(path, files.results))
            if not inside and len(files.results) == left_out:
                raise InputError(f"folder {str(path)!r} holds no image; wanted one of {SUFFIXES}")
            scenes.update(dict.fromkeys(inside, path))
    of_files = {path: folder for path, folder in scenes.items() if isinstance(path, Path)}
    labels = label_pictures(of_files, several=len(inputs) > 1)
    files.labels = sorted(labels)
    for path, folder in scenes.items():
        if path in labels:
            continue
        files.paths[path] = None
        if not isinstance(path, Path):
            continue
        files.called_so += [path] if named_after(path.name) else []
        if folder is not None and path.parent != folder:
            files.below[path.parent.relative_to(folder).as_posix()] += 1
    if not files.paths:
        left_out = len(files.results) + len(files.labels)
        raise InputError(
            f"{str(inputs[0])!r} holds no image but results of ours and label pictures ({left_out}); wanted one of "
            f"{SUFFIXES}"
        )
    return files


def results_of_given(named: Set[Path]) -> set[Path]:
    """Those of the named files that are results, where others are named too: `predict D/* --out D`."""
    results: set[Path] = set()
    for folder in {path.parent for path in named if named_after(path.name) is not None}:
        results |= results_among(folder.iterdir())
    return results & named if named - results else set()


def walk(root: Path, results: list[Path], depth: int = DEPTH) -> Iterable[Path]:
    """Scenes of a folder, then of those below it; results of ours are appended to `results`.

    Raises InputError for a folder that may not be read.
    """
    try:
        paths = sorted(path for path in root.iterdir() if path.name[0] != "." and path.name != "__MACOSX")
    except OSError as error:
        raise InputError(f"cannot read the folder {str(root)!r}: {error.strerror}; check its permissions") from error
    ours = results_among(paths)
    results += sorted(path for path in ours if path.suffix.lower() in SCENE_SUFFIXES)
    folders = []
    for path in paths:
        if path in ours:
            continue
        if path.is_dir() and not is_zarr(path):
            folders.append(path)
        elif path.suffix.lower() in SCENE_SUFFIXES or path.is_dir():
            yield path
    for folder in folders if depth else ():
        if is_run(folder):
            results.append(folder)
        elif not (folder.is_symlink() and root.resolve().is_relative_to(folder.resolve())):
            yield from walk(folder, results, depth - 1)


def label_pictures(scenes: Mapping[Path, Path | None], several: bool = False) -> set[Path]:
    """Scenes that are label pictures of others: `x_mask.png` beside `x.png`; `x.png` or `x_mask.png` in a folder
    `labels/` or the like where an `x` lies elsewhere; all of such a folder that lies beside `images/`.

    scenes: each with the input folder that it was found in, None where it was named itself, by which it is no label.
    several: whether input folders themselves may be such folders, as by `predict D/*`.
    """
    roots = {path: folder.parent if several else folder for path, folder in scenes.items() if folder is not None}
    labelling = {path: label for path, root in roots.items() if (label := label_folder(root, path)) is not None}
    endings = {path for path in roots if path.stem.lower().endswith(LABEL_ENDINGS) and path not in labelling}
    images = [path for path in scenes if path not in labelling and path not in endings]
    places: dict[str, set[Path]] = defaultdict(set)
    for path in images:
        for stem in {composed(path.stem), without_ending(path, IMAGE_ENDINGS)}:
            places[stem].add(path.parent)
    beside_images = {above.parent for path in images for above in path.parents if above.name.lower() in IMAGE_FOLDERS}
    labels = {path for path in endings if path.parent in places.get(without_ending(path, LABEL_ENDINGS), ())}
    for path, folder in labelling.items():
        if folder.parent in beside_images or {composed(path.stem), without_ending(path, LABEL_ENDINGS)} & places.keys():
            labels.add(path)
    return labels


def label_folder(root: Path, path: Path) -> Path | None:
    """The folder below `root` that `path` lies in and that is called as a folder of label pictures is."""
    inside = [above for above in path.parents if above != root and above.is_relative_to(root)]
    return next((above for above in inside if above.name.lower() in LABEL_FOLDERS), None)


def without_ending(path: Path, endings: tuple[str, ...]) -> str:
    """The stem without an ending: `x` of `x_mask.png`."""
    ending = next((ending for ending in endings if path.stem.lower().endswith(ending)), "")
    return composed(path.stem[: len(path.stem) - len(ending)])


def amount(paths: Sequence[Path], noun: str) -> str:
    """`3 files (first 'out/a.png')`."""
    example = Path(*paths[0].parts[-2:]).as_posix()
    return f"{len(paths)} {noun}{'s' * (len(paths) > 1)} (first {example!r})"


def listed(words: Sequence[str]) -> str:
    """The first words, and how many more folders there are."""
    beyond = f" and {len(words) - NAMED} more folders" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + beyond
