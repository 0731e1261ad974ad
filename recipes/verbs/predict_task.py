"""What a worker of a cluster does of a prediction: batches of tiles of scenes, by an adapter that it loads once.

What goes over the wire is plain: a `Work`, scenes as dictionaries, and replies of numbers, strings and arrays. Such a
reply has

    worker      which process it is
    fault       why there is nothing else, in one line
    end         tiles before this one are done
    maps        (tile, shape, packed ids, scores, labels, vocabulary, scores of pixels) of those that were looked at
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from os import getpid
from pathlib import Path
from socket import gethostname
from threading import Lock
from typing import Any, TypedDict

import numpy as np

from adapters.inference.segment import InputContract, Tiles
from domains.entities import EntityMap
from domains.errors import InputError
from domains.scenes import Scene, open_scene
from domains.scenes.address import Source, source_of
from domains.tiling.journal import pack, unpack
from recipes import set_up
from recipes.inputs import Sight
from recipes.load import Loaded, loaded
from recipes.looking import looking
from recipes.runtime import choose
from recipes.shared import BASE, on_base
from recipes.verbs.predict_scenes import held, is_large

SCENES = 4  # that a worker keeps open


class Work(TypedDict):
    """What the tasks of a prediction share. digest: see `digest_of`. ahead_px: of a scene that nobody looked at yet,
    whole batches are predicted until they have so many pixels; reply_bytes: of several that share a task, until their
    maps take so much.
    """

    adapter: str
    recipe: str | None
    backbone: str | None
    device: str
    precision: str
    digest: str
    ahead_px: int
    reply_bytes: int
    contract: dict[str, Any]
    pixel_size_m: float | None
    everywhere: bool
    smallest_um2: float | None
    fast: bool
    member: str | None


class SceneTask(TypedDict):
    """A batch of a scene: tiles from `start` up to `end`, or the first batches where that is None.

    bytes: of its file, 0 for a folder or an address.
    """

    path: str
    bytes: int
    start: int
    end: int | None


@dataclass
class OpenScene:
    """A scene that is open on a worker, and what the network said of tiles of one colour."""

    tiles: Tiles
    plain: dict[bytes, EntityMap] = field(default_factory=dict)


class Bench:
    """What a worker keeps from task to task: one network, and the last scenes.

    Tasks of one process take turns: a network that finds its memory too small changes how many tiles it takes.
    """

    def __init__(self) -> None:
        self.turn = Lock()
        self._work: Work | None = None
        self._network: Loaded | None = None
        self._scenes: OrderedDict[tuple[str, int], OpenScene] = OrderedDict()

    def network(self, work: Work) -> Loaded:
        """The network of that work. Raises InputError where it cannot be loaded here, or has other weights."""
        if self._work != work or self._network is None:
            self.clear()
            if digest_of(work["adapter"]) != work["digest"]:
                raise InputError(f"{work['adapter']!r} is not here what it is where the command was given")
            runtime = choose(work["device"], work["precision"])
            base, fast = on_base(work["backbone"]), work["fast"]
            member = work["member"]
            with loaded(work["adapter"], work["recipe"], base, runtime=runtime, fast=fast, member=member) as network:
                self._work, self._network = work, network
        return self._network

    def scene(self, work: Work, task: SceneTask) -> OpenScene:
        """The scene of a task as the network sees it. Raises InputError where it isn't the one that was meant."""
        place = source_of(str(task["path"]))
        key = task["path"], task["bytes"]
        if key not in self._scenes:
            if isinstance(place, Path) and place.is_file() and place.stat().st_size != task["bytes"]:
                raise InputError(f"{task['path']!r} has {place.stat().st_size} bytes here; wanted {task['bytes']}")
            while len(self._scenes) >= SCENES:
                self._scenes.popitem(last=False)[1].tiles.whole_scene.close()
            self._scenes[key] = opened(place, work, self.network(work))
        self._scenes.move_to_end(key)
        return self._scenes[key]

    def forget(self, task: SceneTask) -> None:
        """Close the scene of a task, if it is open: what it is read from may have changed."""
        if (scene := self._scenes.pop((task["path"], task["bytes"]), None)) is not None:
            scene.tiles.whole_scene.close()

    def clear(self) -> None:
        """Give back the network and close all scenes."""
        while self._scenes:
            self._scenes.popitem()[1].tiles.whole_scene.close()
        self._work = self._network = None


