"""Scenes: pictures, slides and rasters of any size, read by windows."""

from domains.scenes.open import open_scene
from domains.scenes.scene import Georeference, Photograph, Scene
from domains.scenes.view import View, Viewed, plain_view

__all__ = ["Georeference", "Photograph", "Scene", "View", "Viewed", "open_scene", "plain_view"]
