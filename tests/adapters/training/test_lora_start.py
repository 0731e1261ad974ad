"""Directions of updates by the first batches: of inputs and gradients by a second way, else nothing changed."""

from __future__ import annotations

import pytest
import torch

from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.methods.decoder_update import LowRankConv2d
from adapters.training.lora_start import low_rank_layers, rows_of, start_updates
from adapters.training.module import EntityModule
from domains.entities import EntityBatch
from tests.adapters.training.networks import adapted


def module(scope: str = "both") -> EntityModule:
    return EntityModule(adapted("lora", rank=4, scope=scope), build_loss(DEFAULT_LOSSES["dense"]))


def batches(count: int = 2) -> list[EntityBatch]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.zeros(64, 64, dtype=torch.int32)
    ids[8:24, 8:30], ids[36:60, 30:50] = 1, 2
    images = [torch.rand(2, 3, 64, 64, generator=generator) for _ in range(count)]
    return [EntityBatch(image, torch.stack([ids, ids.T])) for image in images]


def downs(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: (layer.lora_A if isinstance(layer, LowRankConv2d) else layer.lora_A["default"].weight).detach().flatten(1)
        for name, layer in low_rank_layers(network)
    }


@pytest.mark.parametrize("init", ["eva", "lora_ga"])
def test_only_directions_change_and_a_fresh_network_is_still_the_base(init):
    started, drawn = module(), module()
    start_updates(started, batches(), init)
    before, after = drawn.segmenter.state_dict(), started.segmenter.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "lora_A" in name}
    assert {weights.grad for weights in started.parameters()} == {None}
    learning = [name for name, weights in started.named_parameters() if weights.requires_grad]
    assert learning == [name for name, weights in drawn.named_parameters() if weights.requires_grad]
    image = batches(1)[0].images
    with torch.no_grad():
        for name, field in started.segmenter.eval()(image).items():
            torch.testing.assert_close(field, drawn.segmenter.eval()(image)[name])
    for down in downs(started.segmenter).values():
        torch.testing.assert_close(down @ down.T, torch.eye(len(down)), atol=1e-4, rtol=1e-4)


def test_eva_spans_the_principal_directions_of_all_inputs():
    started = module()
    name, layer = next((n, x) for n, x in low_rank_layers(started.segmenter) if not isinstance(x, LowRankConv2d))
    inputs = []
    with layer.register_forward_pre_hook(lambda layer, x: inputs.append(rows_of(layer, x[0]))), torch.no_grad():
        for batch in batches():
            started(batch.images)
    rows = torch.cat(inputs).double()
    expected = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:4].float()
    start_updates(started, batches(), "eva")
    cosines = (downs(started.segmenter)[name] * expected).sum(1).abs()
    torch.testing.assert_close(cosines, torch.ones(4), atol=1e-3, rtol=0)


def test_lora_ga_spans_the_gradient_of_the_same_network_without_updates():
    started, bare = module(), module(scope="backbone")
    name, _ = next((n, x) for n, x in low_rank_layers(started.segmenter) if isinstance(x, LowRankConv2d))
    weight = bare.segmenter.get_parameter(f"{name}.weight")
    for batch in batches():
        torch.stack(list(bare.loss(bare(batch.images), batch).values())).sum().backward()
    expected = torch.linalg.svd(weight.grad.flatten(1).double(), full_matrices=False)[2][:4].float()
    start_updates(started, batches(), "lora_ga")
    overlap = torch.linalg.svdvals(downs(started.segmenter)[name] @ expected.T)
    torch.testing.assert_close(overlap, torch.ones(4), atol=1e-2, rtol=0)


def test_a_first_step_from_the_gradients_directions_falls_further_than_from_drawn_ones():
    def fall(init: str) -> float:
        learner = module()
        if init != "random":
            start_updates(learner, batches(), init)
        else:  # drawn directions of the same length
            with torch.no_grad():
                for _, layer in low_rank_layers(learner.segmenter):
                    down = layer.lora_A if isinstance(layer, LowRankConv2d) else layer.lora_A["default"].weight
                    down.copy_(torch.linalg.qr(down.flatten(1).T)[0].T.reshape(down.shape))
        ups = [x for n, x in learner.named_parameters() if "lora_B" in n]

        def loss() -> torch.Tensor:
            terms = [term for batch in batches() for term in learner.loss(learner(batch.images), batch).values()]
            return torch.stack(terms).sum()

        before = loss()
        gradients = torch.autograd.grad(before, ups)
        with torch.no_grad():
            for weights, gradient in zip(ups, gradients, strict=True):
                weights -= 1e-4 * gradient
            return float(before.detach() - loss())

    assert fall("lora_ga") > 1.2 * fall("random") > 0
