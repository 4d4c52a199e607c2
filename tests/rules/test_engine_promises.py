"""Promises of contracts.md and engine.md that hold for any log, also one whose register changes on the way."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.batches import KEPT_MS
from rules.changes import alarm_id
from rules.engine import Engine
from rules.layout import FUTURE_MS
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from rules.rule import looks_at_rows
from tests.examples import examples
from tests.rules import logs

BUNDLE = default_bundle()
PACKS = [BUNDLE, BUNDLE.only({"cold-chain.store-out", "data-integrity.gap"}), BUNDLE.only({"cold-chain.store-out"})]
ROWS_ASIDE = BUNDLE.only({rule.id for rule in BUNDLE.rules if not looks_at_rows(rule)} - {"register.unknown-tag"})
"""Without the rules over rows themselves: once the id of a batch is no more known, its old rows are late evidence again, and its unknown tags are sent."""
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
CONFLICT = "data-integrity.revision-conflict"
"""It tells of a batch that comes with other content, which changes nothing else."""
END = 6 * 3_600_000
PAUSES = [25 * 3_600_000, 62 * 3_600_000]
"""Longer than ids of batches are kept (`KEPT_MS`)."""
CHANGED = {
    "moved": {"area": "A2"},
    "slower": {"interval": "20m"},
    "narrow": {"limits": {"low": 4, "high": 7}},
    "later": {"limits": {"low": 3, "high": 7}},
}


def run(log, until, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes + engine.advance(0, until)


def numbered(parts):
    """Return records of (received, kind, facility, payload), offsets in order."""
    return [LogRecord(0, i, *part) for i, part in enumerate(parts)]


@st.composite
def changing(draw):
    """Draw a log whose register and packs change on the way: sensors leave, return, move, get other numbers."""
    entity, entries = draw(logs.logs())
    parts = [(r.received, r.kind, r.facility, r.payload) for r in logs.records(entity, entries)]
    newest = logs.BEGIN
    for i, part in enumerate(parts):
        newest = max(newest, part[0])
        parts[i] = (newest, *part[1:])
    for version in range(2, 2 + draw(st.integers(1, 4))):
        at = draw(st.integers(1, len(parts)))
        received = parts[at - 1][0] + draw(st.sampled_from([0, 0, 1]))
        if at < len(parts):
            received = min(received, parts[at][0])
        if draw(st.integers(0, 3)) == 0:
            parts.insert(at, (received, Kind.PACKS, "", draw(st.sampled_from(PACKS)).to_record()))
            continue
        sensors = []
        for sensor in entity.model_dump(mode="json", by_alias=True, exclude_none=True)["sensors"]:
            what = draw(st.sampled_from(["same", "same", "gone", "moved", "slower", "narrow", "later"]))
            if what == "gone":
                continue
            begin = received + draw(st.sampled_from([1, 300_000, 3_000_000]))
            if what == "later":
                sensors.append(sensor)
            sensors.append({**sensor, **CHANGED.get(what, {}), **({"from": begin} if what == "later" else {})})
        facts = {**entity.model_dump(mode="json", by_alias=True, exclude_none=True), "sensors": sensors}
        record = RegisterRecord(version=version, facility=Facility.model_validate(facts))
        parts.insert(at, (received, Kind.REGISTER, entity.id, record))
    return entity.id, numbered(parts)


@st.composite
def flapping(draw):
    """Draw a log whose rules and sensors leave and return again and again, most of it while places are silent."""
    entity, entries = draw(logs.logs())
    parts, newest = [], logs.BEGIN
    for record in logs.records(entity, entries)[: draw(st.integers(2, 12))]:
        newest = max(newest, record.received)
        parts.append((newest, record.kind, record.facility, record.payload))
    facts = entity.model_dump(mode="json", by_alias=True, exclude_none=True)
    for _ in range(draw(st.integers(2, 10))):
        at = draw(st.integers(1, len(parts)))
        received = parts[at - 1][0] + draw(st.sampled_from([0, 1, 60_000, 180_000, 600_000, 7_500_000]))
        received = min([received, *(part[0] for part in parts[at : at + 1])])
        if draw(st.booleans()):
            parts.insert(at, (received, Kind.PACKS, "", draw(st.sampled_from(PACKS)).to_record()))
            continue
        whole = draw(st.booleans())
        what = [draw(st.sampled_from(["gone", "same", "slower", "moved", "moved"])) for _ in facts["sensors"]]
        sensors = [{**s, **CHANGED.get(w, {})} for s, w in zip(facts["sensors"], what, strict=True) if w != "gone"]
        changed = Facility.model_validate(facts if whole else {**facts, "sensors": sensors})
        parts.insert(at, (received, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=changed)))
    versions = itertools.count(1)
    for i, part in enumerate(parts):
        if part[1] is Kind.REGISTER:
            parts[i] = (*part[:3], RegisterRecord(version=next(versions), facility=part[3].facility))
    return entity.id, numbered(parts)


@given(st.one_of(changing(), flapping()))
@QUICK
def test_every_alarm_is_raised_once_under_its_id_and_its_story_is_whole(drawn):
    """The id is that of contracts.md §4, counted in a plain book; nothing follows a retraction."""
    facility, log = drawn
    raised, ended = set(), set()
    book = Counter()
    changes = run(log, log[-1].received + END)
    assert [c.seq for c in changes] == list(range(1, len(changes) + 1))
    for change in changes:
        if change.change == "raised":
            key = (change.rule, *change.subject.items(), change.start)
            book[key] += 1
            assert change.alarm == alarm_id(change.rule, facility, change.subject, change.start, book[key])
            raised.add(change.alarm)
        assert change.alarm in raised - ended
        if change.change == "retracted":
            ended.add(change.alarm)
        assert change.end is None or change.end >= change.start


@given(st.one_of(changing(), flapping()))
@QUICK
def test_the_clock_of_decisions_never_runs_back(drawn):
    _, log = drawn
    changes = run(log, log[-1].received + END)
    for one, other in itertools.pairwise(changes):
        assert one.received <= other.received, (one.to_json(), other.to_json())


@given(st.one_of(changing(), flapping()))
@QUICK
def test_no_open_alarm_stays_suppressed_by_one_that_has_ended(drawn):
    _, log = drawn
    alarms = fold_alarms(run(log, log[-1].received + END))
    still = {alarm.alarm for alarm in alarms if alarm.status in {"active", "unknown"}}
    hidden = [a for a in alarms if a.alarm in still and a.suppressed_by is not None and a.suppressed_by not in still]
    assert hidden == []


@given(st.one_of(changing(), flapping()), st.data())
@QUICK
def test_a_restart_anywhere_changes_nothing_also_when_the_register_changes(drawn, data):
    name, log = drawn
    cut = data.draw(st.integers(1, len(log)))
    until = log[-1].received + END
    whole = run(log, until)
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    changes = [change for record in log[:cut] for change in first.fold(record)]
    snapshot = first.snapshot(0, name)
    for bundle in PACKS:
        second.know(bundle)
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, name, snapshot)
    assert second.snapshot(0, name) == snapshot
    assert changes + run(log[cut:], until, second) == whole


@given(logs.logs(), st.data())
@QUICK
def test_sending_batches_again_changes_nothing_whatever_they_hold_then(drawn, data):
    """Also days later, when their ids are known no more: rows that were refused because they lay ahead do not lie ahead then."""
    entity, entries = drawn
    log = logs.records(entity, entries)
    newest = logs.BEGIN
    pause, behind = data.draw(st.sampled_from([0, 0, *PAUSES])), data.draw(st.integers(1, len(log)))
    parts = []
    for i, record in enumerate(log):
        newest = max(newest, record.received + (pause if i >= behind else 0))
        parts.append((newest, record.kind, record.facility, record.payload))
    if data.draw(st.booleans()):  # something that may be sent again behind all else
        newest += data.draw(st.sampled_from(PAUSES))
        parts.append((newest, Kind.TICK, "", Tick(by="t", role="gateway", now=newest)))
    until = newest + END
    first = list(parts)
    sent = [(i, part) for i, part in enumerate(parts) if isinstance(part[3], Readings)]
    sent += 3 * [(i, part) for i, part in sent if (part[3].time > part[0] + FUTURE_MS).any()]
    chosen = data.draw(st.lists(st.sampled_from(sent), max_size=4)) if sent else []
    forgotten = False
    for i, part in sorted(chosen, key=lambda entry: -entry[0]):
        behind = data.draw(st.integers(i + 1, len(parts)))
        payload = part[3]
        remembered = parts[behind - 1][0] - part[0] < KEPT_MS
        forgotten = forgotten or not remembered
        if remembered and data.draw(st.booleans()):  # other content under the same id: no effect either
            payload = replace(payload, value=payload.value + 1.0, time=payload.time + 1_000)
        parts.insert(behind, (parts[behind - 1][0], *part[1:3], payload))
    packs = ROWS_ASIDE if forgotten else BUNDLE
    once, again = (run(numbered(rows), until, Engine(packs)) for rows in (first, parts))
    told = [c.to_json(source=False) | {"seq": 0} for c in again if c.rule != CONFLICT]
    assert told == [c.to_json(source=False) | {"seq": 0} for c in once]
