"""A base of two blocks, and its fit to the small labelled folder `data`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import Dinov2Config

from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.folders import save_base
from adapters.training.trainer import History
from cli import main

SCORER_STEPS = 100
"""Of the scorer of regions, in place of the 800 on which most of a fit of a few steps would be spent."""


@contextmanager
def short_scorer() -> Iterator[None]:
    """A fit teaches its scorer of regions for `SCORER_STEPS`; how well one is taught, tests of the adapters say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapters.training.region_fit.STEPS", SCORER_STEPS)
        yield


@pytest.fixture(autouse=True, scope="module")
def _short_scorer() -> Iterator[None]:
    with short_scorer():
        yield


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`interrupt_at(step)`: Ctrl-C comes, once, when a training has done that step."""
    add = History.on_train_batch_end

    def arm(step: int) -> None:
        def stop(self, trainer, module, *rest):
            add(self, trainer, module, *rest)
            if trainer.global_step == step:
                monkeypatch.setattr(History, "on_train_batch_end", add)
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(History, "on_train_batch_end", stop)

    return arm


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=32
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_base(Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny", taps=(1, 2)), folder)
    return folder


@pytest.fixture(scope="session")
def options(base: Path) -> list[str]:
    return [
        f"backbone.name={base}",
        "backbone.taps=[1,2]",
        "method.name=decoder_only",
        "decoder.width=8",
        "domain.crop_px=48",
        "domain.tile_px=64",
        "domain.overlap_px=16",
        "train.steps=6",
        "train.batch_size=2",
        "train.validate_every=3",
    ]


@pytest.fixture(scope="session")
def run(data: Path, options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    with short_scorer():
        assert main(["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options]) == 0
    return out
