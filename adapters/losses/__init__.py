"""Losses: terms by name, each weighted, each logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from adapters.losses.boundary import Boundary
from adapters.losses.dense import BoundaryDistance, CentreDistance, Foreground
from adapters.losses.embedding import Embedding
from adapters.losses.partition import Partition
from adapters.losses.prompts import PromptedMasks
from adapters.losses.set_criterion import SetCriterion
from adapters.losses.topology import Topology
from adapters.options.losses import OWN_TERMS
from domains.entities import EntityBatch
from domains.errors import InputError, suggest


class Term(Protocol):
    """One part of the loss: a scalar before its weight."""

    @property
    def weight(self) -> float:
        """The factor of this loss in the sum."""
        ...

    def __call__(self, outputs: Mapping[str, Any], batch: EntityBatch) -> Tensor: ...


LOSSES: dict[str, type] = {
    "foreground": Foreground,
    "boundary_distance": BoundaryDistance,
    "centre_distance": CentreDistance,
    "boundary": Boundary,
    "embedding": Embedding,
    "topology": Topology,
    "set": SetCriterion,
    "partition": Partition,
    "prompted": PromptedMasks,
}

DEFAULT_LOSSES: dict[str, dict[str, dict[str, Any]]] = {
    decoder: {term: {} for term in terms} for decoder, terms in OWN_TERMS.items()
}
"""Decoder -> term -> options, as a recipe's `losses:` section writes them."""

PROVIDERS = {
    "foreground": "decoder.name=dense",
    "boundary_distance": "decoder.name=dense",
    "centre_distance": "decoder.name=dense",
    "boundary": "decoder.name=dense",
    "embedding": "decoder.name=dense decoder.embedding_dim=8",
    "mask_logits": "decoder.name=query",
    "object_logits": "decoder.name=query",
    "iou_logits": "decoder.name=query",
    "auxiliary": "decoder.name=query",
    "mask_cost": "decoder.name=sam",
    "iou_cost": "decoder.name=sam",
}
"""Decoder output -> the recipe options that bring it."""


def build_loss(terms: Mapping[str, Mapping[str, Any]]) -> EntityLoss:
    """The loss of term name -> options; options left out keep the term's default."""
    for name in terms:
        if name not in LOSSES:
            raise InputError(f"there is no loss term {name!r}; {suggest(name, LOSSES)}")
    return EntityLoss({name: LOSSES[name](**options) for name, options in terms.items()})


class EntityLoss:
    """outputs, batch -> named, already weighted terms; their sum is the loss. A term of weight 0 is left out.

    Terms are worked out in float32, also under autocast. Raises InputError for no term at all, and at the
    first call for a term whose output the decoder does not give.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        self.terms = {name: term for name, term in terms.items() if term.weight > 0}
        if not self.terms:
            raise InputError("every loss term has weight 0; give at least one a positive losses.<term>.weight")

    def __call__(self, outputs: Mapping[str, Any], batch: EntityBatch) -> dict[str, Tensor]:
        precise = Outputs(in_float32(outputs))
        with torch.autocast(batch.ids.device.type, enabled=False):
            return {name: term.weight * term(precise, batch) for name, term in self.terms.items()}


class Outputs(dict[str, Any]):
    """A decoder's outputs, which say which option brings one that is missing."""

    def __missing__(self, name: str) -> None:
        raise InputError(
            f"a loss term needs the decoder output {name!r}, which this decoder does not give (it gives "
            f"{', '.join(self)}); set {PROVIDERS[name]}, or set the term's weight to 0"
        )


def in_float32(outputs: Any) -> Any:
    """Outputs with every tensor in float32, nested lists and mappings included."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, Mapping):
        return {name: in_float32(value) for name, value in outputs.items()}
    return [in_float32(value) for value in outputs]
