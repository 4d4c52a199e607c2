"""Logs with rows of tags that the register does not hold: sent for days, given up, registered, struck off, with packs that change."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility, Scope
from tests.rules.logs import Row, readings

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
RULE = "register.unknown-tag"
TAGS = ["T1", "T2", "X1", "X2", "A/9"]


def variants():
    """Return the shipped rule, and a quick one of vaccine firms."""
    shipped = default_bundle().rule(RULE)
    quick = {"id": "test.quick", "after": 10 * MINUTE, "forgotten": HOUR, "applies_to": {"facility.labels": "vaccine"}}
    return [shipped, shipped.model_copy(update=quick)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def bundles(random):
    """Return packs with other numbers, other stages, or without one of the rules."""
    found = []
    for rule in variants():
        other = random.choice([{}, {}, {"after": 2 * HOUR}, {"forgotten": 2 * DAY}, {"version": "1.1.0"}, {"stage": "shadow"},
                               {"stage": "draft"}, {"scopes": [Scope(field="retail", line="drug")]}, None])  # fmt: skip
        if other is not None:
            how = {"migration": random.choice(["carry", "close", None])}
            found.append(rule.model_copy(update=how | other))
    return Bundle.of(found or variants(), [])


def facility(random, now):
    """Return a facility that holds some of the tags, of some only later, and has a label or not."""
    sensors = []
    for tag in TAGS:
        if random.random() < (0.7 if tag[0] == "T" else 0.2):
            entry = {"tag": tag, "area": "A1", "quantity": "temperature", "unit": "Cel"}
            if random.random() < 0.3:
                entry["from"] = now + random.choice([-DAY, 0, 1, HOUR, 30 * HOUR])
            sensors.append(entry)
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [{"field": "distribution", "line": "drug"}], "areas": [{"id": "A1", "kind": "cold-room"}],
            "labels": random.choice([["vaccine"], ["vaccine"], []]), "sensors": sensors,
        }
    )  # fmt: skip


STEPS = [0, 0, 1, SECOND, MINUTE, 10 * MINUTE, 10 * MINUTE + 1, HOUR, 9 * HOUR, DAY, 3 * DAY, 7 * DAY]
BEHIND = [10 * MINUTE, 10 * MINUTE + 1, HOUR - 1, HOUR, DAY, DAY + 1, 7 * DAY - 1, 7 * DAY]
"""So far behind an instant of before: the borders of what the rules ask."""


class Log(list):
    """Records that are shown in little room."""

    def __repr__(self):
        return "\n".join(f"{(record.received - BEGIN) / HOUR:g} h {said(record)}" for record in self)


def said(record):
    """Return a record in a few words."""
    post = record.payload
    if isinstance(post, Readings):
        return f"{post.batch} {dict(zip(post.tags, post.counts.tolist(), strict=True))}"
    if isinstance(post, RegisterRecord):
        return [(sensor.tag, sensor.from_ and (sensor.from_ - BEGIN) / HOUR) for sensor in post.facility.sensors]
    return record.kind.value


def batch(random, name, now):
    """Return a batch of a few tags, in any order, with rows of any event time."""
    rows = []
    for tag in random.sample(TAGS, random.choice([1, 1, 2, 3])):
        first = now - random.choice([0, HOUR, 9 * DAY, -HOUR])
        rows += [Row(tag, first + i * SECOND, 5.0 + i) for i in range(random.choice([1, 1, 2, 4]))]
    return readings(rows, name)


@st.composite
def logs(draw, *, packs=False):
    """Draw a log; with `packs` other packs stand in it."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now, sent = BEGIN, []
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random, now)))]
    for i in range(draw(st.sampled_from([6, 15, 40]))):
        if random.random() < 0.4:
            now = max(now, random.choice(log).received + random.choice(BEHIND))
        else:
            now += random.choice(STEPS)
        what = random.random()
        if what < 0.1:
            entry = RegisterRecord(version=len(log) + 1, facility=facility(random, now))
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, entry))
        elif what < 0.16:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        elif what < 0.21 and packs:
            log.append(LogRecord(0, 0, now, Kind.PACKS, "", bundles(random).to_record()))
        elif what < 0.27 and sent:
            log.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, random.choice(sent)))
        else:
            sent.append(batch(random, f"b{i}", now))
            log.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, sent[-1]))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))


def once(log):
    """Return the log without the batches that come again."""
    known, found = set(), []
    for record in log:
        name = record.payload.batch if isinstance(record.payload, Readings) else None
        if name is None or name not in known:
            found.append(record)
        known.add(name)
    return Log(found)
