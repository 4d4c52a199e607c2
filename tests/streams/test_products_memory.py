"""Sales and cases of a product reach the fold of lots through any death of either worker, and its alarms are those of one go (ADR 0090)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rules.instants import format_instant
from rules.pack import Bundle, default_bundle
from rules.records import Report
from streams.codec import lot_key
from streams.lotfold import LotWorkerFold
from streams.testing import KILLED, MemoryWorker, simulate
from tests.streams.lab import deduplicate
from tests.streams.test_lots_memory import AT, LotScene

RATIO = "vigilance.lot-ratio"
RULES = Bundle.of([default_bundle().rule(RATIO)], ())


class ProductScene(LotScene):
    """Both workers; the one of lots has the rule over products."""

    async def start(self) -> None:
        await self.add()
        worker = self.workers["lots-1"] = MemoryWorker(self.lots, lambda: LotWorkerFold(RULES))
        await worker.start()

    def case(self, facility: str, number: int, lots: list[str]) -> None:
        fields = {
            "case_id": f"C-{number}", "known_at": format_instant(AT + 60_000 * number), "onset": "2025-12-30",
            "seriousness": "serious", "is_new": False, "product": "P-1", "lots": lots, "outcome": "recovered",
            "source_channel": "hospital",
        }  # fmt: skip
        payload = Report.model_validate(
            {"type": "adr-case", "id": f"R-{number}", "revision": 1, "sent": AT + 60_000 * number, "fields": fields}
        )
        self.append(payload, facility)
        self.sent += 1

    def expected(self) -> dict[str, list[dict[str, Any]]]:
        fold, streams = LotWorkerFold(RULES), {}
        for record in self.handed():
            for change in fold.fold(record):
                streams.setdefault(change.stream, []).append(change.to_json())
        return streams

    def of_lots(self) -> dict[str, list[dict[str, Any]]]:
        return deduplicate([row for row in self.changes() if row["stream"].startswith("product:")])[1]


def story(here: ProductScene, step: int) -> None:
    """Two shops sell two products, a tenth of it of one lot; two hospitals know of cases of that."""
    shop = f"FAC-{step % 2}"
    here.trace(shop, "sold", step, lot="L-1", quantity=1, product="P-1", to="a patient", **{"from": shop})
    here.trace(
        shop, "sold", step, lot="L-2", quantity=30, product=f"P-{1 + step % 2}", to="a patient", **{"from": shop}
    )
    if step % 3 == 0:
        here.case(f"HOSP-{step % 2}", step, ["L-1"] if step % 2 else ["L-1", "L-3"])


@pytest.mark.parametrize("seed", range(3))
def test_deaths_of_either_worker_lose_no_fact_and_no_change_of_a_product(seed: int) -> None:
    async def scene() -> None:
        here = ProductScene(seed)
        await here.start()
        for step in range(24):
            story(here, step)
            if step % 6 == 2:
                worker = here.workers["w1" if step % 12 == 2 else "lots-1"]
                worker.process.dies_at = worker.process.steps + here.chance.randint(1, 60)
            await asyncio.sleep(0.2)
            await here.supervise()
        await here.agree_on_lots()
        assert [status for _, status, _ in here.ended].count(KILLED) >= 3, here.ended
        assert {(row["rule"], row["subject"]["lot"]) for row in here.of_lots()["product:P-1"]} >= {(RATIO, "L-1")}
        of_product = [fact for fact in here.facts().values() if fact.lot.startswith("product ")]
        assert {fact.lot for fact in of_product} == {"product P-1", "product P-2"}
        assert len({lot_key(fact.lot) for fact in of_product}) == 2

    simulate(scene())


def test_a_worker_goes_on_with_a_product_from_its_snapshot() -> None:
    async def scene() -> None:
        here = ProductScene(7, snapshot_every_s=1.0)
        await here.start()
        for step in range(12):
            story(here, step)
        await here.until(
            "all is told", lambda: here.facts() == here.derived() and here.of_lots() == here.expected() != {}
        )
        await here.workers["lots-1"].stop()
        before = here.of_lots()
        await here.workers["lots-1"].start()
        await here.until("it has its partitions again", lambda: here.workers["lots-1"].owned == [0, 1])
        assert here.workers["lots-1"].sensor.again._value.get() == 0
        for step in range(12, 20):
            story(here, step)
        await here.agree_on_lots()
        after = here.of_lots()
        assert all(after[stream][: len(rows)] == rows for stream, rows in before.items())

    simulate(scene())
