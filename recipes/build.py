"""From the words of a recipe to the parts they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.backbones import Backbone, build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.backbones.projection import build_projection
from adapters.decoders import decoder_options
from adapters.decoders.build import build_decoder
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract
from adapters.losses import EntityLoss, build_loss
from adapters.methods import Method, build_method, detach
from adapters.network import EntitySegmenter
from adapters.options.contract import AVERAGED
from adapters.options.decoders import DecoderOptions, Dense
from adapters.options.section import values_of
from adapters.runtime import CPU, Runtime
from adapters.sharing.door import read_info
from adapters.sharing.folder import load_adapter
from adapters.sharing.opening import opened
from domains.bands import channels_of
from domains.datasets.domain import Domain, build_domain, data_options
from domains.errors import InputError
from recipes.reading.domain_section import MIX
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import DomainSection, Recipe
from recipes.scale import in_numbers, seen_pixel_size
from recipes.sides import check_sides


def domain_of(recipe: Recipe) -> Domain:
    """The domain on the recipe's data, with those of the section's options that it takes."""
    return domain_in(recipe.domain, recipe.train.seed)


def domain_in(section: DomainSection, seed: int = 0) -> Domain:
    """The domain of a recipe's section. seed: of generated scenes. Raises InputError for one of several."""
    if section.name == MIX:
        raise InputError("a mixture of domains is what `fit` alone takes; name the recipe of one of its domains")
    names = {*data_options(), *section.OWNED}
    options = {key: value for key, value in section.options().items() if key in names}
    return build_domain(section.name, section.data, seed=seed, **options)


def backbone_of(recipe: Recipe) -> Backbone:
    """The recipe's frozen base, on the CPU, with nothing attached. Raises InputError where it is not at hand."""
    return build_backbone(recipe.backbone)


def method_of(recipe: Recipe) -> Method:
    """The recipe's method, not yet attached."""
    return build_method(recipe.method)


def segmenter_of(
    recipe: Recipe, backbone: Backbone, method: Method, runtime: Runtime = CPU, member: str | None = None
) -> EntitySegmenter:
    """The network, method attached, on `runtime`. It starts from an adapter where the recipe names one; else a decoder
    of a shape that was pretrained with the base starts from that.

    backbone: on the CPU. member: of an adapter of several domains that it starts from, whose decoder it is. Raises
    InputError where the recipe does not fit it.
    """
    check_sides(recipe, backbone)
    if recipe.train.start_adapter:
        return continued(recipe, backbone, method, member).place(runtime)
    detach(backbone)
    backbone.answer_prompts(recipe.decoder.name == "sam")
    method.attach(backbone)
    decoder = decoder_of(recipe.decoder, backbone)
    if not recipe.backbone.random:
        warm_start(decoder, folder_of(recipe.backbone.name), recipe.train.start_kind)
    method.adapt_decoder(decoder)
    return EntitySegmenter(backbone, decoder, build_projection(recipe.domain.bands)).place(runtime)


def continued(recipe: Recipe, backbone: Backbone, method: Method, member: str | None = None) -> EntitySegmenter:
    """The network of an adapter to go on from: its weights, with the thresholds of the recipe's decoder.

    member: of an adapter in which every domain has a decoder, by its name, whose it is.

    Raises InputError where what would learn is not what the adapter holds.
    """
    start = recipe.train.start_adapter or ""
    with opened(Path(start).expanduser()) as folder:
        info = read_info(folder)
        if info.is_branched and member not in (info.mixture or {}):
            raise InputError(
                f"train.start {start!r} is of several domains, {', '.join(info.mixture or {})}, with decoders of their "
                "own; start a mixture of members of these names, or take one out by `adapters member`"
            )
        segmenter, info = load_adapter(folder, backbone, info=info, member=member if info.is_branched else None)
    for section, had, has in (
        ("method", values_of(info.method), values_of(recipe.method)),
        ("decoder", values_of(info.decoder), values_of(recipe.decoder)),
        ("domain.bands", {"bands": list(info.input.bands)}, {"bands": list(recipe.domain.bands)}),
    ):
        for name in sorted(
            (had.keys() | has.keys()) - {"regions", "merging", *recipe.decoder.TUNED},
            key=lambda name: (name != "name", name),
        ):
            if had.get(name) != has.get(name):
                raise InputError(
                    f"train.start {start!r} has {section} {name}={had.get(name)}; the recipe has {has.get(name)}: set "
                    "it to the adapter's, or start from another"
                )
    segmenter.decoder.adopt(decoder_options(recipe.decoder))
    return segmenter.train()


def decoder_of(section: DecoderOptions, backbone: Backbone) -> Any:
    """The decoder of a recipe's section, with fresh weights, of the backbone's width and taps."""
    return build_decoder(decoder_options(section), backbone)


def loss_of(recipe: Recipe | PretrainRecipe) -> EntityLoss:
    """The loss of the recipe's terms."""
    return build_loss(recipe.losses.options())


def contract_of(
    recipe: Recipe, pixel_size_m: float | None = None, stain: dict[str, Any] | None = None
) -> InputContract:
    """How a network of the recipe wants to see a scene. pixel_size_m: of its training images, where they say it."""
    domain = recipe.domain
    dense = isinstance(recipe.decoder, Dense)  # sets of queries have no mean
    averaged = {name: getattr(domain, name) for name in AVERAGED} if dense else {}
    return InputContract(
        in_numbers(domain.scale),
        domain.tile_px,
        domain.overlap_px,
        pixel_size_m,
        seen_pixel_size(domain.name) if pixel_size_m is None and in_numbers(domain.scale) == 1 else None,
        channels=channels_of(domain.bands),
        stain=stain,
        bands=domain.bands,
        band_names=domain.band_names,
        **averaged,
    )


def run_folder(kind: str, name: str, out: Path | None) -> Path:
    """The run's folder: OUT, or the first free runs/KIND-NAME-N."""
    if out is not None:
        return out
    number = 1
    while Path(f"runs/{kind}-{name}-{number}").exists():
        number += 1
    return Path(f"runs/{kind}-{name}-{number}")
