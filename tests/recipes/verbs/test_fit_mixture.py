"""`fit` of a mixture from end to end: one adapter, numbers of each domain, and what the other verbs make of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from adapters.sharing.door import read_info, reseal
from adapters.sharing.folder import load_adapter
from adapters.sharing.info import DECODER_WEIGHTS, MixtureMember, parse_info
from adapters.sharing.package import pack
from adapters.sharing.texts import parse_yaml, yaml_text
from cli import main
from domains.datasets.domain import build_domain
from domains.datasets.splits import split_of
from domains.errors import InputError
from domains.procedural.scene import draw_scene
from recipes.api import load
from recipes.build import backbone_of, method_of, segmenter_of
from recipes.mixture import networks_of
from recipes.reading.compose import load_recipe


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "surfaces"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for i in range(6):
        sample = draw_scene("surfaces", (6, i), 96, 80)
        Image.fromarray(sample.image).save(root / "images" / f"s{i}.png")
        Image.fromarray(sample.truth.ids.astype(np.uint8)).save(root / "labels" / f"s{i}.png")
    return root


@pytest.fixture(scope="module")
def words(data: Path, surfaces: Path, options: list[str]) -> list[str]:
    sets = [f"mix.pathology:cells={data}", f"mix.industrial={surfaces}", "mix.temperature=3"]
    plain = ["domain.window_px=null", "domain.symmetries=1", "decoder.regions=false"]
    return ["fit", "--recipe", "mix", *sets, *options, *plain]


@pytest.fixture(scope="module")
def mixed(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mixed"
    assert main([*words, "--out", str(out)]) == 0
    return out


def mixture_of(run: Path) -> dict[str, MixtureMember]:
    """The members of a run's adapter."""
    return read_info(run / "adapter").mixture or {}


