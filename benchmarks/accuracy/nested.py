"""Nested entities of generated scenes that nothing has seen: are they found, and does the right one lie in the right?

    python -m benchmarks.accuracy.nested [--base entity-small] [--dense RUN/base ...] [--way automatic ...]
                                         [--scenes 60] [--choosing 20] [--prompted 20] [--points 12] [--seed 0]

Scenes of the family `nested`, of seeds that no training draws, 192 px. What is smaller than 40 px belongs to what holds
it, and is unlabelled where nothing does. Thresholds and granularities are chosen on `choosing` scenes, all figures are
of `scenes` others, with 95 % intervals of resampled scenes; of prompts, which take longer, of the first `prompted`.

hierarchy: of true pairs, one inside the other and beside each other, the shares that the forest has right, and their
mean. nodes: the share of true nodes that some node of the forest has an IoU of 1/2 or more with. whole, part: AP^e of
one cut of the forest against the wholes, and against the parts and the wholes that have none; the body of a whole that
has parts is unlabelled there.

flat: of `--dense` the flat map, its thresholds calibrated for each level apart, by saddles or by rims, whichever is
better: the best that it can do for a level. rims, saddles: its forest, of which both levels are cuts. learnt: its
regions, merged by rims that learnt from 80 other scenes what they part (`learnt_rims`).
automatic, esam: the forests of `predict --masks`, of the base's prompts. granular: a grid asks at three granularities,
and the surest masks that nest are the forest (`laminar`). truth: what the metrics give the truth itself; fields: the
forest, by rims, of fields that are true; graded: that of the decoder's own regions, merged by rims that are true. Both
say how much is lost before and after what a network has to learn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.sources import locate
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.pretrained_prompts import trunk_of
from adapters.decoders.promptable import Promptable
from adapters.inference.calibration import calibrate, tile_outputs
from adapters.inference.segment import InputContract
from adapters.losses.boundary import nested_target
from adapters.losses.targets import DenseTargets
from adapters.network import EntitySegmenter
from adapters.options.decoders import Dense
from adapters.proposals.automatic import AutomaticMasks, grid
from adapters.proposals.esam import ESam
from adapters.proposals.esam_steps import ESamOptions
from adapters.proposals.mask_set import MaskSet, mask_nms
from adapters.proposals.nested_prompts import nested_masks
from adapters.proposals.rims import RimMerging
from adapters.proposals.watershed import DECODED
from benchmarks.accuracy.laminar import laminar_forest
from benchmarks.accuracy.learnt_rims import SMOOTHING_PX, LearntRims, Regions
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.entities.forest import EntityForest
from domains.metrics import MetricSet
from domains.metrics.average_precision import AveragePrecision
from domains.metrics.bootstrap import percentile_interval
from domains.metrics.hierarchy import Hierarchy
from domains.metrics.matching import Comparison
from domains.metrics.metric import ImageMetric, divide
from domains.procedural.scene import draw_scene
from recipes import set_up
from recipes.verbs.prompted import painted

SEED, CHOOSING_SEED, LEARNING_SEED = 5_000_021, 5_000_023, 5_000_027
SIDE_PX, LEAST_PX = 192, 40
LEVELS = ("whole", "part")
PROMPTED = ("automatic", "esam", "granular")
DENSE = ("flat", "rims", "saddles", "learnt")
WAYS = ("truth", "fields", "graded", *DENSE, *PROMPTED)
CONTRACT = InputContract(tile_px=SIDE_PX, overlap_px=0)
ASKED = (0.0, 0.5, 1.0)
ALIKE = 0.8
"""IoU from which on the less sure of two masks adds nothing."""
Forests = Callable[[Sequence[EntitySample]], list[EntityForest]]
CUTS: tuple[float | str, ...] = (*LEVELS, *np.linspace(0, 1, 41).round(3).tolist())


@dataclass(frozen=True)
class Scene:
    """A sample, the forest of its truth, and the flat truth of each of `LEVELS`."""

    sample: EntitySample
    forest: EntityForest
    levels: Mapping[str, EntityMap]

    @classmethod
    def drawn(cls, seed: int, number: int) -> Scene:
        """One of the family `nested`."""
        return cls.of(draw_scene("nested", (seed, number), SIDE_PX, SIDE_PX))

    @classmethod
    def of(cls, sample: EntitySample) -> Scene:
        """A sample with a nested truth."""
        truth = without_specks(sample.truth, LEAST_PX)
        forest = EntityForest.nested(truth)
        levels = {level: at_level(forest, level) for level in LEVELS}
        return cls(replace(sample, truths=(truth,)), forest, levels)

    def at(self, level: str) -> EntitySample:
        """The sample with the truth of a level."""
        return EntitySample(self.sample.image, (self.levels[level],), Place(scene=self.sample.place.scene))


def without_specks(truth: EntityMap, least_px: int) -> EntityMap:
    """A nested truth whose nodes of fewer pixels, with all in them, belong to what holds them; unlabelled where nothing
    does.
    """
    forest = EntityForest.nested(truth)
    parents = forest.nodes.parents
    large = np.append(True, forest.areas >= least_px)
    home = np.arange(forest.count + 1)
    while not large[home].all():
        home = np.where(large[home], home, np.append(0, parents)[home])
    ids = np.where((truth.ids > 0) & (home[np.maximum(truth.ids, 0)] == 0), UNLABELLED, home[np.maximum(truth.ids, 0)])
    kept = np.flatnonzero(large[1:]) + 1
    number = np.zeros(forest.count + 2, np.int32)
    number[kept], number[UNLABELLED] = np.arange(1, len(kept) + 1), UNLABELLED
    return EntityMap(number[ids], parents=number[parents[kept - 1]])


def at_level(forest: EntityForest, level: str) -> EntityMap:
    """The entities of a level; what is in the forest and in none of them is unlabelled."""
    entities = forest.cut(level=level)
    return EntityMap(np.where((forest.leaves > 0) & (entities.ids == 0), UNLABELLED, entities.ids))


class NodesFound(ImageMetric):
    """The share of true nodes that a node of the forest is like, by an IoU of 1/2 or more, over all images together."""

    def measure(self, comparison: Comparison) -> tuple[float, float]:
        """(nodes found, nodes)."""
        parents = comparison.true_parents
        parents = np.zeros(len(comparison.true_areas), np.int32) if parents is None else parents
        return float((comparison.proposed.matched(parents) >= 0).sum()), float(len(parents))

    def ratio(self, sums: np.ndarray) -> np.ndarray:
        """The share (R,) from summed rows (2, R)."""
        return divide(sums[0], sums[1])


@dataclass(frozen=True)
class Answers:
    """What was given for the first scenes: forests, or none, and a flat map of each scene for each of `LEVELS`."""

    name: str
    forests: Sequence[EntityForest]
    maps: Mapping[str, Sequence[EntityMap]]

    def row(self, scenes: Sequence[Scene], best: Answers | None) -> str:
        """Values with intervals as a row of a table. best: flat maps, by which AP^e is more, with its interval."""
        cells = ["", ""]
        if self.forests:
            nested = measured_nested(self.forests, scenes)
            cells = [spanned(nested, key) for key in nested.metrics]
        for level in LEVELS:
            maps = self.maps.get(level, ())
            if not maps:
                cells.append("")
                continue
            metrics = measured_flat(maps, scenes, level)
            cells.append(spanned(metrics, "ap_e"))
            if best is not None and best is not self:
                flat = measured_flat(best.maps[level][: len(maps)], scenes, level)
                low, high = percentile_interval(metrics.resample()["ap_e"] - flat.resample()["ap_e"], 0.95)
                cells[-1] += f" ({low:+.3f} to {high:+.3f})"
        count = len(self.forests) or len(self.maps[LEVELS[0]])
        return f"| {self.name} | {count} | {' | '.join(cells)} |"


def spanned(metrics: MetricSet, key: str) -> str:
    """A value with its interval."""
    low, high = metrics.interval()[key]
    return f"{metrics.compute()[key]:.3f} [{low:.3f}, {high:.3f}]"


def measured_nested(forests: Iterable[EntityForest], scenes: Sequence[Scene]) -> MetricSet:
    """Of as many scenes as there are forests."""
    metrics = MetricSet({"hierarchy": Hierarchy(), "nodes": NodesFound()})
    for forest, scene in zip(forests, scenes, strict=False):
        metrics.update(forest.cut(1.0), scene.sample.truths, scene.sample.place.scene, forest=forest)
    return metrics


def measured_flat(maps: Iterable[EntityMap], scenes: Sequence[Scene], level: str) -> MetricSet:
    """AP^e for a level, of as many scenes as there are maps."""
    metrics = MetricSet(ap_e_alone())
    for entities, scene in zip(maps, scenes, strict=False):
        metrics.update(entities, [scene.levels[level]], scene.sample.place.scene)
    return metrics


def ap_e_alone() -> dict[str, AveragePrecision]:
    """AP^e, anew."""
    return {"ap_e": AveragePrecision(max_entities=100)}


def cut_at_best(name: str, forests: Forests, choosing: Sequence[Scene], scenes: Sequence[Scene]) -> Answers:
    """Forests of scenes, for each level cut as is best on the scenes to choose on: at a granularity, or at a level."""
    tried, given = (forests([scene.sample for scene in group]) for group in (choosing, scenes))
    maps = {}
    for level in LEVELS:

        def worth(place: float | str, level: str = level) -> float:
            return measured_flat([cut(forest, place) for forest in tried], choosing, level).compute()["ap_e"]

        place = max(CUTS, key=worth)
        maps[level] = [cut(forest, place) for forest in given]
    return Answers(name, given, maps)


def cut(forest: EntityForest, place: float | str) -> EntityMap:
    """At a granularity, or at a level by its name."""
    return forest.cut(level=place) if isinstance(place, str) else forest.cut(place)


def dense_network(base: str, merging: str) -> EntitySegmenter:
    """A base and its general dense decoder, as they are."""
    backbone = build_backbone(BackboneOptions(base))
    decoder = trunk_of(locate(base, None)[0], backbone)
    decoder.options = replace(decoder.options, merging=merging, regions=False)
    return EntitySegmenter(backbone, decoder)


def flat_maps(base: str, choosing: Sequence[Scene], scenes: Sequence[Scene]) -> Answers:
    """Of a dense decoder, calibrated for each level apart, by saddles or rims."""
    networks = [dense_network(base, merging) for merging in ("saddles", "rims")]
    start = [network.decoder.options for network in networks]
    maps = {}
    for level in LEVELS:
        learnt = [scene.at(level) for scene in choosing]
        worths = []
        for network, options in zip(networks, start, strict=True):
            network.decoder.options = options
            worths.append(calibrate(network, learnt, ap_e_alone, "ap_e", CONTRACT, len(learnt)).after)
        network = networks[int(np.argmax(worths))]
        proposals = network.decoder.proposals
        ready = prepared_of(network, [scene.sample for scene in scenes])
        maps[level] = [proposals.cut(prepared) for prepared in ready]
    return Answers(f"{base}: flat", [], maps)


def dense_forests(base: str, merging: str, choosing: Sequence[Scene]) -> Forests:
    """Of a dense decoder, its thresholds those that are best for the hierarchy of the scenes to choose on."""
    network = dense_network(base, merging)
    start = network.decoder.options
    ready = prepared_of(network, [scene.sample for scene in choosing])
    best, most = start, -1.0
    for name, values in (("foreground_threshold", (0.05, 0.1, 0.2, 0.3, 0.5, 0.65)), ("smoothing_px", (0.5, 1.0, 1.5))):
        for value in values:
            network.decoder.options = options = replace(start, **{name: value})
            worth = measured_nested(map(network.decoder.proposals.forest, ready), choosing).compute()["hierarchy"]
            if worth > most:
                most, best = worth, options
        start = best
    network.decoder.options = best

    def forests(samples: Sequence[EntitySample]) -> list[EntityForest]:
        proposals = network.decoder.proposals
        return [proposals.forest(prepared) for prepared in prepared_of(network, samples)]

    return forests


def learnt_forests(base: str, count: int) -> Forests:
    """Of a dense decoder's regions, by rims that learn from so many scenes."""
    network = dense_network(base, "rims")

    def regions_of(samples: Sequence[EntitySample]) -> list[Regions]:
        fields = prepared_of(network, samples)
        return [Regions.of(given, sample.image) for given, sample in zip(fields, samples, strict=True)]

    scenes = [Scene.drawn(LEARNING_SEED, number) for number in range(count)]
    regions = regions_of([scene.sample for scene in scenes])
    rims = LearntRims([*zip(regions, (scene.forest for scene in scenes), strict=True)])
    return lambda samples: [rims.forest(given) for given in regions_of(samples)]


