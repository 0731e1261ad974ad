"""`cli.py adapters teach`: classes for the entities of an adapter, from a few labelled ones, without a fit."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from adapters.inference.labelled import examples_of
from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import Examples, calibrated_on_itself, extended
from adapters.labelling.pooled import Blocks
from adapters.options.labels import MOST_CLASSES, NAME_RULE, LabelOptions, may_be_class
from adapters.options.section import checked
from adapters.sharing.door import read_recipe
from adapters.sharing.info import FILES, RECIPE, present
from adapters.sharing.labels_file import set_labeller
from adapters.sharing.opening import opened
from adapters.sharing.texts import yaml_text
from domains.atomic import atomic_folder
from domains.datasets.dataset import EntityDataset
from domains.entities import UNKNOWN, Samples
from domains.errors import InputError, printable
from domains.formats.layout import Record
from recipes import set_up
from recipes.build import domain_of
from recipes.labels import check_map, class_names, spelt_plainly
from recipes.load import Loaded, loaded
from recipes.reading.command import following
from recipes.shared import BASE, on_base

KIND = "prototypes"
"""Of an adapter that knows no classes yet: a handful of examples teaches it better than a regression."""


def taught_text(
    adapter: str,
    examples: Path,
    out: Path,
    kind: str | None = None,
    classes: Sequence[str] = (),
    backbone: str | None = None,
) -> str:
    """Write the adapter with the classes of a folder of labelled images to OUT; what it knows now, and the next line.

    kind: of the labeller; None for what the adapter has, else `KIND`. classes: `data's name=adapter's name`; none takes
    all as they are. backbone: where the base lies, if not where the adapter says. Raises InputError.
    """
    set_up()
    if adapter == BASE:
        raise InputError("the base itself cannot be taught; wanted an adapter, which `fit` makes")
    if out.exists():
        raise InputError(f"{str(out)!r} exists; name another folder")
    if not examples.exists():
        raise InputError(f"--examples is {str(examples)!r}, and nothing is there; wanted a folder of labelled images")
    options = checked(LabelOptions, {"kind": kind or KIND, "map": class_map(classes)}, LabelOptions.SOURCE)
    with loaded(adapter, overrides=on_base(backbone)) as network:
        entities = examples_in(examples, network, options)
        labeller = labeller_of(network, kind, entities)
        former = network.labeller
        lost = sorted({*former.vocabulary} - {*labeller.vocabulary}) if former else []
        with opened(Path(adapter)) as folder, atomic_folder(out) as copy:
            copied(folder, copy)
            set_labeller(copy, labeller, recipe_yaml=recipe_with(copy, network, labeller, options.map))
    counts = Counter(entities.vocabulary[k] for k in entities.classes)
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    knows = f"it tells {len(labeller.vocabulary)} classes apart, by {labeller.kind}"
    if lost:
        knows += f"; it no longer knows {', '.join(lost)}, since --kind is another than it had"
    return (
        printable(f"{out}: taught by {len(entities)} entities: {listed}; {knows}")
        + "\n"
        + following("predict", "--adapter", out, "IMAGE", "--out", "predictions")
    )


def recipe_with(folder: Path, network: Loaded, labeller: Labeller, classes: Mapping[str, str] | None) -> str | None:
    """The adapter's recipe with the names by which its classes go in the data, so that `evaluate` knows them there too;
    None where it stays as it is.
    """
    if classes is None or not present(folder, RECIPE):
        return None
    former = network.recipe.labels.map or {name: name for name in labeller.vocabulary}
    sections = read_recipe(folder)
    named = {name: target for name, target in {**former, **classes}.items() if target in labeller.vocabulary}
    return yaml_text({**sections, "labels": {**sections.get("labels", {}), "map": named}})


def class_map(words: Sequence[str]) -> dict[str, str] | None:
    """Of words `data's name=adapter's name`. Raises InputError for one without a sign."""
    pairs = [word.partition("=") for word in words]
    for (name, sign, target), word in zip(pairs, words, strict=True):
        if not (name and sign and target):
            raise InputError(f"--class is {word!r}; wanted NAME_IN_THE_DATA=NAME, such as tumour=neoplastic")
    return {name: target for name, _, target in pairs} or None


def examples_in(folder: Path, network: Loaded, options: LabelOptions) -> Examples:
    """The entities of a folder that have a class, described by a network; without a map those called `unknown`, as what
    nobody named is in tables of vectors, are left out. Raises InputError where there are none.

    folder: or a file in it, an image or a file of annotations: the entities of that alone.
    """
    recipe = network.recipe
    domain = replace(recipe.domain, data=str(folder.parent if folder.is_file() else folder), groups=None)
    samples = domain_of(replace(recipe, domain=domain)).dataset("all")
    if folder.is_file():
        samples = of_file(samples, folder)
    names = class_names(samples) - {"", UNKNOWN}
    if not names:
        raise InputError(f"no entity in {str(folder)!r} has a class; see docs/formats.md for layouts that say them")
    check_map(options, samples)
    if UNKNOWN in (options.map or {}).values():
        raise InputError(
            f"{UNKNOWN!r} is what is none of the classes and cannot be taught; give it another name by --class"
        )
    classes = options.map or {name: name for name in names}
    check_names({*classes.values()})
    return examples_of(network.segmenter, samples, network.contract, classes)


def of_file(samples: Samples, file: Path) -> Samples:
    """The samples of one image, or of what one file draws. Raises InputError where these are not known."""
    file = file.resolve()

    def drawn(record: Record) -> bool:
        image, files = record.image, [path.resolve() for path in getattr(record.truth, "files", ())]
        return file in (image.resolve(), *files) or file.name.startswith((f"{image.stem}.", f"{image.name}."))

    if isinstance(samples, EntityDataset) and (records := [record for record in samples.records if drawn(record)]):
        return EntityDataset(records, samples.layout, samples.cache)
    raise InputError(
        f"--examples is {str(file)!r}, which is no labelled image of its folder and draws none; name an image, or the "
        "folder that holds it"
    )


def check_names(names: Set[str]) -> None:
    """Raises InputError for names that no class of an adapter may have, and for too many of them."""
    if unfit := sorted(name for name in names if not may_be_class(name)):
        raise InputError(
            f"the examples have the class {unfit[0]!r}; names of classes are of {NAME_RULE}: give the classes that you "
            "want other names by --class NAME=OTHER"
        )
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"the examples have {len(names)} classes, an adapter knows up to {MOST_CLASSES}; name those that you want "
            "by --class NAME=NAME"
        )


def labeller_of(network: Loaded, kind: str | None, examples: Examples) -> Labeller:
    """The adapter's labeller with more examples, or a new one where it has none or one of another kind is asked for.

    Raises InputError for a class whose name is that of another but for capitals or spaces.
    """
    former = network.labeller
    if former is None or kind not in (None, former.kind):
        return calibrated_on_itself(kind or KIND, examples, Blocks.of(network.segmenter))
    plain = {spelt_plainly(name): name for name in former.vocabulary}
    for name in examples.vocabulary:
        if plain.get(spelt_plainly(name), name) != name:
            former_name = plain[spelt_plainly(name)]
            raise InputError(
                f"the examples have the class {name!r}, the adapter {former_name!r}: say whether they are one, by "
                f"--class {name!r}={former_name!r}, or name it otherwise"
            )
    check_names({*former.vocabulary, *examples.vocabulary})
    return extended(former, examples)


def copied(folder: Path, out: Path) -> None:
    """The files of an adapter, and no others, in an empty folder."""
    for name in FILES:
        if present(folder, name):
            shutil.copyfile(folder / name, out / name)
