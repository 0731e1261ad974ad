from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.backbones import BackboneOptions, build_backbone
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.sam import SamPrompts
from adapters.proposals.mask_set import MaskSet
from cli import main
from domains.exports.forest_reading import read_forest
from domains.formats.prompts import Prompt
from recipes.verbs.prompted import PromptedEntities, painted, window_of
from tests.adapters.backbones.tiny_models import tiny_folder
from tests.adapters.decoders.test_sam import picture


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder("sam", tmp_path_factory.mktemp("sam"))


def written(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, "utf-8")
    return folder / name


def images(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    paths = []
    for number, size in enumerate(sizes):
        paths.append(folder / f"{'ab'[number]}.png")
        Image.fromarray(picture(*size, seed=number)).save(paths[-1])
    return paths


def predict(sam: Path, *words: str | Path) -> int:
    base = ["--adapter", "base", "--recipe", "natural", "--backbone", str(sam), "--device", "cpu"]
    return main(["predict", *base, *map(str, words)])


def test_boxes_of_a_detector_become_entities_in_every_format(sam, tmp_path) -> None:
    a, b = images(tmp_path, (48, 64), (40, 40))
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 1, "bbox": [2, 3, 20, 18]}, {"image_id": 1, "bbox": [30, 10, 20, 30]},
            {"image_id": 2, "bbox": [5, 5, 30, 20]},
        ],
    }  # fmt: skip
    boxes = written(tmp_path, "boxes.json", json.dumps(content))
    formats = ("--format", "labels", "--format", "geojson", "--format", "coco", "--format", "csv")
    assert predict(sam, a, b, "--boxes", boxes, "--out", tmp_path / "out", "--precision", "fp32", *formats) == 0
    embedded = build_promptable(build_backbone(BackboneOptions(name=str(sam)))).set_image(picture(48, 64))
    masks = embedded.predict(boxes=np.array([[2.0, 3, 22, 21], [30.0, 10, 50, 40]]), several=False)
    with Image.open(tmp_path / "out" / "a.labels.tif") as labels:
        assert np.array_equal(np.array(labels), painted(masks).ids)
    results = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"a.geojson", "b.geojson", "b.labels.tif", "predictions.coco.json"} <= results, results


def test_clicks_in_windows_are_those_on_the_window_alone(sam) -> None:
    finder = PromptedEntities(build_promptable(build_backbone(BackboneOptions(name=str(sam)))), 40)
    image, at = picture(120, 160), np.array([[100.0, 90.0]])
    window = window_of(at, 40, (120, 160))
    assert (window.height, window.width) == (40, 40)
    assert window.x <= 90 and window.x + 40 >= 110 and window.y <= 80 and window.y + 40 >= 100
    entities = finder.of_prompts(lambda w: image[w.slices].copy(), (120, 160), [Prompt("p", at, np.ones(1, np.int32))])
    masks = finder.promptable.set_image(image[window.slices].copy()).predict((at - [window.x, window.y])[None])
    expected = np.zeros((120, 160), bool)
    expected[window.slices] = masks[int(masks.scores.argmax())]
    assert expected.sum() > 0 and np.array_equal(entities.ids > 0, expected)


def test_a_prompt_larger_than_a_window_is_seen_whole() -> None:
    assert window_of(np.array([[10.0, 10], [90.0, 60]]), 40, (120, 160)) == (0, 0, 120, 160)


def test_points_with_a_second_one_outside_are_one_entity(sam, tmp_path) -> None:
    (a,) = images(tmp_path, (48, 64))
    points = written(tmp_path, "points.csv", "x,y,label,prompt\n20,20,1,cell\n40,30,0,cell\n50,8,1,\n")
    assert predict(sam, a, "--points", points, "--out", tmp_path / "out", "--format", "labels") == 0
    with Image.open(tmp_path / "out" / "a.labels.tif") as labels:
        assert 1 <= np.array(labels).max() <= 2


