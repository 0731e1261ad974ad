"""The entities of a scene, described tile by tile and labelled; those of a data set as examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from adapters.inference.contract import InputContract
from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import Examples
from adapters.labelling.pooled import Blocks, describe
from adapters.network import EntitySegmenter
from domains.crops.normalisers import normalised
from domains.entities import NO_CLASS, EntityMap, Samples
from domains.entities.resize import resize_ids
from domains.scenes import Scene
from domains.scenes.resampled import Resampled
from domains.tiling.grid import Grid, Window
from domains.tiling.prediction import Prediction

OnDone = Callable[[int, int], None]
"""Told how many tiles or images are done, and of how many."""


def unheard(done: int, count: int) -> None:
    """Nobody is told how many are done, and of how many."""


@dataclass(frozen=True)
class EntityTiles:
    """The tiles in which a network describes the entities of a scene: each in the one whose core has its centroid.

    scene: as the network sees it, at its pixel size; grid: over it; shape: (height, width) of the entities' own map.
    """

    scene: Scene
    grid: Grid
    shape: tuple[int, int]

    @classmethod
    def of(cls, scene: Scene, contract: InputContract) -> EntityTiles:
        """Those of a scene as `InputContract.viewed` has it. Raises InputError as `InputContract.factor` does."""
        seen = Resampled(normalised(scene, contract.stain), contract.factor(scene.pixel_size_m))
        return cls(seen, Grid(seen.shape, contract.tile_px, contract.overlap_px), scene.shape)

    def holding(self, prediction: Prediction) -> Iterator[tuple[int, np.ndarray]]:
        """(tile, numbers of its entities, ascending) of all tiles that have any; every entity comes once."""
        table = prediction.entities
        places = (table.centroid_y, table.centroid_x)
        row, column = (
            np.searchsorted([end for _, end in axis.cores], (place + 0.5) * new / old, side="right")
            for axis, place, new, old in zip(self.grid.axes, places, self.grid.shape, self.shape, strict=True)
        )
        tile = row.clip(max=len(self.grid.axes[0].cores) - 1) * len(self.grid.axes[1].cores)
        tile = tile + column.clip(max=len(self.grid.axes[1].cores) - 1)
        order = np.argsort(tile, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(tile[order])) + 1):
            if len(members):
                yield int(tile[members[0]]), members + 1

    def ids(self, prediction: Prediction, tile: int) -> np.ndarray:
        """(h, w) ids of a tile, at the network's pixel size."""
        window = self.grid.window(tile)
        return resize_ids(prediction.read(self._own(window)), (window.height, window.width))

    def _own(self, window: Window) -> Window:
        """A window of the grid in pixels of the entities' map."""
        sides = []
        for start, length, new, old in zip(window[:2], window[2:], self.grid.shape, self.shape, strict=True):
            begin, end = (round(edge * old / new) for edge in (start, start + length))
            sides.append((begin, max(1, end - begin)))
        (y, height), (x, width) = sides
        return Window(min(y, self.shape[0] - 1), min(x, self.shape[1] - 1), height, width)

    def described(
        self, segmenter: EntitySegmenter, prediction: Prediction, on_tile: OnDone = unheard
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(numbers (n,), features (n, sum(Blocks))) of the entities of a tile at a time; without those of which the
        tile shows no pixel, as of a ring that is larger than a tile, or of a speck that is none at this pixel size.
        """
        tiles = list(self.holding(prediction))
        for done, (tile, numbers) in enumerate(tiles, start=1):
            ids = self.ids(prediction, tile)
            visible = numbers[np.isin(numbers, ids)]
            if len(visible):
                yield visible, describe(segmenter, self.scene.read(*self.grid.window(tile)), ids, visible)
            on_tile(done, len(tiles))


def labelled(
    prediction: Prediction,
    scene: Scene,
    contract: InputContract,
    segmenter: EntitySegmenter,
    labeller: Labeller,
    on_tile: OnDone = unheard,
) -> Prediction:
    """The prediction with a class of each entity, `UNKNOWN` for what is none of them or cannot be described, and its
    probability, 0 where it cannot be described.
    """
    count = prediction.count
    labels = np.full(count, len(labeller.vocabulary), np.int32)
    probabilities = np.zeros(count, np.float32)
    for numbers, features in EntityTiles.of(scene, contract).described(segmenter, prediction, on_tile):
        labels[numbers - 1], probabilities[numbers - 1] = labeller.label(features)
    table = prediction.entities._replace(labels=labels, label_scores=probabilities)
    entity_map = prediction.entity_map
    if entity_map is not None:
        entity_map = replace(entity_map, labels=labels, vocabulary=labeller.names)
    return replace(prediction, entities=table, vocabulary=labeller.names, entity_map=entity_map)


def class_shares(
    prediction: Prediction, scene: Scene, contract: InputContract, segmenter: EntitySegmenter, labeller: Labeller
) -> np.ndarray:
    """(N, K + 1) float32 of each entity: the probability of each class, and last 1 where it is none of them, else 0;
    nan where it cannot be described.
    """
    shares = np.full((prediction.count, len(labeller.names)), np.nan, np.float32)
    for numbers, features in EntityTiles.of(scene, contract).described(segmenter, prediction):
        probabilities, strange = labeller.shares(features)
        shares[numbers - 1] = np.column_stack([probabilities, strange])
    return shares


def examples_of(
    segmenter: EntitySegmenter,
    samples: Samples,
    contract: InputContract,
    classes: Mapping[str, str] | None = None,
    on_image: OnDone = unheard,
) -> Examples:
    """The entities of a data set that have a class, described, with the groups of their images.

    classes: by what name a class of the data goes, `LabelOptions.map`; those that it does not name are left out. None
    takes all as they are. Of several annotators the first is asked.
    """
    segmenter.eval()
    records = getattr(samples, "records", None)
    features, names, groups = [np.zeros((0, sum(Blocks.of(segmenter))), np.float32)], [], []
    for i in range(len(samples)):
        sample = samples[i]
        truth, group = sample.truths[0], records[i].group if records else sample.place.scene
        if truth.labels is not None and (truth.labels != NO_CLASS).any():
            tiles = EntityTiles.of(contract.photograph(sample), contract)
            entities = Prediction.of_map(truth)
            for numbers, rows in tiles.described(segmenter, entities):
                kept = [(row, name) for row, name in enumerate(names_of(entities.whole_map, numbers, classes)) if name]
                features.append(rows[[row for row, _ in kept]])
                names += [name for _, name in kept]
                groups += [group] * len(kept)
        on_image(i + 1, len(samples))
    vocabulary = tuple(sorted(set(names)))
    numbered = {name: k for k, name in enumerate(vocabulary)}
    return Examples(
        np.concatenate(features),
        np.array([numbered[name] for name in names], np.int32),
        np.array(groups, object),
        vocabulary,
    )


def names_of(truth: EntityMap, numbers: np.ndarray, classes: Mapping[str, str] | None) -> list[str | None]:
    """The classes of entities by number; None of what has none, or one that is left out."""
    assert truth.labels is not None
    names = [truth.vocabulary[label] if label != NO_CLASS else None for label in truth.labels[numbers - 1]]
    return names if classes is None else [None if name is None else classes.get(name) for name in names]
