from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from domains.errors import InputError
from domains.formats.prompts import Prompt, prompts_of, read_prompts
from domains.scenes.georeference import Georeference


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def collection(*geometries: dict, **members: object) -> dict:
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
    return {"type": "FeatureCollection", "features": features, **members}


POINT = {"type": "Point", "coordinates": [4.5, 3]}
MULTI = {"type": "MultiPoint", "coordinates": [[1, 2], [7, 8]]}
SQUARE = {"type": "Polygon", "coordinates": [[[2, 3], [9, 3], [9, 11], [2, 11], [2, 3]]]}
UTM = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}


def test_rows_of_points_are_prompts_and_those_of_one_prompt_go_together(tmp_path) -> None:
    text = "image,x,y,label,prompt\na.png,1,2,,\na.png,3,4,1,cell\nb.png,5,6,1,cell\na.png,7.5,8,0,cell\n"
    prompts = read_prompts(written(tmp_path / "p.csv", text), "points")
    assert [prompt.points.tolist() for prompt in prompts] == [[[1, 2]], [[3, 4], [7.5, 8]], [[5, 6]]]
    assert [prompt.labels.tolist() for prompt in prompts] == [[1], [1, 0], [1]]
    assert [prompt.image for prompt in prompts] == ["a.png", "a.png", "b.png"]


def test_the_centroids_of_our_own_tables_are_points(tmp_path) -> None:
    (prompt,) = read_prompts(written(tmp_path / "p.csv", "id,centroid_x,centroid_y\n1,30.5,12\n"), "points")
    assert prompt.points.tolist() == [[30.5, 12]]


@pytest.mark.parametrize(
    "text",
    [
        "x0,y0,x1,y1\n2,3,9,11\n",
        "xmin,ymin,xmax,ymax\n2,3,9,11\n",
        "X,Y,Width,Height\n2,3,7,8\n",
        "left,top,right,bottom\n2,3,9,11",
    ],
)
def test_boxes_have_their_corners_whatever_their_columns_are_called(tmp_path, text) -> None:
    (prompt,) = read_prompts(written(tmp_path / "b.csv", text), "boxes")
    assert prompt.box is not None and prompt.box.tolist() == [2, 3, 9, 11]


def test_coco_boxes_know_their_images(tmp_path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "deep/a.png"}],
        "annotations": [{"image_id": 7, "bbox": [2, 3, 7, 8], "category_id": 1}],
    }
    (prompt,) = read_prompts(written(tmp_path / "b.json", content), "boxes")
    assert prompt.box is not None and prompt.box.tolist() == [2, 3, 9, 11] and prompt.image == "deep/a.png"
    assert prompts_of([prompt], "", ["b.png", "a.png"])["a.png"] == [prompt]
    (detection,) = read_prompts(written(tmp_path / "d.json", [{"image_id": 7, "bbox": [2, 3, 7, 8]}]), "boxes")
    assert detection.image is None


def test_points_of_qupath_and_boxes_around_its_rectangles(tmp_path) -> None:
    path = written(tmp_path / "p.geojson", collection(POINT, MULTI))
    assert [p.points.tolist() for p in read_prompts(path, "points")] == [[[4.5, 3]], [[1, 2]], [[7, 8]]]
    path = written(tmp_path / "b.geojson", collection(SQUARE)["features"])
    (prompt,) = read_prompts(path, "boxes")
    assert prompt.box is not None and prompt.box.tolist() == [2, 3, 9, 11] and prompt.crs is None


def test_prompts_on_the_map_come_to_pixels(tmp_path) -> None:
    georeference = Georeference("EPSG:32633", (0.5, 0, 400_000, 0, -0.5, 5_000_000))
    points = {"type": "Point", "coordinates": [400_010, 4_999_990]}
    (prompt,) = read_prompts(written(tmp_path / "p.geojson", collection(points, crs=UTM)), "points")
    assert prompt.in_pixels("a.tif", georeference).points.tolist() == [[20, 20]]
    corners = [[[400_010, 4_999_990], [400_020, 4_999_990], [400_020, 4_999_980]]]
    path = written(tmp_path / "b.geojson", collection({"type": "Polygon", "coordinates": corners}, crs=UTM))
    box = read_prompts(path, "boxes")[0].in_pixels("a.tif", georeference).box
    assert box is not None and box.tolist() == [20, 20, 40, 40]


