"""Every legal clock of the reference (deadlines.md): what the shipped rules make of it on both sides of its last instant, by edition."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rules.engine import Engine
from rules.instants import parse_instant
from rules.models import Severity
from rules.pack import default_bundle
from rules.records import Inspection, Kind, LogRecord, RegisterRecord, Report
from rules.register import Facility
from rules.rule import DeadlineRule
from rules.ruletest import around

BUNDLE = default_bundle()
FACILITY = "TEST-0001"
YEAR = 366 * 86_400_000

TABLE = (
    # §1 adverse reactions of drugs
    "adr-death", "adr-death-investigation", "adr-new-or-serious", "adr-other", "adr-group", "adr-group-investigation", "psur",
    # §2 trials
    "susar-fatal", "susar-fatal-follow-up", "susar-other", "dsur",
    # §3 devices
    "device-death", "device-serious", "device-overseas", "device-group-phone", "device-group-case", "device-group-report",
    "device-recall-notice-1", "device-recall-notice-2", "device-recall-notice-3", "device-recall-plan",
    # §4 cosmetics
    "cosmetic-ordinary", "cosmetic-serious", "cosmetic-social-effect", "cosmetic-self-check-serious", "cosmetic-self-check-social",
    # §5 recall of drugs
    "drug-recall-notice", "drug-recall-plan", "drug-recall-notice-filing", "drug-recall-progress", "drug-recall-final",
    # §6 yearly and periodic reports, changes
    "annual-report", "annual-report-correction", "annual-report-order", "product-quality-review", "vaccine-annual",
    "vaccine-lot-release", "change-major", "change-moderate", "change-minor", "interim-update",
    # §7 deviations, laboratory, sampling, inspection
    "deviation", "deviation-filed", "oos-lab-phase", "field-alert", "bpdr", "retest", "rectification", "wfi-stage-2",
    # §8 duties of the monitored firm about its data
    "amendment", "amendment-proof", "mark-set", "alarm-on-the-spot", "serial-replacement-record",
    # §9 inspections
    "trial-institution", "narcotics-and-precursors", "psychotropics-class-2", "vaccines-and-high-risk", "other-makers",
    "after-a-risk-grade-step",
)  # fmt: skip
"""The clocks of the reference, §1 to §9, by their ids; those of §9 have none there."""

DRAFT = "optional, draft"
OTHERS = "not of submitted reports: "
LEFT_OUT = {
    **dict.fromkeys(
        (
            "adr-group", "adr-group-investigation", "psur", "device-overseas", "device-group-case", "device-group-report",
            "device-recall-plan", "drug-recall-plan", "drug-recall-final",
        ),
        DRAFT,
    ),
    "annual-report-correction": OTHERS + "a bound on corrections, of a draft, off",
    "annual-report-order": OTHERS + "no record holds the order",
    "product-quality-review": OTHERS + "inside of the firm, and no day of the year",
    "vaccine-annual": OTHERS + "no time is given",
    "oos-lab-phase": OTHERS + "inside of the firm, and a typical time at most",
    "bpdr": OTHERS + "of another jurisdiction",
    "vaccine-lot-release": OTHERS + "each lot has its own",
    "change-major": OTHERS + "cross-check.change-unfiled",
    "change-moderate": OTHERS + "cross-check.change-unfiled",
    "change-minor": OTHERS + "cross-check.change-unfiled, by the next annual report",
    "interim-update": OTHERS + "when it happens: it has no time",
    "deviation": OTHERS + "at once, and inside of the firm",
    "deviation-filed": OTHERS + "cross-check.excursion-no-deviation",
    "field-alert": OTHERS + "of another jurisdiction, and the failure is known from the laboratory",
    "retest": OTHERS + "a right of the firm, and no duty",
    "wfi-stage-2": OTHERS + "the water rules ask for the second stage",
    "amendment": OTHERS + "data-integrity.amendment-late",
    "amendment-proof": OTHERS + "data-integrity.amendment-late",
    "mark-set": OTHERS + "a mark that comes later counts less",
    "alarm-on-the-spot": OTHERS + "cold-chain.excursion-no-alarm, cold-chain.power-no-alarm",
    "serial-replacement-record": OTHERS + "register.serial-changed",
    **dict.fromkeys(
        (
            "trial-institution", "narcotics-and-precursors", "psychotropics-class-2", "vaccines-and-high-risk", "other-makers",
            "after-a-risk-grade-step",
        ),
        OTHERS + "a duty of the regulator (risk.visit-overdue)",
    ),
}  # fmt: skip
"""Clocks of the table without a shipped rule of this kind, and why."""


@dataclass(frozen=True)
class Row:
    """One duration of one clock: the report that answers, when the time is over (Beijing), and what starts it."""

    clock: str
    rule: str
    fields: dict
    due: str
    type: str
    begin: str = "2026-01-01"
    """When the facility was registered."""
    starts: tuple = ()
    """(received, type, fields) of what comes before it, or of a visit."""
    register: dict = field(default_factory=dict)


def adr(seriousness, known, *, new=False):
    return {
        "case_id": "C-1", "known_at": f"{known}+08:00", "onset": "2026-01-02", "seriousness": seriousness, "is_new": new,
        "product": "P-1", "outcome": "x", "source_channel": "x",
    }  # fmt: skip


def device(class_, known, channel="online"):
    said = {"event_id": "D-1", "class": class_, "known_at": f"{known}+08:00", "channel": channel}
    return said | {"udi": "U-1", "lot": "L-1"}


def cosmetic(class_, known):
    return {"case_id": "K-1", "class": class_, "known_at": f"{known}+08:00", "filing_id": "G-1"}


def check(class_, known):
    return {"cases": ["K-1"], "class": class_, "known_at": f"{known}+08:00", "finding": "x"}


def susar(day, *, fatal, follow_up=False):
    return {
        "trial_id": "T-1", "case_id": "S-1", "day0": day, "fatal_or_life_threatening": fatal, "follow_up": follow_up,
    }  # fmt: skip


def notice(line, class_, decided):
    return {
        "recall_id": "R-1", "line": line, "class": class_, "decided_at": f"{decided}+08:00", "notified_at": f"{decided}+08:00",
        "lots": [{"lot": "L-1", "shipped": 1}],
    }  # fmt: skip


def plan(line, class_, decided):
    said = {"recall_id": "R-1", "line": line, "class": class_, "decided_at": f"{decided}+08:00"}
    return said | {"assessment": "x", "plan": "x"}


PROGRESS = {
    "recall_id": "R-1",
    "seq": 1,
    "as_of": "2022-01-01",
    "totals": [{"lot": "L-1", "shipped": 1, "returned": 0, "destroyed": 0}],
}
INVESTIGATION = {"case_id": "C-1", "known_at": "2026-03-03T10:00:00+08:00", "conclusion": "x", "lots": []}
RECTIFIED = {"inspection_id": "V-1", "handed_over_at": "2026-09-14T10:00:00+08:00", "actions": ["x"]}
ANNUAL = {"year": 2025, "products": [], "changes": [], "deviations": 0, "recalls": 0, "figures": {}}
HELD = {"licences": [{"number": "N-1", "kind": "drug-mah", "from": "2020-01-01"}]}
TRIAL = {"trials": [{"id": "T-1", "anniversary": "2024-02-29"}]}
KNOWN, OLD, NEW = "2026-03-03T10:00:00", "2022-10-31T23:59:59.999", "2022-11-01T00:00:00"
VISIT = (("2026-09-14T20:00:00", "visit", {"handed_over_at": "2026-09-14T10:00:00+08:00"}),)


ROWS = [
    Row("adr-death", "adr-death", adr("death", KNOWN), "2026-03-04T10:00:00", "adr-case"),
    Row(
        "adr-death-investigation", "adr-death-investigation", INVESTIGATION, "2026-03-19T00:00:00", "adr-death-investigation",
        starts=(("2026-03-03T11:00:00", "adr-case", adr("death", KNOWN)),),
    ),
    Row("adr-death-investigation", "adr-death-investigation", INVESTIGATION, "2026-03-19T00:00:00", "adr-death-investigation"),
    Row("adr-new-or-serious", "adr-serious", adr("serious", KNOWN), "2026-03-19T00:00:00", "adr-case"),
    Row("adr-new-or-serious", "adr-serious", adr("other", KNOWN, new=True), "2026-03-19T00:00:00", "adr-case"),
    Row("adr-other", "adr-other", adr("other", KNOWN), "2026-04-03T00:00:00", "adr-case"),
    Row("susar-fatal", "susar-fatal", susar("2026-03-03", fatal=True), "2026-03-11T00:00:00", "susar"),
    Row(
        "susar-fatal-follow-up", "susar-follow-up", susar("2026-03-03", fatal=True, follow_up=True), "2026-03-19T00:00:00", "susar",
        starts=(("2026-03-04T00:00:00", "susar", susar("2026-03-03", fatal=True)),),
    ),
    Row("susar-other", "susar-other", susar("2026-03-03", fatal=False), "2026-03-19T00:00:00", "susar"),
    Row(
        "dsur", "dsur", {"trial_id": "T-1", "anniversary": "2026-02-28", "susar_count": 0}, "2026-04-29T00:00:00", "dsur",
        register=TRIAL,
    ),
    Row("device-death", "device-death", device("death", KNOWN), "2026-03-11T00:00:00", "device-event"),
    Row("device-serious", "device-serious", device("serious", KNOWN), "2026-03-24T00:00:00", "device-event"),
    Row(
        "device-group-phone", "device-group", device("group", KNOWN, "phone"), "2026-03-03T22:00:00", "device-event",
        starts=(("2026-03-03T11:00:00", "device-event", device("group", KNOWN)),),
    ),
    Row("device-group-phone", "device-group", device("group", KNOWN, "phone"), "2026-03-03T22:00:00", "device-event"),
    Row("cosmetic-ordinary", "cosmetic-ordinary", cosmetic("ordinary", KNOWN), "2026-04-03T00:00:00", "cosmetic-reaction"),
    Row("cosmetic-serious", "cosmetic-serious", cosmetic("serious", KNOWN), "2026-03-19T00:00:00", "cosmetic-reaction"),
    Row("cosmetic-social-effect", "cosmetic-social", cosmetic("social", KNOWN), "2026-03-07T00:00:00", "cosmetic-reaction"),
    *(
        Row(
            f"cosmetic-self-check-{class_}", "cosmetic-self-check", check(class_, KNOWN), due, "cosmetic-self-check",
            starts=(("2026-03-03T11:00:00", "cosmetic-reaction", cosmetic(class_, KNOWN)),),
        )
        for class_, due in (("serious", "2026-03-24T00:00:00"), ("social", "2026-03-14T00:00:00"))
    ),
    # Drugs: hours for what was decided before 2022-11-01, days from then on.
    *(
        Row(clock, "recall-notice", notice("drug", class_, decided), due, "recall-notice", begin="2022-01-01")
        for clock, decided, dues in (
            ("drug-recall-notice", OLD, ("2022-11-01T23:59:59.999", "2022-11-02T23:59:59.999", "2022-11-03T23:59:59.999")),
            ("drug-recall-notice-filing", NEW, ("2022-11-03T00:00:00", "2022-11-05T00:00:00", "2022-11-09T00:00:00")),
        )
        for class_, due in enumerate(dues, 1)
    ),
    # Devices: days, before and after.
    *(
        Row(f"device-recall-notice-{class_}", "recall-notice", notice("device", class_, decided), due, "recall-notice", begin="2022-01-01")
        for decided, dues in (
            (OLD, ("2022-11-02T00:00:00", "2022-11-04T00:00:00", "2022-11-08T00:00:00")),
            (NEW, ("2022-11-03T00:00:00", "2022-11-05T00:00:00", "2022-11-09T00:00:00")),
        )
        for class_, due in enumerate(dues, 1)
    ),
    # The same times in both editions, from receipt to receipt.
    *(
        Row(
            "drug-recall-progress", "recall-progress", PROGRESS, due, "recall-progress", begin="2022-01-01",
            starts=((received, "recall-notice", notice("drug", class_, received)),),
        )
        for received, dues in (
            ("2022-10-31T10:00:00", ("2022-11-02T00:00:00", "2022-11-04T00:00:00", "2022-11-08T00:00:00")),
            ("2022-11-01T10:00:00", ("2022-11-03T00:00:00", "2022-11-05T00:00:00", "2022-11-09T00:00:00")),
        )
        for class_, due in enumerate(dues, 1)
    ),
    Row("annual-report", "annual-report", ANNUAL, "2026-05-01T00:00:00", "annual-report", begin="2025-12-31", register=HELD),
    Row("rectification", "rectification", RECTIFIED, "2026-10-17T00:00:00", "rectification", starts=VISIT),
    Row("rectification", "rectification", RECTIFIED, "2026-10-17T00:00:00", "rectification"),
]  # fmt: skip
"""What the nineteen rules cover."""
DRAFTED = [
    Row("adr-group", "adr-group", {"event_id": "G-1", "known_at": f"{KNOWN}+08:00", "cases": ["C-1"], "lots": []}, "2026-03-04T10:00:00", "adr-group"),
    Row(
        "adr-group-investigation", "adr-group-investigation",
        {"event_id": "G-1", "known_at": f"{KNOWN}+08:00", "conclusion": "x", "lots": []}, "2026-03-11T00:00:00", "adr-group-investigation",
    ),
    Row(
        "psur", "psur", {"psur_id": "P-1", "product": "P", "data_lock": "2026-03-03", "period_from": "2025-03-04", "cases": 0},
        "2026-05-03T00:00:00", "psur",
    ),
    Row("device-overseas", "device-overseas", device("overseas", KNOWN), "2026-04-03T00:00:00", "device-event"),
    Row(
        "device-group-case", "device-group-case",
        {"event_id": "G-1", "case_id": "C-1", "known_at": f"{KNOWN}+08:00", "udi": "U-1", "lot": "L-1"}, "2026-03-04T10:00:00",
        "device-group-case",
    ),
    Row("device-group-report", "device-group-report", device("group", KNOWN), "2026-03-11T00:00:00", "device-event"),
    # Devices: five days, whatever they are, and since May 2017 five working days.
    Row("device-recall-plan", "device-recall-plan", plan("device", 1, "2017-04-30T10:00:00"), "2017-05-06T00:00:00", "recall-plan", begin="2017-01-01"),
    Row("device-recall-plan", "device-recall-plan", plan("device", 3, KNOWN), "2026-03-11T00:00:00", "recall-plan"),
    *(
        Row("drug-recall-plan", "drug-recall-plan", plan("drug", class_, OLD), due, "recall-plan", begin="2022-01-01")
        for class_, due in enumerate(("2022-11-02T00:00:00", "2022-11-04T00:00:00", "2022-11-08T00:00:00"), 1)
    ),
    Row("drug-recall-final", "drug-recall-final", PROGRESS | {"ended_at": f"{KNOWN}+08:00"}, "2026-03-18T00:00:00", "recall-final"),
]  # fmt: skip
"""What the optional rules cover, each as it would be on trial."""


def at(text):
    return parse_instant(f"{text}T00:00:00+08:00" if len(text) == 10 else f"{text}+08:00")


def record(received, kind, fields, number):
    """Return one document of a row, received then and sent then."""
    if kind == "visit":
        said = {"visit": "V-1", "version": 1, "mode": "on-site", "done_at": 0, "full": True, "findings": {"major": 1}}
        return LogRecord(0, number, received, Kind.INSPECTION, FACILITY, Inspection.model_validate(said | fields))
    said = {"type": kind, "id": f"R-{number}", "revision": 1, "sent": received, "fields": fields}
    return LogRecord(0, number, received, Kind.REPORT, FACILITY, Report.model_validate(said))


def changes_of(row, answered):
    """Return what the rule says where the report is received then, or never (None)."""
    rule = BUNDLE.rule(f"report-clock.{row.rule}")
    facility = Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "scopes": [scope.model_dump() for scope in rule.scopes], **row.register,
        }
    )  # fmt: skip
    begin = at(row.begin)
    log = [LogRecord(0, 0, begin, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility))]
    log += [record(at(received), kind, fields, i) for i, (received, kind, fields) in enumerate(row.starts, 1)]
    if answered is not None:
        log.append(record(answered, row.type, row.fields, len(log)))
    engine = Engine(around(rule, BUNDLE))
    found = [change for one in log for change in engine.fold(one)]
    return rule, found + engine.advance(0, max(log[-1].received, at(row.due)) + (0 if answered else 1))


EVERY = [*ROWS, *DRAFTED]
NAMES = [f"{row.clock}-{row.due}-{len(row.starts)}" for row in EVERY]


def severe(rule, changes):
    return [change for change in changes if change.severity.rank >= rule.severity.base.rank]


@pytest.mark.parametrize("row", EVERY, ids=NAMES)
def test_at_the_last_instant_it_is_in_time(row):
    rule, changes = changes_of(row, at(row.due))
    assert severe(rule, changes) == []
    assert {change.severity for change in changes} <= {Severity.BLUE}, "a reminder at most"
    assert all(change.start == at(row.due) for change in changes)


@pytest.mark.parametrize("row", EVERY, ids=NAMES)
def test_a_millisecond_later_it_is_late(row):
    rule, changes = changes_of(row, at(row.due) + 1)
    raised, *_, cleared = severe(rule, changes)
    assert raised.severity == rule.severity.base
    assert (raised.start, cleared.start) == (at(row.due), at(row.due))
    assert (cleared.change.value, cleared.end, cleared.received) == ("cleared", at(row.due) + 1, at(row.due) + 1)
    awaited = bool(row.starts) or rule.yearly is not None
    assert raised.received == at(row.due) + (0 if awaited else 1), "by the clock where something had started it"


@pytest.mark.parametrize("row", [row for row in ROWS if row.starts or row.register], ids=str)
def test_what_never_comes_is_told_as_of_its_last_instant(row):
    rule, changes = changes_of(row, None)
    (told_,) = severe(rule, changes)
    assert told_.change.value in {"raised", "stepped"}
    assert (told_.start, told_.at, told_.received, told_.end) == (at(row.due), at(row.due), at(row.due), None)


def test_every_clock_of_the_table_is_covered_or_left_out_with_a_reason():
    covered = {row.clock for row in ROWS}
    assert len(TABLE) == len(set(TABLE))
    assert covered.isdisjoint(LEFT_OUT)
    assert covered | set(LEFT_OUT) == set(TABLE)
    assert all(LEFT_OUT.values())


def test_every_optional_rule_is_held_against_the_table_and_every_optional_clock_has_one():
    drafts = {rule.id for rule in BUNDLE.rules if isinstance(rule, DeadlineRule) and rule.stage == "draft"}
    assert drafts == {f"report-clock.{row.rule}" for row in DRAFTED}
    assert {row.clock for row in DRAFTED} == {clock for clock, why in LEFT_OUT.items() if why == DRAFT}


def test_a_drug_recall_of_the_new_text_has_no_time_for_its_plan():
    row = Row(
        "drug-recall-plan",
        "drug-recall-plan",
        plan("drug", 1, NEW),
        "2023-11-01T00:00:00",
        "recall-plan",
        begin="2022-01-01",
    )
    assert changes_of(row, at(row.due))[1] == []


def test_every_shipped_clock_is_one_of_the_table():
    shipped = {rule.id for rule in BUNDLE.rules if isinstance(rule, DeadlineRule) and rule.stage != "draft"}
    assert shipped == {f"report-clock.{row.rule}" for row in ROWS}
    assert len(shipped) == 19


@pytest.mark.parametrize("clock", [clock for clock, why in LEFT_OUT.items() if why == DRAFT])
def test_what_is_optional_is_not_in_force_unless_somebody_asks_for_it(clock):
    assert BUNDLE.rule(f"report-clock.{clock}").stage == "draft"
