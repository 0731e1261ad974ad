from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 48


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two dark disks per image, in the layout of the Data Science Bowl."""
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(8):
        case = tmp_path / "data" / "dsb2018_he" / "stage1_train" / f"case{number}"
        (case / "images").mkdir(parents=True)
        (case / "masks").mkdir()
        image = np.full((SIDE, SIDE, 3), 220, np.uint8)
        for nucleus, centre in enumerate((12, 34)):
            disk = (y - 14 - 2 * number) ** 2 + (x - centre) ** 2 < 64
            image[disk] = (120, 60, 140)
            Image.fromarray(disk.astype(np.uint8) * 255).save(case / "masks" / f"{nucleus}.png")
        Image.fromarray(image).save(case / "images" / f"case{number}.png")
    return tmp_path / "data"
