from __future__ import annotations

import numpy as np
import pytest

from domains.formats.blocks import GAP_PX, LARGEST_PX, cut_into_blocks


@pytest.mark.parametrize("shape", [(900, 900), (400, 480), (5000, 1200), (60_000, 60_000), (64, 2000), (130, 70)])
def test_blocks_of_a_split_raster_are_disjoint_and_keep_their_gap(shape):
    blocks = [block.window for block in cut_into_blocks(shape, split=True)]
    side = min(LARGEST_PX, max(64, -(-min(shape) // 4)))
    gap = min(GAP_PX, side // 8) // 2 * 2
    rows = sorted({(one.y, one.y + one.height) for one in blocks})
    columns = sorted({(one.x, one.x + one.width) for one in blocks})
    assert len(blocks) == len(rows) * len(columns)
    for spans, length in ((rows, shape[0]), (columns, shape[1])):
        assert spans[0][0] == 0 and spans[-1][1] == length
        assert all(b[0] - a[1] == gap for a, b in zip(spans, spans[1:], strict=False))
        assert max(end - start for start, end in spans) <= 1.3 * side
    assert min(shape) < 200 or len(blocks) >= 12


def test_rasters_that_are_groups_are_covered_without_a_gap():
    seen = np.zeros((2500, 1000), int)
    for block in cut_into_blocks(seen.shape, split=False):
        seen[block.window.slices] += 1
    assert (seen == 1).all()
    assert [one.name for one in cut_into_blocks((650, 900), split=False)] == [""]
