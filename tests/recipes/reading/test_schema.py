"""What a recipe may say agrees with the parts it names, and a wrong one is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import runpy
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal, get_args, get_type_hints

import jsonschema
import pytest
import yaml
from pydantic import Field

from adapters.decoders import DECODERS
from adapters.losses import LOSSES
from adapters.methods import METHODS
from adapters.options.decoders import Decoder
from adapters.options.losses import OWN_TERMS, POSSIBLE_TERMS, Losses
from adapters.options.methods import Method
from adapters.options.section import Options
from domains import registry
from domains.datasets.domain import DataDomain, NoOptions
from domains.errors import InputError
from domains.options import DataOptions, ReadingOptions
from domains.procedural import SCENES
from domains.registry import GROUP, house_options, house_specs
from recipes.build import domain_in
from recipes.reading import domain_section
from recipes.reading.compose import SHIPPED, changed, list_recipes, load_any, resolved_yaml
from recipes.reading.domain_section import DomainSection
from recipes.reading.editor_schema import SCHEMAS, editor_schema, write_schemas
from recipes.reading.option_docs import page
from recipes.reading.pretrain_schema import SCENE_FAMILIES, PretrainRecipe
from recipes.reading.schema import Recipe, check_recipe, recipe_of
from tests.fuzz.options import cases, fault_of, read_recipe

OF_LORA = "alpha, dora, dropout, init, layers, name, rank, roles, rslora, scope"
KNOWN = (
    "adalora, biases, boft, bottleneck, conv_lora, decoder_only, fourierft, full, hira, ia3, ln_tuning, loha, lokr, "
    "lora, miss, norms, oft, peft, prompts, randlora, road, shira, ssf, vera"
)


def members(union: Any) -> dict[str, type[Options]]:
    """The parts of an annotated union by name."""
    return {part.name: part for part in get_args(get_args(union)[0])}


def defaults(section: Any) -> dict[str, object]:
    """Fields and default values of a dataclass."""
    return {field.name: field.default for field in dataclasses.fields(section)}


def test_a_part_adds_no_option_to_those_of_its_section() -> None:
    terms = {name: get_args(hint)[0] for name, hint in get_type_hints(Losses).items() if name in LOSSES}
    for table, sections in ((METHODS, members(Method)), (DECODERS, members(Decoder)), (LOSSES, terms)):
        assert table.keys() == sections.keys()
        for name, part in table.items():
            assert issubclass(part, sections[name]) and defaults(part) == defaults(sections[name])
            assert "__annotations__" not in vars(part), "an option belongs into adapters/options"


def test_the_tables_of_scenes_and_domains_name_the_same() -> None:
    assert set(SCENE_FAMILIES) == set(SCENES)


def test_the_options_that_a_recipe_reads_are_those_of_the_domains() -> None:
    assert {spec.options for spec in house_specs()} - {NoOptions} == set(house_options())
    owned = {option.name: option for owner in house_options() for option in dataclasses.fields(owner)}
    assert set(DomainSection.OWNED) == owned.keys() and len(owned) >= 4
    section = defaults(DomainSection)
    assert {name: section[name] for name in owned} == {name: option.default for name, option in owned.items()}


def test_options_of_a_domain_stand_behind_the_one_that_they_name() -> None:
    names = list(defaults(DomainSection))
    assert names[:3] == ["name", "data", "layout"]
    for owner in (*house_options(), DataOptions, ReadingOptions):
        options = [option.name for option in dataclasses.fields(owner)]
        at = names.index(options[0])
        assert names[at : at + len(options)] == options
        assert names.index(owner.AFTER) < at


@pytest.mark.parametrize("decoder", DECODERS)
def test_without_losses_a_decoder_is_trained_by_its_own_terms(decoder: str) -> None:
    domain = {"name": "natural", "good_only": decoder == "memory"}
    recipe = check_recipe(Recipe, {"domain": domain, "decoder": {"name": decoder}, "method": {"name": "decoder_only"}})
    expected = {name: defaults(LOSSES[name]) for name in OWN_TERMS[decoder]}
    assert recipe.losses.options() == expected


def test_every_term_fits_a_decoder() -> None:
    assert {term for terms in POSSIBLE_TERMS.values() for term in terms} == LOSSES.keys()


def test_a_loss_changes_and_adds_terms() -> None:
    sections = {
        "domain": {"name": "natural"},
        "decoder": {"embedding_dim": 8},
        "losses": {"boundary": {"weight": 0.0}, "embedding": {"push_margin": 2.0}, "foreground": None},
    }
    terms = check_recipe(Recipe, sections).losses.options()
    assert terms["boundary"] == {"weight": 0.0, "nested": False}
    assert terms["embedding"]["push_margin"] == 2.0
    assert terms["foreground"]["weight"] == 1.0


def test_a_method_without_a_name_is_lora() -> None:
    recipe = check_recipe(Recipe, {"domain": {"name": "natural"}, "method": {"rank": 4}})
    assert (recipe.method.name, recipe.method.options()["rank"]) == ("lora", 4)


WRONG = {
    "method.rank is 0; wanted an integer from 1 to 256": {"method": {"rank": 0}},
    "method.rank is true; wanted an integer from 1 to 256": {"method": {"rank": True}},
    "method.rank is '8'; wanted an integer from 1 to 256": {"method": {"rank": "8"}},
    f"method.rnk is no option; known: {OF_LORA} (did you mean 'rank'?)": {"method": {"rnk": 3}},
    "method.rank is an option of method.name=lora; method.name is 'decoder_only'": {
        "method": {"name": "decoder_only", "rank": 4}
    },
    f"method.name is 'lorra'; known: {KNOWN} (did you mean 'lora'?)": {"method": {"name": "lorra"}},
    f"method.name is null; known: {KNOWN}": {"method": {"name": None}},
    "method is 5; wanted a section of options": {"method": 5},
    "method.roles[1] is 'x'; known: k, mlp_in, mlp_out, out, q, qkv, v": {"method": {"roles": ["q", "x"]}},
    "method.layers is 'last'; wanted 'all' or 'last:N' or a list that is not empty, each an integer of at least 1": {
        "method": {"layers": "last"}
    },
    "method.dropout is 1; wanted a number of at least 0 and below 1": {"method": {"dropout": 1}},
    (
        "backbone.name is 'dino2'; known: entity-small, a Hub id such as facebook/dinov2-small, a folder or a .pth "
        "checkpoint"
    ): {"backbone": {"name": "dino2"}},
    "backbone.taps[1] is 0; wanted an integer of at least 1": {"backbone": {"taps": [2, 0]}},
    "domain.name is 'patology'; known: industrial, natural, pathology, remote_sensing (did you mean 'pathology'?)": {
        "domain": {"name": "patology"}
    },
    "domain.name is missing; wanted a text": {"domain": {"data": "sample"}},
    "domain.data is null; wanted a text": {"domain": {"name": "natural", "data": None}},
    "domain.overlap_px is 300; wanted less than domain.tile_px, which is 256": {
        "domain": {"name": "natural", "overlap_px": 300}
    },
    "domain.fractions is [0.5, 0.5, 0.5]; wanted shares of train, val and test that sum to 1; these sum to 1.5": {
        "domain": {"name": "natural", "fractions": [0.5, 0.5, 0.5]}
    },
    f"domain.bands is [1, 1, 1, 1, 1, 1, ...]; bands are {['1'] * 17}; wanted from 1 to 16": {
        "domain": {"name": "natural", "bands": [1] * 17}
    },
    "train.rehearsal wants one band or three, as generated scenes are RGB; set it to 0": {
        "domain": {"name": "natural", "bands": [1, 2, 3, 4]},
        "train": {"rehearsal": 0.5},
    },
    "decoder.width is 41; wanted an integer from 4 to 128 and a multiple of 2": {"decoder": {"width": 41}},
    "decoder.mask_stride is 3; wanted one of 2, 4, 8": {"decoder": {"name": "query", "mask_stride": 3}},
    "decoder.heads is 3; wanted a divisor of decoder.dim, which is 128": {"decoder": {"name": "query", "heads": 3}},
    "domain.name is 'mix' and the section mix is null; a mixture has both domain.name=mix and its domains in mix": {
        "domain": {"name": "mix"}
    },
    "domain.stain is 'macenko'; wanted null beside other bands than RGB, or domain.bands=[]": {
        "domain": {"name": "pathology", "bands": [1, 2], "stain": "macenko"}
    },
    "domain.paste_share is 0.5; wanted 0, as its blending wants one band or three": {
        "domain": {"name": "natural", "bands": [1, 2, 3, 4], "paste_share": 0.5}
    },
    "domain.hard_negatives wants decoder.name=dense; decoder.name is 'query'": {
        "domain": {"name": "natural", "hard_negatives": 0.5},
        "decoder": {"name": "query"},
    },
    "train.start names an adapter of the base; backbone.random=true has another: leave one": {
        "backbone": {"random": True},
        "train": {"start": "runs/cells/adapter"},
    },
    "losses.set wants decoder.name=query; decoder.name is 'dense'": {"losses": {"set": {}}},
    "losses.embedding wants decoder.embedding_dim above 0, for instance 8": {"losses": {"embedding": {}}},
    "losses.boundary.weight is -1; wanted a number of at least 0": {"losses": {"boundary": {"weight": -1}}},
    "losses.fourground is no option; known: boundary, boundary_distance, centre_distance, embedding, foreground, "
    "partition, prompted, set, topology (did you mean 'foreground'?)": {"losses": {"fourground": None}},
    "decoder.mask_stride is 'x'; wanted one of 2, 4, 8": {"decoder": {"name": "query", "mask_stride": "x"}},
    "decoder.name is []; known: dense, memory, query, sam": {"decoder": {"name": []}},
    "domain.bands[1] is null; wanted a text or an integer": {"domain": {"name": "natural", "bands": ["red", None]}},
    "domain.overlap_px is 64; wanted less than domain.tile_px, which is 64": {
        "domain": {"name": "natural", "tile_px": 64}
    },
    "train.lr is nan; wanted a number above 0": {"train": {"lr": float("nan")}},
    "train.precision is 'fp16'; known: auto, bf16, fp32 (did you mean 'bf16'?)": {"train": {"precision": "fp16"}},
    "train.betas[1] is missing; wanted a number of at least 0 and below 1": {"train": {"betas": [0.9]}},
    "domian is no option; known: backbone, decoder, domain, labels, losses, method, mix, tracking, train (did you mean "
    "'domain'?)": {"domian": {}},
    "train.steps is 0; wanted an integer of at least 1 (and 1 more)": {"train": {"steps": 0, "seed": -1}},
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_recipe_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(InputError) as refused:
        check_recipe(Recipe, {"domain": {"name": "natural"}, **WRONG[line]})
    assert str(refused.value) == line


def test_bands_may_be_numbers_names_and_indices() -> None:
    recipe = check_recipe(Recipe, {"domain": {"name": "natural", "bands": [3, "red", "ndvi", "(4-3)/(4+3)"]}})
    assert recipe.domain.bands == ("3", "red", "ndvi", "(4-3)/(4+3)")


def test_no_term_of_the_loss_may_be_left() -> None:
    silent = {name: {"weight": 0} for name in OWN_TERMS["dense"]}
    with pytest.raises(InputError, match="every term of losses has weight 0; wanted one above 0"):
        check_recipe(Recipe, {"domain": {"name": "natural"}, "losses": silent})


WRONG_PRETRAINING = {
    "scenes is missing; wanted a section of options": {},
    "scenes.families: no family is called 'leafs'; known:": {"scenes": {"families": {"leafs": 1}}},
    "scenes.families: every family has weight 0; wanted one above 0": {"scenes": {"families": {"leaves": 0}}},
    "scenes.families.leaves is -1; wanted a number of at least 0": {"scenes": {"families": {"leaves": -1}}},
    "vit: width is 192; wanted a multiple of heads, which is 5": {
        "scenes": {"families": {"leaves": 1}},
        "vit": {"heads": 5},
    },
    "vit: taps end at 9; wanted at most layers, which is 6": {
        "scenes": {"families": {"leaves": 1}},
        "vit": {"taps": [9]},
    },
}


@pytest.mark.parametrize("line", WRONG_PRETRAINING)
def test_a_wrong_pretraining_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(InputError) as refused:
        check_recipe(PretrainRecipe, WRONG_PRETRAINING[line])
    assert str(refused.value).startswith(line)


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(InputError) as refused:
        check_recipe(Recipe, {"domain": {"name": "natural"}, "method": {"rank": "x" * 10_000}})
    assert len(str(refused.value)) < 200


def test_a_domain_of_an_installed_package_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("botany", "somewhere:DOMAIN", GROUP)
    for module in (domain_section, registry):
        monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    assert check_recipe(Recipe, {"domain": {"name": "botany"}}).domain.name == "botany"
    with pytest.raises(InputError, match="domain 'botany' .* cannot be loaded from 'somewhere:DOMAIN'"):
        check_recipe(Recipe, {"domain": {"name": "botany", "petals": 5}})


@dataclass(frozen=True)
class Botany:
    """Of a package."""

    petals: Annotated[int, Field(ge=1, le=40)] = 5
    """How many petals a flower has."""
    drawn_defects: Literal["aphids", "none"] = "none"
    """In place of the house's share."""


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """`packaged(options)`: a package's domain `botany` has these options."""

    def install(options: type) -> None:
        spec = dataclasses.replace(house_specs()[-1], name="botany", options=options)
        module = types.ModuleType("botany_of_a_test")
        module.DOMAIN = spec  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = EntryPoint("botany", f"{module.__name__}:DOMAIN", GROUP)
        for module in (domain_section, registry):
            monkeypatch.setattr(module, "entry_points", lambda group: [entry])

    return install


