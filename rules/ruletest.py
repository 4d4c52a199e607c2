"""Run the tests that stand inside rule files against the real engine.

A test's facility is a standard one, completed by the test's partial facts; every row is received one second after its event
time; `until` then moves the clock with the front door open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from rules.changes import alarm_id
from rules.engine import Engine
from rules.instants import format_duration, format_instant, parse_duration, parse_instant
from rules.lots.fold import LotFold
from rules.models import faults_of
from rules.pack import Bundle, default_bundle
from rules.records import (
    Decision,
    Event,
    Events,
    Inspection,
    Kind,
    LogRecord,
    Mark,
    Payload,
    Quality,
    Readings,
    RegisterRecord,
    Report,
)
from rules.register import UNITS, Facility, Quantity
from rules.rule import LimitRule, LotRule

if TYPE_CHECKING:
    from rules.changes import Change
    from rules.lots.facts import LotFact
    from rules.rule import Expectation, Rule, RuleTest, TestEvent, TestInspection, TestMark, TestReport, TestRow

BEGIN_MS = parse_instant("2026-03-01T00:00:00+08:00")
FACILITY = "TEST-0001"
LATENCY_MS = 1_000
MAX_SAMPLES = 20_000
MARKS = {"": Quality.GOOD, "!": Quality.FAULT, "?": Quality.UNCERTAIN}
"""Before a value: `!` a fault that the firm marked (rules with `marked: count` count it), `?` uncertain (no rule does)."""
_GROUP = re.compile(r"\(([^()]*)\)x(\d{1,5})")
_SAMPLE = re.compile(r"^(?P<mark>[!?]?)(?P<value>_|-?\d+(\.\d+)?)(x(?P<times>\d{1,5}))?$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one test gave: the differences in words; none means it passed."""

    rule: str
    test: str
    differences: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Say whether expectation and outcome agree."""
        return not self.differences


def samples(text: str) -> list[tuple[float, Quality] | None]:
    """Return the samples of a series in short form; None is a missing one.

    >>> samples("5x2 _ !9")
    [(5.0, <Quality.GOOD: 0>), (5.0, <Quality.GOOD: 0>), None, (9.0, <Quality.FAULT: 6>)]
    >>> [sample and sample[0] for sample in samples("(5 _x2)x2")]
    [5.0, None, None, 5.0, None, None]

    Raises:
        ValueError: a word that is not of the form, or too many samples.
    """
    found: list[tuple[float, Quality] | None] = []
    for word in _spread(text).split():
        match = _SAMPLE.match(word)
        if not match or (match["mark"] and match["value"] == "_"):
            raise ValueError(f"{word!r} is no sample; write 5, 7x5, _, _x3, !9 or ?9")
        times = int(match["times"] or 1)
        if len(found) + times > MAX_SAMPLES:
            raise ValueError(f"a series of a test holds at most {MAX_SAMPLES} samples")
        quality = MARKS[match["mark"]]
        found.extend([None if match["value"] == "_" else (float(match["value"]), quality)] * times)
    return found


def _spread(text: str) -> str:
    """Return the text with each group written as often as it says."""

    def often(match: re.Match[str]) -> str:
        if len(match[1].split()) * int(match[2]) > MAX_SAMPLES:
            raise ValueError(f"a series of a test holds at most {MAX_SAMPLES} samples")
        return " ".join([match[1]] * int(match[2]))

    return _GROUP.sub(often, text)


def facility_of(rule: Rule, test: RuleTest) -> Facility:
    """Return the standard facility completed by the test's facts.

    Raises:
        ValidationError: the facts do not make a facility.
    """
    return Facility.model_validate(whole_of(rule, test))


def whole_of(rule: Rule, test: RuleTest) -> dict[str, Any]:
    """Return the same as it is written, before anything of it is checked."""
    facts = test.register_
    sensors = [dict(s) for s in facts.get("sensors", [])] + ([dict(facts["sensor"])] if "sensor" in facts else [])
    areas = [dict(a) for a in facts.get("areas", [])] + ([dict(facts["area"])] if "area" in facts else [])
    areas = areas or [{}]
    for area in areas:
        area.setdefault("id", "A1")
        area.setdefault("kind", "room-store")
    for sensor in sensors:
        sensor.setdefault("area", areas[0]["id"])
        quantity = sensor.setdefault("quantity", "temperature")
        if isinstance(quantity, str) and quantity in set(Quantity):
            sensor.setdefault("unit", UNITS[Quantity(quantity)])
    scopes = [scope.model_dump() for scope in rule.scopes if scope.field != "all"]
    return {
        "id": FACILITY,
        "name": {"zh": "测试单位", "en": "Test facility"},
        "jurisdiction": "110000",
        "scopes": scopes,
        "areas": areas,
        "sensors": sensors,
        **facts.get("facility", {}),
    }


def records_of(rule: Rule, test: RuleTest) -> list[LogRecord]:
    """Return the log of a test: the register, then one record a sampling instant; what else it names stands between, by receive time.

    Of one instant rows stand first, then events, registers, decisions and marks, each kind as written.
    """
    begin = begin_of(test)
    log = [*_rows_of(rule, test), *(_row_of(i, one, begin) for i, one in enumerate(test.rows))]
    extra: list[tuple[int, Kind, Payload, str | None]] = [
        (one.at + one.after, Kind.EVENTS, _event_of(i, one, begin), one.facility) for i, one in enumerate(test.events)
    ]
    if isinstance(rule, LotRule):
        extra = [*((0, Kind.REGISTER, one, one.facility.id) for one in _others(rule, test)), *extra]
    for i, later in enumerate(test.later, 1):
        whole = test.model_copy(update={"register_": later.register_})
        extra.append((later.at, Kind.REGISTER, RegisterRecord(version=i, facility=facility_of(rule, whole)), None))
    for i, closed in enumerate(test.decisions):
        alarm = alarm_id(closed.rule or rule.id, FACILITY, closed.subject, begin + closed.start)
        about = {"grade": FACILITY} if closed.code.startswith("grade-") else {"alarm": alarm}
        said = Decision.model_validate(
            {
                "id": f"D-{i}", "version": 1, "subject": about, "code": closed.code, "officer": "o-1",
                "revision_seen": 0, "reason_sha256": "0" * 64,
            }
        )  # fmt: skip
        extra.append((closed.at, Kind.DECISION, said, None))
    extra += [(one.at, Kind.MARK, _mark_of(one, begin), None) for one in test.marks]
    extra += [(one.at, Kind.REPORT, _report_of(one, begin), one.facility) for one in test.reports]
    extra += [(one.at, Kind.INSPECTION, _inspection_of(one, begin), None) for one in test.inspections]
    if not extra and not test.rows:
        return log
    log += [LogRecord(0, 0, begin + at, kind, who or FACILITY, payload) for at, kind, payload, who in extra]
    ordered = [log[0], *sorted(log[1:], key=lambda record: record.received)]
    return [replace(record, offset=offset) for offset, record in enumerate(ordered)]


def _others(rule: Rule, test: RuleTest) -> list[RegisterRecord]:
    """Return the registers of the other facilities that a test names: the same scopes, and nothing else."""
    named = [*(one.facility for one in test.events), *(one.facility for one in test.reports)]
    names = {name for name in named if name not in {None, FACILITY}}
    own = {key: value for key, value in whole_of(rule, test).items() if key in {"name", "jurisdiction", "scopes"}}
    return [
        RegisterRecord(version=0, facility=Facility.model_validate({**own, "id": name}))
        for name in sorted(names, key=str)
    ]


def _row_of(number: int, one: TestRow, begin: int) -> LogRecord:
    (sample,) = samples(one.value)
    if sample is None:
        raise ValueError("a row of a test has a value")
    value, quality = sample
    payload = Readings(
        batch=one.batch or f"r{number}", tags=(one.tag,), counts=np.ones(1, np.int32), time=np.array([begin + one.at], np.int64),
        value=np.array([value]), quality=np.array([quality], np.uint8), seq=one.seq,
    )  # fmt: skip
    received = begin + (one.at + LATENCY_MS if one.received is None else one.received)
    return LogRecord(0, 0, received, Kind.READINGS, FACILITY, payload)


def _event_of(number: int, one: TestEvent, begin: int) -> Events:
    given = one.model_dump(mode="json", exclude={"at", "after", "batch", "facility"}, exclude_none=True)
    event = Event.model_validate(given | {"time": begin + one.at, "fields": timed(given.get("fields", {}), begin)})
    return Events(batch=one.batch or f"e{number}", events=[event])


def _mark_of(one: TestMark, begin: int) -> Mark:
    given = one.model_dump(mode="json", include={"id", "revision", "tags", "area", "flag"}, exclude_none=True)
    times = {"from": begin + one.from_, "to": None if one.to is None else begin + one.to}
    return Mark.model_validate(given | times | {"reason": "a test", "author": "u-1"})


def _report_of(one: TestReport, begin: int) -> Report:
    given = one.model_dump(mode="json", include={"type", "id", "revision", "reason"}, exclude_none=True)
    return Report.model_validate(
        given | {"sent": begin + (one.at if one.sent is None else one.sent), "fields": timed(one.fields, begin)}
    )


def timed(value: Any, begin: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return fields with each text `+36h` turned into the instant so long behind the test's beginning."""
    if isinstance(value, dict):
        return {name: timed(inner, begin) for name, inner in value.items()}
    if isinstance(value, list):
        return [timed(inner, begin) for inner in value]
    if isinstance(value, str) and value.startswith("+"):
        return format_instant(begin + parse_duration(value[1:]))
    return value


