"""Sets and adapters of a comparison, by the names that the reader gives them."""

from __future__ import annotations

import pytest

from domains.errors import InputError
from recipes.reading.compose import load_recipe
from recipes.sets import AskedSet, parse_adapters, parse_sets, recipe_for, recipe_words
from recipes.shared import SharedRecipe


def test_a_set_is_named_by_its_domain_by_a_word_or_by_both() -> None:
    words = ["pathology=a=b", "mine:/data/x=1", "industrial:tile=c", "stained:d"]
    assert parse_sets(words) == [
        AskedSet("pathology", "pathology", "a=b"),
        AskedSet("mine", None, "/data/x=1"),
        AskedSet("industrial:tile", "industrial", "c"),
        AskedSet("stained", None, "d"),
    ]


def test_several_sets_of_one_domain_are_named_by_their_folders() -> None:
    sets = parse_sets(["pathology=/data/stained", "pathology=/data/fluorescent/", "natural=/data/b"])
    assert [(each.name, each.domain) for each in sets] == [
        ("stained", "pathology"),
        ("fluorescent", "pathology"),
        ("natural", "natural"),
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "at least one --data"),
        (["a"], "wanted DOMAIN=DIR, NAME:DIR or DOMAIN:NAME=DIR"),
        (["=a"], "wanted DOMAIN=DIR"),
        (["a="], "wanted DOMAIN=DIR"),
        ([":a"], "wanted DOMAIN=DIR"),
        (["a:"], "wanted DOMAIN=DIR"),
        (["x:a", "x:b"], "2 sets of the name 'x'"),
        (["pathology=/a/cells", "pathology=/b/cells"], "2 sets of the name 'cells'; name them by NAME:DIR"),
    ],
)
def test_what_names_no_set_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_sets(words)


def test_a_set_has_its_table_of_groups(tmp_path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("file,group\n")
    sets = parse_sets(["industrial:tile=c", "stained:d"], [f"industrial:tile:{table}"])
    assert [each.groups for each in sets] == [str(table), None]
    assert recipe_for(sets[0], []).domain.groups == str(table)
    for wrong in (f"tiles:{table}", "stained:", "stained:nowhere.csv"):
        with pytest.raises(InputError, match="--groups is"):
            parse_sets(["industrial:tile=c", "stained:d"], [wrong])


def test_the_domain_of_a_named_set_is_that_of_the_adapters() -> None:
    def shared(domain: str, data: str) -> SharedRecipe:
        return SharedRecipe(load_recipe(domain), data, None)

    asked = AskedSet("mine", None, "/data/mine")
    assert recipe_for(asked, [shared("industrial", "/x"), shared("industrial", "/y")]).domain.name == "industrial"
    own = recipe_for(asked, [shared("industrial", "/data/mine"), shared("natural", "/y")])
    assert (own.domain.name, own.domain.data) == ("industrial", "/data/mine")
    for recipes, came in (([shared("industrial", "/x"), shared("natural", "/y")], "industrial, natural"), ([], "no ")):
        with pytest.raises(InputError, match=rf"does not say its domain, and .*{came}.*DOMAIN:mine=/data/mine"):
            recipe_for(asked, recipes)


def test_the_domain_of_a_package_has_the_general_recipe() -> None:
    assert recipe_words("natural") == ("natural", [])
    assert recipe_words("leaves") == ("base", ['domain.name="leaves"'])


def test_an_adapter_is_named_by_its_run_or_as_the_reader_names_it() -> None:
    words = ["runs/mine/adapter", "base", "new:runs/x/adapter", "shared/nuclei.zip"]
    assert parse_adapters(words) == {
        "base": "base",
        "runs/mine/adapter": "mine",
        "runs/x/adapter": "new",
        "shared/nuclei.zip": "nuclei",
    }


def test_adapters_of_one_name_are_told_apart_by_their_folders() -> None:
    words = ["a/mine/adapter", "b/mine/adapter", "c/base/adapter"]
    assert list(parse_adapters(words).values()) == ["base", "a/mine", "b/mine", "c/base"]
    for wrong in (["x:a", "x:b"], ["base:a"]):
        with pytest.raises(InputError, match="several of the name"):
            parse_adapters(wrong)
