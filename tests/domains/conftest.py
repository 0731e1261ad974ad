"""Tiny folders in the real layouts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.domains.tiny import annotations, basics, defects, nuclei, rasters

MODULES = (basics, nuclei, defects, rasters, annotations)


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """Builders of tiny folders by name, and what they are made of."""
    parts = {name: value for module in MODULES for name, value in vars(module).items() if callable(value)}
    return SimpleNamespace(**{name: part for name, part in parts.items() if part.__module__.startswith("tests.")})
