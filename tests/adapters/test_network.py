"""From images of any size to a decoder's outputs, and their mean over the symmetries of a square."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from adapters.network import EntitySegmenter, Views
from adapters.proposals.watershed import FIELDS
from adapters.runtime import CPU, Runtime
from domains.errors import InputError


@torch.no_grad()
def test_the_mean_over_all_symmetries_turns_with_the_image(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    images = torch.rand(2, 3, 32, 48)
    fields = segmenter.averaged(images, Views(8))
    for turned, back in (
        (images.flip(-1), lambda x: x.flip(-1)),
        (torch.rot90(images, 1, (-2, -1)), lambda x: torch.rot90(x, -1, (-2, -1))),
    ):
        for name, field in segmenter.averaged(turned, Views(8)).items():
            torch.testing.assert_close(back(field), fields[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_one_symmetry_is_the_network_itself_and_two_are_a_mean(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    images = torch.rand(1, 3, 32, 32)
    plain, flipped = segmenter(images), segmenter(images.flip(-1))
    for name in FIELDS:
        torch.testing.assert_close(segmenter.averaged(images, Views())[name], plain[name], atol=0, rtol=0)
        wanted = (plain[name] + flipped[name].flip(-1)) / 2
        torch.testing.assert_close(segmenter.averaged(images, Views(2))[name], wanted)


@torch.no_grad()
def test_two_sizes_of_an_image_are_a_mean_at_the_size_of_the_image(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    images = torch.rand(1, 3, 64, 48)
    half = F.interpolate(images, (32, 24), mode="bilinear", antialias=True)
    found = segmenter.averaged(images, Views(scales=(1.0, 0.5)))
    for name, plain in segmenter(images).items():
        small = F.interpolate(segmenter(half)[name], (64, 48), mode="bilinear")
        torch.testing.assert_close(found[name], (plain + small) / 2)


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.25, 0.7, 1.3, 4.0])
def test_any_size_is_brought_to_one_that_the_network_takes(tiny_segmenter, scale: float) -> None:
    segmenter = tiny_segmenter()[0].eval()
    found = segmenter.averaged(torch.rand(1, 3, 40, 16), Views(2, (scale,)))
    assert {field.shape for field in found.values()} == {(1, 1, 40, 16)}


def test_a_decoder_without_fields_says_that_it_cannot_average(tiny_segmenter) -> None:
    segmenter = tiny_segmenter(decoder="query")[0].eval()
    with pytest.raises(InputError, match=r"symmetries is 4 and test_scales \[1\.0\]: only decoder\.name=dense"):
        segmenter.entities([np.zeros((32, 32, 3), np.uint8)], Views(4))


def test_images_of_several_sizes_come_back_in_their_order(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    sizes = [(20, 30), (33, 17), (20, 30), (8, 8)]
    images = [np.random.default_rng(i).integers(0, 255, (*size, 3), np.uint8) for i, size in enumerate(sizes)]
    together = segmenter.entities(images, Views(2))
    assert [one.shape for one in together] == sizes
    for image, found in zip(images, together, strict=True):
        assert (segmenter.entities([image], Views(2))[0].ids == found.ids).mean() > 0.99


@torch.no_grad()
def test_a_dense_decoder_s_entities_carry_the_foreground_score_of_every_pixel(tiny_segmenter) -> None:
    segmenter = tiny_segmenter()[0].eval()
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    (found,) = segmenter.entities([image])
    (output,) = segmenter.outputs([image])
    wanted = output.outputs["foreground"][0, 0, :20, :30].sigmoid().numpy()
    assert found.pixel_scores is not None and found.pixel_scores.dtype == np.float16
    np.testing.assert_allclose(found.pixel_scores, wanted, atol=1e-3)
    assert tiny_segmenter(decoder="query")[0].eval().entities([image])[0].pixel_scores is None


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """The device has memory for `most` images; returns the sizes of the batches that are tried."""
    tried: list[int] = []
    forward = EntitySegmenter.forward

    def limited(self, images):
        tried.append(len(images))
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, images)

    monkeypatch.setattr(EntitySegmenter, "forward", limited)
    return tried


@pytest.mark.parametrize("decoder", ["dense", "query"])
def test_a_device_short_of_memory_gets_half_the_images_and_gives_the_same(
    tiny_segmenter, monkeypatch, caplog, decoder
) -> None:
    segmenter = tiny_segmenter(decoder=decoder)[0].eval()
    images = torch.rand(8, 3, 32, 32)
    whole = segmenter.predicted(images)
    tried = short_of_memory(monkeypatch, 2)
    halves = segmenter.predicted(images)
    assert tried == [8, 4, 2, 2, 2, 2] and segmenter.most_at_once == 2
    for name in whole:
        if isinstance(whole[name], torch.Tensor):
            assert halves[name].shape == whole[name].shape and torch.allclose(halves[name], whole[name], atol=1e-4)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "cpu is out of memory for 8 images of 32 x 32 px at once; goes on with 4",
        "cpu is out of memory for 4 images of 32 x 32 px at once; goes on with 2",
    ]
    tried.clear()
    segmenter.predicted(images[:3])
    assert tried == [2, 1] and len(caplog.records) == 2  # it is remembered, and said once


def test_a_device_without_memory_for_one_image_is_one_clear_line(tiny_segmenter, monkeypatch) -> None:
    segmenter = tiny_segmenter()[0].eval()
    tried = short_of_memory(monkeypatch, 0)
    with pytest.raises(InputError, match="cpu has not the memory for one image of 32 x 40 px; .*--device cpu"):
        segmenter.entities([np.zeros((32, 40, 3), np.uint8)] * 3)
    assert tried == [3, 1]


def test_a_placed_network_predicts_in_the_precision_of_its_runtime(tiny_segmenter) -> None:
    segmenter, images = tiny_segmenter()[0].eval(), torch.rand(1, 3, 32, 32)
    single = segmenter.predicted(images)["foreground"]
    half = segmenter.place(Runtime(precision="bf16")).predicted(images)["foreground"]
    assert half.dtype == torch.float32 and not torch.equal(single, half)
    assert torch.equal(segmenter.place(CPU).predicted(images)["foreground"], single)
