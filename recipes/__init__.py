"""What to run: recipes, their schema, and one file per verb of the command line."""

from __future__ import annotations

import gc
import logging
import warnings

COLLECT_AFTER = 10_000
"""Objects made between two looks for cycles; by Python's 700 a start of `fit` spends a second of seven on them."""


def set_up() -> None:
    """What every verb wants first: the fast arithmetic, and libraries that keep their advice to themselves."""
    from adapters.training.denormals import flush_denormals

    flush_denormals()
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|torch|transformers|peft|albumentations|albucore)\b")
    warnings.filterwarnings("ignore", message=r".*(litlogger|num_workers|lr_scheduler\.step|srun).*")


def collect_rarely() -> None:
    """What a program wants before it imports anything large; a library leaves the collector to whoever imports it."""
    gc.set_threshold(COLLECT_AFTER, 10, 10)
