"""`transfer --routed`: each image by the adapter of its kind, from the cells that are there, once for each content."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.backbones import BackboneOptions, build_backbone
from adapters.decoders import DECODERS
from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, save_adapter
from cli import main
from domains.entities import EntityMap
from domains.metrics import EntityMetric, MetricSet, build_metrics
from domains.procedural.scene import draw_scene
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.routing import appearances_of
from recipes.verbs import transfer_routed
from recipes.verbs.transfer_cells import MeasuredSet
from recipes.verbs.transfer_routed import Routed, kept_places
from recipes.verbs.transfer_table import MEASURED, OWN, Measurements

KINDS = ("nuclei_he", "nuclei_fluo")
WORDS = [
    "decoder.width=8", "decoder.regions=false", "method.name=decoder_only", "domain.scale=1", "domain.tile_px=64",
    "domain.overlap_px=16", "domain.symmetries=1", "domain.window_px=null", "domain.test_scales=[1]",
]  # fmt: skip


def drawn(kind: str, count: int, seed: int) -> list:
    return [draw_scene(kind, (seed, i), 64, 64) for i in range(count)]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An adapter of each kind of image; their weights are random, each its own."""
    folder = tmp_path_factory.mktemp("adapters")
    for kind in KINDS:
        backbone = build_backbone(BackboneOptions())
        method = METHODS["decoder_only"]()
        method.attach(backbone)
        segmenter = EntitySegmenter(backbone, DECODERS["dense"](width=8).build(backbone.dim, 3, backbone.stride))
        images = drawn(kind, 16, seed=1)
        looks = appearances_of(images[:10], images[10:])
        contract = InputContract(1.0, 64, 16, None, None, symmetries=1)
        info = describe(segmenter.eval(), method, contract, "pathology", kind, appearances=looks)
        save_adapter(folder / kind / "adapter", segmenter, method, info, resolved_yaml(load_recipe("pathology", WORDS)))
    return {kind: folder / kind / "adapter" for kind in KINDS}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of each kind, and a ramp that none of them looks like; each a group of its own."""
    root = tmp_path_factory.mktemp("data") / "mixed"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for kind in KINDS:
        for i, sample in enumerate(drawn(kind, 2, seed=5)):
            Image.fromarray(sample.image).save(root / "images" / f"{kind}{i}.png")
            Image.fromarray(sample.truth.ids.astype(np.uint8)).save(root / "labels" / f"{kind}{i}.png")
    ramp = np.broadcast_to((np.arange(64, dtype=np.uint8) * 4)[:, None, None], (64, 64, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(root / "images" / "ramp.png")
    ids = np.zeros((64, 64), np.uint8)
    ids[8:40, 8:40] = 1
    Image.fromarray(ids).save(root / "labels" / "ramp.png")
    return root


def words(adapters: dict[str, Path], mixed: Path, out: Path) -> list[str]:
    named = [word for name, path in adapters.items() for word in ("--adapter", f"{name}:{path}")]
    return ["transfer", *named, "--data", f"mixed:{mixed}", "--split", "all", "--out", str(out)]


def test_every_image_has_the_numbers_of_the_adapter_of_its_kind(adapters, mixed, tmp_path, capsys, monkeypatch) -> None:
    line = words(adapters, mixed, tmp_path / "out")
    assert main([*line, "--routed"]) == 0
    content = json.loads((tmp_path / "out" / "transfer.json").read_text())
    counts = content["routing"]["mixed"]
    assert counts["base"] >= 1 and counts["nuclei_he"] >= 1 and counts["nuclei_fluo"] >= 1 and sum(counts.values()) == 5
    pq = {row: values["mixed"] for row, values in content["metrics"]["pq"].items()}
    assert [*pq] == ["base", "nuclei_he", "nuclei_fluo", "routed"]
    assert content["intervals_95"]["pq"]["routed"]["mixed"] is not None
    change = content["against_base"]["pq"]["routed"]["mixed"]
    assert change["change"] == pytest.approx(pq["routed"] - pq["base"]) and change["low"] <= change["high"]
    assert "routed against the base, pq:" in capsys.readouterr().out
    assert "## routing: images" in (tmp_path / "out" / "transfer.md").read_text()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Routing</h2>" in page and "2 adapters and the base on 1 sets" in page
    with (tmp_path / "out" / "transfer.csv").open() as file:
        assert sum(row["adapter"] == "routed" for row in csv.DictReader(file)) == len(content["metrics"])

    monkeypatch.setattr(transfer_routed, "chosen", lambda *_: pytest.fail("chosen again"))
    before = (tmp_path / "out" / "transfer.json").read_bytes()
    assert main([*line, "--routed"]) == 0 and (tmp_path / "out" / "transfer.json").read_bytes() == before
    assert main(line) == 0 and "routing" not in json.loads((tmp_path / "out" / "transfer.json").read_text())


@pytest.mark.parametrize("content", ['{"places": [0]}', '{"places": [0, 3]}', '{"places": [true, 0]}', "[]", "{", "1"])
def test_a_damaged_choice_is_none(tmp_path, content) -> None:
    path = tmp_path / "cell.json"
    assert kept_places(path, 2, 3) is None
    path.write_text('{"places": [0, 2]}')
    assert kept_places(path, 2, 3) == [0, 2]
    path.write_text(content)
    assert kept_places(path, 2, 3) is None


class Measures:
    """How the sets below are measured."""

    headline = "pq"

    def metrics(self) -> dict[str, EntityMetric]:
        return build_metrics(("pq", "f1"))


def seen(hits: str) -> MetricSet:
    """An image for each letter, its one entity found where there is an x."""
    ids = np.zeros((8, 8), np.int32)
    ids[2:6, 2:6] = 1
    metrics = MetricSet(Measures().metrics())
    for i, hit in enumerate(hits):
        metrics.update(EntityMap(ids if hit == "x" else np.zeros_like(ids)), [EntityMap(ids)], f"group-{i}")
    return metrics


def test_the_row_is_put_together_image_by_image_and_marked_as_those_that_were_chosen() -> None:
    columns = [MeasuredSet(name, [], Measures()) for name in "ab"]
    rows = {"base": "....", "mine": "xx..", "hers": "..xx", "base, then 2 images": "xxxx"}
    measured = Measurements(
        "test",
        list(rows),
        ["a", "b"],
        {"a": "pq", "b": "pq"},
        {"mine": {"a": OWN, "b": ""}, "hers": {"a": MEASURED, "b": OWN}},
        {(row, column): seen(hits) for row, hits in rows.items() for column in "ab"},
        {"base, then 2 images": "base"},
    )
    choices = {"a": ["mine", "mine", "hers", "base"], "b": ["mine", "base", "mine", "base"]}
    routed = Routed(columns, choices).beside(measured)
    assert routed.rows == ["base", "mine", "hers", "routed", "base, then 2 images"]
    assert [*routed.sets["routed", "a"].per_image()["pq"]] == [1, 1, 1, 0]
    assert [*routed.sets["routed", "b"].per_image()["f1"]] == [1, 0, 0, 0]
    assert routed.fitted["routed"] == {"a": MEASURED, "b": ""} and routed.specialist("a") == "mine"
    assert routed.routes == {"a": {"mine": 2, "hers": 1, "base": 1}, "b": {"mine": 2, "base": 2}}
    assert routed.changes("base")["pq"]["routed"]["a"].value == pytest.approx(3 / 3.5)  # one of four is missed


def test_adapters_that_do_not_say_how_their_images_look_are_told_and_not_chosen(
    adapters, mixed, tmp_path, capsys
) -> None:
    silent = {kind: Path(shutil.copytree(path, tmp_path / kind / "adapter")) for kind, path in adapters.items()}
    for place in silent.values():
        (place / "entity.json").write_text(
            sealed(place, replace(read_info(place), appearances=None, digest=None)).json_text()
        )
    assert main([*words(silent, mixed, tmp_path / "out"), "--routed"]) == 2
    assert "--routed: no adapter says how its images look" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    half = {"nuclei_he": adapters["nuclei_he"], "nuclei_fluo": silent["nuclei_fluo"]}
    assert main([*words(half, mixed, tmp_path / "out"), "--routed"]) == 0
    assert "left out of routing: nuclei_fluo" in capsys.readouterr().err
    assert "nuclei_fluo" not in json.loads((tmp_path / "out" / "transfer.json").read_text())["routing"]["mixed"]


def test_a_row_of_that_name_is_refused(adapters, mixed, tmp_path, capsys) -> None:
    line = words({"routed": adapters["nuclei_he"]}, mixed, tmp_path / "out")
    assert main([*line, "--routed"]) == 2 and "has one of that name" in capsys.readouterr().err
