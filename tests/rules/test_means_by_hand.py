"""Kind `limit` with `smooth` by hand, in minutes: what fills a volume, what raises, steps and clears, what begins it anew, what is unknown."""

# Above 400 lines on purpose: one counter in one room, and each case reads beside the next.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explaintext import answer
from rules.kinds import smooth
from rules.pack import Bundle, default_bundle
from rules.snapshot import open_snapshot
from rules.soundness import bundle_faults
from rules.tables import Table
from tests.rules import meanlogs
from tests.rules.byhand import FACILITY, HandLog, ms, since
from tests.rules.exceptionlogs import exception

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.changes import Change

RULE = "cleanroom.a-coarse"
SHIPPED = default_bundle().only({RULE, "data-integrity.physical-range"})
OWN = "test.mean"
GRADE_A = {"id": "A1", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"}
EUROPE = GRADE_A | {"standard": "eu-annex1-2022"}


def counter(sample: float | None = 0.1, **more: Any) -> dict[str, Any]:
    """Return a particle counter of grade A, one record a minute unless said otherwise."""
    found = {"tag": "P", "area": "A1", "quantity": "particles-5.0", "unit": "/m3", "interval": "60s", **more}
    return found if sample is None else found | {"sample_m3": sample}


def begun(sample: float | None = 0.1, area: dict[str, Any] = GRADE_A, **more: Any) -> HandLog:
    return HandLog().register(-1, counter(sample, **more), areas=[area])


def log(values: Sequence[Any], sample: float | None = 0.1, **more: Any) -> HandLog:
    return begun(sample, **more).live("P", 0, values)


def changes(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[Change]:
    return [c for c in hand.changes(bundle=bundle, until=until) if c.rule in {RULE, OWN}]


def told(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[tuple[Any, ...]]:
    found = changes(hand, bundle, until)
    return [(c.change.value, c.severity.value, since(c.start), since(c.end), since(c.at)) for c in found]


def watching(**members: Any) -> Bundle:
    return Bundle.of([meanlogs.rule({**meanlogs.RULES[0], **members})], [])


@pytest.mark.parametrize(
    ("area", "particles", "fires"), [(GRADE_A, 20, False), (GRADE_A, 21, True), (EUROPE, 29, False), (EUROPE, 30, True)]
)
def test_the_limit_itself_is_inside_and_one_particle_more_is_not(
    area: dict[str, Any], particles: int, fires: bool
) -> None:
    """Ten records of 0.1 m3: one particle is 1 /m3 of their mean."""
    hand = begun(area=area).live("P", 0, [10 * particles, *[0] * 9])
    assert told(hand) == ([("raised", "red", 9, None, 9)] if fires else [])


@pytest.mark.parametrize(("excess", "fires"), [(0.0, False), (1e-7, False), (1e-6, True)])
def test_a_millionth_above_the_limit_is_above_it_and_less_is_rounded_away(excess: float, fires: bool) -> None:
    assert bool(told(log([200 + excess, *[0] * 9]))) is fires


def test_the_limit_itself_is_outside_where_the_rule_says_so() -> None:
    bundle = watching(limits={"from": {"high": 20}, "inclusive": True})
    assert told(log([190, *[0] * 9]), bundle) == []
    (raised,) = changes(log([200, *[0] * 9]), bundle)
    (mean,) = raised.evidence.leaves
    assert (mean.left, mean.op, mean.right, mean.verdict.value) == (20.0, ">=", 20.0, "true")
    assert raised.message.en == "P: 20 /m³, mean over the newest 1 m³ sampled, at or above 20 /m³"
    assert raised.message.zh == "P：最近采样 1 m³ 的均值为 20 /m³，达到或高于上限 20 /m³"


@pytest.mark.parametrize(("sample", "records"), [(0.1, 10), (0.111, 10), (0.0283, 36), (0.025, 40), (1.0, 1), (2.5, 1)])
def test_the_volume_is_full_by_whole_records(sample: float, records: int) -> None:
    """Nine records of 0.111 m3 are 0.999 m3 and not enough; ten of 0.1 m3 are exactly one, and enough."""
    one = [1_000.0, *[0.0] * (records - 2)] if records > 1 else []
    assert told(log(one, sample)) == []
    assert told(log([*one, 0.0 if one else 1_000.0], sample)) == [("raised", "red", records - 1, None, records - 1)]


def test_a_minute_of_28_litres_weighs_what_it_samples() -> None:
    """Thirty-six records of 0.0283 m3 sample 1.0188 m3: 20 particles in them are 19.63 /m3, 21 are 20.61 /m3."""
    one = 1 / 0.0283
    assert told(log([20 * one, *[0.0] * 40], 0.0283)) == []
    (raised, cleared) = changes(log([21 * one, *[0.0] * 40], 0.0283))
    (mean,) = raised.evidence.leaves
    assert mean.left == pytest.approx(21 / 1.0188, abs=1e-6)
    assert (since(cleared.end), since(cleared.at)) == (36, 38)


def test_a_particle_counts_also_where_the_posted_concentration_is_rounded() -> None:
    """One in 28.3 litres is 35.3 /m3: 35 is one, 17 is none (0.48), 18 is one (0.51)."""
    for value, fires in ((35, True), (36, True), (18, True), (17, False)):
        assert bool(told(log([0, value, value], 0.0283))) is fires, value


@pytest.mark.parametrize(
    ("values", "start", "at"),
    [([10, 10], 0, 1), ([10, 0, 10], 0, 2), ([10, 0, 0, 10], None, None), ([0, 10, 0, 10], 1, 3), ([0] * 20 + [10, 10], 20, 21)],
)  # fmt: skip
def test_two_of_three_records_with_a_particle_are_yellow(
    values: list[float], start: int | None, at: int | None
) -> None:
    assert told(log(values)) == ([] if start is None else [("raised", "yellow", start, None, at)])


def test_yellow_turns_red_when_the_limit_is_exceeded_and_a_red_one_stays_red_until_it_ends() -> None:
    found = told(log([10, 10, *[0] * 7, 190, *[0] * 20]))
    assert found == [
        ("raised", "yellow", 0, None, 1), ("stepped", "red", 0, None, 9), ("cleared", "red", 0, 10, 12),
    ]  # fmt: skip


def test_red_turns_yellow_where_three_decisions_are_inside_and_the_particles_go_on() -> None:
    """Full at 9 with 21; from 10 on each mean is inside, and two of three records still count."""
    found = told(log([200, *[0] * 7, 10, 0, 10, 10, 10, 0, 0, 0, 0]))
    assert [(row[0], row[1], row[4]) for row in found] == [
        ("raised", "red", 9), ("stepped", "yellow", 12), ("cleared", "yellow", 16),
    ]  # fmt: skip
    assert found[-1][3] == 14


def test_three_decisions_in_a_row_end_it_and_one_above_begins_the_count_anew() -> None:
    """21 of the first ten; then the mean is 20, 20, 21, and then 20 three times."""
    values = [10, *[0] * 8, 200, 0, 0, 10, *[0] * 6, 0, 0, 0, 0, 0, 0]
    assert told(log(values))[:2] == [("raised", "red", 9, None, 9), ("cleared", "red", 9, 19, 21)]


def test_what_has_left_the_window_counts_no_more() -> None:
    """150 /m3 every fifteen minutes are 15 /m3 of ten records each time, in posts of one record and of all."""
    values = [150, *[0] * 14] * 4
    assert told(log(values)) == []
    assert told(begun().rows(60, ("P", range(60), values))) == []
    assert told(log([110, *[0] * 9, 100, *[0] * 9])) == [], "the eleventh record back is none of the newest ten"


def test_a_second_red_alarm_asks_for_three_decisions_of_its_own_before_it_turns_yellow() -> None:
    """Yellow at 11 and ended; red at 31, when 190 and 20 are among ten; from 32 on the mean is inside, and particles go on: yellow at 34."""
    values = [0] * 10 + [10, 10] + [0] * 10 + [190] + [0] * 8 + [20, 10, 10, 10]
    found = [(row[0], row[1], row[4]) for row in told(log(values))]
    assert found == [
        ("raised", "yellow", 11), ("cleared", "yellow", 15), ("raised", "red", 31), ("stepped", "yellow", 34),
    ]  # fmt: skip


def test_what_ended_with_an_alarm_makes_no_other_one() -> None:
    """Ended at its one record inside; the particle of the third record, among the newest three again with the fifth, counts no more."""
    hasty = watching(clear={"consecutive": 1}, smooth={"volume": "0.1 m3", "early": meanlogs.EARLY})
    found = told(log([10, 0, 10, 0, 10]), hasty)
    assert found == [("raised", "yellow", 0, None, 2), ("cleared", "yellow", 0, 3, 3)]


@pytest.mark.parametrize(
    "odd", [(10, "fault"), (10, "uncertain"), (10, "maintenance"), (None, "fault"), -1, 2_000_000], ids=str
)
def test_a_record_that_does_not_count_begins_the_volume_and_the_count_anew(odd: Any) -> None:
    """Nine records with 21 particles, one that does not count, nine more: of neither is a cubic metre full."""
    span = {"range": {"low": -10, "high": 1_000_000}}
    assert told(log([210, *[0] * 8, odd, *[0] * 9], **span)) == []
    assert told(log([210, *[0] * 8, odd, *[0] * 8, 210, 0], **span)) == [("raised", "red", 19, None, 19)]
    assert told(log([10, odd, 10], **span)) == []


@pytest.mark.parametrize(("gap", "fires"), [(2, True), (2 + 1 / 60_000, False)])
def test_a_silence_of_more_than_two_intervals_begins_it_anew(gap: float, fires: bool) -> None:
    minutes = [0, *[gap + i for i in range(9)]]
    hand = begun().rows(30, ("P", minutes, [210, *[0] * 9]))
    assert bool(told(hand)) is fires


def test_unknown_by_a_record_and_known_by_the_next_decision() -> None:
    """One particle in 0.025 m3 is 40 /m3. 21 in forty records: red at 39; a bad one at 40; the next forty are full at 80."""
    hand = log([840, *[0] * 39, (0, "fault"), *[0] * 42], sample=0.025)
    assert told(hand) == [
        ("raised", "red", 39, None, 39), ("unknown", "red", 39, None, 55), ("known", "red", 39, None, 80),
        ("cleared", "red", 39, 80, 82),
    ]  # fmt: skip


def test_a_red_alarm_stays_red_while_particles_are_seen_and_the_mean_is_not_known() -> None:
    hand = log([840, *[0] * 39, (0, "fault"), *[40] * 8], sample=0.025)
    assert told(hand) == [("raised", "red", 39, None, 39)]


def test_unknown_by_the_clock_where_nothing_comes() -> None:
    hand = log([210, *[0] * 9])
    assert told(hand, until=26 - 0.01) == [("raised", "red", 9, None, 9)]
    assert told(hand, until=26) == [("raised", "red", 9, None, 9), ("unknown", "red", 9, None, 26)]


def test_a_clearing_count_does_not_go_on_behind_a_silence() -> None:
    hand = log([210, *[0] * 11])  # 21 at 9, and 0 at 10 and 11
    hand.rows(15, ("P", [14.5], [0]))
    assert [row[0] for row in told(hand)] == ["raised"]


def test_a_late_record_takes_its_place_in_the_window() -> None:
    """Eleven records, the third late: without it the tenth to come fills the volume with 21 particles, with it 20 at most are in any ten."""
    hand = begun().rows(9.5, ("P", [0, 1, *range(3, 11)], [110, 0, *[0] * 7, 100]))
    assert told(hand) == [("raised", "red", 10, None, 10)]
    hand.rows(9.6, ("P", [2], [0]))
    assert [row[0] for row in told(hand)] == ["raised", "retracted"]


def test_a_late_record_decides_again_what_the_clock_had_decided() -> None:
    """Red at 9, unknown by the clock at 26; with a late record the volume was full a minute before, and it is as unknown."""
    hand = log([0, 210, *[0] * 8]).tick(30).rows(31, ("P", [0.5], [0]))
    assert told(hand) == [
        ("raised", "red", 9, None, 9), ("unknown", "red", 9, None, 26), ("amended", "red", 8, None, 0.5),
    ]  # fmt: skip
    hand = log([0, 10, *[0] * 8]).tick(30).rows(31, ("P", [5.5], [200]))
    found = changes(hand)
    assert [(c.change.value, since(c.start), c.late) for c in found] == [("raised", 8, True), ("unknown", 8, False)]
    assert found[0].evidence.peak == 21.0


def test_what_late_records_take_back_has_no_leaf_and_a_known_one_names_the_newest_records() -> None:
    hand = begun().rows(9.5, ("P", [0, 1, *range(3, 11)], [110, 0, *[0] * 7, 100])).rows(9.6, ("P", [2], [0]))
    assert changes(hand)[-1].evidence.leaves == []
    known = changes(log([840, *[0] * 39, (0, "fault"), *[0] * 20, 40, 40], sample=0.025))[-1]
    assert known.change.value == "known"
    assert [leaf.verdict.value for leaf in known.evidence.leaves] == ["unknown", "true"]


def test_a_late_record_with_particles_raises_it_late() -> None:
    hand = begun().rows(9.5, ("P", [0, 1, *range(3, 10)], [0, 0, 0, 0, 10, 0, 0, 0, 0])).rows(9.6, ("P", [2], [200]))
    (raised, *_) = changes(hand)
    assert (raised.change.value, raised.late, since(raised.start)) == ("raised", True, 9)


def test_the_window_behind_the_horizon_is_kept() -> None:
    """Hourly records of 10 litres, a hundred to the cubic metre: 32 leave the ring of 96 together, and a late one decides from there."""
    hand = begun(0.01, interval="1h").live("P", 0, [0, 2_100, *[0] * 98], every=60)
    hand.rows(99 * 60 + 1, ("P", [99 * 60 - 30], [0]))
    assert [row[:3] for row in told(hand)] == [("raised", "red", 99 * 60), ("amended", "red", 99 * 60 - 30)]


def test_late_records_are_decided_from_the_window_behind_the_horizon_also_where_nothing_is_told() -> None:
    hand = begun(0.01, interval="1h").live("P", 0, [*[0] * 80, 2_000, *[0] * 19], every=60)
    hand.rows(99 * 60 + 1, ("P", [99 * 60 - 30], [0])).rows(100 * 60 + 1, ("P", [100 * 60], [100]))
    assert [row[:3] for row in told(hand)] == [("raised", "red", 100 * 60)]


def test_another_interval_is_another_time_until_it_is_unknown() -> None:
    hand = log([210, *[0] * 9]).register(9.5, counter(interval="2m"), areas=[GRADE_A], version=2)
    assert told(hand, until=27 - 0.01) == [("raised", "red", 9, None, 9)]
    assert told(hand, until=27)[1:] == [("unknown", "red", 9, None, 27)]


def test_words_and_evidence_name_the_mean_the_volume_and_the_limit_with_its_origin() -> None:
    raised, stepped, cleared = changes(log([10, 10, *[0] * 7, 190, *[0] * 20]))
    assert raised.message.en == "P: 2 of 3 records with a particle; less than 1 m³ sampled yet"
    assert raised.message.zh == "P：最近 3 条记录中有 2 条检出粒子；采样尚不足 1 m³"
    mean, newest = raised.evidence.leaves
    assert (mean.expr, mean.left, mean.op, mean.right, mean.unit, mean.verdict.value) == (
        "rolling mean of P (10 x 0.1 m3)", None, ">", 20.0, "/m3", "unknown",
    )  # fmt: skip
    assert (newest.expr, newest.op, newest.right, newest.verdict.value) == (
        "records with particles of P (1+ / 3)", ">=", 2.0, "true",
    )  # fmt: skip
    assert [(u.name, u.value, u.unit, u.origin, u.edition) for u in raised.evidence.limits] == [
        ("high", 20.0, "/m3", "cleanroom-particles", "CN GMP 2010 Annex 1"),
        ("volume", 1.0, "m3", "rule", "cleanroom.a-coarse 1.0.0"), ("sample", 0.1, "m3", "register", None),
    ]  # fmt: skip
    assert stepped.message.en == "P: 21 /m³, mean over the newest 1 m³ sampled, above 20 /m³; colour changed"
    assert stepped.message.zh == "P：最近采样 1 m³ 的均值为 21 /m³，高于上限 20 /m³；等级变更"
    (mean,) = stepped.evidence.leaves
    assert (mean.left, mean.verdict.value, stepped.evidence.peak) == (21.0, "true", 21.0)
    (mean,) = cleared.evidence.leaves
    assert (mean.left, mean.right, mean.verdict.value, cleared.evidence.peak) == (19.0, 20.0, "false", 21.0)
    assert [read.kind for read in raised.evidence.records] == ["readings", "readings", "register"]


def test_words_where_the_volume_is_full_and_not_exceeded() -> None:
    (raised,) = changes(log([0] * 10 + [10, 10]))
    assert raised.message.en == "P: 2 of 3 records with a particle; the mean over 1 m³ is 2 /m³, limit 20 /m³"
    assert raised.message.zh == "P：最近 3 条记录中有 2 条检出粒子；最近 1 m³ 的均值为 2 /m³，上限 20 /m³"
    many = watching(smooth={"volume": "0.7 m3", "early": {"records": 1, "of": 1, "count": 2, "to": "blue"}})
    (raised,) = changes(log([20]), many)
    assert raised.message.en == "P: 1 of 1 records with 2 particles; less than 0.7 m³ sampled yet"


@pytest.mark.parametrize("sample", [None, 0.0078, 0.001])
def test_without_a_registered_sample_or_with_too_small_a_one_it_is_unknown(sample: float | None) -> None:
    hand = log([900] * 150, sample)
    assert told(hand) == []
    (one,), _ = explain(hand.records(), SHIPPED, RULE, at=ms(200))
    assert not one.watched
    assert one.line is not None
    condition = one.line.watch.conditions[-1]
    assert (condition.name, condition.right, condition.unit) == ("sample", 1 / 128, "m3")
    assert condition.verdict.value == ("unknown" if sample is None else "false")


def test_an_explanation_begins_anew_where_the_sample_is_another_or_a_record_does_not_count() -> None:
    hand = log([0, 0, 0, 0, 210]).register(4.5, counter(0.11), areas=[GRADE_A], version=2).live("P", 5, [0] * 5)
    for records, at, full in ((hand, 9.5, 0.55), (log([0, 0, -1, 0, 0, 0]), 5.5, 0.3)):
        (one,), _ = explain(records.records(), SHIPPED, RULE, at=ms(at))
        assert one.agrees
        assert {leaf.name: said.left for leaf, said in one.leaves if said is not None}["full"] == pytest.approx(full)


def test_the_smallest_sample_that_is_taken() -> None:
    assert told(log([*[0] * 127, 2_600], 0.0078125))[-1:] == [("raised", "red", 127, None, 127)]


@pytest.mark.parametrize(
    ("change", "fires"),
    [({}, True), ({"interval": "2m"}, True), ({"sample_m3": 0.2}, False), ({"sample_m3": 0.11}, False),
     ({"quantity": "particles-0.5"}, False), ({"serial": "X"}, True)],
    ids=str,
)  # fmt: skip
def test_another_sample_or_quantity_begins_the_volume_anew(change: dict[str, Any], fires: bool) -> None:
    """210 /m3 in the fifth of ten records; the register changes behind it."""
    bundle = watching(applies_to={"area.kind": "cleanroom"})
    hand = log([0, 0, 0, 0, 210]).register(4.5, counter() | change, areas=[GRADE_A], version=2)
    hand.live("P", 5, [0] * 5)
    assert bool(told(hand, bundle)) is fires


def test_another_sample_begins_it_anew_also_where_no_single_record_counts() -> None:
    bundle = watching(smooth={"volume": "1 m3"})
    for sample, fires in ((0.1, True), (0.2, False)):
        hand = log([0, 0, 0, 0, 210]).register(4.5, counter(sample, serial="X"), areas=[GRADE_A], version=2)
        assert bool(told(hand.live("P", 5, [0] * 5), bundle)) is fires


def test_an_alarm_stands_over_another_sample_and_ends_with_the_sample() -> None:
    hand = log([210, *[0] * 10]).register(10.5, counter(0.2), areas=[GRADE_A], version=2).live("P", 11, [0] * 7)
    assert told(hand) == [("raised", "red", 9, None, 9), ("cleared", "red", 9, 15, 17)]
    hand = log([210, *[0] * 9]).register(9.5, counter(None), areas=[GRADE_A], version=2)
    assert told(hand)[1:] == [("cleared", "red", 9, 9.5, 9.5)]


def test_new_limits_stand_from_the_next_record_on_and_keep_what_was_sampled() -> None:
    hand = log([210, *[0] * 8]).packs(8.5, watching()).live("P", 9, [0])
    assert told(hand, watching(limits={"from": {"high": 30}})) == [("raised", "red", 9, None, 9)]


def test_packs_that_smooth_a_rule_end_the_alarm_of_single_records_and_begin_with_what_comes() -> None:
    plain = watching(smooth=None, clear={"consecutive": 3})
    hand = log([210, *[0] * 2]).packs(2.5, watching()).live("P", 3, [210, *[0] * 9])
    assert told(hand, plain) == [
        ("raised", "red", 0, None, 0), ("cleared", "red", 0, 2.5, 2.5), ("raised", "red", 12, None, 12),
    ]  # fmt: skip


def test_a_site_exception_moves_the_limit_and_no_delay_is_taken_from_it() -> None:
    allowed = watching(exceptions={"limits.high": {"min": 20, "max": 50}})
    one = exception(rule=OWN, facility=FACILITY, tag="P", allow={"limits.high": 40})
    bundle = Bundle.of(allowed.rules, [], [one])
    assert told(log([210, *[0] * 9]), bundle) == []
    assert told(log([410, *[0] * 9]), bundle) == [("raised", "red", 9, None, 9)]
    delay = meanlogs.rule({**meanlogs.RULES[0], "exceptions": {"when.on_delay": {"max": "10m"}}})
    assert "/rules/0/exceptions/when.on_delay" in [fault.pointer for fault in bundle_faults([delay], [])]


LOW = {"schema": "table/1", "id": "t", "edition": "1", "title": {"en": "T", "zh": "表"},
       "cites": [{"instrument": "Own", "status": "own"}]}  # fmt: skip
ROW = {"where": {"area.grade": "A"}, "unit": "/m3", "edition": "1", "status": "own"}


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"when": {"consecutive": 2}}, "/when"), ({"when": {"on_delay": "1m"}}, "/when"),
        ({"clear": {"off_delay": "1m"}}, "/clear"), ({"clear": {"deadband": "10%"}}, "/clear"), ({"clear": {"deadband": 1}}, "/clear"),
        ({"severity": {"base": "red", "steps": [{"after": "1m", "to": "red"}]}}, "/severity/steps"),
        ({"severity": {"base": "yellow"}}, "/smooth/early/to"), ({"excludes": True}, "/excludes"),
        ({"limits": {"from": {"low": 1, "high": 20}}}, "/limits/from"), ({"limits": {"from": {"low": 1}}}, "/limits/from"),
        ({"limits": {"from": "sensor"}}, "/limits/from"), ({"limits": {"from": "range"}}, "/limits/from"),
        ({"limits": {"from": {"high": 20}, "narrower": "sensor"}}, "/limits/narrower"),
        ({"migration": "re-evaluate"}, "/migration"), ({"limits": {"from": "t"}}, "/limits/from"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_a_mean_cannot_have_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    table = Table.model_validate(LOW | {"rows": [ROW | {"limit": {"high": 20}, "consecutive": 2}]})
    faults = bundle_faults([meanlogs.rule({**meanlogs.RULES[0], **members})], [table])
    assert (f"/rules/0{pointer}", "smooth") in [(fault.pointer, fault.code) for fault in faults]


def test_a_mean_without_fault_and_what_its_model_refuses() -> None:
    table = Table.model_validate(LOW | {"rows": [ROW | {"limit": {"high": 20}}]})
    for members in (
        {},
        {"limits": {"from": "t"}},
        {"clear": {"consecutive": 2, "deadband": "0%"}},
        {"migration": "close"},
    ):
        assert bundle_faults([meanlogs.rule({**meanlogs.RULES[0], **members})], [table]) == []
    others = [
        ROW | {"where": {"sensor.quantity": "particles-0.5"}, "limit": {"low": 1}, "deadband": 1},
        ROW | {"limit": {"high": 20}},
    ]
    table = Table.model_validate(LOW | {"rows": others})
    assert bundle_faults([meanlogs.rule({**meanlogs.RULES[0], "limits": {"from": "t"}})], [table]) == []
    table = Table.model_validate(LOW | {"rows": [others[0] | {"where": {"sensor.quantity": ["particles-5.0"]}}]})
    assert len(bundle_faults([meanlogs.rule({**meanlogs.RULES[0], "limits": {"from": "t"}})], [table])) == 1
    for volume in ("0 m3", "1", "1 l", "100 m3", "0.0000001 m3", "-1 m3"):
        with pytest.raises(ValueError, match="volume"):
            meanlogs.rule({**meanlogs.RULES[0], "smooth": {"volume": volume}})
    early = {"records": 3, "of": 2, "to": "yellow"}
    with pytest.raises(ValueError, match="at most of"):
        meanlogs.rule({**meanlogs.RULES[0], "smooth": {"volume": "1 m3", "early": early}})


def test_a_sum_leaves_out_no_mean() -> None:
    """The occurrences of a mean are none of single records, which a cumulative rule could leave out."""
    total = {
        "id": "test.sum", "kind": "cumulative", "applies_to": meanlogs.APPLIES, "limits": {"from": {"high": 20}}, "total": "4m",
        "clear_below": "3m", "window": "16m", "idle_while": OWN, "reads": [OWN],
    }  # fmt: skip
    faults = bundle_faults([meanlogs.rule(total), meanlogs.rule(meanlogs.RULES[0])], [])
    assert [fault.pointer for fault in faults] == ["/rules/0/idle_while"]


def test_a_restart_and_a_snapshot_without_the_kind() -> None:
    own, plain, again = Engine(SHIPPED), Engine(default_bundle()), Engine(SHIPPED)
    for record in log([10, 10, *[0] * 7, 190, 0]).records():
        own.fold(record)
    for record in log([10, 10], sample=None).records():
        plain.fold(record)
    snapshot = own.snapshot(0, FACILITY)
    again.restore(0, FACILITY, snapshot)
    assert again.snapshot(0, FACILITY) == snapshot
    assert [(c.rule, c.change.value, since(c.at)) for c in again.advance(0, ms(27.5)) if c.rule == RULE] == [
        (RULE, "unknown", 27)
    ]
    kinds = [set(open_snapshot(data)[0].layouts) for data in (snapshot, plain.snapshot(0, FACILITY))]
    assert ["smooth" in names for names in kinds] == [True, False]
    assert smooth.STATE.words == 153, "the page names the bytes"


def test_an_explanation_agrees_and_names_volume_and_sample() -> None:
    (one,), _ = explain(log([10, 10, 0]).records(), SHIPPED, RULE, at=ms(3))
    assert one.agrees
    assert one.standing.active
    assert [number["name"] for number in one.numbers()] == ["high", "volume", "sample"]
    seen = {leaf.name: (said.verdict.value, said.left) for leaf, said in one.leaves if said is not None}
    assert seen["full"] == ("false", pytest.approx(0.3))
    assert seen["above"] == ("unknown", None)
    assert seen["early"] == ("true", 2)
    assert "full 0.3 m3 of 1 m3" in answer(explain(log([0, 0, 0]).records(), SHIPPED, RULE, at=ms(3))[0][0], "en")
    (one,), _ = explain(log([210, *[0] * 12]).records(), SHIPPED, RULE, at=ms(13))
    assert one.agrees
    assert not one.standing.active
