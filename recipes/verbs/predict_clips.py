"""`cli.py predict` of clips: entities of every frame, followed, so that each has one id from its birth to its exit."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.inference.segment import Cut, InputContract
from adapters.network import EntitySegmenter
from adapters.options.section import values_of
from adapters.options.tracking import Keyframes, Motion, TrackingOptions
from adapters.runtime import CPU, Runtime
from adapters.tracking import build_tracker
from adapters.tracking.identified_tracks import identified_tracks
from adapters.tracking.propagation import Propagation
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.errors import InputError
from domains.exports import Destination, output_names
from domains.exports.clip_formats import clip_exports
from domains.exports.track_classes import TrackClasses
from domains.exports.tracked import ClipExport, TrackedClip
from domains.scenes.frames import Clip
from domains.scenes.images import as_rgb
from domains.scenes.video import open_clip
from domains.tiling.clip_journal import ClipJournal
from domains.tiling.run_folder import open_run
from recipes import set_up
from recipes.inputs import Request
from recipes.load import Loaded, Ready
from recipes.sides import window_on_patches
from recipes.verbs.clip_frames import EntityFinder, Reading, follow_frames
from recipes.verbs.export import ready
from recipes.verbs.numbers import counted
from recipes.verbs.predict import Images, destination_of, names_of, plan_of, registry_of
from recipes.verbs.predict_scenes import running_folder, state_of
from recipes.verbs.progress import Progress
from recipes.verbs.tracking import tracking_of

JOURNAL = "clip.sqlite"


def predict_clips(request: Request, runtime: Runtime = CPU, tracking: Sequence[str] = ()) -> None:
    """Write every format for every clip. Stopped, however it was, the same command goes on with the same ids.

    tracking: `KEY=VALUE` in place of the recipe's options. Raises InputError.
    """
    set_up()
    paths = [source for source in request.inputs if isinstance(source, Path)]
    formats, left_out = clip_exports(request.writing.formats)
    if left_out:
        print(left_out, file=sys.stderr)
    with ready(request, runtime) as network:
        if network.is_nameless:
            print("entities get no class: --fast goes by the student, which cannot tell them", file=sys.stderr)
        contract = network.contract.changed(**vars(window_on_patches(request.sight.asked, network.segmenter.backbone)))
        options = tracking_of(network.recipe.tracking if isinstance(network, Loaded) else Motion(), tracking)
        build_tracker(options, str(network.segmenter.device), network.memory)  # what it cannot read is told first
        plan = plan_of(request, network, contract) | {"--track": values_of(options), "--format": sorted(formats)}
        with registry_of(request) as registry, open_run(request.out, plan, request.writing.overwrite) as journal:
            images = Images(names_of(paths, output_names(paths), journal), journal, request.out)
            images.tidy()
            images.tell_going_on("clips")
            destination = destination_of(request, network.domain, images)
            run = ClipRun(network, contract, options, formats, destination, request, registry)
            for name in images.remaining.values():
                for export in formats.values():
                    for file in export.files(name):
                        destination.path(file)
            if not images.remaining:
                clips = "the clip is" if len(images.names) == 1 else f"{len(images.names)} clips are"
                print(f"nothing to do: {clips} done in {request.out}; --overwrite does them anew")
            faults = []
            for path, name in images.remaining.items():
                assert isinstance(path, Path)
                try:
                    clip = open_clip(path, request.sight.pixel_size_m)
                except InputError as error:
                    faults.append(str(error))
                    continue
                with closing(clip):
                    reading = Reading(clip, contract)
                    if next(iter(reading), None) is None:
                        faults.append(reading.fault or f"{str(path)!r} has no frame; copy or export it again")
                    else:
                        run.predict(clip, path, name)
            journal.end()
    check_whole(images, faults)


def check_whole(images: Images, left_out: Sequence[str]) -> None:
    """Raises InputError where clips ended before they should, whose results are there, or were left out. left_out: why
    each of these was.
    """
    names = {*images.names.values()}
    early = [entry.values["fault"] for entry in images.journal.images
             if entry.done and entry.name in names and entry.values.get("fault")]  # fmt: skip
    total, lines = len(images.names), []
    if left_out:
        lines.append(f"{len(left_out)} of {total} clips were left out")
    if early:
        lines.append(f"{len(early)} of {total} clips ended early, what came before is kept")
    if lines:
        reasons = [*left_out[:1], *early[:1]]
        anew = "; mend it and predict with --overwrite" if early and not left_out else ""
        raise InputError(f"{'; '.join(lines)}: {'; '.join(reasons)}{anew}")


@dataclass(frozen=True)
class ClipRun:
    """What the clips of one call share."""

    network: Ready
    contract: InputContract
    options: TrackingOptions
    formats: Mapping[str, ClipExport]
    destination: Destination
    request: Request
    registry: Registry | None = None

    @property
    def segmenter(self) -> EntitySegmenter:
        """The network."""
        return self.network.segmenter

    def predict(self, clip: Clip, path: Path, name: str) -> None:
        """Follow the entities of a clip, and write all formats of what can be read of it. Raises InputError."""
        about = state_of(path)
        for remark in clip.about.remarks:
            print(f"{name}: {remark}", file=sys.stderr)
        files = [file for export in self.formats.values() for file in export.files(name)]
        self.destination.journal.begin(name, str(path), about, files, {"path": str(path.resolve())})
        folder = running_folder(self.destination.folder, name)
        plan = {"scene": str(path.resolve()), "about": about, "tracking": values_of(self.options)}
        with closing(ClipJournal(folder / JOURNAL, plan)) as journal:
            if not journal.is_whole:
                self.follow(clip, name, journal)
            tracks, fault = journal.tracks(), journal.fault
            self.write(clip, path, name, journal)
        self.destination.journal.done(entities=len(tracks.tracks), frames=tracks.frames, fault=fault)
        shutil.rmtree(folder, ignore_errors=True)
        divided = sum(track.exit == "divided" for track in tracks.tracks)
        divisions = f", {counted(divided, 'division')}" if divided else ""
        followed = f"{counted(len(tracks.tracks), 'track')} in {counted(tracks.frames, 'frame')}"
        print(f"{followed}{divisions}: {self.destination.folder}")

    def write(self, clip: Clip, path: Path, name: str, journal: ClipJournal) -> None:
        """Write all formats of a clip that was followed."""
        for note in journal.notes():
            print(note, file=sys.stderr)
        labeller = self.network.labeller
        tracked = TrackedClip(
            name,
            str(path),
            clip.about.shape,
            rate=clip.about.rate,
            pixel_size_m=clip.about.pixel_size_m,
            tracks=journal.tracks(),
            frames=journal.frames,
            images=lambda: self.pictures(clip),
            persistent_ids=self.persistent_ids(clip, path, journal),
            classes=labeller and TrackClasses.of(labeller.names, journal.classes()),
        )
        for export in self.formats.values():
            export.write(tracked, self.destination)

    def follow(self, clip: Clip, name: str, journal: ClipJournal) -> None:
        """Predict the frames that are not done, from the journal's state on; what came is kept where that stops."""
        tracker = build_tracker(self.options, str(self.segmenter.device), self.network.memory)
        finder, start = self.finder, journal.done
        if start and (state := journal.state()) is not None:
            tracker.restore(state)
            if finder.propagation is not None:
                finder.propagation.restore(state)
            print(f"{name}: goes on at frame {start}", file=sys.stderr)
        steps = clip.about.count or clip.about.likely or 0
        reading = Reading(clip, self.contract, start)
        with (
            Progress(f"predict {name}", steps, unit="frames") as progress,
            closing(follow_frames(reading, finder, tracker, journal)) as frames,
        ):
            progress.begin_at(start)
            for frame in frames:
                progress.saw(frame.pixels)
                progress.advance({"tracks": float(frame.tracks)})
        journal.end(tracker.close(), clip.noted(), reading.fault)

    @property
    def finder(self) -> EntityFinder:
        """What finds the entities of a clip's frames, before its first."""
        options = self.options
        return EntityFinder(
            self.segmenter,
            self.contract,
            Cut.of(self.segmenter, self.request.sight.granularity, nested=False),
            self.destination.limits,
            Propagation(options) if isinstance(options, Keyframes) and options.realtime else None,
            self.network.labeller,
        )

    def persistent_ids(self, clip: Clip, path: Path, journal: ClipJournal) -> dict[int, int] | None:
        """The id of each track by the registry that was named, which is asked once; None without one."""
        if self.registry is None:
            return None
        name = str(self.registry.path.resolve())
        ids = journal.ids(name)
        if ids is None:
            ids = identified_tracks(journal.frames(), self.pictures(clip), Visit(self.registry, str(path)))
            journal.keep_ids(name, ids)
        return ids

    def pictures(self, clip: Clip) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 of every frame, as the network was shown it."""
        return (as_rgb(picture.image) for _, picture in Reading(clip, self.contract))
