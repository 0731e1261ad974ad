#!/usr/bin/env bash
# transformers 5.23.0: EoMT's post_process_instance_segmentation paints queries in the order of their index, whatever their
# scores: of two masks that overlap the later query has the pixels. A query of score 1.0 under one of .82 that covers it is
# listed in segments_info, score and all, and no pixel of the map has its id; with the queries exchanged it keeps its pixels.
# Average precision from segments_info and the map then counts a sure match as missed. The panoptic door of the same class,
# given the same outputs, lets the likelier have each pixel. A guess from memory: instances are painted from the least score
# up, or each pixel goes to the likeliest, as in the panoptic door.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6 pillow==13.0.0
"$work/venv/bin/python" -W ignore - <<'PY'
from types import SimpleNamespace

import torch
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

SIDE, SURE, DOUBTFUL = 64, 10.0, 1.5  # logits of the class
masks = torch.full((2, SIDE, SIDE), -12.0)
masks[0, 20:40, 20:40] = 12  # a thing
masks[1, 10:50, 10:50] = 12  # a larger one, of less score, in which it lies
classes = torch.tensor([[SURE, 0.0], [DOUBTFUL, 0.0]])  # one class, and none
processor = EomtImageProcessorPil(do_split_image=False, do_pad=True, size={"shortest_edge": SIDE, "longest_edge": SIDE})


def pixels(order, door, **options):
    outputs = SimpleNamespace(masks_queries_logits=masks[None, order], class_queries_logits=classes[None, order])
    result = door(outputs, target_sizes=[(SIDE, SIDE)], **options)[0]
    return {round(row["score"], 2): int((result["segmentation"] == row["id"]).sum()) for row in result["segments_info"]}


instances, panoptic = processor.post_process_instance_segmentation, processor.post_process_panoptic_segmentation
shown = {
    "instances, the sure query first": pixels([0, 1], instances),
    "instances, the sure query last": pixels([1, 0], instances),
    "panoptic, either order": pixels([0, 1], panoptic, overlap_mask_area_threshold=0.5),
}
for door, areas in shown.items():
    print(f"{door}: pixels of each score {areas}")
assert pixels([0, 1], instances) == {1.0: 0, 0.82: 1600}
assert pixels([1, 0], instances) == {1.0: 400, 0.82: 1200}
both = [pixels(order, panoptic, overlap_mask_area_threshold=0.5) for order in ([0, 1], [1, 0])]
assert both == [{1.0: 400, 0.82: 1200}] * 2
PY
