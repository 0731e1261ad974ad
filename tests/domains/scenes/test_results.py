"""What `predict` and `fit` left is told from pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.datasets.domain import build_domain
from domains.entities import EntityMap, Place
from domains.exports import FORMATS, Destination, open_exports
from domains.formats.finding import files, folders
from domains.scenes.results import is_run, named_after, results_among
from domains.tiling.prediction import Prediction

PICTURE = np.full((20, 30, 3), 200, np.uint8)


def write(folder: Path, *names: str) -> None:
    """Results of pictures of those names, in every format that a picture can have."""
    ids = np.zeros((20, 30), np.int32)
    ids[2:8, 3:9] = 1
    prediction = EntityMap(ids, scores=np.array([0.9]), pixel_scores=np.full(ids.shape, 0.5, np.float32))
    formats = [word for word in FORMATS if not word.endswith("gpkg")]
    with open_exports(formats, Destination(folder), names) as exports:
        for name in names:
            place = Place(f"{name}.png", pixel_size_m=1e-6)
            exports.stream(Prediction.of_map(prediction, name, place, PICTURE))


def test_every_format_has_a_name_that_is_told(tmp_path: Path) -> None:
    for kind in FORMATS.values():
        assert named_after(kind(Destination(tmp_path)).files("a")[0]) in ("a", "")
    assert [named_after(name) for name in ("a.tiles.png", "a.png", ".overlay.png", "labels.tif")] == [
        "a", None, None, None,
    ]  # fmt: skip


def test_results_are_told_beside_their_image_and_alone(tmp_path: Path) -> None:
    for folder in (tmp_path / "together", tmp_path / "apart"):
        write(folder, "a", "b.c")
        if folder.name == "together":
            Image.fromarray(PICTURE).save(folder / "a.png")
        own = {path.name for path in results_among(folder.iterdir())}
        assert {path.name for path in folder.iterdir()} - own == ({"a.png"} if folder.name == "together" else set())
        (folder / "a.overlay.png").rename(folder / "z.overlay.png")  # it carries our name
        assert folder / "z.overlay.png" in results_among(folder.iterdir())


def test_results_of_an_earlier_version_are_told_by_what_lies_beside_them(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.overlay.png")
    tifffile.imwrite(tmp_path / "a.labels.tif", np.ones((20, 30), np.int32))
    assert results_among(tmp_path.iterdir()) == set()
    (tmp_path / "entities.csv").write_text("image,id,area_px,box_y\n")
    assert len(results_among(tmp_path.iterdir())) == 3
    (tmp_path / "entities.csv").unlink()
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg")
    assert {path.name for path in results_among(tmp_path.iterdir())} == {"a.overlay.png", "a.labels.tif"}


def test_the_heat_maps_of_transfer_are_told_by_their_table(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "transfer.png")
    assert results_among(tmp_path.iterdir()) == set()
    (tmp_path / "transfer.csv").write_text("metric,adapter,data,value\n")
    assert len(results_among(tmp_path.iterdir())) == 2


def test_a_file_of_another_form_is_somebodys_own(tmp_path: Path) -> None:
    for name in ("a.png", "a.overlay.png"):
        Image.fromarray(PICTURE[..., 0]).save(tmp_path / name)
    tifffile.imwrite(tmp_path / "a.heat.tif", np.ones((20, 30), np.uint16))  # of a thermal camera
    (tmp_path / "a.density.tif").write_bytes(b"damaged")
    (tmp_path / "images.csv").write_text("file,group\na.png,x\n")
    assert results_among(tmp_path.iterdir()) == set()


def test_labelled_folders_are_read_without_what_predict_left(build, tmp_path: Path) -> None:
    root = build.coco(tmp_path / "set", count=3)
    before = [path.name for path in sorted(root.rglob("*.png"))]
    images = next(root.rglob("*.png")).parent
    write(images, *(Path(name).stem for name in before))
    for predictions in images.glob("*.coco.json"):  # of all images and of each; they are told beside annotations
        predictions.unlink()
    assert [path.name for path in files(images)] == before
    folder = build_domain("natural", root, layout="coco").folder  # type: ignore[attr-defined]
    assert len(folder.records) == 3 and folder.faults == []


def test_label_maps_of_ours_in_a_folder_of_labels_stay(tmp_path: Path) -> None:
    write(tmp_path, "a")
    assert [path.name for path in files(tmp_path)] == ["a.labels.tif"]


@pytest.mark.parametrize("part", ["history.csv", "adapter/"])
def test_what_fit_left_is_no_folder_of_images(tmp_path: Path, part: str) -> None:
    run = tmp_path / "run"
    (run / "adapter").mkdir(parents=True) if part.endswith("/") else run.mkdir()
    assert not is_run(run) and folders(tmp_path) == [run]
    (run / "recipe.yaml").write_text("domain: {}")
    (run / "history.csv").write_text("step")
    assert is_run(run) and folders(tmp_path) == []


def test_what_somebody_drew_comes_before_what_was_predicted(build, tmp_path: Path) -> None:
    root = build.label_maps(tmp_path / "set")
    drawn = open_folder(root)
    with open_exports(["coco", "csv"], Destination(root / "results"), ["0"]) as exports:
        entities, place = EntityMap(np.eye(20, 30, dtype=np.int32)), Place(str(root / "images" / "0.png"))
        exports.stream(Prediction.of_map(entities, "0", place, PICTURE))
    again = open_folder(root)
    assert again.layout.name == "label_maps" and again.entities == drawn.entities and again.faults == []
    shutil.rmtree(root / "labels")
    assert open_folder(root).layout.name == "coco"  # there is nothing else
