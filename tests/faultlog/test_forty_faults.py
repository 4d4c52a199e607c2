"""`offsite evaluate` over a log with more than forty faults gives exactly the alarms that were derived by hand, and no other."""

from __future__ import annotations

import json

import pytest

from monitor.cli import main
from rules.alarms import fold_alarms
from rules.instants import format_instant
from rules.pack import default_bundle
from tests.calibrated import LISTING
from tests.faultlog.faults import FIRMS
from tests.faultlog.plant import END, Expected, log_of
from tests.rules.byhand import ms, since

ELSEWHERE = {
    "cold-chain.mkt-year": "wants a year of readings: tests/rules/test_mean_kinetic_by_hand.py",
    "data-integrity.last-digit": "wants 500 values and more: tests/rules/test_last_digit_by_hand.py",
    "data-integrity.narrow-wobble": "wants eleven weeks: tests/rules/test_steadiness_by_hand.py",
    "data-integrity.no-door-trace": "wants ten openings of a door: tests/rules/test_openings_by_hand.py",
    "data-integrity.too-smooth": "wants eleven weeks: tests/rules/test_steadiness_by_hand.py",
    "data-integrity.at-detection-limit": "wants ten weeks: tests/rules/test_steadiness_by_hand.py",
    "data-integrity.day-copy": "wants two whole days: tests/rules/test_day_copy_by_hand.py",
    "data-integrity.effective-rate": "wants the end of a month: tests/rules/test_rates_by_hand.py",
    "register.incomplete": "most of these firms lack facts: tests/rules/test_incomplete_by_hand.py",
    "data-integrity.mark-share": "wants three days of a month: tests/rules/test_shares_by_hand.py",
    "cross-check.copied-report": "wants submitted reports: tests/rules/test_documents_by_hand.py",
    "vigilance.recall-over-returned": "wants submitted reports: tests/rules/test_documents_by_hand.py",
    "vigilance.recall-totals-fall": "wants submitted reports: tests/rules/test_documents_by_hand.py",
    "data-integrity.parallel-misfit": "wants a parallel measurement: tests/rules/test_parallel_by_hand.py",
    "data-integrity.revision-conflict": "wants a post whose number came before: tests/rules/test_revisions_by_hand.py",
    "data-integrity.amendment-late": "wants a submitted report: tests/rules/test_amendments_by_hand.py",
    "data-integrity.mark-late": "wants a mark: tests/rules/test_lateness_by_hand.py",
    "cross-check.deviation-misstated": "wants a submitted report: tests/rules/test_excursions_by_hand.py",
    "cross-check.narcotic-balance": "wants counts of stock: tests/rules/test_stock_by_hand.py",
    "cross-check.released-while-open": "wants lots and reports: tests/rules/test_ledger_by_hand.py",
    "cross-check.retest-no-investigation": "wants 24 hours and reports: tests/rules/test_ledger_by_hand.py",
    "data-integrity.discarded-runs": "wants 48 hours: tests/rules/test_discarded_runs.py",
    "risk.visit-overdue": "wants half a year: tests/rules/test_visits.py",
    "risk.step-up": "wants a risk grade: tests/rules/test_grade_by_hand.py",
    "cross-check.annual-volume": "wants a whole year: tests/rules/test_annual_volume.py",
    "cross-check.change-unfiled": "wants configurations: tests/rules/test_filings.py",
    "cross-check.excursion-no-deviation": "wants three working days: tests/rules/test_excursions_by_hand.py",
    **{
        rule.id: "wants submitted reports: tests/rules/test_deadline_by_hand.py"
        for rule in default_bundle().rules
        if rule.kind in {"deadline", "document", "balance"}
    },
    **{
        rule.id: "wants lots: tests/rules/test_lots_by_hand.py"
        for rule in default_bundle().rules
        if rule.kind in {"lot_count", "lot_balance", "lot_follow_up", "lot_ratio"}
    },
}
"""Rules that no fault of this log concerns, and where they are tried."""


def place_of(subject):
    if "place" in subject:
        return f"@{subject['area']}>{subject['place']}"
    plain = next(
        (subject[member] for member in ("tag", "device", "system", "actor", "asset", "feed") if member in subject), None
    )
    return plain or ("@" + subject["area"] if "area" in subject else "*")


def stands(alarm):
    return Expected(
        alarm.rule, place_of(alarm.subject), alarm.severity.value, since(alarm.start), since(alarm.end), alarm.status,
        late=alarm.late, suppressed=alarm.suppressed_by is not None,
    )  # fmt: skip


def key(one):
    return one.start, one.rule, one.place


@pytest.fixture(scope="module")
def log():
    return log_of(FIRMS)


@pytest.fixture(scope="module")
def found(log):
    by_firm = {name: [] for name in FIRMS}
    for alarm in fold_alarms(log.changes(until=END)):
        by_firm[alarm.facility].append(stands(alarm))
    return by_firm


@pytest.mark.parametrize("name", FIRMS)
def test_what_is_told_of_a_firm_is_what_was_derived(found, name):
    firm = FIRMS[name]
    assert sorted(found[name], key=key) == sorted(firm.expected, key=key), firm.fault


def test_the_log_has_more_than_forty_faults_and_each_rule_meets_one():
    faulty = [firm.fault for firm in FIRMS.values() if firm.expected]
    assert len(set(faulty)) == len(faulty) > 40
    assert len(FIRMS) - len(faulty) >= 8, "and firms of which nothing must be told"
    told = {alarm.rule for firm in FIRMS.values() for alarm in firm.expected}
    assert {rule.id for rule in default_bundle().rules} - told == set(ELSEWHERE)


def test_the_command_gives_the_same_of_the_same_log(log, tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(log.lines), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--pack", "default", "--log", str(path), "--until", format_instant(ms(END)), "--alarms"])
    assert ended.value.code in {0, None}
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [row for row in rows if row["rule"] != LISTING]
    wanted = [alarm.to_json() for alarm in fold_alarms(log.changes(until=END))]
    assert rows == json.loads(json.dumps(wanted))
    assert len(rows) == sum(len(firm.expected) for firm in FIRMS.values())
