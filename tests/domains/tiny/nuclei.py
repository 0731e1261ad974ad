"""Tiny folders of nuclei: tiles of the public sets, and slides with annotations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from scipy.io import savemat

from tests.domains.tiny.basics import box, picture, save


def dsb2018(root: Path, count: int = 4) -> Path:
    """Per image two nuclei of 12 and 20 px."""
    for i in range(count):
        case = root / "stage1_train" / f"{i:04x}"
        save(case / "images" / f"{i:04x}.png", picture(i, channels=4))
        save(case / "masks" / "a.png", box(2, 2, 5, 6))
        save(case / "masks" / "b.png", box(10, 10, 14, 15))
    return root


def aperio(path: Path, *rings: list, name: str = "", negative: tuple[int, ...] = ()) -> Path:
    """ImageScope's XML of one annotation with these rings of (x, y); `negative`: which of them are cut out."""
    regions = [
        f'<Region Id="{i + 1}" Type="0" NegativeROA="{int(i in negative)}" Area="1"><Attributes/><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
        + "</Vertices></Region>"
        for i, points in enumerate(rings)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Annotations MicronsPerPixel="0.252000">'
        f'<Annotation Id="1" Name="{name}" Type="4"><Attributes/><Regions><RegionAttributeHeaders/>{"".join(regions)}'
        "</Regions><Plots/></Annotation></Annotations>"
    )
    return path


def monuseg(root: Path) -> Path:
    """Two pictures of one patient and one of another to train on, one to test on; per picture a nucleus of 6 x 4 px
    and a lozenge."""
    training = root / "MoNuSeg 2018 Training Data"
    names = ["TCGA-18-5592-01Z-00-DX1", "TCGA-18-5592-01Z-00-DX2", "TCGA-38-6178-01Z-00-DX1"]
    places = [(training / "Tissue Images" / name, training / "Annotations" / name) for name in names]
    places.append((root / "MoNuSegTestData" / "TCGA-2Z-A9J9-01A-01-TS1",) * 2)
    box_, lozenge = [(2.0, 2.0), (8.0, 2.0), (8.0, 6.0), (2.0, 6.0)], [(15, 5), (20, 10), (15, 15), (10, 10)]
    for i, (image, truth) in enumerate(places):
        save(image.with_suffix(".tif"), picture(i))
        aperio(truth.with_suffix(".xml"), box_, lozenge)
    return root


def pannuke(root: Path, folds: int = 3, count: int = 2, side: int = 32) -> Path:
    """Folds of float64 arrays; per patch a neoplastic nucleus of 16 px, half covered by an epithelial one of 12."""
    masks = np.zeros((count, side, side, 6))
    masks[:, 2:6, 2:6, 0], masks[:, 4:7, 2:6, 4] = 7, 3
    masks[..., 5] = masks[..., :5].max(axis=3) == 0
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(float)
    for k in range(1, folds + 1):
        for kind in ("images", "masks"):
            (root / f"Fold {k}" / kind / f"fold{k}").mkdir(parents=True)
        np.save(root / f"Fold {k}" / "images" / f"fold{k}" / "images.npy", images)
        np.save(root / f"Fold {k}" / "images" / f"fold{k}" / "types.npy", np.array(["Breast", "Colon"] * count)[:count])
        np.save(root / f"Fold {k}" / "masks" / f"fold{k}" / "masks.npy", masks)
    return root


def two_nuclei() -> np.ndarray:
    return (box(2, 2, 5, 6, 3) + box(10, 10, 14, 15, 8)).astype(np.uint16)


def nuinsseg(root: Path) -> Path:
    """Two organs of two pictures, each with two nuclei; the first picture has a vague area over one of them."""
    for organ in ("human bladder", "mouse liver"):
        for i in (1, 2):
            stem = f"{organ.replace(' ', '_')}_{i:02d}"
            save(root / organ / "tissue images" / f"{stem}.png", picture(i))
            save(root / organ / "label masks modify" / f"{stem}.tif", two_nuclei())
            save(root / organ / "mask binary" / f"{stem}.png", (two_nuclei() > 0).astype(np.uint8) * 255)
    save(root / "human bladder" / "vague areas" / "mask binary" / "human_bladder_01.png", box(8, 8, 16, 16))
    return root


