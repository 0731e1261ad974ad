"""What answers prompts as a decoder gives the masks that it gives by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from adapters.decoders import DECODERS
from adapters.decoders.build import build_decoder
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.prompted import PromptedDecoder
from adapters.methods import METHODS, merge
from adapters.network import EntitySegmenter
from domains.errors import InputError
from tests.adapters.backbones.tiny_models import tiny_backbone
from tests.adapters.decoders.test_sam import SIDE, picture

POINTS = np.array([[[20.0, 30.0]], [[50.0, 8.0]]])
BOXES = np.array([[5.0, 5, 40, 30]])


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def prompted(backbone: Backbone) -> tuple[EntitySegmenter, PromptedDecoder]:
    decoder = build_decoder(DECODERS["sam"](), backbone)
    assert isinstance(decoder, PromptedDecoder)
    return EntitySegmenter(backbone, decoder).eval(), decoder


@pytest.mark.parametrize("name", ["sam", "entity-small"])
def test_the_decoder_answers_as_the_base_does(name: str) -> None:
    """On an image of SAM's own size, and on any of the embedded base."""
    backbone = tiny_backbone("sam") if name == "sam" else build_backbone(BackboneOptions())
    image = picture(SIDE, SIDE)
    network, decoder = prompted(backbone)
    output = network.outputs([image])[0]
    ours = decoder.image(output.outputs, output.index, output.size)
    theirs, fitted = build_promptable(backbone).set_image(image), decoder.promptable(backbone, SIDE).set_image(image)
    for prompts in ({"points": POINTS}, {"boxes": BOXES, "several": False}):
        masks = [embedded.predict(**prompts) for embedded in (ours, theirs, fitted)]
        for others in masks[1:]:
            assert np.array_equal(np.stack([*masks[0]]), np.stack([*others]))
            np.testing.assert_allclose(masks[0].scores, others.scores, atol=1e-4)
    logits, ious = ours.all_masks([Prompted(torch.from_numpy(POINTS).float())])
    assert logits.shape[:2] == ious.shape == (2, 4) and logits.shape[-1] * ours.mask_stride == SIDE


def test_an_image_smaller_than_the_fitted_tiles_is_seen_as_it_is() -> None:
    backbone = tiny_backbone("sam")
    network, decoder = prompted(backbone)
    image = picture(40, 48)
    output = network.outputs([np.pad(image, ((0, 8), (0, 0), (0, 0)))])[0]
    embedded = decoder.promptable(backbone, 1024).set_image(image)
    assert embedded.extent.size == (40, 48) and embedded.extent.padded == (48, 48)
    assert embedded.predict(POINTS[:1]).shape == (40, 48) and output.outputs["embedding"].shape[-1] == 6


@pytest.mark.parametrize("options", [{"rank": 4}, {"rank": 4, "dora": True}])
def test_an_adapter_of_encoder_and_mask_decoder_answers_alike_before_and_after_it_is_merged(options) -> None:
    backbone = tiny_backbone("sam")
    backbone.answer_prompts(True)
    bare = backbone.fingerprint()
    METHODS["lora"](**options).attach(backbone)
    learning = {name for name, weights in backbone.model.named_parameters() if weights.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"vision_encoder", "mask_decoder"}
    network, decoder = prompted(backbone)
    output = network.outputs([picture(SIDE, SIDE)])[0]
    fresh = decoder.probed(output.outputs, output.size)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weights in backbone.model.named_parameters():
            if weights.requires_grad and "magnitude" not in name:
                weights += 0.1 * torch.randn_like(weights)
    output = network.outputs([picture(SIDE, SIDE)])[0]
    moved = decoder.probed(output.outputs, output.size)
    merge(backbone)
    output = network.outputs([picture(SIDE, SIDE)])[0]
    merged = decoder.probed(output.outputs, output.size)
    for key in ("masks", "ious"):
        assert not torch.allclose(fresh[key], moved[key], atol=1e-2)
        torch.testing.assert_close(moved[key], merged[key], atol=2e-4, rtol=2e-4)
    assert backbone.fingerprint() == bare


def test_the_fingerprint_is_of_the_mask_decoder_too_where_it_is_the_decoder() -> None:
    backbone = tiny_backbone("sam")
    encoder = backbone.fingerprint()
    backbone.answer_prompts(True)
    whole = backbone.fingerprint()
    with torch.no_grad():
        backbone.model.mask_decoder.iou_token.weight += 1  # type: ignore[union-attr]
    assert backbone.fingerprint() != whole
    backbone.answer_prompts(False)
    assert backbone.fingerprint() == encoder


def test_there_is_none_without_a_backbone() -> None:
    with pytest.raises(InputError, match="decoder.name=sam is the base's own; it is fitted, but neither pretrained"):
        DECODERS["sam"]().build(32, 3, 8)


@pytest.mark.parametrize(
    "backbone, message",
    [
        (lambda: tiny_backbone("vit"), "prompts want a SAM, such as facebook/sam-vit-base"),
        (lambda: tiny_backbone("sam", taps=[1, 2]), "wants the last of tiny-sam's 4 blocks among backbone.taps"),
    ],
)
def test_a_backbone_that_cannot_answer_is_refused(backbone, message) -> None:
    with pytest.raises(InputError, match=message):
        build_decoder(replace(DECODERS["sam"](), prompts=2), backbone())
