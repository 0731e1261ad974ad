"""What to run: recipes, their schema, and one file per verb of the command line."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Libraries keep their advice to themselves: a user sees our lines only."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|torch|transformers|peft|albumentations|albucore)\b")
    warnings.filterwarnings("ignore", message=r".*(litlogger|num_workers|lr_scheduler\.step|srun).*")
