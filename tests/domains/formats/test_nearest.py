"""An unknown folder: what was seen, which layout it comes nearest to and what it lacks, in at most 400 characters."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats import all_layouts, recognise
from domains.formats.nearest import nearest
from domains.formats.survey import survey

MOST = 400


def pictures(build, folder: Path, count: int = 3, ending: str = ".png") -> None:
    for number in range(count):
        build.save(folder / f"{number}{ending}", build.picture())


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def empty(build, root: Path) -> None:
    root.mkdir()


def only_images(build, root: Path) -> None:
    pictures(build, root / "a")


def images_and_an_own_json(build, root: Path) -> None:
    pictures(build, root / "a")
    for number in range(3):
        write(root / "b" / f"{number}.json", {"regions": [{"contour": [[1, 2], [3, 4], [5, 6]]}]})


def one_json_for_all(build, root: Path) -> None:
    pictures(build, root)
    write(root / "all.json", {"images": [{"file": "0.png"}], "objects": []})


def supervisely(build, root: Path) -> None:
    pictures(build, root / "ds0" / "img", ending=".jpg")
    write(root / "meta.json", {"classes": [], "tags": []})
    for number in range(3):
        content = {"description": "", "tags": [], "size": {"height": 20, "width": 30}, "objects": []}
        write(root / "ds0" / "ann" / f"{number}.jpg.json", content)


def cellpose(build, root: Path) -> None:
    pictures(build, root)
    for number in range(3):
        np.save(root / f"{number}_seg.npy", np.zeros((20, 30), np.int32))


def voc(build, root: Path) -> None:
    pictures(build, root / "JPEGImages", ending=".jpg")
    for kind in ("SegmentationClass", "SegmentationObject"):
        for number in range(3):
            build.save(root / kind / f"{number}.png", build.box(2, 2, 8, 9))
    for number in range(3):
        path = root / "Annotations" / f"{number}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("<annotation><object><bndbox></bndbox></object></annotation>")
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_text("0\n1\n")


def videos(build, root: Path) -> None:
    root.mkdir()
    for number in range(3):
        (root / f"{number}.mp4").write_bytes(b"\0\0\0\x20ftypisom")


def dicom(build, root: Path) -> None:
    (root / "series").mkdir(parents=True)
    for number in range(3):
        (root / "series" / f"{number}.dcm").write_bytes(b"\0" * 128 + b"DICM")


def classes_of_images(build, root: Path) -> None:
    for split in ("train", "val"):
        for kind in ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475"):
            pictures(build, root / split / kind, ending=".jpg")


def packed(build, root: Path) -> None:
    root.mkdir()
    with zipfile.ZipFile(root / "stage1_train.zip", "w") as file:
        file.writestr("a.png", b"")


def masks_of_other_names(build, root: Path) -> None:
    pictures(build, root / "images")
    for number in range(3):
        build.save(root / "masks" / f"annotation-{number:03}.png", build.box(2, 2, 8, 9))


def masks_of_another_size(build, root: Path) -> None:
    pictures(build, root / "images")
    for number in range(3):
        build.save(root / "masks" / f"{number}.png", build.box(2, 2, 8, 9)[:10, :10])


def masks_as_arrays(build, root: Path) -> None:
    pictures(build, root / "images")
    (root / "masks").mkdir()
    for number in range(3):
        np.save(root / "masks" / f"{number}.npy", np.zeros((20, 30), np.int32))


def folders_of_other_names(build, root: Path) -> None:
    pictures(build, root / "originals")
    for number in range(3):
        build.save(root / "drawn" / f"{number}.png", build.box(2, 2, 8, 9))


def sets_in_folders(build, root: Path) -> None:
    build.dsb2018(root / "nuclei")
    build.crackforest(root / "cracks")


CASES: dict[Callable, tuple[str, ...]] = {
    empty: ("an empty one",),
    only_images: ("3 .png in a/", "label_maps", "labels: it holds images alone"),
    images_and_an_own_json: ("3 .png in a/, 3 .json in b/", "nearest is labelme", "shapes, imagePath in 'b/0.json'"),
    one_json_for_all: ("1 .json in the folder itself", "nearest is coco", "it lacks annotations, categories in"),
    supervisely: ("3 .jpg in ds0/img/", "nearest is labelme", "shapes, imagePath in 'ds0/ann/0.jpg.json'"),
    cellpose: ("3 .npy in the folder itself", "label_maps", "save '0_seg.npy' and its like as .png or .tif"),
    voc: ("3 .jpg in JPEGImages/", "call JPEGImages/ images/ and SegmentationObject/ masks/"),
    videos: ("3 .mp4", "it lacks images", "export .mp4 to .png"),
    dicom: ("3 .dcm in series/", "it lacks images", "export .dcm to .png"),
    classes_of_images: ("15 .jpg in 5 folders of train/", "labels: it holds images alone"),
    packed: ("1 .zip", "unpack 'stage1_train.zip' first"),
    masks_as_arrays: ("3 .npy in masks/", "label_maps", "save '0.npy' and its like as .png or .tif"),
    sets_in_folders: ("nearest is crackforest", "only the right folder: name cracks/ inside it"),
    folders_of_other_names: ("3 .png in drawn/", "call originals/ images/ and drawn/ masks/"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_unknown_folder_is_told_in_400_characters(build, tmp_path, case):
    root = tmp_path / "data"
    case(build, root)
    with pytest.raises(InputError) as caught:
        recognise(root)
    text = str(caught.value)
    assert len(text) <= MOST and "\n" not in text and repr(str(root))[-20:] in text
    assert all(word in text for word in CASES[case]), text
    assert "images/ and masks/ with the same file names" in text and "docs/formats.md" in text


@pytest.mark.parametrize(
    ("case", "reason"), [(masks_of_other_names, "has no label picture"), (masks_of_another_size, "10 x 10")]
)
def test_labels_none_of_which_fits_are_told_in_400_characters(build, tmp_path, case, reason):
    root = tmp_path / "data"
    case(build, root)
    with pytest.raises(InputError) as caught:
        open_folder(root)
    text = str(caught.value)
    assert len(text) <= MOST and reason in text and "none is usable" in text and "docs/formats.md" in text


def test_long_names_do_not_make_the_message_long(build, tmp_path):
    root = tmp_path / "/".join("folder of a very long name" for _ in range(8))
    for number in range(6):
        pictures(build, root / f"pictures of the {number}th day that were taken with another microscope")
    (root / ("x" * 200 + ".zip")).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        recognise(root)
    assert len(str(caught.value)) <= MOST and "18 .png in 6 folders" in str(caught.value)


TRUTHS = {
    "crackforest": ("groundTruth", "groundtruth/NNN.mat"),
    "dagm": ("Label", "label/NNNN_label.png"),
    "consep": ("Labels", "train/labels/<id>.mat"),
    "lizard": ("Lizard_Labels", "lizard_labels/labels/<id>.mat"),
    "label_maps": ("labels", "labels/ or masks/"),
    "spacenet": ("geojson_buildings", "geojson_buildings/"),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_a_published_set_without_its_labels_is_known_by_the_rest(build, tmp_path, name):
    root = getattr(build, name)(tmp_path / "data")
    folder, lacking = TRUTHS[name]
    for path in [path for path in root.rglob(folder) if path.is_dir()]:
        shutil.rmtree(path)
    near = nearest(survey(root), all_layouts())
    assert near.layout == name and lacking.lower() in near.lacks.lower(), near
