"""DET and TRA of the Cell Tracking Challenge: Matula et al., PLoS ONE 10(12), 2015,
https://doi.org/10.1371/journal.pone.0144959: what it costs to correct a graph of cells until it is the true one.

Cells of frames are vertices; edges join a cell to itself in the next frame, and to its daughters. A true cell is found
by the predicted one that covers more than half of it. A track that comes back after frames away has a parent's edge
over the gap, as in the challenge's files, where it goes on under a new label. Costs are those of the challenge; clips
are averaged, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from domains.metrics.clip_comparison import ClipComparison
from domains.metrics.clip_metric import ClipMetric
from domains.metrics.metric import mean_row

SPLIT, MISSED, FALSE, EDGE_FALSE, EDGE_MISSED, EDGE_KIND = 5.0, 10.0, 1.0, 1.0, 1.5, 1.0
"""What one correction costs: a vertex split, added, deleted; an edge deleted, added, of the other kind."""

Vertex = tuple[int, int]
"""A frame and a track's id."""
Edges = dict[tuple[Vertex, Vertex], bool]
"""Edges, each with whether it leads from a parent."""


class CellTracking(ClipMetric):
    """`ctc_det` and `ctc_tra`: 1 - min(AOGM, AOGM0) / AOGM0, AOGM0 being the cost of the graph drawn from nothing. DET
    counts vertices, TRA edges too. nan without a true cell.
    """

    def __init__(self, side: Literal["vertices", "vertices and edges"]) -> None:
        super().__init__()
        self.side = side

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """The row of a mean over clips."""
        cost, from_nothing = vertices_cost(clip)
        if self.side != "vertices":
            edges = edges_cost(clip)
            cost, from_nothing = cost + edges[0], from_nothing + edges[1]
        return mean_row(from_nothing - min(cost, from_nothing), from_nothing)


class CellSegmentation(ClipMetric):
    """`ctc_seg`: the mean over true cells of the IoU with the predicted one that covers more than half, 0 where none
    does; clips are averaged. nan without a true cell.
    """

    def measure(self, clip: ClipComparison) -> tuple[float, float]:
        """The row of a mean over clips."""
        total = sum(
            float(frame.iou[2 * frame.shared > frame.true_areas[frame.pair_true]].sum()) for frame in clip.frames
        )
        return mean_row(total, float(clip.true_lengths.sum()))


def vertices_cost(clip: ClipComparison) -> tuple[float, float]:
    """What correcting the vertices costs, and what drawing them from nothing would."""
    split = missed = false = vertices = 0
    for frame in clip.frames:
        covering = 2 * frame.shared > frame.true_areas[frame.pair_true]
        covered = np.bincount(frame.pair_predicted[covering], minlength=len(frame.predicted))
        split += int((covered - 1).clip(0).sum())
        false += int(np.count_nonzero(covered == 0))
        missed += len(frame.true) - int(covering.sum())
        vertices += len(frame.true)
    return SPLIT * split + MISSED * missed + FALSE * false, MISSED * vertices


def edges_cost(clip: ClipComparison) -> tuple[float, float]:
    """What correcting the edges between vertices that are found costs, and what drawing all from nothing would."""
    true = edges_of([frame.true for frame in clip.frames], clip.true_parents)
    predicted = edges_of([frame.predicted for frame in clip.frames], clip.predicted_parents)
    truth_of: dict[Vertex, Vertex] = {}
    for i, frame in enumerate(clip.frames):
        covering = np.flatnonzero(2 * frame.shared > frame.true_areas[frame.pair_true])
        covered = np.bincount(frame.pair_predicted[covering], minlength=len(frame.predicted))
        for pair in covering[covered[frame.pair_predicted[covering]] == 1]:
            source = i, int(frame.predicted[frame.pair_predicted[pair]])
            truth_of[source] = i, int(frame.true[frame.pair_true[pair]])
    mapped = {
        (truth_of[start], truth_of[end]): is_parent
        for (start, end), is_parent in predicted.items()
        if start in truth_of and end in truth_of
    }
    false = sum(edge not in true for edge in mapped)
    missed = sum(edge not in mapped for edge in true)
    kind = sum(mapped[edge] != true[edge] for edge in mapped.keys() & true.keys())
    return EDGE_FALSE * false + EDGE_MISSED * missed + EDGE_KIND * kind, EDGE_MISSED * len(true)


def edges_of(frames: list[np.ndarray], parents: Mapping[int, int]) -> Edges:
    """The edges of a clip's graph. frames: the ids in each; a parent that is in no frame before is left out."""
    edges: Edges = {}
    seen: dict[int, int] = {}  # the frame in which each track was last
    for i, ids in enumerate(frames):
        for number in ids.tolist():
            parent = parents.get(number, 0)
            if number in seen:
                edges[(seen[number], number), (i, number)] = seen[number] != i - 1
            elif parent in seen:
                edges[(seen[parent], parent), (i, number)] = True
        seen.update(dict.fromkeys(ids.tolist(), i))
    return edges
