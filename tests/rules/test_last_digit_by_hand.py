"""Last digits by hand: published chi squares, both sides of each border, what is thinned, and what another resolution makes of it."""

from __future__ import annotations

import statistics
from random import Random
from typing import Any

import numpy as np
import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explaintext import lines
from rules.fields import Fields
from rules.kinds import last_digit as kind
from rules.params import CHI_SQUARE_9
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE = "data-integrity.last-digit"
ONLY = BUNDLE.only({RULE})
PI_1000 = [93, 116, 103, 102, 93, 97, 94, 95, 101, 106]
"""Decimals of pi by digit: of the first thousand chi square is 4.74 ..."""
PI_10000 = [968, 1026, 1021, 974, 1012, 1046, 1021, 970, 948, 1014]
"""... of the first ten thousand 9.318 (R. K. Pathria, Mathematics of Computation 16, 1962)."""


def pi(decimals: int) -> str:
    """Return decimals of pi, by Machin's formula."""
    unit = 10 ** (decimals + 10)

    def arctan(x: int) -> int:
        total = term = unit // x
        n, sign = 3, -1
        while term:
            term //= x * x
            total += sign * (term // n)
            n, sign = n + 2, -sign
        return total

    found, pieces = 4 * (4 * arctan(5) - arctan(239)) // 10**10, []
    while found > 3:  # Python writes no whole number of more than 4,300 digits
        found, piece = divmod(found, 10**1000)
        pieces.append(f"{piece:01000}")
    return "".join(pieces[::-1])


def block() -> tuple[np.ndarray[Any, Any], int]:
    return np.concatenate([np.zeros(3, np.int64), kind.STATE.blank()]), 3


@pytest.mark.parametrize(("counts", "wanted"), [(PI_1000, 4.74), (PI_10000, 9.318)])
def test_chi_square_is_that_which_was_published_of_pi(counts: list[int], wanted: float) -> None:
    decimals = pi(sum(counts))
    assert [decimals.count(digit) for digit in "0123456789"] == counts
    words, x = block()
    for digit in map(int, decimals):
        kind._count(words, x + kind.DIGITS, digit)
    assert kind.chi_square(words, x, len(decimals)) / len(decimals) == pytest.approx(wanted, abs=1e-9)


def test_the_table_is_that_of_the_handbook() -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4, nine degrees of freedom."""
    assert CHI_SQUARE_9 == {0.1: 14_684, 0.05: 16_919, 0.025: 19_023, 0.01: 21_666, 0.001: 27_877}


def test_the_correlation_is_that_of_the_neighbours() -> None:
    random = Random(1)  # noqa: S311 - values, no secret
    words, x = block()
    values = [37]
    for _ in range(299):
        values.append(round(0.6 * values[-1]) + random.randrange(-40, 40))
    for i, value in enumerate(values):
        assert kind._take(words, x, i, value) == i + 1
    over, under = kind.relation(words, x, 300)
    assert over / under**0.5 == pytest.approx(statistics.correlation(values[:-1], values[1:]), abs=1e-12)


# -- through the engine ---------------------------------------------------------------------------------------------
def log(values: list[float], resolution: float | None = 0.1, hand: HandLog | None = None, begin: int = 0) -> HandLog:
    hand = hand or HandLog().register(-1, sensor(resolution=resolution))
    for i in range(0, len(values), 50):
        minutes = [begin + i + k for k in range(len(values[i : i + 50]))]
        hand.rows(minutes[-1] + 0.5, ("T1", minutes, values[i : i + 50]))
    return hand


def with_counts(differences: list[int], number: int = 500) -> list[float]:
    """Return values, high and low in turn, whose digits differ from an even spread by so much."""
    counts = [number // 10 + d for d in differences]
    assert sum(counts) == number
    digits = [digit for digit, count in enumerate(counts) for _ in range(count)]
    return [(20 if i % 2 else 70) / 10 + digit / 10 for i, digit in enumerate(digits)]


def told(hand: HandLog, bundle: Any = ONLY) -> list[tuple[str, float | None, float | None, float | None]]:
    return [(c.change.value, since(c.at), since(c.start), since(c.end)) for c in hand.changes(bundle=bundle)]


UNEVEN = with_counts([200, -20, -20, -20, -20, 40, -40, -40, -40, -40])


@pytest.mark.parametrize(
    ("differences", "raised"),
    [([26, -26, 4, -4, 2, -2, 1, -1, 0, 0], True), ([26, -26, 4, -4, 2, -2, 0, 0, 0, 0], False)],
)
def test_raised_above_27_877_and_not_below(differences: list[int], raised: bool) -> None:
    """Squares of 1394 and 1392: chi square of 27.88 and 27.84."""
    assert sum(d * d for d in differences) == (1394 if raised else 1392)
    assert told(log(with_counts(differences))) == ([("raised", 499, 0, None)] if raised else [])


@pytest.mark.parametrize(
    ("differences", "cleared"),
    [([23, -23, 3, -3, 2, -2, 0, 0, 0, 0], False), ([23, -23, 3, -3, -1, 1, 1, -1, 1, -1], True)],
)
def test_cleared_below_21_666_and_not_above(differences: list[int], cleared: bool) -> None:
    """Squares of 1082 and 1084: chi square of 21.64 and 21.68."""
    assert sum(d * d for d in differences) == (1082 if cleared else 1084)
    hand = log(with_counts(differences), hand=log(UNEVEN), begin=500)
    assert told(hand) == [("raised", 499, 0, None), *([("cleared", 999, 0, 500)] if cleared else [])]


@pytest.mark.parametrize(("apart", "known"), [(29, False), (30, True)])
def test_percentiles_that_surely_lie_twenty_steps_apart(apart: int, known: bool) -> None:
    assert bool(told(log([5.0, 5.0 + apart / 10] * 250))) is known


@pytest.mark.parametrize(("far", "known"), [(24, False), (25, True)])
def test_a_twentieth_of_them_makes_a_percentile(far: int, known: bool) -> None:
    """24 of 500 lie below the 5th percentile, and the rest stays within ten steps of it."""
    values = [5.0, 5.9] * 250
    for i in range(far):
        values[20 * i + 1] = 0.0
    assert bool(told(log(values))) is known


def test_half_of_what_is_allowed_brings_them_closer_again() -> None:
    """Slow at first: every second one is taken. Behind a whole block of those every one is, until they turn out too close."""
    slow = [2.0] * 4 + [7.5] * 4
    hand = log(slow * 250)
    # 125 of all, 500 of every second one (up to minute 1123); then 125 of all, and every second one again.
    assert told(hand)[0] == ("raised", 1123, 125, None)
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    state = engine.state_of(FACILITY)
    (instance,) = state.plan.by_slot[0] if state.plan else []
    pace = state.of(instance, "pace")
    assert (pace >> 24, state.of(instance, "begin_t")) == (1, ms(1124 + 125))


def test_what_is_constant_makes_nothing_sparse() -> None:
    hand = log(UNEVEN, hand=log([5.0] * 1000), begin=1000)
    assert told(hand) == [("raised", 1499, 1000, None)]


def test_what_is_out_of_all_proportion_says_nothing() -> None:
    values = list(UNEVEN)
    values[100] = 1e300
    assert told(log(values)) == []
    assert told(log([*values, 7.0])) == [("raised", 500, 0, None)]


def test_an_outlier_changes_no_more_than_a_count() -> None:
    values = list(UNEVEN)
    values[101] = 1e7
    assert [one[0] for one in told(log(values))] == ["raised"]


def test_negative_values_have_the_digit_of_their_steps() -> None:
    """-0.1 is step -1, whose digit is 9: so the ten steps round zero are ten digits."""
    fair = [(i % 10 - 5) / 10 + (0 if i % 2 else -7) for i in range(500)]
    assert told(log(fair)) == []


def test_a_late_row_moves_what_is_taken() -> None:
    hand = log(UNEVEN[:498])
    hand.rows(498, ("T1", [497.5], [7.0])).rows(499, ("T1", [450.5], [7.0]))
    assert told(hand) == [("raised", 450.5, 0, None)]
    assert [change.late for change in hand.changes(bundle=ONLY)] == [True]


def test_another_resolution_begins_anew_and_what_stands_stands() -> None:
    hand = log(UNEVEN)
    hand.register(501, sensor(resolution=0.05), version=2)
    log(UNEVEN, hand=hand, begin=510)
    assert told(hand) == [("raised", 499, 0, None)]
    log([(20 if i % 2 else 70) / 10 + (i % 10) / 20 for i in range(500)], hand=hand, begin=1010)
    assert told(hand) == [("raised", 499, 0, None), ("cleared", 1509, 0, 1010)]


def test_half_a_block_does_not_outlive_another_resolution() -> None:
    hand = log(UNEVEN[:300])
    hand.register(301, sensor(resolution=0.01), version=2)
    log(UNEVEN[300:], hand=hand, begin=310)
    assert told(hand) == []


def test_evidence_and_words_name_chi_square() -> None:
    values = [*UNEVEN, *with_counts([0] * 10)]
    raised, cleared = log(values).changes(bundle=ONLY)
    assert [(leaf.left, leaf.op, leaf.right, leaf.verdict.value) for leaf in raised.evidence.leaves] == [
        (992.0, ">", 27.877, "true")
    ]
    assert [(leaf.left, leaf.op, leaf.right) for leaf in cleared.evidence.leaves] == [(0.0, "<", 21.666)]
    assert raised.message.en == (
        "T1: the last digits of 500 values are not evenly spread, chi square 992.0 of nine degrees of freedom"
    )
    assert "χ² = 992.0" in raised.message.zh
    assert (raised.stage, raised.severity.value) == ("shadow", "blue")


def test_an_explanation_names_the_numbers_and_the_leaves_of_the_judging_row() -> None:
    (one,) = explain(log(UNEVEN).records(), ONLY, RULE, at=ms(500))[0]
    assert one.agrees
    assert {n["name"]: n["value"] for n in one.numbers()} == {
        "resolution": 0.1, "number": 500, "related": 0.2, "spread": 20, "uneven": 0.001, "even": 0.01
    }  # fmt: skip
    assert {leaf.name: seen.verdict.value for leaf, seen in one.leaves if seen} == {
        "reading": "true", "taken": "true", "apart": "true", "spread": "true", "uneven": "true", "even": "false"
    }  # fmt: skip
    assert "末位数字均匀时" in "\n".join(lines(one, "zh"))
    (bare,) = explain(log(UNEVEN, resolution=None).records(), ONLY, RULE, at=ms(500))[0]
    assert not bare.watched


def test_a_block_takes_136_bytes() -> None:
    assert isinstance(kind.STATE, Fields)
    assert 8 * kind.STATE.words == 136


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"related": None}, "/related"), ({"spread": None}, "/spread"), ({"uneven": None}, "/uneven"), ({"even": None}, "/even"),
     ({"uneven": 0.002}, "/uneven"), ({"even": 0.5}, "/even"), ({"number": 99}, "/number"), ({"spread": 25}, "/spread"),
     ({"uneven": 0.05}, "/even")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(RULE)
    assert shipped is not None
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


def test_numbers_of_one_check_belong_to_no_other() -> None:
    other = BUNDLE.rule("data-integrity.too-precise")
    assert other is not None
    faults = bundle_faults([other.model_copy(update={"related": 0.2, "spread": 20, "number": 17})], [])
    assert [fault.pointer for fault in faults] == ["/rules/0/related", "/rules/0/spread", "/rules/0/number"]
