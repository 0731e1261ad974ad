"""Labels that nobody drew: what is written, that fit reads it with its weights, going on, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli import main
from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.exports.forest_reading import read_forest
from domains.formats.label_maps import WEIGHTS
from recipes.verbs.pseudo_label import SETTINGS, check_network, parse_quantiles

BY_FEATURES = ["--recipe", "natural", "--explore", "features"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Path:
    """Three pictures of coloured rectangles, of one stem two of them, a broken one and one of a single grey."""
    folder = tmp_path_factory.mktemp("images") / "pool"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "more/a.png"):
        image = np.full((64, 96, 3), rng.integers(0, 120, 3), np.uint8)
        image[:, 48:] = rng.integers(150, 255, 3)
        image[16:48, 8:40] = (250, 30, 40)
        noisy = image + rng.integers(0, 5, image.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "grey.png")
    return folder


@pytest.fixture(scope="module")
def labels(pool: Path, tmp_path_factory) -> Path:
    """By features."""
    out = tmp_path_factory.mktemp("labels") / "out"
    assert main(["pseudo-label", str(pool), "--out", str(out), *BY_FEATURES]) == 0
    return out


@pytest.fixture(scope="module")
def entities(pool: Path, tmp_path_factory) -> Path:
    """By the base's own entities, which is what nobody need say."""
    out = tmp_path_factory.mktemp("entities") / "out"
    assert main(["pseudo-label", str(pool), "--out", str(out), "--recipe", "natural"]) == 0
    return out


def test_each_image_has_labels_weights_and_a_forest(labels: Path, pool: Path) -> None:
    assert sorted(path.name for path in labels.glob("*.png")) == ["b.png", "more_a.png", "pool_a.png"]
    assert (labels / "b.png").read_bytes() == (pool / "b.png").read_bytes()
    forest = read_forest(labels / "b.forest.tif").forest.entity_forest
    rows = list(csv.reader((labels / f"b{WEIGHTS}").read_text().splitlines()))
    flat = forest.cut(0.5)
    assert len(rows) - 1 == flat.count >= 2 and flat.scores is not None
    assert [float(weight) for _, weight in rows[1:]] == pytest.approx(flat.scores.tolist(), abs=1e-3)


def test_a_fit_reads_them_with_their_weights(labels: Path) -> None:
    folder = open_folder(labels)
    assert folder.layout.name == "label_maps" and len(folder.records) == 3
    dataset = folder.dataset("all")
    sample = dataset[[record.name for record in dataset.records].index("b")]
    rows = list(csv.reader((labels / f"b{WEIGHTS}").read_text().splitlines()))[1:]
    assert sample.truth.scores is not None
    assert sample.truth.scores.tolist() == pytest.approx([float(weight) for _, weight in rows])


def test_nested_entities_of_many_views_are_several_truths(entities: Path, pool: Path, capsys) -> None:
    settings = json.loads((entities / SETTINGS).read_text())
    assert settings["explore"] == "entities" and settings["views"] == {"symmetries": 2, "scales": [1.0, 1.4, 2.0]}
    folder = open_folder(entities)
    assert len(folder.records) == 3
    for sample in map(folder.dataset("all").__getitem__, range(3)):
        counts = [truth.count for truth in sample.truths]
        assert 2 <= len(counts) <= 6 and min(counts) >= 2 and len(set(counts)) > 1
        assert all(truth.scores is not None and truth.scores.min() > 0 for truth in sample.truths)
        finest, coarsest = (sample.truths[counts.index(order(counts))].ids for order in (max, min))
        pairs = np.unique(np.stack([finest[finest > 0], coarsest[finest > 0]]), axis=1)
        assert len(pairs[0]) == len(np.unique(pairs[0]))  # each part lies in one whole
    assert main(["pseudo-label", str(pool), "--out", str(entities), *BY_FEATURES]) == 2
    assert "made otherwise" in capsys.readouterr().err


def test_labels_that_somebody_corrected_count_alone(entities: Path, tmp_path: Path) -> None:
    for path in entities.glob("b.*"):
        shutil.copy(path, tmp_path)
    ids = tifffile.imread(tmp_path / "b.labels.tif")
    ids[ids == 2] = 1
    tifffile.imwrite(tmp_path / "b.labels.tif", ids)
    sample = open_folder(tmp_path).dataset("all")[0]
    assert len(sample.truths) == 1 and sample.truth.count == len(np.unique(ids[ids > 0]))


def test_a_forest_of_another_size_is_told(entities: Path, labels: Path, tmp_path: Path) -> None:
    for path in entities.glob("b.*"):
        shutil.copy(path, tmp_path)
    tifffile.imwrite(tmp_path / "b.labels.tif", tifffile.imread(tmp_path / "b.labels.tif")[:-8])
    Image.open(tmp_path / "b.png").crop((0, 0, 96, 56)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b.forest.tif' has 96 x 64 px, b.labels.tif 96 x 56; remove it"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["entities", "--thresholds", "0.5,0.1"], "--thresholds are of --explore features"),
        (["features", "--symmetries", "4"], "--test-scales are of --explore entities"),
    ],
)
def test_options_of_the_other_way_to_explore_are_refused(
    words: list[str], line: str, pool: Path, tmp_path: Path, capsys
) -> None:
    out = str(tmp_path / "out")
    assert main(["pseudo-label", str(pool), "--out", out, "--recipe", "natural", "--explore", *words]) == 2
    assert line in capsys.readouterr().err


