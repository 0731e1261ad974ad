"""Frozen vision foundation models behind one interface."""

from adapters.backbones.backbone import Backbone
from adapters.backbones.build import BACKBONES, FAMILIES, build_backbone
from adapters.options.backbone import EMBEDDED, ROLES, BackboneOptions

__all__ = ["BACKBONES", "EMBEDDED", "FAMILIES", "ROLES", "Backbone", "BackboneOptions", "build_backbone"]
