"""The weighted sum: table, weights, what is missing, precision."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch

from adapters.losses import DEFAULT_LOSSES, LOSSES, PROVIDERS, EntityLoss, build_loss
from adapters.losses.boundary import Boundary
from adapters.losses.partition import Partition
from domains.entities import EntityBatch
from domains.errors import InputError

LEARNING = [decoder for decoder, terms in DEFAULT_LOSSES.items() if terms]
"""Decoders that learn by gradient."""


@pytest.fixture
def batch() -> EntityBatch:
    ids = torch.zeros(2, 16, 16, dtype=torch.int32)
    ids[0, 2:8, 2:8], ids[0, 9:14, 3:14], ids[1, 4:12, 4:12], ids[1, :, 14:] = 1, 2, 1, -1
    return EntityBatch(torch.zeros(2, 3, 16, 16), ids)


def query_outputs(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    layers = [
        {
            "mask_logits": torch.randn(2, 5, 8, 8).to(dtype),
            "object_logits": torch.randn(2, 5).to(dtype),
            "iou_logits": torch.randn(2, 5).to(dtype),
        }
        for _ in range(2)
    ]
    return {**layers[0], "auxiliary": layers[1:]}


def dense_outputs() -> dict[str, Any]:
    names = ("foreground", "boundary_distance", "centre_distance", "boundary")
    return {**{name: torch.randn(2, 1, 16, 16) for name in names}, "embedding": torch.randn(2, 4, 16, 16)}


def prompted_outputs() -> dict[str, Any]:
    return {"mask_cost": torch.rand(()) + 0.1, "iou_cost": torch.rand(()) + 0.1}


def test_every_term_is_a_frozen_dataclass_with_a_weight() -> None:
    for term in LOSSES.values():
        assert is_dataclass(term) and term.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert fields(term)[0].name == "weight"


@pytest.mark.parametrize("decoder", LEARNING)
def test_default_losses_fit_their_decoder(decoder: str, batch: EntityBatch) -> None:
    outputs = {"dense": dense_outputs, "query": query_outputs, "sam": prompted_outputs}[decoder]()
    terms = build_loss(DEFAULT_LOSSES[decoder])(outputs, batch)
    assert list(terms) == list(DEFAULT_LOSSES[decoder])
    assert all(value.shape == () and value > 0 for value in terms.values())


def test_terms_come_weighted_and_a_weight_of_zero_leaves_one_out(batch: EntityBatch) -> None:
    outputs = dense_outputs()
    once, twice = (EntityLoss({"boundary": Boundary(weight=weight)})(outputs, batch) for weight in (1.0, 2.0))
    assert twice["boundary"].item() == pytest.approx(2 * once["boundary"].item())
    both = EntityLoss({"boundary": Boundary(), "partition": Partition(weight=0)})
    assert list(both(outputs, batch)) == ["boundary"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_term_whose_output_is_missing_names_the_option_that_brings_it(name: str, batch: EntityBatch) -> None:
    with pytest.raises(InputError, match=r"needs the decoder output '\w+'.*it gives fields.*set decoder\.name="):
        build_loss({name: {}})({"fields": torch.zeros(2, 1, 16, 16)}, batch)


def test_the_embedding_term_names_the_decoder_option(batch: EntityBatch) -> None:
    outputs = {name: value for name, value in dense_outputs().items() if name != "embedding"}
    with pytest.raises(InputError, match="decoder.embedding_dim=8"):
        build_loss({"embedding": {}})(outputs, batch)


def test_every_output_that_a_decoder_gives_is_listed() -> None:
    assert set(PROVIDERS) == {*dense_outputs(), *query_outputs(), *prompted_outputs()}


def test_an_unknown_term_is_refused_with_a_near_one() -> None:
    with pytest.raises(InputError, match="no loss term 'boundry'.*did you mean 'boundary'"):
        build_loss({"boundry": {}})


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match=r"losses\.boundary\.weight is"):
        EntityLoss({"boundary": Boundary(weight=weight)})


def test_no_term_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        EntityLoss({"boundary": Boundary(weight=0)})


@pytest.mark.parametrize("decoder", LEARNING)
def test_losses_are_float32_under_autocast_and_the_same_as_without(decoder: str, batch: EntityBatch) -> None:
    outputs = {"dense": dense_outputs, "query": partial(query_outputs, torch.bfloat16), "sam": prompted_outputs}[
        decoder
    ]()
    loss = build_loss(DEFAULT_LOSSES[decoder])
    torch.manual_seed(0)
    plain = loss(outputs, batch)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(outputs, batch)
    assert all(value.dtype == torch.float32 for value in mixed.values())
    assert {name: value.item() for name, value in plain.items()} == {name: v.item() for name, v in mixed.items()}


@pytest.mark.parametrize("decoder", LEARNING)
def test_nan_in_any_output_shows(decoder: str, batch: EntityBatch) -> None:
    outputs = {"dense": dense_outputs, "query": query_outputs, "sam": prompted_outputs}[decoder]()
    loss = build_loss(DEFAULT_LOSSES[decoder] | ({"embedding": {}} if decoder == "dense" else {}))
    for name in [name for name in outputs if name != "auxiliary"]:
        broken = {**outputs, name: torch.full_like(outputs[name], math.nan)}
        assert sum(loss(broken, batch).values()).isnan()  # type: ignore[union-attr]


@pytest.mark.parametrize("decoder", ("dense", "query"))
def test_an_entity_of_weight_nothing_is_taught_by_no_term(decoder: str, batch: EntityBatch) -> None:
    torch.manual_seed(0)
    outputs = query_outputs() if decoder == "query" else dense_outputs()
    weights = batch.weights.clone()
    weights[0, 1] = 0
    torch.manual_seed(1)
    whole = sum(build_loss(DEFAULT_LOSSES[decoder])(outputs, batch).values())
    torch.manual_seed(1)
    without = sum(build_loss(DEFAULT_LOSSES[decoder])(outputs, replace(batch, weights=weights)).values())
    assert float(whole) != float(without)


def test_pixels_of_an_entity_of_weight_nothing_get_no_gradient_of_fields(batch: EntityBatch) -> None:
    weights = batch.weights.clone()
    weights[0, 1] = 0
    outputs = {name: field.requires_grad_() for name, field in dense_outputs().items()}
    terms = {name: {} for name in ("foreground", "boundary_distance", "centre_distance", "boundary")}
    losses = build_loss(terms)(outputs, replace(batch, weights=weights))
    torch.stack(list(losses.values())).sum().backward()
    inside, elsewhere = batch.ids[0] == 2, batch.ids[0] == 1
    for name in terms:
        gradient = outputs[name].grad
        assert gradient is not None and not gradient[0, 0][inside].any() and gradient[0, 0][elsewhere].any()
