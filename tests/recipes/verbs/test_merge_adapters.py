"""Adapters merged: exact where the rank holds the sum, refused where they do not fit together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.decoders import DECODERS
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract
from adapters.methods import METHODS, merge
from adapters.methods.decoder_update import merge_kernels
from adapters.network import EntitySegmenter
from adapters.options.labels import LabelInfo
from adapters.options.memory_decoder import MemoryInfo
from adapters.sharing.door import read_info
from adapters.sharing.folder import as_json, describe, load_adapter, save_adapter
from adapters.sharing.learnt import Digests, LearntFrom
from adapters.sharing.texts import yaml_text
from adapters.training.rounding import round_learnt
from cli import main
from domains.errors import InputError
from domains.procedural.scene import draw_scene
from domains.scenes.appearance import appearance
from recipes.routing import Router, appearances_of
from recipes.verbs.merge_adapters import (
    classes_line,
    learnt_by,
    memory_line,
    merged_text,
    pretrained_like,
    read_parents,
)

LEARNT = 0.02


def adapter(folder: Path, seed: int, kind: str = "nuclei", method: str = "lora", looks=None, **options) -> str:
    """An adapter of the embedded base whose weights have moved at random; looks: of its images."""
    torch.manual_seed(seed)
    backbone = build_backbone(BackboneOptions())
    learnt = METHODS[method](**options)
    learnt.attach(backbone)
    decoder = DECODERS["dense"]().build(backbone.dim, len(backbone.taps), backbone.stride)
    assert warm_start(decoder, folder_of(backbone.name), kind)
    learnt.adapt_decoder(decoder)
    segmenter = EntitySegmenter(backbone, decoder).eval()
    with torch.no_grad():
        for weights in segmenter.parameters():
            if weights.requires_grad:
                weights += LEARNT * torch.randn_like(weights)
    round_learnt(segmenter)
    contract = InputContract(tile_px=64, overlap_px=16)
    info = describe(segmenter, learnt, contract, "pathology", f"drawn{seed}", appearances=looks)
    sections = {
        "domain": {"name": "pathology", "tile_px": 64, "overlap_px": 16},
        "method": as_json(asdict(learnt)),
        "train": {"start": kind},
    }
    save_adapter(folder, segmenter, learnt, info, yaml_text(sections))
    return str(folder)


def effective(folder: str) -> dict[str, torch.Tensor]:
    """The weights that predict, adapter folded in."""
    segmenter, _ = load_adapter(Path(folder))
    merge(segmenter.backbone)
    merge_kernels(segmenter.decoder)
    tensors = {**segmenter.backbone.base_parameters(), **dict(segmenter.decoder.named_parameters())}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "options", [{"scope": "both", "rank": 2}, {"rank": 2, "roles": ("q", "v")}, {"method": "decoder_only"}]
)
def test_a_weighted_sum_is_that_of_the_weights_that_predict(tmp_path, options):
    parents = [adapter(tmp_path / f"p{seed}", seed, **options) for seed in (1, 2)]
    text = merged_text(parents, [0.25, 0.75], "linear", None, tmp_path / "child")
    assert "cosine" in text and str(tmp_path / "child") in text
    first, second, child = (effective(folder) for folder in (*parents, str(tmp_path / "child")))
    for name, tensor in child.items():
        expected = 0.25 * first[name] + 0.75 * second[name]
        torch.testing.assert_close(tensor, expected, atol=2e-3, rtol=2e-3, msg=name)  # rounded to half


def test_an_adapter_merged_with_itself_is_itself_and_wholly_on_its_own_side(tmp_path):
    parent = adapter(tmp_path / "p", 1, scope="both", rank=2)
    text = merged_text([parent, parent], [], "linear", 2, tmp_path / "child")
    assert "cosine +1.000, 0% of what both move" in text
    before, after = effective(parent), effective(str(tmp_path / "child"))
    assert all(torch.allclose(before[name], after[name], atol=2e-3) for name in before)


@pytest.mark.parametrize("how", ["ties", "dare"])
def test_every_way_gives_an_adapter_that_loads(tmp_path, how):
    parents = [adapter(tmp_path / f"p{seed}", seed, scope="decoder", rank=2) for seed in (1, 2)]
    merged_text(parents, [], how, 4, tmp_path / "child")
    _, info = load_adapter(tmp_path / "child")
    assert (info.method.rank, info.method.scope, info.data) == (4, "decoder", "drawn1+drawn2")


def test_adapters_that_do_not_fit_together_are_refused_and_nothing_is_written(tmp_path):
    lora = adapter(tmp_path / "a", 1, scope="both", rank=2)
    others = {
        "start.kind": adapter(tmp_path / "b", 2, kind="aerial", scope="both", rank=2),
        "only lora and decoder_only": adapter(tmp_path / "c", 3, method="ssf"),
        "of other layers, roles or scopes": adapter(tmp_path / "d", 4, scope="both", rank=2, layers="last:2"),
    }
    for message, other in others.items():
        with pytest.raises(InputError, match=message):
            merged_text([lora, other], [], "linear", None, tmp_path / "child")
    with pytest.raises(InputError, match="at least two adapters and a weight for each; got 2 and 1"):
        merged_text([lora, lora], [1.0], "linear", None, tmp_path / "child")
    assert not (tmp_path / "child").exists()


def test_parents_and_child_are_measured_beside_each_other(tmp_path, data, capsys):
    parents = [adapter(tmp_path / name, seed, method="decoder_only") for seed, name in enumerate(("a", "b"))]
    words = ["adapters", "merge", *parents, "--out", str(tmp_path / "ab"), "--data", f"cells:{data}", "--split", "val"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "cosine" in printed and "ab against the base, pq:" in printed
    table = json.loads((tmp_path / "ab-transfer" / "transfer.json").read_text())
    assert [*table["metrics"]["pq"]] == ["base", "a", "b", "ab"] and table["split"] == "val"
    assert main([*words[:6], "--data", "nothing", "--out", str(tmp_path / "c")]) == 2
    assert "--data is 'nothing'" in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_a_child_is_chosen_for_the_images_of_each_of_its_parents(tmp_path):
    kinds = ("nuclei_he", "nuclei_fluo", "aerial")
    scenes = {kind: [draw_scene(kind, (1, i), 128, 128) for i in range(14)] for kind in kinds}
    looks = {kind: appearances_of(images[:8], images[8:11]) for kind, images in scenes.items()}
    parents = [adapter(tmp_path / kind, 1, method="decoder_only", looks=looks[kind]) for kind in kinds[:2]]
    parents.append(adapter(tmp_path / "silent", 1, method="decoder_only"))
    merged_text(parents, [], "linear", None, tmp_path / "child")
    of_child = read_info(tmp_path / "child").appearances
    assert of_child is not None and len(of_child.rows("train")) == 16 and len(of_child.rows("val")) == 6
    router = Router({"child": of_child, "aerial": looks["aerial"]})
    nearest = {kind: [router.choose(appearance(x.image)).nearest for x in scenes[kind][11:]] for kind in kinds}
    assert nearest == {"nuclei_he": ["child"] * 3, "nuclei_fluo": ["child"] * 3, "aerial": ["aerial"] * 3}


def test_a_child_has_learnt_from_the_images_of_all_its_parents(tmp_path):
    _, parents = read_parents([adapter(tmp_path / "a", 1, method="decoder_only")] * 3)

    def learnt(digest: str) -> LearntFrom:
        return LearntFrom(train=Digests(images=1, digests=digest * 16))

    known = [
        replace(parent, info=replace(parent.info, learnt_from=of_parent))
        for parent, of_parent in zip(parents, (learnt("a"), None, learnt("b")), strict=True)
    ]
    joined = learnt_by(known)
    assert joined is not None and joined.train.each == ["a" * 16, "b" * 16]
    assert learnt_by(known[1:2]) is None


def test_classes_that_a_child_does_not_get_are_said_with_what_to_do(tmp_path):
    _, (plain, parent) = read_parents([adapter(tmp_path / "a", 1, method="decoder_only")] * 2)
    labels = LabelInfo(kind="linear", vocabulary=("a", "b"), width=2, examples=4, temperature=1.0, farthest=None)
    line = classes_line([plain, replace(parent, name="named", info=replace(parent.info, labels=labels))], tmp_path)
    assert line.startswith("the classes of named are left out") and "adapters teach" in line
    assert classes_line([plain, plain], tmp_path) == ""
    memory = MemoryInfo(width=32, layers=1, heads=2, frames=3, cells=8, dense="a" * 64, prompts="b" * 64)
    line = memory_line([plain, replace(parent, name="led", info=replace(parent.info, memory=memory))], tmp_path)
    assert line.startswith("the memory decoders of led are left out") and "adapters follow" in line
    assert memory_line([plain, plain], tmp_path) == ""


def test_updates_of_few_bits_are_merged_and_rounded_to_as_many(tmp_path):
    parents = [adapter(tmp_path / f"p{seed}", seed, method="decoder_only", bits=4) for seed in (1, 2)]
    merged_text(parents, [0.5, 0.5], "linear", None, tmp_path / "child")
    first, second, child = (effective(folder) for folder in (*parents, str(tmp_path / "child")))
    begun = adapter(tmp_path / "bare", 3, method="decoder_only", bits=4)
    start = pretrained_like(load_adapter(Path(begun))[0], "nuclei")
    for name, kernel in child.items():
        if name in start and kernel.ndim == 4 and not name.startswith(("head", "scorer")):
            update = (first[name] + second[name]) / 2 - start[name]
            lost = (kernel - start[name] - update).norm() / update.norm()
            assert 0 < lost < 0.15, name  # a normal number in four bits: 0.107
