"""`cli.py adapters member`: one domain of an adapter of several, as an adapter of its own."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from adapters.decoders.branches import weights_prefix
from adapters.sharing.card import card_text
from adapters.sharing.door import read_info, sealed
from adapters.sharing.info import CARD, DECODER_WEIGHTS, INFO, PEFT, RECIPE, present
from adapters.sharing.opening import opened
from adapters.sharing.shelf import copy_files
from adapters.sharing.weights import tensors
from domains.atomic import atomic_folder
from domains.errors import InputError
from recipes.reading.command import following
from recipes.reading.compose import resolved_yaml
from recipes.shared import member_of, not_mixed, shared_recipe

SCORER = "scorer."
"""How the weights of the scorer of regions are called."""


def member_text(adapter: str, member: str, out: Path) -> str:
    """Write a member of a mixture to OUT, weights and thresholds as they are; the folder, and the next line.

    Raises InputError for what is no mixture, and for a domain that it has not.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists; name another folder")
    with opened(Path(adapter)) as folder:
        stored = read_info(folder)
        if stored.mixture is None:
            raise not_mixed(member, stored, adapter)
        name = member_of(stored, member, adapter)
        recipe, info = shared_recipe(folder, stored, name).recipe, stored.of_member(name)
        with atomic_folder(out) as copy:
            copy_files(folder, copy)
            if stored.is_branched:
                prefix = weights_prefix(str(stored.mixture[name].branch))
                save_file(tensors(copy / DECODER_WEIGHTS, prefix), copy / DECODER_WEIGHTS)
            elif getattr(stored.decoder, "regions", False) and not getattr(info.decoder, "regions", False):
                weights = {key: x for key, x in tensors(copy / DECODER_WEIGHTS).items() if not key.startswith(SCORER)}
                save_file(weights, copy / DECODER_WEIGHTS)
            (copy / RECIPE).write_text(resolved_yaml(recipe), encoding="utf-8")
            (copy / CARD).write_text(card_text(info, peft=present(folder, PEFT)), encoding="utf-8")
            (copy / INFO).write_text(sealed(copy, info).json_text(), encoding="utf-8")
    return f"{out}: {name} of {adapter}\n{following('adapters', 'verify', out)}"
