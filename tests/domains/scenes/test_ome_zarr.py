from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from domains.errors import InputError
from domains.scenes import open_scene
from domains.scenes.images import read_image
from domains.scenes.ome_zarr import OmeZarrScene, ngff_pixel_size


def write(path: Path, image: np.ndarray, version: str, axes: str = "cyx", **options) -> Path:
    """image: (H, W, C); two levels as `axes` say, 0.25 um."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    for level in range(2):
        values = np.moveaxis(image[:: 2**level, :: 2**level], -1, 0)
        values = values[None, :, None] if axes == "tczyx" else values
        chunks = (1,) * (len(axes) - 2) + (32, 32)
        group.create_array(str(level), shape=values.shape, dtype=values.dtype, chunks=chunks, **options)[...] = values
    kinds = {"t": "time", "c": "channel"}
    named = [
        {"name": axis, "type": kinds.get(axis, "space"), **({"unit": "micrometer"} if axis in "zyx" else {})}
        for axis in axes
    ]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.25 * 2**level if axis in "yx" else 1.0 for axis in axes]}
            ],
        }
        for level in range(2)
    ]
    multiscales = [{"version": version, "axes": named, "datasets": datasets}]
    shown = {"channels": [{"label": f"dye {i}"} for i in range(image.shape[2])]}
    content = {"multiscales": multiscales, "omero": shown}
    group.attrs.update(content if version == "0.4" else {"ome": {**content, "version": version}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "tczyx"])
@pytest.mark.parametrize("channels, dtype", [(1, "uint8"), (3, "uint16"), (5, "float32")])
def test_windows_are_the_pixels_at_every_level(tmp_path, textured, holds, version, axes, channels, dtype):
    image = textured(channels=channels, dtype=dtype)
    scene = open_scene(write(tmp_path / "a.zarr", image, version, axes))
    assert isinstance(scene, OmeZarrScene)
    holds(scene, image)
    holds(scene, image[::2, ::2], level=1)
    assert scene.pixel_size_m == pytest.approx(0.25e-6) and scene.channels[0] == "dye 0"


def test_sharded_arrays_are_read_by_their_inner_chunks(tmp_path, textured, holds):
    image = textured(channels=2)
    scene = open_scene(write(tmp_path / "a.zarr", image, "0.5", shards=(2, 64, 64)))
    holds(scene, image)


def test_a_folder_that_is_no_ome_zarr_is_named_with_the_reason(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(InputError, match="without multiscales"):
        open_scene(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match="another folder"):
        open_scene(tmp_path / "b.zarr")


@pytest.mark.parametrize("path", ["../secret", "/etc", "..", "9"])
def test_a_level_outside_of_its_folder_or_missing_is_refused(tmp_path, textured, path):
    write(tmp_path / "secret", textured(), "0.5")
    folder = write(tmp_path / "a.zarr", textured(), "0.5")
    group = zarr.open_group(str(folder))
    content = dict(group.attrs["ome"])
    content["multiscales"][0]["datasets"][0]["path"] = path
    group.attrs["ome"] = content
    with pytest.raises(InputError, match="level"):
        open_scene(folder)


def test_channels_called_as_colours_are_shown_as_these(tmp_path, textured):
    path = write(tmp_path / "a.zarr", image := textured(channels=3), "0.4")
    group = zarr.open_group(str(path))
    group.attrs["omero"] = {"channels": [{"label": label} for label in ("Blue", "Green", "Red")]}
    assert open_scene(path).channels == ("blue", "green", "red")
    assert np.array_equal(read_image(path), image[..., ::-1])


def attributes(path: Path) -> dict:
    return json.loads((path / ".zattrs").read_text())


def without_axes(path: Path) -> None:
    changed = attributes(path)
    changed["multiscales"][0]["axes"].append({"name": "t"})
    (path / ".zattrs").write_text(json.dumps(changed))


def many_channels(path: Path) -> None:
    zarr.create_array(
        str(path / "0"), shape=(5000, 8, 8), dtype="uint8", chunks=(1, 8, 8), zarr_format=2, overwrite=True
    )


def no_mapping(path: Path) -> None:
    (path / ".zattrs").write_text(json.dumps({"ome": ["a"]}))


def no_json(path: Path) -> None:
    (path / ".zattrs").write_text("{")


@pytest.mark.parametrize(
    "damage, reason",
    [
        (without_axes, "arrays of .3, 3. axes for 'CYXT'"),
        (many_channels, "5000 channels of uint8"),
        (no_mapping, "metadata that are no mapping"),
        (no_json, "JSONDecodeError"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused_in_a_line(tmp_path, textured, damage, reason):
    path = write(tmp_path / "a.zarr", textured(channels=2), "0.4")
    damage(path)
    with pytest.raises(
        InputError, match=f"a.zarr': wanted an OME-Zarr image .NGFF 0.4 or 0.5., got {reason}"
    ) as caught:
        open_scene(path)
    assert "\n" not in str(caught.value)


def test_the_only_series_of_a_root_is_the_image(tmp_path, textured, holds):
    image = textured(channels=2)
    root = tmp_path / "root.zarr"
    zarr.open_group(str(root), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    write(root / "0", image, "0.4")
    holds(open_scene(root), image)
    write(root / "1", image, "0.4")
    with pytest.raises(InputError, match="it has a folder for each series: name that, such as 0"):
        open_scene(root)


def test_axes_of_another_count_than_an_array_has_say_no_size():
    assert ngff_pixel_size({"axes": [{"name": "y", "unit": "micrometer"}]}, "YX") is None
