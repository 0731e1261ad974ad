"""A prediction by the workers of a cluster: batches of tiles are tasks, their maps come back in the order of the tiles.

A batch is what goes through the network together in one process, so that results are the same to the byte. Small images
share a task. A few tasks per worker are under way, those of the scene that is stitched now before those of the scenes
after it; whatever the size of scenes and cohorts, no more than these wait for being stitched, and no more bytes of them
than `HELD_BYTES` beside one task for each thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributed import Future

from adapters.inference.segment import InputContract, Tiles
from domains.entities import EntityMap
from domains.errors import InputError
from domains.scenes.address import Source
from entity_adapters import Concealed, on_worker
from recipes.cluster import Workers, connected
from recipes.inputs import Request
from recipes.verbs.predict_scenes import Maps, running_folder
from recipes.verbs.predict_task import SceneTask, Work, digest_of, from_wire

AHEAD = 3  # tasks under way for each thread of a worker
AHEAD_PX = 2**20  # of a scene after the one that is stitched now
SHARED_BYTES = 2**20  # of the files of images that share a task
SHARED = 8  # images, at most
REPLY_BYTES = 2**24  # of maps in a reply to a task of several images; one map more may follow
HELD_BYTES = 2**28  # of replies that may be waiting somewhere, beside one for each thread
BYTES_PX = 6  # of a reply at most, per pixel: an id and a score


@contextmanager
def on_cluster(
    request: Request, contract: InputContract, precision: str, names: Mapping[Source, str]
) -> Iterator[Maps]:
    """Where the maps of tiles come from that a cluster predicts. Raises InputError where it cannot be reached.

    names: of the results of each scene that is to be done.
    """
    assert request.scheduler is not None
    work = Work(
        adapter=absolute(request.adapter),
        recipe=None if request.recipe is None else absolute(request.recipe),
        backbone=None if request.backbone is None else absolute(request.backbone),
        device=request.scheduler.device,
        precision=precision,
        digest=digest_of(request.adapter),
        ahead_px=AHEAD_PX,
        reply_bytes=REPLY_BYTES,
        contract=asdict(contract),
        pixel_size_m=request.sight.pixel_size_m,
        everywhere=request.sight.everywhere,
        smallest_um2=request.sight.smallest_um2,
        fast=request.fast,
        member=request.member,
    )
    begun = frozenset(path for path, name in names.items() if running_folder(request.out, name).exists())
    with connected(request.scheduler) as workers:
        yield Cohort(workers, work, [*names], begun).maps


def absolute(word: str) -> str:
    """A path as workers elsewhere find it; a name that is no path here stays."""
    return str(Path(word).absolute()) if Path(word).exists() else word


@dataclass
class Submitted:
    """A task that is under way. size: of its reply in bytes, at most. replies: None until they came."""

    paths: Sequence[Source]
    future: Future
    size: int
    replies: list[dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """Of its scenes, for people."""
        companions = f" and {len(self.paths) - 1} images of the same task" if len(self.paths) > 1 else ""
        return f"{str(self.paths[0])!r}{companions}"


class Cohort:
    """The scenes of a prediction as tasks.

    paths: the scenes in the order in which their maps are asked for; some may be left out. begun: those of which tiles
    were done before.
    """

    def __init__(
        self, workers: Workers, work: Work, paths: Sequence[Source], begun: frozenset[Source] = frozenset()
    ) -> None:
        self.workers, self.work = workers, work
        self.order = {path: number for number, path in enumerate(paths)}
        self._upcoming = deque(path for path in paths if path not in begun)
        self._first: dict[Source, Submitted] = {}
        self._path: Source = Path()
        self._batches: Iterator[tuple[int, int]] = iter(())
        self._tiles: Tiles | None = None
        self._queue: deque[Submitted] = deque()

    def maps(self, path: Source, tiles: Tiles, start: int) -> Iterator[tuple[int, EntityMap]]:
        """(tile, map) of a scene's tiles from `start` on, in order. Raises InputError for what a worker cannot do."""
        self._forget_before(path)
        self._path, self._tiles, self._batches = path, tiles, iter(())
        if start == 0:
            self._top_up()
        if path in self._first:
            reply = self._reply(self._first.pop(path), path)
            yield from decoded_maps(reply)
            start = max(start, reply["end"])
        self._batches = tiles.batches(start)
        self._top_up()
        while self._queue:
            reply = self._reply(self._queue.popleft(), path)
            self._top_up()
            yield from decoded_maps(reply)

    def _forget_before(self, path: Source) -> None:
        """Drop what is under way or waits for scenes before this one, which could not be opened here."""
        number = self.order[path]
        self._queue.clear()
        for earlier in [place for place in self._first if self.order[place] < number]:
            del self._first[earlier]
        while self._upcoming and self.order[self._upcoming[0]] < number:
            self._upcoming.popleft()

    def _top_up(self) -> None:
        """Submit batches of the scene until enough of them are under way, and where there are no more, those of the
        scenes after it.
        """
        while self._has_room(self._queue) and (batch := next(self._batches, None)) is not None:
            self._queue.append(self._submit([self._path], *batch, self._batch_bytes(*batch)))
        waiting = {id(task): task for task in self._first.values() if task.replies is None}
        while self._upcoming and self._has_room([*self._queue, *waiting.values()]):
            task = self._submit(self._images_of_a_task(), 0, None, REPLY_BYTES + AHEAD_PX * BYTES_PX)
            waiting[id(task)] = task
            self._first |= dict.fromkeys(task.paths, task)

    def _has_room(self, tasks: Collection[Submitted]) -> bool:
        """Whether one more may be under way beside these."""
        threads = max(1, self.workers.threads)
        fits = len(tasks) <= threads or sum(task.size for task in tasks) < HELD_BYTES
        return fits and len(tasks) < AHEAD * threads

    def _batch_bytes(self, start: int, end: int) -> int:
        """Of the reply to a batch of the scene, at most."""
        assert self._tiles is not None
        window = self._tiles.grid.window(start)
        return min(end - start, self._tiles.at_once) * window.height * window.width * BYTES_PX

    def _images_of_a_task(self) -> list[Source]:
        """The next image, and more where they are small."""
        paths = [self._upcoming.popleft()]
        size = size_of(paths[0])
        while self._upcoming and len(paths) < SHARED and size + size_of(self._upcoming[0]) <= SHARED_BYTES:
            paths.append(self._upcoming.popleft())
            size += size_of(paths[-1])
        return paths

    def _submit(self, paths: Sequence[Source], start: int, end: int | None, size: int) -> Submitted:
        tasks = [SceneTask(path=word_of(path), bytes=file_bytes(path), start=start, end=end) for path in paths]
        future = self.workers.submit(on_worker, self.work, tasks, order=self.order[paths[0]])
        return Submitted(paths, future, size)

    def _reply(self, task: Submitted, path: Source) -> dict[str, Any]:
        """A scene's part of what a task returned."""
        replies = task.replies
        if replies is None:
            replies = task.replies = self.workers.result(task.future, task.name, self._top_up)
            task.future.release()
        reply = replies[task.paths.index(path)]
        if "fault" in reply:
            raise InputError(
                f"{str(path)!r}: the worker on {reply['worker']} cannot predict it: {reply['fault']}; every worker "
                "wants the images, the adapter and its base at the paths that they have here"
            )
        return reply


def decoded_maps(reply: dict[str, Any]) -> Iterator[tuple[int, EntityMap]]:
    """(tile, map) of a reply; each is given back as soon as it was taken."""
    maps = deque(reply.pop("maps"))
    while maps:
        index, *values = maps.popleft()
        yield index, from_wire(values)


def word_of(path: Source) -> str:
    """A scene as a worker elsewhere finds it; an address with its secrets, which no log of a worker shows."""
    return str(path.absolute()) if isinstance(path, Path) else Concealed(path.word)


def size_of(path: Source) -> int:
    """Bytes by which images share tasks; a folder is large, and so is what is not there, or behind an address."""
    return file_bytes(path) or SHARED_BYTES


def file_bytes(path: Source) -> int:
    """Of a file; 0 for anything else."""
    return path.stat().st_size if isinstance(path, Path) and path.is_file() else 0
