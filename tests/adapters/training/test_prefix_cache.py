"""Kept crops with what frozen blocks made of them: the same losses, fewer blocks run, drawn once, in a new order."""

from __future__ import annotations

import pytest
import torch

from adapters.losses import DEFAULT_LOSSES, build_loss
from adapters.runtime import CPU
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.module import EntityModule
from adapters.training.prefix_cache import TURNS, CachedData, Rounds
from domains.crops.crops import CropOptions
from domains.datasets.domain import build_domain
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes
from tests.adapters.training.networks import adapted

CROP_PX = 64
METHOD_BLOCKS = [
    ("decoder_only", {}, 6),
    ("lora", {"scope": "decoder"}, 6),
    ("lora", {"layers": "last:2", "rank": 4}, 4),
    ("bottleneck", {"layers": "last:1"}, 5),
    ("norms", {}, 0),
]


def data(crop_px: int = CROP_PX, round_steps: int = 3) -> EntityDataModule:
    scenes = ProceduralScenes(["nuclei_he"], 4, 0, crop_px + 32)
    domain = build_domain("pathology", "sample")
    crops, batches = CropOptions(crop_px=crop_px), BatchOptions(batch_size=2, round_steps=round_steps)
    return EntityDataModule(scenes, scenes, domain.augmentation(), crops, batches)


@pytest.mark.parametrize("name,options,blocks", METHOD_BLOCKS, ids=[case[0] for case in METHOD_BLOCKS])
def test_losses_and_gradients_are_those_of_whole_passes_over_the_same_crops(name, options, blocks):
    module = EntityModule(adapted(name, **options), build_loss(DEFAULT_LOSSES["dense"]))
    assert module.segmenter.backbone.frozen_blocks() == blocks
    cached = CachedData(data(), module.segmenter, CPU, count=6)
    for batch in cached.train_dataloader():
        losses = [module.terms(batch), module.joint_loss(module.segmenter(batch.images), batch)]
        weights = [weights for weights in module.parameters() if weights.requires_grad]
        gradients = []
        for terms in losses:
            for key in terms:
                torch.testing.assert_close(terms[key], losses[0][key], atol=1e-5, rtol=1e-5)
            total = torch.stack(list(terms.values())).sum()
            gradients.append(torch.autograd.grad(total, weights, allow_unused=True))
        for kept, whole in zip(*gradients, strict=True):
            if whole is not None:
                torch.testing.assert_close(kept, whole, atol=1e-4, rtol=1e-3)


def test_blocks_before_the_first_that_learns_run_once_for_each_crop():
    module = EntityModule(adapted("lora", layers="last:2", rank=4), build_loss(DEFAULT_LOSSES["dense"]))
    blocks = module.segmenter.backbone.blocks
    ran = {0: 0, 3: 0, 4: 0, 5: 0}
    for number in ran:
        blocks[number].register_forward_hook(lambda *_, number=number: ran.update({number: ran[number] + 1}))
    cached = CachedData(data(), module.segmenter, CPU, count=4)
    for _ in range(3):  # rounds of three batches of two
        for batch in cached.train_dataloader():
            module.terms(batch)
    assert ran == {0: 3, 3: 3, 4: 9, 5: 9}  # of the first crop alone, to see how much memory it takes


def test_no_more_crops_are_kept_than_memory_is_given(monkeypatch):
    network = adapted("decoder_only")
    size = CachedData(data(), network, CPU, count=1).bank.crop_bytes()
    assert 16 * CROP_PX**2 < size < 1000 * CROP_PX**2
    monkeypatch.setattr("adapters.training.prefix_cache.MOST_BYTES", 3 * size + 1)
    assert CachedData(data(), network, CPU, count=8).bank.count == 3


def test_an_image_larger_than_a_square_of_the_base_is_kept_whole():
    module = EntityModule(adapted("lora", layers="last:1"), build_loss(DEFAULT_LOSSES["dense"])).eval()
    cached = CachedData(data(crop_px=192, round_steps=1), module.segmenter, CPU, count=2)
    batch = next(iter(cached.train_dataloader()))
    with torch.no_grad():
        expected = module.segmenter(batch.images)
        for name, field in module.segmenter(batch.images, batch.prefix).items():
            torch.testing.assert_close(field, expected[name], atol=1e-5, rtol=1e-5)


def test_every_crop_comes_before_any_comes_again_and_the_order_is_of_the_seed_and_round():
    rounds = Rounds(count=5, length=4, seed=3)
    shown = []
    for epoch in range(5):
        rounds.set_epoch(epoch)
        shown += [rounds[i] for i in range(len(rounds))]
    turns = [shown[i : i + 5] for i in range(0, 20, 5)]
    assert all(sorted(turn) == list(range(5)) for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    again = Rounds(5, 4, 3)
    again.set_epoch(4)
    assert [again[i] for i in range(4)] == shown[16:]


def test_new_crops_come_when_the_kept_ones_were_shown_and_no_more_are_kept_than_asked():
    cached = CachedData(data(round_steps=2), adapted("decoder_only"), CPU, count=3)
    loader = cached.train_dataloader()
    shown = []
    for epoch in range(2 * TURNS * 3 // 4):  # two sets of three crops, each shown so often; a round shows four
        loader.sampler.set_epoch(epoch)
        for _ in loader:
            assert len(cached.bank.samples) == len(cached.bank.prefixes) <= 3
        shown += [loader.dataset[i] for i in range(4)]
    counts = {number: shown.count(number) for number in sorted(set(shown))}
    assert counts == dict.fromkeys(range(6), TURNS)
    assert sorted(cached.bank.samples) == [3, 4, 5]


def test_kept_crops_are_those_of_the_first_rounds():
    plain = data(round_steps=2)
    cached = CachedData(data(round_steps=2), adapted("decoder_only"), CPU, count=6)
    for number in (0, 5):  # of the first round, and of the second
        epoch, index = divmod(number, 4)
        plain.train.set_epoch(epoch)
        expected = plain.train[index]
        kept = cached.bank.sample(number)
        assert (kept.image == expected.image).all() and (kept.truth.ids == expected.truth.ids).all()


def test_a_network_whose_first_layers_learn_is_refused_in_one_line():
    with pytest.raises(InputError, match="train.cache=prefix wants frozen blocks before the first that learns"):
        CachedData(data(), adapted("full"), CPU, count=2)