def test_a_recipe_says_the_options_of_a_package(packaged: Callable[[type], None]) -> None:
    packaged(Botany)
    recipe = check_recipe(Recipe, {"domain": {"name": "botany", "petals": 8}})
    assert isinstance(recipe, Recipe)
    section = recipe.domain.options()
    assert (section["petals"], section["drawn_defects"], section["seasons"]) == (8, "none", False)
    assert yaml.safe_load(resolved_yaml(recipe))["domain"]["petals"] == 8
    assert changed(recipe, ["domain.petals=9"]).domain.options()["petals"] == 9
    moved = changed(recipe, ["domain.name=natural"])
    assert type(moved) is Recipe and "petals" not in moved.domain.options()
    domain = domain_in(recipe.domain)
    assert isinstance(domain, DataDomain) and domain.extra["petals"] == 8


@pytest.mark.parametrize(
    "options, line",
    [
        ({"petals": 0}, "domain.petals is 0; wanted an integer from 1 to 40"),
        ({"drawn_defects": 0.5}, "domain.drawn_defects is 0.5; wanted one of 'aphids', 'none'"),
        ({"petal": 3}, "(did you mean 'petals'?)"),
        ({"name": "natural", "petals": 3}, "domain.petals is no option; known: attribute,"),
    ],
)
def test_options_of_a_package_are_checked_as_ours(
    packaged: Callable[[type], None], options: dict[str, Any], line: str
) -> None:
    packaged(Botany)
    with pytest.raises(InputError) as refused:
        check_recipe(Recipe, {"domain": {"name": "botany", **options}})
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_what_a_package_s_option_does_not_take_is_refused_in_one_line(packaged: Callable[[type], None]) -> None:
    packaged(Botany)
    names = {case.name for case in cases(recipe_of("botany"), {"domain": {"name": "botany"}})}
    assert {"domain.petals: 41", "domain.petals: NaN", "domain.drawn_defects: 'x'"} <= names
    options = {name: option for name, option in defaults(recipe_of("botany")).items()}
    assert options.keys() == defaults(Recipe).keys()
    for case in cases(recipe_of("botany"), {"domain": {"name": "botany"}}):
        if case.steps[1:] in (("petals",), ("drawn_defects",)):
            assert fault_of(case, read_recipe(Recipe)) == "", case.name


