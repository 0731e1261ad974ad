"""MoNuSeg: one TIFF of 1000 x 1000 px per patient, nuclei outlined in Aperio's XML.

Kumar et al., IEEE TMI 36(7), 1550-1560 (2017); challenge: IEEE TMI 39(5), 1380-1391 (2020).
`MoNuSeg 2018 Training Data/Tissue Images/<TCGA id>.tif` with `Annotations/<TCGA id>.xml`; `MoNuSegTestData/` has both
in one folder. Files are called by TCGA barcode, whose first three parts are the patient.
"""

from __future__ import annotations

import re
from pathlib import Path

from domains.entities import EntityMap
from domains.formats.aperio_xml import read_aperio
from domains.formats.finding import files, folders, own_split, pair, printable
from domains.formats.layout import Fault, Layout, Listing, Record, Split, Window
from domains.formats.polygons import draw
from domains.formats.slides import BARCODE, lying_outside, patient

PIXEL_SIZE_M = 0.25e-6  # 40x, as the set is described; the XML says 0.252 micrometres


class MoNuSeg(Layout):
    name = "monuseg"
    entities = "one outlined nucleus; where two overlap the smaller one lies on top"
    expects = "Tissue Images/<id>.tif with Annotations/<id>.xml, or a folder MoNuSeg... with <id>.tif beside <id>.xml"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds tissue images beside Aperio's XML."""
        return bool(_parts(root))

    def listing(self, root: Path) -> Listing:
        """Each image with its XML, and what has no counterpart."""
        records, faults = [], []
        for images, outlines in _parts(root):
            split = _split(images.relative_to(root.parent))
            pairs, alone = pair(files(images), files(outlines, {".xml"}), "annotation file")
            for image, truth in pairs:
                name = printable(image.relative_to(root).with_suffix("").as_posix())
                size = PIXEL_SIZE_M if BARCODE.match(image.stem) else None  # others' pictures lie like this too
                records.append(Record(name, image, truth, patient(image.stem), split, size))
            faults += alone
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The outlined nuclei; see `Layout.truths`."""
        outlines = read_aperio(record.truth, faults)
        faults += lying_outside(record.image, shape, record.truth, outlines)
        return [draw(outlines, Window(0, 0, *shape))]  # without labels: an annotation layer is no class of nuclei


def _parts(root: Path) -> list[tuple[Path, Path]]:
    """(folder of images, folder of annotations) of the root and of what lies up to two levels below."""
    level, pairs = [root], []
    for _ in range(3):
        for folder in level:
            inner = {subfolder.name.lower(): subfolder for subfolder in folders(folder)}
            if "tissue images" in inner and files(inner.get("annotations", folder / "none"), {".xml"}):
                pairs.append((inner["tissue images"], inner["annotations"]))
            elif "monuseg" in folder.name.lower() and files(folder, {".xml"}) and files(folder):
                pairs.append((folder, folder))
        level = [inner for folder in level for inner in folders(folder)]
    return pairs


def _split(path: Path) -> Split | None:
    """As the archives are called: `MoNuSeg 2018 Training Data`, `MoNuSegTestData`."""
    return own_split(Path(re.sub(r"([a-z])([A-Z])", r"\1 \2", path.as_posix())))