def test_views_are_as_somebody_says(pool: Path, tmp_path: Path) -> None:
    words = ["--recipe", "natural", "--test-scales", "1,0.7"]
    assert main(["pseudo-label", str(pool / "b.png"), "--out", str(tmp_path / "out"), *words]) == 0
    assert json.loads((tmp_path / "out" / SETTINGS).read_text())["views"] == {"symmetries": 2, "scales": [1.0, 0.7]}


def test_what_is_there_stays_and_what_lacks_is_made(labels: Path, pool: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(labels, out)
    (out / "b.labels.tif").unlink()
    (out / "pool_a.labels.tif").write_bytes(b"edited")
    capsys.readouterr()
    assert main(["pseudo-label", str(pool), "--out", str(out), *BY_FEATURES]) == 0
    said = capsys.readouterr()
    assert "1 image labelled" in said.out and "2 were there" in said.out
    assert "1 of 5 images were left out" in said.err and "nothing is told apart" in said.err
    assert (out / "b.labels.tif").read_bytes() == (labels / "b.labels.tif").read_bytes()
    assert (out / "pool_a.labels.tif").read_bytes() == b"edited"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--thresholds", "0.3,0.5"], "two falling quantiles"),
        (["--thresholds", "nan,0.5"], "wanted numbers"),
        (["--thresholds", "0.6,0.2"], "made otherwise"),
    ],
)
def test_wrong_thresholds_and_labels_made_otherwise_are_refused(
    words: list[str], line: str, labels: Path, pool: Path, capsys
) -> None:
    assert main(["pseudo-label", str(pool), "--out", str(labels), *BY_FEATURES, *words]) == 2
    assert line in capsys.readouterr().err


def test_places_that_will_not_do_are_refused(pool: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--recipe", "natural"]
    assert main(["pseudo-label", str(pool), "--out", str(pool / "labels"), *arguments]) == 2
    assert "lies in the images" in capsys.readouterr().err
    assert main(["pseudo-label", str(tmp_path / "none"), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert main(["pseudo-label", str(pool), "--out", str(tmp_path / "full"), *arguments]) == 2
    assert "holds other files" in capsys.readouterr().err


def test_images_in_which_nothing_is_told_apart_are_refused(pool: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "plain").mkdir()
    shutil.copy(pool / "grey.png", tmp_path / "plain")
    assert main(["pseudo-label", str(tmp_path / "plain"), "--out", str(tmp_path / "out"), "--recipe", "natural"]) == 2
    assert "no region was found in any of its 1 images" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SETTINGS]


def test_a_damaged_table_of_weights_is_told(labels: Path, tmp_path: Path) -> None:
    for name in ("b.png", "b.labels.tif", f"b{WEIGHTS}"):
        shutil.copy(labels / name, tmp_path)
    (tmp_path / f"b{WEIGHTS}").write_text("id,weight\n1,7\n")
    with pytest.raises(InputError, match="weights beyond 0 to 1"):
        open_folder(tmp_path)


def test_falling_quantiles_are_read() -> None:
    assert parse_quantiles("0.7, 0.5,0.1") == (0.7, 0.5, 0.1)


def test_a_file_of_settings_that_is_none_is_told(labels: Path, pool: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    shutil.copytree(labels, out)
    words = ["pseudo-label", str(pool / "b.png"), "--out", str(out), *BY_FEATURES]
    whole = json.loads((out / SETTINGS).read_text())
    for text in ('{"adapter": ', json.dumps({**whole, "thresholds": ["high"]}), "[]"):
        (out / SETTINGS).write_text(text)
        assert main(words) == 2
        assert f"{str(out / SETTINGS)!r}" in capsys.readouterr().err.splitlines()[-1]


def test_an_image_too_small_is_left_out_and_named(pool: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copyfile(pool / "b.png", folder / "b.png")
    Image.fromarray(np.zeros((6, 90, 3), np.uint8)).save(folder / "strip.png")
    assert main(["pseudo-label", str(folder), "--out", str(tmp_path / "out"), "--recipe", "natural"]) == 0
    told = capsys.readouterr()
    assert "strip.png' has 90 x 6 px, wanted" in told.err + told.out and (tmp_path / "out" / "b.labels.tif").exists()


def test_a_base_that_does_not_say_its_similarities_is_measured_on_the_pool(base, pool: Path, tmp_path, capsys) -> None:
    words = ["pseudo-label", str(pool), "--out", str(tmp_path / "out"), "--recipe", "natural", "--backbone", str(base)]
    assert main([*words, "--explore", "entities"]) == 2
    assert "'base' has no decoder that has learnt entities" in capsys.readouterr().err
    assert main(words) in (0, 2)  # a base without a decoder of its own is explored by its features
    settings = json.loads((tmp_path / "out" / SETTINGS).read_text())
    assert settings["base"] == base.name and settings["tap"] in (1, 2)
    assert settings["thresholds"] == sorted(settings["thresholds"], reverse=True)


def test_an_adapter_of_other_channels_is_refused() -> None:
    network = SimpleNamespace(contract=SimpleNamespace(channels=4))
    with pytest.raises(InputError, match="'five' sees 4 channels; pseudo-label wants RGB: --adapter base"):
        check_network(network, "five")  # type: ignore[arg-type]
