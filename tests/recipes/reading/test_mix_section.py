"""The section `mix`: what a short one comes to, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domains.errors import InputError
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.domain_section import BUILT_IN_DOMAINS

TWO = ("mix.pathology:stained=/a", "mix.industrial=/b")


def test_a_member_has_the_domain_and_the_thresholds_of_its_own_recipe() -> None:
    recipe = load_recipe("mix", [*TWO, "mix.natural.data=/c", "mix.natural.scale=0.25", "domain.crop_px=96"])
    assert recipe.mix is not None and [*recipe.mix.members] == ["stained", "industrial", "natural"]
    for name, alone in (("stained", "pathology"), ("industrial", "industrial"), ("natural", "natural")):
        member, shipped = recipe.member(name), load_recipe(alone)
        assert member.mix is None and member.domain.name == alone and member.domain.crop_px == 96
        assert member.domain.overlap_px == shipped.domain.overlap_px
        assert member.domain.symmetries == shipped.domain.symmetries
        for option in ("regions", "merging", "sure_foreground"):
            assert getattr(member.decoder, option) == getattr(shipped.decoder, option)
    assert (recipe.member("natural").domain.scale, recipe.member("stained").domain.scale) == (0.25, "auto")


def test_a_decoder_is_learnt_as_its_domains_own_recipe_says_but_over_the_base_as_it_is() -> None:
    several = [*TWO, "mix.pathology:fluorescent=/c", "mix.natural=/d"]
    recipe = load_recipe("mix", [*several, "mix.decoders=domain"])
    assert recipe.mix is not None
    assert recipe.mix.branches == {name: name.replace("fluorescent", "stained") for name in recipe.mix.members}
    for name, alone in (("stained", "pathology"), ("industrial", "industrial"), ("natural", "natural")):
        member, shipped = recipe.member(name), load_recipe(alone)
        assert (member.train.start, member.train.cache) == (shipped.train.start, shipped.train.cache)
        assert member.losses == shipped.losses
        assert member.method == (recipe.method if alone == "natural" else shipped.method)
    assert recipe.train.seconds == 2 * 120 + 2 * 240 and recipe.train.steps == 4 * 2000
    each = load_recipe("mix", [*several, "train.seconds=60"])
    assert each.mix is not None and len({*each.mix.branches.values()}) == 4 and each.train.seconds == 60


def test_what_a_recipe_says_of_method_losses_and_start_holds_for_every_decoder(tmp_path: Path) -> None:
    said = ["method.bits=4", "losses.boundary.weight=2", "train.start=null", "train.cache=prefix"]
    recipe = load_recipe("mix", [*TWO, *said])
    whole = tmp_path / "whole.yaml"
    whole.write_text(resolved_yaml(load_recipe("mix", [*TWO])))
    for mixture in (recipe, load_recipe(whole, said)):
        for name in ("stained", "industrial"):
            member: Any = mixture.member(name)
            assert (member.method.bits, member.losses.boundary.weight) == (4, 2)
            assert (member.train.start, member.train.cache) == (None, "prefix")
    others = ["mix.decoders=domain", "mix.pathology:other.data=/c", "mix.pathology:other.start=null"]
    one = load_recipe("mix", [*TWO, *others])
    assert one.mix is not None and one.mix.branches["other"] == "other"
    assert one.member("stained").train.start == "nuclei"
    adapter = load_recipe(whole, ["train.start=./mine"])
    assert {adapter.member(name).train.start for name in ("stained", "industrial")} == {"./mine"}


def test_decoders_learn_whole_on_a_base_that_has_none() -> None:
    recipe = load_recipe("mix", [*TWO, "backbone.name=facebook/dinov2-small"])
    methods = [recipe.member(name).method for name in ("stained", "industrial")]
    assert [(method.name, method.in_decoder) for method in methods] == [("decoder_only", False)] * 2
    assert (
        load_recipe("mix", [*TWO, "decoder.name=query"]).member("industrial").losses
        == load_recipe("base", ["decoder.name=query"]).losses
    )


def test_one_decoder_of_all_learns_as_the_mixture_says() -> None:
    recipe = load_recipe("mix", [*TWO, "mix.decoders=shared", "train.start=nuclei"])
    assert recipe.mix is not None and {*recipe.mix.branches.values()} == {"stained"}
    for name in ("stained", "industrial"):
        member = recipe.member(name)
        assert (member.method, member.losses, member.train.start) == (recipe.method, recipe.losses, "nuclei")


def test_calibration_of_a_member_goes_by_what_its_own_recipe_says() -> None:
    recipe = load_recipe("mix", [*TWO, "mix.remote_sensing=/c"])
    assert [recipe.member(name).train.calibrate_for for name in recipe.mix.members] == [None, None, "f1"]  # type: ignore[union-attr]
    assert load_recipe("mix", [*TWO, "train.calibrate_for=pq"]).member("stained").train.calibrate_for == "pq"


def test_a_mixture_without_members_is_of_every_domain_on_generated_scenes() -> None:
    mix = load_recipe("mix").mix
    assert mix is not None and [*mix.members] == [*BUILT_IN_DOMAINS]
    assert {member.domain.data for member in mix.members.values()} == {"sample"}


def test_a_whole_mixture_reads_back_equal(tmp_path: Path) -> None:
    recipe = load_recipe("mix", [*TWO, "mix.temperature=3", "domain.tile_px=192"])
    whole = tmp_path / "whole.yaml"
    whole.write_text(resolved_yaml(recipe))
    assert load_recipe(whole) == recipe and recipe.mix is not None and recipe.mix.temperature == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mix.pathology=/a", "mix.pathology:pathology=/b"], "mix has 'pathology' twice"),
        (["mix.pathology=/a", "mix.industrial=/a"], "'/a' is there twice, as 'pathology' and 'industrial'"),
        (["mix.pathology=/a"], "mix has pathology alone; wanted two sets or more"),
        ([*TWO, "mix.temperature=0"], "mix.temperature is 0; wanted a number above 0"),
        ([*TWO, "mix.temperature=-1"], "mix.temperature is -1; wanted a number above 0"),
        (["mix.nuclei=/a", "mix.industrial=/b"], "mix has the domain 'nuclei'"),
        (["mix.mix=/a", "mix.industrial=/b"], "'mix' is itself a mixture"),
        (["mix.pathology:a/b=/a", "mix.industrial=/b"], "'a/b' is no name of a member"),
        (["mix.pathology=3", "mix.industrial=/b"], "mix.pathology is 3; wanted a folder"),
        (["mix.pathology.scale=2", "mix.industrial=/b"], "mix.pathology has no data"),
        (["mix.pathology.data=/a", "mix.pathology.scale=99", "mix.industrial=/b"], "pathology.domain.scale is 99"),
        (["mix.pathology.data=/a", "mix.pathology.crop_px=64", "mix.industrial=/b"], "crop_px is 64 for 'pathology'"),
        ([*TWO, "domain.data=/c"], "a mixture has several folders"),
        ([*TWO, "domain.hard_negatives=0.5", "decoder.name=dense"], "has hard_negatives"),
        ([*TWO, "train.student=true"], "train.student=true is of one domain"),
        ([*TWO, "domain.name=natural"], "fit them together by --recipe mix"),
        ([*TWO, "mix.decoders=each"], "mix.decoders is 'each'; known: domain, member, shared"),
        ([*TWO, "method.name=lora"], "'stained' has method.name=lora, which changes the base that all share"),
        ([*TWO, "method={name: lora, scope: decoder, init: eva}"], "has another method.init than random"),
        ([*TWO, "mix.decoders=shared", "mix.natural.data=/c", "mix.natural.start=nuclei"], "mix.decoders is 'shared'"),
        ([*TWO, "train.teacher=true"], "train.teacher=true does not go with mix.decoders=member"),
        ([*TWO, "decoder.name=sam"], "decoder.name=sam does not go with mix.decoders=member"),
        ([*TWO, "domain.bands=[red, green, blue, nir]", "train.cache=prefix"], "train.cache=prefix does not go with"),
        (["mix=3"], "mix is 3; wanted domains with their folders"),
    ],
)
def test_a_wrong_mixture_is_refused_in_one_line(words: list[str], line: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe("mix", words)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_domain_that_is_written_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("extends: mix\nmix: {pathology: /a, pathology: /b}\n")
    with pytest.raises(InputError, match="pathology"):
        load_recipe(file)
