"""The set loss: queries and entities are paired one to one, each pair is compared, other queries are no entity.

Pairing by Hungarian matching and the comparison by objectness, mask cross-entropy and Dice after Mask2Former (Cheng
et al., CVPR 2022, https://arxiv.org/abs/2112.01527), points by uncertainty after PointRend, predicted IoU after SAM.

Departures: pairing compares masks on their own coarse grid with the share of each cell that an entity covers, which
has no sampling noise and makes a pairing stable; half of the points are drawn around the entity (see `draw_points`);
a query is excused from being "no entity" by the share of its mask that lies where nothing is labelled; every
prediction, final and auxiliary, counts the same, so that weights do not depend on the number of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from adapters.losses.primitives import (
    FlatEntities,
    dice_loss,
    draw_points,
    logits_at,
    mask_bce,
    most_uncertain,
    places_of,
    share_of_cells,
)
from adapters.options import losses as options
from domains.entities import EntityBatch


@dataclass(frozen=True)
class SetCriterion(options.SetCriterion):
    """Weighted sum of objectness, mask cross-entropy, Dice and predicted IoU over all predictions of a query decoder.

    Wants `mask_logits` (B, Q, H/s, W/s), `object_logits` and `iou_logits` (B, Q), and a list `auxiliary` of the same.
    """

    def __call__(self, outputs: Mapping[str, Any], batch: EntityBatch) -> Tensor:
        terms = self.parts(outputs, batch)
        return sum((getattr(self, name) * value for name, value in terms.items()), torch.zeros_like(terms["bce"]))

    def parts(self, outputs: Mapping[str, Any], batch: EntityBatch) -> dict[str, Tensor]:
        """The four losses before their weights, named as the fields that weigh them."""
        layers = [outputs, *outputs["auxiliary"]]
        masks, objects, ious = (
            torch.stack([layer[key].float() for layer in layers])  # (L, B, Q, h, w), (L, B, Q), (L, B, Q)
            for key in ("mask_logits", "object_logits", "iou_logits")
        )
        # zero, unless an output is not finite: then every part is NaN, though no pair may hold the broken query
        healthy = 0 * (masks.detach().mean() + objects.detach().mean() + ious.detach().mean())
        stride = batch.ids.shape[-1] // masks.shape[-1]
        entities = FlatEntities.of(batch.ids)
        coverage = entities.coverage(stride, (masks.shape[-2], masks.shape[-1]))  # (E, h * w)
        labelled = share_of_cells(batch.labelled, stride)  # (B, h * w)

        layer, query, entity = self.pair(masks.detach(), objects.detach(), entities, coverage, labelled)
        image = entities.image[entity]
        number = entity - entities.starts[image]
        weights = batch.weights[image, number]  # (M,)
        chosen = masks[layer, image, query]  # (M, h, w)
        logits, truth = self.compare_at(chosen, batch.ids, entity, entities, stride)
        pairs = weights.sum().clamp(min=1e-6)
        achieved = soft_iou(chosen.detach().flatten(1).sigmoid() * labelled[image], coverage[entity])
        error = (ious[layer, image, query].sigmoid() - achieved).square() / 2
        is_entity = torch.zeros_like(objects).index_put((layer, image, query), objects.new_ones(()))
        counts = torch.ones_like(objects).index_put((layer, image, query), weights)
        return {
            "objectness": self.entity_or_not(objects, is_entity, masks.detach(), labelled, counts) + healthy,
            "bce": (weights * mask_bce(logits, truth)).sum() / pairs + healthy,
            "dice": (weights * dice_loss(logits, truth)).sum() / pairs + healthy,
            "iou": (weights * error).sum() / pairs + healthy,
        }

    def pair(
        self, masks: Tensor, objects: Tensor, entities: FlatEntities, coverage: Tensor, labelled: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(layer, query, entity), (M,) each: the cheapest one-to-one pairing in each prediction of each image."""
        pairings: list[np.ndarray] = []
        starts = entities.starts.tolist()
        for b in range(len(labelled)):
            start, end = starts[b], starts[b + 1]
            if start == end:
                continue
            costs = self.costs(masks[:, b].flatten(2), objects[:, b], coverage[start:end], labelled[b])  # (L, N, Q)
            # a broken query is the dearest; the loss itself stays NaN
            costs = costs.nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6).cpu().numpy()
            for layer, cost in enumerate(costs):
                entity, query = linear_sum_assignment(cost)
                pairings.append(np.stack([np.full_like(query, layer), query, entity + start]))
        pairs = np.concatenate(pairings, 1) if pairings else np.zeros((3, 0), np.int64)
        layer, query, entity = torch.from_numpy(pairs).to(masks.device)
        return layer, query, entity

    def costs(self, logits: Tensor, objects: Tensor, coverage: Tensor, labelled: Tensor) -> Tensor:
        """(L, N, Q) cost of each pair: logits (L, Q, C), objects (L, Q), coverage (N, C), labelled (C,)."""
        # cross-entropy of logit x and soft target t, over labelled l: softplus(x) l - x t
        bce = (F.softplus(logits) @ labelled)[:, None] - coverage @ logits.mT
        scores = logits.sigmoid()
        overlap = coverage @ scores.mT
        dice = 1 - (2 * overlap + 1) / ((scores @ labelled)[:, None] + coverage.sum(1)[:, None] + 1)
        return self.bce * bce / labelled.sum() + self.dice * dice - self.objectness * objects.sigmoid()[:, None]

    def compare_at(
        self, chosen: Tensor, ids: Tensor, entity: Tensor, entities: FlatEntities, stride: int
    ) -> tuple[Tensor, Tensor]:
        """(logits, truth), both (M, points): masks (M, h, w) and their entities where the masks are least certain."""
        if not len(entity):
            empty = chosen.flatten(1)[:, :1]
            return empty, empty.detach()
        with torch.no_grad():
            candidates = draw_points(ids, entities.image, entities.boxes(), round(self.points * self.oversample))
            places = places_of(candidates, ids.shape[-1], stride, chosen.shape)  # (E, C, 2)
            number = torch.arange(len(entities), device=ids.device) - entities.starts[entities.image] + 1  # as in ids
            truth = ids.flatten(1)[entities.image[:, None], candidates] == number[:, None]  # (E, C)
            uncertain = most_uncertain(logits_at(chosen, places[entity]), round(self.points * self.importance))
            random = (len(entity), self.points - uncertain.shape[1])
            drawn = torch.randint(candidates.shape[1], random, device=ids.device)
            picked = torch.cat([uncertain, drawn], 1)  # (M, points)
        return logits_at(chosen, places[entity[:, None], picked]), truth[entity[:, None], picked].float()

    def entity_or_not(
        self, objects: Tensor, is_entity: Tensor, masks: Tensor, labelled: Tensor, counts: Tensor
    ) -> Tensor:
        """Weighted mean cross-entropy over all queries; objects, is_entity, and the weights of their entities counts,
        (L, B, Q).
        """
        certainty: Tensor | float = 1.0
        if not bool((labelled == 1).all()):
            scores = masks.flatten(3).sigmoid()  # (L, B, Q, C)
            certainty = torch.einsum("lbqc,bc->lbq", scores, labelled) / scores.sum(-1).clamp(min=1e-6)
        weights = torch.where(is_entity > 0, counts, self.no_object * certainty)
        errors = F.binary_cross_entropy_with_logits(objects, is_entity, reduction="none")
        return (weights * errors).sum() / weights.sum().clamp(min=1e-6)


def soft_iou(scores: Tensor, coverage: Tensor) -> Tensor:
    """(M,) sum of minima over sum of maxima of (M, C), both in [0, 1]: IoU for masks that cover cells in part."""
    return torch.minimum(scores, coverage).sum(1) / torch.maximum(scores, coverage).sum(1).clamp(min=1e-6)
