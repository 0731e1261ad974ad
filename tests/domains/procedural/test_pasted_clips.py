"""Pseudo-clips in which cut-outs of labelled entities go ways of their own over the still."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.procedural import pasted_clips
from domains.procedural.pasted_clips import Cutout, PastedClip, clip_of_labels
from domains.procedural.still_clips import clip_of_still


@pytest.fixture
def sample() -> EntitySample:
    """A red disc, a green square and a blue bar that the rim cuts, on black."""
    y, x = np.mgrid[:72, :90]
    ids = np.zeros((72, 90), np.int32)
    ids[(y - 24) ** 2 + (x - 24) ** 2 < 81] = 1
    ids[40:54, 54:68], ids[60:, 4:20] = 2, 3
    image = 200 * (ids[..., None] == [1, 2, 3]).astype(np.uint8)
    return EntitySample(image, (EntityMap(ids),), Place("still"))


def test_cut_outs_move_with_their_colours_meet_hide_come_and_go(sample, monkeypatch) -> None:
    monkeypatch.setattr(pasted_clips, "STILL", 0.0)
    hidden, absent, moved = 0, 0, 0
    for seed in range(8):
        clip = clip_of_labels(sample, seed, 10, 64, 64)
        tracks = {cutout.track for cutout in clip.cutouts}
        assert tracks == set(range(4, 4 + len(tracks))) and 1 <= len(tracks) <= pasted_clips.MOST_CUTOUTS
        frames = [clip.frame(at) for at in range(len(clip))]
        for image, ids in frames:
            for cutout in clip.cutouts:
                colour = int(cutout.image[cutout.mask].sum(0).argmax())
                assert colour in (0, 1)  # what the rim cuts is not cut out
                pixels = image[ids == cutout.track].argmax(1)
                assert len(pixels) < 20 or (pixels == colour).mean() > 0.9  # all but blended rims
        shown = np.array([[np.count_nonzero(ids == track) for _, ids in frames] for track in (1, 2)])
        alone = np.array([[np.count_nonzero(clip.still.frame(at)[1] == track) for at in range(10)] for track in (1, 2)])
        hidden += int((shown < 0.5 * alone).any())
        absent += sum(0 < sum(track in ids for _, ids in frames) < len(frames) for track in tracks)
        moved += any(np.ptp(cutout.places, axis=0).max() > 8 for cutout in clip.cutouts)
        again = clip_of_labels(sample, seed, 10, 64, 64).frame(3)
        assert all(np.array_equal(a, b) for a, b in zip(frames[3], again, strict=True))
    assert hidden >= 2 and absent >= 2 and moved >= 4


def test_what_lies_on_top_is_seen_and_more_than_four_bands_move_alike(sample) -> None:
    bands = np.concatenate([sample.image, sample.image], 2)
    still = clip_of_still(EntitySample(bands, sample.truths, sample.place), 0, 2, 40, 40, strength=0)
    square = np.full((10, 10, 6), 90, np.uint8)
    place, still_one = np.full((2, 2), 20.0), (np.zeros(2), np.ones(2))
    cutouts = [Cutout(n, square + n, np.ones((10, 10), bool), place, *still_one) for n in (7, 8)]
    image, ids = PastedClip(still, tuple(cutouts)).frame(1)
    assert image.shape == (40, 40, 6) and 7 not in ids and np.count_nonzero(ids == 8) in (100, 81)
    assert (abs(image[20, 20].astype(int) - 98 * still.light[1]) <= 1).all()


def test_a_still_without_a_whole_entity_is_moved_over_alone(sample) -> None:
    nothing = EntitySample(sample.image, (EntityMap(np.where(sample.truth.ids == 3, 1, 0)),), sample.place)
    for seed in range(4):
        assert clip_of_labels(nothing, seed, 3, 32, 32).cutouts == ()
    with pytest.raises(InputError, match="frames >= 1"):
        clip_of_labels(sample, 0, 0, 8, 8)
