"""`python -m recipes.verbs.rank RUN CHECKPOINT RANK RANKS PORT`: another process of a fit that is under way.

It builds the plan of RUN/recipe.yaml as the fit did, trains with it, and ends. It prints nothing, writes nothing into
RUN and measures nothing. CHECKPOINT: what the fit goes on from, `-` for none.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from domains.errors import InputError, RunError
from domains.parent import end_with_parent
from recipes import collect_rarely, set_up
from recipes.reading.compose import load_recipe

NOWHERE = "-"


def words_of(run: Path, checkpoint: Path | None) -> list[str]:
    """The module and its first arguments; rank, number of ranks and port follow."""
    return ["recipes.verbs.rank", str(run), str(checkpoint or NOWHERE)]


def main(words: Sequence[str]) -> None:
    """Take part in a training from the module's arguments."""
    end_with_parent()
    collect_rarely()  # before anything heavy is imported
    import torch

    from adapters.training.fitting import train
    from adapters.training.ranks import taking_part
    from recipes.build import domain_of
    from recipes.plan import plan_of, splits_of
    from recipes.verbs.unlabelled import taught

    run, checkpoint = Path(words[0]), None if words[1] == NOWHERE else Path(words[1])
    rank, world, port = map(int, words[2:])
    set_up()
    warnings.simplefilter("ignore")  # what there is to say, the fit itself says
    recipe = load_recipe(run / "recipe.yaml")
    domain = domain_of(recipe)
    plan = taught(plan_of(recipe, domain, splits_of(domain)), domain, quiet=True).plan
    if plan.runtime.device.type != "cpu":
        device = torch.device(plan.runtime.device.type, rank)
        plan = replace(plan, runtime=replace(plan.runtime, device=device))

    train(plan, run=run, checkpoint=checkpoint, ranks=partial(taking_part, rank, world, port))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, RunError) as error:
        sys.exit(str(error))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the end of the input would hold the interpreter up