def _inspection_of(one: TestInspection, begin: int) -> Inspection:
    given = one.model_dump(mode="json", include={"visit", "version", "plan_date"}, exclude_none=True)
    over = {} if one.handed_over is None else {"handed_over_at": begin + one.handed_over}
    findings = {"major": 1}
    done = {"mode": one.mode, "done_at": begin + one.done, "full": one.full, "findings": findings}
    return Inspection.model_validate(given | over | done)


def begin_of(test: RuleTest) -> int:
    """Return the instant from which a test's durations count, ms."""
    return BEGIN_MS if test.begin is None else test.begin


def _rows_of(rule: Rule, test: RuleTest) -> list[LogRecord]:
    begin = begin_of(test)
    register = RegisterRecord(version=0, facility=facility_of(rule, test))
    log = [LogRecord(0, 0, begin, Kind.REGISTER, FACILITY, register)]
    rows: dict[int, list[tuple[str, float, Quality]]] = {}
    for tag, series in test.series.items():
        for i, sample in enumerate(samples(series.values)):
            if sample is not None:
                rows.setdefault(begin + i * series.every, []).append((tag, *sample))
    for at in sorted(rows):
        entries = rows[at]
        count = len(entries)
        payload = Readings(
            batch=f"t{at}",
            tags=tuple(tag for tag, _, _ in entries),
            counts=np.ones(count, np.int32),
            time=np.full(count, at, np.int64),
            value=np.array([value for _, value, _ in entries]),
            quality=np.array([quality for _, _, quality in entries], np.uint8),
        )
        log.append(LogRecord(0, len(log), at + LATENCY_MS, Kind.READINGS, FACILITY, payload))
    return log


