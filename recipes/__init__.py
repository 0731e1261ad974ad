"""What to run: recipes, their schema, and one file per verb of the command line."""

from __future__ import annotations

import logging
import warnings


def set_up() -> None:
    """What every verb wants first: the fast arithmetic, and libraries that keep their advice to themselves."""
    from adapters.training.denormals import flush_denormals

    flush_denormals()
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|torch|transformers|peft|albumentations|albucore)\b")
    warnings.filterwarnings("ignore", message=r".*(litlogger|num_workers|lr_scheduler\.step|srun).*")
