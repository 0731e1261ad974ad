"""A recipe from its parents, its file and the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.errors import InputError
from recipes.reading.compose import (
    compose,
    list_recipes,
    load_any,
    load_pretrain_recipe,
    load_recipe,
    merge,
    parse_overrides,
    parse_value,
    parse_yaml,
    resolved_yaml,
)
from recipes.reading.domain_section import BUILT_IN_DOMAINS
from recipes.reading.pretrain_schema import PretrainRecipe


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path | str, *overrides: str) -> str:
    with pytest.raises(InputError) as error:
        load_recipe(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_composes_and_says_what_it_is_for(name: str) -> None:
    assert isinstance(load_any(name), PretrainRecipe) == name.startswith("pretrain")
    assert list_recipes()[name]


@pytest.mark.parametrize("name", BUILT_IN_DOMAINS)
def test_every_domain_has_a_recipe_that_runs_on_generated_scenes(name: str) -> None:
    domain = load_recipe(name).domain
    assert (domain.name, domain.data) == (name, "sample")


@pytest.mark.parametrize("name", list_recipes())
def test_a_resolved_recipe_needs_no_parent_and_reads_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load_any(name, ["train.lr=3e-4", "decoder.name=query", "train.seconds=90"])
    assert load_any(written(tmp_path, "resolved.yaml", resolved_yaml(recipe))) == recipe
    assert "extends" not in resolved_yaml(recipe)


def test_a_child_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    child = written(tmp_path, "mine.yaml", "extends: natural\ntrain: {steps: 7}\nmethod: {rank: 2}\n")
    recipe = load_recipe(child)
    assert recipe.train == replace(load_recipe("natural").train, steps=7)
    assert recipe.method.options()["rank"] == 2


def test_a_section_that_changes_its_name_replaces_the_parents() -> None:
    parent = {"method": {"name": "lora", "rank": 4}, "train": {"steps": 1}}
    assert merge(parent, {"method": {"name": "full"}}) == {"method": {"name": "full"}, "train": {"steps": 1}}
    assert merge(parent, {"method": {"name": "lora", "alpha": 1}})["method"] == {"name": "lora", "rank": 4, "alpha": 1}
    assert merge(parent, {"method": {"alpha": 1}})["method"] == {"name": "lora", "rank": 4, "alpha": 1}
    assert merge({"method": {"rank": 4}}, {"method": {"name": "lora"}})["method"] == {"name": "lora"}


def test_another_decoder_takes_the_parents_losses_with_it(tmp_path: Path) -> None:
    parent = written(tmp_path, "parent.yaml", "extends: natural\nlosses: {boundary: {weight: 2}}\n")
    assert load_recipe(parent).losses.options()["boundary"] == {"weight": 2, "nested": False}
    assert load_recipe(parent, ["decoder.name=query"]).losses.options().keys() == {"set", "partition"}


def test_merging_leaves_parent_and_child_as_they_were() -> None:
    parent, child = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge(parent, child) == {"a": {"b": 1, "c": 2}}
    assert (parent, child) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_a_parent_may_lie_beside_or_below_the_child_but_not_elsewhere(tmp_path: Path) -> None:
    written(tmp_path, "outside.yaml", "train: {steps: 1}\n")
    written(tmp_path, "in/below/parent.yaml", "extends: natural\ntrain: {steps: 9}\n")
    child = written(tmp_path, "in/child.yaml", "extends: below/parent.yaml\n")
    assert load_recipe(child).train.steps == 9
    for escape in ("../outside.yaml", str(tmp_path / "outside.yaml")):
        child.write_text(f"extends: {escape}\n", encoding="utf-8")
        assert "wanted a shipped recipe or a file in" in refused(child)


def test_a_link_does_not_lead_a_parent_out_of_the_folder(tmp_path: Path) -> None:
    target = written(tmp_path, "outside.yaml", "train: {steps: 1}\n")
    child = written(tmp_path, "in/child.yaml", "extends: link.yaml\n")
    (tmp_path / "in/link.yaml").symlink_to(target)
    assert "wanted a shipped recipe or a file in" in refused(child)


def test_a_circle_of_parents_is_shown(tmp_path: Path) -> None:
    written(tmp_path, "a.yaml", "extends: b.yaml\n")
    written(tmp_path, "b.yaml", "extends: a.yaml\n")
    assert refused(tmp_path / "a.yaml").endswith("extends goes in a circle: a.yaml -> b.yaml -> a.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("extends: pathologi\n", "(did you mean 'pathology'?), or a .yaml file beside it"),
        ("extends: [base, natural]\n", "extends is ['base', 'natural']; wanted one recipe's name or file"),
        ("- 1\n", "holds list; wanted sections such as `train:`"),
        ("train: {steps: 1}\ntrain: {steps: 2}\n", ".yaml:2: 'train' is given twice"),
        ("train: {steps: 1, steps: 2}\n", ".yaml:1: 'steps' is given twice"),
        ("a: &a [1]\nb: *a\n", ".yaml:2: aliases are not read; write the value out"),
        ("a: {<<: {b: 1}}\n", "a is no option; known: "),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("a: [1\n", ".yaml:2: expected ',' or ']'"),
        ("a: 1\n---\nb: 2\n", ".yaml:2: but found another document"),
        ("? [1]\n: 2\n", ".yaml:1: a key must be a plain word"),
        ("a: " + "[" * 1000 + "]" * 1000, "nested deeper than 16"),
        ("a: " + "1" * 5000 + "\n", "Exceeds the limit (4300 digits)"),
        ("# " + "x" * 70_000, "wanted a recipe of at most 65536"),
        ("a: \x00\n", "special characters are not allowed"),
    ],
)
def test_a_broken_or_hostile_file_is_one_line(text: str, reason: str, tmp_path: Path) -> None:
    assert reason in refused(written(tmp_path, "broken.yaml", text))


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    assert "is not UTF-8 text: byte 0" in refused(tmp_path / "image.yaml")


def test_a_bomb_of_aliases_costs_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases are not read" in refused(written(tmp_path, "bomb.yaml", "\n".join(lines)))


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        ("patology", "(did you mean 'pathology'?), or the path of a .yaml file"),
        ("pathologi.yaml", "recipe 'pathologi.yaml' is not a file; known: "),
        (".", "recipe is '.'; known: "),
    ],
)
def test_a_recipe_that_is_not_there_is_answered_with_those_that_are(recipe: str, line: str) -> None:
    assert line in refused(recipe)


def test_an_empty_file_lacks_a_domain(tmp_path: Path) -> None:
    assert refused(written(tmp_path, "empty.yaml", "")) == "domain is missing; wanted a section of options"


def test_overrides_come_last_in_any_order() -> None:
    both = ["decoder.queries=50", "decoder.name=query"]
    assert load_recipe("natural", both) == load_recipe("natural", both[::-1])
    assert load_recipe("natural", both).decoder.options()["queries"] == 50


def test_a_later_override_of_one_key_wins() -> None:
    assert parse_overrides(["a.b=1", "a.b=2"]) == {"a": {"b": 2}}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("steps", "override 'steps'; wanted key=value, for instance train.steps=100"),
        ("=3", "override '=3'; wanted key=value, for instance train.steps=100"),
        ("train..lr=3", "override 'train..lr=3'; wanted key=value, for instance train.steps=100"),
        ("train.stepz=3", "(did you mean 'steps'?)"),
        ("train.betas=[0.9", "expected ',' or ']'"),
        ("method.width=4", "method.width is an option of method.name=bottleneck; method.name is 'lora'"),
        ("losses.dice=1", "losses.dice is no option"),
    ],
)
def test_a_wrong_override_is_one_line(override: str, line: str) -> None:
    assert line in refused("pathology", override)


def test_an_override_cannot_reach_into_a_value() -> None:
    assert "reaches into 'train'" in refused("pathology", "train=5", "train.steps=3")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("3e-4", 3e-4),
        ("3.0e-4", 3e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("[2, 5]", [2, 5]),
        ("{a: 1}", {"a": 1}),
        ('"8"', "8"),
        ("last:4", "last:4"),
        ("facebook/dinov2-small", "facebook/dinov2-small"),
        ("scans: 2024 #2", "scans: 2024 #2"),
        ("2024-01-01", "2024-01-01"),
        ("*.png", "*.png"),
        ("C:\\images", "C:\\images"),
        ("e5", "e5"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_values_are_read_as_yaml_and_everything_else_as_text(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value and type(read) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read(number: float) -> None:
    assert parse_yaml(repr(number), "") == number


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    try:
        parse_value(text)
    except InputError as error:
        assert "\n" not in str(error)


def test_lists_are_replaced_rather_than_joined(tmp_path: Path) -> None:
    child = written(tmp_path, "mine.yaml", "extends: pretrain\nvit: {taps: [3]}\n")
    assert load_pretrain_recipe(child).vit.taps == (3,)


def test_composing_does_not_check(tmp_path: Path) -> None:
    assert compose(written(tmp_path, "any.yaml", "anything: {goes: 1}\n")) == {"anything": {"goes": 1}}


def test_a_recipe_says_what_the_numbers_of_label_pictures_mean() -> None:
    recipe = load_recipe("base", ["domain.name=natural", "domain.labels=classes", "domain.void=0"])
    assert (recipe.domain.labels, recipe.domain.void) == ("classes", 0)


def test_a_scope_that_is_inherited_gives_way_where_the_base_has_no_decoder(tmp_path: Path) -> None:
    assert load_recipe("pathology").method.scope == "decoder"
    elsewhere = ["backbone.name=facebook/dinov2-small"]
    assert load_recipe("pathology", elsewhere).method.scope == "backbone"
    assert load_recipe("pathology", [*elsewhere, "method.scope=decoder"]).method.scope == "decoder"
    assert load_recipe("pathology", ["decoder.name=query"]).method.scope == "backbone"
    mine = written(tmp_path, "mine.yaml", "extends: pathology\nbackbone: {name: facebook/dinov2-small}\n")
    assert load_recipe(mine).method.scope == load_any(mine).method.scope == "backbone"
    said_so = written(tmp_path, "said.yaml", f"extends: {mine.name}\nmethod: {{scope: both}}\n")
    assert load_recipe(said_so).method.scope == "both"
    whole = written(tmp_path, "whole.yaml", resolved_yaml(load_recipe(mine)))
    assert load_recipe(whole) == load_recipe(mine)


def test_a_cache_is_kept_where_the_first_blocks_are_frozen_and_left_out_elsewhere() -> None:
    assert load_recipe("pathology").train.cache == "prefix"
    assert load_recipe("pathology", ["method.name=lora", "method.layers=last:2"]).train.cache == "prefix"
    assert load_recipe("pathology", ["method.name=decoder_only"]).train.cache == "prefix"
    elsewhere = ("method.scope=backbone", "method.name=norms", "domain.hard_negatives=0.2", "train.devices=2")
    for option in elsewhere:
        assert load_recipe("pathology", [option]).train.cache == "none"
    with pytest.raises(InputError, match="train.cache=prefix does not go with train.devices=2"):
        load_recipe("pathology", ["train.cache=prefix", "train.devices=2"])
