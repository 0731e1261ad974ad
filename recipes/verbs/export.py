"""`cli.py adapters export`: an adapter for other runtimes; and what `predict` works with, of either runtime."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adapters.runtime import CPU, Runtime
from adapters.sharing.probe import probe_image
from domains.datasets.domain import build_domain
from domains.errors import InputError
from recipes import set_up
from recipes.inputs import Request
from recipes.load import Loaded, Ready, loaded
from recipes.reading.command import following
from recipes.shared import is_exported, on_base

PACKAGE = "bioimage.io"


def exported_text(adapter: str, word: str, out: Path, backbone: str | None = None, fast: bool = False) -> str:
    """Write an adapter with its base; the file, and what to do with it. Raises InputError.

    word: of `WRITERS`, or `PACKAGE`. backbone: where the base lies, if not where the adapter says. fast: its student in
    its place.
    """
    set_up()
    if out.exists():
        raise InputError(f"{str(out)!r} exists; name another file")
    if word == "onnx" and not is_exported(str(out)):
        raise InputError(f"--out is {str(out)!r}; wanted a name that ends in .onnx, by which `predict` knows it")
    if word == PACKAGE and out.suffix != ".zip":
        raise InputError(f"--out is {str(out)!r}; a package of bioimage.io is one .zip")
    with loaded(adapter, overrides=on_base(backbone), fast=fast) as network:
        export(network, word, out, fast)
    size = f"{out}: {out.stat().st_size / 1e6:.1f} MB"
    if network.info is not None and network.info.labels is not None:
        size += "\nits classes stay behind: exported files find entities, and name none"
    if network.memory is not None:
        size += "\nits memory decoder stays behind: of clips, exported files find the entities of a frame"
    if word != "onnx":
        return size
    return f"{size}\n{following('predict', '--adapter', out, 'IMAGE', '--out', 'predictions')}"


def export(network: Loaded, word: str, out: Path, fast: bool = False) -> None:
    """Write a network of torch, on the CPU. word: of `WRITERS`, or `PACKAGE`. fast: it is a student. Raises
    InputError.
    """
    from adapters.sharing.bioimage import write_package  # here and below: `predict` seldom wants them
    from adapters.sharing.graph import WRITERS, contract_of
    from adapters.sharing.student_file import student_as_adapter
    from recipes.verbs.doctor import NAME, versions

    assert network.info is not None  # the command line lets no base through
    info = student_as_adapter(network.info) if fast else network.info
    contract = contract_of(network.segmenter, info, versions()[NAME])
    if word == PACKAGE:
        write_package(network.segmenter, contract, sample_image(network), out)
    else:
        WRITERS[word](network.segmenter, contract, out)


def sample_image(network: Loaded) -> np.ndarray:
    """(H, W, C) uint8: a sample of the network's domain; waves where it sees other bands than RGB."""
    channels = network.contract.channels
    if channels == 3 and not network.contract.bands:
        return build_domain(network.domain, "sample", sample_count=3).dataset("test")[0].image
    return (probe_image(256, channels)[0].permute(1, 2, 0) * 255).round().byte().numpy()


@contextmanager
def ready(request: Request, runtime: Runtime = CPU) -> Iterator[Ready]:
    """What `predict` works with. By ONNX Runtime the file that is given, or one that is made for the while.

    Raises InputError for what is no whole adapter, or no runtime for it.
    """
    if request.by_onnx:
        from adapters.sharing.onnx_runtime import check_runtime

        check_runtime(runtime)
    if is_exported(request.adapter):
        yield of_file(Path(request.adapter))
        return
    words = on_base(request.backbone)
    with loaded(request.adapter, request.recipe, words, None, runtime, request.fast, member=request.member) as network:
        if not request.by_onnx:
            yield network
            return
        print("exports the adapter for ONNX Runtime; `adapters export --format onnx` does it once", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            export(network, "onnx", file := Path(folder) / "adapter.onnx", request.fast)
            graph = of_file(file)
        yield Ready(request.adapter, graph.segmenter, network.contract, network.domain)


def of_file(file: Path) -> Ready:
    """The network of an exported ONNX file. Raises InputError."""
    from adapters.sharing.onnx_file import load_onnx

    segmenter, contract = load_onnx(file)
    return Ready(str(file), segmenter, contract.adapter.contract, contract.adapter.domain)
