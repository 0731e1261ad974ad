"""Bounds of an adapter's weights: above what every method and decoder has, and not by much."""

from __future__ import annotations

import pytest

from adapters.decoders import decoder_options
from adapters.methods import METHODS
from adapters.options.decoders import Dense, Query
from adapters.options.section import checked
from adapters.sharing.bounds import BYTES, SLACK, of_decoder, of_method, of_student
from adapters.sharing.info import Base

DECODER_OPTIONS = {
    "small dense": Dense(width=4, detail=False),
    "dense": Dense(embedding_dim=64, regions=True),
    "wide dense": Dense(width=128),
    "query": Query(),
    "wide query": Query(dim=512, queries=1000, layers=12, detail_channels=512, mask_stride=8),
    "small query": Query(dim=8, heads=2, queries=1, layers=1, detail_channels=0),
}


@pytest.mark.parametrize("case", DECODER_OPTIONS)
@pytest.mark.parametrize("dim", [24, 768])
def test_a_decoder_has_fewer_weights_than_its_bound(case: str, dim: int) -> None:
    import torch

    options = DECODER_OPTIONS[case]
    base = Base(
        name="b", family="dinov2", model_type="dinov2", dim=dim, depth=12, stride=8, taps=(1, 4, 8, 12),
        mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2),
    )  # fmt: skip
    with torch.device("meta"):
        network = decoder_options(options).build(dim, 4, 8)
    count = sum(value.numel() for value in network.state_dict().values())
    assert count <= of_decoder(options, base) <= 4 * count + 2**16


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_fewer_weights_than_its_bound(name: str, tiny_segmenter) -> None:
    segmenter, method = tiny_segmenter(name, **({"rank": 8, "dora": True} if name == "lora" else {}))
    base = checked(Base, segmenter.backbone.config())
    count = sum(value.numel() for value in method.state(segmenter.backbone).values())
    assert count <= of_method(method, base) * SLACK and BYTES == 4


@pytest.mark.parametrize("width", [4, 16, 128])
@pytest.mark.parametrize("channels", [2, 16])
def test_a_student_has_fewer_weights_than_its_bound(width: int, channels: int) -> None:
    import torch

    from adapters.student import Student

    with torch.device("meta"):
        student = Student(Dense(width=width, regions=True), channels)
    count = sum(value.numel() for value in student.state_dict().values())
    assert count <= of_student(width, channels) <= 2 * count
