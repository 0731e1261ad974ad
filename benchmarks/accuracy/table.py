"""The results of the accuracy benchmark as one Markdown file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.accuracy.plan import METHODS, SETS
from domains.errors import InputError

NAMES = {
    "base": "base as it comes",
    "shipped": "the recipe as shipped",
    "shipped_fresh": "the recipe as shipped, each crop drawn anew",
    "decoder_only": "decoder only",
    "decoder_only_fresh": "decoder only, each crop drawn anew",
    "decoder_only_sections": "decoder only, crops shown in sections",
    "lora": "LoRA",
    "lora_last": "LoRA, last two blocks",
    "full": "full fine-tuning",
    "scratch": "same network from scratch",
    "random_lora": "LoRA on a random frozen backbone",
    "unet": "MONAI U-Net from scratch",
    "unet_regions": "MONAI U-Net from scratch, by regions",
    "unet_sections": "MONAI U-Net from scratch, crops shown in sections",
    "instanseg": "InstanSeg from scratch",
    "classical": "classical, tuned",
}
WORDS = {
    "time": "the same CPU-seconds",
    "steps": "the same number of steps",
    "minutes": "the same CPU-seconds, thresholds calibrated on the validation split",
}
VIEWED = "+views"  # behind a method's name: by the recipe's views of each tile
PRECISIONS = {"": 0, "fp32": 1, "bf16": 2}  # in the order of their rows
UNFITTED = {"base": ("none",), "classical": ("time",)}
"""Method without steps -> the budgets whose result it may be shown by elsewhere."""

HEAD = """# Accuracy

Written by `python benchmarks/accuracy.py --table` from the files of `benchmarks/results/`.

Read with care:

- The data are subsets of the public sets, so the numbers compare the methods here, not with the literature.
- Train, val and test are split by group (pictures of one thing stay together), fixed by a hash. The test sets are
  small: look at the interval before the mean.
- mean ± standard deviation over the seeds (initial weights and crops) [95 % interval of seed 0, drawing test groups].
  The interval does not hold the spread of the seeds, and the other way round.
- Bold is the best mean of a column; it need not differ from the second beyond chance.
- Seconds are CPU-seconds of one thread, validation included, data reading excluded. Other load on the machine slows
  memory, so the same seconds may buy a few steps more or less.
- Rows of fp32 are from a 2.5 GHz Xeon without bf16 instructions (of stained nuclei by the decoder alone from an EPYC
  without them), rows of bf16 from an EPYC with them, where the same seconds buy twice the steps: compare rows of one
  precision. Which of them were fitted again on another machine was a matter of time. The recipe as shipped in fp32 is
  from a newer Xeon without them, where 600 s buy three quarters of the steps of bf16.
- All networks have the same losses, crops, augmentation, learning rate and, but for regions, decode (of these InstanSeg
  has crops and augmentation alone); none is tuned for a set; all of them see magnetic tile at half its scale, as
  `domain.scale=auto` finds. Classical methods search their grid on the training images for the same seconds. The
  adapters' decoder starts pretrained, on the kind of scenes that the recipe names (`train.start`).
- The grid of Otsu and watershed was set after looking at stained images that may be among the tested ones, which can
  only favour it. Felzenszwalb saw few of its settings in this time.
- In the budgets of seconds and steps every decode has its default thresholds. In that of minutes, five on two cores,
  they are calibrated on the validation split, for the U-Net and the base as it comes too, for what the domain shows
  first. For views from above that is AP50, which lets clutter through; their recipe's default is F1.
- In fp32 fluorescent nuclei, LoRA, and the fit from five images started from a decoder that had seen generated nuclei
  alone; all else, and the base as it comes, from today's, which has seen the training images of dsb2018_fluo too.
- Nuclei, tiles and cracks by the decoder alone, in bf16, and stained nuclei in fp32 too, are cut out as regions of a
  learnt IoU (`decoder.regions`, taught after the seconds of the fit, as thresholds are chosen after them), and so is
  the U-Net where its row says so; all other rows by a watershed.
- image_auroc: an image's score is the maximum of its heat map; classically, and in the rows of fp32, it is that of its
  best entity.
- The U-Net's rows of CrackForest by a watershed, and of magnetic tile in fp32, drew seven of ten crops about a defect
  (`domain.balance=0.7`), as the recipe then said.
- Every network sees each tile once. A row with symmetries and scales is the network of the row above it, its fields
  averaged over so many views of each tile, with thresholds of their own; two symmetries are pathology's default, and
  two sizes that of photographs.
