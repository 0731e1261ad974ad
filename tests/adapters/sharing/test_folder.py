from __future__ import annotations

import json
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.folders import save_base
from adapters.inference.segment import InputContract
from adapters.methods import METHODS
from adapters.network import EntitySegmenter
from adapters.options.contract import ContextOptions
from adapters.sharing.door import read_info, sealed
from adapters.sharing.folder import describe, load_adapter, save_adapter
from adapters.sharing.info import FILES, INFO, RECIPE, WEIGHTS, parse_info
from adapters.sharing.opening import opened, show
from adapters.sharing.package import pack, unpack
from adapters.sharing.weights import compact, plain_state
from adapters.training.rounding import round_to_half
from domains.errors import InputError
from tests.adapters.methods.training import small

LEARNT = 0.3
RECIPE_TEXT = "domain: {name: pathology}\n"


@pytest.fixture
def base(tiny_segmenter, tmp_path) -> Path:
    segmenter, _ = tiny_segmenter("decoder_only")
    save_base(segmenter.backbone, tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def save(base, tiny_segmenter, tmp_path):
    """save(method, decoder) -> (folder, segmenter): an adapter whose weights have moved."""

    def run(method: str = "lora", decoder: str = "dense", name: str = "adapter") -> tuple[Path, EntitySegmenter]:
        backbone = build_backbone(BackboneOptions(str(base), taps=(1, 2)))
        attached = small(method)
        attached.attach(backbone)
        segmenter = EntitySegmenter(backbone, tiny_segmenter(decoder=decoder)[0].decoder).eval()
        with torch.no_grad():
            for parameter in segmenter.parameters():
                if parameter.requires_grad:
                    parameter += LEARNT * torch.randn_like(parameter) * parameter.std(correction=0).clamp(min=0.1)
        info = describe(
            segmenter,
            attached,
            InputContract(tile_px=64, overlap_px=16),
            "pathology",
            "discs",
            metrics={"after": {"ap": 0.5}},
        )
        save_adapter(tmp_path / name, segmenter, attached, info, RECIPE_TEXT)
        return tmp_path / name, segmenter

    return run


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def seal_anew(folder: Path) -> None:
    """As who wants to deceive would, where the info can be read."""
    path = folder / INFO
    try:
        info = parse_info(path.read_text(), "info")
    except (InputError, OSError):
        return
    path.write_text(sealed(folder, info).json_text())


@pytest.mark.parametrize("decoder", ["dense", "query"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_save_then_load_predicts_equally(save, method: str, decoder: str) -> None:
    folder, segmenter = save(method, decoder)
    loaded, info = load_adapter(folder)
    images = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        one, other = segmenter(images), loaded(images)
    assert all(torch.equal(one[name], other[name]) for name in one if isinstance(one[name], torch.Tensor))
    assert info.contract == InputContract(tile_px=64, overlap_px=16)


def test_a_rounded_decoder_is_stored_in_half_precision_and_another_one_as_it_is(tiny_segmenter) -> None:
    decoder = tiny_segmenter("decoder_only")[0].decoder
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 1e-4 * torch.randn_like(parameter)
    assert {value.dtype for value in compact(decoder.state_dict()).values()} == {torch.float32}
    before = plain_state(decoder)
    round_to_half(decoder.parameters())
    stored = compact(decoder.state_dict())
    assert {value.dtype for value in stored.values()} == {torch.float16}
    for name, value in decoder.state_dict().items():
        assert torch.equal(stored[name].float(), value)
        assert torch.allclose(before[name], value, rtol=1e-3, atol=1e-7)


def test_an_adapter_says_that_the_whole_is_seen_and_one_without_is_as_before(save) -> None:
    folder, segmenter = save()
    text = (folder / INFO).read_text()
    assert "context" not in json.loads(text)["input"] and parse_info(text, INFO).contract.context is None
    info = replace(read_info(folder), digest=None)
    wide = replace(info, input=replace(info.input, context=ContextOptions(side_px=512)))
    (folder / INFO).write_text(sealed(folder, wide).json_text())
    assert json.loads((folder / INFO).read_text())["input"]["context"] == {"side_px": 512, "large_share": 0.5}
    loaded, described = load_adapter(folder)
    assert (
        described.contract.context == ContextOptions(side_px=512) and described.digest != parse_info(text, INFO).digest
    )
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        there, here = segmenter(image), loaded(image)
    assert all(torch.equal(there[name], here[name]) for name in there)


DECODER_BEFORE = {
    "name": "dense", "width": 16, "detail": True, "embedding_dim": 0, "foreground_threshold": 0.5, "seed_height": 0.3,
    "smoothing_px": 0.5, "min_area_px": 12, "min_score": 0.0, "regions": False, "least_iou": 0.45,
    "sure_foreground": 1.0,
}  # fmt: skip
"""The decoder's section of an adapter from before granularities were calibrated."""


def test_an_adapter_from_before_granularities_has_the_seal_it_had_and_cuts_at_its_seed_height(save) -> None:
    folder, _ = save()
    before = json.loads((folder / INFO).read_text())["decoder"]
    assert before.keys() == DECODER_BEFORE.keys()
    edit(folder / INFO, decoder={**before, "seed_height": 0.3})
    seal_anew(folder)
    segmenter, info = load_adapter(folder)
    assert segmenter.decoder.proposals.granularity == 0.7
    edit(folder / INFO, decoder={**before, "seed_height": 0.3, "granularity": None})
    assert read_info(folder) == info  # what was not said has the same seal
    edit(folder / INFO, decoder={**before, "granularity": 0.7})
    with pytest.raises(InputError, match="not as it was saved"):
        read_info(folder)
    seal_anew(folder)
    assert load_adapter(folder)[0].decoder.proposals.granularity == 0.7
    assert json.loads((folder / INFO).read_text())["decoder"]["granularity"] == 0.7


def test_a_folder_holds_what_it_should_and_is_readable_by_others(save) -> None:
    folder, _ = save()
    assert {file.name for file in folder.iterdir()} == {*FILES} - {*WEIGHTS[2:]}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in folder.iterdir())
    assert "base_model:" in (folder / "README.md").read_text()
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]


def test_plain_peft_and_transformers_give_our_features(save, base, tmp_path) -> None:
    folder, segmenter = save()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        ours = segmenter.backbone(images)[-1]
    pixels = (images - segmenter.backbone.mean) / segmenter.backbone.std
    save_file({"pixels": pixels}, tmp_path / "in.safetensors")
    script = f"""
import warnings; warnings.simplefilter("error", UserWarning)
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModel
model = PeftModel.from_pretrained(AutoModel.from_pretrained({str(base)!r}, dtype=torch.float32), {str(folder)!r}).eval()
with torch.no_grad():
    features = model(pixel_values=load_file({str(tmp_path / "in.safetensors")!r})["pixels"]).last_hidden_state
save_file({{"features": features.contiguous()}}, {str(tmp_path / "out.safetensors")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=120)
    theirs = load_file(tmp_path / "out.safetensors")["features"][:, 1:]  # without the class token
    assert torch.allclose(ours.flatten(2).transpose(1, 2), theirs, atol=1e-6)


def test_pack_and_unpack_give_the_same_files(save, tmp_path) -> None:
    folder, _ = save()
    pack(folder, tmp_path / "adapter.zip")
    unpack(tmp_path / "adapter.zip", tmp_path / "again")
    for file in folder.iterdir():
        if file.suffix == ".safetensors":
            assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    here = read_info(folder)
    there = read_info(tmp_path / "again")
    assert replace(there, backbone=here.backbone) == here and there.backbone.name == "base"
    assert "lora" in show(tmp_path / "adapter.zip")
    with opened(tmp_path / "adapter.zip") as again:
        load_adapter(again, backbone_name=here.backbone.name)
        with pytest.raises(InputError, match="lay on its maker's machine as 'base': say where yours lies"):
            load_adapter(again)


@pytest.mark.parametrize("folder", ["/home/me/secret/", "C:\\Users\\me\\secret\\"])
def test_a_packed_recipe_does_not_say_where_the_data_lie(save, tmp_path, folder: str) -> None:
    adapter, _ = save()
    recipe = {
        "domain": {"name": "pathology", "data": f"{folder}nuclei", "groups": f"{folder}groups.csv"},
        "train": {"start": f"{folder}other", "seed": 3},
        "backbone": {"name": f"{folder}base", "random": False},
    }
    (adapter / RECIPE).write_text(yaml.safe_dump(recipe))
    seal_anew(adapter)
    pack(adapter, tmp_path / "adapter.zip")
    unpack(tmp_path / "adapter.zip", tmp_path / "again")
    shared = yaml.safe_load((tmp_path / "again" / RECIPE).read_text())
    assert shared == {"domain": {"name": "pathology"}, "train": {"seed": 3}, "backbone": {"random": False}}
    texts = [file.read_text() for file in (tmp_path / "again").iterdir() if file.suffix != ".safetensors"]
    assert not any(word in text for text in texts for word in ("secret", str(tmp_path)))
    assert yaml.safe_load((adapter / RECIPE).read_text()) == recipe


def test_adapters_of_one_base_are_swapped_on_it(save) -> None:
    (one, first), (other, _) = save(name="one"), save("full", name="other")
    backbone = build_backbone(BackboneOptions(read_info(one).backbone.name, taps=(1, 2)))
    load_adapter(other, backbone)
    swapped, _ = load_adapter(one, backbone)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(swapped(images)["foreground"], first(images)["foreground"])
    assert swapped.backbone is backbone


def other_base(folder: Path) -> None:
    path = Path(read_info(folder).backbone.name) / "model.safetensors"
    state = load_file(path)
    state["layernorm.bias"] += 1
    save_file(state, path, metadata={"format": "pt"})


def drop_a_key(folder: Path) -> None:
    state = load_file(folder / "entity_decoder.safetensors")
    state.pop("head.bias")
    save_file(state, folder / "entity_decoder.safetensors")


def add_a_key(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({**load_file(path), "extra": torch.zeros(2)}, path)


def change_a_weight(folder: Path) -> None:
    path = folder / "entity_decoder.safetensors"
    state = load_file(path)
    save_file({**state, "head.bias": state["head.bias"] + 1}, path)


def grow_a_weight(folder: Path) -> None:
    path = folder / "entity_decoder.safetensors"
    save_file({**load_file(path), "head.bias": torch.zeros(99)}, path)


def truncate(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def tune(**options: object):
    """Change options of the decoder."""

    def spoil(folder: Path) -> None:
        decoder = json.loads((folder / INFO).read_text())["decoder"]
        edit(folder / INFO, decoder={**decoder, **options})

    return spoil


def describe_otherwise(**values: object):
    """Change what is said of the base."""

    def spoil(folder: Path) -> None:
        base = json.loads((folder / INFO).read_text())["backbone"]
        edit(folder / INFO, backbone={**base, **values})

    return spoil


def nan_weight(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    state = load_file(path)
    name = min(state)
    save_file({**state, name: torch.full_like(state[name], float("nan"))}, path)


def double_weights(folder: Path) -> None:
    path = folder / "entity_decoder.safetensors"
    save_file({name: value.double() for name, value in load_file(path).items()}, path)


WRONG = {
    "a decode that does not end": (
        tune(smoothing_px=1e8),
        r"smoothing_px is 1e8|100000000.0; wanted a number from 0 to 16",
    ),
    "a threshold that is no number": (tune(foreground_threshold=float("nan")), r"NaN is no JSON"),
    "another number of channels": (lambda f: edit(f / INFO, input={"channels": 5}), r"input.channels is 5; \[\] has 3"),
    "a block beyond the last": (describe_otherwise(taps=[1, 9]), r"wanted different blocks from 1 to 2"),
    "another depth": (describe_otherwise(depth=3), r"backbone.depth is 3; that of .* is 2"),
    "other statistics": (describe_otherwise(mean=[0.1, 0.2, 0.3]), r"backbone.mean is \(0.1"),
    "a window that the base does not take": (
        lambda f: edit(f / INFO, input={"tile_px": 64, "overlap_px": 0, "window_px": 20}),
        r"input.window_px is 20",
    ),
    "another alpha for peft": (
        lambda f: edit(f / "adapter_config.json", lora_alpha=99),
        r"lora_alpha is 99, .* says 16",
    ),
    "more layers for peft": (
        lambda f: edit(f / "adapter_config.json", modules_to_save=["encoder"]),
        r"modules_to_save is \['encoder'\]; by entity.json it is None",
    ),
    "weights that are no numbers": (nan_weight, r"has values that are not finite"),
    "weights of twice the size": (double_weights, r"is of F64; wanted one of F16, BF16, F32|need at most"),
    "another base": (other_base, r"was made for the base .*give the right base by backbone.name"),
    "a missing key": (drop_a_key, r"1 of \d+ tensors missing, such as head.bias"),
    "an additional key": (add_a_key, r"1 of \d+ tensors unexpected, such as extra"),
    "a changed weight": (change_a_weight, r"does not give the output it was saved with"),
    "another shape": (grow_a_weight, r"of another shape, such as head.bias"),
    "a truncated file": (truncate, r"is damaged"),
    "a missing file": (lambda folder: (folder / "adapter_model.safetensors").unlink(), r"is missing; get the adapter"),
    "a newer schema": (lambda f: edit(f / "entity.json", schema_version=3), r"schema 3, this version reads 2; update"),
    "no info": (lambda folder: (folder / "entity.json").unlink(), r"is no adapter: it has no entity.json"),
    "broken info": (lambda folder: (folder / "entity.json").write_text("{"), r"entity.json' is damaged"),
    "info of another form": (lambda folder: (folder / "entity.json").write_text("[]"), r"entity.json' is damaged"),
    "an unknown method": (lambda f: edit(f / "entity.json", method={"name": "lorra"}), r"did you mean 'lora'"),
    "unknown options": (
        lambda f: edit(f / "entity.json", method={"name": "lora", "rnak": 8}),
        r"method.rnak is no option.*did you mean 'rank'.*newer version",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_an_error_in_one_line(case: str, save) -> None:
    folder, _ = save()
    spoil, message = WRONG[case]
    spoil(folder)
    if case != "another base":
        with pytest.raises(InputError):
            load_adapter(folder)  # whatever it is, the seal doesn't hold
    seal_anew(folder)
    with pytest.raises(InputError, match=message) as error:
        load_adapter(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "notes.txt"])
def test_a_packed_file_with_a_strange_member_is_refused(save, tmp_path, name: str) -> None:
    folder, _ = save()
    pack(folder, tmp_path / "adapter.zip")
    with zipfile.ZipFile(tmp_path / "adapter.zip", "a") as archive:
        archive.writestr(name, "evil")
    with pytest.raises(InputError, match="is no packed adapter"):
        unpack(tmp_path / "adapter.zip", tmp_path / "out" / "again")
    assert not (tmp_path / "evil.txt").exists() and not (tmp_path / "out" / "again").exists()


def test_nothing_is_overwritten_unasked(save, tmp_path) -> None:
    folder, segmenter = save()
    pack(folder, tmp_path / "adapter.zip")
    for act in (
        lambda: pack(folder, tmp_path / "adapter.zip"),
        lambda: unpack(tmp_path / "adapter.zip", folder),
        lambda: save_adapter(folder, segmenter, METHODS["lora"]("lora"), read_info(folder), ""),
    ):
        with pytest.raises(InputError, match="exists; name another"):
            act()


def test_what_does_not_exist_or_is_no_zip_is_said(tmp_path) -> None:
    (tmp_path / "noise.zip").write_bytes(b"noise")
    for path, message in ((tmp_path / "nothing", "does not exist"), (tmp_path / "noise.zip", "is no packed adapter")):
        with pytest.raises(InputError, match=message), opened(path):
            pass


@pytest.mark.parametrize(
    "wrong", [{"scale": 1e6}, {"scale": float("nan")}, {"tile_px": 10**9}, {"tile_px": "256"}, {"overlap_px": 64}]
)
def test_an_input_contract_that_would_take_any_memory_is_refused(save, wrong: dict[str, object]) -> None:
    folder, _ = save()
    edit(folder / "entity.json", input={**json.loads((folder / "entity.json").read_text())["input"], **wrong})
    with pytest.raises(InputError, match=f"input.{next(iter(wrong))} is|NaN is no JSON"):
        _ = read_info(folder).contract
