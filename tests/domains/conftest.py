"""Tiny folders of labelled images in the real layouts, and the real ones where `ENTITY_DATA` says that they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 20, 30


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("ENTITY_DATA")
    if not folder:
        pytest.skip("ENTITY_DATA does not name the folder of the real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """Builders of tiny folders; each returns the folder it was given."""
    return SimpleNamespace(
        picture=picture, box=box, dsb2018=dsb2018, magnetic_tile=magnetic_tile, crackforest=crackforest,
        bsds500=bsds500, coco=coco, coco_content=coco_content, label_maps=label_maps, save=save,
        mvtec_ad=mvtec_ad, visa=visa, dagm=dagm, kolektor=kolektor, severstal=severstal, crack_masks=crack_masks,
        yolo_seg=yolo_seg, label_studio=label_studio, label_studio_content=label_studio_content, cvat=cvat,
        cvat_content=cvat_content,
        monuseg=monuseg, pannuke=pannuke, nuinsseg=nuinsseg, cryonuseg=cryonuseg, consep=consep, lizard=lizard,
        aperio=aperio, slides=slides, qupath=qupath, slide=slide, raster=raster, footprints=footprints, ground=ground,
        houses=houses, raster_vectors=raster_vectors, spacenet=spacenet, xview2=xview2, mask_tiles=mask_tiles,
    )  # fmt: skip


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def picture(seed: int = 0, channels: int = 3) -> np.ndarray:
    """(20, 30, C) uint8, smooth enough to survive JPEG."""
    ramp = np.linspace(40, 200, WIDTH)[None, :, None] + np.arange(HEIGHT)[:, None, None] + seed
    return np.repeat(ramp, channels, axis=2).astype(np.uint8)


def box(top: int, left: int, bottom: int, right: int, value: int = 255) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = value
    return mask


def dsb2018(root: Path, count: int = 4) -> Path:
    """Per image two nuclei of 12 and 20 px."""
    for i in range(count):
        case = root / "stage1_train" / f"{i:04x}"
        save(case / "images" / f"{i:04x}.png", picture(i, channels=4))
        save(case / "masks" / "a.png", box(2, 2, 5, 6))
        save(case / "masks" / "b.png", box(10, 10, 14, 15))
    return root


def magnetic_tile(root: Path) -> Path:
    """Two tiles with a blowhole of 16 px each (and a stray pixel), one of them under two exposures; one free tile."""
    for number in (100, 130, 9000):
        stem = root / "MT_Blowhole" / "Imgs" / f"exp1_num_{number}"
        save(stem.with_suffix(".jpg"), picture(channels=1)[..., 0])
        mask = box(4, 4, 8, 8)
        mask[15, 20], mask[8, 4] = 255, 60  # a speck, and a soft edge
        save(stem.with_suffix(".png"), mask)
    stem = root / "MT_Free" / "Imgs" / "exp1_num_20000"
    save(stem.with_suffix(".jpg"), picture(channels=1)[..., 0])
    save(stem.with_suffix(".png"), box(0, 0, 0, 0))
    return root


def crackforest(root: Path, count: int = 3) -> Path:
    """Per image two cracks, road enclosed by one of them (label 3), and a piece of label 4."""
    regions = np.ones((HEIGHT, WIDTH), np.uint8)
    regions[3:8, 3:8], regions[4:7, 4:7], regions[12, 5:20], regions[16, 2:4] = 2, 3, 2, 4
    (root / "groundTruth").mkdir(parents=True)
    for i in range(1, count + 1):
        save(root / "image" / f"{i:03}.jpg", picture(i))
        truth = {"Segmentation": regions, "Boundaries": (regions == 2).astype(np.uint8)}
        savemat(root / "groundTruth" / f"{i:03}.mat", {"groundTruth": truth})
    return root


def bsds500(root: Path, parts: tuple[str, ...] = ("train",), count: int = 3) -> Path:
    """Per image two annotators, of two and of three regions."""
    coarse = np.ones((HEIGHT, WIDTH), np.uint16)
    coarse[:, 12:] = 2
    fine = coarse.copy()
    fine[10:] = 3
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = {"Segmentation": coarse}, {"Segmentation": fine}
    for number, part in enumerate(parts):
        (root / "groundTruth" / part).mkdir(parents=True)
        for i in range(count):
            name = f"{100 * number + i}"
            save(root / "images" / part / f"{name}.jpg", picture(i))
            savemat(root / "groundTruth" / part / f"{name}.mat", {"groundTruth": cell})
    return root


def coco_content(count: int = 3) -> dict:
    """Per image a ship of 6 x 4 px as polygon and a plane of 3 x 3 px as RLE inside a crowd region."""
    images, annotations = [], []
    for i in range(1, count + 1):
        images.append({"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH})
        annotations += [
            {"id": 3 * i, "image_id": i, "category_id": 7, "iscrowd": 0, "segmentation": [[2, 2, 8, 2, 8, 6, 2, 6]]},
            {"id": 3 * i + 1, "image_id": i, "category_id": 2, "iscrowd": 0, "segmentation": runs(box(10, 10, 13, 13))},
            {"id": 3 * i + 2, "image_id": i, "category_id": 2, "iscrowd": 1, "segmentation": runs(box(9, 9, 15, 15))},
        ]
    categories = [{"id": 7, "name": "ship"}, {"id": 2, "name": "plane"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path, content: dict | None = None, count: int = 3) -> Path:
    for i in range(1, count + 1):
        save(root / "imgs" / f"{i}.png", picture(i))
    (root / "annotations").mkdir()
    (root / "annotations" / "annotations.json").write_text(json.dumps(content or coco_content(count)))
    return root


def label_maps(root: Path, count: int = 3) -> Path:
    """Per image three entities in a 16-bit PNG of ids with a gap."""
    ids = (box(1, 1, 5, 5, 1) + box(8, 8, 12, 14, 2) + box(15, 15, 18, 18, 9)).astype(np.uint16)
    for i in range(count):
        save(root / "images" / f"{i}.png", picture(i))
        save(root / "labels" / f"{i}.png", ids)
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


UTM = 500_000.0, 5_000_000.0  # of the upper left corner of `raster`


def raster(path: Path, image: np.ndarray, size: float = 0.5, crs: str = "EPSG:32633", **options) -> Path:
    """A GeoTIFF in UTM 33 N whose corner is `UTM`."""
    rasterio = pytest.importorskip("rasterio")
    height, width, count = image.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": image.dtype, "crs": crs}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", **profile, transform=rasterio.Affine(size, 0, UTM[0], 0, -size, UTM[1]), **options
    ) as file:
        file.write(np.moveaxis(image, -1, 0))
    return path


def ground(y: int, x: int) -> np.ndarray:
    """(y, x, 3) uint8 whose colour says where: red y, green x, modulo 256."""
    rows, columns = np.mgrid[:y, :x]
    return np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)


def footprints(path: Path, boxes: list[tuple[int, int, int, int]], size: float = 0.5, **members) -> Path:
    """GeoJSON of boxes (y0, x0, y1, x1) in pixels of `raster`, in UTM as its member `crs` says; kinds in turn."""

    def corner(y: float, x: float) -> tuple[float, float]:
        return UTM[0] + x * size, UTM[1] - y * size

    features = [
        {
            "type": "Feature",
            "properties": {"kind": ("house", "shed")[i % 2], "floors": i},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[corner(a, b), corner(a, d), corner(c, d), corner(c, b), corner(a, b)]],
            },
        }
        for i, (a, b, c, d) in enumerate(boxes)
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features, **members}))
    return path


def houses(height: int, width: int, every: int = 50) -> list[tuple[int, int, int, int]]:
    """Boxes of 12 x 20 px on a grid."""
    return [(y, x, y + 12, x + 20) for y in range(15, height - 20, every) for x in range(11, width - 24, every)]


def raster_vectors(root: Path) -> Path:
    """One raster of 400 x 480 px at 0.5 m with one file of houses, called otherwise."""
    raster(root / "city.tif", ground(400, 480), tiled=True, blockxsize=128, blockysize=128)
    footprints(root / "footprints.geojson", houses(400, 480))
    return root


def spacenet(root: Path) -> Path:
    """Four chips of 65 px of Vegas as published since SpaceNet 2, sharp RGB and eight bands; one without a building."""
    for i in (1, 2, 10, 21):
        stem = f"SN2_buildings_train_AOI_2_Vegas_{{}}_img{i}"
        raster(root / "PS-RGB" / f"{stem.format('PS-RGB')}.tif", (ground(65, 65) * 8 + i).astype(np.uint16))
        bands = np.concatenate([ground(33, 33)] * 3, axis=2)[..., :8].astype(np.uint16) * 9 + i
        raster(root / "PS-MS" / f"{stem.format('PS-MS')}.tif", bands, size=1.0)
        boxes = [] if i == 10 else [(5, 5, 17, 25), (30, 20, 60, 50)]
        footprints(root / "geojson_buildings" / f"{stem.format('geojson_buildings')}.geojson", boxes)
    return root


def xview2(root: Path) -> Path:
    """Two places before and after a flood: a house that stands and one that is gone; with empty and broken WKT."""
    shapes = [
        "POLYGON ((2 2, 8 2, 8 6, 2 6, 2 2))",
        "POLYGON ((10.0 10.0, 14.0 10.0, 14.0 15.0, 10.0 15.0, 10.0 10.0))",
    ]
    for number in (1, 7):
        for when in ("pre", "post"):
            name = f"midwest-flooding_{number:08}_{when}_disaster"
            damage: list[dict] = [{"subtype": "no-damage"}, {"subtype": "destroyed"}]
            features = [
                {"properties": {"feature_type": "building", **(extra if when == "post" else {})}, "wkt": wkt}
                for extra, wkt in zip(damage, shapes, strict=True)
            ]
            content = {"features": {"lng_lat": [], "xy": features}, "metadata": {"img_name": f"{name}.png"}}
            save(root / "train" / "images" / f"{name}.png", picture(number))
            (root / "train" / "labels").mkdir(parents=True, exist_ok=True)
            (root / "train" / "labels" / f"{name}.json").write_text(json.dumps(content))
    return root


def mask_tiles(root: Path) -> Path:
    """Inria: tiles 1 and 6 of two cities, of 20 x 30 px."""
    for city in ("austin", "tyrol-w"):
        for number in (1, 6):
            save(root / "train" / "images" / f"{city}{number}.tif", picture(number))
            save(root / "train" / "gt" / f"{city}{number}.tif", box(2, 2, 5, 6) + box(10, 10, 14, 15))
    return root


def runs(mask: np.ndarray) -> dict:
    """Uncompressed COCO RLE."""
    flat = np.concatenate([[0], (mask.T.ravel() > 0).astype(int), [0]])
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return {"size": list(mask.shape), "counts": counts.tolist()}


def mvtec_ad(root: Path) -> Path:
    """Two categories; per category two good images of train, one of test, and a scratch of 2 components (9 + 8 px)."""
    scratch = box(2, 2, 5, 5) + box(10, 10, 12, 14)
    for category in ("bottle", "tile"):
        for part, count in (("train", 2), ("test", 1)):
            for i in range(count):
                save(root / category / part / "good" / f"{i:03}.png", picture(i))
        for i in range(2):
            save(root / category / "test" / "scratch" / f"{i:03}.png", picture(i))
            save(root / category / "ground_truth" / "scratch" / f"{i:03}_mask.png", scratch)
    return root


def visa(root: Path) -> Path:
    """A category of two normal images and one with a defect of two kinds that touch (values 1 and 3)."""
    data = root / "candle" / "Data"
    for i in range(2):
        save(data / "Images" / "Normal" / f"{i:04}.JPG", picture(i))
    save(data / "Images" / "Anomaly" / "000.JPG", picture(7))
    save(data / "Masks" / "Anomaly" / "000.png", box(2, 2, 5, 5, 1) + box(5, 5, 7, 7, 3))
    return root


def dagm(root: Path) -> Path:
    """Two classes; per class and part a good image and a defective one."""
    for name in ("Class1", "Class10"):
        for part in ("Train", "Test"):
            for i in range(2):
                save(root / name / part / f"{i:04}.PNG", picture(i, channels=1)[..., 0])
            save(root / name / part / "Label" / "0001_label.PNG", box(3, 3, 9, 12))
    return root


def kolektor(root: Path) -> Path:
    """KolektorSDD: two items of two parts, of which the first has a defect."""
    for item in ("kos01", "kos02"):
        for k in range(2):
            save(root / item / f"Part{k}.jpg", picture(k, channels=1)[..., 0])
            save(root / item / f"Part{k}_label.bmp", box(4, 4, 6, 9) if k == 0 else box(0, 0, 0, 0))
    return root


def severstal(root: Path) -> Path:
    """Two steel strips, the first with defects of classes 1 and 3 (2 x 3 px from row 1, column 2; 1 px at 5, 5)."""
    for name in ("a.jpg", "b.jpg"):
        save(root / "train_images" / name, picture(channels=1)[..., 0])
    runs = f"{2 * HEIGHT + 2} 2 {3 * HEIGHT + 2} 2 {4 * HEIGHT + 2} 2"
    table = f"ImageId,ClassId,EncodedPixels\na.jpg,3,{runs}\na.jpg,1,{5 * HEIGHT + 6} 1\n"
    (root / "train.csv").write_text(table)
    return root


def crack_masks(root: Path) -> Path:
    """DeepCrack's arrangement: a cracked image and a sound one to train on, one to test."""
    for part, count in (("train", 2), ("test", 1)):
        for i in range(count):
            save(root / f"{part}_img" / f"{i}.jpg", picture(i))
            save(root / f"{part}_lab" / f"{i}.png", box(0, 0, 0, 0) if i else box(5, 2, 6, 25))
    return root


