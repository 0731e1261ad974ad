"""The README.md of an adapter: the Hub's front matter with its results, licences, and how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from adapters.options.backbone import EMBEDDED

if TYPE_CHECKING:
    from adapters.sharing.info import AdapterInfo

LICENCES = {
    **dict.fromkeys(EMBEDDED, "apache-2.0"),
    "facebook/dinov2-": "apache-2.0",
    "facebook/sam-vit-": "apache-2.0",
    "facebook/dinov3-": "dinov3-license",
}
"""How the name of a base begins -> the licence that its makers publish it under."""
PERMISSIVE = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-3.0",
    "pddl",
    "unlicense",
)
NAMED = (*PERMISSIVE, "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0")
"""Licences that the Hub has a word for, of those that occur here; others go by `other` and a name."""


def card_text(info: AdapterInfo, peft: bool) -> str:
    """peft: whether plain peft can load it, which the Hub wants to know."""
    contract = info.input
    scale = "" if contract.scale == 1 else f", resized by {contract.scale:g}"
    return f"""---
{yaml.safe_dump(front_matter(info, peft), sort_keys=False).strip()}
---
# {info.domain}: {info.method.name} on {info.backbone.name}

Finds every entity of an image, without prompts and without a class list. Fitted on `{info.data}`.
{classes_text(info)}{memory_text(info)}
{metrics_table(info)}
Input: RGB{scale}, tiles of {contract.tile_px} px that overlap by {contract.overlap_px} px.

```
python cli.py predict --adapter THIS_FOLDER IMAGE --out RESULTS
```

## Licences

{licences_text(info)}
{PEFT_USE.format(base=info.backbone.name) if peft else ""}"""


def classes_text(info: AdapterInfo) -> str:
    """The classes that entities get, a paragraph; "" where they get none."""
    if info.labels is None:
        return ""
    names = ", ".join("`" + name.replace("`", "'") + "`" for name in info.labels.vocabulary)
    accuracy = info.labels.accuracy
    measured = f" Of true outlines {accuracy:.3f} of each class are named right, on average." if accuracy else ""
    return f"\nGives each a class: {names}, or `unknown`.{measured}\n"


def memory_text(info: AdapterInfo) -> str:
    """That it follows entities through clips by weights of its own, a paragraph; "" where it has none."""
    if info.memory is None:
        return ""
    return "\nFollows them through clips by a memory decoder of its own: `predict CLIP.mp4 --track name=memory`.\n"


PEFT_USE = """
## Without this project

The backbone's part alone, with nothing but peft and transformers (`{base}` as a local folder or Hub id):

```python
from peft import PeftModel
from transformers import AutoModel

features = PeftModel.from_pretrained(AutoModel.from_pretrained(BASE), "THIS_FOLDER")
```
"""


def front_matter(info: AdapterInfo, peft: bool) -> dict[str, Any]:
    """The Hub's words for an adapter, its results as a `model-index`."""
    licence = licence_of(info)
    front = {
        "library_name": "peft" if peft else "entity-adapters",
        "base_model": info.backbone.name,
        "pipeline_tag": "image-segmentation",
        "license": licence if licence in NAMED else "other",
        "license_name": None if licence in NAMED else licence,
        "tags": ["entity-segmentation", info.domain, info.method.name],
        "model-index": model_index(info),
    }
    return {key: value for key, value in front.items() if value is not None}


def model_index(info: AdapterInfo) -> list[dict[str, Any]] | None:
    """What was measured after the fit, with its intervals, as the Hub lists it; None where nothing was."""
    measured, intervals = info.metrics.get("after"), (info.intervals or {}).get("after", {})
    if not measured:
        return None
    metrics = [
        {
            "type": key,
            "name": key,
            "value": round(value, 4),
            **({"args": {"interval_95": [round(end, 4) for end in span]}} if (span := intervals.get(key)) else {}),
        }
        for key, value in measured.items()
        if value is not None
    ]
    result = {
        "task": {"type": "image-segmentation", "name": "entity segmentation"},
        "dataset": {"type": info.domain, "name": info.data, "split": "test"},
        "metrics": metrics,
    }
    return [{"name": f"{info.domain}-{info.method.name}", "results": [result]}]


def base_licence(name: str) -> str | None:
    """The licence of a base, by its name; None where that says nothing."""
    return next((licence for start, licence in LICENCES.items() if name.startswith(start)), None)


def licence_of(info: AdapterInfo) -> str:
    """The stricter of the licences of base and images; `unknown` where one of them is not known."""
    base, data = base_licence(info.backbone.name), info.data_licence
    if base is None or data is None:
        return "unknown"
    return base if data.lower() in PERMISSIVE else data


def licences_text(info: AdapterInfo) -> str:
    """Where the adapter's weights come from, and what that means, in a sentence or two."""
    base, data = base_licence(info.backbone.name), info.data_licence
    lines = [
        f"The base, {info.backbone.name}, is under {base or 'a licence that is not known here'}; the images that the "
        f"adapter learnt from are under {data or 'a licence that their card does not say'}."
    ]
    if base is None or data is None:
        lines.append("Find out before you hand the adapter on.")
    elif data.lower() not in PERMISSIVE:
        lines.append(f"The two differ: {data} may forbid what {base} allows, such as commercial use; ask its holders.")
    return "\n".join(lines)


def metrics_table(info: AdapterInfo) -> str:
    """Markdown, one row per metric, one column per state, with 95 % intervals; '' where nothing was measured."""
    states = list(info.metrics)
    if not states:
        return ""
    keys = list(dict.fromkeys(key for values in info.metrics.values() for key in values))
    rows = [f"| metric | {' | '.join(states)} |", f"|---|{'---|' * len(states)}"]
    rows += [f"| {key} | " + " | ".join(metric_cell(info, state, key) for state in states) + " |" for key in keys]
    note = "\n[95 % interval, groups of the test split resampled]\n" if info.intervals else ""
    return "\n".join(rows) + "\n" + note


def metric_cell(info: AdapterInfo, state: str, key: str) -> str:
    """`0.812 [0.760, 0.851]`, or '' for what was not measured."""
    value, span = info.metrics[state].get(key), (info.intervals or {}).get(state, {}).get(key)
    if value is None:
        return ""
    return f"{value:.3f} [{span[0]:.3f}, {span[1]:.3f}]" if span else f"{value:.3f}"