def true_fields(truth: EntityMap) -> dict[str, np.ndarray]:
    """What a dense decoder that learns with `losses.boundary.nested` should say of a scene."""
    ids, parents = (torch.from_numpy(np.asarray(table, np.int64))[None] for table in (truth.ids, parents_of(truth)))
    targets = DenseTargets.of(ids.int())
    fields = (targets.foreground, targets.boundary_distance, nested_target(ids, parents)[0])
    return dict(zip(DECODED, (field[0].numpy() for field in fields), strict=True))


def parents_of(truth: EntityMap) -> np.ndarray:
    """(N,) of a truth that may not be nested."""
    return np.zeros(truth.count, np.int32) if truth.parents is None else truth.parents


def of_true_fields(scene: Scene) -> EntityForest:
    """By rims, as a decoder's fields are read."""
    options = Dense(merging="rims", foreground_threshold=0.5, smoothing_px=SMOOTHING_PX)
    return RimMerging(options).forest(true_fields(scene.sample.truth))


def prepared_of(network: EntitySegmenter, samples: Sequence[EntitySample]) -> list:
    """What the network says of each sample, ready to be decoded."""
    outputs = tile_outputs(network, samples, CONTRACT, len(samples))
    return [network.decoder.proposals.prepared(*output) for output, _, _ in outputs]


