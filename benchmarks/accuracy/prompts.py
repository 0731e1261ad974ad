"""What prompts are worth on images that nothing was fitted to: clicks, corrections, boxes, granularities, all masks.

    python -m benchmarks.accuracy.prompts --data DIR [--base FOLDER] [--part clicks --part fit ...]

DIR holds the sets of `benchmarks/accuracy.py`, of which test images alone are asked about; the base is the embedded one
or any that takes prompts. Of several annotators the first one's entities count.

clicks: mean IoU of the surest mask of one click, where the entity is deepest; of three, each further one where the
error is deepest; and of the single mask of the entity's box, beside that of the ellipse that fills the box (the floor).
nested: on generated scenes of seeds that no training draws, the IoU of a click's mask at three granularities with the
entity of each, and how often it is more like that than any other that the click lies in.
fit: clicks before and after the base and its prompt decoder were fitted to the set's training images, split by groups,
for `--seconds` of the processor, with each `--seed`; and of all test images the entities of a grid of points, its
thresholds calibrated on the validation split for PQ both times, with 95 % intervals over groups.
masks: AP^e of automatic masks and of E-SAM, class-agnostic, as flat maps; the interval of the difference is that of
resampled images. And what each step of E-SAM leaves: masks of an image, those with an IoU above 1/2 with a true entity,
the share of true entities for which there is one, and the correlation of predicted and true IoU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from adapters.backbones import BackboneOptions, build_backbone
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.promptable import Promptable, PromptableImage
from adapters.decoders.prompted import PromptedDecoder
from adapters.inference.segment import measure
from adapters.methods import merge
from adapters.proposals.automatic import AutomaticMasks
from adapters.proposals.esam import WHOLE, ESam
from adapters.proposals.esam_steps import ESamOptions
from adapters.proposals.mask_set import MaskSet
from adapters.training.fitting import Budget, Plan, choose_thresholds, train
from benchmarks.accuracy.forgetting import domain_on
from benchmarks.accuracy.plan import SETS
from domains.entities import EntitySample, Samples
from domains.entities.forest import EntityForest
from domains.metrics import MetricSet
from domains.metrics.bootstrap import percentile_interval
from domains.procedural.scene import draw_scene
from recipes import set_up
from recipes.build import domain_of
from recipes.plan import plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.verbs.prompted import painted

PARTS = ("clicks", "fit", "nested", "masks")
FITTED = "dsb2018_he"
OPTIONS = (
    "decoder.name=sam",
    "decoder.prompts=8",
    "decoder.corrections=2",
    "decoder.measured_tiles=0",
    "method.name=lora",
    "train.start=null",
    "train.batch_size=4",
    "train.cache=none",
)
"""Of the fit; all else as the recipe of the set has it."""
CLICKED = ("dsb2018_he", "bsds500", "nwpu_vhr10")
MASKED = ("bsds500", "nwpu_vhr10")
GRID_METRICS, CALIBRATED_TILES = ("ap_e", "ap50", "pq"), 16
STEPS = ("best of each point", "objects", "resolved", "merged", "repaired")
OF_EACH_IMAGE = 8
LEAST_PX = 40
SEED = 5_000_011
"""Of nested scenes; pretraining draws below two millions and a few."""
SCENE_PX, CLICKS = 192, 6
GRANULARITIES = (0.0, 0.5, 1.0)


def drawn(samples: Samples, count: int) -> list[EntitySample]:
    """Up to `count` samples, drawn with seed 0."""
    order = np.random.default_rng(0).permutation(len(samples))[:count]
    return [samples[int(i)] for i in order]


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Of two masks (H, W) bool."""
    return np.count_nonzero(mask & truth) / max(np.count_nonzero(mask | truth), 1)


def deepest(mask: np.ndarray) -> np.ndarray:
    """(2,) x and y of the pixel of a mask (H, W) bool that is farthest from its edge."""
    y, x = np.unravel_index(int(depth(mask).argmax()), mask.shape)
    return np.array([float(x), float(y)])


