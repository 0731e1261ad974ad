"""What two adapters differ in."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapters.options.section import checked
from adapters.sharing.difference import differences
from adapters.sharing.info import AdapterInfo
from domains.errors import InputError
from tests.adapters.sharing.conftest import VALUES


@pytest.fixture
def folders(tmp_path):
    """Two folders of weights, one tensor of which is doubled, one that only the second has."""
    weights = {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float32)}
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    save_file(weights, tmp_path / "old" / "entity_decoder.safetensors")
    doubled = {**weights, "a": 2 * weights["a"], "c": weights["b"]}
    save_file(doubled, tmp_path / "new" / "entity_decoder.safetensors")
    return tmp_path / "old", tmp_path / "new"


def info(**changes: object) -> AdapterInfo:
    return checked(AdapterInfo, {**VALUES, "digest": "0" * 64, **changes})


def test_options_metrics_and_weights_are_compared(folders):
    old = info(metrics={"after": {"f1": 0.5, "pq": 0.4}})
    new = info(metrics={"after": {"f1": 0.6, "pq": 0.4}}, domain="pathology", method={"name": "ssf"})
    lines = differences((old, new), folders)
    assert "domain: natural -> pathology" in lines
    assert "method.name: decoder_only -> ssf" in lines
    assert "method.scope: absent -> backbone" in lines
    assert "after f1: 0.500 -> 0.600 (+0.100)" in lines
    expected = (6 / 10) ** 0.5
    assert lines[-1] == (
        f"entity_decoder.safetensors: 2 tensors {expected:.3f} of their norm apart, 1 that only one of them has"
    )


def test_an_adapter_and_its_copy_are_alike(folders, tmp_path):
    shutil.copytree(folders[0], tmp_path / "copy")
    assert differences((info(), info()), (folders[0], tmp_path / "copy")) == []


def test_a_damaged_file_is_told(folders):
    (folders[1] / "entity_decoder.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be compared"):
        differences((info(), info()), folders)


def test_codes_are_counted_and_no_part_of_the_norm(folders):
    for folder, code in zip(folders, (1, 9), strict=True):
        save_file(
            {"a.codes": np.full(5, code, np.uint8), "b": np.ones(4, np.float32)}, folder / "entity_decoder.safetensors"
        )
    (line,) = differences((info(), info()), folders)
    assert line == (
        "entity_decoder.safetensors: 1 tensors 0.000 of their norm apart, 1 updates of few bits with other codes"
    )
