"""Frozen vision foundation models behind one interface."""

from adapters.backbones.backbone import Backbone
from adapters.backbones.build import BACKBONES, FAMILIES, build_backbone
from adapters.backbones.options import ENTITY_TINY, ROLES, BackboneOptions

__all__ = ["BACKBONES", "ENTITY_TINY", "FAMILIES", "ROLES", "Backbone", "BackboneOptions", "build_backbone"]
