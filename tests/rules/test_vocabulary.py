"""What a rule or a table wants of the register is something that a register can hold."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from rules.facts import FACTS, facts_of
from rules.lint import lint
from rules.pack import SHIPPED, Bundle
from rules.register import Area, AreaKind, Facility, Quantity
from rules.vocabulary import VOCABULARY, strangers
from tests.rules.test_soundness import CONTENT, record_of, rule

if TYPE_CHECKING:
    from pathlib import Path

STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
PARTICLES = (SHIPPED / "tables" / "cleanroom-particles.yaml").read_text(encoding="utf-8")
OPEN = {"facility.jurisdiction", "facility.labels", "result.method", "sensor.door", "sensor.temperature_tag"}


def found(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    """Return line and text of every fault of a word that no register holds."""
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return [(int(f.pointer.split(":")[1]), f.detail) for f in lint([path]) if f.code == "vocabulary"]


def line_of(text: str, part: str) -> int:
    assert part in text
    return text[: text.index(part)].count("\n") + 1


def test_lint_names_every_word_that_no_register_holds_and_the_nearest_that_one_does(tmp_path: Path) -> None:
    old = "area.kind: [cold-room, refrigerator]"
    faults = found(tmp_path, STORE_OUT.replace(old, "area.kind: [cold-rom, fridge]"))
    line = line_of(STORE_OUT, old)
    assert faults == [
        (line, "applies_to/area.kind: no register holds cold-rom; nearest is cold-room"),
        (line, "applies_to/area.kind: no register holds fridge; nearest is refrigerator"),
    ]


def test_lint_names_a_word_in_a_table_with_its_row(tmp_path: Path) -> None:
    old = "{area.grade: B, area.standard: cn-gmp-2010, sensor.quantity: particles-5.0}"
    faults = found(tmp_path, PARTICLES.replace(old, old.replace("cn-gmp-2010", "gmp-2010").replace("B", "b"), 1))
    line = line_of(PARTICLES, old)
    assert faults == [
        (line, "rows/3/where/area.grade: no register holds b; nearest is B"),
        (line, "rows/3/where/area.standard: no register holds gmp-2010; nearest is cn-gmp-2010"),
    ]


def test_the_shipped_packs_name_nothing_strange() -> None:
    assert [fault for fault in lint([SHIPPED]) if fault.code == "vocabulary"] == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"area.kind": "zzz"}, "known are cleanroom, cold-room"),
        ({"sensor.quantity": "Temperature"}, "nearest is temperature"),
        ({"sensor.unit": "degC"}, "known are Cel, %RH"),
        ({"area.stores": ["vaccine", "vaccines"]}, "holds vaccines; nearest is vaccine"),
        ({"facility.jurisdiction": "1101"}, "six digits"),
        ({"facility.labels": ["High Risk"]}, "small letters"),
    ],
)
def test_a_strange_word_is_named(wanted: dict[str, str | list[str]], said: str) -> None:
    ((name, text),) = strangers(wanted)
    assert name in wanted
    assert said in text


@pytest.mark.parametrize(
    "wanted",
    [
        {"facility.jurisdiction": "110115", "facility.labels": ["high-risk"]},
        {"sensor.pinned": True, "sensor.compensated": False},
        {"sensor.colour": "red"},
        {name: list(words) for name, words in VOCABULARY.items()},
    ],
)
def test_what_a_register_can_hold_and_what_others_name_is_nothing_strange(wanted: dict[str, list[str]]) -> None:
    assert strangers(wanted) == []


def test_every_fact_of_texts_has_its_words() -> None:
    assert {name for name, kind in FACTS.items() if kind in {str, list}} == set(VOCABULARY) | OPEN
    assert all(VOCABULARY.values())
    assert (VOCABULARY["area.kind"], VOCABULARY["sensor.quantity"]) == (tuple(AreaKind), tuple(Quantity))
    assert VOCABULARY["area.grade"] == ("A", "B", "C", "D")


def test_every_word_of_an_area_is_one_that_the_register_takes_and_the_facts_give() -> None:
    for fact, words in VOCABULARY.items():
        part, name = fact.split(".")
        if part != "area" or name == "kind":
            continue
        kind = {"grade": "cleanroom", "standard": "cleanroom", "phase": "cryo-tank"}.get(name, "box")
        whole = {"grade": "A", "standard": "cn-gmp-2010"} if kind == "cleanroom" else {}
        for word in words:
            value = [word] if name == "stores" else word
            area = Area.model_validate({"id": "R", "kind": kind} | whole | {name: value})
            facility = Facility.model_validate({
                "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110000", "areas": [area],
                "sensors": [{"tag": "T", "area": "R", "quantity": "temperature", "unit": "Cel"}],
            })  # fmt: skip
            assert facts_of(facility, facility.sensors[0])[fact] == value


def test_packs_that_the_log_holds_are_not_refused_for_a_strange_word() -> None:
    content = copy.deepcopy(CONTENT)
    rule(content, "cold-chain.store-out")["applies_to"]["area.kind"] = ["cold-rom"]
    assert Bundle.from_record(record_of(content)).rule("cold-chain.store-out") is not None
