"""From the words of a recipe to the parts they name."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.backbones.projection import build_projection
from adapters.decoders import DECODERS
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract
from adapters.methods import METHODS, Method
from adapters.network import EntitySegmenter
from adapters.options.options import AVERAGED, Dense
from adapters.sharing.folder import as_json, load_adapter
from adapters.sharing.package import opened
from domains.bands import channels_of
from domains.datasets.domain import DataDomain, Domain, build_domain
from domains.errors import InputError
from recipes.reading.schema import Recipe
from recipes.scale import in_numbers, seen_pixel_size
from recipes.sides import check_sides


def domain_of(recipe: Recipe) -> Domain:
    """The domain on the recipe's data, with those of the section's options that it takes."""
    known = {field.name for field in fields(DataDomain)}
    options = {key: value for key, value in recipe.domain.options().items() if key in known and key != "data"}
    return build_domain(recipe.domain.name, recipe.domain.data, seed=recipe.train.seed, **options)


def backbone_of(recipe: Recipe) -> Backbone:
    return build_backbone(BackboneOptions(name=recipe.backbone.name, **recipe.backbone.options()))


def method_of(recipe: Recipe) -> Method:
    return METHODS[recipe.method.name](name=recipe.method.name, **recipe.method.options())


def segmenter_of(recipe: Recipe, backbone: Backbone, method: Method) -> EntitySegmenter:
    """The network, method attached. It starts from an adapter where the recipe names one; else a decoder of a shape
    that was pretrained with the base starts from that."""
    check_sides(recipe, backbone)
    if recipe.train.start_adapter:
        return continued(recipe, backbone, method)
    method.attach(backbone)
    decoder = decoder_of(recipe.decoder, backbone)
    if not recipe.backbone.random:
        warm_start(decoder, FOLDERS.get(recipe.backbone.name, Path(recipe.backbone.name)), recipe.train.start_kind)
    return EntitySegmenter(backbone, decoder, build_projection(recipe.domain.bands))


def continued(recipe: Recipe, backbone: Backbone, method: Method) -> EntitySegmenter:
    """The network of an adapter to go on from: its weights, with the thresholds of the recipe's decoder.

    Raises InputError where what would learn is not what the adapter holds.
    """
    start, options = recipe.train.start_adapter or "", DECODERS[recipe.decoder.name](**recipe.decoder.options())
    with opened(Path(start).expanduser()) as folder:
        segmenter, info = load_adapter(folder, backbone)
    for part, had, has in (
        ("method", info.method.model_dump(mode="json"), as_json(asdict(method))),
        ("decoder", info.decoder.model_dump(mode="json"), as_json(asdict(options))),
        ("domain.bands", {"bands": list(info.input.bands)}, {"bands": list(recipe.domain.bands)}),
    ):
        for name in sorted(
            (had.keys() | has.keys()) - {"regions", *options.TUNED}, key=lambda name: (name != "name", name)
        ):
            if had.get(name) != has.get(name):
                raise InputError(
                    f"train.start {start!r} has {part} {name}={had.get(name)}; the recipe has {has.get(name)}: set it "
                    "to the adapter's, or start from another"
                )
    segmenter.decoder.adopt(options)
    return segmenter.train()


def decoder_of(section: Any, backbone: Backbone) -> Any:
    options = DECODERS[section.name](**section.options())
    return options.build(backbone.dim, len(backbone.taps), backbone.stride)


def contract_of(
    recipe: Recipe, pixel_size_m: float | None = None, stain: dict[str, Any] | None = None
) -> InputContract:
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
    """OUT, or the first free runs/KIND-NAME-N."""
    if out is not None:
        return out
    number = 1
    while Path(f"runs/{kind}-{name}-{number}").exists():
        number += 1
    return Path(f"runs/{kind}-{name}-{number}")
