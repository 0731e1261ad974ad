"""`cli.py next-images`: which images of a pool are worth labelling next, by an adapter's doubt and by how they differ.

Doubt is the mean entropy of an image's pixel scores: where the network hesitates, and what it nearly found. Images are
taken one after the other, each time the one of the most doubt times its distance to what is labelled or taken already,
so that ten copies of one hard image are not ten (a weighted k-centre; Sener and Savarese, Active Learning for
Convolutional Neural Networks: A Core-Set Approach, ICLR 2018, https://arxiv.org/abs/1708.00489). How an image looks is
told by `domains.scenes.appearance`, which a network's features told no better (docs/experiments/method.md).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import entr

from adapters.inference.segment import decoded, segment
from adapters.runtime import CPU, Runtime
from domains.atomic import atomic_path
from domains.entities import EntityMap
from domains.entities.overlay import contact_sheet, overlay, resized, resized_ids
from domains.errors import InputError
from domains.scenes import Photograph, open_scene
from domains.scenes.address import Source
from domains.scenes.appearance import appearance_of_image
from domains.scenes.pixels import pixel_digest
from domains.tiling.canvas import LARGE_PX
from recipes import set_up
from recipes.load import Loaded, loaded
from recipes.reading.command import following
from recipes.scene_files import scenes_of
from recipes.shared import BASE
from recipes.verbs.progress import Progress

TABLE, SHEET = "next-images.csv", "next-images.png"
PANEL_PX = 320
MOST_SHOWN = 500
"""Images on the contact sheet: of thousands no viewer opens it, and it would be gigabytes in memory."""
LEAST_DOUBT = 0.02
"""Of the greatest in the pool: an image that leaves no doubt may still differ from all others."""


@dataclass(frozen=True)
class Candidate:
    """An image of the pool: its doubt in [0, 1], how it looks (51,), how many entities were found, and a small copy."""

    path: Source
    doubt: float
    looks: np.ndarray
    entities: int
    picture: np.ndarray


@dataclass(frozen=True)
class Chosen:
    """An image to label: its distance to what was labelled or chosen before it, nan for the first where nothing was."""

    candidate: Candidate
    distance: float


def next_images(
    adapter: str,
    pool: Sequence[Source],
    count: int,
    out: Path,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    runtime: Runtime = CPU,
    pixel_size_m: float | None = None,
    overwrite: bool = False,
) -> list[Chosen]:
    """Write the list and a contact sheet to OUT, and print the list; returns it, what to label first at its head.

    Raises InputError for a pool without an image that can be read, and for results that are there.
    """
    set_up()
    files = [out / name for name in (TABLE, SHEET)]
    if not overwrite and (existing := [file for file in files if file.exists()]):
        raise InputError(f"{str(existing[0])!r} exists; name another --out, or add --overwrite")
    scenes = scenes_of(pool)
    for note in scenes.notes():
        print(note, file=sys.stderr)
    with loaded(adapter, recipe, overrides, runtime=runtime) as network:
        candidates, left_out = look_at(network, list(scenes.paths), pixel_size_m)
        familiar = looks_learnt(network)
    if not candidates:
        raise InputError(f"no image is left to label{': ' + left_out[0] if left_out else ''}")
    chosen = choose(candidates, familiar, count)
    out.mkdir(parents=True, exist_ok=True)
    write_table(files[0], chosen)
    with atomic_path(files[1]) as path:
        sheet(chosen).save(path)
    for rank, entry in enumerate(chosen, start=1):
        image = entry.candidate
        print(f"{rank:3d}  doubt {image.doubt:.3f}  {image.entities:5d} entities  {image.path}")
    print(f"{len(chosen)} of {len(candidates)} images: {files[0]}, {files[1]}")
    for line in left_out:
        print(line, file=sys.stderr)
    again = ["train.start=" + adapter] if adapter != BASE else []
    print(following("fit", "--recipe", network.domain, "--data", "LABELLED", *again))
    return chosen


def look_at(
    network: Loaded, paths: Sequence[Source], pixel_size_m: float | None = None
) -> tuple[list[Candidate], list[str]]:
    """The images that can be read, are new to the adapter and no copies of one another; why others are left out."""
    candidates, faults, copies, learnt = [], [], 0, 0
    met = digests_learnt(network)
    seen: set[str] = set()
    with Progress("look", len(paths), unit="images") as progress:
        for path in paths:
            try:
                scene = read_image(network, path, pixel_size_m)
            except InputError as error:
                faults.append(str(error))
            else:
                digest = pixel_digest(scene.image)
                if digest is not None and digest in met:
                    learnt += 1
                elif digest is not None and digest in seen:
                    copies += 1
                else:
                    seen.update(() if digest is None else (digest,))
                    candidates.append(candidate_of(network, path, scene))
            progress.advance()
    lines = [f"{len(faults)} of {len(paths)} images were left out; {faults[0]}"] if faults else []
    if learnt:
        lines.append(f"{learnt} images were left out: the adapter learnt from them")
    if copies:
        lines.append(f"{copies} images were left out: they are copies of others, pixel by pixel")
    return candidates, lines


def read_image(network: Loaded, path: Source, pixel_size_m: float | None) -> Photograph:
    """An image as the network is shown it. Raises InputError for one that cannot be read, and for one that is too large
    to be labelled whole.
    """
    with closing(open_scene(path, pixel_size_m)) as scene:
        height, width = scene.shape
        if height * width > LARGE_PX:
            raise InputError(f"{str(path)!r} has {width} x {height} px, too many to be labelled whole: cut tiles of it")
        return decoded(network.contract.viewed(scene))


def candidate_of(network: Loaded, path: Source, scene: Photograph) -> Candidate:
    """An image as the adapter sees it."""
    entities = segment(network.segmenter, scene, network.contract)
    small = EntityMap.from_ids(resized_ids(entities.ids, PANEL_PX))
    picture = overlay(resized(scene.image, PANEL_PX), small)
    return Candidate(path, doubt_of(entities), appearance_of_image(scene.image), entities.count, picture)


def doubt_of(entities: EntityMap) -> float:
    """The mean entropy of the pixel scores, in [0, 1]; of a map without these, of the entities' scores by area."""
    if entities.pixel_scores is not None:
        scores = entities.pixel_scores.astype(np.float64)
    elif entities.scores is not None and entities.count:
        scores = np.append(0.0, entities.scores)[entities.ids.clip(0)]
    else:
        return 0.0
    return float((entr(scores) + entr(1 - scores)).mean() / np.log(2))


