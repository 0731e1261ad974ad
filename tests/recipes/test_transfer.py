"""What of a transfer table becomes a picture."""

from __future__ import annotations

from recipes.transfer import Table, pictured

TABLE: Table = {
    "pq": {"base": {"a": 0.1, "b": 0.2}, "one": {"a": 0.3, "b": 0.0}},
    "aji": {"base": {"a": 0.1}, "one": {"a": 0.3}},
    "dice": {"base": {"a": 0.1, "b": None}, "one": {"a": 0.3, "b": 0.4}},
}


def test_a_picture_has_what_every_set_has_and_what_a_domain_shows_first() -> None:
    assert pictured(TABLE, 4, {"aji"}).keys() == {"pq", "aji"}
    assert pictured(TABLE, 4, ()).keys() == {"pq"}


def test_where_sets_share_nothing_all_is_pictured() -> None:
    assert pictured({"aji": TABLE["aji"]}, 4, ()).keys() == {"aji"}
