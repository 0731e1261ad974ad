"""A mean teacher: what a network learnt, averaged over its steps, labels what nobody did and corrects pseudo-labels.

Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017, https://arxiv.org/abs/1703.01780; entities
that it is sure of in place of pseudo-labels as in the self-correction of SOHES (https://arxiv.org/abs/2404.12386) and
HASSOD. Departures: the average is of the weights that learn alone, put into the one network for its look; labels are
regions by their predicted IoU, and of truth that is certain nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from adapters.network import EntitySegmenter, brought_back
from adapters.options.training import TrainOptions
from adapters.training.strength import learning_weights
from domains.entities import UNLABELLED, EntityBatch, EntityMap
from domains.entities.batch import padded

SURE_GROUND = 0.1
"""Unlabelled pixels whose score is below become ground."""
MOST_LOST = 0.5
"""Of an entity: where more of its pixels went to others, the rest says nothing. So much of a new one is free."""
SMALLEST_PX = 12


class Teacher:
    """The mean of the weights that learn in a network, and what it says of a batch.

    It follows by 1 - `decay` a step, faster in the beginning. Its labels weigh score times ramp, which rises from 0 to
    1 over the first `teacher_ramp` of the budget.
    """

    def __init__(self, network: EntitySegmenter, options: TrainOptions) -> None:
        self.network, self.options = network, options
        self.mean = learning_weights(network)
        self.steps = 0

    @torch.no_grad()
    def follow(self) -> None:
        """Move the mean towards the weights as they are, after a step."""
        self.steps += 1
        kept = min(self.options.teacher_decay, self.steps / (9 + self.steps))
        for name, weights in self.network.named_parameters():
            if name in self.mean:
                self.mean[name].lerp_(weights.detach(), 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[EntitySegmenter]:
        """The network with the mean's weights, in evaluation mode; its own come back, and its mode."""
        learning, replaced = self.network.training, {}
        for name, weights in self.network.named_parameters():
            if name in self.mean:
                replaced[name], weights.data = weights.data, self.mean[name]
        try:
            yield self.network.eval()
        finally:
            for name, weights in self.network.named_parameters():
                if name in replaced:
                    weights.data = replaced[name]
            self.network.train(learning)

    def corrected(self, batch: EntityBatch, progress: float) -> EntityBatch:
        """The batch with what the teacher is sure of in place of what is unlabelled or weighs less. progress: share of
        the budget that is used.
        """
        ramp = min(1.0, progress / self.options.teacher_ramp) if self.options.teacher_ramp else 1.0
        unsure = (batch.ids == UNLABELLED).flatten(1).any(1)
        if batch.pixel_weights is not None:
            unsure |= (batch.pixel_weights < 1).flatten(1).any(1)
        chosen = unsure.nonzero().flatten().tolist()
        if not chosen or not ramp:
            return batch
        outputs = self.seen(batch)
        ids, weights = batch.ids.cpu().numpy().copy(), [row.cpu().numpy() for row in batch.weights]
        height, width = ids.shape[1:]
        for image in chosen:
            entities = self.network.decoder.proposals.entities(outputs, image, (height, width))
            ground = None
            if "foreground" in outputs:
                ground = outputs["foreground"][image, 0].sigmoid().numpy() < SURE_GROUND
            correction = Correction(entities, ground, self.options.teacher_score, ramp)
            ids[image], weights[image] = correction.of(ids[image], weights[image])
        counts = [int(image_ids.max(initial=0)) for image_ids in ids]
        rows = [row[:count] for row, count in zip(weights, counts, strict=True)]
        table = torch.from_numpy(padded(rows, counts, np.float32(1), np.float32(0))).to(batch.ids.device)
        labels = {"ids": torch.from_numpy(ids).to(batch.ids.device), "weights": table}
        return replace(batch, **labels, labels=torch.empty(0), parents=torch.empty(0), vocabulary=())

    @torch.no_grad()
    def seen(self, batch: EntityBatch) -> dict[str, Any]:
        """The teacher's outputs of a batch, on the CPU in float32."""
        prefix = getattr(batch, "prefix", None)
        with self.in_place() as network:
            images = batch.images
            return brought_back(network(images) if prefix is None else network(images, prefix))

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"mean": self.mean, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """The teacher of a checkpoint again."""
        self.steps = state["steps"]
        for name, mean in self.mean.items():
            mean.copy_(state["mean"][name])


@dataclass(frozen=True)
class Correction:
    """What a teacher says of one image: entities with scores; ground: (H, W) bool, where it is sure of none; the least
    score of those that count; and the ramp, by which their scores are multiplied to weights.
    """

    entities: EntityMap
    ground: np.ndarray | None
    least_score: float
    ramp: float

    def of(self, ids: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ids, weights) as they become; ids: (H, W) int32, -1 unlabelled; weights: (N,) or more, of the entities.

        The surest come first. Each takes the pixels that are unlabelled, and those of entities that weigh less than it;
        where these are not most of it, it is none.
        """
        trust = np.concatenate([[np.inf], weights, [-1]])[ids]  # certain ground, the entities, and what is unlabelled
        result, heavy = ids.copy(), list(weights[: int(ids.max(initial=0))])
        areas = np.bincount(ids[ids > 0], minlength=len(heavy) + 1)
        scores = self.entities.scores
        assert scores is not None
        for index in np.argsort(-scores, kind="stable").tolist():
            weight = float(scores[index]) * self.ramp
            if scores[index] < self.least_score:
                break
            mask = self.entities.ids == index + 1
            free = mask & (trust < weight)
            count = int(free.sum())
            if count < max(SMALLEST_PX, MOST_LOST * int(mask.sum())):
                continue
            heavy.append(weight)
            result[free] = len(heavy)
            trust[free] = weight
        remaining = np.bincount(result[result > 0], minlength=len(heavy) + 1)[: len(areas)]
        lost = np.flatnonzero((areas > 0) & (remaining < (1 - MOST_LOST) * areas))
        result[np.isin(result, lost[lost > 0])] = UNLABELLED
        if self.ground is not None:
            result[(result == UNLABELLED) & self.ground & (ids == UNLABELLED)] = 0
        corrected = EntityMap.from_ids(result, np.array(heavy, np.float32))
        assert corrected.scores is not None
        return corrected.ids, corrected.scores
