"""A tiny SAM learns four images by prompts that are corrected."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SamConfig

from adapters.backbones.sam import SamBackbone
from adapters.decoders import DECODERS
from adapters.decoders.build import build_decoder
from adapters.decoders.prompted import PromptedDecoder
from adapters.losses import build_loss
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.training.prompted_fit import PromptedModule
from domains.datasets.domain import build_domain
from domains.entities import EntityMap, EntitySample, Place, collate
from domains.procedural.scene import draw_scene

SIDE, STEPS, RATE = 48, 100, 1e-2


def tiny_sam() -> SamBackbone:
    torch.manual_seed(0)
    grid, heads = {"image_size": SIDE, "patch_size": 8}, {"num_attention_heads": 2}
    vision = {"hidden_size": 64, "num_hidden_layers": 1, "output_channels": 64, "global_attn_indexes": [0], **heads}
    decoder = {"hidden_size": 64, "mlp_dim": 128, "num_hidden_layers": 1, "iou_head_hidden_dim": 32, **heads}
    config = SamConfig(
        vision_config={**grid, **vision, "window_size": 0, "mlp_dim": 128, "num_pos_feats": 32},
        prompt_encoder_config={"hidden_size": 64, **grid},
        mask_decoder_config=decoder,
    )
    return SamBackbone(SamBackbone.randomised(config), name="tiny-sam")


def cut_around_largest(sample: EntitySample) -> EntitySample:
    """A square of `SIDE` px around the largest entity that fits into one, alone."""
    areas = np.where(sample.truth.areas < 0.6 * SIDE**2, sample.truth.areas, 0)
    entity = sample.truth.ids == int(areas.argmax()) + 1
    y, x = (int(np.clip(c.mean() - SIDE / 2, 0, n - SIDE)) for c, n in zip(entity.nonzero(), entity.shape, strict=True))
    place = slice(y, y + SIDE), slice(x, x + SIDE)
    return EntitySample(sample.image[place], (EntityMap(entity[place].astype(np.int32)),), Place(sample.place.scene))


def four_images() -> list[EntitySample]:
    """Of stained nuclei where ENTITY_DATA has them, else drawn ones."""
    folder = Path(os.environ.get("ENTITY_DATA", "")) / "dsb2018_he"
    if not folder.is_dir():
        return [draw_scene("nuclei_fluo", (7, number), 96, 96) for number in range(4)]
    images = build_domain("pathology", str(folder)).dataset("train")
    return [images[i] for i in range(4)]


def test_a_tiny_sam_overfits_four_images_and_only_what_learns_moves() -> None:
    samples = [cut_around_largest(sample) for sample in four_images()]
    backbone = tiny_sam()
    backbone.answer_prompts(True)
    METHODS["lora"](rank=32, roles=("qkv", "out", "mlp_in", "mlp_out")).attach(backbone)
    decoder = build_decoder(DECODERS["sam"](prompts=2, boxes=1.0, corrections=0), backbone)
    assert isinstance(decoder, PromptedDecoder)
    module = PromptedModule(EntitySegmenter(backbone, decoder), build_loss({"prompted": {}}))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    learning = {name: weights for name, weights in module.named_parameters() if weights.requires_grad}
    assert all(".lora_" in name for name in learning)
    optimizer, batch = torch.optim.AdamW(learning.values(), RATE, (0.9, 0.98)), collate(samples)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * min((step + 1) / 10, 1.05 - step / STEPS)
        (loss,) = module.terms(batch).values()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning.values(), 1.0)
        optimizer.step()
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved <= learning.keys() and {name.split(".")[3] for name in moved} == {"vision_encoder", "mask_decoder"}
    module.segmenter.eval()
    ious = []
    for output, sample in zip(module.segmenter.outputs([s.image for s in samples]), samples, strict=True):
        truth = sample.truth.ids == 1
        y, x = (axis.nonzero()[0] for axis in (truth.any(1), truth.any(0)))
        box = np.array([[x[0], y[0], x[-1] + 1, y[-1] + 1]], float)
        with torch.no_grad():
            mask = decoder.image(output.outputs, output.index, output.size).predict(boxes=box, several=False)[0]
        ious.append((mask & truth).sum() / (mask | truth).sum())
    assert np.mean(ious) > 0.9, ious


@pytest.fixture
def module() -> PromptedModule:
    backbone = tiny_sam()
    backbone.answer_prompts(True)
    METHODS["lora"](rank=2).attach(backbone)
    decoder = build_decoder(DECODERS["sam"](prompts=4, corrections=2), backbone)
    return PromptedModule(EntitySegmenter(backbone, decoder), build_loss({"prompted": {"iou": 2.0}}))


def test_validation_asks_the_same_every_time_and_training_does_not(module) -> None:
    batch = collate([draw_scene("nuclei_fluo", (7, 1), SIDE, SIDE)])
    module.eval()
    with torch.no_grad():
        loss, again = (float(module.terms(batch)["prompted"]) for _ in range(2))
        module.train()
        third, fourth = (float(module.terms(batch)["prompted"]) for _ in range(2))
    assert loss == again and third != fourth


def test_crops_without_entities_cost_nothing(module) -> None:
    truth = EntityMap(np.zeros((SIDE, SIDE), np.int32))
    terms = module.terms(collate([EntitySample(np.zeros((SIDE, SIDE, 3), np.uint8), (truth,), Place("none"))]))
    assert float(terms["prompted"].detach()) == 0
    terms["prompted"].backward()
