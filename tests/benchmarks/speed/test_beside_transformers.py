from __future__ import annotations

import pytest
import torch
from peft import get_peft_model_state_dict

from benchmarks.speed import beside_transformers
from benchmarks.speed.beside_transformers import our_step, plain_step


@pytest.mark.parametrize("blocks", [1, 3])
def test_both_sides_learn_as_many_weights_and_see_the_same(blocks: int) -> None:
    theirs, tokens_of = plain_step(64, 3, blocks)
    backbone, features_of = our_step(64, 3, blocks)
    model = backbone.get_submodule("model")
    model.load_state_dict(theirs.state_dict())
    assert get_peft_model_state_dict(theirs).keys() == get_peft_model_state_dict(model).keys()
    images, mean, std = torch.rand(1, 3, 28, 42), backbone.get_buffer("mean"), backbone.get_buffer("std")
    tokens = tokens_of((images - mean) / std)[:, 1:]
    torch.testing.assert_close(features_of(images).flatten(2).transpose(1, 2), tokens, rtol=1e-4, atol=1e-5)
    for side in (theirs, backbone):
        learning = [parameter.ndim for parameter in side.parameters() if parameter.requires_grad]
        assert learning == [2] * 4 * blocks


def test_steps_are_divided_by_those_of_transformers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beside_transformers, "LEARN_PX", 28)
    beside_transformers.steps(64, 3, 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"{name}, LoRA on {blocks} of 3 blocks" for blocks in (3, 1) for name in ("transformers and peft", "ours")
    ]
    assert lines[0].endswith(" 1.000 of the first")