def depth(mask: np.ndarray) -> np.ndarray:
    """(H, W) how far each pixel of a mask is from its edge, that of the image included."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]


def surest(image: PromptableImage, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(H, W) bool of points (n, 2) with labels (n,): of three masks the one that `predict` takes."""
    masks = image.predict(points[None], labels[None])
    return masks[int(masks.scores.argmax())]


def clicked(image: PromptableImage, truth: np.ndarray, count: int) -> Iterator[float]:
    """The IoU after each of so many clicks for an entity (H, W) bool."""
    points, labels = deepest(truth)[None], np.ones(1)
    for turn in range(count):
        mask = surest(image, points, labels)
        yield iou(mask, truth)
        if turn + 1 < count:
            errors = [truth & ~mask, mask & ~truth]
            inside = depth(errors[0]).max() >= depth(errors[1]).max()
            points = np.concatenate([points, deepest(errors[0] if inside else errors[1])[None]])
            labels = np.append(labels, float(inside))


def boxed(image: PromptableImage, truth: np.ndarray) -> tuple[float, float]:
    """The IoU of the mask of an entity's box, and of the ellipse that fills it. truth: (H, W) bool."""
    y, x = np.nonzero(truth)
    box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
    mask = image.predict(boxes=box[None], several=False)[0]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    rows, columns = np.mgrid[: truth.shape[0], : truth.shape[1]] + 0.5
    ellipse = ((columns - centre[0]) / half[0]) ** 2 + ((rows - centre[1]) / half[1]) ** 2 <= 1
    return iou(mask, truth), iou(ellipse, truth)


def of_clicks(promptable: Promptable, samples: Sequence[EntitySample]) -> np.ndarray:
    """(N, 4) IoUs of up to `OF_EACH_IMAGE` entities of each image: one click, three, the box, the ellipse."""
    rows = []
    for number, sample in enumerate(samples):
        large = np.flatnonzero(sample.truth.areas >= LEAST_PX) + 1
        chosen = np.random.default_rng(number).permutation(large)[:OF_EACH_IMAGE]
        image = promptable.set_image(sample.image)
        for entity in chosen.tolist():
            truth = sample.truth.ids == entity
            click, _, three = clicked(image, truth, 3)
            rows.append([click, three, *boxed(image, truth)])
    return np.array(rows).reshape(-1, 4)


def plan_to_fit(data: Path, name: str, base: str, seconds: float, seed: int, steps: int = 10**6) -> Plan:
    """Of a fit of the base and its prompt decoder to a set's training images."""
    groups = data / "index" / f"{name}.csv"
    words = [f"domain.data={data / name}", f"backbone.name={base}", f"train.seed={seed}", *OPTIONS]
    words += [f"domain.groups={groups}"] if groups.is_file() else []
    recipe = load_recipe(SETS[name].recipe, words)
    domain = domain_of(recipe)
    budget = Budget(steps, seconds, time.process_time, looks=4)
    plan = plan_of(recipe, domain, splits_of(domain), budget, val_crops=16).plan
    return replace(plan, calibrate_for="pq", calibration_tiles=CALIBRATED_TILES)


def merged_promptable(plan: Plan) -> Promptable:
    """What takes prompts of a plan's network, whose adapter becomes part of the backbone."""
    merge(plan.network.backbone)
    decoder = plan.network.decoder
    assert isinstance(decoder, PromptedDecoder)
    return decoder.promptable(plan.network.eval().backbone, plan.contract.tile_px)


def of_grid(plan: Plan) -> MetricSet:
    """The entities of a grid of points on each test image, at thresholds that are chosen on the validation split."""
    choose_thresholds(plan)
    return measure(plan.network, plan.test, MetricSet(GRID_METRICS), plan.contract)


