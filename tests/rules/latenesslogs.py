"""Random logs of marks, in time and late, revised, again, out of order, of sensors that move, with decisions and a door that closes."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.models import Severity
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Kind, LogRecord, Mark, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.marklogs import mark
from tests.rules.oracle.lateness import over

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RULE = "data-integrity.mark-late"
TAGS = ["T1", "T2", "X/9"]
FLAGS = ["fault", "fault", "maintenance", "stopped", "comms", "set_value"]
STEPS = [0, 0, 1, MINUTE, HOUR, 6 * HOUR, 23 * HOUR, DAY, 3 * DAY]
BACK = [0, HOUR, DAY - 1, DAY, DAY + 1, 26 * HOUR, 2 * DAY, 9 * DAY, 40 * DAY, 70 * DAY]
LONG = [0, 1, HOUR, DAY, 5 * DAY]


def variants():
    """Return the shipped rule, and one of cold rooms with days and other states."""
    shipped = default_bundle().rule(RULE)
    other = shipped.model_dump(mode="json", by_alias=True) | {
        "id": "test.cold", "within": "1d", "flags": ["fault", "comms"], "applies_to": {"area.kind": "cold-room"},
        "severity": {"base": "red"},
    }  # fmt: skip
    found = type(shipped).model_validate(other)
    assert found.severity.base is Severity.RED
    return [shipped, found]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


class Log(list):
    """Records that are shown in little room."""

    def __repr__(self):
        return "\n".join(f"{(record.received - BEGIN) / HOUR:g} h {said(record)}" for record in self)


def said(record):
    """Return a record in a few words."""
    post = record.payload
    if isinstance(post, Mark):
        where = post.tags or post.area
        return f"{post.id}/{post.revision} {post.flag} {where} from {(post.from_ - BEGIN) / HOUR:g} h"
    if isinstance(post, RegisterRecord):
        return [(sensor.tag, sensor.area) for sensor in post.facility.sensors]
    if isinstance(post, Readings):
        return f"readings {post.batch} {post.tags} {post.time.tolist()} {post.value.tolist()}"
    return f"{record.kind.value} {post.model_dump(exclude_none=True)}"


def facility(random, share=0.85):
    """Return a facility that holds so many of the tags, each in one of two rooms."""
    sensors = [
        {"tag": tag, "area": random.choice(["A1", "A1", "A2"]), "quantity": "temperature", "unit": "Cel"}
        for tag in TAGS
        if random.random() < share
    ]
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [{"field": "distribution", "line": "drug"}], "sensors": sensors,
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "room-store"}],
        }
    )  # fmt: skip


def a_mark(random, made, now):
    """Return a mark: new, again, or another revision; of areas none that begins long ago, for where sensors stood is forgotten."""
    old = random.choice(made) if made and random.random() < 0.55 else None
    if old is not None and random.random() < 0.25:
        return old
    whole = random.random() < 0.3 if old is None else old.area is not None
    back = random.choice(BACK[:-2] if whole else BACK)
    begin = now - back + random.choice([0, 0, 1, -1, -HOUR])
    number = 1 if random.random() < 0.9 else 3
    name, flag = f"M-{len(made)}", random.choice(FLAGS)
    tags = None if whole else random.sample([*TAGS, "NOPE"], random.choice([1, 2]))
    if old is not None:
        name = old.id
        newest = max(one.revision for one in made if one.id == name)
        number = newest + random.choice([1, 1, 1, 2])
        if random.random() < 0.15 and all(now - one.from_ < 40 * DAY for one in made if one.id == name):
            number = max(1, newest - 1)
        if random.random() < 0.6:
            begin = old.from_ + random.choice([0, 0, 0, HOUR, -1, -DAY])
        flag = flag if random.random() < 0.2 else old.flag
        tags = tags if random.random() < 0.3 else old.tags
    to = None if random.random() < 0.4 else begin + random.choice(LONG)
    return mark(name, number, begin=max(0, begin), to=to, tags=tags, area=random.choice(["A1", "A2"]) if whole else None, flag=flag)  # fmt: skip


def a_decision(random, made, now):
    """Return a decision on an alarm that may stand."""
    rule, one = random.choice(variants()), random.choice(made)
    tag = random.choice(one.tags or TAGS)
    alarm = alarm_id(rule.id, FACILITY, {"tag": tag}, over(one.from_, rule.within))
    return Decision.model_validate(
        {
            "id": f"D-{now}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
            "code": random.choice(["close-latched", "breach", "grade-signed"]), "reason_sha256": "0" * 64,
        }
    )  # fmt: skip


@st.composite
def logs(draw, *, settled=False):
    """Draw a log; `settled`: one register holds all sensors, and none moves."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now, made = BEGIN, []
    log = [
        LogRecord(
            0,
            0,
            now,
            Kind.REGISTER,
            FACILITY,
            RegisterRecord(version=1, facility=facility(random, 2 if settled else 0.85)),
        )
    ]
    for _ in range(draw(st.sampled_from([6, 15, 40]))):
        if made and random.random() < 0.25:
            now = max(now, random.choice(made).from_ + DAY + random.choice([-1, 0, 1]))
        else:
            now += random.choice(STEPS)
        what = random.random()
        if what < 0.08 and not settled:
            entry = RegisterRecord(version=len(log) + 1, facility=facility(random))
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, entry))
        elif what < 0.25:
            role = random.choice(["gateway", "gateway", "worker"])
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role=role, now=now)))
        elif what < 0.33 and made:
            log.append(LogRecord(0, 0, now, Kind.DECISION, FACILITY, a_decision(random, made, now)))
        else:
            made.append(a_mark(random, made, now))
            log.append(LogRecord(0, 0, now, Kind.MARK, FACILITY, made[-1]))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))
