"""`predict` that was stopped: the same command goes on, and nothing is lost, altered or left."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli import main
from domains.exports.formats import Exports
from domains.scenes import open_scene
from domains.tiling.image_journal import ImageJournal
from domains.tiling.run_folder import FOLDER
from recipes.verbs.predict_scenes import Run

Predict = Callable[..., int]


@pytest.fixture
def images(data: Path, tmp_path: Path) -> Path:
    """Four images in a folder of their own."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(4):
        shutil.copy(data / "images" / f"{i}.png", folder)
    return folder


@pytest.fixture
def predict(run: Path, images: Path) -> Predict:
    def call(out: Path, *words: str) -> int:
        return main(["predict", "--adapter", str(run / "adapter"), str(images), "--out", str(out), *words])

    return call


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Raise Ctrl-C before image `name` is predicted, or after so many of its files."""

    def arrange(name: str, files: int = 0) -> None:
        def stream(self, prediction, without=frozenset()):
            for i, word in enumerate(self.words(in_memory=True)):
                if prediction.name == name and i == files:
                    raise KeyboardInterrupt
                if word not in without:
                    self.exports[word].stream(prediction)
            self._done(prediction.count)

        monkeypatch.setattr(Exports, "stream", stream)

    yield arrange
    monkeypatch.undo()


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that went through the network since."""
    names: list[str] = []
    whole = Run.predict

    def counted(self, scene, path, name, about=()):
        names.append(name)
        whole(self, scene, path, name, about)

    monkeypatch.setattr(Run, "predict", counted)
    return names


def contents(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


@pytest.mark.parametrize(("name", "files"), [("0", 0), ("2", 0), ("2", 3), ("3", 6)])
def test_a_stopped_folder_goes_on_to_the_bytes_of_an_unstopped_one(
    predict: Predict, stop, tmp_path: Path, capsys, monkeypatch, name: str, files: int
) -> None:
    formats = [
        word
        for kind in ("labels", "geojson", "coco", "csv", "images", "overlay", "parquet")
        for word in ("--format", kind)
    ]
    assert predict(tmp_path / "whole", *formats) == 0
    told = capsys.readouterr().out.replace("whole", "out")
    stop(name, files)
    assert predict(tmp_path / "out", *formats) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert predict(tmp_path / "out", *formats) == 0
    captured = capsys.readouterr()
    assert captured.out == told
    assert int(name) == 0 or f"goes on: {name} of 4 images are done" in captured.err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "out" / FOLDER).iterdir()) == ["journal"]


