"""The tables of entities have one set of columns, whatever is in them."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from domains.entities import EntityMap, Place
from domains.exports import Destination, open_exports
from domains.exports.entity_table import COLUMNS, LABELLED, PERSISTENT
from domains.tiling.prediction import Prediction

PLACE = Place("slides/a.png")


def test_tables_of_labelled_entities_have_the_same_columns_last_how_likely_a_class_is(tmp_path, image, prediction):
    parquet = pytest.importorskip("pyarrow.parquet")
    plain = Prediction.of_map(prediction, "a", PLACE, image)
    table = plain.entities._replace(label_scores=np.linspace(0, 1, plain.count))
    ids = np.arange(plain.count) + 2**40
    destination = Destination(tmp_path, columns=(LABELLED, PERSISTENT))
    with open_exports(["parquet", "csv"], destination, ["a"]) as exports:
        exports.stream(replace(plain, entities=table._replace(persistent_ids=ids)))
    rows = parquet.read_table(tmp_path / "entities.parquet").to_pylist()
    text = list(csv.DictReader((tmp_path / "entities.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["label_score"] for row in rows] == [0, 0.25, 0.5, 0.75, 1] and list(rows[0]) == list(text[0])
    assert [row["persistent_id"] for row in rows] == ids.tolist() == [int(row["persistent_id"]) for row in text]


def test_tables_without_any_entity_have_all_columns(tmp_path, image):
    parquet = pytest.importorskip("pyarrow.parquet")
    empty = Prediction.of_map(EntityMap(np.zeros(image.shape[:2], np.int32)), "a", PLACE, image)
    with open_exports(["parquet", "csv"], Destination(tmp_path, columns=(LABELLED,)), ["a"]) as exports:
        exports.stream(empty)
    columns = [*COLUMNS, LABELLED]
    assert parquet.read_table(tmp_path / "entities.parquet").column_names == columns
    assert (tmp_path / "entities.csv").read_text(encoding="utf-8").split("\n")[0] == ",".join(columns)
