"""Visits that are due by the risk grade: against a plain oracle for any log, and by hand in days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.lint import lint
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.records import Inspection, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility
from rules.rule import VisitRule, is_latched
from tests.examples import examples
from tests.rules.byhand import BUNDLE, HandLog, ms, since
from tests.rules.eventproperties import Kinds
from tests.rules.test_engine_properties import plain

if TYPE_CHECKING:
    from pathlib import Path

RULE, FACILITY, DAY = "risk.visit-overdue", "TEST-0001", 86_400_000
BEIJING = timezone(timedelta(hours=8))
BEGIN = 1_772_294_400_000
OWN = Bundle.of(default_bundle().only({RULE}).rules, ())
KINDS = Kinds(OWN, FACILITY, (RULE,), BEGIN, 900 * DAY)
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MONTHS = {"A": 24, "B": 24, "C": 12, "D": 6}


def due_by_hand(last: date, grade: str) -> int:
    """24:00 in Beijing of the day so many months later; a month that has no such day ends on its last."""
    month = last.month - 1 + MONTHS[grade]
    year, month, day = last.year + month // 12, month % 12 + 1, last.day
    while True:
        try:
            found = date(year, month, day)
            break
        except ValueError:
            day -= 1
    midnight = datetime(found.year, found.month, found.day, tzinfo=BEIJING) + timedelta(days=1)
    return round(midnight.astimezone(UTC).timestamp()) * 1000


class Oracle:
    """Every visit of the whole log, asked again at each record and each instant that may matter."""

    def __init__(self):
        self.visits, self.risk, self.standing, self.used, self.changes, self.clock = {}, None, None, Counter(), [], 0
        self.waits = False

    def run(self, log, until):
        for record in log:
            self.move(record.received)
            if isinstance(record.payload, RegisterRecord):
                self.risk = record.payload.facility.risk
            elif isinstance(record.payload, Inspection):
                one = record.payload
                if one.version > self.visits.get(one.visit, (0,))[0]:
                    self.visits[one.visit] = (one.version, one.mode == "on-site" and one.full, one.done_at)
                self.waits = True  # it is judged when its instant is over
            if isinstance(record.payload, RegisterRecord) and not self.waits:
                self.settle(record.received)
        self.move(until)
        return self.changes

    def due(self):
        days = [datetime.fromtimestamp(t / 1000, BEIJING).date() for _, full, t in self.visits.values() if full]
        if self.risk is not None and self.risk.last_visit is not None:
            days.append(date.fromisoformat(str(self.risk.last_visit)))
        return due_by_hand(max(days), self.risk.grade) if self.risk is not None and days else None

    def move(self, to):
        if self.waits and to > self.clock:
            self.waits = False
            self.settle(self.clock)
        due = self.due()
        for at in () if due is None else (due - 30 * DAY, due):
            if self.clock < at <= to:
                self.settle(at)
        self.clock = max(self.clock, to)

    def settle(self, now):
        due, one = self.due(), self.standing
        if due is None:
            if one and not one["unknown"]:
                one["unknown"] = True
                self.say("unknown", now)
            return
        colour = "yellow" if now >= due else "blue" if now >= due - 30 * DAY else None
        if one and colour is None:
            one["end"] = max(now, one["start"])
            self.say("cleared", now)
            self.standing = None
        elif one and (one["start"], one["severity"]) != (due, colour):
            kind = "stepped" if one["start"] == due else "amended"
            one |= {"start": due, "severity": colour}
            self.say(kind, now)
        elif not one and colour:
            self.used[due] += 1
            name = alarm_id(RULE, FACILITY, {}, due, self.used[due])
            self.standing = {"alarm": name, "start": due, "end": None, "severity": colour, "unknown": False}
            self.say("raised", now)
        if self.standing and self.standing["unknown"]:
            self.standing["unknown"] = False
            self.say("known", now)

    def say(self, kind, now):
        said = {name: value for name, value in self.standing.items() if name != "unknown"}
        self.changes.append(
            {"rule": RULE, "subject": {}, "change": kind, "at": now, "received": now, "late": False} | said
        )


def facility(random):
    day = date(2026, 3, 1) - timedelta(days=random.randint(0, 800))
    risk = {"grade": random.choice("ABCD"), "since": "2024-01-01"} | (
        {"last_visit": str(day)} if random.random() < 0.8 else {}
    )
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [], "sensors": [],
        } | ({"risk": risk} if random.random() < 0.85 else {})
    )  # fmt: skip


def log_of(seed):
    random, now, log, version = Random(seed), BEGIN, [], 0  # noqa: S311 - a log, no secret
    for i in range(random.randint(2, 14)):
        if i == 0 or random.random() < 0.3:
            version += 1
            kind, payload = Kind.REGISTER, RegisterRecord(version=version, facility=facility(random))
        elif random.random() < 0.7:
            done = now - random.choice([0, DAY, 5 * DAY, 200 * DAY, 500 * DAY]) - random.randint(0, DAY)
            said = {
                "visit": f"V-{random.randint(1, 4)}", "version": random.randint(1, 3), "done_at": done, "findings": {},
                "mode": random.choice(["on-site"] * 3 + ["off-site", "written"]), "full": random.random() < 0.8,
            }  # fmt: skip
            kind, payload = Kind.INSPECTION, Inspection.model_validate(said)
        else:
            kind, payload = Kind.TICK, Tick(by="t", role="worker", now=now)
        log.append(LogRecord(0, len(log), now, kind, "" if kind is Kind.TICK else FACILITY, payload))
        now += random.choice([0, 1, DAY, 20 * DAY, 31 * DAY, 100 * DAY])
    return log


LOGS = st.builds(log_of, st.integers(0, 2**32))


@given(LOGS)
@QUICK
def test_engine_and_oracle_agree(log):
    got = [{n: v for n, v in one.items() if n not in ("seq", "by")} for one in plain(KINDS.run(log, KINDS.until(log)))]
    wanted = Oracle().run(log, KINDS.until(log))
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(LOGS, st.lists(st.sampled_from([DAY, 7 * DAY, 40 * DAY]), min_size=1, max_size=5))
@QUICK
def test_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_random_logs_reach_what_is_asked_of_them():
    told = Counter(c.change.value for seed in range(300) for c in KINDS.run(log_of(seed), None, Engine(OWN)))
    assert all(told[kind] > 8 for kind in ("raised", "stepped", "amended", "cleared", "unknown", "known")), told


def firm(at: float, version: int, **risk: Any) -> HandLog:
    return HandLog().register(at, version=version, risk={"since": "2024-01-01"} | risk)


def told(hand: HandLog, until: float) -> list[tuple[Any, ...]]:
    found = [c for c in hand.changes(until=until * 1440) if c.rule == RULE]
    return [(c.change.value, c.severity.value, since(c.start) / 1440, since(c.received) / 1440) for c in found]


@pytest.mark.parametrize(
    ("last", "grade", "due"),
    [("2025-08-31", "D", 0), ("2025-03-01", "C", 1), ("2024-02-29", "B", 0), ("2024-03-01", "A", 1)],
)
def test_the_day_is_clipped_and_ends_at_midnight(last: str, grade: str, due: int) -> None:
    hand = firm(-60 * 1440, 1, grade=grade, last_visit=last)
    assert told(hand, 400) == [("raised", "blue", due, due - 30), ("stepped", "yellow", due, due)]


def test_the_evidence_names_the_visit_and_the_words_are_those_of_the_facility_as_a_whole() -> None:
    hand = firm(-60 * 1440, 1, grade="D")
    hand.line(
        -1440,
        "inspection",
        {"visit": "V-1", "version": 1, "mode": "on-site", "done_at": ms(-170 * 1440), "full": True, "findings": {}},
    )
    (raised,) = [c for c in hand.changes(until=0) if c.rule == RULE]
    assert ("inspection", "V-1/1") in [(read.kind, read.id) for read in raised.evidence.records]
    assert (raised.subject, raised.message.en) == ({}, "Full on-site visit due by risk grade")
    assert [leaf.expr for leaf in raised.evidence.leaves] == ["last full on-site visit"]
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(0))
    assert one.agrees
    assert all(rare_lines(one, lang) for lang in ("en", "zh"))


def test_as_it_ships() -> None:
    rule = BUNDLE.rule(RULE)
    assert isinstance(rule, VisitRule)
    assert (rule.stage, {grade: rule.months[grade] for grade in ("A", "B", "C", "D")}) == ("live", MONTHS)
    assert not is_latched(rule, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("D: 6}", "D: 0}", ": months/D: "),
        ("months: {A: 24, ", "months: {", "missing: months/A: "),
        ("D: 6}", "D: 6, E: 3}", "unknown_member: months/E: "),
        ("severity: blue}", "severity: yellow}", "visit: notice/severity: a notice is milder"),
        ("before: 30d", "before: 0s", "visit: notice/before: above nothing"),
        ("applies_to: {}", "applies_to: {area.kind: cold-room}", "predicate: applies_to/area.kind: "),
    ],
)
def test_lint(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (SHIPPED / "risk" / "visit-overdue.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "risk").mkdir()
    (tmp_path / "risk" / "visit-overdue.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [str(fault) for fault in lint([tmp_path])]
    assert any(said in one for one in found), found