def of_nested(promptable: Promptable, count: int) -> np.ndarray:
    """(N, G, 2) of clicks in nested scenes, at each granularity: the IoU with the entity of that granularity, and
    whether no other entity that the click lies in is more like the mask; where they have at least two.
    """
    rows = []
    for number in range(count):
        scene = draw_scene("nested", (SEED, number), SCENE_PX, SCENE_PX)
        forest, image = EntityForest.nested(scene.truth), promptable.set_image(scene.image)
        holders = {leaf: [leaf, *forest.nodes.ancestors(leaf)] for leaf in range(1, forest.count + 1)}
        y, x = np.nonzero(np.isin(forest.leaves, [leaf for leaf, line in holders.items() if len(line) > 1]))
        for pixel in np.random.default_rng(number).permutation(len(y))[:CLICKS].tolist():
            line = holders[int(forest.leaves[y[pixel], x[pixel]])]
            truths = {node: np.isin(forest.leaves, [i for i, up in holders.items() if node in up]) for node in line}
            at = int(x[pixel]), int(y[pixel])
            rows.append([of_granularity(image, at, g, forest, truths) for g in GRANULARITIES])
    return np.array(rows).reshape(-1, len(GRANULARITIES), 2)


def of_granularity(
    image: PromptableImage, at: tuple[int, int], g: float, forest: EntityForest, truths: dict[int, np.ndarray]
) -> tuple[float, bool]:
    """The IoU with the entity of a granularity of those that a click lies in (the deepest first), and whether it is the
    most alike.
    """
    leaf = next(iter(truths))
    meant = int(forest.nodes.lookup(g)[leaf]) or leaf
    mask = image.predict(np.array([[at]], float), granularity=g)[0]
    overlaps = {node: iou(mask, truth) for node, truth in truths.items()}
    return overlaps[meant], overlaps[meant] == max(overlaps.values())


class AllMasks:
    """Automatic masks, E-SAM's entities, and what each of its steps leaves, of points on a grid of that side."""

    def __init__(self, side: int) -> None:
        self.options = ESamOptions(points_per_side=side, gallery_per_side=2 * side)
        self.automatic, self.esam = (MetricSet(("ap_e", "ap50", "ar100")) for _ in range(2))
        self.rows: dict[str, list[list[float]]] = {step: [] for step in STEPS}
        self.ious: dict[str, list[np.ndarray]] = {step: [] for step in STEPS}

    def update(self, promptable: Promptable, sample: EntitySample) -> None:
        """One image."""
        masks = AutomaticMasks(self.options.points_per_side, **promptable.sure._asdict())
        steps = ESam(self.options).steps(sample.image, promptable.set_image(sample.image))
        proposed = painted(masks.masks(promptable, sample.image)), ESam(self.options).nested(steps).cut(WHOLE)
        for metrics, prediction in zip((self.automatic, self.esam), proposed, strict=True):
            metrics.update(prediction, sample.truths[:1], sample.place.scene)
        truth = sample.truths[0]
        entities = MaskSet.of([truth.ids == i for i in range(1, truth.count + 1)], shape=truth.shape)
        left = steps.levels.best, steps.levels.objects, steps.resolved, steps.merged, steps.repaired
        for step, masks in zip(STEPS, left, strict=True):
            ious = masks.ious(entities)
            likest = ious.max(1, initial=0)
            good = float(np.count_nonzero(likest > 0.5)), float(np.mean(ious.max(0, initial=0) > 0.5))
            self.rows[step].append([len(masks), *good])
            self.ious[step].append(np.stack([masks.scores, likest], 1))

    def row(self) -> str:
        """Of both, with the interval of their difference."""
        pair = self.automatic, self.esam
        low, high = percentile_interval(pair[1].resample()["ap_e"] - pair[0].resample()["ap_e"], 0.95)
        ap, recall = ([metrics.compute()[key] for metrics in pair] for key in ("ap_e", "ar100"))
        cells = f"{ap[0]:.3f} | {ap[1]:.3f} | {low:+.3f} to {high:+.3f} | {recall[0]:.3f} | {recall[1]:.3f}"
        return f"{len(self.automatic)} | {cells} |"

    def steps(self) -> Iterator[str]:
        """A row for each."""
        for step in STEPS:
            masks, good, share = np.mean(self.rows[step], axis=0)
            pairs = np.concatenate(self.ious[step])
            varied = pairs.std(0).all()  # else there is no correlation
            correlation = f"{np.corrcoef(pairs.T)[0, 1]:.2f}" if varied else ""
            yield f"{step} | {masks:.1f} | {good:.1f} | {share:.3f} | {correlation} |"


