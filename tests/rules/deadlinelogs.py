"""Logs of reports and visits: early, late and at the last instant, revised in any order, while packs, register and front door change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from rules.calendar import parse_time
from rules.pack import Bundle
from rules.records import Decision, Events, Inspection, Kind, LogRecord, Mark, PacksRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.rule import DeadlineRule
from tests.rules import logs
from tests.rules.deadlinerules import OTHER, PACKS, SHORT, YEARS
from tests.rules.logs import BEGIN, FACILITY

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
CHINA = ZoneInfo("Asia/Shanghai")
SCOPES = [
    {"field": "vigilance", "line": "drug"}, {"field": "vigilance", "line": "device"}, {"field": "manufacture", "line": "drug"},
    {"field": "clinical-trials", "line": "drug"}, {"field": "vigilance", "line": "cosmetics"},
    {"field": "manufacture", "line": "cosmetics"},
]  # fmt: skip
BEGINS = [BEGIN, BEGIN, BEGIN, BEGIN - 66 * DAY, BEGIN + 197 * DAY, BEGIN + 662 * DAY]
"""Also a week before the end of a year, before National Day, and before the last day of the calendar."""


BACK = [
    0,
    0,
    1,
    MINUTE,
    HOUR,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    DAY - 1,
    DAY,
    DAY + 1,
    2 * DAY,
    7 * DAY,
    15 * DAY,
    16 * DAY,
    21 * DAY,
    31 * DAY,
]
INSIDE = [DAY, DAY + MINUTE, HOUR + MINUTE, 2 * HOUR + MINUTE, 3 * HOUR + MINUTE]
"""So long ago that the time was over while the front door was closed."""


def midnight(at, days=0):
    """Return the local midnight that begins the day of an instant, or another one."""
    day = datetime.fromtimestamp(at / 1000, CHINA).date() + timedelta(days=days)
    return round(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp() * 1000)


def date_of(at, days=0):
    return datetime.fromtimestamp(midnight(at, days) / 1000, CHINA).date().isoformat()


@dataclass
class Maker:
    """Makes one log from one number."""

    random: Random
    now: int = BEGIN

    def __post_init__(self):
        self.log, self.sent, self.names, self.version = [], [], 0, 0
        self.doors = self.random.choice([1, 1, 1, 9])  # between one closing and the next the door is closed as well
        self.inside, self.same = False, True
        self.entity, self.few, self.pace = None, True, self.random.choice([0.6, 0.86, 1, 1])

    def put(self, kind, payload, facility=FACILITY):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, facility, payload))

    def tick(self, role):
        self.put(Kind.TICK, Tick(by="t", role=role, now=self.now), "")

    def pass_time(self):
        """Let some time go by, often to the very instant at which something may be over."""
        random = self.random
        how = random.random() * self.pace
        if how < 0.35:
            self.now += random.choice([0, 0, 1, SECOND, MINUTE])
        elif how < 0.6:
            self.now += random.choice([HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, 5 * HOUR, 6 * HOUR, 23 * HOUR, DAY, DAY + 1])
        elif how < 0.85:
            self.now = midnight(self.now, random.choice([1, 1, 2, 3])) + random.choice([-1, 0, 0, 1, MINUTE])
        elif how < 0.95:
            self.now += random.choice([6 * DAY, 7 * DAY + 1, 12 * DAY, 15 * DAY, 16 * DAY])
        else:
            self.now = midnight(self.now, random.choice([20, 31, 61])) + random.choice([-1, 0, 1])

    def known(self):
        """Return when something came to be known: about as long ago as clocks take."""
        random = self.random
        back = random.choice(INSIDE if self.inside and random.random() < 0.6 else BACK)
        at = self.now - back
        if random.random() < 0.3:
            at = midnight(at) + random.choice([-1, 0, 0, 1])
        if random.random() < 0.03:
            at = random.choice([0, 1, 4_102_444_800_000, self.now + DAY])
        return at

    def name(self, letter, many=3):
        return f"{letter}-{self.random.randint(1, many)}"

    def facility(self):
        random = self.random
        licences = [
            {"number": "N-1", "kind": kind, "from": begin, "to": end}
            for kind, begin, end in [
                (
                    random.choice(["drug-mah", "drug-manufacture", "drug-wholesale"]),
                    random.choice(["2020-01-01", "2025-12-31", "2026-01-01", "2026-06-01", "2027-06-01"]),
                    random.choice([None, None, "2026-01-01", "2025-12-31", "2026-12-31", "2028-05-05"]),
                )
            ]
            if random.random() < 0.8
        ]
        trials = []
        for i in range(1, random.choice([1, 1, 2, 3]) if self.few else random.choice([2, 3, 4])):
            day = date_of(self.now, random.choice([-1, 0, 1, 2, 3, 5, 9, 60]))
            day = random.choice([day, day, f"2024{day[4:]}", "2024-02-29", "2027-04-01"])
            day = "2026-02-28" if day == "2024-02-29" and random.random() < 0.2 else day
            ended = random.choice([None] * 4 + [date_of(self.now, random.choice([-1, 0, 1, 30, 365]))])
            trials.append({"id": f"T-{i}", "anniversary": day.replace("2026-02-29", "2026-02-28"), "ended": ended})
        scopes = random.choice([SCOPES, SCOPES, SCOPES, SCOPES[:2], [{"field": "distribution", "line": "drug"}]])
        known = self.entity is not None and random.random() < 0.8
        value = {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "scopes": scopes,
            "jurisdiction": random.choice(["110000", "110000", "310115", "110115", "710000", "990000"]),
            "licences": licences, "trials": trials, "areas": [{"id": "A1", "kind": "cold-room"}],
            "sensors": [{
                "tag": "T1", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s",
                "calibration": {"done": "2026-01-01", "due": "2026-06-01"},
            }],
        }  # fmt: skip
        if known:  # one thing is other than before
            old = self.entity.model_dump(mode="json", by_alias=True)
            what = random.choice(["scopes", "jurisdiction", "licences", "trials", "trials"])
            value = old | {what: value[what]}
        self.entity = Facility.model_validate(value)
        return self.entity

    def register(self):
        self.version += random_step(self.random)
        self.put(Kind.REGISTER, RegisterRecord(version=self.version, facility=self.facility()))

    def fields(self, kind):
        """Return the fields of one report."""
        random, known = self.random, self.known()
        plan = random.choice([None, None, date_of(self.now, random.choice([-2, 0, 1, 5]))])
        device = ["group", "group", "group", "death", "serious"]
        cosmetic = random.choice(["ordinary", "serious", "social"])
        year = random.choice([2024, 2025, 2025, 2025, 2026, 2026, 2027])
        told = random.choice([known, self.now, self.now + HOUR, self.now + DAY])
        totals = [{"lot": "L-1", "shipped": 5, "returned": 1, "destroyed": 0}]
        progress = {"recall_id": self.name("R", 2), "seq": 1, "as_of": "2026-03-01", "totals": totals}
        return {
            "adr-case": {
                "case_id": self.name("C"), "known_at": known, "onset": "2025-12-01",
                "seriousness": random.choice(["death", "death", "serious", "other"]), "is_new": random.random() < 0.4,
                "product": "P-1", "outcome": "x", "source_channel": "y",
            },
            "adr-death-investigation": {"case_id": self.name("C"), "known_at": known, "conclusion": "x", "lots": []},
            "device-event": {
                "event_id": self.name("D"), "class": random.choice(device), "known_at": known,
                "channel": random.choice(["phone", "online"]), "udi": "U-1", "lot": "L-1",
            },
            "cosmetic-reaction": {"case_id": self.name("K"), "class": cosmetic, "known_at": known, "filing_id": "G-1"},
            "cosmetic-self-check": {"cases": self.cases(), "class": cosmetic, "known_at": known, "finding": "x"},
            "susar": {
                "trial_id": "T-1", "case_id": self.name("S", 2), "day0": date_of(known),
                "fatal_or_life_threatening": random.random() < 0.6, "follow_up": random.random() < 0.4,
            },
            "dsur": self.anniversary() | {"susar_count": 0},
            "annual-report": {"year": year, "products": [], "changes": [], "deviations": 0, "recalls": 0, "figures": {}},
            "recall-notice": {
                "recall_id": self.name("R", 2), "line": random.choice(["drug", "drug", "device"]),
                "class": random.choice([1, 1, 2, 3]), "decided_at": known, "notified_at": told,
                "lots": [{"lot": "L-1", "shipped": 5}],
            },
            "recall-progress": progress, "recall-final": progress,
            "rectification": {
                "inspection_id": self.name("V", 2), "handed_over_at": known, "plan_date": plan, "actions": ["x"],
            },
        }[kind]  # fmt: skip

    def cases(self):
        """Return some cases, sometimes one of them twice."""
        cases = self.random.sample(["K-1", "K-2", "K-3"], self.random.choice([1, 2, 3]))
        return cases + (cases[:1] if self.random.random() < 0.2 else [])

    def anniversary(self):
        """Return a trial and a day, mostly an anniversary of it."""
        random = self.random
        day = date_of(self.now, random.choice([-3, -2, -1, 0, 1, 2, 400, 800]))
        trials = self.entity.trials if self.entity is not None else []
        if not trials or random.random() < 0.2:
            return {"trial_id": self.name("T"), "anniversary": day}
        trial = random.choice(trials)
        year = int(day[:4]) + random.choice([-1, 0, 0, 0, 1])
        return {"trial_id": trial.id, "anniversary": f"{year}{trial.anniversary[4:]}".replace("-02-29", "-02-28")}

    def report(self, kinds):
        """Send a report: a new one, a revision of one, the same again, or what cannot be read."""
        random = self.random
        old = random.choice(self.sent) if self.sent and random.random() < 0.4 else None
        if old is None:
            kind = random.choice(kinds)
            self.names += 1
            revision = random.choice([1, 1, 1, 1, 2, 3])
            said = {"type": kind, "id": f"P-{self.names}", "revision": revision, "fields": self.fields(kind)}
            said["reason"] = None if revision == 1 or random.random() < 0.2 else "mended"
            if random.random() < 0.04:
                said["fields"] |= random.choice(
                    [{"known_at": "soon"}, {"day0": random.choice(["0001-01-01", "9999-12-31"])}, {"none": 1}]
                )
        elif random.random() < 0.25:
            said = dict(old)
        else:
            said = old | {"revision": max(1, old["revision"] + random.choice([1, 1, 2, 3, -1, 0]))}
            said["reason"] = random.choice(["mended", "mended", "mended", " ", None])
            self.same = random.random() < 0.7
            if random.random() < 0.7:
                new = self.fields(old["type"])
                # Mostly of the same case; else it was a slip of the pen which one it is.
                names = ("case_id", "event_id", "recall_id", "inspection_id", "trial_id")
                kept = [name for name in names if name in new and self.same]
                said["fields"] = new | {name: old["fields"][name] for name in kept if name in old["fields"]}
        said = said | {"sent": self.now}
        self.sent.append({name: value for name, value in said.items() if name != "sent"} | {"sent": said["sent"]})
        self.put(Kind.REPORT, Report.model_validate(said))

    def visit(self):
        random = self.random
        said = {
            "visit": self.name("V", 2), "version": random.choice([1, 1, 2, 2, 3]), "mode": "on-site", "done_at": self.now,
            "full": True, "findings": {}, "handed_over_at": random.choice([None, *[max(self.known(), 0)] * 3]),
            "plan_date": random.choice(
                [None, None, None, "2026-02-31", *[date_of(self.now, random.choice([-40, 0, 1, 3, 20])) for _ in range(3)]]
            ),
        }  # fmt: skip
        self.put(Kind.INSPECTION, Inspection.model_validate(said))

    def door(self, kinds):
        """Close the front door for some time, often over an instant at which something may be over; records may come meanwhile."""
        random = self.random
        self.doors -= 1
        if random.random() < 0.7:
            self.now = max(
                self.now, midnight(self.now, random.choice([1, 1, 2])) - random.choice([10 * MINUTE, HOUR, 1])
            )
        self.tick("gateway")
        end, self.inside = self.now + random.choice([16 * MINUTE, 90 * MINUTE, 3 * HOUR, DAY]), True
        for _ in range(random.choice([0, 1, 1, 2])):
            self.now = min(end, self.now + random.choice([10 * MINUTE, 10 * MINUTE + 1, HOUR, HOUR + 1]))
            if random.random() < 0.5:
                self.tick("worker")
            else:
                self.report(kinds)
        self.now, self.inside = end, False
        self.tick("gateway")
        if random.random() < 0.4:
            self.report(kinds)

    def noise(self):
        """Send what no clock looks at."""
        random = self.random
        how = random.choice(["events", "readings", "mark", "decision"])
        if how == "events":
            event = {
                "stream": "audit",
                "type": "audit-disabled",
                "time": self.now,
                "source": "S",
                "fields": {"system": "LIMS"},
            }
            self.put(Kind.EVENTS, Events.model_validate({"batch": f"e{len(self.log)}", "events": [event]}))
        elif how == "readings":
            rows = [logs.Row("T1", self.now - i * MINUTE, random.choice([5.0, 9.0])) for i in (2, 1, 0)]
            self.put(Kind.READINGS, logs.readings(rows, f"b{len(self.log)}"))
        elif how == "mark":
            said = {"id": "M-1", "revision": len(self.log) + 1, "tags": ["T1"], "flag": "maintenance", "from": self.now}
            self.put(Kind.MARK, Mark.model_validate(said | {"to": None, "reason": "x", "author": "u"}))
        else:
            said = {
                "id": f"D{len(self.log)}",
                "version": 1,
                "subject": {"alarm": "0" * 32},
                "code": "breach",
                "officer": "o",
            }
            self.put(Kind.DECISION, Decision.model_validate(said | {"revision_seen": 0, "reason_sha256": "0" * 64}))

    def packs(self, of):
        """Let other packs come into force: numbers, calendars, clocks that go and come."""
        random = self.random
        rules = []
        for one in of.rules:
            if not isinstance(one, DeadlineRule):
                rules.append(one)
                continue
            how = random.random()
            if how < 0.12:
                continue
            if how < 0.4:
                time = random.choice(["1h", "2h", "1d", "2d", "1wd", "3wd", "1mo"])
                within = [each.model_copy(update={"time": parse_time(time)}) for each in one.within]
                update = {"within": within, "migration": random.choice([None, "carry", "close"]), "version": "1.1.0"}
                if one.yearly is not None and time.endswith("wd"):
                    continue
                rules.append(one.model_copy(update=update))
                continue
            rules.append(one)
        calendars = random.choice([[YEARS], [YEARS], [YEARS, OTHER], [SHORT], []])
        made = Bundle.of(rules, of.tables.values(), calendars=calendars)
        self.put(Kind.PACKS, made.to_record(), "")


def random_step(random):
    return random.choice([1, 1, 1, 1, 2, 0])


FAMILIES = [
    ["adr-case", "adr-death-investigation"], ["recall-notice", "recall-progress", "recall-progress", "recall-final"],
    ["cosmetic-reaction", "cosmetic-self-check"], ["device-event"], ["susar"], ["dsur", "annual-report"], ["rectification"],
]  # fmt: skip


class Drawn(tuple):
    """Packs and a log, shown in little room."""

    __slots__ = ()

    def __repr__(self):
        lines = [
            f"{record.received - BEGIN} {record.kind} {record.payload.model_dump_json(by_alias=True, exclude_defaults=True)[:300]}"
            if not isinstance(record.payload, PacksRecord)
            else f"{record.received - BEGIN} packs"
            for record in self[1]
            if record.kind is not Kind.READINGS
        ]
        return "\n".join([self[0], *lines])


def made(number, packs, length, *, doors=True):
    """Return the log of a number."""
    random = Random(number)  # noqa: S311 - a log, no secret
    maker = Maker(random, random.choice(BEGINS))
    maker.version = 1
    family = random.choice([*FAMILIES, [kind for kinds in FAMILIES for kind in kinds]])
    maker.few = "dsur" not in family
    maker.put(Kind.REGISTER, RegisterRecord(version=1, facility=maker.facility()))
    visits = 0.5 if "rectification" in family else 0.0
    for _ in range(length):
        maker.pass_time()
        how = random.random()
        if how < 0.1:
            maker.tick("worker")
        elif how < 0.2 and doors and maker.doors > 0:
            maker.door(family)
        elif how < 0.25:
            maker.noise()
        elif how < 0.32 and packs in ("rare", "alone"):
            maker.register()
        elif how < 0.4 and packs in ("some", "alone"):
            maker.packs(PACKS[packs])
        elif random.random() < visits:
            maker.visit()
        else:
            maker.report(family)
    return Drawn((packs, maker.log))


@st.composite
def drawn(draw, packs=tuple(PACKS), *, doors=True):
    """Draw packs and a log of one facility."""
    chosen = draw(st.sampled_from(packs))
    return made(draw(st.integers(0, 1 << 32)), chosen, draw(st.sampled_from([4, 10, 25])), doors=doors)
