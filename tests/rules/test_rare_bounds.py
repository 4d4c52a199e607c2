"""The state of a facility stays bounded whatever it sends; what is lost is counted, and what stands stays."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings

from rules.engine import Engine
from rules.rare import followed, store
from rules.records import Events, Kind, LogRecord, RegisterRecord
from rules.register import Facility
from rules.rule import CompletenessRule, RegisterCheckRule
from rules.snapshot import unpacked
from tests.examples import examples
from tests.rules import rarelogs
from tests.rules.byhand import BUNDLE
from tests.rules.test_rare_by_hand import POWER
from tests.rules.test_rare_properties import ANY, END, PACKS, QUICK

UNTOLD = "cold-chain.excursion-no-alarm"
TIGHT = {
    "MAX_CASES": 2, "MAX_FACTS": 3, "MAX_ALL_FACTS": 4, "MAX_SEEN": 2, "MAX_PARTNERS": 2, "MAX_RUNS": 2
}  # fmt: skip
BEGIN, MINUTE = rarelogs.BEGIN, rarelogs.MINUTE


def within_bounds(engine, facility=rarelogs.FACILITY):
    state = engine.state_of(facility)
    rare = state.rare
    checks = {rule.id for rule in state.plan.rare if isinstance(rule, RegisterCheckRule)}
    for rule, cases in rare.cases.items():
        assert rule in checks or len(cases) <= store.MAX_CASES
        # beside the last one of each, and where spans were lost the floor
        assert cases.held == sum(len(case.facts) for case in cases.values()) <= store.MAX_ALL_FACTS + 2 * len(cases)
        for case in cases.values():
            assert len(case.facts) <= store.MAX_FACTS
            assert len(case.seen) <= store.MAX_SEEN
            assert len(case.uses) <= store.MAX_SEEN
    areas = {area.id for area in state.plan.facility.areas}
    assert {followed.area_in(area) for _, area in rare.areas} <= areas | {
        ""
    }  # of a facility with audit heartbeats the whole of it
    for heard in rare.areas.values():
        assert len(heard.partners) <= store.MAX_PARTNERS
        assert len(heard.runs) <= store.MAX_RUNS
    months = {rule.id for rule in state.plan.rare if isinstance(rule, CompletenessRule)}
    assert set(rare.checked) <= checks | months
    return rare


@pytest.mark.long
@given(ANY)
@settings(QUICK, max_examples=examples(50))
def test_with_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(drawn):
    packs, log = drawn
    bundle = PACKS[packs]
    with patch.multiple(store, **TIGHT), patch("rules.rare.follow_up.MAX_PARTNERS", 2):
        whole, cut = Engine(bundle), Engine(bundle)
        for record in log:
            wanted = whole.fold(record)
            assert "register.rule-failed" not in {change.rule for change in wanted}
            assert cut.fold(record) == wanted
            within_bounds(whole)
            again = Engine(bundle)
            again.restore_partition(0, cut.partition_state(0))
            again.restore(0, rarelogs.FACILITY, cut.snapshot(0, rarelogs.FACILITY))
            cut = again
        assert cut.advance(0, log[-1].received + END) == whole.advance(0, log[-1].received + END)
        assert cut.snapshot(0, rarelogs.FACILITY) == whole.snapshot(0, rarelogs.FACILITY)


def facility(areas):
    return Facility.model_validate(
        {
            "id": rarelogs.FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": area, "kind": "refrigerator"} for area in areas],
            "sensors": [{"tag": f"T-{area}", "area": area, "quantity": "temperature", "unit": "Cel"} for area in areas],
        }
    )  # fmt: skip


def flood(i, j):
    """Return an event that names something new each time, as far as a facility can choose it."""
    kind, name = i % 4, f"{i}-{j}".ljust(120, "x")
    at = BEGIN + MINUTE * (i * 61 + 1) + j
    if kind == 0:
        return {"stream": "audit", "type": "audit-disabled", "time": at, "source": "S", "fields": {"system": name}}
    if kind == 1:
        said = {"actor": "u-1", "role": "administrator", "verb": "change", "object": name}
        return {"stream": "audit", "type": "action", "time": at, "source": "S", "fields": said}
    cause = {"state": "lost"} if kind == 2 else {"cause": "power", "state": "on"}
    area = "A1" if kind == 2 else "A2"
    return {
        "stream": "device", "type": "power" if kind == 2 else "alarm", "time": at, "source": "S", "area": area,
        "device": name, "fields": cause,
    }  # fmt: skip


@pytest.mark.long
def test_a_flood_of_new_names_fills_its_room_and_no_more():
    """40,000 events; the snapshot does not grow once the room is full. Each of four kinds of flood comes ten times."""
    engine = Engine(BUNDLE)
    engine.fold(
        LogRecord(
            0, 0, BEGIN, Kind.REGISTER, rarelogs.FACILITY, RegisterRecord(version=1, facility=facility(["A1", "A2"]))
        )
    )
    sizes = []
    for i in range(40):
        payload = Events.model_validate({"batch": f"b{i}", "events": [flood(i, j) for j in range(1_000)]})
        engine.fold(LogRecord(0, i + 1, BEGIN + MINUTE * 61 * (i + 1), Kind.EVENTS, rarelogs.FACILITY, payload))
        sizes.append(len(unpacked(engine.snapshot(0, rarelogs.FACILITY))))
    rare = within_bounds(engine)
    assert len(rare.cases["data-integrity.audit-disabled"]) == store.MAX_CASES
    assert min(rare.counts[name] for name in ("event_left_out", "fact_dropped", "partner_dropped")) > 0
    assert max(sizes[20:]) < 1.2 * sizes[19], sizes
    assert sizes[-1] < 8_000_000, sizes


def test_registers_with_ever_new_areas_leave_nothing_of_the_old_ones():
    engine = Engine(BUNDLE)
    for i in range(30):
        entity = facility([f"A{i}", f"B{i}"])
        engine.fold(
            LogRecord(
                0, 2 * i, BEGIN + i, Kind.REGISTER, rarelogs.FACILITY, RegisterRecord(version=i + 1, facility=entity)
            )
        )
        heard = {"stream": "device", "type": "heartbeat", "time": BEGIN + i, "source": "S", "area": f"A{i}"}
        warned = heard | {"type": "alarm", "fields": {"cause": "temperature", "state": "on"}}
        payload = Events.model_validate({"batch": f"b{i}", "events": [heard, warned]})
        engine.fold(LogRecord(0, 2 * i + 1, BEGIN + i, Kind.EVENTS, rarelogs.FACILITY, payload))
        here = {(POWER, f"A{i}"), (UNTOLD, f"A{i}"), (UNTOLD, f"A{i} +S")}
        assert set(within_bounds(engine).areas) == here
    assert len(engine.state_of(rarelogs.FACILITY).rare.of("register.sensor-count")) == 0
