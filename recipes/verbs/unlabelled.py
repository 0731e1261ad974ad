"""Images without labels, from which an adapter or its student learns too: windows of the training images' size."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from adapters.inference.segment import InputContract
from domains.datasets.domain import Domain
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.scenes import Scene, Viewed, open_scene
from domains.scenes.resampled import Resampled
from domains.tiling.grid import Window, windows
from recipes.inputs import Sight
from recipes.looking import looking
from recipes.plan import Prepared, crops_of
from recipes.scene_files import scenes_of

WINDOWS = 256
"""Of all images together: more are no better for some minutes of learning, and these fit into memory."""
SIDES = 2
"""Of a window, in crops: room for the crop's own place and size."""


def taught(prepared: Prepared, domain: Domain, quiet: bool = False) -> Prepared:
    """The plan with crops of the images without labels that its recipe names, where the adapter learns from such.

    Raises InputError for images that the network cannot be shown.
    """
    recipe, plan = prepared.recipe, prepared.plan
    train, contract = recipe.train, plan.contract
    if train.unlabelled is None or not train.unlabelled_share:
        return prepared
    windows = unlabelled_samples(
        train.unlabelled, contract, domain.name, recipe.domain.crop_px, train.seed, quiet=quiet
    )
    if not quiet:
        print(f"{len(windows)} windows of images without labels in {train.unlabelled}: the mean teacher labels them")
    crops = crops_of(recipe, domain, contract.pixel_size_m, unlabelled=plan.recoloured(windows))
    return replace(prepared, plan=replace(plan, crops=crops))


def unlabelled_samples(
    place: str, contract: InputContract, domain: str, crop_px: int, seed: int = 0, *, quiet: bool = False
) -> list[EntitySample]:
    """Windows of the images that lie in a folder, or of one image or slide, in (H, W, C) uint8 as the network is shown
    scenes, at the size of the training images, all of them unlabelled.

    An image that does not say the size of its pixels is taken to be of the training images'. Where the domain says that
    there is nothing to see (glass) none is taken. An image that cannot be read, or that the network cannot be shown, is
    left out, which a line says. Raises InputError for a folder that is not there, and where no image is left.
    """
    try:
        paths = list(scenes_of([Path(place)]).paths)
    except InputError as error:
        raise InputError(f"train.unlabelled: {error}") from error
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(paths))[:WINDOWS].tolist())
    windows, side = math.ceil(WINDOWS / len(chosen)), math.ceil(SIDES * crop_px / contract.scale)
    samples: list[EntitySample] = []
    faults: list[str] = []
    for number in chosen:
        try:
            with closing(open_scene(paths[number])) as scene:
                samples += cut(scene, contract, domain, side, windows, rng)
        except InputError as error:
            name = repr(str(paths[number]))
            faults.append(str(error) if name in str(error) else f"{name}: {error}")
    if len(faults) == len(chosen):
        raise InputError(f"train.unlabelled: {faults[0]}")
    if faults and not quiet:
        print(f"train.unlabelled: {len(faults)} of {len(chosen)} images were left out; {faults[0]}", file=sys.stderr)
    return samples


def cut(
    scene: Scene, contract: InputContract, domain: str, side: int, count: int, rng: np.random.Generator
) -> Iterator[EntitySample]:
    """Up to so many windows of a scene, of that side in pixels of the training images."""
    viewed, worth = Viewed(scene, contract.view(scene)), looking(domain, Sight())
    factor = contract.factor(scene.pixel_size_m or contract.pixel_size_m) / contract.scale
    sized, is_worth = Resampled(viewed, factor), worth and worth(viewed)
    places = [
        window
        for window in windows(*sized.shape, side, 0)
        if is_worth is None or is_worth(Window(*(int(length / factor) for length in window)))
    ]
    for number in rng.permutation(len(places))[:count].tolist():
        image = sized.read(*places[number])
        unlabelled = EntityMap(np.full(image.shape[:2], UNLABELLED, np.int32))
        yield EntitySample(image, (unlabelled,), Place("unlabelled", *places[number][:2]))
