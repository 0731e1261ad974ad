"""Swaps are timed on adapters that are held, and memory is counted once for each tensor."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks.speed import swap
from recipes.adapter_set import AdapterSet


def held(*tensors: torch.Tensor) -> SimpleNamespace:
    segmenter = SimpleNamespace(parameters=lambda: tensors, buffers=lambda: ())
    return SimpleNamespace(network=SimpleNamespace(segmenter=segmenter))


def test_a_shared_tensor_counts_once_in_what_is_held() -> None:
    base, changed = torch.zeros(100), torch.zeros(10)
    adapters = AdapterSet({"a": held(base), "b": held(base, changed)})  # type: ignore[dict-item]
    assert swap.bytes_of(adapters) == (440, 840)
    assert 0 < swap.use_ms(adapters, 2) < 10


def test_the_command_prints_loading_use_image_and_memory(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    adapters = AdapterSet({"a": held(torch.zeros(1)), "b": held(torch.zeros(1))})  # type: ignore[dict-item]
    monkeypatch.setattr(swap, "load_many", lambda paths: adapters)
    monkeypatch.setattr(swap, "loading_ms", lambda paths, rounds: 100.0)
    monkeypatch.setattr(swap, "image_ms", lambda *rest: (3.0, 3.5))
    monkeypatch.setattr(sys, "argv", ["swap", "a", "b", "--rounds", "1"])
    swap.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["loading", "use", "image", "memory"]
    assert "+0.50 ms for a swap" in lines[2]
