"""Whom an event is about, by hand, in minutes: the device of its envelope, else the one of its fields (catalogue part 2, §12), else its source."""

from __future__ import annotations

from typing import Any

import pytest

from rules.rare.match import area_of, device_of, named_device
from rules.records import Event
from rules.register import Facility
from tests.rules.byhand import HandLog, ms, sensor, since

POWER, HASH, SEQUENCE = "cold-chain.power-no-alarm", "register.config-hash", "data-integrity.sequence"
STORE = [{"id": "A1", "kind": "cold-room", "floor_m2": 60}]
FIRM = {"scopes": [{"field": "distribution", "line": "drug"}], "areas": STORE}
BOTH = [{"device": "D1"}, {"fields": {"device": "D1"}}]


def event(at: float, kind: str, source: str = "GW", device: str | None = None, **fields: Any) -> dict[str, Any]:
    more = {} if device is None else {"device": device}
    return {"stream": "device", "type": kind, "time": ms(at), "source": source, "fields": fields, **more}


def posted(hand: HandLog, at: float, *events: dict[str, Any]) -> HandLog:
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": list(events)})


def told(hand: HandLog, rule: str, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, c.subject, since(c.received)) for c in hand.changes(until=until) if c.rule == rule]


@pytest.mark.parametrize(
    ("envelope", "field", "named"),
    [
        (None, "D1", "D1"), ("D1", None, "D1"), ("D1", "D2", "D1"), ("D1", "D1", "D1"), ("D1", 7, "D1"), (None, 7, None), (None, None, None),
        (None, "", None), (None, "two words", None), (None, "泵", None), (None, "D" * 128, "D" * 128), (None, "D" * 129, None), (None, ["D1"], None),
    ],
)  # fmt: skip
def test_the_envelope_speaks_before_the_fields_and_what_is_no_id_names_none(
    envelope: str | None, field: Any, named: str | None
) -> None:
    one = Event.model_validate(event(0, "door", device=envelope) | {"fields": {"device": field}})
    assert named_device(one) == named
    assert device_of(one) == (named or "GW")
    missing = Event.model_validate(event(0, "door", device=envelope))
    assert device_of(missing) == (envelope or "GW")


def test_its_area_is_where_that_device_is_registered() -> None:
    name = {"zh": "测试", "en": "By hand"}
    homes = [{"id": "D1", "area": "A1"}, {"id": "GW", "area": "A2"}]
    areas = [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cold-room"}]
    firm = Facility.model_validate(
        {"id": "HAND-0001", "name": name, "jurisdiction": "110000", "delivery": "60s", "scopes": [], "areas": areas, "devices": homes, "sensors": []}
    )  # fmt: skip
    for more in BOTH:
        assert area_of(Event.model_validate(event(0, "power") | more), firm) == "A1"
    assert area_of(Event.model_validate(event(0, "power")), firm) == "A2"


@pytest.mark.parametrize("more", BOTH)
def test_lost_power_is_of_the_device_that_either_names(more: dict[str, Any]) -> None:
    lost = event(10, "power") | more
    lost["fields"] = {"state": "lost"} | lost["fields"]
    hand = HandLog().register(-1, sensor(), devices=[{"id": "D1", "area": "A1"}], **FIRM)
    posted(hand, 10, event(9, "heartbeat", "D1"), lost)
    assert told(hand, POWER, 30) == [("raised", {"area": "A1", "device": "D1"}, 16)]


def test_the_devices_own_alarm_answers_it_also_where_only_the_fields_name_the_area_it_stands_in() -> None:
    hand = HandLog().register(-1, sensor(), devices=[{"id": "D1", "area": "A1"}, {"id": "HORN", "area": "A1"}], **FIRM)
    lost, horn = event(10, "power", state="lost", device="D1"), event(11, "alarm", cause="power", state="on")
    posted(hand, 11, event(9, "heartbeat", "D1"), lost, horn | {"fields": {**horn["fields"], "device": "HORN"}})
    assert told(hand, POWER, 30) == []


@pytest.mark.parametrize(
    ("fields", "device", "subject"),
    [
        ({}, None, {"device": "GW"}), ({"device": "D1"}, None, {"device": "D1"}), ({"point": "T1"}, None, {"tag": "T1"}),
        ({"point": "T1", "device": "D1"}, None, None), ({"point": "T1"}, "D1", None), ({"point": "T1", "device": 7}, None, {"tag": "T1"}),
        ({"device": "D1"}, "GW", {"device": "GW"}),
    ],
)  # fmt: skip
def test_a_hash_is_of_a_point_or_of_a_device_and_of_none_where_both_are_named(
    fields: dict[str, Any], device: str | None, subject: dict[str, str] | None
) -> None:
    devices = [{"id": name, "area": "A1", "config_hash": "0a1b2c3d"} for name in ("D1", "GW")]
    hand = HandLog().register(-1, sensor(config_hash="0a1b2c3d"), devices=devices, **FIRM)
    posted(hand, 10, event(10, "config", device=device) | {"fields": {"hash": "deadbeef", **fields}})
    assert told(hand, HASH) == ([] if subject is None else [("raised", subject, 10)])


@pytest.mark.parametrize("more", [{"device": "PLC"}, {"fields": {"device": "PLC"}}, {}])
def test_a_restart_explains_the_numbers_of_the_device_that_it_names(more: dict[str, Any]) -> None:
    hand = HandLog().register(-1, sensor(), **FIRM)
    for at, seq in ((100, 1), (150, 5)):
        posted(hand, at, event(at, "door", "PLC", state="open") | {"seq": seq})
    posted(hand, 160, event(120, "restart") | more)
    for at in range(170, 3100, 50):
        posted(hand, at, event(at, "heartbeat"))
    assert bool(told(hand, SEQUENCE)) is (not more)
