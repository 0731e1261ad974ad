"""Decoders held together: their weights by branch, and nothing decoded by itself."""

from __future__ import annotations

import pytest
import torch

from adapters.decoders.branches import Branches, weights_prefix
from adapters.decoders.dense import Dense
from adapters.methods.decoder_update import learnt_state, load_learnt, quantise_kernels


def test_a_branch_may_be_called_as_modules_call_what_they_have() -> None:
    decoders = {name: Dense(width=8).build(6, 1, 8) for name in ("train", "keys")}
    quantise_kernels(decoders["keys"], 3)
    state = learnt_state(Branches(decoders))
    again = Dense(width=8).build(6, 1, 8)
    quantise_kernels(again, 3)
    frozen = {
        name: value for name, value in decoders["keys"].state_dict().items() if name.endswith("base_layer.weight")
    }
    again.load_state_dict(frozen, strict=False)
    prefix = weights_prefix("keys")
    load_learnt(again, {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)})
    images = torch.rand(1, 3, 16, 16)
    features = [torch.rand(1, 6, 2, 2)]
    for name, field in decoders["keys"](features, images).items():
        assert torch.equal(field, again(features, images)[name])


def test_branches_decode_nothing_themselves() -> None:
    with pytest.raises(TypeError, match="ask a branch"):
        Branches({"a": Dense(width=8).build(6, 1, 8)})([], torch.zeros(1, 3, 8, 8))
