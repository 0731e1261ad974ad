"""One fit of a comparison: as long as its recipe's seconds last, measured on the test split and kept.

Its memory at the peak is that of the whole process.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adapters.runtime import CPU
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.info import BACKBONE_WEIGHTS, DECODER_WEIGHTS, PROJECTION_WEIGHTS
from adapters.training.fitting import fit
from domains.datasets.cards import licence_of
from recipes import set_up
from recipes.build import domain_of
from recipes.learnt import images_of_fit
from recipes.plan import LOOKS, budget_of, plan_of, splits_of
from recipes.reading.schema import Recipe
from recipes.routing import appearances_of
from recipes.shared import own_yaml
from recipes.verbs.apart import RESULT
from recipes.verbs.numbers import defined, plain, write_json

MEBIBYTE = 2**20


def run_job(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Fit a recipe for its seconds of this process, measure it on the test split, keep adapter and numbers.

    Raises InputError for what does not fit together.
    """
    set_up()
    domain = domain_of(recipe)
    prepared = plan_of(recipe, domain, splits_of(domain), budget_of(recipe, LOOKS, time.process_time))
    plan = replace(prepared.plan, measure_before=False)
    learning = sum(weights.numel() for weights in plan.network.parameters() if weights.requires_grad)
    fitted = fit(plan)
    card = domain.card()
    assert fitted.after is not None and prepared.method is not None
    info = describe(
        plan.network.place(CPU),
        prepared.method,
        plan.contract,
        domain.name,
        Path(recipe.domain.data).name,
        metrics=plain({"after": fitted.after.compute()}),
        intervals={"after": defined(fitted.after.interval())},
        data_licence=card and licence_of(card.front),
        learnt_from=images_of_fit(recipe, domain),
        appearances=appearances_of(plan.train, plan.val or []),
    )
    save_adapter(folder / "adapter", plan.network, prepared.method, info, own_yaml(prepared.recipe), overwrite=True)
    files = (folder / "adapter" / name for name in (BACKBONE_WEIGHTS, DECODER_WEIGHTS, PROJECTION_WEIGHTS))
    result = {
        "metrics": fitted.after.compute(),
        "intervals_95": fitted.after.interval(),
        "headline": domain.headline,
        "resampled": [round(value, 5) for value in fitted.after.resample()[domain.headline].tolist()],
        "images": len(plan.test),
        "train_images": len(plan.train),
        "groups": len(set(fitted.after.groups)),
        "learning": learning,
        "bytes": sum(file.stat().st_size for file in files if file.exists()),
        "steps": fitted.training.steps,
        "cpu_s": round(fitted.training.cpu_s, 1),
        "wall_s": round(fitted.training.wall_s, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE),
        "threads": torch.get_num_threads(),
    }
    write_json(folder / RESULT, plain(result))
    return result
