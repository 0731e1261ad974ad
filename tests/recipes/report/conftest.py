"""A page with every part that there is, its words a stranger's."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.procedural.scene import draw_scene
from recipes.report.charts import Chart, Series
from recipes.report.page import FoldedText, Headline, Page, Section
from recipes.report.pictures import Chosen, Picture, picture_of
from recipes.report.tables import Cell, Table, barred, heat_table, number, text

HOSTILE = (
    """</script><script>document.title='taken'</script>"'><img src=http://example.org/x onerror=alert(1)>{{ 7 * 7 }}"""
)


def without_a_few(truth: EntityMap, share: float) -> EntityMap:
    """The truth short of a share of its entities, as a prediction would be."""
    ids = truth.ids.copy()
    ids[ids > (1 - share) * truth.count] = 0
    return EntityMap(ids)


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    """Three generated scenes of stained nuclei."""
    pictures = []
    for i, (kind, share) in enumerate({"best": 0.05, "median": 0.3, "worst": 0.7}.items()):
        sample = draw_scene("nuclei_he", (7, i), 160, 200)
        prediction = without_a_few(sample.truth, share)
        pictures.append(
            picture_of(sample.image, sample.truth, prediction, Chosen(i, kind, "pq", 1 - share), f"scene {i}{HOSTILE}")
        )
    return pictures


@pytest.fixture(scope="session")
def hostile_page(pictures: list[Picture]) -> Page:
    """Every part, with words that would be markup, script or a template if nothing held them back."""
    rng = np.random.default_rng(0)
    rows, columns = [f"adapter {i}" for i in range(4)], [f"set {i}" for i in range(7)]
    values = {row: {column: float(rng.random()) for column in columns} for row in rows}
    spans = {row: {key: (value - 0.04, value + 0.05) for key, value in cells.items()} for row, cells in values.items()}
    bars = barred([(0.08, (0.02, 0.14)), (-0.03, (-0.08, 0.02)), (None, None)], with_zero=True)
    metrics = Table(
        ["metric", "value", "change", ""],
        [
            [text("pq"), number(0.61, interval=(0.55, 0.66)), number(0.08, "+.3f"), bars[0]],
            [text(HOSTILE), number(0.70, interval=(0.66, 0.73)), number(-0.03, "+.3f"), bars[1]],
            [text("polis"), number(float("nan")), number(None), bars[2]],
        ],
        note=HOSTILE,
    )
    losses = [(float(step), 1 / (1 + step / 60) + 0.1 * float(rng.random())) for step in range(900)]
    points = {f"lora:rank={2**i}": (5.0 * 4**i, 0.5 + 0.05 * i) for i in range(4)} | {HOSTILE: (2000.0, 0.4)}
    charts = [
        Chart("step", "loss", [Series("training", losses, faint=True), Series("validation", losses[::150])]),
        Chart(
            "kB",
            "pq",
            [Series("", list(points.values()), [(v - 0.02, v + 0.02) for _, v in points.values()], [*points], "dots")],
            log_x=True,
        ),
    ]
    return Page(
        "Fit",
        HOSTILE,
        [("recipe", "pathology"), ("data", HOSTILE)],
        Headline("pq, test images", "0.640", "0.601 to 0.672", [("before", "0.512")], ["Better by more than chance."]),
        [
            Section("Images", HOSTILE, pictures=pictures),
            Section("Metrics", tables=[metrics]),
            Section(
                "Transfer", tables=[heat_table(values, rows, columns, "adapter", spans, {"adapter 1": {"set 2": "*"}})]
            ),
            Section("Losses", charts=charts),
            Section("Nothing", charts=[Chart("step", "loss", [Series("training", [])])]),
            Section(
                "Digests",
                tables=[Table(["file", "SHA-256"], [[text("w"), Cell("ab" * 32, code=True)]], "Files", folded=True)],
                texts=[FoldedText("Recipe", f"domain:\n  name: {HOSTILE}\n  long: {'x' * 300}")],
            ),
        ],
    )
