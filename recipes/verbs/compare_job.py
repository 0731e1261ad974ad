"""`python -m recipes.verbs.compare_job RECIPE FOLDER`: one fit of a comparison, in a process of its own.

Its memory at the peak is then its own too. FOLDER gets adapter/ and, last, result.json, which says that it is done. It
ends when its standard input does, with whoever started it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from domains.errors import InputError
from domains.parent import end_with_parent
from recipes import collect_rarely
from recipes.reading.compose import load_recipe


def main(words: Sequence[str]) -> None:
    """Run the job of the module's arguments."""
    end_with_parent()
    collect_rarely()
    recipe = load_recipe(words[0])  # before anything heavy is imported
    from recipes.verbs.timed_fit import run_job

    run_job(recipe, Path(words[1]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