def cryonuseg(root: Path) -> Path:
    """Three pictures and three annotations, of which the last has a nucleus less; one folder is doubled."""
    again = "Annotator 1 (biologist second round of manual marks up)"
    annotators = ("Annotator 1 (biologist)", f"{again}/{again}", "Annotator 2 (bioinformatician)")
    for i in (1, 2, 3):
        save(root / "tissue images" / f"Human_Colon_{i:02d}.tif", picture(i))
        for k, annotator in enumerate(annotators):
            ids = two_nuclei() if k < 2 else box(2, 2, 5, 6, 1).astype(np.uint16)
            save(root / annotator / "label masks modify" / f"Human_Colon_{i:02d}.tif", ids)
    return root


def consep(root: Path) -> Path:
    """Two pictures to train on and one to test on; a muscle nucleus and an inflammatory one with a pixel of doubt."""
    types = (box(2, 2, 5, 6, 6) + box(10, 10, 14, 15, 2)).astype(float)
    types[10, 10] = 1
    for part, count in (("Train", 2), ("Test", 1)):
        (root / part / "Labels").mkdir(parents=True)
        for i in range(1, count + 1):
            stem = f"{part.lower()}_{i}"
            save(root / part / "Images" / f"{stem}.png", picture(i, channels=4))
            savemat(root / part / "Labels" / f"{stem}.mat", {"inst_map": two_nuclei().astype(float), "type_map": types})
    return root


def lizard(root: Path) -> Path:
    """Three pictures in two folders, one per split; an epithelial and a plasma cell."""
    labels = root / "Lizard_Labels" / "Labels"
    labels.mkdir(parents=True)
    truth = {"inst_map": two_nuclei().astype(float), "id": np.array([[3], [8]]), "class": np.array([[2], [4]])}
    rows = ["Filename,Source,Split"]
    for i, (folder, stem) in enumerate([(1, "consep_1"), (1, "crag_2"), (2, "glas_3")]):
        save(root / f"Lizard_Images{folder}" / f"Lizard_Images{folder}" / f"{stem}.png", picture(i))
        savemat(labels / f"{stem}.mat", truth)
        rows.append(f"{stem},{stem.partition('_')[0]},{i + 1}")
    (root / "Lizard_Labels" / "info.csv").write_text("\n".join(rows) + "\n")
    return root


def slide(path: Path, height: int = 700, width: int = 1100) -> Path:
    """A tiled TIFF of 0.5 micrometres per pixel whose colour says where: red y / 4, green x / 8."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([y // 4, x // 8, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    resolution = (20_000, 20_000)  # per centimetre
    tifffile.imwrite(path, image, tile=(256, 256), resolution=resolution, resolutionunit="CENTIMETER")
    return path


def lozenges(count: int = 12) -> list[list]:
    """Rings of nuclei of 20 px across, on the left of a slide, closer and closer."""
    return [[(x, y - 10), (x + 10, y), (x, y + 10), (x - 10, y), (x, y - 10)] for x, y in
            ((30 + 40 * (i % 4), 30 + 40 * (i // 4)) for i in range(count))]  # fmt: skip


def qupath(path: Path, rings: list, region: list | None = None, names: tuple[str, ...] = ("tumour", "immune")) -> Path:
    """QuPath's GeoJSON: detections with a class in turn, and an annotated region."""

    def feature(points: list, kind: str, name: str) -> dict:
        properties = {"objectType": kind, "classification": {"name": name, "color": [1, 2, 3]}}
        return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [points]}, "properties": properties}

    features = [feature(points, "detection", names[i % len(names)]) for i, points in enumerate(rings)]
    features += [feature(region, "annotation", "Region*")] if region else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def slides(root: Path) -> Path:
    """Three slides: QuPath with a region of 600 x 600 px, Aperio without, and a label TIFF."""
    corners = [(0, 0), (600, 0), (600, 600), (0, 600), (0, 0)]
    slide(root / "a.tif")
    qupath(root / "a.geojson", lozenges(), corners)
    slide(root / "TCGA-18-5592-01Z.tiff")
    aperio(root / "annotations" / "TCGA-18-5592-01Z.xml", *lozenges(30))
    slide(root / "c.tif")
    ids = np.full((700, 1100), -1, np.int32)
    ids[:512, :512] = 0
    ids[10:20, 10:20], ids[500:520, 500:520] = 7, 9
    tifffile.imwrite(root / "c.labels.tif", ids)
    return root


def drawn_pictures(root: Path) -> Path:
    """Two pictures of 60 px with QuPath's GeoJSON beside them and in `annotations/`."""
    area = [(0, 0), (60, 1), (60, 60), (0, 60), (0, 0)]
    for i, place in enumerate((root, root / "annotations")):
        save(root / f"{i}.png", np.tile(picture(i), (4, 4, 1))[:60, :60])
        qupath(place / f"{i}.geojson", lozenges(1), area)
    return root
