from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as coco_mask

from domains.errors import InputError
from domains.formats import clip_folders, recognise
from domains.formats.clip_folders import cell_clips, davis_clips
from domains.formats.clips import read_clips
from domains.formats.labelled_clip import LabelledClip
from domains.formats.labelme_clips import labelme_clips
from domains.formats.sav import write_sav

PALETTE = [value for number in range(256) for value in (number, 37 * number % 256, 11 * number % 256)]


def drawn(frames: int = 3) -> np.ndarray:
    """(F, 12, 16) int32: track 1 moves, 2 is away in the middle frame."""
    maps = np.zeros((frames, 12, 16), np.int32)
    for i in range(frames):
        maps[i, 2:5, i : i + 4] = 1
        if i != 1:
            maps[i, 7:11, 8:13] = 2
    return maps


def stacked(clip: LabelledClip) -> np.ndarray:
    return np.stack(list(clip.maps()))


def write_davis(root: Path, maps: np.ndarray, name: str = "bear") -> None:
    for folder in ("Annotations", "JPEGImages"):
        (root / folder / "480p" / name).mkdir(parents=True)
    for i, ids in enumerate(maps):
        picture = Image.fromarray(ids.astype(np.uint8), "P")
        picture.putpalette(PALETTE)
        picture.save(root / f"Annotations/480p/{name}/{i:05d}.png")
        Image.new("RGB", ids.shape[::-1]).save(root / f"JPEGImages/480p/{name}/{i:05d}.jpg")


def write_cells(root: Path, maps: np.ndarray, rows: str) -> None:
    (root / "01_GT/TRA").mkdir(parents=True)
    (root / "01_GT/SEG").mkdir()
    (root / "01").mkdir()
    for i, ids in enumerate(maps):
        tifffile.imwrite(root / f"01_GT/TRA/man_track{i:03d}.tif", ids.astype(np.uint16))
        tifffile.imwrite(root / f"01/t{i:03d}.tif", np.zeros(ids.shape, np.uint8))
    (root / "01_GT/TRA/man_track.txt").write_text(rows)


def write_videos(path: Path, maps: np.ndarray, **changes) -> None:
    annotations = []
    for number in (1, 2):
        coded = [coco_mask.encode(np.asfortranarray(ids == number, np.uint8)) for ids in maps]
        masks = [{"size": rle["size"], "counts": rle["counts"].decode()} for rle in coded]
        masks = [mask if (ids == number).any() else None for mask, ids in zip(masks, maps, strict=True)]
        annotations.append({"id": number, "video_id": 7, "segmentations": masks, "iscrowd": 0})
    video = {"id": 7, "height": 12, "width": 16, "file_names": [f"bear/{i:05d}.jpg" for i in range(len(maps))]}
    path.write_text(json.dumps({"annotations": annotations, "videos": [{**video, **changes}]}))


def test_davis_palettes_and_masks_are_read_with_their_pictures(tmp_path: Path) -> None:
    maps = drawn()
    maps[0, 0, 0] = 255
    write_davis(tmp_path, maps)
    (tmp_path / "Annotations/480p/car").mkdir()
    Image.fromarray((drawn()[0] == 1).astype(np.uint8) * 255).save(tmp_path / "Annotations/480p/car/00000.png")
    bear, car = read_clips(tmp_path)
    assert np.array_equal(stacked(bear), np.where(maps == 255, -1, maps)) and len(bear.pictures) == 3
    assert np.array_equal(stacked(car)[0], drawn()[0] == 1) and car.pictures == ()


