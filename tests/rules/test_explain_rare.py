"""Explanations of rules over events and the register: what counted, what is awaited, which fact differs."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.engine import Engine
from rules.errors import BadInputError
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.migrate import FORMAT
from rules.pack import default_bundle
from rules.rare import count
from rules.records import SEMANTICS, Events, Kind, LogRecord, StateRecord
from rules.rule import FollowUpRule, RareRule
from rules.ruletest import BEGIN_MS, FACILITY, records_of
from tests.rules.test_rare_properties import ANY, PACKS, QUICK

BUNDLE = default_bundle()
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DISABLED, RIGHTS, POWER = "data-integrity.audit-disabled", "data-integrity.full-rights", "cold-chain.power-no-alarm"
COUNT, ERROR = "register.sensor-count", "register.sensor-error"


def at(ms):
    return format_instant(BEGIN_MS + ms)


def log_of(rule_id, test):
    """Return the log of a test of a shipped rule."""
    rule = BUNDLE.rule(rule_id)
    return records_of(rule, next(t for t in rule.tests if t.name.startswith(test)))


def first(log, ms, rule, **which):
    found, _ = explain(log, BUNDLE, rule, at=BEGIN_MS + ms, **which)
    assert all(one.agrees for one in found)
    return found[0]


def told(log, ms, rule, **which):
    return json.loads(json.dumps(first(log, ms, rule, **which).to_json()))


def text(log, ms, rule, lang="en", **which):
    return "\n".join(rare_lines(first(log, ms, rule, **which), lang))


def leaf(value, name):
    return next(entry for entry in value["leaves"] if entry["leaf"] == name)


def texts(log, ms, rule):
    """Return the text in both languages, in English and in Chinese; neither of the two holds the other's words."""
    found = {lang: text(log, ms, rule, lang) for lang in ("both", "en", "zh")}
    assert "单位" not in found["en"]
    assert "facility" not in found["zh"].split("\n")[1]
    return found


def test_an_event_that_counted_is_named_with_its_batch_and_both_times():
    log = log_of(DISABLED, "one event raises it")
    value = told(log, 6 * MINUTE, DISABLED)
    assert (value["subject"], value["state"]["phase"], value["watched"]) == ({"system": "LIMS"}, "active", True)
    (event,) = value["events"]
    assert event == {
        "event": at(5 * MINUTE), "received": at(5 * MINUTE + 1_000), "batch": "e0", "fate": "occasion", "stream": "audit",
        "type": "audit-disabled", "source": "LIMS-1",
    }  # fmt: skip
    assert leaf(value, "event")["verdict"] == "true"
    said = texts(log, 6 * MINUTE, DISABLED)
    assert f"=> it fired: red since {at(5 * MINUTE)}; it stands until an officer's decision" in said["en"]
    assert f"=> 已报警：红色，始于 {at(5 * MINUTE)}；须由监管人员决定关闭" in said["zh"]
    assert "计入：条件自此成立 / counts: the condition holds since it" in said["both"]
    assert "[cited] FDA warning letters" in said["en"]


def test_what_a_batch_said_that_was_not_taken_is_told_by_the_one_that_was():
    log = log_of(DISABLED, "one event raises it")
    event = log[-1]
    other = event.payload.events[0].model_copy(update={"type": "heartbeat"})
    refused = Events(batch="e0", events=[other])
    log = [*log[:-1], *(replace(event, offset=event.offset + i, payload=p) for i, p in enumerate(
        [refused, event.payload, event.payload.model_copy(update={"batch": "e1"})]))]  # fmt: skip
    value = told(log, 6 * MINUTE, DISABLED)
    assert [(one["batch"], one["fate"]) for one in value["events"]] == [("e0", "again"), ("e1", "occasion")]


def test_before_any_event_it_says_that_none_came():
    log = log_of(DISABLED, "one event raises it")
    value = told(log, MINUTE, DISABLED)
    assert (value["subject"], value["events"], value["state"]["phase"]) == ({}, [], "normal")
    said = texts(log, MINUTE, DISABLED)
    assert "=> it did not fire; no event came that it means" in said["en"]
    assert "=> 未报警；未收到规则所指的事件" in said["zh"]


def test_an_event_that_is_not_meant_says_which_field_differs():
    log = log_of(RIGHTS, "an administrator who creates")
    value = told(log, 7 * MINUTE, RIGHTS)
    assert value["subject"] == {}
    fates = [(one["fate"], one["role"], one["verb"]) for one in value["events"]]
    assert fates == [("not meant", "administrator", "create"), ("not meant", "analyst", "change")]
    role, verb = leaf(value, "role"), leaf(value, "verb")
    assert (role["verdict"], role["left"], verb["verdict"]) == ("false", "analyst", "true")
    english = text(log, 7 * MINUTE, RIGHTS, "en")
    assert "role as asked  [analyst in administrator]" in english
    assert "not meant by the rule" in english


