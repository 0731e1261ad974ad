"""Where a domain looks at a scene: at the tissue of a slide, not at its empty glass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature

from domains.datasets.domain import WorthLooking, load_domain
from domains.errors import InputError
from domains.scenes import Scene
from recipes.inputs import Sight

Worth = Callable[[Scene], WorthLooking | None]


def looking(domain: str, sight: Sight) -> Worth | None:
    """Where the domain of that name looks at a scene; None for everywhere. Raises InputError for a size of dust where
    it has none.
    """
    if sight.everywhere:
        return None
    worth, smallest_um2 = getattr(load_domain(domain), "worth", None), sight.smallest_um2
    if smallest_um2 is None:
        return worth
    if worth is None or "smallest_um2" not in signature(worth).parameters:
        raise InputError(
            f"--smallest-piece is {smallest_um2:g} um2; the domain {domain!r} looks at all of an image whatever the "
            "size of its pieces, leave the option out"
        )
    return partial(worth, smallest_um2=smallest_um2)