def test_cells_have_parents_and_masks_get_the_ids_of_their_markers(tmp_path: Path) -> None:
    maps = drawn()
    markers = np.where((maps == 2) & (np.arange(16) < 10), 2, np.where(maps == 1, 1, 0))
    write_cells(tmp_path, markers, "1 0 2 0\n2 0 2 1\n")
    tifffile.imwrite(tmp_path / "01_GT/SEG/man_seg002.tif", np.where(maps[2] == 2, 9, 0).astype(np.uint16))
    (clip,) = read_clips(tmp_path)
    assert (clip.name, dict(clip.parents), len(clip.pictures)) == ("01", {2: 1}, 3)
    assert np.array_equal(stacked(clip)[:2], markers[:2]) and np.array_equal(stacked(clip)[2], maps[2])
    (tmp_path / "01_GT").rename(tmp_path / "away")
    results = tmp_path / "01_RES"
    results.mkdir()
    for i, ids in enumerate(maps):
        tifffile.imwrite(results / f"mask{i:03d}.tif", ids.astype(np.uint16))
    (results / "res_track.txt").write_text("1 0 2 0\n2 0 2 7\n")
    (clip,) = read_clips(tmp_path)
    assert np.array_equal(stacked(clip), maps) and clip.parents == {} and "no track, the first is 2" in clip.notes[0]
    assert np.array_equal(stacked(read_clips(results)[0]), maps)  # the folder of results itself
    tifffile.imwrite(results / "mask002.tif", np.where(maps[2] == 2, 5, maps[2]).astype(np.uint16))
    (results / "res_track.txt").write_text("1 0 2 0\n2 0 0 0\n5 2 2 2\n")  # after a gap it goes on as its own daughter
    (clip,) = read_clips(results)
    assert np.array_equal(stacked(clip), maps) and clip.parents == {}


def test_what_is_written_as_sav_is_read_again_with_every_fourth_frame_labelled(tmp_path: Path) -> None:
    maps = drawn(5)
    assert write_sav(tmp_path / "a.json", "sav_1", iter(maps), step=4) == 2
    (clip,) = read_clips(tmp_path)
    assert (clip.name, clip.times) == ("sav_1", (0, 4, 8, 12, 16)) and np.array_equal(stacked(clip), maps)
    content = json.loads((tmp_path / "a.json").read_text())
    assert (content["masklet_visibility_changes"], content["masklet_frame_count"]) == ([0, 2], [5, 4])
    with pytest.raises(InputError, match="has no frame 1 of clip 'sav_1', which the truth has"):
        list(clip.maps([0, 1]))


def test_sav_written_by_others_is_read(real_data: Path) -> None:
    (clip,) = read_clips(real_data / "annotation_formats" / "sav")
    assert (len(clip), clip.times[1], clip.draw(0).shape) == (121, 4, (848, 480))
    content = json.loads((real_data / "annotation_formats/sav/sav_000001_manual.json").read_text())
    masks, areas = content["masklet"][0], np.bincount(clip.draw(0).ravel(), minlength=6)[1:]
    whole = np.array([coco_mask.area(mask) for mask in masks])
    assert areas.sum() == coco_mask.area(coco_mask.merge(masks)) and (areas <= whole).all()
    on_top = np.where(whole > 0, whole, whole.max()).argmin()
    assert areas[on_top] == whole[on_top] and (areas > 0).tolist() == (whole > 0).tolist()


def test_youtube_vis_is_read_and_an_annotation_is_a_track(tmp_path: Path) -> None:
    maps = drawn()
    write_videos(tmp_path / "instances.json", maps)
    (tmp_path / "bear").mkdir()
    for i in range(3):
        Image.new("RGB", (16, 12)).save(tmp_path / f"bear/{i:05d}.jpg")
    (clip,) = read_clips(tmp_path)
    assert clip.name == "bear" and np.array_equal(stacked(clip), maps) and len(clip.pictures) == 3


def test_labelme_follows_the_order_of_a_label_or_its_group(real_data: Path) -> None:
    (clip,) = read_clips(real_data / "annotation_formats" / "labelme_video")
    maps = stacked(clip)
    assert maps.shape[0] == 5 and np.unique(maps).tolist() == [0, 1, 2, 3] and "n-th of a frame" in clip.notes[0]
    for number in (1, 2, 3):
        masks = maps == number
        ious = [(a & b).sum() / (a | b).sum() for a, b in zip(masks, masks[1:], strict=False)]
        assert min(ious) > 0.5  # a train on its way, drawn frame by frame


