"""What was folded beside its partition (released, or folded anew) and whose snapshot a checkpoint does not hold: a start must not go
on from the older one that the topic still has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.engine import Engine
from rules.snapshot import SnapshotError
from streams import tenure as tenure_module
from streams.checkpoint import decode_marker
from streams.crumbs import Crumbs
from streams.release import release
from tests.streams.lab import judge, offline
from tests.streams.test_cadence import MemoryHistory, rebuilt, spoil
from tests.streams.test_quarantine import BUNDLE, SICK, WELL, alarming, feed, owner, read
from tests.streams.test_tenure import SETTINGS, MemoryBroker, checkpoint, crash, published, settle, tenure_of

if TYPE_CHECKING:
    from streams.tenure import Tenure


class Unwritable(Engine):
    """An engine of which SICK cannot be written."""

    def snapshot(self, partition: int, facility: str) -> bytes:
        if facility == SICK:
            raise SnapshotError(f"state of {facility}: a snapshot may not hold as much")
        return super().snapshot(partition, facility)


LOG = alarming()
MINE = [record.offset for record in LOG if record.facility == SICK]
KILLER, AT, LATER = MINE[8], MINE[25], MINE[28]


async def just_released(broker: MemoryBroker) -> Tenure:
    """Return the owner of a partition whose facility was quarantined for hours and has just been released."""
    first = await owner(broker, None, LOG)
    feed(first, LOG, KILLER)
    await settle(first)
    await first.close()
    second = await owner(broker, KILLER, LOG)
    feed(second, LOG, AT)
    await settle(second)
    await second.close()  # hours later: where a start reads from has long left the quarantine's beginning behind
    third = await owner(broker, None, LOG)
    standing = third.ward.quarantined[SICK]
    snapshot = third.ward.snapshots.get(SICK)
    await release(third, standing, snapshot, Crumbs(None, 1), read(LOG[:AT], standing.begin, 10))
    assert not third.ward.quarantined
    await settle(third)
    feed(third, LOG, LATER)
    await settle(third)
    return third


async def goes_on(broker: MemoryBroker) -> Tenure:
    """Start, fold the rest, and see that everything is as the log says."""
    heir = await tenure_of(broker, Engine(BUNDLE), bounds=(0, len(LOG)), history=MemoryHistory(LOG))
    feed(heir, LOG, len(LOG))
    await rebuilt(heir)
    await settle(heir)
    whole = Engine(BUNDLE)
    expected = offline([*LOG], whole)
    assert {name: heir.fold.snapshot(0, name) for name in (SICK, WELL)} == {
        name: whole.snapshot(0, name) for name in (SICK, WELL)
    }
    judge(published(broker), expected)
    return heir


def of_marker(broker: MemoryBroker) -> dict[str, int]:
    marker = broker.state(SETTINGS.state_topic).marker
    assert marker is not None
    return decode_marker(marker, 0).rebuilding


async def test_a_stop_without_time_writes_what_was_released_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker()
    tenure = await just_released(broker)
    monkeypatch.setattr(tenure_module, "STOP_SHARE", 0.0)
    await tenure.close()
    assert tenure._state.written == 1  # and not that of the other
    assert of_marker(broker) == {}
    await (await goes_on(broker)).close()


@pytest.mark.parametrize("graceful", [True, False])
async def test_what_was_released_and_cannot_be_written_is_folded_anew(graceful: bool) -> None:
    broker = MemoryBroker()
    tenure = await just_released(broker)
    tenure.fold.__class__ = Unwritable
    await checkpoint(tenure)
    assert of_marker(broker) == {SICK: LATER}
    feed(tenure, LOG, LATER + 2)
    await checkpoint(tenure)  # it is tried again, and said again
    assert of_marker(broker) == {SICK: LATER + 2}
    await (tenure.close() if graceful else crash(tenure))
    assert not broker.state(SETTINGS.state_topic).notes.keys() - {"watch-p0"}
    heir = await goes_on(broker)
    await checkpoint(heir)
    assert of_marker(broker) == {}
    await heir.close()
    await (await goes_on(broker)).close()


async def test_what_was_folded_anew_and_cannot_be_written_is_folded_anew_again() -> None:
    """Its older snapshot, broken when the worker looked, may be good for the next one: it is of another time."""
    broker = MemoryBroker()
    first = await tenure_of(broker, Engine(BUNDLE))
    feed(first, LOG, KILLER)
    await settle(first)
    await first.close()
    whole = dict(broker.state(SETTINGS.state_topic)._parts)
    rows = list(broker.rows[SETTINGS.state_topic])
    broken = sorted(whole).index(SICK)
    spoil(broker, next(how for how in range(100) if how % 2 == broken and how % 3 == 1))
    second = await tenure_of(broker, Unwritable(BUNDLE), bounds=(0, len(LOG)), history=MemoryHistory(LOG))
    feed(second, LOG, AT)
    await rebuilt(second)
    await checkpoint(second)
    assert of_marker(broker) == {SICK: AT}
    await crash(second)
    good = next(row for row in rows if row[0] == SICK.encode())
    broker.rows[SETTINGS.state_topic].append(good)  # as after a roll back and forward
    await (await goes_on(broker)).close()
