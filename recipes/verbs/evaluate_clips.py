"""`cli.py evaluate` on clips: the tracks of a folder, or of an adapter and a tracker, beside annotated ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.options.section import values_of
from adapters.options.tracking import Keyframes
from adapters.runtime import CPU, Runtime
from adapters.tracking import build_tracker
from adapters.tracking.propagation import Propagation
from domains.errors import InputError
from domains.formats.clips import read_clips
from domains.formats.labelled_clip import LabelledClip
from domains.metrics.clip_metric_set import ClipMetricSet, TrackMaps
from domains.scenes.images import read_frames
from recipes import set_up
from recipes.load import loaded
from recipes.runtime import choose
from recipes.verbs.following import Followed, carried, entities_of
from recipes.verbs.numbers import plain, write_json
from recipes.verbs.progress import Progress
from recipes.verbs.tables import text_table, with_span
from recipes.verbs.tracking import tracking_of


def evaluate_clips(
    adapter: str,
    data: str,
    tracks: Path | None,
    settings: Sequence[str] = (),
    json_path: Path | None = None,
    *,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    where: tuple[str, str] = ("cpu", "auto"),
    fast: bool = False,
) -> dict[str, Any]:
    """Either `evaluate_tracks`, or, without tracks, `evaluate_adapter`. where: device and precision, as a user says."""
    if tracks is not None:
        return evaluate_tracks(tracks, Path(data), json_path)
    runtime = choose(*where)
    return evaluate_adapter(adapter, Path(data), settings, json_path, recipe, overrides, runtime=runtime, fast=fast)


def evaluate_tracks(tracks: Path, data: Path, json_path: Path | None = None) -> dict[str, Any]:
    """Measure the clips of a folder or file of tracks on those of the same names in annotated data; prints a table,
    writes `json_path` if given, and returns what it holds. Raises InputError where a clip has no tracks.
    """
    set_up()
    check_json(json_path)
    truths = read_clips(data)
    predictions = {clip.name: clip for clip in read_clips(tracks)}
    pairs = [(_counterpart(truth, truths, predictions, tracks), truth) for truth in truths]
    metrics = ClipMetricSet()
    with Progress("evaluate", len(pairs), unit="clips") as progress:
        for prediction, truth in pairs:
            maps = TrackMaps(prediction.maps(truth.times), prediction.parents)
            _update(metrics, maps, truth)
            progress.advance()
    notes = [note for pair in pairs for clip in pair for note in clip.notes]
    return _told(metrics, {"tracks": str(tracks), "data": str(data)}, notes, json_path)


def evaluate_adapter(
    adapter: str,
    data: Path,
    settings: Sequence[str] = (),
    json_path: Path | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    *,
    runtime: Runtime = CPU,
    fast: bool = False,
) -> dict[str, Any]:
    """Measure an adapter with a tracker on annotated clips; as `evaluate_tracks`. Only labelled frames are seen.

    settings: `KEY=VALUE` in place of the recipe's options of its tracker, of which `name=` chooses another. Raises
    InputError for clips whose pictures are not here, and for unknown options.
    """
    set_up()
    check_json(json_path)
    truths = read_clips(data)
    for truth in truths:
        if not truth.pictures:
            raise InputError(
                f"{str(truth.source)!r}: the pictures of clip {truth.name!r} are not here; put a file for each "
                "labelled frame beside its labels, or measure tracks with --tracks"
            )
    metrics = ClipMetricSet()
    frames = sum(map(len, truths))
    with (
        loaded(adapter, recipe, overrides, runtime=runtime, fast=fast) as network,
        Progress("evaluate", frames, unit="frames") as progress,
    ):
        options = tracking_of(network.recipe.tracking, settings)
        for truth in truths:
            images = _advancing(read_frames(truth.pictures), progress)
            tracker_of_clip = build_tracker(options, str(network.segmenter.device), network.memory)
            seen = entities_of(network.segmenter, network.contract, images)
            if isinstance(options, Keyframes) and options.realtime:
                seen = carried(seen, Propagation(options))
            followed = Followed(tracker_of_clip, seen)
            _update(metrics, TrackMaps(followed.maps, followed.parents), truth)
    about = {"adapter": adapter, "tracker": options.name, "tracking": values_of(options), "data": str(data)}
    about |= {"fast": True} if fast else {}
    return _told(metrics, about, [note for truth in truths for note in truth.notes], json_path)


def _advancing(images: Iterator[np.ndarray], progress: Progress) -> Iterator[np.ndarray]:
    for image in images:
        yield image
        progress.advance()


def _counterpart(
    truth: LabelledClip, truths: Sequence[LabelledClip], predictions: dict[str, LabelledClip], tracks: Path
) -> LabelledClip:
    """The predicted clip of the truth's name; of one clip and one prediction the two belong together."""
    if truth.name in predictions:
        return predictions[truth.name]
    if len(truths) == len(predictions) == 1:
        return next(iter(predictions.values()))
    names = ", ".join(sorted(predictions)[:5])
    raise InputError(
        f"{str(tracks)!r}: has no tracks of clip {truth.name!r}; it has {names}; predict every clip, under its name"
    )


def _update(metrics: ClipMetricSet, prediction: TrackMaps, truth: LabelledClip) -> None:
    try:
        metrics.update(prediction, TrackMaps(truth.maps(), truth.parents), truth.name)
    except InputError as error:
        raise InputError(f"clip {truth.name!r}: {error}") from error


def _told(
    metrics: ClipMetricSet, about: dict[str, Any], notes: Sequence[str], json_path: Path | None
) -> dict[str, Any]:
    """What the JSON holds, printed as a table and written."""
    values, spans = metrics.compute(), metrics.interval()
    of_clips = metrics.per_image()
    result = {
        "metrics": plain(values),
        "intervals_95": plain(spans),
        "by_clip": {
            name: plain({key: float(column[i]) for key, column in of_clips.items()})
            for i, name in enumerate(metrics.groups)
        },
        "clips": len(metrics),
        "frames": metrics.frames,
        "tracks_true": metrics.tracks,
        "notes": list(dict.fromkeys(notes)),
        **about,
    }
    if json_path is not None:
        write_json(json_path, result)
    rows = [[key, with_span(values[key], spans[key])] for key in values if not math.isnan(values[key])]
    print(text_table([["metric", "value [95 % interval]"], *rows]))
    print(
        f"{about['data']}: {len(metrics)} clips, {metrics.frames} labelled frames, {metrics.tracks} tracks"
        f"{'; no interval: it wants at least two clips' if len(metrics) < 2 else ''}"
    )
    for note in result["notes"]:
        print(f"assumed: {note}")
    if json_path is not None:
        print(f"numbers: {json_path}")
    return result


def check_json(json_path: Path | None) -> None:
    """Raises InputError for a file that could not be written, before anything is measured."""
    if json_path is not None and not json_path.parent.is_dir():
        raise InputError(
            f"--json is {str(json_path)!r}, but there is no folder {str(json_path.parent)!r}; make it first"
        )
