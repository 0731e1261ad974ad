"""The table of formats of clips."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from domains.errors import InputError, suggest
from domains.exports.clip_film import OverlayFilm
from domains.exports.clip_masks import CtcMasks, GeoJsonFrames, SegmentAnythingVideo, YoutubeVis
from domains.exports.clip_tables import MotText, TrackTable
from domains.exports.tracked import ClipExport

CLIP_FORMATS: dict[str, ClipExport] = {
    "ctc": CtcMasks(),
    "mot": MotText(),
    "ytvis": YoutubeVis(),
    "sav": SegmentAnythingVideo(),
    "geojson": GeoJsonFrames(),
    "overlay": OverlayFilm(),
    "csv": TrackTable(),
}
ALIASES = {"tracks": "ctc"}
OF_CLIPS_ALONE = ("tracks", "ctc", "mot", "ytvis", "sav")
CLIP_DEFAULT = ("ctc", "csv", "overlay")


def clip_exports(formats: Sequence[str]) -> tuple[dict[str, ClipExport], str]:
    """The formats by their words, by default those of `CLIP_DEFAULT`, and what was left out, "" for nothing. Raises
    InputError for a format that is none of a clip.
    """
    words = [ALIASES.get(word, word) for word in formats or CLIP_DEFAULT]
    for word in words:
        if word not in CLIP_FORMATS:
            raise InputError(f"a clip has no format {word!r}; {suggest(word, CLIP_FORMATS)}")
    left_out = ""
    if not formats and find_spec("av") is None:
        words.remove("overlay")
        left_out = 'the film of the overlay is left out, it wants PyAV: pip install "entity-adapters[video]"'
    return {word: CLIP_FORMATS[word] for word in dict.fromkeys(words)}, left_out
