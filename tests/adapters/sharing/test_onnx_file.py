"""ONNX files of anybody: what they give, and one line for each that is not what its contract says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from adapters.inference.segment import segment
from adapters.runtime import Runtime
from adapters.sharing.exported import KEY
from adapters.sharing.onnx_file import load_onnx
from adapters.sharing.onnx_runtime import first_line, open_session, run
from domains.errors import InputError
from tests.adapters.sharing.tiny_graph import FIELDS, kernels, onnx_graph, write_graph

onnx = pytest.importorskip("onnx", reason='wants ONNX: pip install "entity-adapters[onnx]"')
pytest.importorskip("onnxruntime", reason='wants ONNX Runtime: pip install "entity-adapters[onnx]"')


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("onnx") / "graph.onnx")


def test_a_graph_gives_its_fields_at_every_size_and_the_entities_of_its_scorer(graph: Path) -> None:
    segmenter, contract = load_onnx(graph)
    assert segmenter.decoder.by_regions and segmenter.channels == 3 and segmenter.device.type == "cpu"
    for height, width in ((64, 64), (40, 72)):
        images = torch.rand(2, 3, height, width)
        fields, expected = segmenter(images), F.conv2d(images, torch.from_numpy(kernels()), padding=1)
        assert tuple(fields) == FIELDS
        assert torch.allclose(torch.cat([*fields.values()], 1), expected, atol=1e-4)
    image = np.kron(np.eye(4), np.ones((16, 16)))[..., None].repeat(3, 2)
    scene = contract.adapter.contract.scene_of((image * 255).astype(np.uint8))
    assert segment(segmenter, scene, contract.adapter.contract).ids.shape == (64, 64)


def test_a_graph_runs_on_the_cpu_in_single_precision_alone(graph: Path) -> None:
    segmenter, _ = load_onnx(graph)
    assert segmenter.place(Runtime(torch.device("cpu"), "fp32")) is segmenter
    for runtime in (Runtime(torch.device("cpu"), "bf16"), Runtime(torch.device("cuda", 0), "fp32")):
        with pytest.raises(InputError, match="here it runs on the CPU in fp32: leave out --device and --precision"):
            segmenter.place(runtime)


@pytest.mark.parametrize("place", ["weights", "deep/weights", "../weights", "/weights"])
def test_weights_outside_of_an_onnx_file_are_never_read(place: str, graph: Path, tmp_path: Path, monkeypatch) -> None:
    """Nor those that lie where the process runs, where ONNX Runtime looks for them by itself."""
    model = onnx.load(str(graph))
    (tensor,) = model.graph.initializer
    content = tensor.raw_data
    onnx.external_data_helper.set_external_data(tensor, f"{tmp_path}{place}" if place[0] == "/" else place)
    tensor.ClearField("raw_data")
    here = tmp_path / "here"
    (here / "deep").mkdir(parents=True)
    for file in (tmp_path / "weights", here / "weights", here / "deep" / "weights"):
        file.write_bytes(content)
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    monkeypatch.chdir(here)
    with pytest.raises(InputError, match="outside.onnx': ONNX Runtime refuses"):
        load_onnx(tmp_path / "outside.onnx")


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda contract: contract.pop("probe"), "does not give the output"),
        (lambda contract: contract["probe"].__setitem__(0, 9.0), "does not give the output"),
        (lambda contract: contract.update(fields=["foreground"]), "its contract says"),
        (lambda contract: contract["adapter"]["input"].update(tile_px=2**20), "tile_px"),
        (lambda contract: contract["adapter"]["input"].update(window_px=60), "window_px"),
        (lambda contract: contract["scorer"].pop("mean"), "scorer of regions"),
        (lambda contract: contract["adapter"]["decoder"].update(regions=False), "scorer of regions"),
        (lambda contract: contract["adapter"]["input"].update(channels=4, bands=["1", "2", "3", "4"]), "wanted images"),
        (lambda contract: contract.update(schema_version=2), "another schema"),
    ],
)
def test_a_contract_that_is_not_the_graphs_is_refused_in_a_line(change, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason) as refusal:
        load_onnx(write_graph(tmp_path / "changed.onnx", change))
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(f"{str(tmp_path / 'changed.onnx')!r}")


@pytest.mark.parametrize(
    "words, reason",
    [
        ({"image": "pixels"}, "takes pixels .* wanted images"),
        ({"names": ("foreground", "boundary", "centre_distance", "boundary_distance")}, "its contract says"),
    ],
)
def test_a_graph_of_other_inputs_or_outputs_is_refused(words, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        load_onnx(write_graph(tmp_path / "changed.onnx", **words))


def test_fields_that_this_version_does_not_decode_are_refused(tmp_path: Path) -> None:
    names = ("foreground", "heat")
    with pytest.raises(InputError, match="this version decodes"):
        load_onnx(write_graph(tmp_path / "a.onnx", lambda contract: contract.update(fields=names), names=names))


def test_what_is_no_graph_of_ours_is_refused_in_a_line(graph: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"\x08\x0anoise")
    with pytest.raises(InputError, match="noise.onnx': ONNX Runtime refuses"):
        load_onnx(tmp_path / "noise.onnx")
    model = onnx.load(str(graph))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(InputError, match="says nothing of entity-adapters"):
        load_onnx(tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="does not exist"):
        load_onnx(tmp_path / "nowhere.onnx")
    monkeypatch.setattr("adapters.sharing.onnx_file.MOST_BYTES", 100)
    with pytest.raises(InputError, match="an ONNX file has at most 100"):
        load_onnx(graph)


def test_images_that_a_graph_cannot_take_and_a_missing_runtime_are_lines(monkeypatch) -> None:
    session = open_session(onnx_graph("").SerializeToString())
    assert session.get_modelmeta().custom_metadata_map[KEY] == ""
    with pytest.raises(InputError, match=r"the ONNX graph cannot take images of \(1, 4, 8, 8\): ") as refusal:
        run(session, FIELDS, np.zeros((1, 4, 8, 8), np.float32))
    assert "\n" not in str(refusal.value)
    assert first_line(ValueError()) == "no reason given"

    def missing(package: str) -> None:
        raise ImportError(package)

    monkeypatch.setattr("adapters.sharing.onnx_runtime.import_module", missing)
    with pytest.raises(InputError, match=r'wanted onnxruntime; pip install "entity-adapters\[onnx\]"'):
        open_session(b"")
