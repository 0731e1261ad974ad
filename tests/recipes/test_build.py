"""A network built from a recipe: one that goes on from an adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.decoders import DECODERS
from adapters.options.contract import ContextOptions
from adapters.sharing.folder import describe, load_adapter, save_adapter
from cli import main
from domains.errors import InputError
from recipes.build import backbone_of, contract_of, method_of, segmenter_of
from recipes.load import loaded
from recipes.reading.compose import load_recipe, resolved_yaml


def test_fit_goes_on_from_an_adapter(run: Path, data: Path, options, tmp_path, capsys) -> None:
    start = f"train.start={run / 'adapter'}"
    recipe = load_recipe("pathology", [f"domain.data={data}", *options, start])
    backbone = backbone_of(recipe)
    segmenter = segmenter_of(recipe, backbone, method_of(recipe))
    learnt, _ = load_adapter(run / "adapter", backbone_of(recipe))
    assert segmenter.training and segmenter.decoder.options == DECODERS["dense"](width=8, regions=True)
    there, here = learnt.decoder.state_dict(), segmenter.decoder.state_dict()
    assert all(torch.equal(value, here[name]) for name, value in there.items())
    assert any(parameter.requires_grad for parameter in segmenter.decoder.parameters())

    out = tmp_path / "two"
    assert main(["fit", "--recipe", "pathology", "--data", str(data), "--out", str(out), *options, start]) == 0
    assert "against its start: " in capsys.readouterr().out
    with loaded("base", str(out / "recipe.yaml")) as as_it_comes:
        assert as_it_comes.recipe.train.start is None
    assert (
        main(["predict", "--adapter", str(out / "adapter"), str(data / "images/0.png"), "--out", str(tmp_path / "p")])
        == 0
    )


@pytest.mark.parametrize(("more", "message"), [
    (["method.name=lora"], "has method name=decoder_only; the recipe has lora"),
    (["decoder.width=16"], "has decoder width=8; the recipe has 16"),
    (["domain.bands=[red]"], "has domain.bands bands=[]; the recipe has ['red']"),
    (["train.start=./nowhere"], "adapter 'nowhere' does not exist"),
    (["train.start=Nuclei", "backbone.name=entity-small", "backbone.taps=null"], "is 'Nuclei'; of entity-small"),
])  # fmt: skip
def test_an_adapter_of_another_kind_is_no_start(run: Path, options, more, message) -> None:
    recipe = load_recipe("pathology", [*options, f"train.start={run / 'adapter'}", *more])
    with pytest.raises(InputError) as caught:
        segmenter_of(recipe, backbone_of(recipe), method_of(recipe))
    assert message in str(caught.value)


def test_regions_may_be_given_up_or_begun_where_a_fit_goes_on(options, tmp_path: Path) -> None:
    recipe = load_recipe("pathology", options)
    backbone, method = backbone_of(recipe), method_of(recipe)
    segmenter = segmenter_of(recipe, backbone, method)
    segmenter.decoder.scorer.fitted.fill_(1)
    torch.nn.init.constant_(segmenter.decoder.scorer.layers[0].weight, 0.25)

    def saved(name: str) -> str:
        info = describe(segmenter, method, contract_of(recipe), "pathology", "nothing")
        save_adapter(tmp_path / name, segmenter, method, info, resolved_yaml(recipe))
        return f"train.start={tmp_path / name}"

    def gone_on(start: str, regions: str):
        asked = load_recipe("pathology", [*options, start, f"decoder.regions={regions}"])
        return segmenter_of(asked, backbone_of(asked), method_of(asked)).decoder

    with_regions = saved("with")
    kept = gone_on(with_regions, "true")
    assert kept.by_regions and bool((kept.scorer.layers[0].weight == 0.25).all())
    assert gone_on(with_regions, "false").scorer is None
    segmenter.decoder.adopt(DECODERS["dense"](width=8, regions=False))
    begun = gone_on(saved("without"), "true")
    assert begun.scorer is not None and not begun.by_regions  # until it has learnt, the watershed


@pytest.mark.parametrize(
    ("word", "context"),
    [
        ("domain.context=true", ContextOptions()),
        ("domain.context={side_px: 512}", ContextOptions(side_px=512)),
        ("domain.context=false", None),
        ("domain.context=null", None),
    ],
)
def test_a_recipe_says_whether_the_whole_is_seen_beside_its_tiles(word: str, context: ContextOptions | None) -> None:
    recipe = load_recipe("natural", [word])
    assert contract_of(recipe).context == context
    assert ("context" in resolved_yaml(recipe)) == (context is not None)
    assert contract_of(load_recipe("natural", [word, "decoder.name=query"])).context is None


def test_a_context_out_of_range_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="side_px") as refused:
        load_recipe("natural", ["domain.context={side_px: 64}"])
    assert "\n" not in str(refused.value)
