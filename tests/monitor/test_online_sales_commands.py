"""Online sales of two firms through the commands: what `offsite evaluate` and `rules explain` say, and what lint refuses."""

from __future__ import annotations

import json

import pytest
import yaml
from pydantic import TypeAdapter

from monitor.cli import main
from rules.coverage import coverage
from rules.instants import format_instant
from rules.lots.sound import lot_faults
from rules.pack import SHIPPED, default_bundle
from rules.rule import Rule, is_latched
from streams.jsonlines import format_line
from tests.rules import lotlogs
from tests.rules.onlinelogs import RULE, Log, facility
from tests.rules.tracelogs import BEGIN, DAY, HOUR

FILE = SHIPPED / "cross-check" / "online-no-telemetry.yaml"
READ: TypeAdapter[Rule] = TypeAdapter(Rule)


@pytest.fixture
def paths(tmp_path):
    """SHOP-1 sells on two trips; its carrier's vehicle, in another partition, has telemetry of one of them only."""
    shop, carrier = Log(), Log("CARRIER-1")
    shop.sold(HOUR, "SHOP-1", HOUR)
    shop.sold(HOUR, "SHOP-1", HOUR, trip="W-8")
    carrier.shipped(2 * HOUR, "CARRIER-1", HOUR, area="V1", trip="W-8")
    carrier.read(3 * HOUR, "CARRIER-1", ("V1.T", 3 * HOUR))
    found = [*shop.records, *(type(one)(1, *record_of(one)) for one in carrier.records[1:])]
    log, register = tmp_path / "log.jsonl", tmp_path / "register.yaml"
    log.write_bytes(b"".join(format_line(one) + b"\n" for one in found))
    known = [
        one.model_dump(mode="json", by_alias=True, exclude_none=True)
        for one in (facility("CARRIER-1"), lotlogs.facility("SHOP-1"))
    ]
    register.write_text(yaml.safe_dump({"facilities": known}, allow_unicode=True), encoding="utf-8")
    return log, register


def record_of(one):
    return one.offset, one.received, one.kind, one.facility, one.payload


def run(capsys, *words):
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().out


def test_evaluate_raises_the_trip_of_which_nobody_has_telemetry(paths, capsys):
    log, register = paths
    words = ("evaluate", "--pack", "default", "--register", register, "--log", log)
    assert RULE not in run(capsys, *words)[1]
    code, out = run(capsys, *words, "--until", format_instant(BEGIN + 2 * DAY))
    found = [one for one in map(json.loads, out.splitlines()) if one["rule"] == RULE]
    assert (code, len(found)) == (0, 1)
    assert (found[0]["stream"], found[0]["subject"], found[0]["severity"]) == (
        "lot:L-1",
        {"lot": "L-1", "trip": "W-7"},
        "yellow",
    )
    assert found[0]["start"] == format_instant(BEGIN + HOUR + DAY)
    assert found[0]["message"]["zh"] == "批号 L-1、运输批次 W-7：网络销售冷链产品无温度监测数据（SHOP-1）"
    _, out = run(capsys, *words, "--until", format_instant(BEGIN + 2 * DAY), "--alarms")
    assert [one["status"] for one in map(json.loads, out.splitlines()) if one["rule"] == RULE] == ["active"]


def test_explain_says_why_in_both_languages(tmp_path, capsys):
    log = Log()
    log.sold(HOUR, "SHOP-1", HOUR)
    log.tick(2 * DAY)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(format_line(one) + b"\n" for one in lotlogs.numbered(log.records)))
    words = ("rules", "explain", RULE, "--log", path, "--at", format_instant(BEGIN + 2 * DAY))
    code, text = run(capsys, *words)
    assert code == 0
    assert "within = 1d <- rule" in text
    assert "=> 自 2026-03-01T17:00:00.000Z 起报警，SHOP-1 / alarm since" in text
    assert "trip W-7, telemetry within 1d  [none until 2026-03-01T17:01:00.000Z]" in text
    assert "网络销售须冷链的产品" in text
    code, text = run(capsys, *words[:-1], format_instant(BEGIN + DAY), "--lang", "en")
    assert (code, "=> normal" in text) == (0, True)


def test_the_shipped_rule_is_whole_and_every_leaf_is_tried():
    rule = default_bundle().rule(RULE)
    assert lot_faults(rule) == []
    assert not is_latched(rule, {"lot": "L-1", "trip": "W-7"})
    (covered,) = coverage(default_bundle(), RULE)
    assert (covered.wanted, covered.found) == (4, 4)


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"within": "12h"}, [("/within", "follow_up")]),
        ({"reads": ["vigilance.lot-cluster"]}, [("/reads", "lot")]),
        ({"applies_to": {"facility.jurisdiction": "110115"}}, [("/applies_to/facility.jurisdiction", "predicate")]),
    ],
)
def test_lint_names_what_means_nothing(members, wanted):
    told = yaml.safe_load(FILE.read_text(encoding="utf-8")) | members
    assert [(fault.pointer, fault.code) for fault in lot_faults(READ.validate_python(told))] == wanted