def test_options_that_cannot_be_read_are_told(packaged: Callable[[type], None]) -> None:
    for options, reason in (
        (dataclasses.make_dataclass("Clash", [("crop_px", int, 3)], frozen=True), r"\['crop_px'\] are called as"),
        (dataclasses.make_dataclass("Odd", [("leaf", "Nowhere", 3)], frozen=True), "'Odd' cannot be read"),
    ):
        packaged(options)
        with pytest.raises(InputError, match=f"domain 'botany': its options .*{reason}"):
            check_recipe(Recipe, {"domain": {"name": "botany"}})


def test_the_schema_and_the_page_show_a_package_s_options(packaged: Callable[[type], None]) -> None:
    packaged(Botany)
    text = page({"Recipes": recipe_of("botany")})
    assert "| `petals` | an integer from 1 to 40 | `5` | How many petals a flower has. |" in text
    schema = editor_schema(recipe_of("botany"))
    jsonschema.validate({"domain": {"name": "botany", "petals": 40}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"domain": {"name": "botany", "petals": 41}}, schema)
    assert "petals" not in page() and recipe_of("natural") is Recipe


def test_the_home_folder_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    domain = check_recipe(Recipe, {"domain": {"name": "natural", "data": "~/images"}}).domain
    assert domain.data == "/home/ada/images"