def cells_of(values: np.ndarray) -> str:
    """The means of columns (N, K) as cells of a table."""
    return "".join(f" {mean:.3f} |" for mean in values.mean(0))


def spans_of(metrics: MetricSet) -> str:
    """Values with their 95 % intervals as cells of a table."""
    spans = metrics.interval()
    return "".join(
        f" {value:.3f} [{spans[key][0]:.3f}, {spans[key][1]:.3f}] |" for key, value in metrics.compute().items()
    )


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown, each part's when it is done."""
    promptable = build_promptable(build_backbone(BackboneOptions(options.base)))
    if "clicks" in options.part:
        yield "| set | entities | one click | three clicks | box | ellipse in the box |\n|---|---|---|---|---|---|"
        for name in CLICKED:
            values = of_clicks(promptable, drawn(domain_on(options.data, name).dataset("test"), options.images))
            yield f"| {name} | {len(values)} |" + cells_of(values)
    if "fit" in options.part:
        yield "\n| set | seed | steps | one click | three clicks | box | ellipse in the box |" + "".join(
            f" {name} of a grid |" for name in GRID_METRICS
        )
        yield "|---" * (7 + len(GRID_METRICS)) + "|"
        samples = drawn(domain_on(options.data, FITTED).dataset("test"), options.images)
        for seed in options.seed or [0]:
            plan = plan_to_fit(options.data, FITTED, options.base, options.seconds, seed)
            if seed == (options.seed or [0])[0]:
                yield f"| {FITTED} | before | 0 |" + cells_of(of_clicks(promptable, samples)) + spans_of(of_grid(plan))
            steps = train(plan).steps
            entities = of_grid(plan)
            clicks = of_clicks(merged_promptable(plan), samples)
            yield f"| {FITTED} | {seed} | {steps} |" + cells_of(clicks) + spans_of(entities)
    if "nested" in options.part:
        values = of_nested(promptable, options.images).mean(0)
        yield "\n| granularity | IoU | most like the entity of that granularity |\n|---|---|---|"
        for g, (overlap, share) in zip(GRANULARITIES, values, strict=True):
            yield f"| {g:g} | {overlap:.3f} | {share:.3f} |"
    if "masks" in options.part:
        yield from masks_report(promptable, options)


def masks_report(promptable: Promptable, options: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown of all masks, then of the steps of E-SAM."""
    yield "\n| set | images | AP^e automatic | AP^e E-SAM | E-SAM less automatic, 95 % | AR100 | AR100 E-SAM |"
    yield "|---|---|---|---|---|---|---|"
    measured = {}
    for name in options.set or MASKED:
        measured[name] = masks = AllMasks(options.points)
        for sample in drawn(domain_on(options.data, name).dataset("test"), options.images):
            masks.update(promptable, sample)
        yield f"| {name} | {masks.row()}"
    yield "\n| set | step | masks of an image | with IoU > 1/2 | true entities with one | correlation of scores |"
    yield "|---|---|---|---|---|---|"
    for name, masks in measured.items():
        yield from (f"| {name} | {row}" for row in masks.steps())


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", default="entity-small")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the processor, of a fit")
    parser.add_argument("--seed", type=int, action="append", help="of a fit; 0 by default")
    parser.add_argument("--images", type=int, default=24, help="of each set, and nested scenes")
    parser.add_argument(
        "--points", type=int, default=16, help="of a side of the grid; E-SAM's gallery has twice as many"
    )
    parser.add_argument("--set", action="append", choices=MASKED, help="for all masks; by default each")
    options = parser.parse_args(words)
    options.part = options.part or PARTS
    set_up()
    for line in report(options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
