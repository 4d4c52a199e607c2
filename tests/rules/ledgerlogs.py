"""Logs of lots: results that fail and pass, investigations and deviations with revisions in any order, releases, decisions."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.instants import format_instant
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Event, Events, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from tests.rules.oracle.ledger import RELEASE, RETEST

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
OWN = (RELEASE, RETEST)


def bundle():
    """Return both rules alone."""
    return Bundle.of(default_bundle().only(set(OWN)).rules, ())


def facility():
    """Return a maker."""
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [], "sensors": [],
        }
    )  # fmt: skip


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.number, self.said = random, BEGIN, [], 0, []
        self.revisions, self.released = {}, []
        self.add(Kind.REGISTER, RegisterRecord(version=1, facility=facility()))

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def ago(self):
        random = self.random
        return self.now - random.choice([0, 0, 0, 1, MINUTE, HOUR, 5 * HOUR, 24 * HOUR, 2 * DAY, 3 * DAY])

    def event(self):
        random, self.number = self.random, self.number + 1
        fields = {"lot": random.choice(["L1"] * 4 + ["L2"])}
        if random.random() < 0.25:
            stream, word = "trace", "released"
            fields["quantity"] = 100
        else:
            stream, word = "lab", random.choice(["result"] * 12 + ["run"])
            fields |= {"sample_id": f"S-{self.number}", "test": random.choice(["a", "a", "a", "b"])}
            fields["verdict"] = random.choice(["oos", "pass", "pass"])
        if random.random() < 0.06:
            fields[random.choice([name for name in fields if name != "sample_id"])] = random.choice(
                [None, "", 5, "other"]
            )
        time = self.ago() if random.random() < 0.6 else self.now + random.choice([0, MINUTE, HOUR])
        if word == "released" and isinstance(fields["lot"], str):
            self.released.append((fields["lot"], time))
        return Event.model_validate({"stream": stream, "type": word, "time": time, "source": "LIMS", "fields": fields})

    def events(self):
        found = [self.event() for _ in range(self.random.randint(1, 4))]
        if self.said and self.random.random() < 0.15:
            found.append(self.random.choice(self.said))  # it comes again in another batch
        self.said += found
        self.add(Kind.EVENTS, Events(batch=f"e{len(self.log)}", events=found))

    def report(self):
        random = self.random
        kind = random.choice(["deviation", "oos-investigation", "oos-investigation"])
        name = f"{kind[0]}{random.randint(1, 5)}"
        revision = random.choice([1, 1, self.revisions.get(name, 0) + 1, random.randint(1, 4)])
        self.revisions[name] = max(revision, self.revisions.get(name, 0))
        opened = self.ago()
        closed = random.choice([None, None, min(self.now, opened + random.choice([0, MINUTE, HOUR, DAY]))])
        lot = random.choice(["L1", "L1", "L1", "L2"])
        if self.released and random.random() < 0.4:  # one that had been closed before a release, or so it says
            lot, at = random.choice(self.released[-2:])
            closed = at - random.choice([-1, 0, MINUTE])
            opened = closed - random.choice([0, HOUR, 3 * DAY])
        body = {"opened_at": format_instant(opened)} | ({} if closed is None else {"closed_at": format_instant(closed)})
        if kind == "deviation":
            body |= {
                "deviation_id": name, "asset": "A1", "from": format_instant(opened - HOUR), "to": format_instant(opened),
                "duration_min": 60, "peak": 9, "unit": "Cel", "lots": random.choice([[lot], ["L1", "L2"], []]),
            }  # fmt: skip
        else:
            body |= {"investigation_id": name, "lot": lot, "test": random.choice(["a", "a", "a", "b"])}
        whole = {"type": kind, "id": name, "revision": revision, "sent": self.now, "fields": body}
        self.add(Kind.REPORT, Report.model_validate(whole | ({"reason": "more"} if revision > 1 else {})))

    def decision(self):
        """A decision on an alarm that may stand."""
        if not self.released:
            return
        lot, time = self.random.choice(self.released[-6:])
        alarm = alarm_id(RELEASE, FACILITY, {"lot": lot}, time, 1)
        body = {
            "id": f"D-{len(self.log)}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
            "code": self.random.choice(["close-latched", "breach", "amendment-accepted"]), "reason_sha256": "0" * 64,
        }  # fmt: skip
        self.add(Kind.DECISION, Decision.model_validate(body))

    def step(self):
        random = self.random
        self.now += random.choice([1, MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 20 * HOUR, DAY, 30 * HOUR])
        what = random.random()
        if what < 0.5:
            self.events()
        elif what < 0.88:
            self.report()
        elif what < 0.94:
            self.decision()
        else:
            self.add(Kind.TICK, Tick(by="t", role="worker", now=self.now))


def log(seed):
    """Return a random log."""
    drawn = Drawn(Random(seed))  # noqa: S311 - a log, no secret
    for _ in range(drawn.random.randint(5, 40)):
        drawn.step()
    return drawn.log


def logs():
    """Draw logs."""
    return st.builds(log, st.integers(0, 2**32))
