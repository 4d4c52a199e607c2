"""Random logs of amendments, in time and late, with proof or without, revised, again, out of order, with decisions and a door that closes."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.reports.reading import fields_of
from tests.rules.latenesslogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, Log, facility
from tests.rules.oracle.amendments import tenth
from tests.rules.oracle.lateness import over

RULE = "data-integrity.amendment-late"
STEPS = [0, 0, 1, MINUTE, HOUR, 20 * HOUR, DAY, 4 * DAY, 12 * DAY]
BACK = [HOUR, DAY, 35 * HOUR, 36 * HOUR, 37 * HOUR, 5 * DAY, 10 * DAY, 11 * DAY, 30 * DAY, 50 * DAY]


def variants():
    """Return the shipped rule, and one with other times."""
    shipped = default_bundle().rule(RULE)
    other = shipped.model_dump(mode="json", by_alias=True) | {"id": "test.quick", "within": "36h", "proof_by": 1}
    return [shipped, type(shipped).model_validate(other)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def amendment(name, revision, readings, *, reason="typing error", **proof):
    """Return an amendment of (tag, time, new value)."""
    said = [{"tag": tag, "time": time, "old": 9.4, "new": new} for tag, time, new in readings]
    made = max(time for _, time, _ in readings)
    return Report.model_validate(
        {
            "type": "amendment", "id": name, "revision": revision, "sent": made, "reason": reason,
            "fields": {"readings": said, "author": "u-1", "made_at": made, **proof},
        }
    )  # fmt: skip


def _amendment(random, made, now):
    old = random.choice(made) if made and random.random() < 0.6 else None
    if old is not None and random.random() < 0.2:
        return old
    readings = [
        (random.choice(["T1", "T2"]), now - random.choice(BACK) + random.choice([0, 1, -1]), random.choice([4.0, 5.0]))
        for _ in range(random.choice([1, 1, 2, 3]))
    ]
    proof = random.choice([{}, {}, {"proof": "WO-1"}, {"proof_at": now}])
    if old is None:
        return amendment(f"R-{len(made)}", random.choice([1, 1, 1, 2]), readings, **proof)
    before = [(one.tag, one.time, one.new) for one in fields_of(old).readings]
    readings = random.choice([before, before, [*before, *readings], readings])
    newest = max(one.revision for one in made if one.id == old.id)
    reason = random.choice(["a reason", "a reason", "a reason", None])
    return amendment(old.id, max(1, newest + random.choice([1, 1, 1, 2, -1])), readings, reason=reason, **proof)


def _decision(random, made, now):
    rule, one = random.choice(variants()), random.choice(made)
    time = random.choice(fields_of(one).readings).time
    due, subject = random.choice(
        [(over(time, rule.within), {"report": one.id})] * 3
        + [(tenth(time, rule.proof_by), {"report": one.id, "case": "proof"})]
    )
    alarm = alarm_id(rule.id, FACILITY, subject, due)
    return Decision.model_validate(
        {
            "id": f"D-{now}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
            "code": random.choice(["close-latched", "breach"]), "reason_sha256": "0" * 64,
        }
    )  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now, made = BEGIN, []
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random)))]
    for _ in range(draw(st.sampled_from([6, 15, 40]))):
        now += random.choice(STEPS)
        if made and random.random() < 0.35:
            rule, time = random.choice(variants()), random.choice(fields_of(random.choice(made)).readings).time
            edge = random.choice([over(time, rule.within), tenth(time, rule.proof_by)])
            now = max(now, edge + random.choice([-1, 0, 1, HOUR, -HOUR]))
        what = random.random()
        if what < 0.3:
            role = random.choice(["gateway", "gateway", "worker"])
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role=role, now=now)))
        elif what < 0.4 and made:
            log.append(LogRecord(0, 0, now, Kind.DECISION, FACILITY, _decision(random, made, now)))
        else:
            made.append(_amendment(random, made, now))
            log.append(LogRecord(0, 0, now, Kind.REPORT, FACILITY, made[-1]))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))
