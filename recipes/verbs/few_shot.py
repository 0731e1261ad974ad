"""`transfer --few-shot N`: every adapter, and the base, goes on for some seconds on N labelled images of each set.

Of them a fifth, at least one, is of the validation split: weights and thresholds are chosen on those alone, so that the
fit sees N labels in all.

What comes of it is measured as the others are, on the test split: how fast an adapter of another domain is of use, and
whether it is a better start than the base. Each fit runs in a process of its own, into OUT/few_shot, once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.sharing.door import read_info
from adapters.sharing.opening import opened
from domains.datasets.contents import samples_sha256
from domains.errors import InputError
from recipes.bases import words_of_base
from recipes.reading.compose import changed, load_recipe, resolved_yaml
from recipes.reading.schema import Recipe
from recipes.sets import recipe_words
from recipes.shared import BASE
from recipes.verbs.apart import RESULT, claim, run_apart
from recipes.verbs.transfer_jobs import About, Job, LabelledSet, about_adapter


@dataclass(frozen=True)
class FewShot:
    """images: labelled ones of each set, two or more. seconds: of the processor, for each fit."""

    images: int
    seconds: float = 30.0

    @property
    def to_choose_by(self) -> int:
        """How many of the images are of the validation split: a fifth, as of most sets; the others are trained on."""
        return max(1, round(self.images / 5))

    def row(self, start: str) -> str:
        """The name of the row that starts from the row `start`."""
        return f"{start}, then {self.images} images"


@dataclass(frozen=True)
class Start:
    """What a fit starts from: an adapter by path and name of its row, or the base."""

    adapter: str
    row: str
    about: About | None
    """None for the base."""
    backbone: str | None = None
    """Where its base lies, if not where it says."""


def few_shot_jobs(
    shot: FewShot,
    starts: Sequence[Start],
    columns: Sequence[LabelledSet],
    fitted: Mapping[str, Mapping[str, str]],
    out: Path,
) -> Iterator[Job]:
    """Fit from every start on every set that it was not fitted on, and say what is to be measured.

    A start that cannot go on with a set's images, such as one of other bands, is told in a note and left out.
    """
    pairs = [
        (start, column) for start in starts for column in columns if not fitted.get(start.row, {}).get(column.name)
    ]
    for number, (start, column) in enumerate(pairs, start=1):
        row = shot.row(start.row)
        try:
            folder = fitted_folder(shot, start, column, out, f"fit {number} of {len(pairs)}: {row} of {column.name}")
        except InputError as error:
            print(f"note: no {row} of {column.name}: {error}")
            continue
        path = str(folder / "adapter")
        yield Job(row, path, column, about_adapter(path))


def fitted_folder(shot: FewShot, start: Start, column: LabelledSet, out: Path, line: str) -> Path:
    """The folder of a fit, which is run where it was not yet, under that line. Raises InputError."""
    recipe = few_shot_recipe(shot, start, column)
    decides = [resolved_yaml(recipe), start.about and start.about.digest, samples_sha256(column.domain.dataset("all"))]
    folder = out / hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]
    if not (folder / RESULT).exists():
        claim(folder, recipe)
        print(line, flush=True)
        run_apart(folder)
    return folder


def few_shot_recipe(shot: FewShot, start: Start, column: LabelledSet) -> Recipe:
    """The set's recipe, with method, decoder and losses of the adapter that it goes on from; from the base as shipped.

    Raises InputError where the two do not go together.
    """
    budget = [f"train.seconds={shot.seconds}", "train.steps=1000000", "train.seed=0", "train.student=false"]
    cut = {"max_images": shot.images - shot.to_choose_by, "max_val_images": shot.to_choose_by}
    words = [*(f"domain.{name}={count}" for name, count in cut.items()), *budget]
    if start.about is None:
        shipped = load_recipe(*recipe_words(column.domain.name))
        return changed(replace(shipped, domain=column.recipe.domain), words)
    source = start.about.shared.recipe
    recipe = replace(column.recipe, method=source.method, decoder=source.decoder, losses=source.losses)
    with opened(Path(start.adapter)) as folder:
        base = words_of_base(folder, read_info(folder), start.backbone)
    path = os.path.abspath(start.adapter) if os.path.exists(start.adapter) else start.adapter
    return changed(recipe, [f"train.start={json.dumps(path)}", *base, *words])


def starts_of(adapters: Mapping[str, str], about: Mapping[str, About], backbone: str | None) -> list[Start]:
    """The rows of the table as starts."""
    return [Start(path, row, None if path == BASE else about[row], backbone) for path, row in adapters.items()]