def around(rule: Rule, bundle: Bundle, test: RuleTest | None = None) -> Bundle:
    """Return what a rule's tests run with: it, what it reads, what a test names beside it, and the rules that exclude values (a broken wire).

    A draft is tested as if it were on trial. Where the bundle has none that excludes, or not what stands beside, the shipped ones do: so
    a pack is tested alone as it runs with the others.
    """
    beside = [] if test is None else test.beside
    own, shipped = bundle.only({rule.id, *rule.reads, *beside}), default_bundle()
    if rule.stage == "draft":  # nothing watches by it yet: its tests run as it will be on trial
        own = Bundle.of(
            [one.model_copy(update={"stage": "shadow"}) if one.id == rule.id else one for one in own.rules], ()
        )
    more = [other for name in beside if own.rule(name) is None and (other := shipped.rule(name)) is not None]
    excluding = _excluding(bundle) or _excluding(shipped)
    more += [other for other in excluding if all(other.id != one.id for one in [*own.rules, *more])]
    tables = {**(shipped.tables if beside else {}), **bundle.tables}
    calendars = bundle.calendars or shipped.calendars
    return Bundle.of([*own.rules, *more], tables.values(), calendars=calendars.values())


def _excluding(bundle: Bundle) -> list[Rule]:
    return [other for other in bundle.rules if isinstance(other, LimitRule) and other.excludes]


