"""Adapters from strangers: a tiny real one, changed in every way that we could think of, given to the command line.

    python -m tests.fuzz.adapters --count 400 --seed 0

A variant that means the same as the whole adapter may be accepted, all others are refused in one line with exit code 2,
within 20 seconds and 1 GiB. Every fifth is sealed anew, as who wants to deceive would do it: what then passes is
another adapter within the ranges, so it has to predict.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import stat
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.folders import save_base
from adapters.inference.segment import weights_digest
from adapters.options.section import values_of
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, save_adapter
from adapters.sharing.info import DECODER_WEIGHTS, INFO, PEFT, RECIPE, AdapterInfo, parse_info
from adapters.sharing.opening import opened
from adapters.sharing.package import pack
from cli import main as command
from domains.errors import InputError
from recipes.build import contract_of, method_of, segmenter_of
from recipes.load import loaded
from recipes.reading.compose import load_recipe, resolved_yaml
from tests.fuzz.mutations import changed_bytes, changed_words, pick_node
from tests.fuzz.options import cases
from tests.fuzz.run import batch, main

MIB = 1024
SEALED_ANEW = 5
NUMBERS: list[Any] = [
    None, True, False, -1, 0, 1, 2, 0.5, -0.5, 1e8, 1e308, -1e308, 2**31, 2**63, 2**64, 10**400, "12", "", "x",
    float("nan"), float("inf"), "nan", "\x1b[2J\x1b[31mred", "../../etc/passwd", "/etc/passwd", "/dev/zero", "\u202e",
    [], {}, [1], {"name": "dense"}, [[1, 2], [3, 4]], ["x"] * 50, [1e308] * 4, "9" * 5000, "a\nb",
]  # fmt: skip


class Adapters:
    """Whole adapters below `root`, and changed copies of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        torch.manual_seed(0)
        config = Dinov2Config(
            hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=32
        )
        save_base(Dinov2Backbone(Dinov2Backbone.randomised(config), name="tiny", taps=(1, 2)), root / "base")
        self.picture = root / "picture.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 80, 3), dtype=np.uint8)).save(self.picture)
        kinds = {"dense": ["method.name=lora", "method.rank=2", "decoder.width=8"], "query": ["decoder.name=query"]}
        kinds["query"] += ["method.name=norms", "decoder.queries=5", "decoder.dim=16", "decoder.layers=1"]
        self.whole = [self.saved(name, options) for name, options in kinds.items()]
        self.meaning = [meaning(folder, root / "base") for folder in self.whole]

    def saved(self, name: str, options: list[str]) -> Path:
        shown = ["domain.tile_px=64", "domain.overlap_px=16", "domain.crop_px=48", "domain.data=/home/maker/images"]
        base = [f"backbone.name={self.root / 'base'}", "backbone.taps=[1,2]"]
        recipe = load_recipe("natural", [*base, *shown, "domain.symmetries=1", *options])
        method = method_of(recipe)
        backbone = build_backbone(BackboneOptions(str(self.root / "base"), taps=(1, 2)))
        segmenter = segmenter_of(recipe, backbone, method).eval()
        with torch.no_grad():
            for parameter in segmenter.parameters():
                parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
        info = describe(segmenter, method, contract_of(recipe), "natural", "images", metrics={"after": {"ap": 0.5}})
        save_adapter(self.root / name, segmenter, method, info, resolved_yaml(recipe))
        return self.root / name

    def trial(self, seed: int) -> str:
        """One changed adapter, given to `show`, `verify`, `pack` or `unpack`; what is sealed anew also to `predict`."""
        rng = np.random.default_rng(seed)
        place = self.root / "trial"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        number = int(rng.integers(len(self.whole)))
        folder = place / "adapter"
        shutil.copytree(self.whole[number], folder)
        names = sorted(CHANGES)
        name = names[seed % len(names)]
        target, anew = folder, False
        if name in PACKED:
            target = place / "adapter.zip"
            pack(folder, target)
            PACKED[name](target, rng)
        else:
            IN_FOLDER[name](folder, rng)
            anew = rng.random() < 1 / SEALED_ANEW and seal_anew(folder)
        told = f"{name}{' sealed anew' if anew else ''}"
        if self.refused(target, place):
            return f"{told} refused"
        if anew:
            self.predicts(target, place)
        else:
            now = meaning(target, self.root / "base")
            assert now == self.meaning[number], f"accepted {told}, which means something else"
        return f"{told} read"

    def refused(self, target: Path, place: Path) -> bool:
        """Whether `verify` refuses it; what `show`, `pack` and `unpack` say is one line too."""
        packed = target.suffix == ".zip"
        run("adapters", "show", str(target))
        if packed:
            run("adapters", "unpack", str(target), str(place / "unpacked"))
        else:
            run("adapters", "pack", str(target), str(place / "packed.zip"))
        return run("adapters", "verify", str(target), "--backbone", str(self.root / "base")) == 2

    def predicts(self, target: Path, place: Path) -> None:
        words = ["--adapter", str(target), "--backbone", str(self.root / "base"), "--out", str(place / "out")]
        run("predict", *words, "--pixel-size", "1", str(self.picture))


