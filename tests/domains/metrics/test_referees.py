"""AP and PQ before two referees of other hands: hotcoco 1.3 (MIT) and panoptica 2.1 (Apache-2.0).

hotcoco comes with the test extra. panoptica wants numpy below 2.3 and rich below 14, so it cannot be installed beside
our pins: those tests are skipped unless somebody has it. `pip install --target DIR panoptica==2.1.7`, and DIR before
all else in PYTHONPATH, runs them; `benchmarks/accuracy/referee.py` holds real images before it.

Where the three do not say the same at once, and why:

- Background. To panopticapi's protocol, which hotcoco follows, pixels of no segment are *void*: they are taken off a
  prediction's area, so that one that is twice too large still has an IoU of 1. Our background is labelled: what lies on
  it is wrong. Given the background as a segment of a class of its own, in truth and prediction, hotcoco agrees.
- An IoU of exactly 1/2. Kirillov et al. want more than 1/2, and so do hotcoco and we; COCO's AP at .5 wants 1/2 or
  more, and so do all three that measure it. panoptica matches at 1/2 or more, so a threshold just above stands for it.
- Nothing at all. Where neither truth nor prediction has an entity PQ is 0/0: nan with us, -1 with hotcoco. panoptica
  says 0 for an image without truth or prediction and has no set of images; so counts and IoUs are pooled here.
- More than a hundred predictions in an image. COCO's AP takes the best 100; ours takes 1000, and so does hotcoco when
  it is asked to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from domains.entities import EntityMap
from domains.metrics.average_precision import AveragePrecision
from domains.metrics.average_recall import AverageRecall
from domains.metrics.panoptic_quality import PanopticQuality

Pair = tuple[EntityMap, EntityMap]
ENTITY, BACKGROUND = 1, 2
JUST_ABOVE = float(np.nextafter(0.5, 1))


@pytest.fixture
def hotcoco() -> Any:
    return pytest.importorskip("hotcoco", reason="of the test extra: pip install hotcoco")


@pytest.fixture
def panoptica() -> Any:
    return pytest.importorskip("panoptica", reason="cannot be installed beside our numpy and rich; see above")


def annotation(mask: np.ndarray, image: int, category: int = ENTITY, score: float = 1.0) -> dict[str, Any]:
    """A COCO annotation of a mask (H, W) bool, without its id."""
    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": list(map(int, coded["size"])), "counts": coded["counts"].decode()},
        "area": float(mask.sum()),
        "bbox": list(map(float, rle.toBbox(coded))),
        "iscrowd": 0,
        "score": score,
    }


def annotations(maps: Sequence[EntityMap], background: bool) -> list[dict[str, Any]]:
    """Every entity of the maps, in order; background: what is none too, where there is any."""
    rows = []
    for image, entities in enumerate(maps, 1):
        scores = np.ones(entities.count) if entities.scores is None else entities.scores
        rows += [
            annotation(mask, image, score=float(score)) for mask, score in zip(entities.masks(), scores, strict=True)
        ]
        if background and (entities.ids == 0).any():
            rows.append(annotation(entities.ids == 0, image, BACKGROUND))
    return [{"id": number, **row} for number, row in enumerate(rows, 1)]


def both_sides(hotcoco: Any, pairs: Sequence[Pair], background: bool = False) -> tuple[Any, Any]:
    """hotcoco's truth and predictions; the background is a category of its own, or void."""
    predictions, truths = zip(*pairs, strict=True)
    truth = hotcoco.COCO(
        {
            "images": [
                {"id": image, "height": entities.shape[0], "width": entities.shape[1], "file_name": f"{image}.png"}
                for image, entities in enumerate(truths, 1)
            ],
            "categories": [
                {"id": ENTITY, "name": "entity", "isthing": 1},
                {"id": BACKGROUND, "name": "background", "isthing": 0},
            ],
            "annotations": annotations(truths, background),
        }
    )
    return truth, truth.load_res(annotations(predictions, background))


def hotcoco_detection(hotcoco: Any, pairs: Sequence[Pair], most: int = 1000) -> dict[str, float]:
    """`ap`, `ap50` with so many predictions an image, and `ar100`."""
    evaluator = hotcoco.COCOeval(*both_sides(hotcoco, pairs), "segm")
    evaluator.params.max_dets = [1, 100, most]
    evaluator.params.cat_ids = [ENTITY]
    evaluator.evaluate()
    evaluator.accumulate()
    precision, recall = (np.asarray(evaluator.eval[key]) for key in ("precision", "recall"))
    precision, recall = precision[:, :, 0, 0, 2], recall[:, 0, 0, 1]  # all areas; (T, R) and (T,)
    return {"ap": float(precision.mean()), "ap50": float(precision[0].mean()), "ar100": float(recall.mean())}


def hotcoco_quality(hotcoco: Any, pairs: Sequence[Pair], background: bool = True) -> dict[str, float]:
    """`pq` and counts of the entities."""
    evaluator = hotcoco.panoptic.PanopticEval(*both_sides(hotcoco, pairs, background))
    evaluator.evaluate()
    return evaluator.results()["per_class"][ENTITY]


