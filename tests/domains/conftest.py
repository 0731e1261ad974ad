"""Tiny folders in the real layouts, and the real ones where `ENTITY_DATA` says that they are."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.domains.tiny import annotations, basics, defects, nuclei, rasters

MODULES = (basics, nuclei, defects, rasters, annotations)


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("ENTITY_DATA")
    if not folder:
        pytest.skip("ENTITY_DATA does not name the folder of the real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """Builders of tiny folders by name, and what they are made of."""
    parts = {name: value for module in MODULES for name, value in vars(module).items() if callable(value)}
    return SimpleNamespace(**{name: part for name, part in parts.items() if part.__module__.startswith("tests.")})