BENCH = Bench()


def opened(path: Source, work: Work, network: Loaded) -> OpenScene:
    """A scene's tiles as one process would have them. Raises InputError."""
    contract = InputContract.of(work["contract"])
    scene: Scene = open_scene(path, work["pixel_size_m"])
    try:
        scene = held(contract.viewed(scene))
        sight = Sight(everywhere=work["everywhere"], smallest_um2=work["smallest_um2"])
        worth = looking(network.recipe.domain.name, sight)
        return OpenScene(Tiles(scene, contract, worth and worth(scene)))
    except BaseException:
        scene.close()
        raise


def replies(work: Work, tasks: list[SceneTask]) -> list[dict[str, Any]]:
    """The replies to tasks of several scenes, in their order; one that cannot be done says why. Scenes for which there
    is no room in the reply are not looked at: they are asked for again when it is their turn.
    """
    set_up()  # of this thread
    answers, size = [], 0
    with BENCH.turn:
        for task in tasks:
            unseen = {"worker": here(), "end": task["start"], "maps": []}
            answers.append(unseen if size >= work["reply_bytes"] else reply(work, task))
            size += sum(wire_bytes(values) for _, *values in answers[-1].get("maps", ()))
    return answers


def reply(work: Work, task: SceneTask) -> dict[str, Any]:
    """The reply to one task."""
    try:
        network = BENCH.network(work)
        scene = BENCH.scene(work, task)
        in_memory = not is_large(scene.tiles.whole_scene)  # of others nobody keeps the scores of pixels
        maps, end = [], 0
        for start, end in batches(scene.tiles, task, work["ahead_px"]):
            predicted = scene.tiles.predicted(network.segmenter, start, end=end, plain=scene.plain)
            maps += [(index, *to_wire(entities, in_memory)) for index, entities in predicted]
    except (InputError, OSError) as error:
        BENCH.forget(task)
        return {"worker": here(), "fault": str(error)}
    complete = task["end"] is None and next(scene.tiles.batches(end), None) is None
    return {"worker": here(), "end": len(scene.tiles.grid) if complete else end, "maps": maps}


def here() -> str:
    """This process, for people."""
    return f"{gethostname()}, process {getpid()}"


def batches(tiles: Tiles, task: SceneTask, ahead_px: int) -> Iterator[tuple[int, int]]:
    """The batch of a task; of one without an end the first ones, up to so many pixels."""
    if task["end"] is not None:
        yield task["start"], task["end"]
        return
    pixels = 0
    for start, end in tiles.batches():
        yield start, end
        window = tiles.grid.window(start)
        pixels += window.height * window.width * tiles.at_once
        if pixels >= ahead_px:
            return


def to_wire(entities: EntityMap, with_pixel_scores: bool) -> tuple[Any, ...]:
    """A map as it goes over the wire. Parents are of one tile, and nobody reads them."""
    scores = entities.pixel_scores if with_pixel_scores else None
    return entities.shape, pack(entities.ids), entities.scores, entities.labels, list(entities.vocabulary), scores


def wire_bytes(values: Sequence[Any]) -> int:
    """Bytes of what `to_wire` gives, but for a few words."""
    _, packed, *arrays = values
    return len(packed) + sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def from_wire(values: Sequence[Any]) -> EntityMap:
    """The map that `to_wire` was given."""
    shape, packed, scores, labels, vocabulary, pixel_scores = values
    return EntityMap(unpack(packed, tuple(shape)), scores, labels, tuple(vocabulary), pixel_scores=pixel_scores)


def digest_of(adapter: str) -> str:
    """Of the files of an adapter, a folder's or the packed one; "" for `base`. Raises OSError where it is not there.

    Not of weights: those that were merged differ in their last bits from processor to processor.
    """
    if adapter == BASE:
        return ""
    root, digest = Path(adapter), blake2b(digest_size=16)
    files = sorted(path for path in root.rglob("[!.]*") if path.is_file()) if root.is_dir() else [root]
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
