"""Numbers beside their nouns."""

from __future__ import annotations

import pytest

from recipes.verbs.numbers import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, ("division",), "0 divisions"), (1, ("image",), "1 image"), (2, ("entity", "entities"), "2 entities")],
)
def test_a_noun_follows_its_number(number: int, noun: tuple[str, ...], text: str) -> None:
    assert counted(number, *noun) == text
