"""Packages of bioimage.io: their test tensors are what their graphs give."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import torch
import yaml

from adapters.inference.segment import InputContract
from adapters.sharing.bioimage import words, write_package, write_tensors
from adapters.sharing.exported import KEY
from adapters.sharing.folder import describe
from adapters.sharing.graph import contract_of, write_torchscript


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_test_tensors_are_the_graphs_where_the_network_attends_within_squares(tiny_segmenter, tmp_path):
    segmenter, method = tiny_segmenter()
    segmenter.eval().backbone.attends_px = 16
    contract = contract_of(segmenter, describe(segmenter, method, InputContract(), "pathology", "cells"), "0.1.0")
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    write_tensors(segmenter, contract, image, tmp_path)
    write_torchscript(segmenter, contract, tmp_path / "model.pt")
    pixels = torch.from_numpy(np.load(tmp_path / "images.npy")) / 255
    with torch.no_grad():
        fields = torch.jit.load(tmp_path / "model.pt")(pixels)
    for name, logits in zip(contract.fields, fields, strict=True):
        assert np.allclose(logits.sigmoid().numpy(), np.load(tmp_path / f"{name}.npy"), atol=1e-5), name
    assert segmenter.backbone.attends_px == 16
    with torch.no_grad():
        assert not torch.allclose(segmenter(pixels)[contract.fields[0]], fields[0], atol=1e-4)  # squares do matter


def test_a_package_says_what_its_files_are(tiny_segmenter, tmp_path, monkeypatch):
    """The ONNX file is another's here, as an export takes long; tests/recipes/verbs/test_export.py makes one."""
    monkeypatch.setattr("adapters.sharing.bioimage.write_onnx", lambda _, __, path: path.write_bytes(b"a graph"))
    segmenter, method = tiny_segmenter()
    segmenter.eval()
    wish = InputContract(pixel_size_m=0.5e-6, scale=2.0)
    contract = contract_of(segmenter, describe(segmenter, method, wish, "pathology", "cells"), "0.1.0")
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    write_package(segmenter, contract, image, tmp_path / "package.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["package.zip"]
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        archive.extractall(tmp_path)
    about = yaml.safe_load((tmp_path / "rdf.yaml").read_text(encoding="utf-8"))
    (taken,), given = about["inputs"], about["outputs"]
    files = [about["documentation"], *about["covers"], *about["attachments"], *about["weights"].values()]
    for file in [*files, *(tensor["test_tensor"] for tensor in (taken, *given))]:
        assert sha256((tmp_path / file["source"]).read_bytes()).hexdigest() == file["sha256"]
    assert taken["description"] == "red, green, blue; 0 to 255; pixels of 0.25 um"
    assert [axis.get("size") for axis in taken["axes"][2:]] == [{"min": 8, "step": 8}] * 2
    assert [tensor["id"] for tensor in given] == list(contract.fields)
    assert np.array_equal(np.load(tmp_path / "images.npy"), image[:64, :88].transpose(2, 0, 1)[None])
    assert json.loads((tmp_path / f"{KEY}.json").read_text())["weights"] == contract.weights


def test_channels_have_names_of_letters_and_digits_each_its_own():
    assert words(["Red", "near infra-red"], 2) == ["red", "near_infra_red"]
    assert words(["b-1", "b 1"], 2) == words(["red"], 2) == ["channel0", "channel1"]