@pytest.fixture(scope="module")
def shared(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `mixed`, with one decoder for both."""
    out = tmp_path_factory.mktemp("runs") / "shared"
    assert main([*words, "mix.decoders=shared", "--out", str(out)]) == 0
    return out


def test_a_run_has_the_numbers_of_every_domain(mixed: Path) -> None:
    report = json.loads((mixed / "metrics.json").read_text())
    assert [*report["members"]] == ["cells", "industrial"] and report["steps"] == 6
    for member, key in (("cells", "aji"), ("industrial", "class_iou")):
        assert report["members"][member]["headline"] == key
        assert {"before", "after"} == set(report["members"][member]["metrics"])
        assert key in report["members"][member]["metrics"]["after"]
    shares = [member["share_of_crops"] for member in report["members"].values()]
    assert sum(shares) == pytest.approx(1) and "aji" not in report["metrics"]["after"]
    both = [member["metrics"]["after"]["pq"] for member in report["members"].values()]
    assert report["metrics"]["after"]["pq"] == pytest.approx(np.mean(both))
    page = (mixed / "report.html").read_text()
    assert "share of crops" in page and "class_iou" in page and "aji" in page and (mixed / "preview.png").is_file()


def test_an_adapter_holds_how_each_domain_is_seen(mixed: Path, data: Path) -> None:
    info = read_info(mixed / "adapter")
    assert info.domain == "mix" and info.mixture is not None and [*info.mixture] == ["cells", "industrial"]
    cells, industrial = info.mixture.values()
    assert cells.domain == "pathology" and cells.input.seen_pixel_size_m is not None
    assert industrial.input.seen_pixel_size_m is None and cells.appearances != industrial.appearances
    assert (cells.branch, industrial.branch) == ("cells", "industrial") and cells.probe != industrial.probe
    assert str(data.parent) in (mixed / "adapter" / "recipe.yaml").read_text()
    pack(mixed / "adapter", mixed / "packed.zip")
    assert str(data.parent).encode() not in (mixed / "packed.zip").read_bytes()


def test_a_domain_is_said_or_its_images_find_it(mixed: Path, data: Path, surfaces: Path, tmp_path: Path) -> None:
    adapter, images = str(mixed / "adapter"), [str(data / "images"), str(surfaces / "images")]
    assert main(["predict", "--adapter", adapter, *images, "--out", str(tmp_path / "all"), "--format", "csv"]) == 0
    with (tmp_path / "all" / "routing.csv").open() as file:
        routes = {Path(row["image"]).name: row["adapter"] for row in csv.DictReader(file)}
    assert routes == {**{f"{i}.png": "cells" for i in range(6)}, **{f"s{i}.png": "industrial" for i in range(6)}}
    said = ["--domain", "pathology", "--out", str(tmp_path / "one"), "--format", "csv"]
    assert main(["predict", "--adapter", adapter, images[0], *said]) == 0
    rows = (tmp_path / "one" / "entities.csv").read_text()
    assert rows == (tmp_path / "all" / "cells" / "entities.csv").read_text()


def test_a_mixture_on_a_shelf_serves_its_images_and_is_not_merged(
    mixed: Path, data: Path, tmp_path: Path, capsys
) -> None:
    shelf = tmp_path / "shelf" / "mixed"
    shutil.copytree(mixed / "adapter", shelf)
    words = ["--shelf", str(shelf.parent), "--out", str(tmp_path / "out"), "--format", "csv"]
    assert main(["predict", "--adapter", "auto", str(data / "images" / "0.png"), *words]) == 0
    assert [*(tmp_path / "out").glob("mixed/cells/entities.csv")] or [*(tmp_path / "out").glob("base/entities.csv")]
    assert main(["adapters", "show", str(shelf)]) == 0
    assert "cells (pathology, scale 1), industrial" in capsys.readouterr().out
    assert main(["adapters", "merge", str(shelf), str(mixed / "adapter"), "--out", str(tmp_path / "merged")]) == 2
    assert "is of several domains; merge one of them" in capsys.readouterr().err


@pytest.mark.parametrize("decoders", ["member", "shared"])
def test_a_member_alone_predicts_as_it_does_in_the_mixture(
    decoders: str, request: pytest.FixtureRequest, data: Path, surfaces: Path, tmp_path: Path, capsys
) -> None:
    adapter = str(request.getfixturevalue("mixed" if decoders == "member" else "shared") / "adapter")
    assert main(["adapters", "verify", adapter]) == 0 and "for cells, industrial" in capsys.readouterr().out
    for name, domain, picture in (
        ("cells", "pathology", data / "images" / "0.png"),
        ("industrial", "industrial", surfaces / "images" / "s0.png"),
    ):
        alone = str(tmp_path / name)
        assert main(["adapters", "member", adapter, alone, "--domain", name]) == 0
        assert main(["adapters", "verify", alone]) == 0
        image = np.array(Image.open(picture))
        assert np.array_equal(load(alone).predict(image).ids, load(adapter, domain=name).predict(image).ids)
        info = read_info(Path(alone))
        assert info.domain == domain and info.mixture is None and info.method == read_info(Path(adapter)).method


def test_a_mixture_from_before_domains_had_decoders_keeps_its_seal(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    shutil.copytree(shared / "adapter", folder)
    stored = json.loads((folder / "entity.json").read_text())
    assert not {"branch", "method", "start", "probe"} & {*stored["mixture"]["cells"]}
    recipe = parse_yaml((folder / "recipe.yaml").read_text(), "")
    assert recipe["mix"].pop("decoders") == "shared"
    for member in recipe["mix"]["members"].values():
        assert member.pop("seconds") in (120.0, 240.0)
    (folder / "recipe.yaml").write_text(yaml_text(recipe))
    reseal(folder, read_info(shared / "adapter"))
    written = json.loads((folder / "entity.json").read_text())
    assert {**written, "digest": stored["digest"]} == stored
    assert main(["adapters", "verify", str(folder)]) == 0


def test_a_mixture_is_gone_on_from_branch_by_branch(mixed: Path, words: list[str]) -> None:
    adapter = mixed / "adapter"
    recipe = load_recipe("mix", [*words[3:], f"train.start={adapter}"])
    networks = networks_of(recipe, backbone_of(recipe))
    weights = [networks[name].decoder.state_dict() for name in ("cells", "industrial")]
    for name, state in zip(("cells", "industrial"), weights, strict=True):
        stored = load_adapter(adapter, member=name)[0].decoder.state_dict()
        assert all(torch.equal(value, stored[key]) for key, value in state.items())
    assert not torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])


def test_domains_with_decoders_of_their_own_start_nothing_else(mixed: Path, words: list[str]) -> None:
    start = f"train.start={mixed / 'adapter'}"
    alone = load_recipe("pathology", [*words[6:], start])
    with pytest.raises(InputError, match="with decoders of their own; start a mixture of members of these names"):
        segmenter_of(alone, backbone_of(alone), method_of(alone))


def spoil_names(folder: Path) -> None:
    weights = load_file(folder / DECODER_WEIGHTS)
    save_file({**weights, "of_other.head.bias": torch.zeros(4)}, folder / DECODER_WEIGHTS)


def spoil_shape(folder: Path) -> None:
    weights = load_file(folder / DECODER_WEIGHTS)
    save_file({**weights, "of_industrial.head.bias": torch.zeros(3)}, folder / DECODER_WEIGHTS)


def spoil_weights(folder: Path) -> None:
    weights = load_file(folder / DECODER_WEIGHTS)
    cells = {key: value.clone() for key, value in weights.items() if key.startswith("of_cells.")}
    swapped = {key.replace("cells", "industrial"): value for key, value in cells.items()}
    save_file({**weights, **swapped}, folder / DECODER_WEIGHTS)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (spoil_names, "of no branch"),
        (spoil_shape, "of another shape, such as head.bias"),
        (spoil_weights, "does not give the output it was saved with"),
    ],
)
def test_weights_that_are_not_those_of_the_branches_are_refused(spoil, line: str, mixed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(mixed / "adapter", folder)
    spoil(folder)
    reseal(folder, read_info(mixed / "adapter"))
    with pytest.raises(InputError, match=line):
        load_adapter(folder, member="industrial")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"branch": None}, "has not all of branch, method and probe"),
        ({"branch": "other"}, "is 'other', which is no branch"),
        ({"branch": "cells"}, "is another than that of 'cells', its branch"),
        ({"method": {"name": "lora"}}, "which is no method of a branch"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(changes: dict, line: str, mixed: Path) -> None:
    stored = json.loads((mixed / "adapter" / "entity.json").read_text())
    stored["mixture"]["industrial"] |= changes
    with pytest.raises(InputError) as error:
        parse_info(json.dumps(stored), "entity.json")
    assert line in str(error.value)


def test_evaluate_gives_the_numbers_of_the_fit(mixed: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "numbers.json"
    words = ["--domain", "cells", "--data", str(data), "--json", str(out)]
    assert main(["evaluate", "--adapter", str(mixed / "adapter"), *words]) == 0
    fitted = json.loads((mixed / "metrics.json").read_text())["members"]["cells"]["metrics"]["after"]
    assert json.loads(out.read_text())["metrics"] == pytest.approx(fitted, nan_ok=True)


@pytest.mark.parametrize("decoders", ["member", "shared"])
def test_a_stopped_run_resumes_to_the_same_losses(
    decoders: str,
    request: pytest.FixtureRequest,
    words: list[str],
    tmp_path: Path,
    interrupt_at: Callable[[int], None],
) -> None:
    whole = request.getfixturevalue("mixed" if decoders == "member" else "shared")
    words = [*words, f"mix.decoders={decoders}", "--out", str(tmp_path / "cut")]
    interrupt_at(5)
    assert main(words) == 130
    assert main([*words, "--resume"]) == 0

    def losses(run: Path) -> list[str]:
        with (run / "history.csv").open() as file:
            return [row["loss"] or row["val/loss"] for row in csv.DictReader(file)]

    assert losses(tmp_path / "cut") == losses(whole)
    probes = [[member.probe for member in members.values()] for members in map(mixture_of, (tmp_path / "cut", whole))]
    assert probes[0] == probes[1]


@pytest.mark.parametrize(
    ("verb", "line"),
    [
        (["evaluate", "--data", "DATA"], "is of several domains: cells (pathology), industrial; say which by --domain"),
        (["evaluate", "--data", "DATA", "--domain", "nuclei"], "--domain is 'nuclei'"),
        (["predict", "DATA", "--out", "OUT", "--domain", "nuclei"], "--domain is 'nuclei'"),
        (["transfer", "--data", "pathology=DATA", "--out", "OUT"], "make that one an adapter of its own"),
    ],
)
def test_a_domain_that_is_missing_or_unknown_is_told(
    verb: list[str], line: str, mixed: Path, data: Path, tmp_path: Path, capsys
) -> None:
    places = {"DATA": str(data), "OUT": str(tmp_path / "out")}
    words = [places.get(word, word) for word in verb]
    assert main([words[0], "--adapter", str(mixed / "adapter"), *words[1:]]) == 2
    told = capsys.readouterr().err.strip()
    assert line in told and "\n" not in told


def test_a_folder_without_images_and_a_domain_of_an_adapter_of_one_are_told(
    words: list[str], run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([*words, f"mix.natural={tmp_path / 'empty'}", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.strip().startswith("error: natural: ") and not (tmp_path / "run").exists()
    said = ["--data", str(data), "--domain", "pathology"]
    assert main(["evaluate", "--adapter", str(run / "adapter"), *said]) == 2
    assert "is of one domain, pathology; leave --domain out" in capsys.readouterr().err


def test_images_that_one_domain_learns_from_and_another_is_measured_on_are_refused(
    words: list[str], data: Path, tmp_path: Path, capsys
) -> None:
    measured = {record.image.name for record in build_domain("pathology", data).dataset("test").records}  # type: ignore[attr-defined]
    for name in ("images", "labels"):
        (tmp_path / "other" / name).mkdir(parents=True)
    splits = iter(["val", "test"])
    for file in sorted((data / "images").iterdir()):
        split = "train" if file.name in measured else next(splits, "train")
        stem = next(name for k in range(1000) if split_of(name := f"{k}-{file.stem}") == split)
        for name in ("images", "labels"):
            (tmp_path / "other" / name / f"{stem}.png").write_bytes((data / name / file.name).read_bytes())
    capsys.readouterr()
    assert main([*words, f"mix.natural={tmp_path / 'other'}", "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "test images of" in told and "are among those that natural learns from" in told
    assert not (tmp_path / "run").exists()
