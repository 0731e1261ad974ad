"""What every test may ask for, and what holds for all of them: one thread, one seed, no model hub.

With `pytest -n 2` the tests of a file share a process, and with it what they prepare; the longest files start first.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
gc.disable()  # until the tests are collected: what is made until then stays
hypothesis.settings.register_profile("suite", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("suite")

LONGEST = (
    "recipes/test_runtime.py",
    "recipes/verbs/test_compare.py",
    "kills/test_kills.py",
    "test_wheel.py",
    "recipes/verbs/test_predict_cohort.py",
    "fuzz/test_fuzz.py",
    "recipes/verbs/test_rank.py",
    "recipes/verbs/test_few_shot.py",
    "test_cli.py",
)
"""Files that take ten seconds of the processor and more: at the end one process would wait for another's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of `LONGEST` first, in its order, and the others as they are."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """From here on the collector looks at what tests make, not at all modules and tests again: 0.4 s for each look."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A process gets whole files, in the order of the collection, unless `--dist` says otherwise."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


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
