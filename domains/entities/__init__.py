"""Entities: a map of ids with what is known of each, and what is drawn, outlined and measured of it."""

from domains.entities.batch import EntityBatch as EntityBatch
from domains.entities.batch import collate as collate
from domains.entities.map import BACKGROUND as BACKGROUND
from domains.entities.map import NO_CLASS as NO_CLASS
from domains.entities.map import UNLABELLED as UNLABELLED
from domains.entities.map import EntityMap as EntityMap
from domains.entities.map import renumber as renumber
from domains.entities.sample import EntitySample as EntitySample
from domains.entities.sample import Place as Place
from domains.entities.sample import Samples as Samples
