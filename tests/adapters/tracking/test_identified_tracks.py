"""Tracks of a clip have the ids that a registry knows their entities by."""

from pathlib import Path

import numpy as np

from adapters.tracking.identified_tracks import TRIES, identified_tracks
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.tiling.clip_journal import TrackedFrame

SIDE, COUNT, FRAMES = 160, 8, 20


def clip_of(seed: int, frames: int = FRAMES, shift: int = 0) -> tuple[list[TrackedFrame], list[np.ndarray]]:
    """Textured discs that drift over a textured ground, each a track of its own; the picture cut by `shift` pixels."""
    generator = np.random.default_rng(seed)
    ground = np.kron(generator.random((SIDE // 4, SIDE // 4)), np.ones((4, 4)))
    starts = np.stack(np.meshgrid([50, 110], [30, 65, 100, 135]), -1).reshape(-1, 2) + generator.uniform(
        -5, 5, (COUNT, 2)
    )
    ways, patches = generator.uniform(-0.5, 0.5, (COUNT, 2)), generator.random((COUNT, 6, 6))
    y, x = np.mgrid[:SIDE, :SIDE]
    maps, pictures = [], []
    for number in range(frames):
        ids, picture = np.zeros((SIDE, SIDE), np.int32), ground.copy()
        for track, (start, way) in enumerate(zip(starts, ways, strict=True), start=1):
            dy, dx = y - (start + way * number)[0], x - (start + way * number)[1]
            inside = dy**2 + dx**2 < 100
            ids[inside] = track
            picture[inside] = patches[track - 1][(dy[inside] // 4 + 3).astype(int), (dx[inside] // 4 + 3).astype(int)]
        cut = slice(shift, SIDE - shift)
        ids, picture = ids[cut, cut], (np.repeat(picture[cut, cut, None], 3, 2) * 255).astype(np.uint8)
        maps.append(TrackedFrame(number, float(number), ids, np.unique(ids[ids > 0]), np.ones(COUNT)))
        pictures.append(picture)
    return maps, pictures


def ids_of(path: Path, frames: list[TrackedFrame], pictures: list[np.ndarray], name: str = "clip") -> dict[int, int]:
    with Registry(path) as registry:
        return identified_tracks(frames, pictures, Visit(registry, name))


def test_a_second_session_finds_the_entities_of_the_first(tmp_path: Path):
    frames, pictures = clip_of(0)
    first = ids_of(tmp_path / "r", frames, pictures)
    assert sorted(first.values()) == list(range(1, COUNT + 1))
    darker = [(picture * 0.7 + 20).astype(np.uint8) for picture in pictures]
    assert ids_of(tmp_path / "r", frames, darker) == first
    frames, pictures = clip_of(0, shift=8)
    assert ids_of(tmp_path / "r", frames, pictures) == first


def test_another_clip_has_other_ids(tmp_path: Path):
    first = ids_of(tmp_path / "r", *clip_of(1))
    assert not set(first.values()) & set(ids_of(tmp_path / "r", *clip_of(2)).values())


def test_an_entity_that_the_tracker_lost_comes_back_by_its_id(tmp_path: Path):
    frames, pictures = clip_of(3, 2 * TRIES + 6)
    for frame in frames:
        if TRIES <= frame.number < TRIES + 4:
            frame.ids[frame.ids == 5] = 0
        if frame.number >= TRIES + 4:
            frame.ids[frame.ids == 5] = 9  # a new track
    ids = ids_of(tmp_path / "r", frames, pictures)
    assert ids[9] == ids[5] and len(set(ids.values())) == COUNT


def test_two_tracks_in_view_together_never_share_an_id(tmp_path: Path):
    frames, pictures = clip_of(4)
    ids_of(tmp_path / "r", frames, pictures)
    for frame in frames:  # every disc is drawn in two halves
        height = frame.ids.shape[0]
        rows = np.arange(height)[:, None] % 20 < 10
        frame.ids[(frame.ids > 0) & rows] += COUNT
    ids = ids_of(tmp_path / "r", frames, pictures)
    for frame in frames:
        visible = [ids[track] for track in np.unique(frame.ids[frame.ids > 0]).tolist()]
        assert len(set(visible)) == len(visible)


def test_a_clip_without_entities_is_no_visit(tmp_path: Path):
    frames, pictures = clip_of(5, 3)
    for frame in frames:
        frame.ids[:] = 0
    with Registry(tmp_path / "r") as registry:
        assert identified_tracks(frames, pictures, Visit(registry, "empty")) == {}
        assert registry.ask("SELECT count(*) FROM visit") == [(0,)]