def test_davis_is_read_as_it_is_published(real_data: Path) -> None:
    (clip,) = read_clips(real_data / "video" / "DAVIS")
    assert (clip.name, len(clip), len(clip.pictures), clip.draw(0).shape) == ("car-shadow", 40, 40, (480, 854))
    assert np.unique(clip.draw(7)).tolist() == [0, 1]


def test_frames_of_a_clip_are_images_of_one_group(tmp_path: Path) -> None:
    write_davis(tmp_path, drawn())
    write_davis(tmp_path, drawn(2), "bird")
    layout = recognise(tmp_path)
    records = layout.scan(tmp_path, strict=True).records
    assert layout.name == "clip_frames" and [record.group for record in records] == ["bear"] * 3 + ["bird"] * 2
    sample = layout.read(records[1])  # where track 2 is away
    assert sample.truth.count == 1 and np.array_equal(sample.truth.ids > 0, drawn()[1] == 1)
    (tmp_path / "JPEGImages/480p/bird/00001.jpg").unlink()
    assert "pictures are not all here" in str(layout.scan(tmp_path).faults[0])


def refused(root: Path) -> str:
    with pytest.raises(InputError) as error:
        for clip in read_clips(root):
            stacked(clip)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_clip_or_a_damaged_one_is_refused_in_one_line(tmp_path: Path) -> None:
    maps = drawn()
    assert "got nothing at that path" in refused(tmp_path / "none")
    assert "wanted annotated clips, got none; ctc: " in refused(tmp_path)
    cells = tmp_path / "cells"
    for rows, reason in (
        ("1 0 2\n", "line 1 is '1 0 2'; wanted four whole numbers"),
        ("1 0 2 0\n1 0 2 0\n", "wanted each label from 1 on once"),
        ("1 2 0 0\n", "frames in order"),
    ):
        if cells.exists():
            (cells / "01_GT/TRA/man_track.txt").write_text(rows)
        else:
            write_cells(cells, maps, rows)
        assert reason in refused(cells)
    (cells / "01_GT/TRA/man_track.txt").write_text("1 0 2 0\n")
    tifffile.imwrite(cells / "01_GT/SEG/man_seg000.tif", np.ones((5, 5), np.uint16))
    assert "is 5 x 5 px, its markers 'man_track000.tif' are 16 x 12; wanted one size" in refused(cells)
    path = tmp_path / "clip.json"
    size = {"video_height": 12.0, "video_width": 16.0}
    mask = {"size": [12, 16], "counts": "0"}
    for content, reason in (
        ({"masklet": 3}, "wanted `masklet`, a list"),
        ({"masklet": [[mask], [mask, mask]], **size}, "has 1 to 2 masks a frame"),
        ({"masklet": [[mask]], "video_height": 1e7, "video_width": 1e7}, "at most 268,435,456 px in all"),
        ({"masklet": [[mask]], "video_height": float("nan"), "video_width": 4}, "wanted whole numbers from 1 on"),
        ({"masklet": [[mask]], **size}, "object 0 of labelled frame 0 has an RLE of 0 pixels, its image has 192"),
    ):
        path.write_text(json.dumps(content))
        assert reason in refused(path), content
    path.write_text('{"masklet": [[')
    assert "is no whole JSON" in refused(path)
    write_videos(path, maps, file_names=["a.jpg"])
    assert "has 3 segmentations, its video 1 frames" in refused(path)
    write_videos(path, maps, height=13)
    assert "annotation 1, frame 0: has an RLE of size [12, 16], its image is [13, 16]" in refused(path)
    with pytest.raises(InputError, match="clips are read as 'dvis'.*did you mean 'davis'"):
        read_clips(tmp_path, "dvis")


