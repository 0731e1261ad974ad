"""Entities: a map of ids with what is known of each, and what is drawn, outlined and measured of it."""

from domains.entities.map import BACKGROUND as BACKGROUND
from domains.entities.map import UNLABELLED as UNLABELLED
from domains.entities.map import EntityBatch as EntityBatch
from domains.entities.map import EntityMap as EntityMap
from domains.entities.map import EntitySample as EntitySample
from domains.entities.map import Place as Place
from domains.entities.map import collate as collate
from domains.entities.map import renumber as renumber
