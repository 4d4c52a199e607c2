"""Kill -9 of a worker while hours and days that are over are on their way to the state topic, on a real Kafka (ADR 0084)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from rules.apart import split
from rules.engine import Engine
from rules.records import RegisterRecord, Report
from rules.snapshot import open_snapshot
from streams.checkpoint import StateRows
from tests.rules import claimlogs
from tests.rules.claimlogs import DAY, FACILITY, HOUR, MINUTE, SPAN
from tests.rules.logs import Row, readings
from tests.streams.test_worker_kills import producer_of

if TYPE_CHECKING:
    from tests.streams.lab import Lab, Worker

pytestmark = pytest.mark.kafka
WAIT = 1_000
"""ms behind its receipt at which a report is compared: the broker says when that was."""
STEP = 5 * MINUTE


def fold() -> Engine:
    return Engine(claimlogs.bundle(wait=WAIT))


async def closed_keys(lab: Lab, *, committed: bool) -> list[str]:
    rows = await lab.read(lab.base.state_topic, committed=committed)
    return [row.key.decode() for row in rows if b"~" in row.key]


async def dies(lab: Lab, behind: int) -> Worker:
    """Start a worker that dies behind so many of these records, and wait for that."""
    worker = lab.spawn(fold={"claims": WAIT, "dies_behind_closed": behind})
    await lab.until("it died", lambda: worker.process.poll() is not None, 120)
    assert worker.process.returncode == -9, worker.text()[-3000:]
    return worker


async def whole(lab: Lab) -> StateRows:
    found = StateRows(lab.partition_of(FACILITY))
    for row in await lab.read(lab.base.state_topic):
        if row.partition == found.partition:
            found.add(row.key, row.value, row.headers)
    return found


async def claimed(lab: Lab) -> list[dict[str, Any]]:
    """Return what was told of reports so far."""
    return [row for row in await lab.changes() if row["rule"] == SPAN]


def report(now: int, peak: float) -> Any:
    """Return a deviation of two hours of the day before yesterday."""
    begin = (now - 2 * DAY) // HOUR * HOUR
    fields = {
        "deviation_id": "D-1", "asset": "T1", "from": begin, "to": begin + 2 * HOUR, "duration_min": 0, "peak": peak, "unit": "Cel",
        "lots": [], "opened_at": now,
    }  # fmt: skip
    return Report.model_validate({"id": f"R-{peak}", "type": "deviation", "revision": 1, "sent": now, "fields": fields})


async def test_figures_and_alarms_are_those_of_the_log_after_kills_in_that_moment(lab: Lab) -> None:
    now = time.time_ns() // 1_000_000 // STEP * STEP
    lab.settings["snapshot_every_s"] = 1.0
    async with producer_of(lab) as producer:
        entity = claimlogs.facility(tags={"T1": STEP})
        await lab.append(producer, RegisterRecord(version=1, facility=entity), FACILITY)
        for begin in range(now - 3 * DAY, now, DAY):
            rows = [Row("T1", t, 5.0 + t // STEP % 7 / 10) for t in range(begin, begin + DAY, STEP)]
            await lab.append(producer, readings(rows, f"b{begin}"), FACILITY)
        await producer.flush()
        for behind in (1, 2):
            await dies(lab, behind)
            assert await closed_keys(lab, committed=False), "some were with the broker"
            assert await closed_keys(lab, committed=True) == [], "and none counts"
        worker = lab.spawn(fold={"claims": WAIT})
        await lab.caught_up(120)
        keys = await closed_keys(lab, committed=True)
        assert len([key for key in keys if "~h" in key]) >= 2
        assert any("~d" in key for key in keys)
        worker.kill()  # the next one has the hours and days from the topic
        worker = lab.spawn(fold={"claims": WAIT})
        for peak in (9.9, 5.6):
            await lab.append(producer, report(now, peak), FACILITY)
        await producer.flush()
        await lab.until("the report was compared", lambda: claimed(lab), 120)
        await lab.agree(fold, 120)
    assert [(row["change"], row["subject"]["report"]) for row in await claimed(lab)] == [("raised", "R-9.9")]
    await lab.caught_up(120)
    engine = fold()
    for record in await lab.log():
        engine.fold(record)
    state = (await whole(lab)).snapshot(FACILITY)
    assert state is not None
    folded = engine.snapshot(lab.partition_of(FACILITY), FACILITY)
    figures, wanted = (split(open_snapshot(one)[0])[1] for one in (state, folded))
    assert [one.name for one in figures] == [one.name for one in wanted]
    assert figures == wanted
    assert "folds" not in worker.text()
