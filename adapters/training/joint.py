"""One backbone and several decoders, each of its own kind of scene, learning together.

What counts as an entity differs between kinds: on a surface the defect alone, in a mosaic everything. One decoder for
all is torn between them, and a backbone that learnt with it alone has less to offer each. Here every step shows the
backbone all kinds, and each decoder its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import Tensor

from adapters.joint_network import JointSegmenter
from adapters.losses import EntityLoss
from adapters.training.data import EntityDataModule
from adapters.training.module import EntityModule, TrainOptions
from domains.entities import EntityBatch, Place


class JointModule(EntityModule):
    """Fits a `JointSegmenter` to batches by kind; logs the kinds' mean `loss`, and each kind's as `<kind>/loss`."""

    def __init__(self, segmenter: JointSegmenter, loss: EntityLoss, options: TrainOptions | None = None) -> None:
        super().__init__(segmenter, loss, options)  # type: ignore[arg-type]

    def terms(self, batch: Mapping[str, EntityBatch]) -> dict[str, Tensor]:  # type: ignore[override]
        """The loss of each kind, weighted so that their sum is the kinds' mean."""
        outputs = self.segmenter({kind: crops.images for kind, crops in batch.items()})  # type: ignore[arg-type]
        losses = {}
        for kind, crops in batch.items():
            terms = self.joint_loss(outputs[kind], crops)  # type: ignore[arg-type]
            losses[f"{kind}/loss"] = torch.stack(list(terms.values())).sum() / len(batch)
        return losses

    def places(self, batch: Mapping[str, EntityBatch]) -> Iterator[Place]:  # type: ignore[override]
        """Where the crops of every kind come from."""
        for crops in batch.values():
            yield from crops.places


class JointData(L.LightningDataModule):
    """Batches by kind, one of every kind's data in each step."""

    def __init__(self, kinds: Mapping[str, EntityDataModule]) -> None:
        super().__init__()
        self.kinds = dict(kinds)

    def train_dataloader(self) -> Any:
        """Rounds as long as the shortest kind's."""
        return CombinedLoader({kind: data.train_dataloader() for kind, data in self.kinds.items()}, "min_size")

    def val_dataloader(self) -> Any:
        """A look as long as the shortest kind's."""
        return CombinedLoader({kind: data.val_dataloader() for kind, data in self.kinds.items()}, "min_size")
