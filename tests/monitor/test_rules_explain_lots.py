"""`offsite rules explain` of rules over lots: all facilities of the log, one lot or all, languages and JSON."""

from __future__ import annotations

import json

import pytest

from monitor.cli import main
from monitor.factlines import format_fact_line
from rules import explainlots
from rules.explainlots import explain_lots
from rules.instants import format_instant
from rules.pack import Bundle, default_bundle
from streams.jsonlines import format_line
from tests.rules.lotlogs import RULES, bundle, registered
from tests.rules.test_lots_offline import RECALLED, lines_of, packs, sold
from tests.rules.tracelogs import BEGIN, DAY, HOUR, case

STOPPED = "vigilance.moved-after-stop"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [*map(format_line, RECALLED), *map(format_fact_line, lines_of(RECALLED))]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def ask(log, capsys, *more, rule=STOPPED, at=9 * DAY):
    code = 0
    try:
        main(["rules", "explain", rule, "--log", str(log), "--at", format_instant(BEGIN + at), *more])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().out


def test_an_alarm_and_why_in_both_languages(log, capsys):
    code, text = ask(log, capsys)
    assert code == 0
    assert "批号 / lot L-1" in text
    assert "=> 自 2026-03-03T16:00:00.000Z 起报警，SHOP-1 / alarm since 2026-03-03T16:00:00.000Z, SHOP-1" in text
    assert (
        "真 / true SHOP-1: sold against the stop by MAKER-1  [2026-03-03T16:00:00.000Z >= 2026-03-01T17:00:00.000Z]"
        in text
    )
    assert "lot L-2" in ask(log, capsys, "--lang", "en")[1]
    assert "=> normal" in ask(log, capsys, "--lang", "en", "--subject", "L-2")[1]


def test_before_the_move_there_was_none_and_the_stop_was_known(log, capsys):
    _, text = ask(log, capsys, "--json", at=DAY)
    (found,) = json.loads(text)["explanations"]
    assert (found["subject"], found["state"]["phase"], found["held"]) == ({"lot": "L-1"}, "normal", [])
    assert [leaf["verdict"] for leaf in found["leaves"]] == ["false", None]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_over_lots_explains_every_lot(log, capsys, rule):
    code, text = ask(log, capsys, "--json", rule=rule)
    found = json.loads(text)
    assert code == 0
    assert {one["subject"]["lot"] for one in found["explanations"]} == {"L-1", "L-2"}
    assert all(one["rule"]["id"] == rule and one["limits"] for one in found["explanations"])
    assert ask(log, capsys, "--lang", "zh", rule=rule)[0] == 0


def test_what_is_unknown_is_said(log, capsys):
    _, text = ask(log, capsys, "--lang", "en", "--subject", "L-2", rule="cross-check.expired-moving")
    assert "unknown  expiry: at or behind 24:00 of the lot's expiry" in text
    assert "unknown SHOP-1: sold against the expiry  [2026-03-03T16:00:00.000Z >= none known]" in text


@pytest.mark.parametrize("more", [("--facility", "SHOP-1"), ("--tag", "T1")])
def test_a_lot_crosses_facilities_and_has_no_series(log, capsys, more):
    assert ask(log, capsys, *more)[0] == 2


def test_a_lot_that_the_log_does_not_name_is_refused(log, capsys):
    assert ask(log, capsys, "--subject", "L-9")[0] == 3
    code, text = ask(log, capsys, at=0)
    assert (code, text.strip()) == (0, "no lot is named until then")


def test_packs_of_the_log_decide_and_many_lots_and_facts_are_cut(monkeypatch):
    monkeypatch.setattr(explainlots, "LOTS", 2)
    log = [sold(f"L-{i}", i * HOUR, i * HOUR, i) for i in range(4)]
    log += [sold("L-0", DAY + i * HOUR, DAY + i * HOUR, 10 + i) for i in range(20)]
    found, more = explain_lots(
        [*registered(log), packs(bundle(), 2 * DAY, 90)], default_bundle(), STOPPED, at=BEGIN + 3 * DAY
    )
    assert ([one.lot for one in found], more) == (["L-0", "L-1"], 2)
    assert (len(found[0].held), found[0].more, found[0].packs) == (12, 9, bundle().sha256)
    assert "and 9 before these" in "\n".join(found[0].lines("en"))
    empty = packs(Bundle.of((), ()), 2 * DAY, 91)
    with pytest.raises(explainlots.BadInputError, match="rule"):
        explain_lots([*log, empty], default_bundle(), STOPPED, at=BEGIN + 3 * DAY)


def test_a_cluster_is_explained_by_its_cases():
    log = [case(f"R-{i}", ["L-1"], DAY + i, offset=i, known=i * HOUR) for i in range(3)]
    (found,), _ = explain_lots(registered(log), default_bundle(), "vigilance.lot-cluster", at=BEGIN + 3 * DAY)
    assert found.phase == "active"
    assert [one.expr for one in found.held] == [f"HOSP-1: case C-R-{i} known" for i in range(3)]
    assert {leaf.name: seen.left for leaf, seen in found.leaves} == {"case": 3.0, "count": 3.0}
