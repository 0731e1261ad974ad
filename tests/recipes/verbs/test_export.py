"""`adapters export`, and `predict` by ONNX Runtime: the same entities, the same journal, and one line for all else."""

from __future__ import annotations

import csv
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from adapters.sharing.exported import KEY
from cli import main
from tests.adapters.sharing.tiny_graph import write_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that stands for an adapter's, which takes long to make."""
    return write_graph(tmp_path_factory.mktemp("graph") / "model.onnx")


@pytest.fixture(scope="module")
def package(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter as a package of bioimage.io, unpacked: it holds the ONNX file that `--format onnx` writes."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("package")
    words = ["adapters", "export", str(run / "adapter"), "--format", "bioimage.io", "--out"]
    assert main([*words, str(folder / "adapter.zip")]) == 0
    assert main([*words, str(folder / "adapter.zip")]) == 2  # it is there
    with zipfile.ZipFile(folder / "adapter.zip") as archive:
        archive.extractall(folder)
    return folder


def predicted(adapter: Path, data: Path, out: Path, *options: str) -> int:
    images = [str(data / "images" / name) for name in ("0.png", "1.png")]
    return main(["predict", "--adapter", str(adapter), *images, "--out", str(out), "--format", "labels",
                 "--format", "csv", *options])  # fmt: skip


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "entities.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_an_exported_graph_predicts_what_the_adapter_does_and_goes_on_as_it_does(
    package: Path, run: Path, data: Path, tmp_path: Path, capsys
) -> None:
    assert predicted(run / "adapter", data, tmp_path / "torch", "--precision", "fp32") == 0
    assert predicted(package / "model.onnx", data, tmp_path / "onnx") == 0
    expected, others = rows(tmp_path / "torch"), rows(tmp_path / "onnx")
    assert len(expected) == len(others) > 0
    scores = [np.array([float(row["score"]) for row in table]) for table in (expected, others)]
    assert np.abs(scores[0] - scores[1]).max() < 1e-3  # a height is counted in thousandths
    for file in sorted(path.name for path in (tmp_path / "torch").glob("*.png")):
        ids = [np.asarray(Image.open(tmp_path / folder / file)) for folder in ("torch", "onnx")]
        assert np.array_equal(*ids)
    capsys.readouterr()
    assert predicted(package / "model.onnx", data, tmp_path / "onnx") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert predicted(run / "adapter", data, tmp_path / "onnx", "--precision", "fp32") == 2
    assert "holds a prediction with another adapter" in capsys.readouterr().err


