"""What facilities say of lots reaches the fold of lots through any death of either worker: nothing lost, nothing invented, nothing twice."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Events, LogRecord, PacksRecord, RegisterRecord
from streams.codec import decode, encode, lot_key
from streams.lotfold import LotWorkerFold
from streams.testing import KILLED, MemoryWorker, simulate
from tests.rules.lotlogs import RULES, altered, facility
from tests.streams.lab import deduplicate
from tests.streams.memory_lab import Scene

if TYPE_CHECKING:
    from rules.records import Rejected

AT = 1_767_225_600_000
WHOLE = default_bundle()
BUNDLE = Bundle.of([rule for rule in WHOLE.rules if rule.id in RULES], ())
OTHER = altered("cross-check.sold-over-produced", tolerance=0.5)


def first_fold() -> Engine:
    return Engine(BUNDLE, keep_facts=True)


class LotScene(Scene):
    """A worker on the log and one on the topic of lots."""

    def __init__(self, seed: int, **settings: Any) -> None:
        super().__init__(seed, new_fold=first_fold, **settings)
        self.lots = self.settings.model_copy(update={"fold": "lots", "instance": "lots-1"})

    async def start(self) -> None:
        await self.add()
        worker = self.workers["lots-1"] = MemoryWorker(self.lots, lambda: LotWorkerFold(BUNDLE))
        await worker.start()
        for name in ("FAC-0", "FAC-1"):  # of whom nobody has registered no rule over lots speaks
            self.append(RegisterRecord(version=0, facility=facility(name)), name)

    def trace(self, facility: str, kind: str, number: int, **fields: Any) -> None:
        event = {
            "stream": "trace", "type": kind, "time": AT + 60_000 * number, "source": "WMS",
            "fields": {"lot": f"L-{number % 3}", "quantity": 10} | fields,
        }  # fmt: skip
        self.append(Events.model_validate({"batch": f"t{self.sent}", "events": [event]}), facility)
        self.sent += 1

    def handed(self) -> list[LogRecord | Rejected]:
        """Return the topic of lots, in order of partition and offset."""
        rows = self.rows(self.settings.lots_topic)
        return [decode(p, e.offset, e.timestamp, e.key, e.headers, e.value, of_lots=True) for p, e in rows]

    def facts(self) -> dict[tuple[str, int], Any]:
        """Return what stands in the topic of lots, by who told it and its number; one that stands there twice says the same."""
        found: dict[tuple[str, int], Any] = {}
        for record in self.handed():
            assert isinstance(record, LogRecord), record
            if record.facility:
                fact = record.payload
                assert found.setdefault((fact.facility, fact.n), fact) == fact
                assert record.facility == lot_key(fact.lot)
        return found

    def derived(self) -> dict[tuple[str, int], Any]:
        """Return the facts that the log gives when it is folded in one go."""
        fold = first_fold()
        facts = []
        for record in self.log():
            if isinstance(record, LogRecord):
                fold.fold(record)
                facts += fold.take_facts(record.partition)
        return {(fact.facility, fact.n): fact for fact in facts}

    def expected(self) -> dict[str, list[dict[str, Any]]]:
        """Return the changes of lots that the topic of lots gives when it is folded in one go."""
        fold, streams = LotWorkerFold(BUNDLE), {}
        for record in self.handed():
            for change in fold.fold(record):
                streams.setdefault(change.stream, []).append(change.to_json())
        return streams

    def of_lots(self) -> dict[str, list[dict[str, Any]]]:
        rows = [row for row in self.changes() if row["stream"].startswith("lot:")]
        return deduplicate(rows)[1]

    async def agree_on_lots(self) -> None:
        await self.until("all facts of the log are in the topic of lots", lambda: self.facts() == self.derived())
        await self.until("all changes of lots are published", lambda: self.of_lots() == self.expected())
        await self.close()
        assert not self.broker.faults, self.broker.faults
        assert self.facts() == self.derived()
        assert self.of_lots() == self.expected()


def story(here: LotScene, step: int) -> None:
    """Two facilities, three lots: one makes less than both sell."""
    if step % 5 == 0:
        here.trace("FAC-0", "produced", step, product="P-1", quantity=12, expiry="2025-12-31")
    here.trace(f"FAC-{step % 2}", "sold", step, quantity=7, to="a shop", **{"from": f"FAC-{step % 2}"})


@pytest.mark.parametrize("seed", range(4))
def test_deaths_of_either_worker_lose_no_fact_and_no_change_of_a_lot(seed: int) -> None:
    async def scene() -> None:
        here = LotScene(seed)
        await here.start()
        for step in range(30):
            story(here, step)
            if step % 6 == 2:
                worker = here.workers["w1" if step % 12 == 2 else "lots-1"]
                worker.process.dies_at = worker.process.steps + here.chance.randint(1, 60)
            await asyncio.sleep(0.2)
            await here.supervise()
        await here.agree_on_lots()
        assert [status for _, status, _ in here.ended].count(KILLED) >= 3, here.ended
        assert {row["rule"] for rows in here.of_lots().values() for row in rows} >= {
            "cross-check.sold-over-produced", "cross-check.expired-moving",
        }  # fmt: skip

    simulate(scene())


@pytest.mark.parametrize("seed", range(3))
def test_packs_reach_every_partition_of_lots_once_whatever_dies(seed: int) -> None:
    async def scene() -> None:
        here = LotScene(seed)
        await here.start()
        for step in range(16):
            story(here, step)
            if step in {6, 8}:
                headers, value = encode((OTHER if step == 6 else BUNDLE).to_record())
                for partition in range(here.kafka.partitions):
                    here.put(partition, b"", value, headers)
                here.workers["w1"].process.dies_at = here.workers["w1"].process.steps + here.chance.randint(1, 40)
            await asyncio.sleep(0.2)
            await here.supervise()
        await here.agree_on_lots()
        packs = [record for record in here.handed() if isinstance(record.payload, PacksRecord)]
        for partition in range(here.kafka.partitions):
            mine = [record.payload.sha256 for record in packs if record.partition == partition]
            assert mine == [OTHER.sha256, BUNDLE.sha256]

    simulate(scene())


def test_a_worker_of_lots_goes_on_from_its_snapshots() -> None:
    async def scene() -> None:
        here = LotScene(5, snapshot_every_s=1.0)
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
        assert here.workers["lots-1"].sensor.again._value.get() == 0  # nothing of before is folded again
        story(here, 30)
        await here.agree_on_lots()
        after = here.of_lots()
        assert all(after[stream][: len(rows)] == rows for stream, rows in before.items())
        assert sum(map(len, after.values())) > sum(map(len, before.values()))

    simulate(scene())


def test_what_is_no_fact_is_kept_and_stops_nothing() -> None:
    async def scene() -> None:
        here = LotScene(6)
        await here.start()
        story(here, 0)
        await here.until("a fact is there", here.facts)
        fact = next(iter(here.facts().values()))
        headers, value = encode(fact)
        topic = here.settings.lots_topic
        here.broker.append(topic, 0, [(b"LOT-NOBODY", value, tuple(headers), None), (b"x", b"{", tuple(headers), None)])
        story(here, 1)
        rejected = here.settings.rejected_topic
        await here.until("both are kept", lambda: len(here.rows(rejected)) == 2)
        told = [json.loads(entry.value or b"") for _, entry in here.rows(rejected)]
        assert [(one["of"], one["code"], one["partition"]) for one in told] == [("lots", "bad_key", 0)] * 2
        await here.until("the facts are there", lambda: len(here.handed()) >= 4)
        await here.close()

    simulate(scene())