def test_a_forest_of_prompts_has_all_masks_and_the_same_flat_map(sam, tmp_path) -> None:
    (a,) = images(tmp_path, (48, 64))
    points = written(tmp_path, "points.csv", "x,y\n12,20\n40,30\n50,8\n")
    words = (a, "--points", points, "--format", "labels", "--format", "csv")
    assert predict(sam, *words, "--out", tmp_path / "flat") == 0
    assert predict(sam, *words, "--format", "forest", "--out", tmp_path / "both") == 0
    for name in ("a.labels.tif", "entities.csv"):
        assert (tmp_path / "flat" / name).read_bytes() == (tmp_path / "both" / name).read_bytes()
    forest = read_forest(tmp_path / "both" / "a.forest.tif").forest
    with Image.open(tmp_path / "flat" / "a.labels.tif") as labels:
        ids = np.array(labels)
    assert np.array_equal(forest.entity_forest.cut(forest.granularity).ids, ids) and forest.granularity == 0.5
    finder = PromptedEntities(SamPrompts(build_backbone(BackboneOptions(name=str(sam)))))
    picture_a, prompts = picture(48, 64), [Prompt("p", np.array([[x, y]]), np.ones(1, np.int32)) for x, y in
                                           ((12.0, 20.0), (40.0, 30.0), (50.0, 8.0))]  # fmt: skip
    masks = finder.masks_of(lambda w: picture_a[w.slices].copy(), (48, 64), prompts, every=True)
    assert masks.prompts.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and masks.levels.tolist() == [0, 1, 2] * 3


