"""Many adapters on one base: each gives to the byte what it gives alone, and only what it changes is its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from PIL import Image

import entity_adapters
from adapters.backbones import BackboneOptions, build_backbone
from adapters.decoders import DECODERS
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract, weights_digest
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.sharing.folder import as_json, describe, save_adapter
from adapters.sharing.texts import yaml_text
from adapters.training.rounding import learnt_weights, round_to_half
from domains.entities import EntityMap
from domains.errors import InputError
from recipes.adapter_set import AdapterSet, load_many
from recipes.api import load

METHODS_TRIED = {
    "whole": ("decoder_only", {}),
    "lora": ("lora", {"rank": 2, "scope": "both"}),
    "ssf": ("ssf", {}),
    "bottleneck": ("bottleneck", {}),  # stays beside the layers, as it cannot be merged
}


def saved(base: Path, folder: Path, name: str, seed: int) -> Path:
    """An adapter whose weights have moved at random."""
    torch.manual_seed(seed)
    method_name, options = METHODS_TRIED[name]
    backbone, method = build_backbone(BackboneOptions(str(base))), METHODS[method_name](**options)
    method.attach(backbone)
    decoder = DECODERS["dense"]().build(backbone.dim, len(backbone.taps), backbone.stride)
    assert warm_start(decoder, base)
    method.adapt_decoder(decoder)
    segmenter = EntitySegmenter(backbone, decoder).eval()
    with torch.no_grad():
        for weights in segmenter.parameters():
            if weights.requires_grad:
                weights += 0.05 * torch.randn_like(weights)
    round_to_half(learnt_weights(segmenter))
    info = describe(segmenter, method, InputContract(tile_px=64, overlap_px=16), "pathology", name)
    domain = {"name": "pathology", "tile_px": 64, "overlap_px": 16}
    save_adapter(folder, segmenter, method, info, yaml_text({"domain": domain, "method": as_json(asdict(method))}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, base = tmp_path_factory.mktemp("many"), Path(entity_adapters.FOLDER) / "adapters/backbones/entity-small"
    return {name: saved(base, root / name / "adapter", name, seed) for seed, name in enumerate(METHODS_TRIED)}


@pytest.fixture(scope="module")
def many(folders: dict[str, Path]) -> AdapterSet:
    return load_many([*folders.values()])


@pytest.fixture(scope="module")
def images(data: Path) -> list[np.ndarray]:
    pictures = [np.asarray(Image.open(data / "images" / f"{i}.png").convert("RGB")) for i in range(4)]
    return [pictures[0], np.tile(pictures[1], (2, 1, 1)), pictures[2][:50], pictures[3]]


def same(entities: EntityMap, expected: EntityMap) -> bool:
    assert entities.scores is not None and expected.scores is not None
    return np.array_equal(entities.ids, expected.ids) and np.array_equal(entities.scores, expected.scores)


def test_a_mixed_batch_comes_back_in_order_and_to_the_byte_as_of_each_adapter_alone(
    many: AdapterSet, folders: dict[str, Path], images: list[np.ndarray]
) -> None:
    alone = {name: load(folder) for name, folder in folders.items()}
    assert [*many] == [*folders] and len(many) == len(folders)
    for name in many:
        assert weights_digest(many[name].network.segmenter) == weights_digest(alone[name].network.segmenter), name
    names = ["lora", "whole", "ssf", "bottleneck", "lora", "whole", "lora", "ssf"]
    pictures = [*images, *images]
    answers = many.predict(pictures, names)
    for picture, name, entities in zip(pictures, names, answers, strict=True):
        assert same(entities, alone[name].predict(picture)), name
    assert not same(answers[0], alone["whole"].predict(pictures[0]))
    assert sum(entities.count for entities in answers) > 20


def test_what_an_adapter_leaves_as_it_is_in_the_base_is_shared(many: AdapterSet) -> None:
    held = {
        name: {weights.data_ptr() for weights in many[name].network.segmenter.backbone.base_parameters().values()}
        for name in many
    }
    base = held["whole"]
    assert held["bottleneck"] == base and 0 < len(held["lora"] - base) < len(base) / 2
    backbone = many["lora"].network.segmenter.backbone
    assert {tensor.data_ptr() for tensor in backbone.originals.values()} <= base
    assert backbone.fingerprint() == many["whole"].network.segmenter.backbone.fingerprint()


def test_another_adapter_is_used_within_ten_milliseconds(many: AdapterSet, images: list[np.ndarray]) -> None:
    names = [*many] * 25
    started = perf_counter()
    used = [many.use(name) for name in names]
    assert (perf_counter() - started) / len(names) < 0.01
    assert used[1] is many["lora"] and many.current == names[-1]
    assert same(many.predict(images[:1])[0], many[names[-1]].predict(images[0]))
    assert same(many.predict(images[:1], "lora")[0], many["lora"].predict(images[0]))


def test_what_is_no_set_of_adapters_is_refused(folders: dict[str, Path], many: AdapterSet, images) -> None:
    with pytest.raises(InputError, match="there is no adapter 'lorra'.*did you mean 'lora'"):
        many.use("lorra")
    with pytest.raises(InputError, match="for each of 4 images; got 1 and 4"):
        many.predict(images, ["lora"])
    with pytest.raises(InputError, match="at least one"):
        load_many([])
    with pytest.raises(InputError, match="wanted several adapters"):
        load_many(str(folders["lora"]))
    with pytest.raises(InputError, match="several of the name 'a'"):
        load_many([f"a:{folders['lora']}", f"a:{folders['ssf']}"])
    names = load_many({"nuclei": folders["whole"]})
    assert [*names] == ["nuclei"] and names.current == "nuclei"
