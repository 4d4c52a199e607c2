"""Which rules watch a sensor: sensors of one sort are watched alike, and what is remembered never changes what is found."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import watching
from rules.facts import FACTS, RegisteredFacts, facts_of
from rules.pack import default_bundle
from rules.plan import compile_plan
from rules.register import Facility, Sensor, Span
from rules.watching import Registered, contradictions
from tests.rules import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN = logs.BEGIN
BASE: dict[str, Any] = {
    "id": "BJ-ONE", "name": {"zh": "甲", "en": "One"}, "jurisdiction": "110000", "delivery": "60s",
    "scopes": [{"field": "distribution", "line": "drug"}], "labels": ["cold-chain"],
    "areas": [{"id": "A1", "kind": "cold-room", "floor_m2": 60}, {"id": "A2", "kind": "cold-room", "floor_m2": 60}],
    "sensors": [
        {
            "tag": "T1", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s",
            "limits": {"low": 2, "high": 8}, "range": {"low": -40, "high": 60}, "resolution": 0.1, "error": 0.5,
        },
    ],
}  # fmt: skip
ARRAYS = ("where", "series_at", "params", "blank_state", "blank_tails", "gap_slots", "gap_at", "gap_params")


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    watching._known.forget()
    yield
    watching._known.forget()


def facility(*, sensor: dict[str, Any] | None = None, area: dict[str, Any] | None = None, **facts: Any) -> Facility:
    """Return the base facility with other facts."""
    areas = [{**BASE["areas"][0], **(area or {})}, BASE["areas"][1]]
    return Facility.model_validate(
        {**BASE, "areas": areas, "sensors": [{**BASE["sensors"][0], **(sensor or {})}], **facts}
    )


def watched(entity: Facility) -> watching.Watched:
    return Registered(entity, default_bundle()).watched(entity.sensors[0], BEGIN)


@pytest.mark.parametrize(
    "own",
    [
        {"tag": "OTHER"}, {"area": "A2"}, {"serial": "X-1"}, {"calibration": {"done": "2026-01-05", "due": "2027-01-05"}},
        {"config_hash": "deadbeef"}, {"from": BEGIN - 1},
    ],
    ids=lambda own: next(iter(own)),
)  # fmt: skip
def test_what_is_a_sensors_own_makes_no_other_sort(own: dict[str, Any]) -> None:
    assert watched(facility(sensor=own)) is watched(facility())


def test_the_same_sort_in_another_facility_is_found_once() -> None:
    assert watched(facility(id="BJ-TWO", name={"zh": "乙", "en": "Two"})) is watched(facility())
    assert watching._known.sorts == sum(map(len, watching._known.around.values())) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"sensor": {"interval": "30s"}}, {"sensor": {"limits": {"low": 2, "high": 7}}}, {"sensor": {"limits": {"high": 8}}},
        {"sensor": {"range": {"low": -40, "high": 61}}}, {"sensor": {"resolution": 0.01}}, {"sensor": {"error": 0.4}},
        {"area": {"kind": "refrigerator"}}, {"area": {"floor_m2": 61}}, {"area": {"stores": ["biologic"]}}, {"delivery": "61s"},
        {"scopes": [{"field": "manufacture", "line": "drug"}]}, {"labels": []}, {"jurisdiction": "310000"},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_rules_may_look_at_makes_another_sort(other: dict[str, Any]) -> None:
    first, second = watched(facility()), watched(facility(**other))
    assert first is not second
    watching._known.forget()
    alone = watched(facility(**other))
    assert [(use.kind, use.rule.id, use.key, use.limits) for use in second.uses] == [
        (use.kind, use.rule.id, use.key, use.limits) for use in alone.uses
    ]


def test_every_field_of_a_sensor_is_either_its_own_or_decides() -> None:
    fields = set(Sensor.model_fields)
    assert set(watching._OWN) < fields
    values = {name: name for name in fields}
    assert {*watching._alike(values), *watching._SPANS} == fields - set(watching._OWN)
    assert set(Span.model_fields) == {"low", "high"}  # by which spans are told apart


def test_another_bundle_is_asked_anew() -> None:
    only = default_bundle().only({"cold-chain.store-out"})
    entity = facility()
    assert [use.rule.id for use in Registered(entity, only).watched(entity.sensors[0], BEGIN).uses] == [
        "cold-chain.store-out"
    ]
    assert len(watched(entity).uses) > 1


def test_an_area_that_changes_at_an_instant_is_asked_as_of_then() -> None:
    later = {"id": "A1", "kind": "refrigerator", "from": BEGIN + 1}
    entity = facility(areas=[*BASE["areas"], later])
    registered = Registered(entity, default_bundle())
    before, behind = (registered.watched(entity.sensors[0], at) for at in (BEGIN, BEGIN + 1))
    assert before is watched(facility())
    assert behind is not before
    assert registered.watched(entity.sensors[0], BEGIN) is before


def test_memory_of_sorts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SORTS", 3)
    for n in range(10):
        watched(facility(delivery=f"{60 + n}s"))
        assert sum(map(len, watching._known.around.values())) <= watching._known.sorts <= 3
    sensors = [{**BASE["sensors"][0], "tag": f"T{n}", "resolution": 0.1 + n} for n in range(10)]
    one = facility(sensors=sensors)
    registered = Registered(one, default_bundle())  # of one facility too
    for sensor in one.sensors:
        assert registered.watched(sensor, BEGIN) is registered.watched(sensor, BEGIN)
        assert sum(map(len, watching._known.around.values())) <= watching._known.sorts <= 3


def test_facts_stand_in_the_order_of_their_list() -> None:
    entity = facility()
    known = [
        name for name in FACTS if not name.startswith(("place.", "result."))
    ]  # of a pair's other place, of a posted result
    assert list(facts_of(entity, entity.sensors[0])) == known


def test_lists_of_facts_are_not_shared_between_sensors() -> None:
    entity = facility()
    facts = RegisteredFacts(entity)
    first, second = facts.of(entity.sensors[0], BEGIN), facts.of(entity.sensors[0], BEGIN)
    assert first == second == facts_of(entity, entity.sensors[0], BEGIN)
    assert first is not second


def test_limits_without_room_are_told_once_for_each_sensor() -> None:
    sensors = [{**BASE["sensors"][0], "tag": f"T{n}", "limits": {"low": 9, "high": 12}} for n in range(2)]
    entity = facility(sensors=sensors)
    faults = contradictions(Registered(entity, default_bundle()))
    assert {fault.pointer for fault in faults} == {"/sensors/0/limits", "/sensors/1/limits"}
    assert {fault.code for fault in faults} == {"no_room"}
    assert compile_plan(entity, default_bundle(), BEGIN).no_room == len(faults)


@given(st.lists(logs.logs().map(lambda drawn: drawn[0]), min_size=2, max_size=4))
def test_what_was_found_for_others_changes_no_plan(entities: list[Facility]) -> None:
    fresh = []
    for entity in entities:
        watching._known.forget()
        fresh.append(compile_plan(entity, default_bundle(), BEGIN))
    watching._known.forget()
    for order in itertools.islice(itertools.permutations(range(len(entities))), 3):
        for i in order:
            plan = compile_plan(entities[i], default_bundle(), BEGIN)
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(plan, name), getattr(fresh[i], name))
            assert plan.by_slot == fresh[i].by_slot
            assert (plan.no_room, plan.ring_words) == (fresh[i].no_room, fresh[i].ring_words)
