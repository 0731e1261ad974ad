"""Every data card holds its required fields, and every domain's cards exist."""

from __future__ import annotations

import re

import pytest

from domains.datasets.cards import FOLDER, SECTIONS, digest, find_card, read_card
from domains.datasets.domain import load_domain
from domains.errors import InputError
from domains.registry import house_domains

CARDS = sorted(FOLDER.glob("*.md"))
assert CARDS  # else the tests of each card would be none
COMPLETE = "---\nlicense: mit\ntask_categories: [image-segmentation]\npretty_name: A\nsize_categories: [n<1K]\n"
COMPLETE += "tags: [a]\n---\n"
COMPLETE += "".join(f"## {title}\nSomething.\n\n" for title in SECTIONS)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_holds_its_required_fields(path):
    card = read_card(path)
    assert all(len(card.sections[title]) > 40 or title == "Licence" for title in SECTIONS)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_licence_of_another_kind_has_a_name_and_an_address(path):
    front = read_card(path).front
    if front["license"] == "other":  # as the Hub asks
        assert front["license_name"] and front["license_link"].startswith("https://")


TRIED = re.compile(
    r"(tried|not) on the real files|files were not to be had here.{0,80}tried only on|there are no files",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_says_whether_its_reader_was_tried_on_the_real_files(path):
    about = " ".join(path.read_text(encoding="utf-8").partition("## What counts as an entity")[0].split())
    assert TRIED.search(about)


def test_every_domain_has_the_cards_it_points_at_and_one_of_its_sample():
    assert len(house_domains()) >= 4
    for name in house_domains():
        spec = load_domain(name)
        assert spec.cards and all(find_card(card) for card in spec.cards)
        assert spec().card().name == f"sample_{name}"


@pytest.mark.parametrize(
    "line",
    [
        "license: mit\n",
        "tags: [a]\n",
        "task_categories: [image-segmentation]\n",
        "## Scale\nSomething.\n",
        "pretty_name: A\n",
    ],
)
def test_a_card_without_a_required_field_is_refused_by_name(tmp_path, line):
    (tmp_path / "card.md").write_text(COMPLETE.replace(line, ""))
    wanted = line.split("\n")[0].split(":")[0].replace("## ", "")
    with pytest.raises(InputError, match=f"card.md' lacks .*{wanted}"):
        read_card(tmp_path / "card.md")


@pytest.mark.parametrize(
    "text", ["", "# No front matter\n", "---\n- a list\n---\n", "---\na: [\n---\n", "---\nlicense: mit\n"]
)
def test_a_card_without_front_matter_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "card.md").write_text(text)
    with pytest.raises(InputError, match="front matter") as error:
        read_card(tmp_path / "card.md")
    assert "\n" not in str(error.value)


def test_a_digest_follows_the_text_and_not_its_line_endings(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(COMPLETE)
    once = digest(read_card(path))
    path.write_bytes(COMPLETE.replace("\n", "\r\n").encode())
    assert digest(read_card(path)) == once
    path.write_text(COMPLETE.replace("Something", "Something else"))
    assert digest(read_card(path)) != once


def test_an_unknown_data_set_has_no_card():
    assert find_card("nothing_of_that_name") is None
    assert find_card("../README") is None
    assert find_card("") is None


def test_a_card_of_another_task_or_that_is_no_text_is_refused_and_one_may_be_silent_of_splits(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(COMPLETE)
    assert read_card(path).splits == {}
    path.write_text(COMPLETE.replace("[image-segmentation]", "[image-classification]"))
    with pytest.raises(InputError, match="card.md' lacks 'image-segmentation' in task_categories"):
        read_card(path)
    path.write_bytes(b"---\n\xff\n---\n")
    for place in (path, tmp_path / "nowhere.md"):
        with pytest.raises(InputError, match="cannot read the data card "):
            read_card(place)
