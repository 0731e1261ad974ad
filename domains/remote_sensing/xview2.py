"""xView2 (xBD): an image before and one after a disaster, each with the outlines of its buildings.

Gupta et al., xBD: a dataset for assessing building damage from satellite imagery, https://arxiv.org/abs/1911.09296.
`<part>/images/<disaster>_<number>_pre_disaster.png` with `<part>/labels/<same>.json`, whose `features.xy` hold WKT in
pixels. Before and after are two scenes of one group. After, the class of a building is its damage.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from domains.formats.finding import files, folders, pair, printable
from domains.formats.layout import EntityMap, Fault, InputError, Layout, Listing, Record, Split, Window
from domains.formats.polygons import draw
from domains.formats.vectors import mapping
from domains.formats.wkt import outline_of_wkt

VOCABULARY = ("building", "no-damage", "minor-damage", "major-damage", "destroyed", "un-classified")
PARTS: dict[str, Split] = {"train": "train", "tier1": "train", "tier3": "train", "hold": "test", "test": "test"}
ENDINGS = ("_pre_disaster", "_post_disaster")
MAX_BYTES = 2**26


class XView2(Layout):
    name = "xview2"
    before = "mask_tiles"
    entities = "one outlined building, before or after a disaster; after it, its class is the damage"
    expects = "images/<disaster>_<number>_pre_disaster.png and _post_disaster.png with labels/<same>.json"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images/ and labels/ before and after a disaster."""
        return bool(_parts(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its JSON, and what has no counterpart."""
        records, faults = [], []
        for folder in _parts(root):
            labels = [label for label in files(folder / "labels", {".json"}) if label.stem.endswith(ENDINGS)]
            pairs, alone = pair(files(folder / "images"), labels, "label file")
            for image, label in pairs:
                name = printable(image.relative_to(root).with_suffix("").as_posix())
                group = next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)
                stratum = "post" if name.endswith(ENDINGS[1]) else "pre"
                records.append(Record(name, image, label, group, PARTS.get(folder.name.lower()), stratum=stratum))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The buildings with their damage; see `Layout.truths`."""
        outlines, flawed = [], len(faults)
        for number, feature in enumerate(_features(record.truth), 1):
            label = str(mapping(feature.get("properties")).get("subtype") or VOCABULARY[0])
            try:
                outline = outline_of_wkt(feature.get("wkt"), label if label in VOCABULARY else VOCABULARY[-1])
            except ValueError as error:
                faults.append(Fault(record.truth, f"feature {number} {error}"))
                continue
            outlines += [outline] if outline is not None else []
        if len(faults) > flawed and not outlines:
            raise InputError(
                f"{str(record.truth)!r}: wanted outlines, none of {len(faults) - flawed} can be drawn (the first "
                f"feature: {faults[flawed].reason}); copy it again"
            )
        return [draw(outlines, Window(0, 0, *shape), VOCABULARY)]


def _features(path: Path) -> list[dict[str, Any]]:
    """Raises InputError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{str(path)!r}: wanted labels of at most {MAX_BYTES >> 20} MB")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        features = content["features"]["xy"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(path)!r}: wanted xView2's JSON with features.xy, got {error!r:.80}; copy it again"
        ) from error
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise InputError(f"{str(path)!r}: wanted a list of objects as features.xy; copy it again")
    return features


def _parts(root: Path) -> list[Path]:
    """The folders with images/ and labels/ of such names: the root or its subfolders."""
    return [
        folder
        for folder in (root, *folders(root))
        if any(image.stem.endswith(ENDINGS) for image in files(folder / "images"))
        and any(label.stem.endswith(ENDINGS) for label in files(folder / "labels", {".json"}))
    ]
