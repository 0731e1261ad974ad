"""Exported graphs: the network's own fields at every size, and a contract that says how they are used."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from adapters.backbones.projection import BandProjection
from adapters.decoders.dense import Dense
from adapters.inference.segment import InputContract, segment, weights_digest
from adapters.methods import merge
from adapters.network import EntitySegmenter, to_tensor
from adapters.sharing.exported import IMAGES, KEY, Exported, exported_of
from adapters.sharing.folder import describe
from adapters.sharing.graph import (
    Graph,
    check_parity,
    contract_of,
    example,
    relative_positions,
    traceable,
    write_merged,
    write_onnx,
    write_torchscript,
)
from adapters.sharing.onnx_file import load_onnx
from domains.datasets.domain import build_domain
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import ALL, tiny_backbone

DOMAINS = ("pathology", "industrial", "remote_sensing", "natural")


def with_scorer(segmenter: EntitySegmenter) -> EntitySegmenter:
    """Regions that are scored by numbers drawn from the seed."""
    segmenter.decoder.adopt(Dense(width=16, regions=True))
    scorer = segmenter.decoder.begin_scorer()
    with torch.no_grad():
        for value in scorer.parameters():
            value.normal_(std=0.2)
        scorer.layers[-1].bias.fill_(1.0)
        segmenter.decoder.head.weight.mul_(8.0)  # fields that differ from pixel to pixel, around a half
        means = torch.stack([field.mean() for field in Graph(segmenter.eval())(example(segmenter, 2, 8, 8))])
        segmenter.decoder.head.bias.sub_(means)
    return segmenter


@pytest.fixture
def lora(tiny_segmenter) -> tuple[EntitySegmenter, Exported]:
    """A network with a LoRA that matters, merged, and a scorer of regions, with its contract."""
    segmenter, method = tiny_segmenter("lora", rank=2)
    with torch.no_grad():
        for name, value in segmenter.backbone.model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.2)
    merge(segmenter.backbone)
    with_scorer(segmenter)
    info = describe(segmenter, method, InputContract(tile_px=64, overlap_px=16), "pathology", "discs")
    return segmenter, contract_of(segmenter, info, "0.1.0")


def banded(model_type: str) -> EntitySegmenter:
    """A tiny base of a family that sees five bands, of which the mixture is not the identity."""
    backbone = tiny_backbone(model_type).requires_grad_(False)
    decoder = Dense(width=4).build(backbone.dim, len(backbone.taps), backbone.stride)
    projection = BandProjection(["red", "green", "blue", "nir", "swir"])
    torch.nn.init.normal_(projection.mix.weight)
    return EntitySegmenter(backbone, decoder, projection).eval()


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one graph is kept that the tests below share: an export takes 20 s."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return tmp_path_factory.mktemp("onnx") / "adapter.onnx"


@pytest.fixture
def onnx(onnx_file: Path, lora: tuple[EntitySegmenter, Exported]) -> Path:
    """The graph of `lora`, which the seed makes the same for every test."""
    if not onnx_file.exists():
        write_onnx(*lora, onnx_file)
    return onnx_file


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_an_onnx_graph_gives_the_networks_fields_and_entities_on_a_domains_sample(
    domain: str, onnx: Path, lora: tuple[EntitySegmenter, Exported]
) -> None:
    segmenter, contract = lora
    graph, loaded_contract = load_onnx(onnx)
    assert loaded_contract == contract
    image = build_domain(domain, "sample", sample_count=3).dataset("test")[0].image[:104, :136]
    images = to_tensor(image)[None]
    with torch.no_grad():
        expected, fields = segmenter(images), graph(images)
    assert tuple(fields) == contract.fields
    for name in fields:
        assert torch.allclose(expected[name].sigmoid(), fields[name].sigmoid(), atol=1e-4, rtol=0)
        assert torch.allclose(expected[name], fields[name], atol=1e-4 * float(expected[name].abs().max()), rtol=0)
    scene, wish = contract.adapter.contract.scene_of(image), contract.adapter.contract
    entities, others = segment(segmenter, scene, wish), segment(graph, scene, wish)
    assert entities.count > 0
    assert np.array_equal(entities.ids, others.ids)
    assert np.allclose(entities.scores, others.scores, atol=1e-4)


@pytest.mark.slow
def test_an_onnx_file_names_nothing_of_the_machine_that_wrote_it(onnx: Path) -> None:
    content = onnx.read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content and b"site-packages" not in content


@pytest.mark.parametrize("model_type", ALL)
def test_a_torchscript_graph_gives_the_networks_fields_at_every_size(model_type: str, tmp_path: Path, lora) -> None:
    segmenter, (_, contract) = banded(model_type), lora
    write_torchscript(segmenter, contract, tmp_path / "graph.pt")
    files = {KEY: ""}
    with pytest.warns(DeprecationWarning):
        graph = torch.jit.load(str(tmp_path / "graph.pt"), _extra_files=files)
    assert exported_of({KEY: bytes(files[KEY]).decode()}, "graph") == contract  # type: ignore[arg-type]
    for sides in ((1, 1, 1), (2, 4, 4), (1, 7, 3)):
        images = example(segmenter, *sides)
        assert all(
            torch.allclose(a, b, atol=1e-5) for a, b in zip(Graph(segmenter)(images), graph(images), strict=True)
        )


def test_positions_of_dinov2_with_registers_are_traced_with_sizes_left_open() -> None:
    segmenter, free = banded("dinov2_with_registers"), torch.export.Dim.DYNAMIC
    embeddings = segmenter.backbone.model.embeddings
    before = sys.modules[type(embeddings).__module__].torch_int
    with traceable(segmenter), torch.no_grad():
        images = torch.rand(2, 3, 84, 70)
        program = torch.export.export(embeddings, (images,), dynamic_shapes=({0: free, 2: free, 3: free},))
    images = torch.rand(3, 3, 42, 112)
    assert torch.allclose(program.module()(images), embeddings(images), atol=1e-6)
    assert sys.modules[type(embeddings).__module__].torch_int is before


def test_a_graph_that_is_off_is_not_written(lora) -> None:
    segmenter, _ = lora
    graph = Graph(segmenter)
    check_parity(segmenter, graph)
    with pytest.raises(RuntimeError, match="foreground is off by"):
        check_parity(segmenter, lambda images: [field + 0.01 for field in graph(images)])


def test_relative_positions_are_those_of_sam() -> None:
    backbone = tiny_backbone("sam")
    attention = backbone.blocks[0].attn
    for side in (1, 3, 8, 11):
        expected = attention.get_rel_pos(side, side, attention.rel_pos_h)
        assert torch.allclose(relative_positions(side, side, attention.rel_pos_h), expected, atol=1e-6)


def test_a_merged_file_holds_all_weights_and_the_contract(lora, tmp_path: Path) -> None:
    segmenter, contract = lora
    write_merged(segmenter, contract, tmp_path / "merged.safetensors")
    images = example(segmenter, 1, 4, 4)
    with safe_open(tmp_path / "merged.safetensors", "pt") as file:
        assert exported_of(file.metadata(), "merged") == contract
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert not any("lora" in name or "base_layer" in name for name in state)
    model = segmenter.backbone.model
    plain = {
        name.removeprefix("backbone.model."): value for name, value in state.items() if name.startswith("backbone.")
    }
    fresh = type(model)(model.config).eval()
    fresh.load_state_dict(plain)
    with torch.no_grad():
        expected = segmenter.backbone(images)
        segmenter.backbone.model = fresh
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, segmenter.backbone(images), strict=True))


def test_the_contract_says_all_that_decides_a_prediction(lora) -> None:
    segmenter, contract = lora
    values = json.loads(contract.json_text())
    assert values["fields"] == ["foreground", "boundary_distance", "centre_distance", "boundary"]
    assert (values["side_multiple"], values["version"]) == (8, "0.1.0")
    assert values["weights"] == weights_digest(segmenter)
    assert values["adapter"]["input"]["tile_px"] == 64 and values["adapter"]["decoder"]["least_iou"] == 0.45
    assert sum(map(len, values["scorer"].values())) > 3000
    assert IMAGES == "images"


def test_the_query_decoder_is_refused_in_a_line(tiny_segmenter, tmp_path: Path, lora) -> None:
    segmenter, method = tiny_segmenter("decoder_only", "query")
    info = describe(segmenter, method, InputContract(), "natural", "discs")
    contract = contract_of(segmenter.eval(), info, "0.1.0")
    for write in (write_onnx, write_torchscript):
        with pytest.raises(InputError, match="wants decoder.name=dense; the adapter has 'query'"):
            write(segmenter, contract, tmp_path / "query")
    write_merged(segmenter, contract, tmp_path / "query.safetensors")
    assert (tmp_path / "query.safetensors").stat().st_size > 1000


def test_an_onnx_file_that_cannot_be_written_is_told_before_the_export(lora, tmp_path: Path, monkeypatch) -> None:
    def missing(package: str) -> None:
        raise ImportError(package)

    monkeypatch.setattr("adapters.sharing.graph.import_module", missing)
    with pytest.raises(InputError, match=r'wanted onnx, onnxscript and onnxruntime; pip install "entity-adapters.onnx'):
        write_onnx(*lora, tmp_path / "graph.onnx")
    monkeypatch.setattr("adapters.sharing.graph.MOST_ONNX_BYTES", 2**10)
    with pytest.raises(InputError, match="of weights, an ONNX file holds 2; write --format torchscript"):
        write_onnx(*lora, tmp_path / "graph.onnx")
    assert not [*tmp_path.iterdir()]
