"""YAML as files of people hold it: what a scalar means, where it stands, what is refused, and what is written back."""

from __future__ import annotations

import json
import math
import unicodedata

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from rules import yamlfile
from rules.errors import Fault
from rules.yamlfile import MAX_DEPTH, Document, read_yaml, yaml_text


def value(text: str) -> object:
    found = read_yaml(text, "a.yaml")
    assert isinstance(found, Document), found
    return found.value


def fault(text: str) -> Fault:
    found = read_yaml(text, "a.yaml")
    assert isinstance(found, list)
    (only,) = found
    return only


@pytest.mark.parametrize(
    ("scalar", "meant"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("False", False), ("12", 12), ("-3", -3), ("+4", 4),
        ("007", 7), ("0o17", 15), ("0x1F", 31), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-2", -0.015), (".inf", math.inf),
        ("-.INF", -math.inf),
        # Text by YAML 1.2, whatever 1.1 made of it.
        ("on", "on"), ("No", "No"), ("y", "y"), ("1:30", "1:30"), ("2026-02-30", "2026-02-30"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1_000", "1_000"), ("0b11", "0b11"), ("0o8", "0o8"), ("-0x1F", "-0x1F"), ("1e", "1e"), ("e5", "e5"), (".", "."), ("tRue", "tRue"),
        ("=", "="), ("<<", "<<"), ("\u0661\u0662", "\u0661\u0662"), ("'12'", "12"), ('"null"', "null"), ("|\n  12", "12\n"), (">-\n  a\n  b", "a b"),
    ],
)  # fmt: skip
def test_a_scalar_means_what_the_core_schema_says(scalar: str, meant: object) -> None:
    found = value(f"a: {scalar}\n")
    assert found == {"a": meant}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(meant)


def test_not_a_number_is_one() -> None:
    found = value("a: .nan")
    assert isinstance(found, dict)
    assert math.isnan(found["a"])


def test_keys_are_the_text_that_stands_there() -> None:
    assert value("1: a\ntrue: b\n1.0: c\n'~': d\n~: e\n".replace("~: e\n", "")) == {
        "1": "a",
        "true": "b",
        "1.0": "c",
        "~": "d",
    }


@pytest.mark.parametrize("text", ["", "\n", "# nothing but a remark\n", "---\n", "---\n...\n"])
def test_an_empty_text_is_none(text: str) -> None:
    found = read_yaml(text, "a.yaml")
    assert isinstance(found, Document)
    assert found.value is None
    assert found.where("/facilities/0") == "a.yaml:1:1"


PLACES = """\
# a remark
facilities:
  - id: A
    areas: [{id: one}, {id: "two"}]
  -
    id: B
    a/b~c: 1
"""


@pytest.mark.parametrize(
    ("pointer", "at"),
    [
        ("", "1:1"), ("/facilities", "2:1"), ("/facilities/0", "3:5"), ("/facilities/0/id", "3:5"), ("/facilities/0/areas/1", "4:24"),
        ("/facilities/0/areas/1/id", "4:25"), ("/facilities/1", "6:5"), ("/facilities/1/a~1b~0c", "7:5"),
        # What is not there is named by the deepest part that is.
        ("/facilities/1/areas/0/name", "6:5"), ("/facilities/1/Facility/id", "6:5"), ("/facilities/2", "2:1"), ("/facilities/-1", "2:1"), ("/facilities/\u0661", "2:1"), ("/other", "1:1"),
    ],
)  # fmt: skip
def test_a_pointer_has_a_place(pointer: str, at: str) -> None:
    found = read_yaml(PLACES, "a.yaml")
    assert isinstance(found, Document)
    assert found.where(pointer) == f"a.yaml:{at}"


def test_the_label_of_a_fault_leaves_out_the_branch_of_a_model() -> None:
    found = read_yaml("areas:\n  - kind: room\n    size: -1\n", "a.yaml")
    assert isinstance(found, Document)
    placed = found.place(Fault("/areas/0/room/size", "out_of_range", "is below 0"))
    assert placed == Fault("a.yaml:3:5", "out_of_range", "areas/0/size: is below 0")
    missing = found.place(Fault("/areas/0/name", "missing", "is not there"))
    assert missing == Fault("a.yaml:2:5", "missing", "areas/0/name: is not there")


@pytest.mark.parametrize(
    ("text", "at", "code", "part"),
    [
        ("a: &x 1\nb: *x\n", "2:4", "alias", "write it out"),
        ("a: 1\nb: 2\na: 3\n", "3:1", "yaml", 'duplicate key "a"'),
        ('{"a": 1, "a": 2}', "1:10", "yaml", 'duplicate key "a"'),
        ("a: !!python/object:os.system x\n", "1:4", "yaml", "tags are not allowed"),
        ("a: !mine {b: 1}\n", "1:4", "yaml", "tags are not allowed: !mine"),
        ("? [1, 2]\n: 3\n", "1:3", "yaml", "a key is no text"),
        ("? {a: 1}\n: 3\n", "1:3", "yaml", "a key is no text"),
        ("a: 1\n---\nb: 2\n", "2:1", "yaml", "a single document"),
        ("a: [1, 2\nb: 3\n", "2:2", "yaml", "did not find expected"),
        ("a: 1\n b: 2\n", "2:3", "yaml", "mapping values are not allowed"),
        ("a:\n\t- 1\n", "2:1", "yaml", "cannot start any token"),
        ("a: 1\nb: \x07\n", "2:4", "yaml", "control characters are not allowed"),
        ("a: " + "9" * 5000, "1:4", "yaml", "a number of 5000 digits"),
        ("[" * 100_000, f"1:{MAX_DEPTH + 1}", "yaml", "nested deeper than 32"),
        ("{a: " * 100_000, f"1:{4 * MAX_DEPTH + 1}", "yaml", "nested deeper than 32"),
        ("- " * 100_000, f"1:{2 * MAX_DEPTH + 1}", "yaml", "nested deeper than 32"),
    ],
)  # fmt: skip
def test_what_no_file_may_hold_is_told_with_its_place(text: str, at: str, code: str, part: str) -> None:
    found = fault(text)
    assert (found.pointer, found.code) == (f"a.yaml:{at}", code)
    assert part in found.detail
    assert "\n" not in found.detail


def test_a_text_as_deep_as_it_may_be_is_read() -> None:
    found = value("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(found, list)
        (found,) = found
    assert found == []


def test_a_text_of_too_many_bytes_is_not_read() -> None:
    assert isinstance(read_yaml("ab\u4eac", "a.yaml", 5), Document)
    found = read_yaml("ab\u4eac", "a.yaml", 4)
    assert isinstance(found, list)
    assert found[0].code == "too_large"


def test_escapes_of_json_beyond_the_basic_plane_are_one_character() -> None:
    assert value('{"a": "\\ud83d\\ude00!", "b": "\\\\ud83d\\\\ude00"}') == {"a": "\U0001f600!", "b": "\\ud83d\\ude00"}
    assert fault('{"a": "\\ud83d"}').code == "yaml"


def test_without_libyaml_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert yamlfile._PARSER is yaml.CBaseLoader
    with_it = read_yaml(PLACES, "a.yaml")
    monkeypatch.setattr(yamlfile, "_PARSER", yaml.BaseLoader)
    without = read_yaml(PLACES, "a.yaml")
    assert isinstance(with_it, Document)
    assert isinstance(without, Document)
    assert with_it.value == without.value
    assert with_it._tree == without._tree


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), plain))
@example(
    {
        "a": "1e5",
        "b": "0o17",
        "c": "on",
        "d": "2026-01-01",
        "e": ".5",
        "f": "~",
        "g": "",
        "h": " x ",
        "i": "a: b #",
        "j": "\x85\u2028\ufeff",
    }
)
@example({"1e5": 1, "0x1f": 2, "true": 3, "": 4, "? a": 5, "- b": 6, "\U0001f600": "\U0001f600", "k": "a\n\n b\n"})
def test_what_is_written_is_read_back_as_the_same(wanted: dict[str, object]) -> None:
    assert value(yaml_text(wanted)) == wanted


def printable(wanted: object) -> bool:
    """Say whether JSON could hold it in a text that YAML allows: control characters are escaped there."""
    return not any(unicodedata.category(each) == "Cc" for each in json.dumps(wanted, ensure_ascii=False))


@given(st.dictionaries(st.text(), plain).filter(printable))
def test_json_is_yaml(wanted: dict[str, object]) -> None:
    for text in (json.dumps(wanted), json.dumps(wanted, ensure_ascii=False, indent=1)):
        plainly = text.replace("Infinity", ".inf")
        assert value(plainly) == json.loads(text.replace("Infinity", "1e999"))
