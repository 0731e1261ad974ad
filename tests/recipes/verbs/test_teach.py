"""Classes from the command line: learnt by a fit, taught without one, and written by every format of `predict`."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from adapters.sharing.door import read_info
from adapters.sharing.labels_file import load_labeller, set_labeller
from cli import main
from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.tiling.prediction import Prediction
from recipes.build import domain_of
from recipes.load import loaded
from recipes.reading.compose import changed
from recipes.verbs.class_table import ClassTable, draw


def drawn(seed: int) -> tuple[np.ndarray, EntityMap]:
    """An image of discs, dark ones and bright ones."""
    rng = np.random.default_rng(seed)
    ids, labels, image = np.zeros((80, 80), np.int32), [], rng.normal(120, 6, (80, 80, 3))
    y, x = np.mgrid[:80, :80]
    for row in range(12, 72, 18):
        for column in range(12, 72, 18):
            inside = (y - row) ** 2 + (x - column) ** 2 < 36
            labels.append(int(rng.integers(2)))
            ids[inside] = len(labels)
            image[inside] += (-70, 70)[labels[-1]]
    names = ("dark", "bright")
    return image.clip(0, 255).astype(np.uint8), EntityMap(ids, labels=np.array(labels, np.int32), vocabulary=names)


@pytest.fixture(scope="module")
def classed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with a COCO file whose categories are two classes."""
    root = tmp_path_factory.mktemp("classed") / "discs"
    root.mkdir()
    names = [f"{i}.png" for i in range(6)]
    with open_exports(["coco"], Destination(root), [name[0] for name in names]) as exports:
        for i, name in enumerate(names):
            image, truth = drawn(i)
            Image.fromarray(image).save(root / name)
            exports.stream(Prediction.of_map(truth, name[0], Place(str(root / name)), image))
    shutil.rmtree(root / ".predict", ignore_errors=True)
    return root


