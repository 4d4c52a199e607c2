"""`offsite rules explain`: why it fired and why not, from a dumped log."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from monitor.cli import main
from monitor.commands.rules import app
from rules.instants import format_instant
from rules.pack import default_bundle
from rules.ruletest import BEGIN_MS, FACILITY, records_of
from streams.jsonlines import format_line
from tests.rules.byhand import HandLog, ms, sensor

MINUTE = 60_000
STORE = "cold-chain.store-out"


def dump(tmp_path, rule_id, test):
    """Write the log of a test of a shipped rule."""
    rule = default_bundle().rule(rule_id)
    records = records_of(rule, next(t for t in rule.tests if t.name.startswith(test)))
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(format_line(record) + b"\n" for record in records))
    return path


def ask(path, at_ms, *more, rule=STORE):
    return CliRunner().invoke(
        app, ["explain", rule, "--log", str(path), "--at", format_instant(BEGIN_MS + at_ms), *more]
    )


def told(path, at_ms, *more, rule=STORE):
    done = ask(path, at_ms, "--json", *more, rule=rule)
    assert done.exit_code == 0, done.output
    value = json.loads(done.output)["explanations"][0]
    assert value["agrees_with_engine"]
    return value


def leaf(value, name):
    return next(entry for entry in value["leaves"] if entry["leaf"] == name)


def test_one_of_two_records_is_pending_and_the_second_raises_it(tmp_path):
    path = dump(tmp_path, STORE, "two records above 8")
    before = told(path, 5 * MINUTE + 30_000)
    assert (before["state"]["phase"], before["alarms"]) == ("pending", [])
    assert leaf(before, "above")["verdict"] == "true"
    count = leaf(before, "consecutive")
    assert (count["verdict"], count["left"], count["right"]) == ("false", 1, 2)
    after = told(path, 6 * MINUTE + 30_000)
    assert (after["state"]["phase"], after["alarms"][0]["status"]) == ("active", "active")
    assert leaf(after, "consecutive")["left"] == 2
    assert after["rows"][-1]["event"] == format_instant(BEGIN_MS + 6 * MINUTE)
    assert after["rows"][-1]["received"] == format_instant(BEGIN_MS + 6 * MINUTE + 1000)
    assert {(u["name"], u["value"], u["origin"]) for u in after["limits"]} == {("low", 2, "rule"), ("high", 8, "rule")}


def test_the_text_says_it_in_both_languages_or_in_one(tmp_path):
    path = dump(tmp_path, STORE, "two records above 8")
    both = ask(path, 5 * MINUTE + 30_000).output
    assert "未报警 / it did not fire" in both
    english = ask(path, 5 * MINUTE + 30_000, "--lang", "en").output
    assert "=> it did not fire (consecutive 1 of 2" in english
    assert "[cited] GSP annexes 2013" in english
    chinese = ask(path, 6 * MINUTE + 30_000, "--lang", "zh").output
    assert "已报警：橙色" in chinese
    assert "it fired" not in chinese


def test_a_delay_says_how_far_it_is(tmp_path):
    path = dump(tmp_path, "cell-storage.vapour-high", "ten minutes above -155")
    value = told(path, 7 * MINUTE + 30_000, rule="cell-storage.vapour-high")
    delay = leaf(value, "on_delay")
    assert (delay["verdict"], delay["left"], delay["right"], delay["unit"]) == ("false", 240_000, 600_000, "ms")
    text = ask(path, 7 * MINUTE + 30_000, "--lang", "en", rule="cell-storage.vapour-high").output
    assert "on_delay 4m of 10m" in text


def test_a_predicate_that_differs_is_named_with_the_fact(tmp_path):
    path = dump(tmp_path, "cleanroom.a-fine", "grade B")
    value = told(path, 3 * MINUTE, rule="cleanroom.a-fine")
    assert not value["watched"]
    unmet = [c for c in value["conditions"] if c["verdict"] != "true"]
    assert [(c["leaf"], c["left"], c["right"]) for c in unmet] == [("area.grade", "B", "A")]
    assert (
        "not watched, because: area.grade: B in A"
        in ask(path, 3 * MINUTE, "--lang", "en", rule="cleanroom.a-fine").output
    )


def test_a_mean_says_how_much_is_sampled_and_what_counts_so_far_in_both_languages(tmp_path):
    rule = "cleanroom.a-coarse"
    path = dump(tmp_path, rule, "two of three records")
    before = told(path, 3 * MINUTE + 30_000, rule=rule)
    assert (leaf(before, "full")["left"], leaf(before, "full")["right"]) == (0.4, 1.0)
    assert leaf(before, "above")["verdict"] == "unknown"
    assert [leaf(before, "early")[name] for name in ("verdict", "left", "right")] == ["false", 1, 2]
    red = told(path, 9 * MINUTE + 30_000, rule=rule)
    assert [leaf(red, "above")[name] for name in ("verdict", "left", "right")] == ["true", 21.0, 20.0]
    assert {(u["name"], u["value"], u["origin"]) for u in red["limits"]} == {
        ("high", 20.0, "cleanroom-particles"), ("volume", 1.0, "rule"), ("sample", 0.1, "register"),
    }  # fmt: skip
    english = ask(path, 3 * MINUTE + 30_000, "--lang", "en", rule=rule).output
    assert "=> it did not fire (full 0.4 m3 of 1 m3)" in english
    assert "yellow: 2 of the newest 3 records count 1 or more  [1 >= 2]" in english
    chinese = ask(path, 9 * MINUTE + 30_000, "--lang", "zh", rule=rule).output
    assert "已报警：红色" in chinese
    assert "最近采样 1 m3 的均值高于上限" in chinese


def test_a_sensor_without_a_registered_sample_is_not_watched_and_told_so(tmp_path):
    rule = "cleanroom.a-coarse"
    path = dump(tmp_path, rule, "without a registered sample")
    value = told(path, 2 * MINUTE, rule=rule)
    assert [(c["leaf"], c["verdict"]) for c in value["conditions"]][-2:] == [("limits", "true"), ("sample", "unknown")]
    assert "not watched, because: sample: None >= 0.0078125" in ask(path, 2 * MINUTE, "--lang", "en", rule=rule).output


def test_limits_that_are_not_registered_are_unknown(tmp_path):
    rule = "data-integrity.physical-range"
    value = told(dump(tmp_path, rule, "without a registered range"), 2 * MINUTE, rule=rule)
    assert value["conditions"][-1]["leaf"] == "limits"
    assert (value["conditions"][-1]["verdict"], value["watched"]) == ("unknown", False)


def test_an_excluded_value_makes_the_leaves_unknown(tmp_path):
    value = told(dump(tmp_path, STORE, "a broken wire"), 5 * MINUTE + 30_000)
    assert leaf(value, "range")["verdict"] == "false"
    assert {leaf(value, name)["verdict"] for name in ("above", "below", "consecutive")} == {"unknown"}


def test_a_silence_says_how_long(tmp_path):
    rule = "data-integrity.gap"
    path = dump(tmp_path, rule, "the clock raises it")
    assert leaf(told(path, 4 * MINUTE + 30_000, rule=rule), "silence")["verdict"] == "unknown"
    assert leaf(told(path, 5 * MINUTE, rule=rule), "silence")["verdict"] == "true"
    assert told(path, 9 * MINUTE, rule=rule)["alarms"][0]["severity"] == "yellow"


def test_what_was_received_later_is_not_read(tmp_path):
    path = dump(tmp_path, STORE, "two records above 8")
    assert len(told(path, 3 * MINUTE)["rows"]) == 3
    assert told(path, 3 * MINUTE)["register"]["facts"]["area.kind"] == "cold-room"


@pytest.mark.parametrize(
    ("more", "code"), [(["--facility", "NO-SUCH-1"], 3), (["--facility", "bad id"], 2), (["--tag", "a b"], 2)]
)
def test_what_cannot_be_asked_is_refused(tmp_path, more, code):
    path = dump(tmp_path, STORE, "two records above 8")
    with pytest.raises(SystemExit) as end:
        main(["rules", "explain", STORE, "--log", str(path), "--at", format_instant(BEGIN_MS + MINUTE), *more])
    assert end.value.code == code


def test_an_unknown_rule_is_a_usage_error_and_an_unknown_tag_is_said(tmp_path):
    path = dump(tmp_path, STORE, "two records above 8")
    assert ask(path, MINUTE, rule="cold-chain.nothing").exit_code == 2
    done = ask(path, MINUTE, "--tag", "T9", "--lang", "en", "--facility", FACILITY)
    assert "no such tag is in force in the register" in done.output


LOW = "cleanroom.pressure-low"


@pytest.mark.parametrize("tag", [[], ["--tag", "P.B"], ["--tag", "P.C"]])
def test_a_pair_is_explained_by_its_rooms_whichever_of_its_sensors_is_named(tmp_path, tag):
    path = dump(tmp_path, LOW, "two pressures; their difference")
    value = told(path, 6 * MINUTE + 30_000, *tag, rule=LOW)
    assert value["subject"] == {"area": "B1", "place": "C1"}
    assert (value["state"]["phase"], value["alarms"][0]["status"]) == ("active", "active")
    below = leaf(value, "below")
    assert (below["verdict"], below["left"], below["right"]) == ("true", 9, 10)
    assert {(u["name"], u["value"], u["origin"]) for u in value["limits"]} == {("low", 10, "cleanroom-pressure")}
    text = ask(path, 6 * MINUTE + 30_000, *tag, "--lang", "en", rule=LOW).output
    assert "it fired" in text


def test_a_tag_that_no_pair_reads_is_not_watched(tmp_path):
    path = dump(tmp_path, LOW, "two pressures; their difference")
    value = told(path, 6 * MINUTE + 30_000, "--tag", "P.X", rule=LOW)
    assert not value["watched"]


def test_a_silence_that_was_taken_back_is_told_so_and_only_late_rows_are_called_late(tmp_path):
    """A row a minute; from minute 5 on nothing for six hours, then a live row, and what was stored."""
    hand = HandLog().register(-1, sensor())
    for minute in (0, 1, 2, 3, 4, 365):
        hand.live("T1", minute, [5.0])
    hand.rows(366, ("T1", list(range(5, 365)), [5.0] * 360)).live("T1", 366, [5.1]).live("T1", 367, [5.0]).tick(368)
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(hand.lines), encoding="utf-8")
    found = CliRunner().invoke(
        app, ["explain", "data-integrity.gap", "--tag", "T1", "--log", str(path), "--at", format_instant(ms(367.5))]
    )
    assert found.exit_code == 0, found.output
    assert "was taken back: late data show that it never held" in found.output
    assert "已撤回" in found.output
    assert " late" not in found.output.split("newest readings")[1].split("state")[0]