def run(*words: str) -> int:
    """The exit code, 0 or 2; of 2 the last line says why, without a sign that a terminal would obey."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(words)
    lines = err.getvalue().splitlines()
    assert code in (0, 2), f"{words[:2]} ended with {code}: {lines[-1:]}"
    assert code == 0 or (lines[-1].startswith("error: ") and "--debug" not in lines[-1]), f"{words[:2]} said {lines}"
    assert code == 0 or len(lines[-1]) < 1000, f"{words[:2]} said {len(lines[-1])} signs"
    shown = out.getvalue() + (lines[-1] if code else "")
    assert not any(sign < " " and sign != "\n" or sign == "\u202e" for sign in shown), f"{words[:2]} printed {shown!r}"
    return code


def meaning(target: Path, base: Path) -> Any:
    """What of an adapter matters: its weights, what it says of itself, and its recipe."""
    with opened(target) as folder:
        info = values_of(read_info(folder), exclude={"backbone": {"name"}})
    with loaded(str(target), overrides=[f"backbone.name={base}"]) as network:
        return weights_digest(network.segmenter), info, network.recipe


def seal_anew(folder: Path) -> bool:
    with contextlib.suppress(InputError, OSError, UnicodeDecodeError):
        info = parse_info((folder / INFO).read_text(encoding="utf-8"), INFO)
        (folder / INFO).write_text(sealed(folder, info).json_text(), encoding="utf-8")
        return True
    return False


# Changes of a folder


def value(folder: Path, rng: np.random.Generator, name: str) -> None:
    """A value of a JSON or YAML, at any depth, is another, or is gone, or has company."""
    path = folder / name
    if not path.exists():
        path = folder / INFO
    root = yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
    holder, key = pick_node(root, rng)
    if rng.random() < 0.1:
        del holder[key]
    elif isinstance(holder, dict) and rng.random() < 0.1:
        holder[f"{key}2"] = NUMBERS[rng.integers(len(NUMBERS))]
    elif isinstance(holder[key], (int, float)) and rng.random() < 0.3:
        holder[key] = holder[key] * float(rng.choice([-1, 0.5, 1.01, 2, 1e6])) + int(rng.integers(2))
    else:
        holder[key] = NUMBERS[rng.integers(len(NUMBERS))]
    sys.set_int_max_str_digits(10_000)
    dump = yaml.safe_dump if path.suffix == ".yaml" else json.dumps
    path.write_text(dump(root))
    sys.set_int_max_str_digits(4300)


def option(folder: Path, rng: np.random.Generator) -> None:
    """An option of `entity.json` is wrong by what its class says of it."""
    path = folder / INFO
    wrong = [case.text for case in cases(AdapterInfo, json.loads(path.read_text()))]
    path.write_text(wrong[rng.integers(len(wrong))])


def text(folder: Path, rng: np.random.Generator) -> None:
    path = folder / rng.choice([INFO, RECIPE])
    whole = path.read_text()
    deep = "[" * 10**5
    first = whole.index("{") + 1 if path.name == INFO else 0
    twice = '"schema_version": 2, ' if path.name == INFO else "domain: {name: natural}\n"
    aliases = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in zip(
        "abcdefgh", "bcdefghi", strict=True))  # fmt: skip
    texts: list[str | bytes] = [
        "", "null", "[]", "{}", "1", deep, '{"a":' * 10**5, whole + whole, whole[: len(whole) // 2], "\ufeff" + whole,
        whole[:first] + twice + whole[first:], whole + " " * 2**21, whole.encode("utf-16"),
        b"\xff\xfe" + whole.encode(), whole.replace("natural", "natura\u0301l"), aliases + whole, whole + "\n\n",
        "!!python/object/apply:os.system [id]",
        whole + "extends: natural\n", whole.replace("natural", "\ud800").encode("utf-8", "surrogatepass"),
    ]  # fmt: skip
    chosen = texts[rng.integers(len(texts))]
    path.write_bytes(chosen if isinstance(chosen, bytes) else chosen.encode("utf-8"))


def words(folder: Path, rng: np.random.Generator) -> None:
    path = folder / rng.choice([name for name in (INFO, RECIPE, PEFT) if (folder / name).exists()])
    path.write_bytes(changed_words(path.read_bytes(), rng))


def damaged(folder: Path, rng: np.random.Generator) -> None:
    path = folder / rng.choice(sorted(file.name for file in folder.iterdir()))
    path.write_bytes(changed_bytes(path.read_bytes(), rng))


def weights(folder: Path, rng: np.random.Generator) -> None:
    path = folder / rng.choice(sorted(file.name for file in folder.glob("*.safetensors")))
    state = load_file(path)
    name = sorted(state)[rng.integers(len(state))]
    kind = rng.integers(8)
    if kind == 0:
        state[name] = torch.full_like(state[name], float(rng.choice([np.nan, np.inf, 6e4])))
    elif kind == 1:
        state[name] = state[name].to(torch.float64)
    elif kind == 2:
        state[name] = torch.zeros_like(state[name], dtype=torch.int8)
    elif kind == 3:
        state[f"{name}2"] = state.pop(name)
    elif kind == 4:
        state[name] = state[name].flatten()[:1].clone()
    elif kind == 5:
        state[name] = state[name].float() * 1.001
    elif kind == 6:
        os.truncate(path, 2**40)  # a hole: it takes no disk
        return
    else:
        claim = json.dumps({name: {"dtype": "F32", "shape": [2**31, 2**20], "data_offsets": [0, 2**53]}}).encode()
        path.write_bytes(struct.pack("<Q", len(claim)) + claim)
        return
    save_file(state, path)


def files(folder: Path, rng: np.random.Generator) -> None:
    """A file is a link, even to the same content, or a pipe, or a folder, or not there."""
    path = folder / rng.choice(sorted(file.name for file in folder.iterdir()))
    away = path.with_name("away")
    path.rename(away)
    kind = rng.integers(5)
    if kind == 0:
        path.symlink_to(away)
    elif kind == 1:
        path.symlink_to("/dev/zero")
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.mkdir()


def company(folder: Path, rng: np.random.Generator) -> None:
    """A file that this adapter has no use for, and files that nobody reads."""
    name = str(rng.choice(["band_projection.safetensors", PEFT, "notes.txt", "evil.py", "adapter_model.bin"]))
    (folder / name).write_bytes(b"{}" if rng.random() < 0.5 else (folder / DECODER_WEIGHTS).read_bytes())


# Changes of a packed file


def member(rng: np.random.Generator, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    return members[rng.integers(len(members))]


def packed_bytes(file: Path, rng: np.random.Generator) -> None:
    file.write_bytes(changed_bytes(file.read_bytes(), rng))


def directory(file: Path, rng: np.random.Generator) -> None:
    """Flags, methods, sizes and sums of a member, in the zip's directory and sometimes before the member too."""
    content = bytearray(file.read_bytes())
    entries = [at for at in range(len(content)) if content.startswith(b"PK\1\2", at)]
    at = entries[rng.integers(len(entries))]
    local = struct.unpack_from("<I", content, at + 42)[0]
    field, size, numbers = [
        (8, "H", [1, 0x40, 0x2000, 0xFFFF]), (10, "H", [1, 6, 9, 12, 14, 93, 95, 98, 99, 0xFFFF]),
        (16, "I", [0, 2**32 - 1]), (20, "I", [0, 5, 2**32 - 1]), (24, "I", [0, 5, 2**30, 2**32 - 1]),
        (28, "H", [0, 1, 9999]), (42, "I", [0, 1, 2**31, 2**32 - 1]),
        (38, "I", [(stat.S_IFLNK | 0o777) << 16, 2**32 - 1]),
    ][rng.integers(8)]  # fmt: skip
    number = numbers[rng.integers(len(numbers))]
    struct.pack_into(f"<{size}", content, at + field, number)
    if field <= 24 and rng.random() < 0.5:
        struct.pack_into(f"<{size}", content, local + field - 2, number)
    file.write_bytes(content)


