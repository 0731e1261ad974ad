"""`domains check --report`: what a folder holds as one HTML file, pictures inside, that opens without a network."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from domains.datasets.card_draft import split_contents
from domains.datasets.check import Report
from domains.datasets.read_as import Kind

EXAMPLES = 16  # pictures on the page
MOST_LINES = 500  # of faults; a folder of 100,000 broken files still makes a page that opens


def report_html(report: Report) -> str:
    """Everything that comes from the folder (names above all) is escaped: a file name is a stranger's text."""
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("report.html")
    in_own_section = {"faults", "leaks", "  images", *report.splits}
    return page.render(
        report=report,
        facts=[(name, value) for name, value in report.rows() if name not in in_own_section],
        kinds=[(kind, pair(kind)) for kind in report.kinds],
        digests=split_contents(report),
        areas=area_classes(report.areas),
        examples=[(example, png(example.picture)) for example in report.examples],
        faults=report.fault_lines()[:MOST_LINES],
        hidden=max(0, len(report.skipped) - MOST_LINES),
        most=MOST_LINES,
    )


def pair(kind: Kind) -> list[str]:
    """A kind's image, as it is and with its outlines, as `png` gives them; none where there is no picture."""
    return [png(picture) for picture in (kind.plain, kind.outlined) if picture is not None]


def area_classes(areas: np.ndarray) -> list[tuple[str, int, float]]:
    """(range, entities, per cent of the fullest) by factors of four: areas of one set span several decades."""
    if not areas.size:
        return []
    edges = 4 ** np.arange(int(np.log(areas.max()) / np.log(4)) + 2)
    counts = np.histogram(areas, edges)[0]
    smallest = int(np.flatnonzero(counts)[0])
    labels = [f"{low} to {high - 1}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    shares = np.round(100 * counts / counts.max(), 1)
    return list(zip(labels, counts.tolist(), shares.tolist(), strict=True))[smallest:]


def png(picture: np.ndarray) -> str:
    """Base64 of the (h, w, 3) uint8 picture as PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