def digests_learnt(network: Loaded) -> set[str]:
    """Of the images that the adapter learnt from, as far as it says."""
    learnt = network.learnt_from
    return set() if learnt is None else {*learnt.train.each, *learnt.val.each}


def looks_learnt(network: Loaded) -> np.ndarray:
    """(N, 51) how images look that the adapter learnt from, as far as it says."""
    looks = network.info and network.info.appearances
    return np.zeros((0, 0)) if not looks else np.concatenate([looks.rows("train"), looks.rows("val")])


def choose(candidates: Sequence[Candidate], familiar: np.ndarray, count: int) -> list[Chosen]:
    """At most so many, what to label first at the head. familiar: (N, 51) of images that are labelled already."""
    looks = np.array([candidate.looks for candidate in candidates], np.float64)
    scale = looks.std(0) + 1e-6
    doubt = np.array([candidate.doubt for candidate in candidates])
    doubt = np.maximum(doubt, LEAST_DOUBT * max(doubt.max(), 1e-12))
    distance = np.full(len(looks), np.nan)
    for row in familiar:
        distance = np.fmin(distance, np.sqrt((((looks - row) / scale) ** 2).mean(1)))
    chosen: list[Chosen] = []
    free = np.ones(len(looks), bool)
    for _ in range(min(count, len(looks))):
        worth = np.where(free, doubt * np.nan_to_num(distance, nan=1.0), -1.0)
        place = int(worth.argmax())
        chosen.append(Chosen(candidates[place], float(distance[place])))
        free[place] = False
        distance = np.fmin(distance, np.sqrt((((looks - looks[place]) / scale) ** 2).mean(1)))
    return chosen


def write_table(path: Path, chosen: Sequence[Chosen]) -> None:
    """The list as CSV."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["rank", "image", "doubt", "distance", "entities"])
        for rank, entry in enumerate(chosen, start=1):
            distance = "" if np.isnan(entry.distance) else f"{entry.distance:.4f}"
            row = entry.candidate
            table.writerow([rank, str(row.path), f"{row.doubt:.4f}", distance, row.entities])


def sheet(chosen: Sequence[Chosen], columns: int = 5) -> Image.Image:
    """The first `MOST_SHOWN` of the chosen images with what the adapter found in them, row by row."""
    panels = [
        (f"{rank}. {entry.candidate.path.name}", entry.candidate.picture)
        for rank, entry in enumerate(chosen[:MOST_SHOWN], start=1)
    ]
    return contact_sheet(list(rows_of(panels, columns)), PANEL_PX)


def rows_of(panels: Sequence[tuple[str, np.ndarray]], columns: int) -> Iterator[Sequence[tuple[str, np.ndarray]]]:
    """Panels in rows of so many."""
    return (panels[start : start + columns] for start in range(0, len(panels), columns))