def names(file: Path, rng: np.random.Generator) -> None:
    """A member under another name, twice, in a folder, or with an end that `zipfile` does not see."""
    with zipfile.ZipFile(file) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = sorted(contents)[rng.integers(len(contents))]
    others = ["../evil.txt", "/tmp/evil.txt", "C:\\evil.txt", f"./{name}", f"a/{name}", name.upper(), f"{name}\0.txt",
              name, "notes.txt", "a/", "\x1b[31m.txt", f"{name}/", "x" * 60_000]  # fmt: skip
    other = zipfile.ZipInfo("x")
    other.filename = others[rng.integers(len(others))]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        import warnings

        with warnings.catch_warnings(action="ignore"):
            for entry, content in contents.items():
                if entry != name or rng.random() < 0.5:
                    archive.writestr(entry, content)
            archive.writestr(other, contents[name])


def bombs(file: Path, rng: np.random.Generator) -> None:
    """A gigabyte of zeros as a text or as weights, said or hidden; a hundred thousand members."""
    with zipfile.ZipFile(file) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = sorted(contents)[rng.integers(len(contents))]
    kind = rng.integers(3)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:  # three times as fast as 6
        for entry, content in contents.items():
            if entry != name or kind == 2:
                archive.writestr(entry, content)
        if kind == 2:
            for number in range(70_000 if rng.random() < 0.5 else 3000):
                archive.writestr(f"{number}", b"")
            return
        with archive.open(name, "w", force_zip64=bool(rng.integers(2))) as target:
            for _ in range(2**8):
                target.write(bytes(2**20))
    if kind == 1:
        content = bytearray(file.read_bytes())
        at = content.rfind(b"PK\1\2")
        for place, size in ((at + 24, 10), (struct.unpack_from("<I", content, at + 42)[0] + 22, 10)):
            struct.pack_into("<I", content, place, size)
        file.write_bytes(content)


