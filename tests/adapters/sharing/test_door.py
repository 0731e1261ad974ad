"""The texts of an adapter at the door: what lacks, what is of another method, and what is no section."""

from __future__ import annotations

import pytest

from adapters.options.section import checked
from adapters.sharing.door import check_peft, read_recipe
from adapters.sharing.info import INFO, PEFT, RECIPE, AdapterInfo, read_text
from domains.errors import InputError
from tests.adapters.sharing.conftest import VALUES

SEALED = {**VALUES, "digest": "0" * 64}


def test_the_file_of_peft_is_there_where_the_method_is_peft_s(adapter_folder):
    plain, lora = (checked(AdapterInfo, {**SEALED, "method": {"name": name}}) for name in ("decoder_only", "lora"))
    check_peft(adapter_folder, plain)
    with pytest.raises(InputError, match=f"{PEFT}' is missing; get the adapter again"):
        check_peft(adapter_folder, lora)
    (adapter_folder / PEFT).write_text("[]")
    with pytest.raises(InputError, match=f"{PEFT}' holds list; wanted options"):
        check_peft(adapter_folder, lora)
    with pytest.raises(InputError, match=f"is of a method of peft, {INFO} says 'decoder_only'"):
        check_peft(adapter_folder, plain)


@pytest.mark.parametrize(
    "text, message",
    [
        (None, f"has no {RECIPE}; get the adapter again"),
        ("- domain", "holds list; wanted sections such as `domain:`"),
        ("extends: natural", "extends 'natural'; the recipe in an adapter is whole"),
    ],
)
def test_a_recipe_is_whole_and_made_of_sections(text, message, adapter_folder):
    (adapter_folder / RECIPE).unlink()
    if text is not None:
        (adapter_folder / RECIPE).write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(adapter_folder)


def test_a_text_that_is_too_large_is_not_read_and_a_revision_is_of_a_hub_id(adapter_folder):
    with (adapter_folder / RECIPE).open("r+b") as file:
        file.truncate(2**21)
    with pytest.raises(InputError, match=f"{RECIPE}' has 2097152 bytes; wanted at most"):
        read_text(adapter_folder, RECIPE)
    base = {**VALUES["backbone"], "revision": "main"}
    with pytest.raises(InputError, match="revision.* wanted null, as .* is 'entity-small', which is no Hub id"):
        checked(AdapterInfo, {**SEALED, "backbone": base})
