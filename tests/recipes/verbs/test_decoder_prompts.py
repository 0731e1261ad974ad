"""SAM prompted by the entities of a dense decoder that was fitted on it: `predict --masks apg`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.decoders.sam import SamPrompts
from adapters.proposals.nested_prompts import ENTITIES
from adapters.proposals.prompted import inner_points
from cli import main
from domains.errors import InputError
from domains.scenes import Photograph
from domains.tiling.grid import Window
from recipes.load import loaded
from recipes.verbs.decoder_prompts import DecoderPrompts
from recipes.verbs.prompted import PromptedEntities
from tests.adapters.backbones.tiny_models import tiny_folder
from tests.adapters.decoders.test_sam import SIDE, picture


@pytest.fixture(scope="module")
def adapter(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense decoder that was fitted on a tiny SAM for a few steps."""
    folder = tiny_folder("sam", tmp_path_factory.mktemp("sam"))
    options = [f"backbone.name={folder}", "method.name=decoder_only", "decoder.width=8", "decoder.regions=false"]
    options += [
        "domain.crop_px=48",
        f"domain.tile_px={SIDE}",
        "domain.overlap_px=16",
        "domain.scale=1",
        "train.steps=2",
    ]
    out = tmp_path_factory.mktemp("runs") / "one"
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), "train.batch_size=2"]
    assert main([*words, *options, "train.calibrate=false"]) == 0
    return out / "adapter"


def test_the_fields_on_sam_s_embedding_are_those_of_the_network(adapter: Path) -> None:
    """Of an image of the network's own size, the one pass and the adapter's own prediction are the same."""
    image = picture(SIDE, SIDE)
    with loaded(str(adapter)) as network:
        options = replace(network.segmenter.decoder.options, foreground_threshold=0.1, min_area_px=1, min_score=0.0)
        network.segmenter.decoder.adopt(options)
        promptable = SamPrompts(network.segmenter.backbone)
        prompts = DecoderPrompts(promptable, network.segmenter, network.contract)
        scene = Photograph(image, network.contract.pixel_size_m)
        passes: list[int] = []
        embed = promptable.backbone.embed
        promptable.backbone.embed = lambda pixels: passes.append(1) or embed(pixels)  # type: ignore[method-assign]
        assert prompts.in_one_pass(scene)
        points = prompts.on_embedding(promptable.set_image(image))
        assert len(passes) == 1 and len(points) > 0
        expected = inner_points(network.segmenter.entities([image])[0].ids)
        np.testing.assert_allclose(points, expected)
        np.testing.assert_allclose(prompts.on_scene(scene), expected)
        larger = Photograph(picture(3 * SIDE, 3 * SIDE), network.contract.pixel_size_m)
        assert not prompts.in_one_pass(larger)
        entities = PromptedEntities(promptable, decoder=prompts).of_decoder(larger, lambda w: larger.image[w.slices])
        assert entities.shape == (3 * SIDE, 3 * SIDE) and entities.count > 0
        finder = PromptedEntities(promptable, decoder=prompts)
        for seen in (scene, larger):

            def read(window: Window, image: np.ndarray = seen.image) -> np.ndarray:
                return image[window.slices]

            flat, forest = finder.forest_of_decoder(seen, read)
            assert np.array_equal(flat.ids, finder.of_decoder(seen, read).ids) and forest.count >= flat.count
            assert np.array_equal(forest.cut(ENTITIES).ids, flat.ids)


def test_predict_writes_entities_and_goes_on(adapter: Path, tmp_path: Path, capsys) -> None:
    Image.fromarray(picture(SIDE - 8, SIDE)).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "--adapter", str(adapter), "--masks", "apg", "--device", "cpu"]
    words += ["--out", str(tmp_path / "out"), "--format", "labels", "--format", "csv"]
    size = ["--pixel-size", "0.25"]
    assert main([*words, *size]) == 0 and "in 1 image" in capsys.readouterr().out
    labels = tmp_path / "out" / "a.labels.tif"
    with Image.open(labels) as picture_of_ids:
        assert np.array(picture_of_ids).shape == (SIDE - 8, SIDE)
    before = labels.stat().st_mtime_ns
    assert main([*words, *size]) == 0 and labels.stat().st_mtime_ns == before


def test_it_wants_a_dense_decoder_on_a_sam(adapter: Path, run: Path, data: Path, tmp_path: Path, capsys) -> None:
    image = str(data / "images" / "0.png")
    words = ["predict", image, "--masks", "apg", "--device", "cpu", "--out", str(tmp_path / "out"), "--adapter"]
    assert main([*words, "base", "--recipe", "natural"]) == 2
    assert "--masks apg wants an adapter that was fitted on a SAM; the bare base" in capsys.readouterr().err
    assert main([*words, str(run / "adapter")]) == 2
    assert "prompts want a SAM, such as facebook/sam-vit-base" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    queries: Any = SimpleNamespace(decoder=SimpleNamespace(fields=()))
    with pytest.raises(InputError, match="whose decoder finds entities by fields: decoder.name=dense"):
        DecoderPrompts(queries, queries, queries)