def test_a_decision_and_a_repetition_are_said_and_the_next_event_counts_anew():
    log = log_of(DISABLED, "an officer's decision ends it")
    closed = told(log, 2 * HOUR + MINUTE, DISABLED)
    assert [one["fate"] for one in closed["events"]] == ["done"]
    assert (closed["state"]["phase"], closed["alarms"][0]["status"]) == ("normal", "cleared")
    assert f"the last alarm ended at {at(2 * HOUR)}" in text(log, 2 * HOUR + MINUTE, DISABLED, "en")
    again = told(log, 4 * HOUR, DISABLED)
    assert [one["fate"] for one in again["events"]] == ["done", "occasion"]
    assert again["state"]["start"] == at(3 * HOUR)


def test_of_several_subjects_one_is_asked_for_and_those_with_an_alarm_come_first():
    log = log_of(DISABLED, "a second event of the same system")
    assert told(log, 10 * MINUTE, DISABLED, subject="SCADA")["subject"] == {"system": "SCADA"}
    value = told(log, 10 * MINUTE, DISABLED, subject="LIMS")
    assert value["state"]["counts"] == {"occasions": 2}
    for rule, error in ((DISABLED, "was asked nothing of MES"), ("data-integrity.gap", "name one with --tag")):
        with pytest.raises(BadInputError) as refused:
            explain(log, BUNDLE, rule, at=BEGIN_MS + 10 * MINUTE, subject="MES")
        assert error in refused.value.faults[0].detail


def test_what_is_awaited_until_when_and_when_it_is_decided():
    log = log_of(POWER, "no alarm within five minutes, and half")
    value = told(log, 12 * MINUTE, POWER)
    assert (value["subject"], value["state"]["phase"]) == ({"area": "A1", "device": "UPS"}, "pending")
    (cut,) = value["events"]
    assert (cut["fate"], cut["until"], cut["decided"]) == ("awaited", at(15 * MINUTE), at(15 * MINUTE + 30_000))
    assert leaf(value, "followed")["verdict"] is None
    said = texts(log, 12 * MINUTE, POWER)
    assert f"it did not fire; awaited until {at(15 * MINUTE)}, decided at {at(15 * MINUTE + 30_000)}" in said["en"]
    assert f"未报警；等待至 {at(15 * MINUTE)}，于 {at(15 * MINUTE + 30_000)} 判定" in said["zh"]
    after = told(log, 16 * MINUTE, POWER)
    assert (after["events"][0]["fate"], after["state"]["phase"]) == ("occasion", "active")
    assert (leaf(after, "followed")["verdict"], leaf(after, "followed")["right"]) == ("false", 5 * MINUTE)
    assert after["register"]["facts"]["area.kind"] == "cold-room"


def test_the_event_that_followed_is_named_also_where_it_took_the_alarm_back():
    log = log_of(POWER, "an alarm at exactly five minutes")
    value = told(log, HOUR, POWER)
    (cut,) = value["events"]
    assert (cut["fate"], cut["answer"]["event"], cut["answer"]["batch"]) == ("answered", at(15 * MINUTE), "e1")
    assert f"followed by device alarm {at(15 * MINUTE)}" in text(log, HOUR, POWER, "en")
    late = log_of(POWER, "an alarm that is reported a day later")
    assert told(late, DAY, POWER)["events"][0]["fate"] == "occasion"
    taken = told(late, 2 * DAY, POWER)
    assert (taken["events"][0]["fate"], taken["alarms"][0]["status"]) == ("answered", "retracted")
    assert "未报警；上次报警已撤回" in text(late, 2 * DAY, POWER, "zh")
    never = log_of(POWER, "reported later than 48 hours")
    assert told(never, 4 * DAY, POWER)["events"][0]["fate"] == "occasion"


def test_an_area_that_was_not_heard_is_unknown():
    log = log_of(POWER, "where nothing of the area was heard")
    value = told(log, 2 * HOUR, POWER)
    assert (value["events"][0]["fate"], leaf(value, "followed")["verdict"]) == ("unheard", "unknown")


def test_the_fact_of_the_register_that_differs_is_named_and_what_it_should_be():
    log = log_of(COUNT, "one sensor in a cold room")
    value = told(log, MINUTE, COUNT)
    assert (value["subject"], value["state"]["phase"]) == ({"area": "A1"}, "active")
    assert value["differs"] == {
        "expr": "temperature sensors in A1", "left": 1.0, "op": "<", "right": 2.0, "verdict": "true"
    }  # fmt: skip
    assert value["register"]["facts"]["area.floor_m2"] == "60.0"
    said = texts(log, MINUTE, COUNT)
    assert "the fact that differs: temperature sensors in A1: 1 < 2" in said["en"]
    assert "不符的登记事实: temperature sensors in A1: 1 < 2" in said["zh"]
    assert "officer" not in said["en"]
    after = told(log, 2 * HOUR, COUNT)
    assert (after["differs"]["verdict"], after["differs"]["left"], after["alarms"][0]["status"]) == (
        "false",
        2,
        "cleared",
    )
    assert after["register"]["version"] == 1


