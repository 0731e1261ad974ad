"""The page in a real headless Chromium: Debian's, or Playwright's own. Wants the extra `browser`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recipes.report.page import Page, write_page
from recipes.report.tables import SHADES

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[browser]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; skips the tests where there is none."""
    with sync_api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        program = CHROMIUM or (str(own) if own.exists() else None)
        if program is None:
            pytest.skip("no Chromium: apt-get install chromium, or playwright install chromium")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has none
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(hostile_page: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with all parts and a stranger's words."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_page(file, hostile_page)
    return file


@pytest.fixture
def opened(browser: Any, file: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, opened; ends with a failure where it logged an error or asked for anything outside of the file."""
    width, scheme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab, faults = context.new_page(), []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", lambda dialog: faults.append(dialog.message) or dialog.dismiss())
    tab.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    tab.goto(file.as_uri())
    yield tab
    context.close()
    assert faults == []


def column(tab: Any, name: str) -> list[str]:
    """Names of the rows of the table of metrics, from above; `name` is of a head of it."""
    table = tab.locator("table", has=tab.get_by_role("button", name=name, exact=True)).first
    return [row.split()[0] for row in table.locator("tbody th").all_inner_texts()]


def test_a_table_is_sorted_by_a_click_and_by_the_keyboard(opened: Any) -> None:
    head = opened.get_by_role("columnheader", name="change", exact=True)
    before = column(opened, "change")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending" and column(opened, "change")[0] == "pq"
    assert column(opened, "change")[-1] == "polis"  # which has no number
    opened.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending" and column(opened, "change")[1:] == ["pq", "polis"]
    opened.get_by_role("button", name="metric", exact=True).click()
    assert head.get_attribute("aria-sort") is None
    assert column(opened, "change")[1:] == sorted(column(opened, "change")[1:]) and len(before) == 3


def test_the_slider_moves_by_mouse_and_keyboard_and_uncovers_the_layers(opened: Any) -> None:
    stage = opened.locator(".stage").first
    slider, truth = stage.get_by_role("slider"), stage.locator(".truth")
    clipped = truth.evaluate("node => getComputedStyle(node).clipPath")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    opened.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert 76 <= float(slider.input_value()) <= 84
    assert truth.evaluate("node => getComputedStyle(node).clipPath") != clipped
    handle = stage.locator(".handle").bounding_box()
    assert abs(handle["x"] - box["x"] - 0.8 * box["width"]) < 0.04 * box["width"]
    value = float(slider.input_value())
    slider.press("ArrowLeft")
    assert float(slider.input_value()) == value - 0.5


@pytest.mark.parametrize("opened", [(794, "light")], indirect=True)  # a page of A4
def test_printed_truth_and_prediction_stand_side_by_side_and_whole(opened: Any) -> None:
    stage = opened.locator(".stage").first
    stage.get_by_role("slider").fill("20")
    base, again = stage.locator("img:first-child"), stage.locator(".again")
    assert not again.is_visible()
    opened.emulate_media(media="print")
    assert again.is_visible() and not stage.locator(".handle").is_visible()
    left, right = base.bounding_box(), again.bounding_box()
    assert right["x"] >= left["x"] + left["width"] and right["y"] == left["y"]
    for layer, below in ((stage.locator(".truth"), left), (stage.locator(".prediction"), right)):
        assert layer.evaluate("node => getComputedStyle(node).clipPath") == "none"
        assert layer.bounding_box() == pytest.approx(below, abs=1)
    opened.emulate_media(media="screen")
    assert not again.is_visible() and stage.locator(".handle").is_visible()


def test_outlines_can_be_hidden(opened: Any) -> None:
    layer = opened.locator(".layer").first
    assert layer.is_visible()
    opened.get_by_role("checkbox", name="outlines").uncheck()
    assert not layer.is_visible()


def test_a_strangers_words_do_nothing(opened: Any) -> None:
    assert "taken" in opened.title() and opened.title().startswith("</script>")
    assert opened.locator("h1").inner_text().startswith("</script><script>")
    assert opened.evaluate("document.scripts.length") == 1


@pytest.mark.parametrize("opened", [(360, "light"), (360, "dark"), (1280, "light")], indirect=True)
def test_nothing_is_wider_than_the_window_but_what_scrolls_in_its_box(opened: Any) -> None:
    opened.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= opened.viewport_size["width"]
    wide = opened.locator(".scroll").evaluate_all(
        "nodes => nodes.filter(node => node.scrollWidth > node.clientWidth).length"
    )
    assert wide >= 1 or opened.viewport_size["width"] > 1000


@pytest.mark.parametrize("opened", [(1280, "light"), (1280, "dark")], indirect=True)
def test_words_stand_out_from_what_is_behind_them(opened: Any) -> None:
    """WCAG 2.1, 1.4.3: a contrast of at least 4.5, in every shade of the heat map too."""
    contrasts = opened.evaluate(CONTRASTS, SHADES)
    assert len(contrasts) == SHADES + 1 + 3
    assert {name: value for name, value in contrasts.items() if value < 4.5} == {}


CONTRASTS = """shades => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const found = {};
  const cell = document.querySelector("td.shade");
  for (let step = 0; step <= shades; step++) {
    cell.className = `shade s${step}`;
    const style = getComputedStyle(cell);
    found[`shade ${step}`] = contrast(style.color, style.backgroundColor);
  }
  for (const name of ["body", ".note", ".verb"]) {
    found[name] = contrast(getComputedStyle(document.querySelector(name)).color, paper);
  }
  return found;
}"""
