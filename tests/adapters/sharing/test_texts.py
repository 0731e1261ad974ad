"""Texts that somebody else wrote."""

from __future__ import annotations

import time

import pytest

from adapters.sharing.texts import parse_json, parse_yaml, yaml_text
from domains.errors import InputError, printable

WRONG_JSON = {
    '{"a": 1, "a": 2}': "'a' is given twice",
    '{"a": NaN}': "NaN is no JSON",
    "[-Infinity]": "-Infinity is no JSON",
    "[1e999]": "beyond what a float holds",
    f"[{'9' * 5000}]": "beyond 64 bits",
    "[" * 10**5: "nested deeper than 16",
    '{"a":' * 40 + "1" + "}" * 40: "nested deeper than 16",
    '{"a"': "Expecting",
    "": "Expecting value",
    '"' + '\\"' * 10**5: "Unterminated",
}


@pytest.mark.parametrize("text", WRONG_JSON, ids=lambda text: text[:12])
def test_json_that_python_would_read_or_choke_on_is_refused(text: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match=r"^a\.json: ") as caught:
        parse_json(text, "a.json")
    assert WRONG_JSON[text] in str(caught.value) and time.process_time() - start < 1


def test_json_as_it_should_be_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, "[[[[[[[[[[[[[[[[[[[", null]}', "a") == {"a": [1, 2.5, "[" * 19, None]}


@pytest.mark.parametrize("text", [f"a: {'9' * 300}", f"a: 0x{'f' * 5000}", "a: &x [1]\nb: *x", "a: 1\na: 2"])
def test_yaml_with_surprises_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^a\.yaml:\d: "):
        parse_yaml(text, "a.yaml")


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("Zellen \x1b[31mred\x07 \u202e\ud800 ö") == "Zellen \\x1b[31mred\\x07 \\u202e\\ud800 ö"


@pytest.mark.parametrize(
    "word", ["1e3", ".5", "3e-4", "2024-01-01", "true", "null", "0x1f", "1:30", "a: b", "x #2", "~", "ü"]
)
def test_a_text_that_is_written_is_read_as_that_text(word: str) -> None:
    value = {"data": word, "bands": [word, "red"], "scale": 3e-4}
    assert parse_yaml(yaml_text(value), "a") == value


def test_what_a_reader_changes_is_not_what_the_next_reader_gets() -> None:
    parse_yaml("a: {b: [1]}", "a.yaml")["a"]["b"].append(2)
    assert parse_yaml("a: {b: [1]}", "a.yaml") == {"a": {"b": [1]}}
