"""The facts of a register are looked up once for it, and never mistaken for another's."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.facts import area_in_force, area_of_device, facts_of, facts_of_area, registered_facts
from rules.models import Text
from rules.register import Facility


def registered(kind: str, *areas: dict[str, object]) -> Facility:
    return Facility.model_validate(
        {
            "id": "FACT-0001", "name": {"zh": "测试", "en": "Facts"}, "jurisdiction": "110000",
            "areas": [{"id": "A1", "kind": kind}, *areas],
            "sensors": [{"tag": "T1", "area": "A1", "quantity": "temperature", "unit": "Cel"}],
            "devices": [{"id": "D1", "area": "A1"}],
        }
    )  # fmt: skip


def test_registers_that_take_turns_are_told_apart() -> None:
    one, other = registered("cold-room"), registered("refrigerator")
    for _ in range(2):
        assert facts_of(one, one.sensors[0])["area.kind"] == "cold-room"
        assert facts_of(other, other.sensors[0])["area.kind"] == "refrigerator"
    assert registered_facts(one) is registered_facts(one)
    assert registered_facts(one.model_copy()) is not registered_facts(one)


def test_what_is_not_registered_is_none() -> None:
    one = registered("cold-room")
    assert area_of_device(one, "D1") == "A1"
    assert area_of_device(one, "D2") is None
    assert area_in_force(one, "A9", 0) is None
    assert "area.kind" not in facts_of_area(one, None)


def test_of_an_area_the_entry_counts_that_has_begun() -> None:
    one = registered(
        "cold-room", {"id": "A1", "kind": "refrigerator", "from": 1_000}, {"id": "A2", "kind": "vehicle", "from": 2_000}
    )
    kinds = [area_in_force(one, "A1", at) for at in (0, 999, 1_000)]
    assert [area.kind.value for area in kinds if area is not None] == ["cold-room", "cold-room", "refrigerator"]
    before = area_in_force(one, "A2", 0)
    assert before is not None
    assert before.kind.value == "vehicle", "the first to come"


@pytest.mark.parametrize(
    "text", ["", "plain", "冷库 1", "line\nand\ttab", "no\u200bwidth", "\u2028", "a\u00a0b", "\U0001f600"]
)
def test_text_is_text(text: str) -> None:
    assert TypeAdapter(Text).validate_python(text) == text


@pytest.mark.parametrize("text", ["\x00", "a\x07b", "\r\n", "\x7f", "\x9f"])
def test_control_characters_are_no_text(text: str) -> None:
    with pytest.raises(ValidationError, match="control characters"):
        TypeAdapter(Text).validate_python(text)
