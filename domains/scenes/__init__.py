"""Scenes: pictures, slides and rasters of any size, read by windows."""

from domains.scenes.georeference import Georeference
from domains.scenes.open import SCENE_SUFFIXES, open_scene
from domains.scenes.scene import Photograph, Scene
from domains.scenes.view import View, Viewed, plain_view

__all__ = ["SCENE_SUFFIXES", "Georeference", "Photograph", "Scene", "View", "Viewed", "open_scene", "plain_view"]
