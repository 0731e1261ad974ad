"""`cli.py predict --points, --boxes or --masks`: entities by prompts, in place of a fitted decoder's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.backbones import Backbone
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.promptable import Promptable, no_granularity
from adapters.decoders.prompted import PromptedDecoder
from adapters.inference.segment import weights_digest
from adapters.runtime import CPU, Runtime
from domains.errors import InputError
from domains.exports import open_exports, output_names
from domains.formats.prompts import Prompt, prompts_of, read_prompts
from domains.tiling.run_folder import open_run
from recipes import set_up
from recipes.build import backbone_of
from recipes.inputs import APG, Prompting, Request
from recipes.load import Loaded, loaded
from recipes.scene_files import scenes_of
from recipes.shared import BASE, base_recipe, on_base
from recipes.verbs.decoder_prompts import DecoderPrompts
from recipes.verbs.predict import Images, destination_of, names_of, predict_all, tell
from recipes.verbs.prompted import PromptedEntities
from recipes.verbs.prompted_run import PromptedRun


def predict_prompts(request: Request, prompting: Prompting, runtime: Runtime = CPU) -> None:
    """Write every format for every image: the entities of its prompts, or all that are proposed without any.

    Goes on, and leaves images out, as `predict` does. Raises InputError, for bad prompts before the network is loaded.
    """
    set_up()
    prompts = prompts_in(prompting)
    scenes = scenes_of(request.inputs)
    for note in scenes.notes():
        print(note, file=sys.stderr)
    by_image = prompts_of(prompts, prompting.words, [path.name for path in scenes.paths])
    names = output_names(scenes.paths)
    granularity = request.sight.granularity
    if granularity is not None and request.writing.nested:
        raise InputError(
            "--format forest keeps all masks of a prompt; leave out --granularity, and cut the forest by `cut`"
        )
    with backbone_of_prompts(request) as (backbone, network, domain, digest):
        promptable = promptable_of(backbone, network, runtime)
        if granularity is not None and prompting.masks is None and not promptable.takes_granularity:
            raise no_granularity(promptable.name)
        decoder = None
        if prompting.masks == APG and network is not None:
            decoder = DecoderPrompts(promptable, network.segmenter.place(runtime), network.contract)
        namer = network if network is not None and network.labeller is not None else None
        plan = plan_of(request, prompting, [domain, digest, runtime.precision])
        if namer is not None:
            namer.segmenter.place(runtime)
            plan["labels"] = namer.labeller and namer.labeller.digest()
        with open_run(request.out, plan, request.writing.overwrite) as journal:
            images = Images(names_of(scenes.paths, names, journal), journal, request.out)
            images.tidy()
            images.tell_going_on()
            destination = destination_of(request, domain, images, namer is not None)
            exports = open_exports(request.writing.formats, destination, images.remaining.values())
            finder = PromptedEntities(promptable, request.sight.asked.window_px, granularity, decoder)
            nested = request.writing.nested
            run = PromptedRun(finder, exports, by_image, prompting.masks, request.sight, nested, namer)
            faults = predict_all(run, images)
            journal.end()
    tell(images, destination, faults, request.writing.formats)


def promptable_of(backbone: Backbone, network: Loaded | None, runtime: Runtime) -> Promptable:
    """What answers: the adapter's decoder where that was fitted by prompts, else what the backbone has."""
    if network is not None and isinstance(decoder := network.segmenter.decoder, PromptedDecoder):
        network.segmenter.place(runtime)
        return decoder.promptable(backbone, network.contract.tile_px, runtime.autocast)
    return build_promptable(backbone.to(runtime.device), runtime.autocast)


def prompts_in(prompting: Prompting) -> list[Prompt]:
    """The prompts of both files: a box is one, and so is a point, or are the points of one `prompt`."""
    prompts: list[Prompt] = []
    if prompting.points is not None:
        prompts += read_prompts(prompting.points, "points")
    if prompting.boxes is not None:
        prompts += read_prompts(prompting.boxes, "boxes")
    return prompts


@contextmanager
def backbone_of_prompts(request: Request) -> Iterator[tuple[Backbone, Loaded | None, str, str]]:
    """The backbone of the adapter, merged with it, or the bare one; the network that it is of, None for the bare one;
    its domain's name, and the digest of weights.
    """
    if request.adapter == BASE:
        recipe = base_recipe(request.recipe, on_base(request.backbone))
        backbone = backbone_of(recipe)
        yield backbone, None, recipe.domain.name, backbone.fingerprint()
        return
    with loaded(request.adapter, request.recipe, on_base(request.backbone), member=request.member) as network:
        yield network.segmenter.backbone, network, network.domain, weights_digest(network.segmenter)


def plan_of(request: Request, prompting: Prompting, network: Sequence[str]) -> dict[str, Any]:
    """What decides the results, by what a user calls it; JSON."""
    sight, writing = request.sight, request.writing
    files = {"--points": prompting.points, "--boxes": prompting.boxes}
    limits = {
        "--granularity": sight.granularity,
        "--least-score": writing.least_score,
        "--least-area": writing.least_area and str(writing.least_area),
        "--most-area": writing.most_area and str(writing.most_area),
    }
    return {
        "adapter": list(network),
        **{option: digest_of(path) for option, path in files.items() if path is not None},
        "--masks": prompting.masks,
        "--window": sight.asked.window_px,
        "--format": sorted(set(writing.formats)),
        "--pixel-size": sight.pixel_size_m,
        "--simplify": writing.simplify_px,
        "--square": writing.square,
        **{option: value for option, value in limits.items() if value is not None},
    }


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()
