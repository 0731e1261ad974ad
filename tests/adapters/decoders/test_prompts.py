from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from adapters.decoders.dense import Dense
from adapters.decoders.prompt_batch import Prompted
from adapters.decoders.prompts import PromptDecoder, sampled_levels
from adapters.decoders.two_way import TwoWay, by_cells
from adapters.options.prompts import PromptOptions
from domains.errors import InputError

GRID = (4, 6)


@pytest.fixture(scope="module")
def decoder() -> PromptDecoder:
    torch.manual_seed(0)
    return PromptDecoder(PromptOptions(width=32, layers=2, heads=2), 12, 2, Dense(width=4)).eval()


@pytest.fixture(scope="module")
def levels() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Features of two taps and a pyramid, of an image of 32 x 48 px."""
    generator = torch.Generator().manual_seed(1)
    rows, columns = GRID

    def drawn(channels: int, factor: int) -> torch.Tensor:
        return torch.randn(1, channels, factor * rows, factor * columns, generator=generator)

    return [drawn(12, 1), drawn(12, 1)], [drawn(32, 1), drawn(32, 2), drawn(16, 4)]


POINTS = Prompted(torch.tensor([[[5.0, 7], [40, 20]], [[30, 30], [1, 1]]]), torch.tensor([[1, 0], [1, 1]]))
BOXES = Prompted(boxes=torch.tensor([[2.0, 3, 20, 18], [10, 4, 40, 30]]))


@torch.no_grad()
def test_without_details_masks_are_those_of_transformers_decoder(decoder, levels) -> None:
    seen = decoder.look(*levels)
    tokens = decoder.tokens(seen, BOXES)
    places, dense = decoder.places(GRID, (0.0, 0.0)), decoder.encoder.no_mask_embed.weight
    plain = TwoWay(decoder.decoder, seen.embedding, places, dense[0])
    logits, ious = plain.all_masks(tokens)
    for several, chosen in ((True, slice(1, None)), (False, slice(0, 1))):
        masks, predicted = decoder.decoder(seen.embedding, places, tokens[None], dense.view(1, -1, 1, 1), several)
        torch.testing.assert_close(logits[:, chosen], masks[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ious[:, chosen], predicted[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_details_join_the_upscaled_features_of_their_size(decoder, levels) -> None:
    seen = decoder.look(*levels)
    answer, image = seen.two_way.answered(decoder.tokens(seen, POINTS))
    masks = seen.two_way.masks(answer[:, 1:], image, slice(None))
    sam: Any = decoder.decoder
    x = sam.upscale_conv1(image.mT.reshape(2, -1, *GRID)) + seen.details[0]
    x = F.gelu(sam.upscale_conv2(F.gelu(sam.upscale_layer_norm(x))) + seen.details[1])
    weights = torch.stack([mlp(answer[:, k + 1]) for k, mlp in enumerate(sam.output_hypernetworks_mlps)], 1)
    torch.testing.assert_close(masks, torch.einsum("pkc,pchw->pkhw", weights, x), atol=1e-5, rtol=1e-4)


def test_cells_are_in_the_order_in_which_they_are_upscaled() -> None:
    detail = torch.arange(16.0).view(1, 4, 4)
    assert by_cells(detail[:, :2, :2], (1, 1)).flatten().tolist() == [0, 1, 4, 5]
    assert by_cells(detail, (1, 1)).flatten(1).tolist() == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]
    ]  # fmt: skip


@torch.no_grad()
def test_each_prompt_has_its_tokens_and_one_for_the_granularity(decoder, levels) -> None:
    seen = decoder.look(*levels)
    single = Prompted(POINTS.points[:, :1], POINTS.labels[:, :1])  # type: ignore[index]
    assert decoder.tokens(seen, single).shape == decoder.tokens(seen, BOXES).shape == (2, 3, 32)
    assert decoder.tokens(seen, POINTS).shape == (2, 4, 32)
    mixed = Prompted(POINTS.points, POINTS.labels, BOXES.boxes)
    assert decoder.tokens(seen, mixed).shape == (2, 5, 32)


@torch.no_grad()
def test_a_granularity_changes_the_answer_and_so_does_its_absence(decoder, levels) -> None:
    seen = decoder.look(*levels)
    answers = [
        seen.two_way.all_masks(decoder.tokens(seen, Prompted(POINTS.points, POINTS.labels, granularity=g)))[0]
        for g in (None, torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]))
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (answers[i] - answers[j]).abs().max() > 1e-4
    torch.testing.assert_close(answers[3], torch.stack([answers[1][0], answers[2][1]]))


@torch.no_grad()
def test_a_point_brings_the_image_at_its_place_along(decoder, levels) -> None:
    seen = decoder.look(*levels)
    point = torch.tensor([[[23.5, 7.5]]])  # where four cells meet
    cells = seen.embedding[0, :, 0:2, 2:4].flatten(1)
    sampled = sampled_levels(seen, point)[0, 0]
    middle = (sampled[:32] - cells.mean(1)).abs().max()
    assert middle < 1e-5 and sampled.shape == (36,)


@torch.no_grad()
@pytest.mark.parametrize("several", [True, False])
def test_masks_are_the_mask_decoders_and_what_is_near_and_alike(decoder, levels, several) -> None:
    seen, tokens = decoder.look(*levels), decoder.tokens(decoder.look(*levels), POINTS)
    decoded = decoder.decoded(seen, POINTS, (0.0, 0.0), several, -1e9)
    chosen = slice(1, None) if several else slice(0, 1)
    logits, ious = seen.two_way.all_masks(tokens)
    near = decoder.near_logits(seen, POINTS, tokens[:, -1:])
    torch.testing.assert_close(decoded.logits, (logits + near)[:, chosen].flatten(0, 1))
    assert near.std() > 1 and len(decoder.decoded(seen, POINTS, (0.0, 0.0), several, 1e9).logits) == 0
    torch.testing.assert_close(decoded.ious, ious[:, chosen].flatten())


@torch.no_grad()
def test_places_and_points_move_together(decoder) -> None:
    origin_places, moved_places = (decoder.places(GRID, origin) for origin in ((0.0, 0.0), (8.0, 16.0)))
    torch.testing.assert_close(origin_places[..., 2:, 1:], moved_places[..., :-2, :-1], atol=1e-4, rtol=1e-3)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InputError, match=r"prompts\.heads is 5; wanted twice it to divide prompts\.width, which is 96"):
        PromptOptions(heads=5)