def test_an_error_beyond_the_band_is_named_with_the_band_and_an_unknown_one_as_unknown():
    value = told(log_of(ERROR, "an error of 0.6"), MINUTE, ERROR, tag="T1")
    assert value["subject"] == {"tag": "T1"}
    assert (value["differs"]["left"], value["differs"]["right"], value["differs"]["unit"]) == (0.6, 0.5, "Cel")
    log = log_of(ERROR, "without points on file")
    value = told(log, MINUTE, ERROR, tag="T2")
    assert (value["differs"]["verdict"], leaf(value, "sensor-error")["verdict"]) == ("unknown", "unknown")
    assert "the register does not say enough" in text(log, MINUTE, ERROR, "en", tag="T2")


def test_a_facility_out_of_scope_is_not_watched():
    log = log_of("cell-storage.vapour-high", "ten minutes above -155")
    value = told(log, 4 * MINUTE, COUNT)
    assert [c["leaf"] for c in value["conditions"] if c["verdict"] != "true"] == ["scope"]
    assert "not watched, because: scope: " in text(log, 4 * MINUTE, COUNT)


def test_rules_about_series_are_explained_beside_these():
    """One of them is for all facilities and names no fact: it must not be taken for a rule of every series."""
    log = log_of("data-integrity.gap", "the clock raises it")
    found, _ = explain(log, BUNDLE, "data-integrity.gap", at=BEGIN_MS + 4 * MINUTE)
    assert [(one.watched, one.agrees) for one in found] == [(True, True)]


def test_before_the_register_came_nothing_can_be_said():
    log = [record for record in log_of(DISABLED, "one event raises it") if record.kind != "register"]
    with pytest.raises(BadInputError) as refused:
        explain(log, BUNDLE, DISABLED, at=BEGIN_MS + HOUR)
    assert "register had not come" in refused.value.faults[0].detail


def test_a_rule_that_failed_is_said_to_be_switched_off():
    log = log_of(DISABLED, "one event raises it")
    with patch.object(count, "meet", side_effect=ZeroDivisionError):
        assert "failed here and is switched off" in text(log, HOUR, DISABLED)


def test_what_came_with_a_saved_state_is_told_from_its_books():
    log = log_of(POWER, "no alarm within five minutes, and half")
    engine = Engine(BUNDLE)
    for record in log:
        engine.fold(record)
    for ms, fate in ((12 * MINUTE, "awaited"), (20 * MINUTE, "occasion")):
        snapshot = engine.snapshot(0, FACILITY)
        seed = StateRecord(
            format=FORMAT,
            semantics=SEMANTICS,
            packs=BUNDLE.sha256,
            clock=format_instant(BEGIN_MS),
            seq=0,
            snapshot=base64.b64encode(snapshot).decode(),
            checksum=hashlib.sha256(snapshot).hexdigest(),
        )
        value = told([LogRecord(0, 0, BEGIN_MS + 11 * MINUTE, Kind.STATE, FACILITY, seed)], ms, POWER)
        assert value["from_saved_state"]
        assert [(one["fate"], one["batch"], one["until"]) for one in value["events"]] == [(fate, "e1", at(15 * MINUTE))]


@pytest.mark.long
@given(ANY, st.data())
@QUICK
def test_of_any_log_at_any_record_it_agrees_with_the_engine_and_can_be_said(drawn, data):
    packs, log = drawn
    cut = data.draw(st.integers(1, len(log)))
    later = log[cut - 1].received + data.draw(st.sampled_from([0, MINUTE, 20 * MINUTE, 40 * DAY]))
    rules = [rule.id for rule in PACKS[packs].rules if isinstance(rule, RareRule)]
    for rule in rules:
        found, _ = explain(log[:cut], PACKS[packs], rule, at=later)
        for one in found:
            assert one.agrees, (rule, one.to_json())
            value = one.to_json()
            assert json.loads(json.dumps(value)) == value
            assert all("\n" not in line for lang in ("zh", "en", "both") for line in rare_lines(one, lang))
            if packs == "all":  # of a rule that left and came back the log says more than the books
                leaves_agree(one)


FATES = {"answered": "true", "occasion": "false", "unheard": "unknown"}


def leaves_agree(one):
    """What follows of the log alone is what the engine's books say of the event that was decided last."""
    said = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}.get("followed")
    decided = [told.fate for told in one.events if told.fate not in {"again", "awaited"}]
    if decided and decided[-1] in FATES and isinstance(one.rule, FollowUpRule):
        assert said == FATES[decided[-1]]