def around(file: Path, rng: np.random.Generator) -> None:
    """Bytes before or after, half of it, none of it, another kind of file, a longer directory."""
    content = file.read_bytes()
    end = content.rfind(b"PK\5\6")
    longer = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    longer += struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    comment = content[: end + 20] + struct.pack("<H", 22) + content[end : end + 22]
    options = [b"x" * 99 + content, content + b"x" * 99, content[: len(content) // 2], b"", b"\x1f\x8b" + content,
               content[:end] + longer + content[end:], comment, content + content,
               b"PK\5\6" + bytes(18), content[end:]]  # fmt: skip
    file.write_bytes(options[rng.integers(len(options))])


IN_FOLDER: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "a value of entity.json": lambda folder, rng: value(folder, rng, INFO),
    "an option of entity.json": option,
    "a value of adapter_config.json": lambda folder, rng: value(folder, rng, PEFT),
    "a value of recipe.yaml": lambda folder, rng: value(folder, rng, RECIPE),
    "a text": text,
    "words": words,
    "bytes": damaged,
    "weights": weights,
    "files": files,
    "company": company,
}
PACKED: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "packed: bytes": packed_bytes,
    "packed: directory": directory,
    "packed: names": names,
    "packed: bombs": bombs,
    "packed: around": around,
}
CHANGES = {*IN_FOLDER, *PACKED}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch:
        batch(*options.batch, Adapters, MIB)
    else:
        failures = main(options.count, options.seed, options.jobs, "tests.fuzz.adapters")
        print("\n".join(failures) or f"{options.count} adapters from strangers: refused in one line, or equivalent")
        sys.exit(bool(failures))