def test_a_finished_folder_has_nothing_to_do_and_is_not_touched(predict: Predict, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert predict(out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != FOLDER}
    (out / "entities.csv").write_text("edited by hand")
    before[out / "entities.csv"] = (out / "entities.csv").stat().st_mtime_ns
    capsys.readouterr()
    assert predict(out) == 0
    assert capsys.readouterr().out == f"nothing to do: 4 images are done in {out}; --overwrite predicts them anew\n"
    assert {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != FOLDER} == before


def test_images_that_came_since_are_predicted_alone_and_the_tables_hold_all(
    predict: Predict, images: Path, data: Path, tmp_path: Path, predicted: list[str], capsys
) -> None:
    late = images / "1.png"
    content, about = late.read_bytes(), late.stat()
    late.unlink()
    assert predict(tmp_path / "out") == 0
    late.write_bytes(content)
    os.utime(late, ns=(about.st_atime_ns, about.st_mtime_ns))
    predicted.clear()
    assert predict(tmp_path / "out") == 0 and predicted == ["1"]
    assert predict(tmp_path / "whole") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_image_that_changed_is_predicted_anew_and_one_whose_result_is_gone(
    predict: Predict, images: Path, tmp_path: Path, predicted: list[str]
) -> None:
    assert predict(tmp_path / "out") == 0
    Image.fromarray(np.asarray(Image.open(images / "2.png"))[::-1]).save(images / "2.png")
    (tmp_path / "out" / "0.geojson").unlink()
    predicted.clear()
    assert predict(tmp_path / "out") == 0 and predicted == ["0", "2"]
    assert predict(tmp_path / "whole") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_result_that_was_edited_is_not_replaced_where_its_image_changed(
    predict: Predict, images: Path, tmp_path: Path, capsys
) -> None:
    assert predict(tmp_path / "out") == 0
    Image.fromarray(np.asarray(Image.open(images / "2.png"))[::-1]).save(images / "2.png")
    (tmp_path / "out" / "2.geojson").write_text("corrected by hand")
    assert predict(tmp_path / "out") == 2 and "2.geojson' exists" in capsys.readouterr().err
    assert (tmp_path / "out" / "2.geojson").read_text() == "corrected by hand"
    assert predict(tmp_path / "out", "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "difference"),
    [(("--format", "csv"), "--format"), (("--simplify", "1"), "--simplify"), (("--symmetries", "4"), "--symmetries")],
)
def test_other_options_do_not_go_on_with_what_lies_there(
    predict: Predict, stop, tmp_path: Path, capsys, monkeypatch, words, difference: str
) -> None:
    stop("2")
    assert predict(tmp_path / "out") == 130
    monkeypatch.undo()
    capsys.readouterr()
    before = contents(tmp_path / "out")
    assert predict(tmp_path / "out", *words) == 2
    told = capsys.readouterr().err
    assert "holds a prediction with another" in told and difference in told
    assert "--overwrite" in told and "another --out" in told and contents(tmp_path / "out") == before
    assert predict(tmp_path / "out", *words, "--overwrite") == 0


def test_another_adapter_does_not_go_on(predict: Predict, images: Path, tmp_path: Path, capsys) -> None:
    assert predict(tmp_path / "out") == 0
    words = ["predict", "--adapter", "base", "--recipe", "pathology", str(images), "--out", str(tmp_path / "out")]
    assert main(words) == 2 and "with another adapter" in capsys.readouterr().err


def test_overwriting_begins_anew_and_goes_on_where_it_was_stopped_itself(
    predict: Predict, stop, tmp_path: Path, predicted: list[str], capsys
) -> None:
    out = tmp_path / "out"
    assert predict(out) == 0
    predicted.clear()
    assert predict(out, "--overwrite") == 0 and predicted == ["0", "1", "2", "3"]
    stop("2")
    assert predict(out, "--overwrite") == 130
    stop("none")
    predicted.clear()
    assert predict(out) == 2 and "exists" in capsys.readouterr().err  # of the run before, not to be replaced unasked
    assert predict(out, "--overwrite") == 0 and predicted == ["2", "3"]
    predicted.clear()
    assert predict(out, "--overwrite") == 0 and predicted == ["0", "1", "2", "3"]


@pytest.mark.parametrize("name", ["entities.csv", "3.labels.tif", "1.geojson.gz"])
def test_files_of_somebody_else_are_never_replaced(predict: Predict, stop, tmp_path: Path, capsys, monkeypatch, name):
    out = tmp_path / "out"
    stop("2", 1)
    assert predict(out) == 130
    monkeypatch.undo()
    for file in ("entities.csv", "3.labels.tif", "1.geojson.gz"):
        (out / file).unlink(missing_ok=True)
    (out / name).write_text("mine")
    (out / ".0123456789ab.png").write_text("mine too")
    ours = name == "1.geojson.gz"  # image 1 is done, without a file of that name
    assert predict(out) == (0 if ours else 2)
    assert (out / name).read_text() == "mine" and (out / ".0123456789ab.png").read_text() == "mine too"


def test_two_runs_into_one_folder_do_not_mix(predict: Predict, tmp_path: Path, capsys) -> None:
    (tmp_path / "out" / FOLDER).mkdir(parents=True)
    with open(tmp_path / "out" / FOLDER / "lock", "w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert predict(tmp_path / "out") == 2
        assert "is being predicted into by process 4711; wait" in capsys.readouterr().err
    assert predict(tmp_path / "out") == 0  # its process is gone


def test_results_that_were_being_written_by_a_killed_run_are_removed(predict: Predict, tmp_path: Path) -> None:
    left = tmp_path / "out" / FOLDER / "new" / "half.png"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    assert predict(tmp_path / "out") == 0 and not left.exists()


def test_a_killed_first_image_leaves_a_folder_that_other_options_may_have(
    predict: Predict, run, tmp_path: Path
) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "empty.png"), "--out", str(tmp_path / "out")]
    assert main(words) == 2 and predict(tmp_path / "out", "--format", "csv") == 0


