"""Do entities get their ids again in a second session? Generated clips with exact entities, which no network draws.

    python -m benchmarks.accuracy.persistent_ids FOLDER [--clips 4] [--frames 32]

Of each scenario so many clips go through one registry, as a first session; then every clip again, each from a copy of
that registry: its frames as JPEG of quality 60, a quarter brighter, and cut by a tenth at each side. An entity of the
second session is right where it has the id that it had in the first; entities of clips that no session has shown must
be new. Intervals are bootstrapped over clips.
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from adapters.tracking.identified_tracks import identified_tracks
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.procedural.clips import SCENARIOS, Clip, draw_clip
from domains.tiling.clip_journal import TrackedFrame

SEED = 9000
"""Of clips that no network has learnt from."""
HEIGHT, WIDTH = 240, 320
CUT = 0.1
QUALITY = 60
FEWEST_FRAMES = 3
"""An entity that is visible in fewer frames of both sessions is not counted."""

Look = Callable[[np.ndarray], np.ndarray]


def encoded(image: np.ndarray) -> np.ndarray:
    """The image as it comes back from a JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file).convert("RGB"))


def brighter(image: np.ndarray) -> np.ndarray:
    """The image a quarter brighter, cut at white."""
    return np.clip(image * 1.25, 0, 255).astype(np.uint8)


def inner(array: np.ndarray) -> np.ndarray:
    """A picture or a map without a tenth of its sides, at each side."""
    rows, columns = (round(CUT * side) for side in array.shape[:2])
    return np.ascontiguousarray(array[rows:-rows, columns:-columns])


SESSIONS: dict[str, tuple[Look, Look]] = {
    "recoded": (encoded, lambda ids: ids),
    "brighter": (brighter, lambda ids: ids),
    "cut by a tenth": (inner, inner),
}
"""What a second session makes of pictures and of maps."""


def frames_of(clip: Clip, view: Look) -> Iterator[TrackedFrame]:
    """The frames of a clip as a tracker without a fault would give them."""
    for number, ids in enumerate(clip.maps()):
        seen = view(ids).astype(np.int32)
        tracks = np.unique(seen[seen > 0])
        yield TrackedFrame(number, float(number), seen, tracks, np.ones(len(tracks)))


def ids_of(path: Path, clip: Clip, name: str, looks: tuple[Look, Look]) -> dict[int, int]:
    """The persistent ids of a clip's tracks."""
    picture, view = looks
    with Registry(path) as registry:
        return identified_tracks(frames_of(clip, view), map(picture, clip.images()), Visit(registry, name))


def lasting(clip: Clip, view: Look) -> set[int]:
    """The tracks that are visible in enough frames."""
    visible = np.concatenate([frame.tracks for frame in frames_of(clip, view)])
    tracks, counts = np.unique(visible, return_counts=True)
    return {int(track) for track, count in zip(tracks, counts, strict=True) if count >= FEWEST_FRAMES}


def measure(folder: Path, count: int, length: int) -> dict[str, list[tuple[int, int]]]:
    """By session (right, of how many) of each clip; `new` of clips that no session has shown."""
    folder.mkdir(parents=True, exist_ok=True)
    first, same = folder / "first.sqlite", (lambda image: image, lambda ids: ids)
    clips = {(name, seed): clip_of(name, seed, length) for name in SCENARIOS for seed in range(count)}
    before = {key: ids_of(first, clip, str(key), same) for key, clip in clips.items()}
    tally: dict[str, list[tuple[int, int]]] = {session: [] for session in (*SESSIONS, "new")}
    for key, clip in clips.items():
        for session, looks in SESSIONS.items():
            ids = ids_of(copied(first), clip, session, looks)
            tracks = lasting(clip, looks[1]) & ids.keys() & before[key].keys()
            tally[session].append((sum(ids[track] == before[key][track] for track in tracks), len(tracks)))
        stranger = clip_of(key[0], count + key[1], length)
        known = {number for numbers in before.values() for number in numbers.values()}
        ids = ids_of(copied(first), stranger, "new", same)
        tally["new"].append((sum(number not in known for number in ids.values()), len(ids)))
    return tally


def clip_of(scenario: str, seed: int, length: int) -> Clip:
    """A generated clip."""
    return draw_clip(scenario, (SEED, seed), length, HEIGHT, WIDTH)


def copied(path: Path) -> Path:
    """A copy of a registry that nobody has open."""
    copy = path.with_name("second.sqlite")
    for file in path.parent.glob("second.sqlite*"):
        file.unlink()
    shutil.copy(path, copy)
    return copy


def main() -> None:
    """Print the shares with their intervals."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path)
    words.add_argument("--clips", type=int, default=4, help="of each scenario")
    words.add_argument("--frames", type=int, default=32)
    options = words.parse_args()
    for session, counts in measure(options.folder, options.clips, options.frames).items():
        right, total = np.array(counts).T
        draws = np.random.default_rng(0).integers(0, len(right), (2000, len(right)))
        low, high = np.percentile(right[draws].sum(1) / total[draws].sum(1), [2.5, 97.5])
        print(f"{session:<16} {right.sum() / total.sum():.3f} [{low:.3f}, {high:.3f}] of {total.sum()} entities")


if __name__ == "__main__":
    main()
