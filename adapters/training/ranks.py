"""Processes of this machine that train one network together: started by the one that the user began, and ended with it.

Each sees its share of every batch. The loss is worked out over the crops of all of them (`over_ranks`), so that terms
whose mean is over foreground pixels, entities or pairs are what one process would compute; gradients are averaged by
torch's DistributedDataParallel.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from adapters.runtime import Runtime
from domains.entities import EntityBatch
from domains.errors import RunError

ADDRESS = "127.0.0.1"
TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for another one's step; one that died is noticed at once on a CPU."""
PATIENCE_S = 20.0
"""What the first rank has to notice the death of another by itself, and a rank to end after the training."""
READY = b"ready\n"


class RankEndedError(RunError):
    """A process that learnt together with this one ended before the training did."""


class Rank(ClusterEnvironment):
    """The place of this process among those that learn together, as Lightning asks for it."""

    def __init__(self, rank: int, world: int, port: int) -> None:
        super().__init__()
        self.rank, self.world, self.port = rank, world, port

    @property
    def creates_processes_externally(self) -> bool:
        """True: Lightning is to start none."""
        return True

    @property
    def main_address(self) -> str:
        """This machine."""
        return ADDRESS

    @property
    def main_port(self) -> int:
        """Where the ranks meet."""
        return self.port

    @staticmethod
    def detect() -> bool:
        """False: it is given, never guessed from the environment."""
        return False

    def world_size(self) -> int:
        """The number of processes."""
        return self.world

    def set_world_size(self, size: int) -> None:
        """Nothing: it is known."""

    def global_rank(self) -> int:
        """0 for the process that the user began."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """Lightning's own messages come from rank 0 alone."""
        rank_zero_only.rank = rank  # type: ignore[attr-defined]

    def local_rank(self) -> int:
        """The same, as all are on one machine."""
        return self.rank

    def node_rank(self) -> int:
        """0, of one machine."""
        return 0


class Averaging(DDPStrategy):
    """Data-parallel training of which some weights, such as those of the scorer of regions, learn only later."""

    def __init__(self) -> None:
        super().__init__(find_unused_parameters=True, broadcast_buffers=False)  # buffers are constants

    def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
        # torch warns, past Python's filters, where it looks for unused weights and there are none: here there is one
        model.register_parameter("never_used", nn.Parameter(torch.zeros((), device=self.root_device)))
        try:
            return super()._setup_model(model)
        finally:
            del model.never_used


@contextmanager
def started(words: Sequence[str], runtime: Runtime) -> Iterator[Rank]:
    """Start the other ranks of a training on `runtime.devices` as `python -m WORDS rank devices port`; gives rank 0.

    Each of them calls `taking_part`. Raises RankEndedError where one ends early; none outlives this process.
    """
    world = runtime.devices
    store = store_at(0)
    with ExitStack() as stack:
        threads = stack.enter_context(shared_threads(runtime))
        children = [
            stack.enter_context(Child(rank, [*words, str(rank), str(world), str(store.port)], threads))
            for rank in range(1, world)
        ]
        try:
            for child in children:
                child.await_ready()
            with joined(store, Rank(0, world, store.port), runtime) as rank, watched(children):
                yield rank
            for child in children:
                child.await_end()
        except RuntimeError as error:
            if type(error) is not RuntimeError and not type(error).__module__.startswith("torch"):
                raise  # a loss that is not finite, say, which every rank comes to
            raise RankEndedError(reason_of(children, error)) from error


def reason_of(children: Sequence[Child], error: RuntimeError) -> str:
    """Which rank ended and how, as far as can be told, in one line."""
    for child in children:
        if child.ended_within(PATIENCE_S / len(children)):
            return child.reason()
    if "imed out" in str(error):
        return f"a rank has not answered for {TIMEOUT.total_seconds():.0f} s"
    raise error


