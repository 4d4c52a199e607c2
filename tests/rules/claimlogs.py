"""Logs of three series for days: gaps that are filled later, late rows, marks, and reports of what was measured, right and wrong."""

from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, load_bundle
from rules.records import Kind, LogRecord, Mark, RegisterRecord, Report, Tick
from rules.register import Facility
from tests.rules.logs import Row, readings

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_287_200_000
"""2026-02-28, 22:00 in China: two hours before a month begins."""
MONTH, SPAN, STORE = "claims.month-figures", "claims.span-figures", "claims.store-out"
TAGS = {"T1": 60_000, "T2": 300_000, "T3": 60_000}


def bundle(known=None, wait=2 * HOUR):
    """Return the rules of the tests, which wait two hours unless said otherwise; `known`: the share of its time that each is content with."""
    rules = load_bundle([Path(__file__).parent / "claims"]).rules
    shares = {MONTH: 0.00001, SPAN: 0.5} if known is None else dict.fromkeys((MONTH, SPAN), known)
    own = {name: {"known": share, "wait": wait} for name, share in shares.items()}
    return Bundle.of([r.model_copy(update=own.get(r.id, {})) for r in rules], ())


def facility(high=8.0, tags=TAGS):
    sensors = [
        {"tag": tag, "area": "A2" if tag == "T3" else "A1", "quantity": "temperature", "unit": "Cel",
         "interval": f"{interval}ms", "limits": {"low": 2, "high": high}}
        for tag, interval in tags.items()
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "refrigerator"}], "sensors": sensors,
        }
    )  # fmt: skip


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.number, self.version = random, BEGIN, [], {}, 1
        self.value, self.away, self.held = dict.fromkeys(TAGS, 5.0), {}, []
        self.add(Kind.REGISTER, RegisterRecord(version=1, facility=facility()))

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def post(self, rows):
        if rows:
            self.add(Kind.READINGS, readings(sorted(rows, key=lambda r: (r.tag, r.t)), f"r{len(self.log)}"))

    def rows(self):
        """Send live rows of an hour or so; a series may be away, and one row in twenty comes an hour later at most."""
        random, found = self.random, []
        for tag in TAGS:
            if tag not in self.away and random.random() < 0.15:
                self.away[tag] = []
        for _ in range(random.choice([10, 30, 70])):
            self.now += MINUTE
            for tag, interval in TAGS.items():
                if self.now % interval:
                    continue
                if random.random() < 0.1:
                    self.value[tag] = random.choice([5.0, 5.5, 5.0, 4.5, 9.0, 11.0, -1.0])
                row = Row(tag, self.now, self.value[tag], random.choice([0] * 18 + [2, 6]))
                late = self.away.get(tag, self.held) if tag in self.away or random.random() < 0.05 else found
                late.append(row)
        self.post(found)

    def late(self):
        """Send what was late, and what was measured while a series was away; or lose it."""
        held, self.held = self.held, []
        self.post([row for row in held if self.now - row.t <= HOUR])
        for tag in [tag for tag in self.away if self.random.random() < 0.6]:
            rows = self.away.pop(tag)
            self.post(rows if self.random.random() < 0.7 else rows[::2])

    def again(self):
        """Send rows again that came last, some with another value."""
        sent = [row for record in self.log[-2:] if record.kind is Kind.READINGS for row in _rows(record)]
        chosen = [row for row in sent if self.random.random() < 0.1]
        self.post([Row(r.tag, r.t, self.random.choice([r.v, 30.0]), r.q) for r in chosen])

    def limit(self):
        """Register other limits: rows of before that come later are outside by those of then."""
        self.version += 1
        other = facility(self.random.choice([5.2, 8.0, 10.0]))
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=other))

    def mark(self):
        begin = self.now - self.random.choice([0, 10, 40]) * MINUTE
        to = begin + self.random.choice([0, 5, 20]) * MINUTE
        said = {
            "id": f"M-{len(self.log)}",
            "revision": 1,
            "flag": "maintenance",
            "from": begin,
            "to": to,
            "reason": "service",
            "author": "u-1",
        }
        self.add(Kind.MARK, Mark.model_validate(said | self.random.choice([{"tags": ["T1"]}, {"area": "A1"}])))

    def report(self):
        random, name = self.random, f"R-{self.random.randint(1, 4)}"
        self.number[name] = self.number.get(name, 0) + random.choice([1, 1, 2, 0])
        revision = max(1, self.number[name] - random.choice([0, 0, 0, 1]))
        warm = random.choice([5.0, 5.5, 9.0, 10.5, 11.0])
        if int(name[-1]) % 2:
            figures = {
                "max_temperature": warm, "min_temperature": random.choice([-1.0, 4.5, 5.0]), "mkt": random.choice([5.0, 5.2, 6.0]),
                "minutes_outside": random.choice([0, 30, 300]), "excursions": random.choice([0, 1, 2]),
            }  # fmt: skip
            chosen = {key: figures[key] for key in figures if random.random() < 0.5}
            fields = {
                "product": "P-1",
                "period": random.choice(["2026-02", "2026-02", "2026-03", "2026-Q1", "2026"]),
                "figures": chosen,
            }
            kind = "quality-review"
        else:
            end = self.now - random.choice([0, 17, 60, 200]) * MINUTE
            end = random.choice([end, end // HOUR * HOUR])
            begin = end - random.choice([0, 25, 60, 180, 600]) * MINUTE
            fields = {
                "deviation_id": "D-1", "asset": random.choice(["T1", "T2", "A1", "A2", "X"]), "from": begin, "to": end,
                "duration_min": random.choice([0, 3, 30, 90]), "peak": warm, "unit": "Cel", "lots": [], "opened_at": self.now,
            }  # fmt: skip
            kind = "deviation"
        said = {"id": name, "type": kind, "revision": revision, "sent": self.now, "fields": fields}
        self.add(Kind.REPORT, Report.model_validate(said | ({"reason": "read again"} if revision > 1 else {})))


def _rows(record):
    payload, begin = record.payload, 0
    for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
        for i in range(begin, begin + count):
            yield Row(tag, int(payload.time[i]), float(payload.value[i]), int(payload.quality[i]))
        begin += count


@st.composite
def logs(draw, steps=(6, 20, 45)):
    """Draw a log."""
    drawn = Drawn(Random(draw(st.integers(0, 1 << 32))))  # noqa: S311 - a log, no secret
    for _ in range(draw(st.sampled_from(steps))):
        drawn.now += drawn.random.choice([0, 0, 0, MINUTE, HOUR]) if drawn.random.random() < 0.9 else DAY
        what = drawn.random.random()
        if what < 0.5:
            drawn.rows()
        elif what < 0.68:
            drawn.late()
        elif what < 0.73:
            drawn.again()
        elif what < 0.78:
            drawn.mark()
        elif what < 0.91:
            drawn.report()
        elif what < 0.96:
            drawn.limit()
        else:
            drawn.add(Kind.TICK, Tick(by="t", role="worker", now=drawn.now))
    return drawn.log