@pytest.mark.parametrize(
    "name, kind, content, message",
    [
        ("p.csv", "points", "x,z\n1,2\n", r"has the columns x, z; wanted a header with x, y or centroid_x, centroid_y"),
        ("p.csv", "points", "x,y\n1,two\n", r"row 1: y is 'two'; wanted a number of pixels"),
        ("p.csv", "points", "x,y\n1,nan\n", r"row 1: y is 'nan'"),
        ("p.csv", "points", "x,y,label\n1,2,2\n", r"row 1: label is '2'; wanted 1 for a point inside"),
        ("p.csv", "points", "x,y\n", r"holds no points; wanted one at least"),
        ("p.csv", "points", "x,y\n1\n", r"row 1: y is None; wanted a number"),
        ("b.csv", "boxes", "x0,y0,x1\n1,2,3\n", r"wanted a header with x0, y0, x1, y1 or xmin"),
        ("p.txt", "points", "1 2\n", r"is of no known kind; wanted a .csv or .geojson"),
        ("b.json", "boxes", {"images": []}, r"has no list `annotations`"),
        ("b.json", "boxes", [{"bbox": [1, 2]}], r"annotation 1 has no `bbox` of four numbers"),
        ("b.json", "boxes", [{"bbox": [1, 2, "x", 3]}], r"annotation 1: bbox is 'x'"),
        ("p.geojson", "points", collection(SQUARE), r"feature 1 is a Polygon; --points wants Point or MultiPoint"),
        ("b.geojson", "boxes", collection(POINT), r"feature 1 is a Point; --boxes wants Polygon or MultiPolygon"),
        ("p.geojson", "points", collection({"type": "Point"}), r"feature 1 has no coordinates that can be read"),
        ("p.geojson", "points", "{", r"no whole JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name, kind, content, message) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_prompts(written(tmp_path / name, content), kind)
    assert "\n" not in str(error.value) and name in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"--boxes '.*none.csv' does not exist; wanted a file of boxes"):
        read_prompts(tmp_path / "none.csv", "boxes")


@pytest.mark.parametrize(
    "prompt, message",
    [
        (Prompt("row 1", np.array([[70.0, 5]]), np.ones(1)), r"row 1: a point at x 70, y 5 lies outside of 'a.png'"),
        (Prompt("row 1", np.array([[-1.0, 5]]), np.ones(1)), r"x -1, y 5 lies outside"),
        (Prompt("row 2", box=np.array([5.0, 1, 5, 9])), r"row 2: a box of x 5 to 5, y 1 to 9 has no area; want"),
        (Prompt("row 2", box=np.array([9.0, 1, 5, 9])), r"has no area"),
        (Prompt("row 3", box=np.array([80.0, 1, 90, 9])), r"x 80 to 90, y 1 to 9 lies outside of 'a.png'"),
    ],
)  # fmt: skip
def test_prompts_outside_of_an_image_and_boxes_without_area_are_refused(prompt, message) -> None:
    with pytest.raises(InputError, match=message):
        prompt.within("a.png", (48, 64))


def test_a_box_that_leaves_the_image_is_cut() -> None:
    box = Prompt("row", box=np.array([-3.0, 5, 70, 60])).within("a.png", (48, 64)).box
    assert box is not None and box.tolist() == [0, 5, 64, 48]


def test_prompts_of_another_crs_or_on_a_picture_are_refused(tmp_path) -> None:
    (prompt,) = read_prompts(written(tmp_path / "p.geojson", collection(POINT, crs=UTM)), "points")
    with pytest.raises(InputError, match=r"lies on a map \(EPSG:32633\), and 'a.png' does not say where it lies; give"):
        prompt.in_pixels("a.png", None)
    with pytest.raises(
        InputError, match=r"is in EPSG:32633, 'a.tif' in EPSG:32632; bring the prompts to the image's CRS"
    ):
        prompt.in_pixels("a.tif", Georeference("EPSG:32632", (1, 0, 0, 0, -1, 0)))


def test_prompts_of_no_image_or_of_many_are_refused() -> None:
    alone, other = Prompt("row 1"), Prompt("row 2", image="z.png")
    assert prompts_of([alone], "", ["a.png"]) == {"a.png": [alone]}
    with pytest.raises(
        InputError, match=r"row 1 does not say of which of the 2 images it is; name it in a column `image`"
    ):
        prompts_of([alone], "", ["a.png", "b.png"])
    with pytest.raises(InputError, match=r"row 2 is of 'z.png', which is none of the images; the first is 'a.png'"):
        prompts_of([other], "", ["a.png"])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"x,y\n1,\xff\n", "cannot be read as a table: .*; wanted CSV in UTF-8"),
        (b"x,y\n" + b"1" * 140_000 + b",2\n", "cannot be read as a table: field larger"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, message) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / "p.csv", "points")


def test_points_without_coordinates_and_names_that_two_images_have_are_refused(tmp_path) -> None:
    for empty in ({"type": "MultiPoint", "coordinates": []}, {"type": "Point", "coordinates": [float("nan"), 1]}):
        path = written(tmp_path / "p.geojson", collection(empty))
        with pytest.raises(InputError, match="feature 1 has no coordinates that can be read; wanted pairs of numbers"):
            read_prompts(path, "points")
    prompt = Prompt("row 1", points=np.array([[1.0, 2.0]]), labels=np.array([1]), image="a")
    with pytest.raises(InputError, match="p.csv: 2 of the images are called 'a'; predict them apart"):
        prompts_of([prompt], "p.csv", ["a.png", "a.tif"])


def test_what_we_wrote_on_the_map_is_in_degrees_without_a_word_of_it(tmp_path) -> None:
    content = collection({"type": "Point", "coordinates": [12.0, 50.0]})
    content["features"][0]["properties"] = {"area_px": 4, "area_m2": 9.0}
    (prompt,) = read_prompts(written(tmp_path / "p.geojson", content), "points")
    assert prompt.crs == "OGC:CRS84"