@pytest.mark.parametrize("file", SCHEMAS)
def test_the_shipped_json_schema_is_current(file: str) -> None:
    written = json.loads((SHIPPED / file).read_text(encoding="utf-8"))
    assert written == editor_schema(SCHEMAS[file]), "run python -m recipes.reading.editor_schema"


@pytest.mark.parametrize("name", list_recipes())
def test_editors_accept_every_shipped_recipe(name: str) -> None:
    text = (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
    file = "pretrain.schema.json" if isinstance(load_any(name), PretrainRecipe) else "recipe.schema.json"
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={file}"
    jsonschema.validate(yaml.safe_load(text), json.loads((SHIPPED / file).read_text(encoding="utf-8")))


def test_editors_refuse_a_wrong_recipe() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"method": {"name": "lora", "rank": 0}}, editor_schema(Recipe))


def test_a_recipe_is_checked_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys; from recipes.reading.compose import load_recipe; load_recipe('pathology');"
        "sys.exit(', '.join({'torch', 'numpy', 'transformers', 'lightning', 'peft'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=SHIPPED.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_schemas_are_written_into_a_folder_and_printed_for_a_domain(tmp_path, monkeypatch, capsys) -> None:
    write_schemas(tmp_path)
    assert {file: json.loads((tmp_path / file).read_text()) for file in SCHEMAS} == {
        file: editor_schema(kind) for file, kind in SCHEMAS.items()
    }
    monkeypatch.setattr("sys.argv", ["a module", "pathology"])
    for module in ("editor_schema", "option_docs"):
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of a module that is imported
            runpy.run_module(f"recipes.reading.{module}", run_name="__main__")
    schema, _, printed = capsys.readouterr().out.partition("\n}\n")
    assert json.loads(f"{schema}}}") == editor_schema(recipe_of("pathology"))
    assert printed.startswith(page({"Recipes of the domain pathology": recipe_of("pathology")})[:200])
