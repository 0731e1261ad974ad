"""`transfer` measures adapters on sets, marks what an adapter was fitted on, and measures nothing twice."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.methods import build_method
from adapters.sharing.folder import load_adapter, save_adapter
from adapters.sharing.probe import probe
from adapters.training.rounding import learnt_weights, round_to_half
from cli import main
from recipes.verbs import transfer_jobs
from recipes.verbs.transfer_table import MEASURED, OWN


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


class Stopped(Exception):
    pass


class Cells(list[int]):
    """The number of images of each cell that was measured; the run is stopped after `most` of them."""

    most: int | None = None


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Cells:
    cells, measure = Cells(), transfer_jobs.measure

    def noted(segmenter, samples, *rest):
        if len(cells) == cells.most:
            raise Stopped
        cells.append(len(samples))
        return measure(segmenter, samples, *rest)

    monkeypatch.setattr(transfer_jobs, "measure", noted)
    return cells


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("transfer.*")}


def copied(data: Path, root: Path) -> Path:
    return Path(shutil.copytree(data, root))


def test_a_run_that_was_stopped_goes_on_and_ends_as_one_that_was_not(
    run: Path, data: Path, moved: Path, tmp_path: Path, measured: Cells, capsys
) -> None:
    sets = ["--data", f"one:{data}", "--data", f"two:{moved}", "--split", "all"]
    words = ["transfer", "--adapter", f"mine:{run / 'adapter'}", *sets, "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0 and measured == [6] * 4
    measured.clear()
    measured.most = 2
    assert main([*words, str(tmp_path / "out")]) == 1
    assert len([*(tmp_path / "out" / "cells").iterdir()]) == 2 and tables(tmp_path / "out") == {}
    measured.clear()
    measured.most = None
    capsys.readouterr()
    assert main([*words, str(tmp_path / "out")]) == 0 and measured == [6, 6]
    assert "2 of 4 cells were measured before" in capsys.readouterr().out
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")
    assert main([*words, str(tmp_path / "out")]) == 0 and measured == [6, 6]
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


def test_a_changed_label_is_measured_again_on_its_set_alone(
    run: Path, data: Path, moved: Path, tmp_path: Path, measured: Cells
) -> None:
    folder, out = copied(data, tmp_path / "cells"), tmp_path / "out"
    sets = ["--data", f"one:{folder}", "--data", f"two:{moved}", "--split", "all"]
    words = ["transfer", "--adapter", f"mine:{run / 'adapter'}", *sets, "--out", str(out)]
    assert main(words) == 0 and len(measured) == 4
    before = json.loads((out / "transfer.json").read_text())["metrics"]
    label, facts = folder / "labels" / "2.png", (folder / "labels" / "2.png").stat()
    with Image.open(label) as picture:
        ids = np.array(picture)
    ids[ids == ids.max()] = 0
    Image.fromarray(ids).save(label)
    os.utime(label, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # time says nothing, content does
    assert main(words) == 0 and len(measured) == 6
    after = json.loads((out / "transfer.json").read_text())["metrics"]
    assert all(after["dice"][row]["two"] == before["dice"][row]["two"] for row in ("base", "mine"))
    assert after["dice"]["base"]["one"] != before["dice"]["base"]["one"]
    assert main([*words[:-1], str(tmp_path / "fresh")]) == 0 and tables(tmp_path / "fresh") == tables(out)


def test_an_added_adapter_is_measured_alone_and_one_of_another_name_not_at_all(
    run: Path, data: Path, tmp_path: Path, measured: Cells
) -> None:
    words = ["transfer", "--data", f"pathology:cells={data}", "--out", str(tmp_path / "out"), "--adapter"]
    assert main([*words, f"mine:{run / 'adapter'}"]) == 0 and len(measured) == 2
    other = changed_adapter(run, tmp_path / "other")
    assert main([*words, f"mine:{run / 'adapter'}", "--adapter", f"hers:{other}"]) == 0 and len(measured) == 3
    assert main([*words, f"renamed:{run / 'adapter'}", "--adapter", f"hers:{other}"]) == 0 and len(measured) == 3
    table = json.loads((tmp_path / "out" / "transfer.json").read_text())["metrics"]["pq"]
    assert [*table] == ["base", "renamed", "hers"]


def changed_adapter(run: Path, out: Path) -> Path:
    """Another adapter: the run's with a weight of its decoder moved."""
    folder = run / "adapter"
    segmenter, info = load_adapter(folder)
    with torch.no_grad():
        next(weights for weights in segmenter.decoder.parameters() if weights.ndim == 4).mul_(0.5)
    round_to_half(learnt_weights(segmenter))
    info = replace(info, probe=tuple(probe(segmenter)))
    save_adapter(out, segmenter, build_method(info.method), info, (folder / "recipe.yaml").read_text())
    return out


def test_a_damaged_cell_is_measured_again(run: Path, data: Path, tmp_path: Path, measured: Cells) -> None:
    words = ["transfer", "--adapter", str(run / "adapter"), "--data", f"cells:{data}", "--out", str(tmp_path / "out")]
    assert main(words) == 0 and len(measured) == 2
    before = tables(tmp_path / "out")
    cell, _ = (tmp_path / "out" / "cells").iterdir()
    content = json.loads(cell.read_text())
    for damaged in (cell.read_text()[:100], json.dumps({**content, "state": {}}), "[]"):
        cell.write_text(damaged)
        measured.clear()
        assert main(words) == 0 and len(measured) == 1 and tables(tmp_path / "out") == before


def test_a_table_of_another_split_or_without_cells_is_not_replaced(
    run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    words = ["transfer", "--adapter", str(run / "adapter"), "--data", f"cells:{data}", "--out", str(out), "--split"]
    assert main([*words, "val"]) == 0
    before = tables(out)
    assert main([*words, "test"]) == 2 and "is of the val split" in capsys.readouterr().err
    shutil.rmtree(out / "cells")
    assert main([*words, "val"]) == 2 and "no cells/" in capsys.readouterr().err
    assert tables(out) == before