def test_images_of_two_commands_share_a_folder_and_its_tables(
    predict: Predict, run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert predict(out) == 0
    other = ["predict", "--adapter", str(run / "adapter"), str(data / "images" / "5.png"), "--out", str(out)]
    assert main(other) == 0 and "the tables hold 4 more images" in capsys.readouterr().err
    names = [image["file_name"] for image in json.loads((out / "predictions.coco.json").read_text())["images"]]
    assert [Path(name).name for name in names] == ["5.png", "0.png", "1.png", "2.png", "3.png"]
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(data / "images" / "4.png", tmp_path / "elsewhere" / "0.png")
    other[3] = str(tmp_path / "elsewhere" / "0.png")
    assert main(other) == 2 and "would be called '0', as the results of" in capsys.readouterr().err


def test_a_big_scene_killed_while_its_results_are_written_goes_on(
    run: Path, data: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (3, 3, 1))
    tifffile.imwrite(tmp_path / "slide.tif", picture, photometric="rgb", tile=(64, 64))
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "slide.tif"), "--window", "0", "--out"]
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 1000)
    assert main([*words, str(tmp_path / "whole")]) == 0
    for stopped in ("csv", "images"):
        out = tmp_path / stopped
        with monkeypatch.context() as patch:
            whole = ImageJournal.write

            def stop(self, table, rows, stopped=stopped, whole=whole):
                if table == stopped:
                    raise KeyboardInterrupt
                whole(self, table, rows)

            patch.setattr(ImageJournal, "write", stop)
            assert main([*words, str(out)]) == 130
        assert (out / "slide.labels.zarr").exists() and (out / ".slide.running").exists()
        capsys.readouterr()
        assert main([*words, str(out)]) == 0
        assert "goes on at tile 30 of 30" in capsys.readouterr().err and not (out / ".slide.running").exists()
        for name in ("slide.geojson", "entities.csv", "images.csv"):
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        shape = picture.shape[:2]
        ids = [open_scene(folder / "slide.labels.zarr").read(0, 0, *shape) for folder in (out, tmp_path / "whole")]
        assert np.array_equal(*ids)


def test_a_big_scene_that_changed_or_is_overwritten_does_not_go_on_with_its_tiles(
    run: Path, data: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (3, 3, 1))
    slide, out = tmp_path / "slide.tif", tmp_path / "out"
    words = ["predict", "--adapter", str(run / "adapter"), str(slide), "--window", "0", "--out", str(out)]
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 1000)

    def stop(*_, **__):
        raise KeyboardInterrupt

    def stopped(*more: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Exports, "stream", stop)
            assert main([*words, *more]) == 130
        assert (out / ".slide.running" / "journal").exists()
        capsys.readouterr()

    tifffile.imwrite(slide, picture, photometric="rgb", tile=(64, 64))
    stopped()
    tifffile.imwrite(slide, picture[::-1], photometric="rgb", tile=(64, 64))
    assert main(words) == 0 and "goes on" not in capsys.readouterr().err and not (out / ".slide.running").exists()
    stopped("--overwrite")
    assert main([*words, "--overwrite", "--simplify", "1"]) == 0 and "goes on" not in capsys.readouterr().err
