"""`transfer` measures adapters on sets, marks what an adapter was fitted on, and draws the table."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cli import main
from recipes.verbs.transfer import MEASURED, OWN, Table, cells, legend, pictured

TABLE: Table = {
    "pq": {"base": {"a": 0.1, "b": 0.2}, "one": {"a": 0.3, "b": 0.0}},
    "aji": {"base": {"a": 0.1}, "one": {"a": 0.3}},
    "dice": {"base": {"a": 0.1, "b": None}, "one": {"a": 0.3, "b": 0.4}},
}


def test_a_picture_has_what_every_set_has_and_what_a_domain_shows_first() -> None:
    assert pictured(TABLE, 4, {"aji"}).keys() == {"pq", "aji"}
    assert pictured(TABLE, 4, ()).keys() == {"pq"}


def test_where_sets_share_nothing_all_is_pictured() -> None:
    assert pictured({"aji": TABLE["aji"]}, 4, ()).keys() == {"aji"}


def test_cells_that_were_fitted_on_are_marked_and_the_marks_explained() -> None:
    fitted = {"one": {"a": OWN, "b": MEASURED}}
    table = cells(TABLE["pq"], ["base", "one"], ["a", "b"], fitted)
    assert table[1:] == [["base", "0.100", "0.200"], ["one", "0.300*", "0.000!"]]
    assert legend(fitted) == "* the adapter was fitted on other images of this set; ! on images that are measured here"
    assert legend({"one": {"a": ""}}) == ""


@pytest.fixture(scope="module")
def moved(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the run under other names: their hash deals them out to other splits."""
    root = tmp_path_factory.mktemp("moved") / "clinic"
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
        for path in (data / kind).iterdir():
            shutil.copy(path, root / kind / f"scan-{path.name}")
    return root


@pytest.fixture(scope="module")
def mirrored(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mirrored") / "new"
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
        for path in (data / kind).iterdir():
            with Image.open(path) as picture:
                picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(root / kind / path.name)
    return root


def test_sets_of_one_domain_are_compared_and_what_was_fitted_on_is_known_by_its_pixels(
    run: Path, data: Path, moved: Path, mirrored: Path, tmp_path: Path, capsys
) -> None:
    out, groups = tmp_path / "out", tmp_path / "all.csv"
    groups.write_text("file,group\n" + "".join(f"{i}.png,{'abc'[i % 3]}\n" for i in range(6)))
    sets = ["--data", f"pathology={data}", "--data", f"copy:{moved}", "--data", f"new:{mirrored}"]
    words = ["transfer", "--adapter", f"mine:{run / 'adapter'}", *sets, "--out", str(out)]
    assert main([*words, "--groups", f"new:{groups}"]) == 0
    content = json.loads((out / "transfer.json").read_text())
    assert list(content["metrics"]["pq"]["mine"]) == ["pathology", "copy", "new"]
    fitted = content["fitted_on"]["mine"]
    assert fitted["pathology"] == OWN and fitted["copy"] in (OWN, MEASURED) and fitted["new"] == ""
    printed = capsys.readouterr().out
    assert "* the adapter was fitted on other images of this set" in printed
    page = (out / "report.html").read_text(encoding="utf-8")
    value = content["metrics"]["pq"]["mine"]["new"]
    assert f"<span>{value:.3f}</span>" in page and "mine: files of the adapter" in page and 'class="shade s' in page
    assert "* the adapter was fitted on" in (out / "transfer.md").read_text()
    with (out / "transfer.csv").open() as file:
        assert {(row["data"], row["fitted_on"]) for row in csv.DictReader(file) if row["adapter"] == "mine"} == {
            *fitted.items()
        }


def test_a_cell_measured_on_what_the_adapter_learnt_from_has_a_mark_of_its_own(
    run: Path, moved: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    words = ["transfer", "--adapter", str(run / "adapter"), "--data", f"copy:{moved}", "--split", "all"]
    assert main([*words, "--out", str(out)]) == 0
    assert json.loads((out / "transfer.json").read_text())["fitted_on"] == {"one": {"copy": MEASURED}}
    assert "! on images that are measured here" in capsys.readouterr().out


def test_an_adapter_whose_base_lies_elsewhere_is_compared_where_it_is_named(
    run: Path, base: Path, data: Path, tmp_path: Path, capsys
) -> None:
    packed = tmp_path / "mine.zip"
    assert main(["adapters", "pack", str(run / "adapter"), str(packed)]) == 0
    words = ["transfer", "--adapter", str(packed), "--data", f"cells:{data}", "--out", str(tmp_path / "out")]
    assert main(words) == 2 and "--backbone" in capsys.readouterr().err
    assert main([*words, "--backbone", str(base)]) == 0
    assert set(json.loads((tmp_path / "out" / "transfer.json").read_text())["metrics"]["pq"]) == {"base", "mine"}


def test_transfer_fills_a_table_of_adapters_and_sets(run: Path, data: Path, tmp_path, capsys) -> None:
    out = tmp_path / "transfer"
    sets = ["--data", f"pathology={data}", "--data", f"industrial={data}"]
    assert main(["transfer", "--adapter", str(run / "adapter"), *sets, "--out", str(out), "--split", "all"]) == 0
    table = json.loads((out / "transfer.json").read_text())["metrics"]
    assert set(table["pq"]) == {"base", "one"} and set(table["pq"]["one"]) == {"pathology", "industrial"}
    assert "aji" in table and "industrial" not in table["aji"]["one"]
    assert all(any(value is not None for row in one.values() for value in row.values()) for one in table.values())
    assert "image_auroc" not in table  # every image has entities
    with Image.open(out / "transfer.png") as picture:
        assert picture.size[0] > 100
    assert "| one |" in (out / "transfer.md").read_text()
    with (out / "transfer.csv").open() as file:
        assert {row["adapter"] for row in csv.DictReader(file)} == {"base", "one"}


def test_transfer_refuses_an_image_that_was_learned_from(run: Path, data: Path, tmp_path, capsys) -> None:
    leaky = tmp_path / "leaky"
    for folder, suffix in (("images", "png"), ("labels", "png")):
        (leaky / folder).mkdir(parents=True)
        for i in range(6):
            content = (data / folder / f"0.{suffix}").read_bytes()
            (leaky / folder / f"{i}.{suffix}").write_bytes(content)
    words = ["transfer", "--adapter", str(run / "adapter"), "--data", f"pathology={leaky}", "--out"]
    assert main([*words, str(tmp_path / "t")]) == 2
    assert "hold the same bytes" in capsys.readouterr().err and not (tmp_path / "t").exists()
    assert main([*words, str(tmp_path / "all"), "--split", "all"]) == 0  # somebody else's test set
