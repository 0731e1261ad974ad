"""The page: it loads nothing, a stranger's words stay words, and it stays small."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np

from domains.entities import EntityMap
from recipes.report.page import FoldedText, Page, Section, page_html, write_page
from recipes.report.pictures import MOST_BYTES, Chosen, picture_of
from recipes.report.tables import Table, number, text
from tests.recipes.report.conftest import HOSTILE


class Reader(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_strangers_words_are_shown_as_they_are_and_run_nowhere(hostile_page: Page) -> None:
    source = page_html(hostile_page)
    reader = Reader(source)
    names = [tag for tag, _ in reader.tags]
    assert names.count("script") == 1 and names.count("img") == 9 and "iframe" not in names
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "{{ 7 * 7 }}" in source and "49" not in reader.words
    shown = "".join(reader.words)
    assert shown.count(HOSTILE) >= 7  # heading, fact, notes, cell, word of a chart, name of a picture, recipe


def test_nothing_outside_of_the_file_is_loaded(hostile_page: Page) -> None:
    reader = Reader(page_html(hostile_page))
    for tag, attributes in reader.tags:
        loaded = [attributes[name] or "" for name in ("src", "href", "data", "poster", "srcset") if name in attributes]
        assert all(place.startswith("data:") for place in loaded), tag
    style = page_html(hostile_page).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style and "http" not in style


def test_its_policy_allows_its_own_style_and_script_and_nothing_else(hostile_page: Page) -> None:
    source = page_html(hostile_page)
    (policy,) = (a["content"] or "" for tag, a in Reader(source).tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in attributes for _, attributes in Reader(source).tags)  # the policy would refuse it


def test_a_page_of_six_large_images_of_noise_stays_below_5_mb(tmp_path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1600, 2400, 3), np.uint8)
    truth, prediction = (
        EntityMap(rng.integers(0, 40, (200, 300), np.int32).repeat(8, 0).repeat(8, 1)) for _ in range(2)
    )
    picture = picture_of(image, truth, prediction, Chosen(0, "worst", "pq", 0.0), "noise", MOST_BYTES // 6)
    table = Table(["row", "value"], [[text(f"row {i}"), number(i / 7)] for i in range(20_000)])
    file = tmp_path / "report.html"
    write_page(file, Page("Fit", "noise", [], None, [Section("Images", pictures=[picture] * 6, tables=[table])]))
    assert 1e5 < file.stat().st_size < 5e6
    assert "and 19000 rows more" in file.read_text(encoding="utf-8")


def test_signs_that_are_not_to_be_seen_are_spelled_out(tmp_path) -> None:
    texts = [FoldedText("Recipe", "a:\n  b: 1\n")]
    write_page(tmp_path / "report.html", Page("Fit", "a\udcffb\u202egpj.exe", [], None, [Section("All", texts=texts)]))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert r"<h1>a\udcffb\u202egpj.exe</h1>" in source and "a:\n  b: 1\n</pre>" in source


def test_a_section_without_content_is_left_out(hostile_page: Page) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", page_html(hostile_page))
    assert titles == ["Images", "Metrics", "Transfer", "Losses", "Digests"]


def test_a_number_is_sorted_by_its_value_and_an_undefined_one_by_none(hostile_page: Page) -> None:
    cells = [attributes for tag, attributes in Reader(page_html(hostile_page)).tags if tag == "td"]
    assert {"data-value": "0.61"} in cells and {} in cells  # the latter a dash
