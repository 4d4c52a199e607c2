"""The bench of the fold of lots tells what it says it tells, and its figures can be true."""

from __future__ import annotations

import json

import pytest

from bench import lots as bench
from rules.lots.fold import LotFold
from rules.pack import default_bundle


def changes(facts):
    lots = LotFold(default_bundle())
    return [(c.rule.rpartition(".")[2], c.change.value) for one in facts for c in lots.fold(0, one, None)]


@pytest.mark.parametrize(
    ("facts", "count", "lots", "wanted"),
    [
        (bench.one_firm(40), 40, 1, []),
        (bench.one_firm(40, late=True), 40, 1, []),
        (bench.stopped(40, closed=False), 40, 1, [("moved-after-stop", "raised")]),
        (
            bench.stopped(40, closed=True),
            40,
            1,
            [("moved-after-stop", "raised"), ("moved-after-stop", "cleared"), ("moved-after-stop", "raised")],
        ),
        (bench.many_firms(40), 40, 1, []),
        (bench.many_lots(100), 100, 10, []),
        (bench.a_year_of_a_product(100), 100, 1, []),
        (bench.late_sales_of_a_product(100), 100, 1, []),
        (bench.wide_cases_of_a_product(5), 5, 1, []),
    ],
)
def test_a_scene_tells_so_many_facts_of_so_many_lots_and_this_becomes_of_them(facts, count, lots, wanted):
    told = list(facts)
    assert (len(told), len({one.lot for one in told})) == (count, lots)
    assert len({(one.facility, one.n) for one in told}) == count
    assert changes(told) == wanted


def test_late_sales_come_behind_newer_ones():
    times = [one.at for one in bench.one_firm(40, late=True)]
    assert sum(times[i] < max(times[:i]) for i in range(1, 40)) >= 15


def test_a_product_is_sold_by_many_in_order_and_by_one_behind_its_cases():
    year = list(bench.a_year_of_a_product(400))
    assert [one.at for one in year] == sorted(one.at for one in year)
    assert len({one.facility for one in year}) > 100
    assert sum(one.told.fact == "case-of" for one in year) == 8
    late = list(bench.late_sales_of_a_product(40))
    assert max(one.at for one in late[20:]) < min(one.at for one in late[:20])
    assert all(len(one.told.lots) == 1_000 for one in bench.wide_cases_of_a_product(3))


def test_the_quick_setting_prints_every_scene(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lots", "--quick"])
    bench.main()
    told = json.loads(capsys.readouterr().out)
    assert len(told["scenes"]) == 10
    for name, scene in told["scenes"].items():
        assert scene["facts_a_cpu_second"]["median"] > 0, name
        assert scene["state_bytes_a_lot"]["least"] > 100, name
        assert scene["us_a_fact"]["n"] == 1