def test_videos_without_frames_masks_that_are_none_and_crowds(tmp_path: Path) -> None:
    path, maps = tmp_path / "clip.json", drawn()
    path.write_text('{"videos": [{"file_names": [')
    assert "is no whole JSON" in refused(path)
    path.write_text(json.dumps({"videos": 3, "annotations": [], "kind": "segmentations"}))
    with pytest.raises(InputError, match="has no lists `videos` and `annotations`; export it as YouTube-VIS does"):
        read_clips(path, "youtube_vis")
    write_videos(path, maps, file_names=[])
    assert "video 7 lists no frames; wanted `file_names`, one for each" in refused(path)
    write_videos(path, maps)
    content = json.loads(path.read_text())
    first, second = content["annotations"]
    crowd = {**first, "id": 3, "iscrowd": 1}
    empty = {**second, "id": 4, "segmentations": [{"size": [12, 16], "counts": [192]}] * 3}
    strays = [{**first, "video_id": 8}, {**first, "video_id": [7]}, "an annotation"]
    path.write_text(json.dumps({**content, "annotations": [second, crowd, empty, *strays]}))
    (clip,) = read_clips(path)
    ids = stacked(clip)
    assert clip.notes == ("clip.json: 3 annotations belong to no video that it lists",)
    assert np.array_equal(ids == -1, maps == 1) and np.array_equal(ids > 0, maps == 2)


def test_folders_of_clips_that_lack_something_are_refused_in_one_line(tmp_path: Path) -> None:
    davis, cells = tmp_path / "davis", tmp_path / "cells"
    write_davis(davis, drawn())
    (davis / "Annotations/480p/empty").mkdir()
    with pytest.raises(InputError, match="empty': wanted label pictures 00000.png, 00001.png, ...; got none"):
        davis_clips(davis)
    (davis / "Annotations/480p/empty").rmdir()
    (davis / "Annotations/480p/bear/notes.png").write_bytes(b"without a number")
    (davis / "Annotations/480p/bear/2.png").write_bytes(b"the third again")
    assert "are both frame 2; take one away" in refused(davis)
    assert davis_clips(tmp_path) == []
    write_cells(cells, drawn(), "\n1 0 2 0\n\n2 0 2 0\n")
    (cells / "02_GT").mkdir()  # without a table: no clip
    assert [clip.name for clip in cell_clips(cells)] == ["01"]
    for path in (cells / "01_GT/TRA").glob("*.tif"):
        path.unlink()
    with pytest.raises(InputError, match="has 'TRA/man_track.txt' and no man_track000.tif; wanted a map a frame"):
        cell_clips(cells)


def test_a_table_of_tracks_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cells(tmp_path, drawn(), "1 0 2 0\n")
    monkeypatch.setattr(clip_folders, "MOST_TABLE_BYTES", 4)
    with pytest.raises(InputError, match="man_track.txt': wanted a table of at most"):
        cell_clips(tmp_path)


def test_outlines_of_frames_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    square = [[2, 2], [9, 2], [9, 9], [2, 9]]

    def write_frames(**changes: object) -> None:
        for name in ("0", "1"):
            Image.new("RGB", (16, 12)).save(tmp_path / f"{name}.png")
            shape = {"label": "cell", "points": square, "group_id": 4, "shape_type": "polygon", **changes}
            frame = {"imagePath": f"{name}.png", "imageHeight": 12, "imageWidth": 16, "shapes": [shape]}
            (tmp_path / f"{name}.json").write_text(json.dumps(frame))

    write_frames()
    (clip,) = labelme_clips(tmp_path)
    assert set(np.unique(stacked(clip))) == {0, 1}
    write_frames(shape_type="line", points=square[:2])
    with pytest.raises(InputError, match="is a 'line'; wanted outlines of entities"):
        stacked(labelme_clips(tmp_path)[0])
    write_frames(points=[[50, 50], [60, 50], [60, 60]])
    with pytest.raises(InputError, match="draw it again"):
        stacked(labelme_clips(tmp_path)[0])
