"""What every test may ask for, and what holds for all of them: one thread, one seed, no model hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: two processes of two threads crawl on two cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from domains.procedural.scene import draw_scene
from recipes import collect_rarely

collect_rarely()
hypothesis.settings.register_profile("suite", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """The verbs flush denormal numbers, for all of the process; hypothesis draws some."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, as ENTITY_DATA names it; skips the test where it does not."""
    folder = os.environ.get("ENTITY_DATA")
    if not folder:
        pytest.skip("ENTITY_DATA names no folder of real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labelled images in images/ and labels/."""
    root = tmp_path_factory.mktemp("data") / "cells"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for i in range(6):
        sample = draw_scene("nuclei_fluo", (5, i), 96, 80)
        Image.fromarray(sample.image).save(root / "images" / f"{i}.png")
        Image.fromarray(sample.truth.ids.astype(np.uint8)).save(root / "labels" / f"{i}.png")
    return root
