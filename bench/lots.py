"""The fold of lots alone: facts a second, CPU a fact, bytes of state a lot; one lot with many facts, many lots with few, one that an officer closed, products.

`python -m bench.lots` prints JSON; `--quick` is a small setting. CPU time of one process, without Kafka: five turns of each scene.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING, Any, Final

from bench.figures import emit, spreads
from rules.changes import alarm_id
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.pack import default_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN: Final = 1_767_225_600_000
REPETITIONS: Final = 5
STEP_MS: Final = 60_000
STOPPED: Final = "vigilance.moved-after-stop"
FIRM: Final = "FIRM-00000"
DECIDED: Final = 11
"""The number of the fact that is the officer's decision."""
PRODUCT: Final = "product P-1"
DAY_MS: Final = 86_400_000
YEAR: Final = 365 * DAY_MS
LOTS_SOLD: Final = 2_000
SELLERS: Final = 200


def fact(lot: str, firm: str, n: int, told: dict[str, Any], *, late: bool = False) -> LotFact:
    """Return the n-th fact of a firm, a minute behind the one before; a late one is of half the time."""
    kind = "decision" if told["fact"] == "decided" else "events"
    at = BEGIN + STEP_MS * (n // 2 if late else n)
    return LotFact.model_validate(
        {
            "facility": firm, "n": n, "lot": lot, "received": BEGIN + STEP_MS * n + 1_000, "at": at,
            "record": {"kind": kind, "id": f"b-{n}"}, "event": f"{n:016x}" if kind == "events" else None, "told": told,
        }
    )  # fmt: skip


def made(quantity: float) -> dict[str, Any]:
    """Return what a maker tells."""
    return {"fact": "made", "type": "produced", "quantity": quantity, "expiry": "2030-12-31"}


def sold(firm: str) -> dict[str, Any]:
    """Return what a seller tells."""
    return {"fact": "moved", "type": "sold", "quantity": 1.0, "from": firm, "to": "a patient"}


def one_firm(count: int, *, late: bool = False) -> Iterator[LotFact]:
    """Yield the sales of one lot by one firm; late: every second one is told behind newer ones."""
    yield fact("L-0", FIRM, 1, made(float(count)))
    for n in range(2, count + 1):
        yield fact("L-0", FIRM, n, sold(FIRM), late=late and n % 2 == 0)


def stopped(count: int, *, closed: bool) -> Iterator[LotFact]:
    """Yield the sales of one lot behind a stop, and where an officer closes that the decision behind the tenth."""
    yield fact("L-0", FIRM, 1, {"fact": "stop", "basis": "order", "known_at": BEGIN})
    for n in range(2, count + 1):
        if closed and n == DECIDED:
            alarm = alarm_id(STOPPED, FIRM, {"lot": "L-0"}, BEGIN + 2 * STEP_MS)
            yield fact("L-0", FIRM, n, {"fact": "decided", "alarm": alarm, "code": "breach"})
        else:
            yield fact("L-0", FIRM, n, sold(FIRM))


def many_firms(count: int) -> Iterator[LotFact]:
    """Yield an arrival and a sale of one lot by each of many firms."""
    for number in range(count // 2):
        firm = f"FIRM-{number:05d}"
        arrived = {"fact": "moved", "type": "arrived", "quantity": 1.0, "from": "a maker", "to": firm}
        yield fact("L-0", firm, 1, arrived)
        yield fact("L-0", firm, 2, sold(firm))


def many_lots(count: int, each: int = 10) -> Iterator[LotFact]:
    """Yield ten facts of each of many lots, told in turn."""
    for n in range(each):
        for number in range(count // each):
            lot = f"L-{number}"
            told = made(10.0) if n == 0 else sold(FIRM)
            yield fact(lot, FIRM, n * (count // each) + number + 1, told)


def of_product(firm: str, n: int, told: dict[str, Any], at: int, received: int | None = None) -> LotFact:
    """Return the n-th fact of a firm on the product, of an instant (ms from the beginning), received then if nothing else is said."""
    sale = told["fact"] == "sold-of"
    return LotFact.model_validate(
        {
            "facility": firm, "n": n, "lot": PRODUCT, "received": BEGIN + (at if received is None else received),
            "at": BEGIN + at, "record": {"kind": "events" if sale else "report", "id": f"b-{n}"},
            "event": f"{n:016x}" if sale else None, "told": told,
        }
    )  # fmt: skip


def sold_of(lot: int, quantity: float) -> dict[str, Any]:
    """Return what a seller tells of the product."""
    return {"fact": "sold-of", "of": f"L-{lot}", "quantity": quantity}


def case_of(number: int, at: int, lots: list[int]) -> dict[str, Any]:
    """Return what a hospital tells of the product: a serious case that was known at an instant."""
    names = sorted(f"L-{lot}" for lot in lots)
    return {
        "fact": "case-of", "report": f"R-{number}", "revision": 1, "named": True, "case_id": f"C-{number}", "known_at": BEGIN + at, "lots": names,
    }  # fmt: skip


def a_year_of_a_product(count: int) -> Iterator[LotFact]:
    """Yield what 200 firms tell in a year of a product with 2,000 lots, in order of time: of fifty facts one is a serious case."""
    drawn, told = random.Random(1), dict.fromkeys(range(SELLERS), 0)  # noqa: S311 - a scene
    for i in range(count):
        firm, at = drawn.randrange(SELLERS), i * YEAR // count
        lot = min(LOTS_SOLD - 1, max(0, int(drawn.gauss(LOTS_SOLD * i / count, LOTS_SOLD / 40))))
        told[firm] += 1
        what = case_of(i, at, [lot]) if i % 50 == 0 else sold_of(lot, float(drawn.randrange(1, 20)))
        yield of_product(f"FIRM-{firm:05d}", told[firm], what, at)


def late_sales_of_a_product(count: int) -> Iterator[LotFact]:
    """Yield as many cases of 200 lots as sales that one firm tells behind all of them, of the day before: each turns to every case."""
    for i in range(count // 2):
        yield of_product(FIRM, i + 1, case_of(i, 100 * DAY_MS + i * STEP_MS, [i % 200]), 100 * DAY_MS + i * STEP_MS)
    for i in range(count // 2):
        yield of_product(FIRM, count // 2 + i + 1, sold_of(i % LOTS_SOLD, 1.0), DAY_MS, 150 * DAY_MS)


def wide_cases_of_a_product(count: int, each: int = 1_000) -> Iterator[LotFact]:
    """Yield serious cases of one firm that name a thousand lots each, in turn of five thousand."""
    for i in range(count):
        at = 100 * DAY_MS + i * STEP_MS
        yield of_product(FIRM, i + 1, case_of(i, at, [(i * 7 + lot) % 5_000 for lot in range(each)]), at)


def measured(facts: list[LotFact]) -> dict[str, float]:
    """Return the figures of one turn; the facts are decoded before."""
    lots = LotFold(default_bundle())
    began = time.process_time()
    changes = sum(len(lots.fold(0, one, None)) for one in facts)
    spent = time.process_time() - began
    names = lots.lots(0)
    began = time.process_time()
    state = sum(len(lots.snapshot(0, name)) for name in names)
    return {
        "facts_a_cpu_second": len(facts) / spent, "us_a_fact": spent / len(facts) * 1e6, "changes": changes,
        "state_bytes_a_lot": state / len(names), "snapshot_us_a_lot": (time.process_time() - began) / len(names) * 1e6,
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small setting")
    quick = parser.parse_args().quick
    one, all_ = (200, 1_000) if quick else (4_000, 50_000)
    scenes = {
        "one_lot_one_firm": list(one_firm(one)),
        "one_lot_half_late": list(one_firm(one, late=True)),
        "one_lot_behind_a_stop": list(stopped(one, closed=False)),
        "one_lot_closed_by_an_officer": list(stopped(one, closed=True)),
        "one_lot_many_firms": list(many_firms(one)),
        "one_lot_folded_together": list(one_firm(2 * one if quick else 10_000)),
        "many_lots_of_ten_facts": list(many_lots(all_)),
        "a_year_of_a_product": list(a_year_of_a_product(5 * one)),
        "late_sales_of_a_product": list(late_sales_of_a_product(one)),
        "wide_cases_of_a_product": list(wide_cases_of_a_product(one // 10)),
    }
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in scenes}
    for _ in range(1 if quick else REPETITIONS):
        for name, facts in scenes.items():
            turns[name].append(measured(facts))
    emit(
        "lots",
        {"scenes": {name: {"facts": len(scenes[name])} | spreads(found, 1) for name, found in turns.items()}},
    )


if __name__ == "__main__":
    main()
