"""On a real GPU: the metrics of the CPU within 1e-3, and how fast both are; without one, those of the CPU in bf16."""

from __future__ import annotations

import time

import pytest
import torch

from adapters.inference.segment import InputContract, measure
from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.runtime import CPU, Runtime
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.module import EntityModule, TrainOptions
from adapters.training.trainer import make_trainer
from domains.crops.crops import CropOptions

CUDA = pytest.param("cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"))
ROUNDS = 20


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_metrics_of_a_device_and_of_bf16_are_those_of_the_cpu(tiny_segmenter, discs, tmp_path, device) -> None:
    """The network is trained on the device first: one that finds nothing would agree with anything."""
    segmenter, _ = tiny_segmenter()
    there = Runtime(torch.device(device))
    module = EntityModule(segmenter.place(there), build_loss(DEFAULT_LOSSES["dense"]), TrainOptions(steps=100))
    crops, batches = CropOptions(crop_px=48), BatchOptions(batch_size=4, round_steps=50)
    make_trainer(tmp_path, 100, 50, there).fit(module, EntityDataModule(discs[:4], discs[4:], None, crops, batches))
    contract, values = InputContract(tile_px=48, overlap_px=0), {}
    for name, runtime in (("CPU", CPU), (device, there), (f"{device} bf16", Runtime(there.device, "bf16"))):
        segmenter.place(runtime)
        values[name] = measure(segmenter, discs, ["f1", "pq", "aji"], contract).compute()
        if there != CPU:
            print(f"{name}: {pixels_per_second(segmenter):.3g} pixels/s, {values[name]}")
    assert values["CPU"]["pq"] > 0.2
    assert values[device] == pytest.approx(values["CPU"], abs=1e-3)
    assert values[f"{device} bf16"] == pytest.approx(values["CPU"], abs=0.05)


def pixels_per_second(segmenter) -> float:
    images = torch.rand(8, 3, 256, 256)
    segmenter.predicted(images)
    started = time.perf_counter()
    for _ in range(ROUNDS):
        segmenter.predicted(images)  # outputs come back to the CPU, which waits for the GPU
    return ROUNDS * images[:, 0].numel() / (time.perf_counter() - started)