- bsds500: basins are merged by the saddles between cores; the recipe merges them over rims since (docs/forest.md), and so
  does its fp32 row as shipped.
- covering_ois: each image at that of 45 seed heights that suits it best, chosen by its truth, as BSDS500 reports beside
  the one height for all. The rows of fp32 and of the U-Net: twelve heights, which on validation images is .003 to .004
  less.
- Crops shown in sections: what the images of one dye show is drawn into generated tissue of two
  (`domain.stain_augmentation=section`), and three crops of ten are generated whole (`train.rehearsal=0.3`). Of stained
  nuclei those rows, the base as it comes and monuseg are from today's decoder, which has seen generated sections; the
  other rows of theirs are from the one before it.
- What is fitted since `recipe.train.device` stands as cpu in a result's file goes the way of `cli.py fit`
  (`adapters/training/fitting.py`): sides are rounded to the network's patches, images of several pixel sizes are
  brought to one, the decoder is rounded to half precision as in an adapter's file, and thresholds make most of what the
  recipe says, F1 for views from above. Forty steps on stained nuclei, seed 0, before and since: the same validation
  loss to the last bit, and by the rounding F1 .7224 and .7228, AJI .5710 and .5709, PQ .5511 and .5514.
- The recipe as shipped is what `cli.py fit --recipe` does with nothing said, but for the seconds: on nuclei LoRA of the
  decoder with kept crops, on defects and views from above the whole decoder kept in three bits, on photographs LoRA in
  the backbone. Its thresholds for views from above make most of F1, which lets less clutter through than AP50 would.
- InstanSeg (`--method instanseg`, which wants its package) has its own network, losses, optimiser and decode, on the
  crops of all others; see `benchmarks/accuracy/instanseg.py`.
- bytes: the tensors of what learnt in float32, decoder included; an adapter's file holds the decoder in half of that.
"""


def write_table(results: Path, path: Path) -> None:
    """Write the page of the fits' results in a folder, where results of tracks lie too."""
    contents = (json.loads(file.read_text(encoding="utf-8")) for file in sorted(results.glob("*.json")))
    fits = [content for content in contents if "set" in content]
    path.write_text(render(fits), encoding="utf-8")
    print(f"{len(fits)} results -> {path}")


