"""`cli.py predict`: images and slides in, label maps, outlines, tables and pictures out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.inference.segment import Cut, InputContract, weights_digest
from adapters.runtime import CPU, Runtime
from adapters.tracking.registry import Registry
from domains.datasets.domain import load_domain
from domains.errors import InputError
from domains.exports import DEFAULT, Destination, open_exports, output_names
from domains.exports.entity_table import LABELLED, PERSISTENT
from domains.exports.limits import Limits
from domains.scenes.address import Source
from domains.tiling.image_journal import ImageJournal
from domains.tiling.run_folder import open_run
from domains.tiling.running import discard
from recipes import set_up
from recipes.inputs import Request
from recipes.load import Ready
from recipes.looking import looking
from recipes.reading.command import command
from recipes.scene_files import scenes_of
from recipes.sides import window_on_patches
from recipes.verbs.export import ready
from recipes.verbs.numbers import counted
from recipes.verbs.predict_scenes import Run, running_folder, state_of, tell_impossible
from recipes.verbs.progress import Progress

if TYPE_CHECKING:  # a SAM's decoder brings transformers along
    from recipes.verbs.prompted_run import PromptedRun

HARDLY = 0.01  # of a scene's tiles: less is told at the end


def predict(request: Request, runtime: Runtime = CPU) -> None:
    """Write every format for every image. An image that cannot be read is named and left out; the others go on.

    Stopped, however it was, the same command goes on; images that are done are not predicted again, unless their file
    was changed since. The tables hold all images that are done in `request.out`. Raises InputError.
    """
    set_up()
    scenes = scenes_of(request.inputs)
    names = output_names(scenes.paths)
    for note in scenes.notes():
        print(note, file=sys.stderr)
    with ready(request, runtime) as network:
        asked = window_on_patches(request.sight.asked, network.segmenter.backbone)
        contract = network.contract.changed(**vars(asked))
        if network.is_nameless:
            print("entities get no class: --fast goes by the student, which cannot tell them", file=sys.stderr)
        if network.labeller is not None and request.writing.nested:
            print("nested entities get no class; the formats of the flat map have them", file=sys.stderr)
        worth = looking(network.domain, request.sight)
        plan = plan_of(request, network, contract)
        with registry_of(request) as registry, open_run(request.out, plan, request.writing.overwrite) as journal:
            images = Images(names_of(scenes.paths, names, journal), journal, request.out)
            images.tidy()
            images.tell_going_on()
            destination = destination_of(request, network.domain, images, network.labeller is not None)
            exports = open_exports(request.writing.formats, destination, images.remaining.values())
            if not images.remaining and not exports.close():
                journal.end()
                done = f"{len(images.names)} images are done in {request.out}"
                print(f"nothing to do: {done}; --overwrite predicts them anew")
                return
            cut = Cut.of(network.segmenter, request.sight.granularity, request.writing.nested)
            run = Run(
                network.segmenter, contract, exports, worth, request.sight, cut, plan["adapter"][1],
                labeller=network.labeller, registry=registry,
            )  # fmt: skip
            if request.scheduler is None:
                faults = predict_all(run, images)
            else:
                from recipes.verbs.predict_cohort import on_cluster  # Dask, which not everybody has

                with on_cluster(request, contract, runtime.precision, images.remaining) as maps:
                    faults = predict_all(replace(run, maps=maps), images)
            journal.end()
    tell(images, destination, faults, request.writing.formats, request.sight.smallest_um2)


def plan_of(request: Request, network: Ready, contract: InputContract) -> dict[str, Any]:
    """What decides the results, by what a user calls it; JSON."""
    sight, writing, precision = request.sight, request.writing, network.segmenter.runtime.precision
    limits = {
        "--least-score": writing.least_score,
        "--least-area": writing.least_area and str(writing.least_area),
        "--most-area": writing.most_area and str(writing.most_area),
        "--granularity": sight.granularity,
        "--fast": request.fast or None,
        "--ids": writing.registry and str(writing.registry.resolve()),
        "--precision": None if precision == CPU.precision else precision,
        "labels": network.labeller and network.labeller.digest(),
    }
    return {
        "adapter": [network.domain, weights_digest(network.segmenter)],
        "input contract (--symmetries, --test-scales, --window)": contract.values(),
        "--format": sorted(set(writing.formats)),
        "--pixel-size": sight.pixel_size_m,
        "--everywhere": sight.everywhere,
        "--smallest-piece": sight.smallest_um2,
        "--simplify": writing.simplify_px,
        "--square": writing.square,
        **{option: value for option, value in limits.items() if value is not None},  # a run of before goes on
    }


@dataclass(frozen=True)
class Images:
    """The images of a call. names: path or address to the name of its results."""

    names: Mapping[Source, str]
    journal: ImageJournal
    out: Path

    @cached_property
    def remaining(self) -> dict[Source, str]:
        """Those of `names` that were not done when it was first asked."""
        return {path: name for path, name in self.names.items() if not self.is_done(path)}

    def tell_going_on(self, nouns: str = "images") -> None:
        """Print how many are done, where that is neither none nor all. nouns: what they are."""
        done = len(self.names) - len(self.remaining)
        if done and self.remaining:
            print(f"goes on: {done} of {len(self.names)} {nouns} are done", file=sys.stderr)

    def is_done(self, path: Source) -> bool:
        """Whether all results of an image are there, and its file is as it was then."""
        entry = self.journal.entries.get(self.names[path])
        if entry is None or not entry.done or entry.about != state_of(path):
            return False
        return all((self.out / file).exists() for file in entry.files)

    def tidy(self) -> None:
        """Remove what a stopped run left of big scenes that are done or changed since, or that are to be begun anew."""
        for path, name in self.names.items():
            folder, entry = running_folder(self.out, name), self.journal.entries.get(name)
            anew = entry is None and self.journal.overwrites
            if folder.exists() and (anew or entry is not None and (entry.done or entry.about != state_of(path))):
                discard(folder)


@contextmanager
def registry_of(request: Request) -> Iterator[Registry | None]:
    """The registry that a call names; None without one. Raises InputError for one that cannot be used."""
    if request.writing.registry is None:
        yield None
        return
    with Registry(request.writing.registry) as registry:
        yield registry


def destination_of(request: Request, domain: str, images: Images, labelled: bool = False) -> Destination:
    """Where the results of a call go, and how. labelled: whether entities get a class."""
    writing, spec = request.writing, load_domain(domain)
    has_ids = writing.registry is not None
    return Destination(
        request.out,
        writing.overwrite,
        flavour=getattr(spec, "flavour", "plain"),
        describe=getattr(spec, "describe", None),
        simplify_px=writing.simplify_px,
        square=writing.square,
        inputs=frozenset(path.resolve() for path in images.names if isinstance(path, Path)),
        journal=images.journal,
        order=tuple(images.names.values()),
        limits=Limits(writing.least_score, writing.least_area, writing.most_area),
        columns=(*[LABELLED] * labelled, *[PERSISTENT] * has_ids),
    )


def predict_all(run: Run | PromptedRun, images: Images) -> list[str]:
    """Predict what is not done; what is wrong with the images that are left out."""
    faults = []
    with run.exports, Progress("predict", len(images.names), unit="images") as progress:
        progress.begin_at(len(images.names) - len(images.remaining))
        run = replace(run, on_tile=progress.tick)
        tell_impossible(list(images.remaining), run.exports.exports, run.sight.pixel_size_m)
        for path, name in images.remaining.items():
            about = state_of(path)  # as it is when it is opened
            try:
                scene = run.open(path)
            except InputError as error:
                faults.append(str(error))
            else:
                with closing(scene):
                    run.predict(scene, path, name, about)
                    progress.saw(scene.shape[0] * scene.shape[1])
            progress.advance()
    return faults


def tell(
    images: Images,
    destination: Destination,
    faults: Sequence[str],
    formats: Sequence[str],
    smallest_um2: float | None = None,
) -> None:
    """Say what was done, and what to do with it. formats: as they were asked for; none for those that fit. Raises
    InputError where images were left out.
    """
    finished, names = destination.done(), {*images.names.values()}
    entries = [entry for entry in finished if entry.name in names]
    entities = counted(sum(entry.values["entities"] for entry in entries), "entity", "entities")
    print(f"{entities} in {counted(len(entries), 'image')}: {images.out}")
    if len(finished) > len(entries):
        count = len(finished) - len(entries)
        print(f"the tables hold {count} more images, which earlier commands predicted", file=sys.stderr)
    warning = hardly_looked({entry.name: entry.values.get("looked_at", 1.0) for entry in entries}, smallest_um2)
    if faults:
        remark = f"; {warning}" if warning else ""
        total = len(images.names)
        finished_note = ", the others are done" if entries else ""
        raise InputError(f"{len(faults)} of {total} images were left out{finished_note}; {faults[0]}{remark}")
    if step := next_step(images.out, formats or DEFAULT):
        print(f"next: {step}", flush=True)
    if warning:
        print(warning, file=sys.stderr)


def next_step(out: Path, formats: Sequence[str]) -> str:
    """What to do with results of these formats; "" where that is plain."""
    steps = {
        "overlay": "look at the .overlay.png files",
        "geojson": "open the .geojson in QuPath, QGIS or napari",
        "forest": command("cut", out, "--granularity", "0.2", "--out", "DIR"),
    }
    return ", or ".join(step for word, step in steps.items() if word in formats)


def names_of(paths: Iterable[Source], names: Mapping[Source, str], journal: ImageJournal) -> dict[Source, str]:
    """Of each image the name of its results: what it was begun under, where it was, else that of `names`.

    Raises InputError where an image would take the name of another's results.
    """
    begun = {entry.values["path"]: entry.name for entry in journal.images}
    paths_of = {name: path for path, name in begun.items()}
    chosen = {}
    for path in paths:
        resolved = str(path.resolve())
        chosen[path] = name = begun.get(resolved, names[path])
        if paths_of.get(name, resolved) != resolved:
            raise InputError(
                f"{str(path)!r} would be called {name!r}, as the results of {paths_of[name]!r} are; name another --out"
            )
    return chosen


def hardly_looked(looked_at: Mapping[str, float], smallest_um2: float | None) -> str:
    """A warning of scenes of which next to nothing was looked at, "" without any. looked_at: name to share of tiles."""
    scenes = [name for name, share in looked_at.items() if share < HARDLY]
    if not scenes:
        return ""
    share = looked_at[scenes[0]]
    amount = f"{share:.2%}" if share else "nothing"
    further = f" (and {len(scenes) - 1} more scenes)" if len(scenes) > 1 else ""
    smaller = "" if smallest_um2 == 0 else " or --smallest-piece 0 for every speck"
    return (
        f"warning: {amount} of {scenes[0]!r} was looked at{further}: the rest was taken for empty glass; look at "
        f"{scenes[0]}.tiles.png, and where it lacks tissue predict again with --everywhere{smaller}, and --overwrite"
    )