class Child:
    """Another rank: a process that ends when its standard input does, so with this process, however that ends."""

    def __init__(self, rank: int, words: Sequence[str], threads: int | None) -> None:
        self.rank, self.words, self.threads = rank, words, threads

    def __enter__(self) -> Child:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        self._complaints = tempfile.TemporaryFile()
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", *self.words]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._complaints, env=environment)
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        if not self.ended_within(5):
            self.process.kill()
            self.process.wait()
        self._complaints.close()

    def await_ready(self) -> None:
        """Wait until it has built what it trains. Raises RankEndedError where it ended instead."""
        assert self.process.stdout is not None
        if self.process.stdout.readline() != READY:
            self.ended_within(PATIENCE_S)
            raise RankEndedError(self.reason())

    def await_end(self) -> None:
        """Wait until it has left the training, as it does when this process has."""
        self.ended_within(PATIENCE_S)

    def ended_within(self, seconds: float) -> bool:
        """Whether it has ended, or does in that time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def reason(self) -> str:
        """Which rank it was and what it died of: a signal, or the last line of its complaints."""
        code = self.process.poll()
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        how = f"killed by signal {-code}" if code is not None and code < 0 else lines[-1] if lines else f"exit {code}"
        return f"rank {self.rank} ended before the training did ({how})"


@contextmanager
def watched(children: Sequence[Child]) -> Iterator[None]:
    """Where a rank dies and this one waits for it inside a library, it ends too, in a line: NCCL may wait for ever."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            dead = [child for child in children if child.process.poll() not in (None, 0)]
            if dead and not over.wait(PATIENCE_S):
                print(f"error: {dead[0].reason()}; go on by --resume", file=sys.stderr, flush=True)
                os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def taking_part(rank: int, world: int, port: int, runtime: Runtime) -> Iterator[Rank]:
    """What a process that `started` began does around its part of the training."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    with joined(store_at(port), Rank(rank, world, port), runtime) as place:
        yield place


def store_at(port: int) -> Any:
    """Where ranks leave their addresses for each other; port 0: a new one at any port, which rank 0 makes."""
    store: Any = vars(distributed)["TCPStore"]  # public, though its stub does not say so
    return store(ADDRESS, port, is_master=not port, timeout=TIMEOUT, wait_for_workers=False)


@contextmanager
def joined(store: Any, rank: Rank, runtime: Runtime) -> Iterator[Rank]:
    """A process group for the time of the training; random numbers go on as those of rank 0 do."""
    backend = "gloo" if runtime.device.type == "cpu" else f"cpu:gloo,{runtime.device.type}:nccl"
    with on_loopback():
        distributed.init_process_group(backend, store=store, rank=rank.rank, world_size=rank.world, timeout=TIMEOUT)
    try:
        state = torch.get_rng_state()
        distributed.broadcast(state, 0)
        torch.set_rng_state(state)
        yield rank
    finally:
        distributed.destroy_process_group()


@contextmanager
def on_loopback() -> Iterator[None]:
    """Gloo listens where only this machine can reach it; else it takes the address that the host's name stands for."""
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if "GLOO_SOCKET_IFNAME" in os.environ or not loopback:
        yield
        return
    os.environ["GLOO_SOCKET_IFNAME"] = loopback[0]
    try:
        yield
    finally:
        del os.environ["GLOO_SOCKET_IFNAME"]


@contextmanager
def shared_threads(runtime: Runtime) -> Iterator[int | None]:
    """The threads of each process of a training on the CPU, which share the cores, for that time; None: as they are,
    on a GPU or where OMP_NUM_THREADS says."""
    if "OMP_NUM_THREADS" in os.environ or runtime.device.type != "cpu":
        yield None
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(share := max(1, threads // runtime.devices))
    try:
        yield share
    finally:
        torch.set_num_threads(threads)


def over_ranks(outputs: Any, batch: EntityBatch) -> tuple[Any, EntityBatch]:
    """Outputs and batch of all ranks' crops, in the order in which one process sees them; of one rank as they are.

    Gradients flow to this rank's outputs, times the number of ranks, since ranks' gradients are averaged. Of the truth
    images, ids and weights come together; no term of the loss reads classes or parents.
    """
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return outputs, batch
    columns = torch.tensor(batch.weights.shape[1], device=batch.ids.device)
    distributed.all_reduce(columns, distributed.ReduceOp.MAX)
    weights = F.pad(batch.weights, (0, int(columns) - batch.weights.shape[1]))
    return gathered(outputs), EntityBatch(gathered(batch.images), gathered(batch.ids), weights=gathered(weights))


def gathered(outputs: Any) -> Any:
    """Tensors (B, ...) as (ranks x B, ...), crop after crop, nested lists and mappings included."""
    if isinstance(outputs, Tensor):
        return Gather.apply(outputs.float() if outputs.is_floating_point() else outputs)
    if isinstance(outputs, Mapping):
        return {name: gathered(value) for name, value in outputs.items()}
    return [gathered(value) for value in outputs]


class Gather(torch.autograd.Function):
    """(B, ...) of every rank -> (B x ranks, ...): crop i of rank r is i * ranks + r, as `RoundSampler` shares out."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        """Gather."""
        shares = [
            torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(distributed.get_world_size())
        ]
        distributed.all_gather(shares, own.contiguous())
        return torch.stack(shares, 1).flatten(0, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """Every rank has the same loss: the share of the gradient that is this rank's is here already."""
        rank, world = distributed.get_rank(), distributed.get_world_size()
        return gradients[0][rank::world] * world