@pytest.fixture(scope="module")
def fitted(classed: Path, options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter of a fit to data with classes."""
    out = tmp_path_factory.mktemp("runs") / "named"
    small = (
        "train.calibrate=false",
        "decoder.regions=false",
        "domain.symmetries=1",
        "labels.map={dark: hole, bright: bright}",
    )
    words = ["fit", "--recipe", "pathology", "--data", str(classed), "--out", str(out), *options, *small]
    assert main(words) == 0
    return out / "adapter"


def test_a_fit_to_classes_learns_them_and_predict_writes_them_in_every_format(
    fitted: Path, classed: Path, tmp_path: Path
) -> None:
    labels = read_info(fitted).labels
    assert labels is not None and labels.vocabulary == ("bright", "hole") and labels.accuracy == 1
    words = ["predict", "--adapter", str(fitted), str(classed / "0.png"), "--out", str(tmp_path)]
    assert main(words) == 0
    rows = list(csv.DictReader((tmp_path / "entities.csv").read_text(encoding="utf-8").splitlines()))
    assert rows and {row["label"] for row in rows} <= {"bright", "hole", "unknown"}
    assert all(0 <= float(row["label_score"]) <= 1 for row in rows)
    ids, classes = (tifffile.imread(tmp_path / f"0.{word}.tif") for word in ("labels", "classes"))
    with tifffile.TiffFile(tmp_path / "0.classes.tif") as file:
        names = json.loads(file.pages[0].description)["classes"]
    assert names == ["bright", "hole", "unknown"] and ((ids > 0) == (classes > 0)).all()
    assert [names[classes[ids == int(row["id"])][0] - 1] for row in rows] == [row["label"] for row in rows]
    features = json.loads((tmp_path / "0.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["classification"]["name"] for feature in features] == [row["label"] for row in rows]
    colours = {tuple(feature["properties"]["classification"]["color"]) for feature in features}
    assert len(colours) == len({row["label"] for row in rows})
    coco = json.loads((tmp_path / "predictions.coco.json").read_text(encoding="utf-8"))
    category = {row["id"]: row["name"] for row in coco["categories"]}
    assert [category[row["category_id"]] for row in coco["annotations"]] == [row["label"] for row in rows]
    assert [row["category_score"] for row in coco["annotations"]] == [float(row["label_score"]) for row in rows]
    with Image.open(tmp_path / "0.overlay.png") as picture:
        assert picture.width == 80 and picture.height > 80  # with a legend


def test_a_forest_says_that_it_has_no_classes(fitted: Path, classed: Path, tmp_path: Path, capsys) -> None:
    words = ["predict", "--adapter", str(fitted), str(classed / "0.png"), "--out", str(tmp_path), "--format", "forest"]
    assert main(words) == 0
    assert "nested entities get no class; the formats of the flat map have them" in capsys.readouterr().err


def test_a_track_of_a_clip_has_the_class_of_its_frames(fitted: Path, classed: Path, tmp_path: Path) -> None:
    (clip := tmp_path / "clip").mkdir()
    for number in range(3):
        shutil.copy(classed / "0.png", clip / f"{number}.png")
    words = ["predict", "--adapter", str(fitted), "--video", "--realtime", "--track", "keyframe_frames=2"]
    assert main([*words, str(clip), "--format", "csv", "--format", "mot", "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "clip.tracks.csv").read_text(encoding="utf-8").splitlines()))
    names = (tmp_path / "out" / "clip.mot.labels.txt").read_text(encoding="utf-8").splitlines()
    boxes = [line.split(",") for line in (tmp_path / "out" / "clip.mot.txt").read_text().splitlines()]
    assert names == ["bright", "hole", "unknown"] and len({box[0] for box in boxes}) == 3
    assert {box[1]: names[int(box[7]) - 1] for box in boxes} == {row["track"]: row["label"] for row in rows}
    still = ["predict", "--adapter", str(fitted), str(clip / "0.png"), "--out", str(tmp_path / "still")]
    still += ["--format", "csv"]
    assert main(still) == 0
    entities = list(csv.DictReader((tmp_path / "still" / "entities.csv").read_text(encoding="utf-8").splitlines()))
    of_tracks, of_entities = (
        sorted((row["label"], float(row["label_score"])) for row in table) for table in (rows, entities)
    )  # of frames that are all alike
    assert [label for label, _ in of_tracks] == [label for label, _ in of_entities] and of_tracks
    assert np.allclose([score for _, score in of_tracks], [score for _, score in of_entities], atol=2e-3)


def test_entities_of_prompts_get_the_classes_of_an_adapter(classed: Path, options: list[str], tmp_path: Path) -> None:
    small = ["backbone.name=entity-small", "backbone.taps=[2,4,6]", "train.start=null", "train.steps=1"]
    small += ["train.calibrate=false", "decoder.regions=false", "domain.symmetries=1", "domain.test_scales=[1]"]
    words = ["fit", "--recipe", "natural", "--data", str(classed), "--out", str(tmp_path / "run"), *options, *small]
    assert main(words) == 0
    labeller = load_labeller(adapter := tmp_path / "run" / "adapter", read_info(adapter))
    assert labeller is not None
    set_labeller(adapter, replace(labeller, farthest=np.inf))  # discs drawn alike: nothing but their outlines is known
    image, truth = drawn(0)
    corners = [(np.argwhere(truth.ids == disc).min(0), np.argwhere(truth.ids == disc).max(0)) for disc in range(1, 17)]
    lines = [f"{x0},{y0},{x1 + 1},{y1 + 1}" for (y0, x0), (y1, x1) in corners]
    (boxes := tmp_path / "boxes.csv").write_text("\n".join(["x0,y0,x1,y1", *lines]) + "\n", encoding="utf-8")
    Image.fromarray(image).save(picture := tmp_path / "picture.png")
    words = ["predict", "--adapter", str(adapter), str(picture), "--boxes", str(boxes), "--out", str(tmp_path / "out")]
    assert main([*words, "--format", "csv", "--format", "labels"]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "entities.csv").read_text(encoding="utf-8").splitlines()))
    ids = tifffile.imread(tmp_path / "out" / "picture.labels.tif")
    discs = [np.bincount(truth.ids[ids == int(row["id"])])[1:].argmax() for row in rows]
    assert len(rows) > 8 and {row["label"] for row in rows} == {"dark", "bright"}
    assert [row["label"] for row in rows] == [truth.vocabulary[truth.labels[disc]] for disc in discs]


def test_evaluate_says_what_each_class_is_worth_and_which_is_taken_for_which(
    fitted: Path, classed: Path, tmp_path: Path, capsys
) -> None:
    numbers = tmp_path / "numbers.json"
    words = ["evaluate", "--adapter", str(fitted), "--data", str(classed), "--split", "all", "--json", str(numbers)]
    assert main(words) == 0
    printed, labels = capsys.readouterr().out, json.loads(numbers.read_text(encoding="utf-8"))["labels"]
    assert "named right where found" in printed and "which class is taken for which" in printed
    assert labels["classes"].keys() == {"bright", "hole"} and "mf_class" in labels and "mpq" in labels
    table = list(csv.reader((tmp_path / "numbers.confusion.csv").read_text(encoding="utf-8").splitlines()))
    assert [[str(cell) for cell in row] for row in labels["confusion"]] == table
    assert sum(int(cell) for row in table[1:3] for cell in row[1:]) == 96  # every true entity once
    assert (tmp_path / "numbers.confusion.png").read_bytes().startswith(b"\x89PNG")


def test_true_outlines_are_named_right(fitted: Path, classed: Path) -> None:
    with loaded(str(fitted)) as network:
        assert network.labeller is not None
        samples = domain_of(changed(network.recipe, [f"domain.data={classed}"])).dataset("test")
        classes = network.recipe.labels.map
        table = ClassTable(network.segmenter, network.labeller, network.contract, classes)
        table.update(samples, 0, samples[0].truths[0])
        plain = ClassTable(network.segmenter, network.labeller, network.contract)
        plain.renamed(samples[0].truths[0])
    assert not table.strange and [*plain.strange] == ["dark"]
    told = f"the adapter knows no class of these names: dark ({plain.strange['dark']}); labels.map={{NAME: CLASS"
    assert told in plain.text()
    assert table.tally.accuracy().min() > 0.7 and table.tally.confusion[2].sum() == 0
    assert table.as_json()["maccuracy"] == pytest.approx(table.tally.accuracy().mean())


def test_an_adapter_without_classes_is_taught_and_taught_one_more(
    run: Path, classed: Path, tmp_path: Path, capsys
) -> None:
    adapter, taught = str(run / "adapter"), tmp_path / "taught"
    words = ["adapters", "teach", adapter, "--examples", str(classed), "--out"]
    assert main([*words, str(taught)]) == 0
    printed = capsys.readouterr().out
    assert (
        "bright (" in printed
        and "it tells 2 classes apart, by prototypes" in printed
        and "predict --adapter" in printed
    )
    before = {file.name: file.read_bytes() for file in (run / "adapter").iterdir()}
    changed_files = {"entity.json", "README.md"}
    kept = {name: (taught / name).read_bytes() for name in before if name not in changed_files}
    assert kept == {name: content for name, content in before.items() if name not in changed_files}
    with loaded(str(taught)) as network:
        assert network.recipe.labels.map is None
    more = ["adapters", "teach", str(taught), "--examples", str(classed), "--class", "dark=hole", "--out"]
    assert main([*more, str(tmp_path / "more")]) == 0
    labeller = load_labeller(tmp_path / "more", read_info(tmp_path / "more"))
    assert labeller is not None and labeller.vocabulary == ("bright", "dark", "hole")
    assert main(["adapters", "verify", str(tmp_path / "more")]) == 0
    with loaded(str(tmp_path / "more")) as network:  # so that `evaluate` counts what the data call dark as holes
        assert network.recipe.labels.map == {"bright": "bright", "dark": "hole", "hole": "hole"}
    capsys.readouterr()
    anew = ["adapters", "teach", str(tmp_path / "more"), "--examples", str(classed), "--kind", "knn", "--out"]
    assert main([*anew, str(tmp_path / "anew")]) == 0
    assert "it no longer knows hole, since --kind is another than it had" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra, line",
    [
        (["--class", "dark"], "--class is 'dark'; wanted NAME_IN_THE_DATA=NAME"),
        (["--class", "holes=hole"], "labels.map names 'holes'; the training entities have the classes: bright, dark"),
        (["--class", "dark=unknown"], "'unknown' is what is none of the classes and cannot be taught"),
        (["--class", "dark=<b>"], "labels.map.dark is '<b>'; wanted a name of 1 to 100 signs"),
        (["--class", "dark=Hole"], "the examples have the class 'Hole', the adapter 'hole'"),
    ],
)
def test_what_cannot_be_taught_is_one_line(fitted: Path, classed: Path, tmp_path: Path, capsys, extra, line) -> None:
    out = tmp_path / "out"
    words = ["adapters", "teach", str(fitted), "--examples", str(classed), "--out", str(out), *extra]
    assert main(words) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert line in told and not out.exists()


def test_examples_without_classes_and_folders_that_are_there_are_refused(fitted: Path, data: Path, capsys) -> None:
    words = ["adapters", "teach", str(fitted), "--examples", str(data), "--out"]
    assert main([*words, str(data.parent / "none")]) == 2
    assert "no entity in" in capsys.readouterr().err
    assert main([*words, str(data)]) == 2
    assert "exists; name another folder" in capsys.readouterr().err


def test_a_file_teaches_what_it_draws_and_what_is_unknown_is_left_out(
    fitted: Path, classed: Path, tmp_path: Path, capsys
) -> None:
    root = shutil.copytree(classed, tmp_path / "classed")
    annotations = root / "predictions.coco.json"
    content = json.loads(annotations.read_text(encoding="utf-8"))
    content["categories"][0]["name"] = "unknown"
    annotations.write_text(json.dumps(content), encoding="utf-8")
    other = content["categories"][1]["name"]
    count = sum(row["category_id"] == content["categories"][1]["id"] for row in content["annotations"])
    image = next(row for row in content["images"] if row["file_name"].endswith("0.png"))
    single = sum(
        row["category_id"] == content["categories"][1]["id"] and row["image_id"] == image["id"]
        for row in content["annotations"]
    )
    line = ["adapters", "teach", str(fitted), "--class", f"{other}=new", "--out"]
    (root / "0.geojson").write_text("{}")  # beside its image
    beside = ("beside", root / "0.geojson", single)
    for place, source, number in (("all", annotations, count), ("one", root / "0.png", single), beside):
        assert main([*line, str(tmp_path / place), "--examples", str(source)]) == 0
        assert f"taught by {number} entities: new ({number}); it tells 3 classes apart" in capsys.readouterr().out
    assert main(["adapters", "teach", str(fitted), "--examples", str(root), "--out", str(tmp_path / "plain")]) == 0
    assert f"taught by {count} entities: {other} ({count})" in capsys.readouterr().out
    (root / "notes.txt").write_text("mine")
    for source, told in (
        (root / "notes.txt", "is no labelled image of its folder"),
        (root / "none", "nothing is there"),
    ):
        assert main([*line, str(tmp_path / "none"), "--examples", str(source)]) == 2
        assert told in capsys.readouterr().err
    assert main(["adapters", "teach", "base", "--examples", str(root), "--out", str(tmp_path / "none")]) == 2
    assert "the base itself cannot be taught" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_a_map_of_the_recipe_that_names_no_class_is_refused(
    classed: Path, options: list[str], tmp_path, capsys
) -> None:
    out = str(tmp_path / "run")
    words = ["fit", "--recipe", "pathology", "--data", str(classed), "--out", out, *options, "labels.map={pit: hole}"]
    assert main(words) == 2
    assert "labels.map names 'pit'; the training entities have the classes: bright, dark" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_class_with_dollars_is_drawn_as_it_is_written(tmp_path: Path) -> None:
    rows: list[list[str | int]] = [["", r"$\frac$", "none"], [r"$\frac$", 3, 1]]
    draw(tmp_path / "drawn.png", rows)
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
