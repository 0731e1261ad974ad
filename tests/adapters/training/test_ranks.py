"""Processes that learn together: what is said where one ends, and what they share of the machine."""

from __future__ import annotations

import os

import pytest
import torch

from adapters.runtime import Runtime
from adapters.training.ranks import Child, RankEndedError, on_loopback, reason_of, shared_threads


class Silent(Child):
    """A rank that goes on."""

    def __init__(self) -> None:
        super().__init__(1, (), None)

    def ended_within(self, seconds: float) -> bool:
        return False


def test_a_rank_that_does_not_answer_is_told_and_another_error_is_the_training_s() -> None:
    assert "a rank has not answered for" in reason_of([Silent()], RuntimeError("Timed out waiting 1000ms"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        reason_of([Silent()], RuntimeError("shapes differ"))


def test_a_rank_that_ends_before_it_is_ready_says_why() -> None:
    with Child(1, ("adapters.training.nowhere",), threads=2) as child:
        with pytest.raises(RankEndedError, match="rank 1 ended before the training did .*No module named"):
            child.await_ready()
        assert child.ended_within(0)


def test_gloo_listens_where_the_environment_says_else_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    with on_loopback():
        assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with on_loopback():
        assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"
    assert "GLOO_SOCKET_IFNAME" not in os.environ


@pytest.mark.parametrize("threads, share", [(6, 3), (1, 1)])
def test_ranks_share_the_cores_unless_a_user_says_how_many(threads: int, share: int, monkeypatch) -> None:
    runtime = Runtime(torch.device("cpu"), "fp32", devices=2)
    with shared_threads(runtime) as chosen:
        assert chosen is None  # OMP_NUM_THREADS says
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(threads)
    try:
        with shared_threads(runtime) as chosen:
            assert chosen == torch.get_num_threads() == share
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
