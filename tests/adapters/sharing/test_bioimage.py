"""Packages of bioimage.io: their test tensors are what their graphs give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.inference.segment import InputContract
from adapters.sharing.bioimage import write_tensors
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