def prompted_forest(promptable: Promptable, way: str, side: int, sample: EntitySample) -> EntityForest:
    """Of a grid of side x side points, in one of the ways `PROMPTED`."""
    if way == "automatic":
        masks = AutomaticMasks(side, **promptable.sure._asdict()).masks(promptable, sample.image)
        return nested_masks(painted(masks), masks)
    image = promptable.set_image(sample.image)
    if way == "esam":
        return ESam(ESamOptions(points_per_side=side, gallery_per_side=2 * side)).forest(sample.image, image)
    points = grid(side)[:, None] * sample.image.shape[1::-1]
    masks = MaskSet.joined([image.predict(points, granularity=g) for g in ASKED])
    sure = (masks.scores >= promptable.sure.least_iou) & (masks.stability >= promptable.sure.least_stability)
    masks = masks.take(sure & (masks.areas > 0))
    return laminar_forest(masks.take(mask_nms(masks, ALIKE)))


def answers(options: argparse.Namespace, choosing: Sequence[Scene], scenes: Sequence[Scene]) -> Iterator[Answers]:
    """Of every way, when it is done."""
    if "truth" in options.way:
        yield Answers("truth", [scene.forest for scene in scenes], {k: [s.levels[k] for s in scenes] for k in LEVELS})
    if "fields" in options.way:
        yield Answers("fields", [*map(of_true_fields, scenes)], {})
    for base in options.dense or [options.base]:
        if "graded" in options.way:
            fields = prepared_of(dense_network(base, "rims"), [scene.sample for scene in scenes])
            regions = [Regions.of(given, scene.sample.image) for given, scene in zip(fields, scenes, strict=True)]
            pairs = zip(regions, scenes, strict=True)
            forests = [given.forest(given.levels(scene.forest).mean(1)) for given, scene in pairs]
            yield Answers(f"{base}: graded", forests, {})
        if "flat" in options.way:
            yield flat_maps(base, choosing, scenes)
        for merging in ("rims", "saddles"):
            if merging in options.way:
                forests = dense_forests(base, merging, choosing)
                yield cut_at_best(f"{base}: {merging}", forests, choosing, scenes)
        if "learnt" in options.way:
            yield cut_at_best(f"{base}: learnt", learnt_forests(base, options.learning), choosing, scenes)
    promptable = build_promptable(build_backbone(BackboneOptions(options.base)))
    few = scenes[: options.prompted or len(scenes)]
    for way in PROMPTED:
        if way in options.way:
            forest_of = partial(prompted_forest, promptable, way, options.points)
            yield cut_at_best(way, lambda samples, f=forest_of: [*map(f, samples)], choosing[: len(few) // 3], few)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of Markdown, each way's when it is done."""
    choosing = [Scene.drawn(CHOOSING_SEED, i) for i in range(options.choosing)]
    scenes = [Scene.drawn(SEED + 10 * options.seed, i) for i in range(options.scenes)]
    yield "| forests | scenes | hierarchy | nodes | whole AP^e (more than the first flat map's) | part AP^e |"
    yield "|---|---|---|---|---|---|"
    best = None
    for given in answers(options, choosing, scenes):
        best = given if best is None and given.name.endswith("flat") else best
        yield given.row(scenes, best)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="entity-small", help="of the prompts")
    parser.add_argument(
        "--dense", action="append", help="bases whose general dense decoder is asked; by default --base"
    )
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--choosing", type=int, default=20)
    parser.add_argument("--learning", type=int, default=80, help="scenes that rims learn from")
    parser.add_argument("--prompted", type=int, default=0, help="scenes for prompts; 0: all")
    parser.add_argument(
        "--points", type=int, default=12, help="of a side of the grid, of E-SAM's gallery twice as many"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    options = parser.parse_args(words)
    options.way = options.way or WAYS
    torch.set_num_threads(1)
    set_up()
    for line in report(options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
