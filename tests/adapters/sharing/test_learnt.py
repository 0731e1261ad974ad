"""Digests of the images that an adapter learnt from: bounded, joined, and told for certain."""

from __future__ import annotations

import hashlib
import json

import pytest

from adapters.options.section import checked, values_of
from adapters.sharing.info import MAX_TEXT_BYTES
from adapters.sharing.learnt import MOST, Digests, LearntFrom, digests_of
from domains.errors import InputError


def some(count: int, of: str = "image") -> list[str]:
    return [hashlib.blake2b(f"{of} {i}".encode(), digest_size=8).hexdigest() for i in range(count)]


def test_of_some_thousand_images_every_one_is_told() -> None:
    learnt = LearntFrom(train=digests_of(some(MOST)), val=digests_of(some(10, "val")))
    assert learnt.train.whole and learnt.train.images == MOST
    met = learnt.among([*some(7), *some(2, "val"), *some(4, "new")])
    assert (met.train, met.val, met.comparable) == (7, 2, 13) and str(met) == "7 in training, 2 in validation"


def test_of_more_images_a_sample_is_kept_which_never_says_a_wrong_word() -> None:
    learnt = LearntFrom(train=digests_of(some(4 * MOST)))
    assert not learnt.train.whole and learnt.train.images == 4 * MOST and len(learnt.train.each) == MOST
    met, others = learnt.among(some(1000)), learnt.among(some(1000, "new"))
    assert met.train == met.comparable and 150 < met.comparable < 350  # about a quarter
    assert others.train == 0 and 150 < others.comparable < 350
    assert len(json.dumps(values_of(learnt), indent=2)) < MAX_TEXT_BYTES / 4


@pytest.mark.parametrize(("mine", "before"), [(5, 9), (5, 3 * MOST), (2 * MOST, 3 * MOST), (MOST, MOST)])
def test_an_adapter_that_goes_on_from_another_has_learnt_from_the_images_of_both(mine: int, before: int) -> None:
    both = digests_of(some(mine)).joined(digests_of(some(before, "before")))
    assert both.images == mine + before and both.whole == (mine + before <= MOST)
    everything = sorted([*some(mine), *some(before, "before")])
    assert both.each == everything[: len(both.each)]  # no image below the highest one is left out
    assert len(both.each) >= min(mine + before, MOST) * 0.9
    again = digests_of(some(5)).joined(digests_of(some(5)))
    assert again == digests_of(some(5))


def test_an_image_of_both_splits_counts_once() -> None:
    learnt = LearntFrom(train=digests_of(some(3)), val=digests_of(some(5)))
    met = learnt.among(some(5))
    assert (met.train, met.val, met.images) == (3, 2, 5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"images": 1, "digests": "0" * 15}, "16 hexadecimal digits"),
        ({"images": 1, "digests": "G" * 16}, "16 hexadecimal digits"),
        ({"images": 2, "digests": "1" * 16 + "0" * 16}, "in their order"),
        ({"images": 2, "digests": "1" * 32}, "different digests"),
        ({"images": 1, "digests": "0" * 16 + "1" * 16}, "as many digests as images, 1"),
        ({"images": 4}, "as many digests as images, 4"),
        ({"images": 10**6, "digests": "0" * 16 * (MOST + 1)}, f"up to {MOST} digests"),
        ({"images": -1}, "images is -1"),
        ({"images": 1, "digests": ["0" * 16]}, "digests"),
        ({"images": 1, "digests": "0" * 16, "names": ["a.png"]}, "names"),
    ],
)
def test_digests_of_another_form_are_refused(values: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        checked(Digests, json.loads(json.dumps(values)))
    assert len(str(caught.value)) < 400
