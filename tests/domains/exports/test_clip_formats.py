"""Which formats a clip has, by their words."""

from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.exports import clip_formats
from domains.exports.clip_formats import CLIP_FORMATS, OF_CLIPS_ALONE, clip_exports
from domains.exports.formats import FORMATS


def test_tracks_are_the_cell_tracking_challenge_s() -> None:
    assert [*clip_exports(["tracks", "ctc", "mot"])[0]] == ["ctc", "mot"]


def test_a_format_of_pictures_alone_is_refused() -> None:
    with pytest.raises(InputError, match="a clip has no format 'parquet'"):
        clip_exports(["parquet"])


def test_without_pyav_the_film_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_formats, "find_spec", lambda name: None)
    words, note = clip_exports(())
    assert [*words] == ["ctc", "csv"] and "entity-adapters[video]" in note
    monkeypatch.setattr(clip_formats, "find_spec", lambda name: object())
    assert [*clip_exports(())[0]] == ["ctc", "csv", "overlay"]


def test_words_of_clips_alone_are_none_of_pictures() -> None:
    assert not {*OF_CLIPS_ALONE} & {*FORMATS} and {*OF_CLIPS_ALONE} - {"tracks"} <= {*CLIP_FORMATS}
