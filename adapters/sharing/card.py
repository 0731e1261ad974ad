"""The README.md of an adapter: the Hub's front matter, the results, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from adapters.sharing.info import AdapterInfo


def card_text(info: AdapterInfo, peft: bool) -> str:
    """peft: whether plain peft can load it, which the Hub wants to know."""
    front = {
        "library_name": "peft" if peft else "entity-adapters",
        "base_model": info.backbone.name,
        "pipeline_tag": "image-segmentation",
        "tags": ["entity-segmentation", info.domain, info.method.name],
    }
    contract = info.input
    scale = "" if contract.scale == 1 else f", resized by {contract.scale:g}"
    return f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---
# {info.domain}: {info.method.name} on {info.backbone.name}

Finds every entity of an image, without prompts and without a class list. Fitted on `{info.data}`.

{metrics_table(info)}
Input: RGB{scale}, tiles of {contract.tile_px} px that overlap by {contract.overlap_px} px.

```
python cli.py predict --adapter THIS_FOLDER IMAGE --out RESULTS
```
{PEFT_USE.format(base=info.backbone.name) if peft else ""}"""


PEFT_USE = """
The backbone's part alone, with nothing but peft and transformers (`{base}` as a local folder or Hub id):

```python
from peft import PeftModel
from transformers import AutoModel

features = PeftModel.from_pretrained(AutoModel.from_pretrained(BASE), "THIS_FOLDER")
```
"""


def metrics_table(info: AdapterInfo) -> str:
    """Markdown, one row per metric, one column per state; '' where nothing was measured."""
    states = list(info.metrics)
    if not states:
        return ""
    keys = list(dict.fromkeys(key for values in info.metrics.values() for key in values))
    rows = [f"| metric | {' | '.join(states)} |", f"|---|{'---|' * len(states)}"]
    for key in keys:
        cells = (info.metrics[state].get(key) for state in states)
        rows.append(f"| {key} | " + " | ".join("" if cell is None else f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join(rows) + "\n"
