"""Images of a fold without their labels, as `fit --unlabelled` takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from domains.datasets.domain import DataDomain
from domains.formats.layout import Record


@contextmanager
def pictures(domain: DataDomain, records: Sequence[Record], labelled: Sequence[Record]) -> Iterator[Path]:
    """A folder, for the while, of the images (H, W, 3) uint8 of those records that are not among the labelled ones."""
    names = {record.name for record in labelled}
    with tempfile.TemporaryDirectory() as folder:
        for number, record in enumerate(record for record in records if record.name not in names):
            Image.fromarray(domain.folder.layout.read(record).image).save(Path(folder) / f"{number}.png")
        yield Path(folder)