def test_the_same_command_again_predicts_nothing_anew(sam, tmp_path, capsys) -> None:
    paths = images(tmp_path, (48, 64), (40, 40))
    points = written(tmp_path, "points.csv", "image,x,y\na,20,20\n")
    words = (*paths, "--points", points, "--out", tmp_path / "out", "--format", "labels", "--format", "csv")
    assert predict(sam, *words) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.labels.tif")}
    assert len(before) == 2 and "1 entity in 2 images" in capsys.readouterr().out
    assert predict(sam, *words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    points.write_text("image,x,y\na,30,20\n")
    assert predict(sam, *words) == 2 and "--points" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, words, message",
    [
        ("x,y\n900,3\n", (), "a point at x 900, y 3 lies outside of 'a.png', 64 x 48 px"),
        ("x,z\n1,3\n", (), "has the columns x, z; wanted a header with x, y or"),
        ("x,y,image\n1,3,c.png\n", (), "row 1 is of 'c.png', which is none of the images"),
        ("x,y\n1,3\n", ("--masks", "esam"), "masks are proposed without prompts; leave one out"),
        ("x,y\n1,3\n", ("--symmetries", "2"), "asks the decoder of prompts; leave out --symmetries"),
        ("x,y\n1,3\n", ("--fast",), "asks the decoder of prompts; leave out --fast"),
        ("x,y\n1,3\n", ("--precision", "int8"), "asks the decoder of prompts; leave out --precision int8"),
    ],
)
def test_bad_prompts_end_in_one_line(sam, tmp_path, capsys, content, words, message) -> None:
    (a,) = images(tmp_path, (48, 64))
    points = written(tmp_path, "points.csv", content)
    assert predict(sam, a, "--points", points, "--out", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and not any("Traceback" in line for line in error)


def test_prompts_want_a_sam(tmp_path, capsys) -> None:
    (a,) = images(tmp_path, (48, 64))
    folder = tiny_folder("vit", tmp_path / "vit")
    assert predict(folder, a, "--points", written(tmp_path, "p.csv", "x,y\n3,3\n"), "--out", tmp_path / "out") == 2
    assert "prompts want a SAM, such as facebook/sam-vit-base" in capsys.readouterr().err


def disc(folder: Path) -> tuple[Path, np.ndarray]:
    """A picture of an orange disc, and where it is."""
    y, x = np.mgrid[:64, :72]
    inside = (y - 30) ** 2 + (x - 34) ** 2 < 15**2
    pixels = np.where(inside[..., None], np.uint8([220, 160, 60]), np.uint8([40, 45, 50]))
    Image.fromarray(pixels).save(folder / "disc.png")
    return folder / "disc.png", inside


@pytest.mark.parametrize(
    "option, content, words",
    [
        ("--points", "x,y\n34,30\n", ()),
        ("--points", "x,y\n34,30\n", ("--granularity", "0.2")),
        ("--boxes", "x0,y0,x1,y1\n19,15,49,45\n", ()),
    ],
)
def test_the_embedded_base_answers_prompts_without_a_download(tmp_path, option, content, words) -> None:
    image, inside = disc(tmp_path)
    prompts = written(tmp_path, "prompts.csv", content)
    out = tmp_path / "out"
    assert predict(Path("entity-small"), image, option, prompts, "--out", out, "--format", "labels", *words) == 0
    with Image.open(out / "disc.labels.tif") as labels:
        entity = np.array(labels) == 1
    assert (entity & inside).sum() / (entity | inside).sum() > 0.7


def test_another_granularity_into_the_same_folder_is_refused(tmp_path, capsys) -> None:
    image, _ = disc(tmp_path)
    words = ("--points", written(tmp_path, "p.csv", "x,y\n34,30\n"), "--out", tmp_path / "out", "--format", "labels")
    assert predict(Path("entity-small"), image, *words, "--granularity", "0.2") == 0
    assert predict(Path("entity-small"), image, *words, "--granularity", "0.9") == 2
    assert "--granularity" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (("--points", "x,y\n3,3\n"), "has no granularity among its prompts; leave out --granularity, or take a base"),
        (("--boxes", "x0,y0,x1,y1\n1,1,9,9\n"), "asks the decoder of prompts; leave out --granularity with --boxes"),
        (("--masks", "automatic"), "leave out --granularity with --masks automatic"),
    ],
)
def test_a_granularity_that_nothing_answers_is_refused_in_a_line(sam, tmp_path, capsys, words, message) -> None:
    (a,) = images(tmp_path, (48, 64))
    option, value = words
    asked = value if option == "--masks" else written(tmp_path, "p.csv", value)
    assert predict(sam, a, option, asked, "--granularity", "0.3", "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_grid_of_points_finds_entities_without_prompts(sam, tmp_path, monkeypatch) -> None:
    from adapters.proposals.esam_steps import ESamOptions
    from recipes.verbs import prompted

    few = ESamOptions(points_per_side=3, gallery_per_side=3)
    monkeypatch.setattr(prompted, "ESam", lambda: prompted_esam(few))
    (a,) = images(tmp_path, (48, 64))
    assert predict(sam, a, "--masks", "esam", "--out", tmp_path / "out", "--format", "labels") == 0
    with Image.open(tmp_path / "out" / "a.labels.tif") as labels:
        ids = np.array(labels)
    assert ids.max() > 0
    words = (a, "--masks", "esam", "--format", "labels", "--format", "forest")
    assert predict(sam, *words, "--out", tmp_path / "both") == 0
    forest = read_forest(tmp_path / "both" / "a.forest.tif").forest
    nested, parents = forest.entity_forest, forest.nodes.parents
    assert np.array_equal(nested.cut(forest.granularity).ids, ids) and forest.granularity == 0
    assert not parents[: ids.max()].any() and parents[ids.max() :].all() and nested.count >= ids.max()
    with Image.open(tmp_path / "both" / "a.labels.tif") as labels:
        assert np.array_equal(np.array(labels), ids)


def test_a_forest_of_automatic_masks_has_their_flat_map(sam, monkeypatch) -> None:
    finder = PromptedEntities(build_promptable(build_backbone(BackboneOptions(name=str(sam)))))
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :40]
    discs = [(y - a) ** 2 + (x - b) ** 2 < r**2 for a, b, r in rng.uniform([4, 4, 2], [28, 36, 12], (30, 3))]
    masks = MaskSet.of(discs, rng.random(30))
    monkeypatch.setattr(PromptedEntities, "automatic", lambda self, image: masks)
    entities, forest, granularity = finder.forest_of_grid(np.zeros((32, 40, 3), np.uint8), "automatic")
    assert np.array_equal(entities.ids, finder.of_grid(np.zeros((32, 40, 3), np.uint8), "automatic").ids)
    assert np.array_equal(forest.cut(granularity).ids, entities.ids) and forest.count > entities.count


def prompted_esam(options):
    from adapters.proposals.esam import ESam

    return ESam(options)
