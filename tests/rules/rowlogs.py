"""Logs whose rows come again with other values, too late or ahead of time, with officers who close what was raised."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.engine import Engine
from rules.instants import format_instant
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Kind, LogRecord, Report
from rules.rule import looks_at_rows
from tests.rules import logs

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
OTHERS = {
    "data-integrity.physical-range",
    "data-integrity.frozen",
    "cold-chain.store-out",
    "data-integrity.audit-disabled",
}


def bundle():
    """Return the shipped rules over rows, and one or two of other kinds."""
    whole = default_bundle()
    own = {rule.id for rule in whole.rules if looks_at_rows(rule)}
    return whole.only(own | OTHERS)


def names(packs: Bundle):
    """Return the ids of its rules over rows."""
    return tuple(rule.id for rule in packs.rules if looks_at_rows(rule))


def amendment(number, now, said):
    """Return an amendment of (tag, event time, old, new)."""
    made = format_instant(max([now, *(t for _, t, _, _ in said)]))
    readings = [{"tag": tag, "time": format_instant(t), "old": old, "new": new} for tag, t, old, new in said]
    fields = {"readings": readings, "author": "u-1", "made_at": made}
    return Report.model_validate(
        {"type": "amendment", "id": f"AM-{number}", "revision": 1, "sent": made, "fields": fields}
    )


@st.composite
def entries(draw):
    """Draw a facility and what it sends: live rows, rows again, holes filled late, whole days of old rows, rows of tomorrow."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    interval = draw(st.sampled_from([60, 60, 300, 3600]))
    resolution = draw(st.sampled_from([None, 0.1, 0.5]))
    tags = draw(st.sampled_from([["T0"], ["T0", "T1"]]))
    entity = logs.facility([(tag, "A1", interval) for tag in tags])
    sensors = [one.model_copy(update={"resolution": resolution}) for one in entity.sensors]
    entity = entity.model_copy(update={"sensors": sensors})
    found, sent, now = [], [], logs.BEGIN + draw(st.sampled_from([0, 11 * DAY]))
    head = dict.fromkeys(tags, now)
    for _ in range(draw(st.integers(3, 14))):
        tag = random.choice(tags)
        kinds = ["live"] * 3 + ["again", "again", "amended", "old", "old", "ahead", "late", "wait", "dense", "dense"]
        kind = random.choice(kinds)
        rows = []
        if kind in ("live", "dense"):  # behind two dense hours older rows are stale
            for _ in range(2 * HOUR // (interval * 1_000) + 2 if kind == "dense" else random.choice([1, 2, 5, 20])):
                head[tag] += interval * 1_000 * random.choice([1, 1, 1, 2])
                rows.append(
                    logs.Row(tag, head[tag], random.choice([5.0, 5.1, 7.6]), random.choice([0] * 6 + [1, 3, 6]))
                )
            now = max(now, head[tag] + random.choice([0, 1_000]))
        elif kind == "again" and sent:
            for row in random.choices(sent[-30:], k=random.choice([1, 2, 4])):
                other = random.choice([row.v + by for by in (0.0, 0.04, 0.1, 0.26, 1.0)] + [1e308])
                rows.append(logs.Row(row.tag, row.t, other, random.choice([0, 0, 0, 1, 6])))
        elif kind == "amended" and sent:  # another value, and an amendment before it, behind it or too late
            row = random.choice(sent[-5:])
            other = logs.Row(row.tag, row.t, row.v + random.choice([0.1, 1.0]))
            old, new = (
                random.choice([row.v] * 4 + [row.v + 2]),
                random.choice([other.v] * 4 + [other.v + 2, other.v + 0.01]),
            )
            if random.random() < 0.3:
                found.append((now, amendment(len(found), now, [(row.tag, row.t, old, new)])))
                rows = [other]
            else:
                found.append((now, [other]))
                now += random.choice([0, 0, MINUTE, MINUTE, 10 * DAY, 10 * DAY + 1])
                found.append((now, amendment(len(found), now, [(row.tag, row.t, old, new)])))
        elif kind == "old":
            back = random.choice([2 * HOUR, 3 * HOUR, 9 * DAY, 10 * DAY, 10 * DAY + 1, 11 * DAY])
            rows = [logs.Row(tag, now - back - i * MINUTE, 5.0) for i in range(random.choice([1, 3]))]
            if random.random() < 0.3 and rows[0].t > 0:
                found.append(
                    (now, amendment(len(found), now, [(tag, rows[0].t, None, random.choice([5.0, 5.0, 6.0]))]))
                )
        elif kind == "ahead":
            rows = [logs.Row(tag, now + random.choice([5 * MINUTE, 5 * MINUTE + 1, DAY]), 5.0)]
        elif kind == "late":
            rows = [logs.Row(tag, head[tag] - random.choice([1, 30_000, 7_100_000]), 5.2)]
        else:
            now += random.choice([MINUTE, 3 * HOUR, 2 * DAY])
        if rows:
            random.shuffle(rows)
            found.append((now, [row for row in rows if row.t > 0]))
            sent += rows
    return entity, found


@st.composite
def closed(draw, packs, of=None, own=None):
    """Draw a log (of `of`, else of `entries`) in which officers close some of the alarms of `own` rules that stand."""
    entity, found = draw(entries() if of is None else of)
    log = logs.records(entity, found)
    engine, whole, standing = Engine(packs), [], {}
    own = own or names(packs)
    for i, record in enumerate(log):
        whole.append(record)
        for change in engine.fold(record):
            if change.rule in own:
                standing[change.alarm] = change.end is None
        for alarm in [alarm for alarm, open_ in standing.items() if open_]:
            if draw(st.integers(0, 3)) == 0:
                code = draw(st.sampled_from(["close-latched", "breach", "data-fraud", "grade-signed"]))
                said = Decision.model_validate(
                    {
                        "id": f"D-{i}", "version": 1, "subject": {"alarm": alarm}, "code": code, "officer": "o-1",
                        "revision_seen": 0, "reason_sha256": "0" * 64,
                    }
                )  # fmt: skip
                whole.append(LogRecord(0, 0, record.received, Kind.DECISION, entity.id, said))
                for change in engine.fold(LogRecord(0, 1 << 40, record.received, Kind.DECISION, entity.id, said)):
                    standing[change.alarm] = change.end is None
                engine.state_of(entity.id).position = 0
    return entity, [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(whole)]
