"""`offsite rules explain` of serious cases of a lot against its product's: which lots it names, of which facts it speaks, what is unknown."""

from __future__ import annotations

import json

import pytest

from monitor.cli import main
from monitor.factlines import format_fact_line
from rules.explainlots import explain_lots
from rules.instants import format_instant
from rules.pack import default_bundle
from rules.records import Decision, Kind, LogRecord
from streams.jsonlines import format_line
from tests.rules.test_lots_offline import lines_of
from tests.rules.tracelogs import BEGIN, DAY, HOUR, batch, case, moved

RATIO = "vigilance.lot-ratio"
ALARMED = [
    batch("b-1", [moved("sold", 0, "L-1", 10, product="P-1")], HOUR, "SHOP-1", 1),
    batch("b-2", [moved("sold", 0, "L-2", 90, product="P-1")], HOUR, "SHOP-2", 2),
    batch("b-3", [moved("sold", 0, "L-3", 5, product="P-2"), moved("sold", 0, "L-9", 5)], HOUR, "SHOP-2", 3),
    case("R-1", ["L-1", "L-2"], 2 * DAY, known=DAY, offset=4),
    case("R-2", ["L-1"], 3 * DAY, known=2 * DAY, firm="HOSP-2", offset=5),
    case("R-3", ["L-4"], 3 * DAY, known=2 * DAY + HOUR, offset=6),
    case("R-4", ["L-4"], 3 * DAY, known=2 * DAY + HOUR, offset=7),
]


def explained(log=ALARMED, *, at=4 * DAY, **more):
    return explain_lots(log, default_bundle(), RATIO, at=BEGIN + at, **more)[0]


def leaves(found):
    return {leaf.name: None if seen is None else str(seen.verdict) for leaf, seen in found.leaves}


def test_the_lot_with_the_alarm_comes_first_and_its_product_is_held_against_it():
    found = explained()
    assert [one.lot for one in found] == ["L-1", "L-2", "L-3", "L-4"]  # a sale without a product is of none
    first = found[0]
    assert (first.phase, leaves(first)) == ("active", {"case": "true", "count": "true", "ratio": "true"})
    assert [one.expr for one in first.held[:2]] == ["HOSP-1: case C-R-1 known", "HOSP-2: case C-R-2 known"]
    assert first.held[2].expr.endswith("2 of the product in 365d on 100 units, 10 of lot L-1")
    assert [(one["name"], one["value"]) for one in first.numbers()] == [
        ("n", 2), ("within", "30d"), ("over", "365d"), ("factor", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lot", "wanted", "held"),
    [
        ("L-2", {"case": "true", "count": "false", "ratio": None}, 2),
        ("L-3", {"case": "false", "count": None, "ratio": None}, 0),
        ("L-4", {"case": "true", "count": "true", "ratio": "unknown"}, 3),
    ],
)
def test_of_another_lot_it_says_what_is_known_of_that_one(lot, wanted, held):
    (found,) = explained(lot=lot)
    assert (found.phase, leaves(found), len(found.held)) == ("normal", wanted, held)


def test_before_the_second_case_there_was_none_and_a_decision_ends_it():
    (before,) = explained(at=2 * DAY + HOUR, lot="L-1")
    assert (before.phase, leaves(before)["count"]) == ("normal", "false")
    alarm = explained(lot="L-1")[0].alarms[0].alarm
    decision = Decision.model_validate(
        {
            "id": "D-1", "version": 1, "subject": {"alarm": alarm}, "lot": "product P-1", "code": "breach",
            "officer": "li.lei", "revision_seen": 1, "reason_sha256": "0" * 64,
        }
    )  # fmt: skip
    log = [*ALARMED, LogRecord(0, 9, BEGIN + 4 * DAY, Kind.DECISION, "HOSP-2", decision)]
    assert explained(log, at=5 * DAY, lot="L-1")[0].phase != "active"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_command_says_it_in_both_languages_from_a_log_and_its_facts(tmp_path, capsys, language):
    path = tmp_path / "log.jsonl"
    path.write_bytes(
        b"".join(line + b"\n" for line in [*map(format_line, ALARMED), *map(format_fact_line, lines_of(ALARMED))])
    )
    asked = ["rules", "explain", RATIO, "--log", str(path), "--at", format_instant(BEGIN + 4 * DAY), "--subject", "L-1"]
    with pytest.raises(SystemExit) as end:
        main([*asked, "--lang", language])
    text = capsys.readouterr().out
    assert end.value.code in {0, None}
    assert {"zh": "超过预期病例数的 3 倍", "en": "more than 3 times the expected ones"}[language] in text
    assert "10 of lot L-1" in text
    with pytest.raises(SystemExit):
        main([*asked, "--json"])
    (found,) = json.loads(capsys.readouterr().out)["explanations"]
    assert (found["subject"], found["rule"]["kind"]) == ({"lot": "L-1"}, "lot_ratio")


def test_rules_over_one_lot_name_no_product():
    found, _ = explain_lots(ALARMED, default_bundle(), "vigilance.lot-cluster", at=BEGIN + 4 * DAY)
    assert [one.lot for one in found] == ["L-1", "L-2", "L-3", "L-4", "L-9"]
