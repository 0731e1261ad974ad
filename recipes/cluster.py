"""The workers of a Dask scheduler, and the results of tasks that are awaited one after the other.

Dask moves the tasks of a worker that ended to others by itself. What cannot go on ends in one line: a scheduler that
cannot be reached or was lost, and a task under which worker after worker ends.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic
from typing import Any, cast

import dask.config
from distributed import Client, Future, LocalCluster, wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from domains.errors import InputError
from recipes.inputs import Scheduler

SILENT = logging.CRITICAL + 1
REACH_S = 10.0  # in which a scheduler answers
POLL_S = 1.0  # after which late workers are looked for
PATIENCE_S = 5.0  # without a worker, before a line says so
GONE_S = 60.0  # without a worker of ours, after which none is started any more
NOWHERE = "127.0.0.1:0"  # for the dashboard of workers of ours, whose usual port others may have
DEATHS = 3  # of workers under one task, at most
RETRIES = 2  # of a task that raised what it should not, on whatever worker


class Workers:
    """A connection to a scheduler. name: of the scheduler, for people; ours: whether its workers are processes that
    this one has started, so that nobody else adds any.
    """

    def __init__(self, client: Client, name: str, ours: bool = False) -> None:
        self.client, self.name, self.ours = client, name, ours
        self._threads, self._looked, self._seen = 0, -POLL_S, monotonic()
        self._noted = False

    @property
    def threads(self) -> int:
        """How many tasks run at a time, as of the last second."""
        if monotonic() - self._looked >= POLL_S:
            with self._errors("tasks"):
                self._threads = sum(cast(dict[str, int], self.client.nthreads()).values())
            self._looked = monotonic()
            self._note_absence()
        return self._threads

    def _note_absence(self) -> None:
        if self._threads:
            self._seen, self._noted = monotonic(), False
        elif monotonic() - self._seen > PATIENCE_S and not self._noted:
            print(f"waits for workers: {self.name} has none", file=sys.stderr, flush=True)
            self._noted = True

    def submit(self, work: Callable[..., Any], *values: Any, order: int) -> Future:
        """Ask for `work(*values)`. order: tasks of a lower one go before those of a higher one."""
        return self.client.submit(work, *values, pure=False, priority=-order, retries=RETRIES)

    def result(self, future: Future, name: str, meanwhile: Callable[[], None]) -> Any:
        """What a task returned. name: of its scenes, for people. meanwhile: called each second. Raises InputError where
        the scheduler is lost, workers end under the task, or all of ours have ended.
        """
        with self._errors(name), self.client.as_current():
            while not future.done():
                with suppress(TimeoutError):
                    wait(future, timeout=POLL_S)
                meanwhile()
                if self.ours and not self.threads and monotonic() - self._seen > GONE_S:
                    raise InputError(
                        f"{name}: the workers of {self.name} ended, and none was started in their place (too little "
                        "memory?); what was done before is kept, and the same command goes on from there"
                    )
            return future.result()

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except KilledWorker as error:
            raise InputError(
                f"{name}: {error.allowed_failures + 1} workers ended while they predicted it, the last was "
                f"{error.last_worker.address}; see their logs (too little memory?), what was done before is kept"
            ) from error
        except (CancelledError, CommClosedError, OSError) as error:
            if isinstance(error, OSError) and self.client.status == "running":
                raise
            raise InputError(
                f"the scheduler {self.name} was lost; what was done is kept, and the same command goes on from there"
            ) from error


KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**29, "MALLOC_MMAP_THRESHOLD_": 2**25}
"""For glibc, in bytes. Dask's own trim threshold of 64 KiB also ends that malloc learns which blocks to keep: the pages
of each tensor go back to the system and come again, a third of a worker's time (33 of 97 CPU-s for 64 images)."""


@contextmanager
def connected(scheduler: Scheduler) -> Iterator[Workers]:
    """The workers of a scheduler, or of processes on this machine that end with the block. Raises InputError where it
    cannot be reached.
    """
    for name in [
        name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")
    ]:
        logging.getLogger(name).setLevel(SILENT)  # what matters is said in a line of ours
    with ExitStack() as stack:
        if scheduler.workers:
            place: dict[str, Any] = {"address": stack.enter_context(local(scheduler.workers))}
        else:
            place = {"scheduler_file" if scheduler.is_file else "address": scheduler.word}
        try:
            client = stack.enter_context(Client(**place, timeout=REACH_S, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            reason = " ".join(f"{error}".split())[:120] or type(error).__name__
            raise InputError(
                f"--scheduler {scheduler.word!r} cannot be reached ({reason}); start it by `dask scheduler`, or name "
                "local:2 for two processes on this machine"
            ) from error
        yield Workers(client, scheduler.word, ours=bool(scheduler.workers))


@contextmanager
def local(workers: int) -> Iterator[Any]:
    """So many processes on this machine, which share its cores where OMP_NUM_THREADS says nothing else."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // workers))
    variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **KEPT_MEMORY}
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in variables.items()}
    with (
        dask.config.set(
            {
                **environment,
                "distributed.scheduler.allowed-failures": DEATHS - 1,
                "distributed.worker.profile.enabled": False,  # which looks at the stack a hundred times a second
            }
        ),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # the system's own limit counts, as for one process
            dashboard_address=NOWHERE,
            silence_logs=SILENT,
        ) as cluster,
    ):
        yield cluster
