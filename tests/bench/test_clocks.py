"""The bench of legal clocks folds what it says it folds: its clocks run, its thousand is due at one instant, its types are those that clocks read."""

from __future__ import annotations

import json

import pytest

from bench import clocks as bench
from rules.clocks.due import names
from rules.pack import default_bundle
from rules.rule import DeadlineRule

SHIPPED = [rule for rule in default_bundle().rules if isinstance(rule, DeadlineRule) and rule.stage == "live"]


@pytest.fixture(scope="module")
def told():
    return bench.filled(200, 2)


def test_every_clock_runs_and_nothing_is_dropped(told):
    assert told["running"] == 200
    assert told["clocks_kept"] == 4 * 200 + 2 * 2, (
        "four rules a death; and the register's own, a trial and a holder each"
    )


def test_what_is_due_at_once_is_due_at_one_instant(told):
    ticks = told["ticks"]
    assert ticks["due_at_once"] == 20
    assert (ticks["reminder"]["changes"], ticks["over"]["changes"]) == (20, 20)
    assert ticks["all_others"]["changes"] == 2 * 180, "a reminder and its end each"


def test_its_types_are_those_that_the_shipped_clocks_read():
    assert names(SHIPPED) == bench.MIXED
    assert {bench.mixed(number).type for number in range(len(bench.MIXED))} == bench.MIXED


def test_it_counts_memory_and_reports():
    kept = bench.memory(50)
    assert kept["clocks_kept"] > 4 * 50
    assert 200 < kept["bytes_per_kept_clock"] < 5_000
    assert bench.submitted(24)["reports_per_cpu_s"]["least"] > 0


def test_clocks_that_are_open_take_memory_and_nothing_of_a_tick_but_a_look():
    found = bench.open_once(300, 3)
    assert found["rss_mb"] >= 0  # pages of the process: few clocks fit into what is there
    assert 0 < found["tick_us"] < 10_000
    assert found["gateway_tick_us"] > 0


def test_it_prints_json(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["clocks", "--quick"])
    monkeypatch.setattr(bench, "ROUNDS", 1)
    bench.main()
    assert json.loads(capsys.readouterr().out)["clocks_shipped"] == len(SHIPPED)
