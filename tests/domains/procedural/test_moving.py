from __future__ import annotations

import numpy as np

from domains.procedural.moving import moving_clip


def test_a_clip_depends_on_its_seed_and_its_tracks_move() -> None:
    clip, again = (moving_clip(np.random.default_rng(3), 6, 48, 64) for _ in range(2))
    assert clip.images.shape == (6, 48, 64, 3) and clip.images.dtype == np.uint8 and clip.ids.shape == (6, 48, 64)
    assert np.array_equal(clip.images, again.images) and np.array_equal(clip.ids, again.ids)
    assert not np.array_equal(clip.ids[0], clip.ids[-1])
    tracks = set(np.unique(clip.ids[0])) & set(np.unique(clip.ids[-1]))
    assert len(tracks - {0})


def test_mothers_end_where_their_daughters_begin() -> None:
    clips = [moving_clip(np.random.default_rng(seed), 8, 48, 48) for seed in range(30)]
    divided = [(clip, daughter, mother) for clip in clips for daughter, mother in clip.parents.items()]
    assert divided
    for clip, daughter, mother in divided:
        frames = [{frame for frame in range(8) if (clip.ids[frame] == track).any()} for track in (mother, daughter)]
        assert not frames[0] or not frames[1] or max(frames[0]) < min(frames[1])
