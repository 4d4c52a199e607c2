"""What is wrong with a rule file beside what its model refuses is told as well, and nothing that is not wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import BadInputError
from rules.lint import lint
from rules.pack import SHIPPED, load_bundle
from rules.salvage import KINDS, read_rule, read_table, touches
from rules.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from rules.errors import Fault

STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
GAP = (SHIPPED / "data-integrity" / "gap.yaml").read_text(encoding="utf-8")
PARTICLES = (SHIPPED / "tables" / "cleanroom-particles.yaml").read_text(encoding="utf-8")


def value(text: str) -> object:
    document = read_yaml(text, "file.yaml")
    assert isinstance(document, Document), document
    return document.value


def faults(tmp_path: Path, text: str, **others: str) -> list[Fault]:
    folder = tmp_path / "cold-chain"
    folder.mkdir(exist_ok=True)
    for name, content in {"store-out": text, **others}.items():
        (folder / f"{name.replace('_', '-')}.yaml").write_text(content, encoding="utf-8")
    return [fault for fault in lint([tmp_path]) if "store-out" in fault.pointer]


def told(tmp_path: Path, text: str, **others: str) -> list[tuple[str, str]]:
    """Return (code, place in the file) of every fault of store-out."""
    return [(fault.code, fault.detail.split(":")[0]) for fault in faults(tmp_path, text, **others)]


def swapped(*pairs: tuple[str, str], text: str = STORE_OUT) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_an_unknown_kind_hides_no_other_fault_and_invents_none(tmp_path: Path) -> None:
    assert told(tmp_path, swapped(("kind: limit", "kind: magic"))) == [("unknown_value", "kind")]
    text = swapped(
        ("kind: limit", "kind: magic"),
        ("version: 1.0.0", "version: one"),
        ("zh: 冷库温度超限", "zh: Cold room"),
        ("id: cold-chain.store-out", "id: cold-chain.store-out\nreads: [cold-chain.nothing]\ncolour: red"),
    )
    assert sorted(told(tmp_path, text)) == [
        ("text", "title/zh"),
        ("unknown_member", "colour"),
        ("unknown_rule", "reads"),
        ("unknown_value", "kind"),
        ("wrong_form", "version"),
    ]


def test_a_missing_kind_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    found = faults(tmp_path, swapped(("kind: limit\n", "")))
    assert [(fault.code, fault.detail) for fault in found] == [
        ("missing", f"kind: one of {', '.join(KINDS)} is needed")
    ]


def test_faults_of_the_model_hide_none_of_the_others(tmp_path: Path) -> None:
    text = swapped(
        ("sensor.quantity: temperature,", "sensor.colour: red,"),
        ("when: {consecutive: 2}", "when: {consecutive: true, soon: 1}"),
        ("7x5 9x2 7x10", "7y5"),
        ("consecutive: 3,", "consecutive: 3, latched: true,"),
    )
    assert sorted(told(tmp_path, text)) == [
        ("predicate", "applies_to/sensor.colour"),
        ("samples", "tests/0/series/T1/values"),
        ("unit", "applies_to"),
        ("unknown_member", "when/soon"),
        ("unsupported", "clear/latched"),
        ("wrong_type", "when/consecutive"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "only"),
    [
        ("severity: {base: orange}", "severity: {base: pink}", ("unknown_value", "severity/base")),
        ("version: 1.0.0\n", "", ("missing", "version")),
        ("zh: 冷库温度超限", "zh: 7", ("wrong_type", "title/zh")),
        ("schema: rule/1", "schema: rule/9", ("unknown_value", "schema")),
        ("id: cold-chain.store-out", "id: Cold Chain", ("wrong_form", "id")),
        ("{from: {low: 2, high: 8}, narrower: sensor}", "{narrower: sensor}", ("missing", "limits/from")),
        ("{from: {low: 2, high: 8}, narrower: sensor}", "{}", ("missing", "limits/from")),
    ],
)
def test_what_follows_of_a_fault_is_no_second_one(tmp_path: Path, old: str, new: str, only: tuple[str, str]) -> None:
    assert told(tmp_path, swapped((old, new))) == [only]


def test_a_rule_whose_file_is_faulty_is_there_for_those_that_read_it(tmp_path: Path) -> None:
    reader = swapped(("id: cold-chain.store-out", "id: cold-chain.store-out\nreads: [cold-chain.other]"))
    other = swapped(("id: cold-chain.store-out", "id: cold-chain.other"), ("kind: limit", "kind: magic"))
    assert told(tmp_path, reader, other=other) == []
    assert told(tmp_path, reader, other="a: 1") == [("unknown_rule", "reads")]


def test_a_table_whose_file_is_faulty_is_there_for_those_that_read_it(tmp_path: Path) -> None:
    reader = swapped(
        ("{from: {low: 2, high: 8}, narrower: sensor}", "{from: cleanroom-particles}"),
        ("deadband: 0.5", "deadband: 10%"),
    )
    broken = swapped(("edition:", "editions:"), text=PARTICLES)
    assert "unknown_table" not in {code for code, _ in told(tmp_path, reader, table=broken)}
    assert "unknown_table" in {code for code, _ in told(tmp_path, reader, table="a: 1")}


def test_nothing_of_a_faulty_file_comes_into_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "store-out.yaml"
    path.write_text(swapped(("when: {consecutive: 2}", "when: {soon: 1}")), encoding="utf-8")
    with pytest.raises(BadInputError, match="1 fault"):
        load_bundle([path])


def test_places_are_the_file_s_own_and_texts_name_no_model(tmp_path: Path) -> None:
    text = swapped(("{from: {low: 2, high: 8}, narrower: sensor}", "{from: [2, 8]}"), ("time_to_respond:", "time_to:"))
    found = faults(tmp_path, text)
    assert {(fault.code, fault.detail.split(":")[0]) for fault in found} == {
        ("wrong_type", "limits/from"),
        ("unknown_member", "time_to"),
    }
    words = " ".join(fault.detail for fault in found)
    for leaked in ("Input", "Span", "instance", "pydantic", "Extra inputs", "Value error"):
        assert leaked not in words


@given(st.data())
def test_any_change_of_a_file_is_told_and_breaks_no_lint(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([STORE_OUT, GAP, PARTICLES]))
    content = value(text)
    assert isinstance(content, dict)
    junk = st.sampled_from([None, True, 7, -1.5, "x", "", [], [1], {}, {"a": 1}])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(junk)
    read = read_table if text is PARTICLES else read_rule
    model, found, taken = read(content)
    assert bool(found) == bool(taken)
    if not found:
        assert model is not None
    assert all(touches(fault.pointer, [fault.pointer]) for fault in found)


@pytest.mark.parametrize("junk", [None, 3, [], "x", {}, {"schema": "rule/1"}, {"kind": []}, {"kind": {"a": 1}}])
def test_values_that_are_no_rule_are_refused(junk: object) -> None:
    model, found, _ = read_rule(junk)
    assert found
    assert model is None or isinstance(junk, dict)