def yolo_seg(root: Path) -> Path:
    """Per split an image with a dent of 6 x 4 px and a scratch of 3 x 3 px, and one without file."""
    for part in ("train", "val"):
        for i in range(2):
            save(root / "images" / part / f"{i}.png", picture(i))
        corners = [(2, 2), (8, 2), (8, 6), (2, 6)], [(10, 10), (13, 10), (13, 13), (10, 13)]
        lines = [
            f"{label} " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in points)
            for label, points in zip((1, 0), corners, strict=True)
        ]
        (root / "labels" / part).mkdir(parents=True)
        (root / "labels" / part / "0.txt").write_text("\n".join(lines) + "\n")
        (root / "labels" / part / "classes.txt").write_text("scratch\ndent\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: scratch, 1: dent}\n")
    return root


def label_studio_content() -> list[dict]:
    """Two tasks: two annotators who drew a dent of 6 x 4 px, the second a scratch too; and one with nothing in it."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}

    def polygon(name: str, label: str, points: list[tuple[float, float]]) -> dict:
        shares = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]
        value = {"points": shares, "closed": True, "polygonlabels": [label]}
        return {"id": name, "type": "polygonlabels", "from_name": "label", "to_name": "image", "value": value, **size}

    dent = polygon("a", "dent", [(2, 2), (8, 2), (8, 6), (2, 6)])
    scratch = polygon("b", "scratch", [(10, 10), (13, 10), (13, 13), (10, 13)])
    done = [
        {"id": 1, "was_cancelled": False, "result": [dent]},
        {"id": 2, "was_cancelled": True, "result": [scratch]},
        {"id": 3, "was_cancelled": False, "result": [dent, scratch]},
    ]
    return [
        {"id": 5, "annotations": done, "data": {"image": "/data/upload/1/0f3a2b4c-part%201.png"}},
        {"id": 6, "annotations": [{"id": 4, "result": []}], "data": {"image": "/data/local-files/?d=photos/2.png"}},
    ]


def label_studio(root: Path, content: list[dict] | None = None) -> Path:
    save(root / "part 1.png", picture(1))
    save(root / "2.png", picture(2))
    (root / "export.json").write_text(json.dumps(content or label_studio_content(), indent=1))
    return root


def cvat_content() -> str:
    """A polygon of 6 x 4 px, a mask of 3 px, an ellipse, a tag; and an image with nothing in it."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>dents</name></task></meta>
  <image id="0" name="a.png" subset="Train" width="{WIDTH}" height="{HEIGHT}">
    <polygon label="dent" occluded="0" points="2.00,2.00;8.00,2.00;8.00,6.00;2.00,6.00" z_order="0"></polygon>
    <mask label="scratch" occluded="0" rle="1, 2, 2, 1" left="20" top="10" width="3" height="2" z_order="0"></mask>
    <ellipse label="dent" cx="12.0" cy="14.0" rx="4.0" ry="2.0" rotation="90.0" z_order="0"></ellipse>
    <tag label="seen"></tag>
  </image>
  <image id="1" name="b.png" subset="Validation" width="{WIDTH}" height="{HEIGHT}"></image>
</annotations>
"""


def cvat(root: Path, content: str | None = None) -> Path:
    for name in ("a", "b"):
        save(root / "images" / f"{name}.png", picture())
    (root / "annotations.xml").write_text(content or cvat_content())
    return root
