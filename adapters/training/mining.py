"""Hard negatives: where the network sees something in images that hold nothing, it is shown more of them.

After every validation it looks at windows of the training images without entity; the pixels where it sees most become
the spots that `TrainCrops` draws some of its crops from. Online hard example mining (Shrivastava et al., CVPR 2016,
https://arxiv.org/abs/1604.03540), by the round rather than by the batch. The spots are in the checkpoint, so a resumed
run draws the same crops.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from adapters.inference.segment import TILES_AT_ONCE
from adapters.training.module import EntityModule
from domains.crops.train_crops import TrainCrops

WINDOWS = 64  # looked at after a validation
BRIGHTEST_PX = 64  # whose mean ranks a window: a thin false crack counts as much as a broad false stain


class HardNegatives(Callback):
    """Refreshes the spots of `crops` (`TrainCrops.set_spots`) with the quarter of the windows that it takes most for
    entities. The decoder must give a foreground.
    """

    def __init__(self, crops: TrainCrops) -> None:
        self.crops = crops

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The network looks at the windows, and the crops' spots are what it saw most in."""
        assert isinstance(pl_module, EntityModule)
        windows = self.crops.windows_without_entity(WINDOWS)
        if not windows:
            return
        learning, segmenter = pl_module.training, pl_module.segmenter.eval()
        spots = []
        for start in range(0, len(windows), TILES_AT_ONCE):
            batch = windows[start : start + TILES_AT_ONCE]
            outputs = segmenter.outputs([window.image for window in batch])
            for window, output in zip(batch, outputs, strict=True):
                logits = output.outputs["foreground"][output.index, 0, : output.size[0], : output.size[1]]
                brightest = torch.topk(logits.flatten(), min(BRIGHTEST_PX, logits.numel())).values.mean()
                y, x = np.unravel_index(int(logits.argmax()), tuple(logits.shape))
                spots.append((float(brightest), window.index, window.y + int(y), window.x + int(x)))
        pl_module.train(learning)
        hardest = sorted(spots, reverse=True)[: max(1, len(spots) // 4)]
        self.crops.set_spots(np.array([spot for _, *spot in hardest], np.int64))

    def state_dict(self) -> dict[str, Any]:
        """The spots, for a checkpoint."""
        return {"spots": self.crops.spots.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The spots are those of a checkpoint again."""
        self.crops.set_spots(np.array(state_dict["spots"], np.int64).reshape(-1, 3))
