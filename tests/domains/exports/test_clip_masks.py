"""Clips as the Cell Tracking Challenge, YouTube-VIS, SA-V and GeoJSON have them, read back by others' code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pycocotools import mask as rle

from domains.errors import InputError
from domains.exports import Destination, clip_masks
from domains.exports.clip_masks import CtcMasks, GeoJsonFrames, SegmentAnythingVideo, YoutubeVis
from tests.domains.exports.clips import CLIP, SHAPE, maps

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on numpy 2


def test_ctc_has_a_label_for_each_stretch_without_a_gap(tmp_path: Path) -> None:
    CtcMasks().write(CLIP, Destination(tmp_path))
    lines = (tmp_path / "clip_RES/res_track.txt").read_text().splitlines()
    rows = [[int(word) for word in line.split()] for line in lines]
    assert rows == [[1, 0, 1, 0], [2, 0, 1, 0], [3, 2, 3, 2], [4, 2, 2, 2], [5, 3, 3, 1]]
    names = sorted(path.name for path in (tmp_path / "clip_RES").glob("*.tif"))
    assert names == [f"mask{at:04}.tif" for at in range(4)]
    track_of = {1: 1, 2: 2, 3: 7, 4: 9, 5: 1}
    for name, ids in zip(names, maps(), strict=True):
        mask = tifffile.imread(tmp_path / "clip_RES" / name)
        assert mask.dtype == np.uint16 and mask.shape == SHAPE
        assert np.array_equal(np.vectorize(lambda label: track_of.get(label, 0))(mask), ids)
    for label, begin, end, _ in rows:  # as the challenge checks results: there in every frame, and in no other
        present = [label in tifffile.imread(tmp_path / "clip_RES" / name) for name in names]
        assert present == [begin <= at <= end for at in range(4)]


def test_ctc_refuses_more_labels_than_16_bits_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_masks, "MOST_LABELS", 3)
    with pytest.raises(InputError, match="more than 3 labels"):
        CtcMasks().write(CLIP, Destination(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_youtube_vis_has_an_annotation_a_track_with_null_where_it_is_hidden(tmp_path: Path) -> None:
    YoutubeVis().write(CLIP, Destination(tmp_path))
    content = json.loads((tmp_path / "clip.ytvis.json").read_text())
    assert content["videos"][0]["length"] == 4 and len(content["videos"][0]["file_names"]) == 4
    by_id = {annotation["id"]: annotation for annotation in content["annotations"]}
    assert sorted(by_id) == [1, 2, 7, 9]
    for track, annotation in by_id.items():
        for at, ids in enumerate(maps()):
            mask, segmentation = ids == track, annotation["segmentations"][at]
            if not mask.any():
                assert segmentation is annotation["bboxes"][at] is annotation["areas"][at] is None
                continue
            assert np.array_equal(rle.decode(segmentation).astype(bool), mask)
            assert annotation["bboxes"][at] == rle.toBbox(segmentation).tolist()
            assert annotation["areas"][at] == mask.sum()
        assert annotation["score"] == 0.5


def test_sa_v_has_a_list_of_masklets_a_frame(tmp_path: Path) -> None:
    SegmentAnythingVideo().write(CLIP, Destination(tmp_path))
    content = json.loads((tmp_path / "clip_auto.json").read_text())
    assert content["masklet_num"] == 4 and content["video_duration"] == 2
    assert content["masklet_frame_count"] == [3, 2, 2, 1]
    assert content["masklet_first_appeared_frame"] == [0, 0, 2, 2]
    for row, ids in zip(content["masklet"], maps(), strict=True):
        for track, mask in zip(content["masklet_track"], row, strict=True):
            assert np.array_equal(rle.decode(mask).astype(bool), ids == track)


def test_geojson_has_a_file_a_frame_with_the_track_of_each_feature(tmp_path: Path) -> None:
    GeoJsonFrames().write(CLIP, Destination(tmp_path))
    files = sorted((tmp_path / "clip_geojson").iterdir())
    assert [file.name for file in files] == [f"{at:06}.geojson" for at in range(4)]
    features = json.loads(files[2].read_text())["features"]
    assert [feature["properties"]["track"] for feature in features] == [7, 9]
    assert features[0]["geometry"]["coordinates"][0][0] in ([8, 12], [8.0, 12.0])
    assert features[0]["properties"]["area_px"] == 30