def until_of(test: RuleTest, records: list[LogRecord]) -> int:
    """Return to where a test moves the clock: its `until`, at least just behind the last record, so that pairs decide it."""
    return max(records[-1].received + 1, begin_of(test) + (test.until or 0))


def changes_of(rule: Rule, test: RuleTest, bundle: Bundle) -> list[Change]:
    """Return the changes of `rule` that a test gives; what stands beside it is `around` it."""
    if isinstance(rule, LotRule):
        return lots_of(rule, test, bundle)[1]
    engine, records = Engine(around(rule, bundle, test)), records_of(rule, test)
    changes = [change for record in records for change in engine.fold(record)]
    changes += engine.advance(0, until_of(test, records))
    return [change for change in changes if change.rule == rule.id]


def lots_of(rule: LotRule, test: RuleTest, bundle: Bundle) -> tuple[list[LotFact], list[Change]]:
    """Return the facts of lots that a test of a rule over lots tells, and the changes of the rule by the second fold."""
    own = around(rule, bundle, test)
    engine, second = Engine(own, keep_facts=True), LotFold(own)
    facts: list[LotFact] = []
    records = records_of(rule, test)
    for record in records:
        engine.fold(record)
        facts += engine.take_facts(record.partition)
    engine.advance(0, until_of(test, records))
    facts += engine.take_facts(0)
    changes = [change for fact in facts for change in second.fold(0, fact, None)]
    return facts, [change for change in changes if change.rule == rule.id]


def run_test(rule: Rule, test: RuleTest, bundle: Bundle) -> Outcome:
    """Run one test and compare."""
    try:
        got = changes_of(rule, test, bundle)
    except ValidationError as error:
        return Outcome(rule.id, test.name, [str(fault) for fault in faults_of(error, "/register")])
    except ValueError as error:
        return Outcome(rule.id, test.name, [str(error)])
    begin = begin_of(test)
    differences = [
        f"expected {_words(want)}, got {_said(change, begin)}"
        for want, change in zip(test.expect, got, strict=False)
        if not _fits(want, change, begin)
    ]
    differences += [f"expected {_words(want)}, got nothing" for want in test.expect[len(got) :]]
    differences += [f"got {_said(change, begin)}, which was not expected" for change in got[len(test.expect) :]]
    return Outcome(rule.id, test.name, differences)


def run_tests(bundle: Bundle, rule_id: str | None = None) -> list[Outcome]:
    """Run the tests of all rules of a bundle, or of one."""
    return [run_test(rule, test, bundle) for rule in bundle.rules if rule_id in {None, rule.id} for test in rule.tests]


def _fits(want: Expectation, got: Change, begin: int) -> bool:
    end = None if got.end is None else got.end - begin
    return (
        (want.at, want.change) == (got.at - begin, got.change)
        and want.severity in {None, got.severity}
        and want.start in {None, got.start - begin}
        and want.end in {None, end}
        and want.subject in (None, got.subject)
    )


def _words(want: Expectation) -> str:
    parts = [f"{want.change} at {format_duration(want.at)}"]
    parts += [str(want.severity)] if want.severity else []
    parts += [f"start {format_duration(want.start)}"] if want.start is not None else []
    parts += [f"end {format_duration(want.end)}"] if want.end is not None else []
    return " ".join(parts)


def _said(got: Change, begin: int) -> str:
    end = "" if got.end is None else f" end {format_duration(got.end - begin)}"
    return f"{got.change} at {format_duration(got.at - begin)} {got.severity} start {format_duration(got.start - begin)}{end} {got.subject}"