def ours(pairs: Sequence[Pair]) -> dict[str, float]:
    metrics = {
        "ap": AveragePrecision(),
        "ap50": AveragePrecision((0.5,)),
        "ar100": AverageRecall(),
        "pq": PanopticQuality(),
    }
    for prediction, truth in pairs:
        for metric in metrics.values():
            metric.update(prediction, [truth])
    return {key: metric.compute() for key, metric in metrics.items()}


def empty(side: int = 12) -> EntityMap:
    return EntityMap(np.zeros((side, side), np.int32), np.zeros(0, np.float32))


def square(side: int = 12, y: int = 2, height: int = 4) -> EntityMap:
    ids = np.zeros((side, side), np.int32)
    ids[y : y + height, 2:6] = 1
    return EntityMap(ids, np.ones(1, np.float32))


EDGES: dict[str, list[Pair]] = {
    "nothing is found": [(empty(), square())],
    "something is found in an empty image": [(square(), empty()), (square(), square())],
    "an empty image that is left empty": [(empty(), empty()), (square(), square())],
    "exactly one half": [(square(height=2), square(height=4)), (square(), square())],
    "twice too large": [(square(height=8), square(height=4)), (square(), square())],
    "off by a row": [(square(y=3), square(y=2))],
}


@pytest.mark.parametrize("seed", range(4))
def test_hotcoco_says_the_same_of_random_maps(draw, hotcoco: Any, seed: int) -> None:
    pairs = [draw(100 * seed + i, entities=3 + 5 * i) for i in range(6)]
    said, judged = ours(pairs), hotcoco_detection(hotcoco, pairs)
    assert {key: said[key] for key in judged} == pytest.approx(judged, abs=1e-9)
    assert said["pq"] == pytest.approx(hotcoco_quality(hotcoco, pairs)["pq"], abs=1e-9)


@pytest.mark.parametrize("name", EDGES)
def test_hotcoco_says_the_same_of_edge_cases(hotcoco: Any, name: str) -> None:
    said, judged = ours(EDGES[name]), hotcoco_detection(hotcoco, EDGES[name])
    assert {key: said[key] for key in judged} == pytest.approx(judged, abs=1e-9)
    assert said["pq"] == pytest.approx(hotcoco_quality(hotcoco, EDGES[name])["pq"], abs=1e-9)


def test_an_unlabelled_background_is_what_hotcoco_forgives(hotcoco: Any) -> None:
    pairs = EDGES["twice too large"]
    assert ours(pairs)["pq"] == pytest.approx(1 / 2)  # one match of 1, one spurious, one missed
    assert hotcoco_quality(hotcoco, pairs, background=False)["pq"] == pytest.approx(1)


def test_the_hundred_and_first_prediction_counts_where_hotcoco_is_asked(hotcoco: Any) -> None:
    ids = np.zeros((24, 24), np.int32)
    ids[::2, ::2] = np.arange(1, 145).reshape(12, 12)
    prediction = EntityMap(ids, np.linspace(1, 0, 144, dtype=np.float32))
    pairs = [(prediction, EntityMap(np.where(ids <= 125, ids, 0)))]
    assert ours(pairs)["ap"] == pytest.approx(hotcoco_detection(hotcoco, pairs)["ap"]) == pytest.approx(1)
    assert hotcoco_detection(hotcoco, pairs, most=100)["ap"] < 0.81


def panoptica_quality(panoptica: Any, pairs: Sequence[Pair]) -> float:
    """PQ over the images, their counts and IoUs pooled."""
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.UNMATCHED_INSTANCE,
        instance_matcher=panoptica.NaiveThresholdMatching(matching_threshold=JUST_ABOVE),
    )
    total, whole = 0.0, 0.0
    for prediction, truth in pairs:
        if not (prediction.count and truth.count):  # it says 0 of these, whatever is missed or spurious
            whole += prediction.count + truth.count
            continue
        result = evaluator.evaluate(prediction.ids.astype(np.uint16), truth.ids.astype(np.uint16), verbose=False)
        quality = result["ungrouped"]
        whole += 2 * quality.tp + quality.fp + quality.fn
        total += quality.sq * quality.tp if quality.tp else 0.0
    return 2 * total / whole


@pytest.mark.parametrize("seed", range(4))
def test_panoptica_says_the_same_of_random_maps(draw, panoptica: Any, seed: int) -> None:
    pairs = [draw(100 * seed + i, entities=3 + 5 * i) for i in range(6)]
    assert ours(pairs)["pq"] == pytest.approx(panoptica_quality(panoptica, pairs), abs=1e-6)


@pytest.mark.parametrize("name", EDGES)
def test_panoptica_says_the_same_of_edge_cases(panoptica: Any, name: str) -> None:
    assert ours(EDGES[name])["pq"] == pytest.approx(panoptica_quality(panoptica, EDGES[name]), abs=1e-6)
