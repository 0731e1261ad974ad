from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders.pretrained_prompts import fresh_parts
from adapters.options.prompts import PromptOptions
from adapters.options.training import TrainOptions
from adapters.training.prompting import PromptModule, PromptSegmenter
from domains.entities import EntityBatch, EntityMap, EntitySample, Place, collate
from domains.procedural.scene import draw_scene

SMALL = PromptOptions(width=32, layers=1, heads=2, per_image=8)


@pytest.fixture
def module() -> PromptModule:
    torch.manual_seed(0)
    backbone = build_backbone(BackboneOptions("entity-small"))
    decoders = fresh_parts(FOLDERS["entity-small"], backbone, SMALL)
    return PromptModule(PromptSegmenter(backbone, *decoders), TrainOptions())


@pytest.fixture(scope="module")
def batch() -> EntityBatch:
    return collate([draw_scene("nested", (5, 1), 48, 48), draw_scene("leaves", 5, 48, 48)])


def test_steps_lower_the_loss_and_move_the_prompt_decoder_alone(module, batch) -> None:
    before = {name: value.clone() for name, value in module.segmenter.state_dict().items()}
    learning = [weights for weights in module.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learning, 3e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(1)  # the same prompts
        terms = module.terms(batch)
        assert set(terms) == {"mask", "iou"}
        loss = terms["mask"] + terms["iou"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.85 * losses[0]
    moved = {name for name, value in module.segmenter.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert {name.split(".")[1] for name in moved} >= {"neck", "encoder", "decoder", "details", "here", "granularity"}


def test_validation_asks_the_same_every_time_and_training_does_not(module, batch) -> None:
    module.eval()
    with torch.no_grad():
        loss, again = (float(module.terms(batch)["mask"]) for _ in range(2))
        module.train()
        third, fourth = (float(module.terms(batch)["mask"]) for _ in range(2))
    assert loss == again and third != fourth


def test_scenes_without_entities_cost_nothing(module) -> None:
    empty = EntitySample(np.zeros((48, 48, 3), np.uint8), (EntityMap(np.zeros((48, 48), np.int32)),), Place("none"))
    terms = module.terms(collate([empty]))
    assert float(terms["mask"].detach()) == float(terms["iou"].detach()) == 0
    terms["mask"].backward()
