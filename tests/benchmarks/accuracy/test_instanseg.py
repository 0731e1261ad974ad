"""InstanSeg beside ours, where its package is installed; that a missing one is told, everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from adapters.runtime import best_precision
from benchmarks.accuracy import command
from benchmarks.accuracy.instanseg import InstanSegmenter, at_seen_size, by_percentiles
from benchmarks.accuracy.job import result_name
from benchmarks.accuracy.plan import METHODS, PACKAGES, Job
from domains.entities import EntityBatch
from recipes.reading.compose import load_recipe

pytestmark = [  # of instanseg-torch 0.1.2 on torch 2.13
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning"),
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning"),
]


@pytest.fixture
def package() -> None:
    pytest.importorskip("instanseg", reason=f"a peer of the benchmark: {PACKAGES['instanseg'][1]}")


def test_a_package_that_is_missing_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(typer.BadParameter, match="pip install .*instanseg-torch==0.1.2"):
        command.main(data=tmp_path, method=["instanseg"])


def test_images_of_a_known_pixel_size_are_seen_at_half_a_micrometre() -> None:
    class Sized(list):
        records = [type("Record", (), {"pixel_size_m": 0.25e-6})]

    recipe = load_recipe("pathology")
    assert at_seen_size(recipe, Sized()).domain.scale == 0.5
    assert at_seen_size(recipe, []).domain.scale == 1


def test_every_channel_is_stretched_between_its_percentiles() -> None:
    images = torch.rand(2, 3, 40, 40) * torch.tensor([0.2, 0.5, 0.9])[:, None, None] + 0.05
    stretched = by_percentiles(images).flatten(2)
    assert torch.allclose(stretched.amin(2), torch.zeros(2, 3), atol=0.02)
    assert torch.allclose(stretched.amax(2), torch.ones(2, 3), atol=0.02)


def test_it_learns_seeds_inside_of_entities_and_maps_have_the_image_s_size(package: None) -> None:
    torch.manual_seed(0)
    network = InstanSegmenter()
    ids = torch.zeros(2, 64, 64, dtype=torch.int32)
    ids[:, 8:24, 8:24], ids[:, 36:52, 30:50] = 1, 2
    ids[0, :4] = -1  # unlabelled
    images = (ids > 0).float()[:, None].repeat(1, 3, 1, 1) * 0.6 + 0.2 * torch.rand(2, 3, 64, 64)
    batch, losses = EntityBatch(images, ids), []
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(40):
        network.decoder.start_hot(step < 30)
        loss = network.decoder.loss(network(images), batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(losses[25:30]) < 0.95 * np.mean(losses[:5])  # most of it is the masks, which come late
    with torch.no_grad():
        seeds = network.eval()(images)["instanseg"][:, -1]
    assert seeds[ids > 0].mean() > seeds[ids == 0].mean()
    picture = (images[1].permute(1, 2, 0).numpy() * 255).astype(np.uint8)[:61, :57]
    (entities,) = network.entities([picture])
    assert entities.ids.shape == (61, 57) and entities.scores is not None
    assert entities.scores.shape == (entities.count,)


def test_a_job_fits_and_measures_it(package: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "instanseg", (*METHODS["instanseg"], "domain.crop_px=32", "domain.tile_px=64"))
    out = tmp_path / "results"
    job = Job("dsb2018_he", "instanseg", "steps", 0, seconds=1, steps=4)
    assert command.run_all([job, replace(job, seed=1)], data, out) == 0
    results = [json.loads(file.read_text()) for file in sorted(out.iterdir())]
    assert [result["steps"] for result in results] == [4, 4]
    assert results[0]["precision"] == best_precision("auto", "cpu")
    assert {file.name for file in out.iterdir()} == {f"{result_name(replace(job, seed=seed))}.json" for seed in (0, 1)}