@pytest.mark.slow
def test_a_package_says_what_its_files_are_and_its_tensors_are_the_graphs(package: Path) -> None:
    import onnxruntime

    about = yaml.safe_load((package / "rdf.yaml").read_text(encoding="utf-8"))
    assert (about["type"], about["format_version"].rpartition(".")[0]) == ("model", "0.5")
    (image,), outputs = about["inputs"], about["outputs"]
    files = [about["documentation"], *about["covers"], *about["attachments"], *about["weights"].values()]
    for file in [*files, *(tensor["test_tensor"] for tensor in (image, *outputs))]:
        assert sha256((package / file["source"]).read_bytes()).hexdigest() == file["sha256"]
    session = onnxruntime.InferenceSession(str(package / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = np.load(package / "images.npy")
    fields = session.run(None, {"images": pixels.astype(np.float32) / 255})
    assert pixels.dtype == np.uint8 and [output["id"] for output in outputs] == [o.name for o in session.get_outputs()]
    for output, values in zip(outputs, fields, strict=True):
        assert np.allclose(1 / (1 + np.exp(-values)), np.load(package / f"{output['id']}.npy"), atol=1e-4)
    assert (package / f"{KEY}.json").read_text() == session.get_modelmeta().custom_metadata_map[KEY]


def test_a_graph_predicts_without_an_adapter_beside_it_and_goes_on_as_one_does(
    graph: Path, data: Path, tmp_path: Path, capsys
) -> None:
    assert predicted(graph, data, tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"0.labels.tif", "1.labels.tif", "entities.csv"}
    capsys.readouterr()
    assert predicted(graph, data, tmp_path / "out", "--runtime", "onnx") == 0
    assert "nothing to do" in capsys.readouterr().out
    changed = write_graph(tmp_path / "changed.onnx", lambda contract: contract["adapter"]["input"].update(tile_px=56))
    assert predicted(changed, data, tmp_path / "out") == 2
    assert "holds a prediction with" in capsys.readouterr().err


def test_an_adapter_is_exported_for_the_while_where_onnx_runtime_is_asked_for(
    graph: Path, run: Path, data: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """The export is another file here: what it writes is what predicts."""
    written: list[str] = []

    def export(network, word: str, out: Path, fast: bool) -> None:
        written.append(f"{word} {out.name} {fast}")
        shutil.copyfile(graph, out)

    monkeypatch.setattr("recipes.verbs.export.export", export)
    assert predicted(run / "adapter", data, tmp_path / "by-adapter", "--runtime", "onnx") == 0
    assert written == ["onnx adapter.onnx False"]
    assert (
        "exports the adapter for ONNX Runtime; `adapters export --format onnx` does it once" in capsys.readouterr().err
    )
    assert rows(tmp_path / "by-adapter")
    assert predicted(run / "adapter", data, tmp_path / "out", "--runtime", "onnx", "--precision", "bf16") == 2
    assert "runs on the CPU in fp32" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, line",
    [
        (["--fast"], "leave out --fast, or export the student by `export --fast`"),
        (["--domain", "natural"], "is one graph, of one domain; leave out --domain"),
        (["--scheduler", "local:2"], "--scheduler wants an adapter that torch runs"),
        (["--runtime", "torch"], "leave out --runtime torch"),
        (["--precision", "bf16"], "runs on the CPU in fp32"),
        (["--recipe", "pathology"], "leave out --recipe"),
        (["--backbone", "somewhere"], "leave out --backbone"),
    ],
)
def test_what_a_graph_cannot_do_is_said_in_one_line(
    words: list[str], line: str, graph: Path, data: Path, tmp_path: Path, capsys
) -> None:
    assert predicted(graph, data, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_verbs_that_measure_say_that_they_take_no_graph(graph: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", "--adapter", str(graph)]) == 2
    assert "which `predict` alone takes" in capsys.readouterr().err
    assert main(["predict", "--adapter", str(tmp_path / "no.onnx"), str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["predict", "-a", "base", "--runtime", "onnx", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "the bare base is predicted by torch alone" in capsys.readouterr().err


def test_without_onnxruntime_a_line_says_what_to_install(
    run: Path, data: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("recipes.inputs.find_spec", lambda name: None)
    assert predicted(run / "adapter", data, tmp_path / "out", "--runtime", "onnx") == 2
    assert 'pip install "entity-adapters[onnx]"' in capsys.readouterr().err


@pytest.mark.parametrize("word, name", [("torchscript", "graph.pt"), ("safetensors-merged", "all.safetensors")])
def test_the_other_formats_are_one_file(word: str, name: str, run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / name
    assert main(["adapters", "export", str(run / "adapter"), "--format", word, "--out", str(out)]) == 0
    assert out.stat().st_size > 2**14 and str(out) in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_that_is_there_is_not_replaced(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"mine")
    words = ["adapters", "export", str(run / "adapter"), "--format", "onnx", "--out", str(tmp_path / "graph.onnx")]
    assert main(words) == 2 and (tmp_path / "graph.onnx").read_bytes() == b"mine"
    assert "exists; name another file" in capsys.readouterr().err


@pytest.mark.parametrize("word, name, wish", [("onnx", "graph.pt", ".onnx"), ("bioimage.io", "folder", ".zip")])
def test_a_file_is_called_by_its_format(word: str, name: str, wish: str, run: Path, tmp_path: Path, capsys) -> None:
    words = ["adapters", "export", str(run / "adapter"), "--format", word, "--out", str(tmp_path / name)]
    assert main(words) == 2
    assert wish in capsys.readouterr().err
    shutil.rmtree(tmp_path)