def render(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: per set a paragraph, and a table per budget."""
    results = [row for result in results for row in (result, *viewed(result))]
    parts = [HEAD]
    for name in SETS:
        of_set = [result for result in results if result["set"] == name]
        if not of_set:
            continue
        first = of_set[0]
        if len({result["split"] for result in of_set}) > 1:
            raise InputError(f"results of {name} saw different test images; remove the older ones and run them again")
        parts.append(
            f"## {name}\n\n{max(result['train_images'] for result in of_set)} training images; tested on "
            f"{first['images']} images in {first['groups']} groups with {first['entities']} entities.\n"
        )
        limits = sorted({result.get("images_limit") for result in of_set}, key=lambda limit: (limit is not None, limit))
        parts += [part for images in limits for part in budget_parts(name, of_set, images)]
        parts += [elsewhere_part(name, elsewhere, of_set) for elsewhere, _ in SETS[name].elsewhere]
    return "\n".join(parts)


def viewed(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of a network that was also measured by several views of each tile."""
    if views := result.get("views"):
        yield {**result, **views, "method": result["method"] + VIEWED}


def budget_parts(name: str, results: Sequence[dict[str, Any]], images: int | None) -> Iterator[str]:
    """A sentence and a table for each budget that has fits on this many training images, None for all of them."""
    for budget, words in WORDS.items():
        rows = rows_of(
            [one for one in results if unviewed(one["method"]) == "base" or one.get("images_limit") == images], budget
        )
        fitted = [one for one in rows if one["budget"] == budget and unviewed(one["method"]) not in UNFITTED]
        if not fitted:
            continue
        limits = {(one["seconds_limit"], one["steps_limit"]) for one in fitted}
        if len(limits) > 1:
            raise InputError(f"results of {name} had several budgets; remove the odd ones and run them again")
        limit = f"{fitted[0]['steps_limit']} steps" if budget == "steps" else f"{fitted[0]['seconds_limit']:g} s"
        start = "At" if images is None else f"From {images} training images, at"
        yield f"{start} {words} ({limit}):\n\n{budget_table(rows, SETS[name].columns)}\n"


def elsewhere_part(name: str, other: str, results: Sequence[dict[str, Any]]) -> str:
    """A sentence and a table of what was fitted to one set and measured on another; "" where nothing was."""
    rows = [
        {**result, **result["elsewhere"][other]}
        for result in results
        if other in result.get("elsewhere", {})
        and not result["method"].endswith(VIEWED)
        and result.get("images_limit") is None
    ]
    if not rows:
        return ""
    images = rows[0]["elsewhere_images"][other]
    table = budget_table(rows, SETS[other].columns)
    return f"Fitted to {name} as above, thresholds too, and measured on {other} ({images} images):\n\n{table}\n"


def rows_of(results: Iterable[dict[str, Any]], budget: str) -> list[dict[str, Any]]:
    """Those of a budget's table. Where the base or a classical method has none of its own, the short ones stand in."""
    results = list(results)
    own = [one for one in results if one["budget"] == budget]
    there = {one["method"] for one in own}
    return own + [
        one for one in results if one["method"] in set(UNFITTED) - there and one["budget"] in UNFITTED[one["method"]]
    ]


def budget_table(results: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows methods, columns metrics and costs; the best mean of each metric bold. Fits of two precisions are two rows:
    the same seconds bought them other numbers of steps."""
    order = {method + suffix: rank for rank, method in enumerate(METHODS) for suffix in ("", VIEWED)}
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in sorted(results, key=lambda one: (order[one["method"]], PRECISIONS[precision_of(one)], one["seed"])):
        rows.setdefault((name_of(one), precision_of(one)), []).append(one)
    columns = [key for key in columns if any(value(own[0], key) is not None for own in rows.values())]
    means = {(row, key): mean(value(one, key) for one in own) for row, own in rows.items() for key in columns}
    best = {key: max(means[row, key] for row in rows) for key in columns}
    lines = [
        ["method", *columns, "precision", "steps", "CPU-s", "bytes", "seeds"],
        ["---"] * (len(columns) + 6),
    ]
    for row, own in rows.items():
        cells = [cell(own, key, bold=means[row, key] == best[key]) for key in columns]
        steps = f"{fmean(one['steps'] for one in own):.0f}"
        seconds = f"{fmean(one['fit_cpu_s'] for one in own):.0f}"
        costs = [row[1], steps, seconds, size(own[0]["bytes"]), str(len(own))]
        lines.append([row[0], *cells, *costs])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def precision_of(result: dict[str, Any]) -> str:
    """Of a fit; nothing where nothing was fitted. Results from before it was written down are fp32."""
    return {"32-true": "fp32", "bf16-mixed": "bf16"}[result.get("precision", "32-true")] if result["steps"] else ""


def name_of(result: dict[str, Any]) -> str:
    """For the first column: `decoder only; symmetries 2, scales 1, 0.7`."""
    method = result["method"]
    if not method.endswith(VIEWED):
        return NAMES[method]
    scales = ", ".join(f"{scale:g}" for scale in result["test_scales"])
    return f"{NAMES[unviewed(method)]}; symmetries {result['symmetries']}, scales {scales}"


def unviewed(method: str) -> str:
    return method.removesuffix(VIEWED)


def cell(results: Sequence[dict[str, Any]], key: str, bold: bool) -> str:
    """`.512 ± .010 [.470, .551]`, of the first result the interval."""
    values = [one for result in results if (one := value(result, key)) is not None]
    if not values:
        return "-"
    text = short(fmean(values))
    text = f"**{text}**" if bold else text
    if len(values) > 1:
        text += f" ± {short(stdev(values))}"
    low, high = results[0]["intervals_95"].get(key, (None, None))
    return text if low is None else f"{text} [{short(low)}, {short(high)}]"


def value(result: dict[str, Any], key: str) -> float | None:
    """A metric; `class_iou` is the plain mean of iou over the strata that hold entities, where there are several."""
    if key != "class_iou":
        return result["metrics"].get(key)
    ious = [result["by_stratum"][stratum]["iou"] for stratum, count in result["stratum_entities"].items() if count]
    return fmean(iou or 0.0 for iou in ious) if len(ious) > 1 else None


def mean(values: Iterable[float | None]) -> float:
    known = [one for one in values if one is not None]
    return fmean(known) if known else float("-inf")


def short(number: float, sign: str = "") -> str:
    """`.512`, `-.012`, `10.250`; sign: `+` to have it written before what is not negative too."""
    text = f"{number:{sign}.3f}"
    return text.replace("0.", ".", 1) if abs(number) < 0.9995 else text


def size(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 10_000 else str(count)
