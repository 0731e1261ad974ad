"""Which adapter `predict --adapter auto` chooses, on real images: known sets, and each in turn as one nobody knows.

    python -m benchmarks.accuracy.routing --data DIR        DIR holds the sets of `benchmarks/accuracy.py`

Every set stands for an adapter that was fitted on its training split; what is chosen for the images of its test split
is counted. No network runs. Writes benchmarks/routing.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from adapters.sharing.appearances import Appearances, evenly, united
from benchmarks.accuracy.plan import SETS
from domains.scenes.appearance import appearance
from recipes import set_up
from recipes.build import domain_of
from recipes.reading.compose import load_recipe
from recipes.routing import Router, appearances_of

PAGE = Path(__file__).resolve().parents[1] / "routing.md"
CHOSEN = ("dsb2018_he", "dsb2018_fluo", "magnetic_tile", "crackforest", "nwpu_vhr10", "bsds500")
MOST_TEST = 60
NONE = "none fits"

Looks = Mapping[str, list[np.ndarray]]


def read(data: Path) -> tuple[dict[str, Appearances], dict[str, list[np.ndarray]]]:
    """Of each set what its adapter would keep, and how its test images look."""
    kept, tested = {}, {}
    for name in CHOSEN:
        groups = data / "index" / f"{name}.csv"
        words = [f"domain.data={data / name}", *([f"domain.groups={groups}"] if groups.is_file() else [])]
        domain = domain_of(load_recipe(SETS[name].recipe, words))
        kept[name] = appearances_of(domain.dataset("train"), domain.dataset("val"))
        test = domain.dataset("test")
        chosen = evenly(len(test), MOST_TEST)
        tested[name] = [appearance(test[int(i)].image) for i in chosen]
        print(f"{name}: {len(tested[name])} test images", flush=True)
    return kept, tested


def confusion(kept: Mapping[str, Appearances], tested: Looks) -> dict[str, Counter[str]]:
    """Of each set's test images, how many went to which adapter."""
    router = Router(kept)
    return {name: Counter(router.choose(look).adapter or NONE for look in looks) for name, looks in tested.items()}


def nearest_right(kept: Mapping[str, Appearances], tested: Looks) -> float:
    """The share of all test images that are nearest to the adapter of their own set."""
    router = Router(kept)
    right = [router.choose(look).nearest == name for name, looks in tested.items() for look in looks]
    return float(np.mean(right))


def strangers(kept: Mapping[str, Appearances], tested: Looks) -> dict[str, Counter[str]]:
    """The same, each set with the adapters of the others alone."""
    others = {name: {k: v for k, v in kept.items() if k != name} for name in tested}
    return {name: confusion(others[name], {name: looks})[name] for name, looks in tested.items()}


def of_children(kept: Mapping[str, Appearances], tested: Looks) -> tuple[float, float]:
    """Every two sets' adapters as merged, in their place among the others: the share of both sets' test images that the
    child gets, and of those of the others.
    """
    right, wrong = [], []
    for pair in combinations(kept, 2):
        child = united([kept[name] for name in pair])
        assert child is not None
        router = Router({**{name: looks for name, looks in kept.items() if name not in pair}, "child": child})
        for name, looks in tested.items():
            (right if name in pair else wrong).extend(router.choose(look).adapter == "child" for look in looks)
    return float(np.mean(right)), float(np.mean(wrong))


def page(kept: Mapping[str, Appearances], tested: Looks) -> Iterator[str]:
    """The lines of `benchmarks/routing.md`."""
    yield "# Which adapter is chosen"
    yield ""
    yield "`python -m benchmarks.accuracy.routing --data DIR`: six sets, an adapter's numbers of each from its"
    yield "training and validation split, groups kept whole; counted are images of the test splits. `none fits`: it is"
    yield "further out than 95 % of an adapter's validation images; those go to the bare base. The numbers were chosen"
    yield "on these sets, test images among them: what the method can do, not a promise for others."
    yield ""
    counts = confusion(kept, tested)
    images = sum(map(len, tested.values()))
    sent = sum(counts[name][name] for name in tested)
    wrong = images - sent - sum(row[NONE] for row in counts.values())
    yield f"Nearest to the adapter of their own set: {nearest_right(kept, tested):.3f} of {images} images. Sent there:"
    yield f"{sent / images:.3f}; to another: {wrong / images:.3f}; to none: {1 - (sent + wrong) / images:.3f}."
    yield ""
    yield from table(counts, [*tested, NONE])
    yield ""
    of_both, of_others = of_children(kept, tested)
    yield "Every two adapters merged, their child on the shelf in their place: it gets"
    yield f"{of_both:.3f} of the images of both sets, and {of_others:.3f} of those of the others."
    yield ""
    unknown = strangers(kept, tested)
    refused = {name: row[NONE] / len(tested[name]) for name, row in unknown.items()}
    yield f"Each set in turn without its own adapter on the shelf: {np.mean([*refused.values()]):.2f} refused in the"
    yield f"mean ({', '.join(f'{name} {share:.2f}' for name, share in refused.items())}):"
    yield ""
    yield from table(unknown, [*tested, NONE])


def table(counts: Mapping[str, Counter[str]], columns: Sequence[str]) -> Iterator[str]:
    """Markdown of images by set (rows) and adapter (columns)."""
    yield f"| images of | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, row in counts.items():
        yield f"| {name} | {' | '.join(str(row[column] or '') for column in columns)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Count, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args(words).data
    set_up()
    PAGE.write_text("\n".join(page(*read(data))) + "\n", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
