"""What custody folds and what it leaves: only the next offset of a partition that is ours."""

# Above 400 lines on purpose: the stubs of a partition's life are shared by all that custody decides.

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from aiokafka.errors import IllegalStateError
from aiokafka.partitioner import DefaultPartitioner

from rules.engine import PartitionState
from rules.errors import ContractError, PartMissingError
from rules.records import RegisterRecord, Rejected, Tick
from streams import custody as module
from streams.checkpoint import LogLostError, StateRows
from streams.codec import encode, home_of
from streams.custody import Custody
from streams.history import HistoryLostError
from streams.quarantine import Quarantine, Suspect, Ward, Watch, encode_note, place_of
from streams.sensor import Sensor
from streams.settings import KafkaSettings
from streams.worker_settings import WorkerSettings
from tests.coldlog import cold_store
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rules.records import LogRecord


class HaltedError(Exception):
    pass


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise HaltedError(reason) from error


@dataclass
class Raw:
    """A record as it was fetched; its content does not matter here."""

    offset: int
    partition: int = 0
    timestamp: int = 1_767_225_600_000
    key: bytes | None = b"FAC-0"
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class StubTenure:
    """A tenure that only counts."""

    partition: int = 0
    next: int = 0
    stamp: int = 0
    sought: int = -1
    accepts: bool = True
    fed: list[int] = field(default_factory=list)
    closed: bool = False
    last_received: int = 0
    published: int = 0
    held: bool = False
    ward: Ward = field(default_factory=lambda: Ward(0, Watch(partition=0)))
    told: list[str] = field(default_factory=list)
    back: bool = False

    def feed(self, record: Any, size: int = 0) -> None:
        assert size >= 0
        self.fed.append(record.offset)
        self.pass_over(record.offset, record.received)

    def pass_over(self, offset: int, received: int) -> None:
        self.next = offset + 1
        self.last_received = max(self.last_received, received)

    def went_back(self, _: int) -> bool:
        before, self.back = self.back, True
        return not before

    def tell_clock(self, notice: Any) -> None:
        self.told.append(notice.state)

    async def close(self) -> None:
        self.accepts, self.closed = False, True


@dataclass
class Seeks:
    asked: list[dict[int, int]] = field(default_factory=list)
    fails: bool = False

    async def __call__(self, positions: Mapping[int, int]) -> None:
        self.asked.append(dict(positions))
        if self.fails:
            raise IllegalStateError("not assigned")


def owning(next_offset: int = 0, **changes: Any) -> tuple[Custody, StubTenure, Seeks]:
    custody = Custody(ToyFold(), WorkerSettings(**{"placed": False, **changes}), Sensor(), halt)
    tenure, seeks = StubTenure(next=next_offset), Seeks()
    custody.want([0])
    custody.tenures[0] = tenure  # type: ignore[assignment]
    custody.seek = seeks
    return custody, tenure, seeks


def run_of(*offsets: int) -> list[Raw]:
    return [Raw(offset) for offset in offsets]


def bounds_of(begin: int, end: int) -> Callable[..., Any]:
    async def answer(*_: object) -> dict[int, tuple[int, int]]:
        await asyncio.sleep(0)
        return {0: (begin, end)}

    return answer


def first_of(offset: int | None) -> Callable[..., Any]:
    """What another consumer finds first among the missing ones."""

    async def answer(*_: object) -> int | None:
        await asyncio.sleep(0)
        return offset

    return answer


async def test_records_are_folded_in_order_and_only_once() -> None:
    custody, tenure, _ = owning()
    await custody.take(0, run_of(0, 1, 2), 0)
    await custody.take(0, run_of(1, 2, 3), 0)
    assert tenure.fed == [0, 1, 2, 3]


async def test_records_of_a_partition_that_is_not_ours_are_left() -> None:
    custody, tenure, _ = owning()
    await custody.take(1, run_of(0, 1), 0)
    tenure.accepts = False
    await custody.take(0, run_of(0, 1), 0)
    assert tenure.fed == []
    assert custody._sensor.drops.labels("early")._value.get() == 2


async def test_what_was_fetched_before_the_seek_and_lies_ahead_is_left() -> None:
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(9, 10), custody.stamp - 1)
    assert (tenure.fed, seeks.asked) == ([], [])
    await custody.take(0, run_of(5, 6), custody.stamp - 1)
    assert tenure.fed == [5, 6], "what stands at an offset never changes, whichever fetch it came with"


async def test_missing_records_are_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", first_of(5))
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(9, 10), custody.stamp)
    assert (tenure.fed, seeks.asked) == ([], [{0: 5}])
    await custody.take(0, run_of(11), custody.stamp - 1)
    await custody.take(0, run_of(5, 6, 7, 8, 9), custody.stamp)
    assert tenure.fed == [5, 6, 7, 8, 9]
    assert len(seeks.asked) == 1


async def test_a_seek_that_fails_in_a_rebalance_leaves_the_records_for_later() -> None:
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    seeks.fails = True
    await custody.take(0, run_of(9), custody.stamp)
    await custody.take(0, run_of(10), custody.stamp)
    assert (tenure.fed, seeks.asked) == ([], [{0: 5}]), "nothing is skipped before the partition is positioned again"
    custody.positioned([0])
    await custody.take(0, run_of(5), custody.stamp)
    assert tenure.fed == [5]


async def test_a_hole_in_the_log_itself_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", first_of(None))
    custody, tenure, _ = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(7), custody.stamp)
    assert tenure.fed == []
    await custody.take(0, run_of(7, 8), custody.stamp)
    assert tenure.fed == [7, 8]


async def test_records_that_go_missing_again_and_again_are_never_taken_for_a_hole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", first_of(5))
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    for lost in range(1, 5):
        await custody.take(0, run_of(7, 8), custody.stamp)
        assert (tenure.fed, tenure.next, len(seeks.asked)) == ([], 5, lost), "it is sent back each time"
    await custody.take(0, run_of(5, 6, 7, 8), custody.stamp)
    assert tenure.fed == [5, 6, 7, 8]


async def test_a_hole_is_passed_by_a_fetch_that_began_before_the_seek_and_was_served_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has taken the consumer behind these records: they come with no other fetch."""
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", first_of(None))
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    began = custody.stamp
    await custody.take(0, run_of(7), began)
    await custody.take(0, run_of(7, 8), began)
    assert (tenure.fed, len(seeks.asked)) == ([7, 8], 1)


async def test_a_fetch_from_before_the_seek_is_no_reason_to_seek_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", first_of(5))
    custody, tenure, seeks = owning(5)
    custody.positioned([0])
    began = custody.stamp
    await custody.take(0, run_of(7), began)
    await custody.take(0, run_of(9), began)
    assert (tenure.fed, len(seeks.asked)) == ([], 1)


async def test_what_retention_takes_while_it_is_looked_for_is_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> int | None:
        raise LookupError

    monkeypatch.setattr(module, "log_bounds", bounds_of(0, 100))
    monkeypatch.setattr(module, "first_at", gone)
    custody, tenure, _ = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(7), custody.stamp)
    await custody.take(0, run_of(7), custody.stamp)
    assert (tenure.fed, tenure.next) == ([], 5)


async def test_records_that_retention_took_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "log_bounds", bounds_of(7, 100))
    monkeypatch.setattr(module, "first_at", first_of(None))
    custody, tenure, _ = owning(5)
    custody.positioned([0])
    await custody.take(0, run_of(7), custody.stamp)
    with pytest.raises(HaltedError) as caught:
        await custody.take(0, run_of(7, 8), custody.stamp)
    assert isinstance(caught.value.__cause__, LogLostError)
    assert tenure.fed == []


async def test_a_long_chunk_leaves_the_event_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELD_S", 0.0)
    custody, tenure, _ = owning()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while len(tenure.fed) < 50:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(custody.take(0, run_of(*range(50)), 0), other())
    assert turns > 40


async def test_a_partition_revoked_in_the_middle_of_a_chunk_gets_no_more() -> None:
    custody, tenure, _ = owning(hold_rows=1)
    custody._ledger._room.clear()

    async def revoke() -> None:
        await asyncio.sleep(0)
        await custody.release()
        custody._ledger._room.set()

    await asyncio.gather(custody.take(0, run_of(0, 1, 2), 0), revoke())
    assert tenure.fed == [0], "the chunk went on behind the final checkpoint"
    assert tenure.closed


async def test_release_forgets_everything_and_is_idempotent() -> None:
    custody, tenure, _ = owning()
    await custody.release()
    await custody.release()
    assert tenure.closed
    assert (custody.tenures, custody.wanted) == ({}, frozenset())


async def test_nothing_is_restored_that_is_not_wanted() -> None:
    custody, _, _ = owning()
    await custody.release()
    with pytest.raises(IllegalStateError):
        await custody.establish({0: None})


async def test_what_is_owned_is_not_restored_again() -> None:
    custody, tenure, _ = owning(41)
    assert await custody.establish({0: 7}) == {0: 41}
    assert tenure.next == 41


async def test_what_cannot_be_restored_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = Custody(ToyFold(), WorkerSettings(), Sensor(), halt)
    custody.want([0, 1])

    def broken(_: int) -> Any:
        raise OSError("no such broker")

    monkeypatch.setattr(custody, "_tenure", broken)
    with pytest.raises(HaltedError, match=r"cannot restore partitions \[0, 1\]"):
        await custody.establish({})


async def test_a_release_ends_a_restore_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    custody = Custody(ToyFold(), WorkerSettings(), Sensor(), halt)
    begun = asyncio.Event()

    class Slow(StubTenure):
        async def fence(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    slow = Slow()
    monkeypatch.setattr(custody, "_tenure", lambda _: slow)
    custody.want([0])
    waiting = asyncio.create_task(custody.establish({}))
    await begun.wait()
    assert custody.restoring_since is not None
    await custody.release()
    # What Faust's recovery takes as another rebalance; a cancellation would end it for ever.
    with pytest.raises(IllegalStateError, match="revoked while they were restored"):
        await waiting
    assert slow.closed
    assert custody.restoring_since is None


async def test_records_of_a_quarantined_facility_are_left_undecoded_and_those_of_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    custody, tenure, _ = owning()
    tenure.ward.quarantined["FAC-0"] = Quarantine(
        facility="FAC-0", partition=0, begin=0, base=PartitionState(), offset=0, deaths=3, since=0
    )
    decoded: list[int] = []
    whole = module.decode

    def decode(partition: int, offset: int, *rest: Any, of_lots: bool) -> Any:
        decoded.append(offset)
        return whole(partition, offset, *rest, of_lots=of_lots)

    monkeypatch.setattr(module, "decode", decode)
    await custody.take(0, [Raw(0), Raw(1, key=b"FAC-1"), Raw(2), Raw(3, key=b"")], 0)
    assert (decoded, tenure.fed, tenure.next) == ([1, 3], [1, 3], 4)
    assert tenure.ward.kept == {"FAC-0": 2}


def crumb(custody: Custody) -> int:
    """Return the offset that a death now would be told of, -1 for none."""
    return int.from_bytes(custody.crumbs._slots[8:16], "little", signed=True) - 1


async def test_whatever_waits_is_no_suspect_and_what_is_folded_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELD_S", 0.0)
    custody, tenure, _ = owning()
    inside: list[int] = []
    outside: set[int] = set()
    feed = tenure.feed

    def watched(record: Any, size: int) -> None:
        inside.append(crumb(custody))
        feed(record, size)

    monkeypatch.setattr(tenure, "feed", watched)

    async def look() -> None:
        while len(inside) < 4:
            await asyncio.sleep(0)
            outside.add(crumb(custody))

    await asyncio.gather(custody.take(0, run_of(0, 1, 2, 3), 0), look())
    assert inside == [0, 1, 2, 3]
    assert outside == {-1}
    custody.positioned([0])
    await custody.take(0, run_of(4, 9), custody.stamp)
    assert (tenure.next, crumb(custody)) == (5, -1), "it seeks, and that waits"


NOW = 1_767_225_600_000
HOUR = 3_600_000


def ticked(offset: int, received: int, now: int, by: str = "gw-1", role: str = "gateway") -> Raw:
    headers, value = encode(Tick(by=by, role=role, now=now))  # type: ignore[arg-type]
    return Raw(offset, timestamp=received, key=b"", value=value, headers=tuple(headers))


async def test_a_partition_waits_where_the_brokers_clock_runs_ahead_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = NOW
    monkeypatch.setattr(module, "_wall_ms", lambda: own)
    custody, tenure, seeks = owning()
    custody.guard._own_ms = lambda: own
    jumped = [Raw(2, timestamp=NOW + HOUR), Raw(3, timestamp=NOW + HOUR + 1), Raw(4, timestamp=NOW + 2)]
    await custody.take(0, [Raw(0), Raw(1, timestamp=NOW + 1), *jumped], 0)
    assert (tenure.fed, tenure.held, tenure.told) == ([0, 1], True, ["held"])
    assert crumb(custody) == -1
    await custody.take(0, jumped, 0)
    await custody.take(0, [Raw(5, timestamp=NOW + 3)], 0)
    assert (tenure.fed, seeks.asked) == ([0, 1], [])
    own = NOW + HOUR - 30_000
    await custody.take(0, [Raw(6, timestamp=own)], 0)
    assert (tenure.held, seeks.asked, tenure.told) == (False, [{0: 2}], ["held", "reached"])
    await custody.take(0, [*jumped, Raw(5, timestamp=NOW + 3), Raw(6, timestamp=own)], custody.stamp)
    assert tenure.fed == [0, 1, 2, 3, 4, 5, 6]
    assert tenure.told == ["held", "reached", "back"]


async def test_other_partitions_go_on_while_one_waits() -> None:
    custody, tenure, _ = owning()
    custody.guard._own_ms = lambda: NOW
    other = StubTenure(partition=1)
    custody.want([0, 1])
    custody.tenures[1] = other  # type: ignore[assignment]
    await custody.take(0, [Raw(0), Raw(1, timestamp=NOW + HOUR)], 0)
    await custody.take(1, [Raw(0, partition=1), Raw(1, partition=1)], 0)
    assert (tenure.fed, other.fed) == ([0], [0, 1])


async def test_a_revoked_partition_waits_for_nothing() -> None:
    custody, _, _ = owning()
    custody.guard._own_ms = lambda: NOW
    await custody.take(0, [Raw(0), Raw(1, timestamp=NOW + HOUR)], 0)
    assert custody.guard.holds
    await custody.release()
    assert not custody.guard.holds


async def test_a_gateways_tick_that_says_the_same_lets_the_partition_go_on() -> None:
    custody, tenure, seeks = owning()
    custody.guard._own_ms = lambda: NOW
    later = NOW + HOUR
    await custody.take(0, [Raw(0), Raw(1, timestamp=later)], 0)
    await custody.take(
        0, [ticked(2, later + 1_000, NOW + 1_000), ticked(3, later + 2_000, later, custody.settings.instance)], 0
    )
    assert tenure.held, "the gateway disagrees, and its own tick is no second source"
    await custody.take(0, [ticked(4, later + 3_000, later + 2_000)], 0)
    assert (tenure.held, seeks.asked, tenure.told) == (False, [{0: 1}], ["held", "agreed"])


async def test_a_record_whose_key_belongs_into_another_partition_is_rejected_and_the_log_goes_on() -> None:
    custody, tenure, _ = owning(placed=True, kafka=KafkaSettings(partitions=8))
    fed: list[Any] = []
    keep = tenure.feed
    tenure.feed = lambda record, size: (fed.append(record), keep(record, size))[1]  # type: ignore[method-assign]
    headers, value = encode(RegisterRecord(version=1, facility=cold_store("BJ-TWO")))
    strange = [Raw(n, key=key, headers=tuple(headers), value=value) for n, key in enumerate([b"BJ-TWO"])]
    headers, value = encode(RegisterRecord(version=1, facility=cold_store("BJ-ONE")))
    strange.append(Raw(1, key=b"BJ-ONE", headers=tuple(headers), value=value))
    headers, value = encode(Tick(by="gw-1", role="gateway", now=0))
    strange.append(Raw(2, key=b"BJ-ONE", headers=tuple(headers), value=value))
    await custody.take(0, strange, 0)
    assert [getattr(record, "code", "folded") for record in fed] == ["folded", "misplaced", "folded"]
    assert (fed[1].facility, fed[1].detail) == ("BJ-ONE", "a record of BJ-ONE belongs into partition 1")
    assert fed[1].sample
    assert tenure.next == 3


def test_records_must_stand_where_kafkas_partitioner_puts_their_key_unless_told_otherwise() -> None:
    assert WorkerSettings().placed
    keys = [f"BJ-{n}".encode() for n in range(50)]
    chosen = [DefaultPartitioner()(key, list(range(48)), list(range(48))) for key in keys]
    assert [home_of(key.decode(), 48) for key in keys] == chosen


async def test_a_death_while_a_facility_is_folded_anew_is_counted_beside_one_of_the_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    custody, tenure, _ = owning()
    custody.crumbs.found = {custody._slot(0): 3, 0: 7}

    async def no_record(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(module, "record_at", no_record)
    assert await custody._suspect(tenure, StateRows(0), (0, 9)) is None  # type: ignore[arg-type]
    assert tenure.ward.watch.deaths == {3: 1, 7: 1}


@dataclass
class Past:
    """Log and archive, where they hold what is asked for."""

    held: list[LogRecord | Rejected]
    asked: list[Any] = field(default_factory=list)

    def records(
        self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
    ) -> Iterator[LogRecord | Rejected]:
        self.asked.append((partition, facilities, begin, end))
        if not self.held:
            raise HistoryLostError("no archive is at hand")
        yield from self.held


@pytest.mark.parametrize("slot", ["partition", "beside"])
@pytest.mark.parametrize("kind", [b"tick", b"packs", b"readings"])
async def test_a_death_in_a_record_of_all_is_that_of_whom_it_was_folded_for(
    slot: str, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    custody, tenure, _ = owning()
    place = 0 if slot == "partition" else custody._slot(0)
    custody.crumbs.found, custody.crumbs.stepped = {place: 3}, {place: "FAC-1"}

    async def record_at(*_: Any) -> Raw:
        await asyncio.sleep(0)
        return Raw(3, key=b"FAC-0", headers=(("kind", kind),))

    monkeypatch.setattr(module, "record_at", record_at)
    notes: dict[str, bytes] = {}
    suspects = []
    for _ in range(3):
        suspects.append(await custody._suspect(tenure, StateRows(0, notes=notes), (0, 9)))  # type: ignore[arg-type]
        notes = {key.decode(): value for key, value in tenure.ward.take_due() if value is not None}
    assert [suspect and suspect.facility for suspect in suspects] == [
        None,
        None,
        "FAC-0" if kind == b"readings" else "FAC-1",
    ]
    assert tenure.ward.watch.deaths == {place_of(3, "FAC-1"): 3}


async def test_a_record_of_all_that_killed_for_nobody_is_the_suspect_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    custody, tenure, _ = owning()
    custody.crumbs.found = {0: 3}

    async def record_at(*_: Any) -> Raw:
        await asyncio.sleep(0)
        return Raw(3, key=b"", headers=(("kind", b"tick"),))

    monkeypatch.setattr(module, "record_at", record_at)
    notes = {"watch-p0": encode_note(Watch(partition=0, deaths={3: 2, place_of(3, "FAC-1"): 2}))}
    suspect = await custody._suspect(tenure, StateRows(0, notes=notes), (0, 9))  # type: ignore[arg-type]
    assert suspect is not None
    assert suspect.facility == ""


@pytest.mark.parametrize(("error", "offset"), [(ContractError, -1), (PartMissingError, 1), (RuntimeError, 1)])
async def test_a_refusal_for_good_is_no_death_and_whatever_else_leaves_the_fold_is(
    error: type[Exception], offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    custody, tenure, _ = owning()

    def feed(record: Any, _: int) -> None:
        if record.offset == 1:
            raise error("packs of another engine")
        tenure.next = record.offset + 1

    monkeypatch.setattr(tenure, "feed", feed)
    with pytest.raises(error):
        await custody.take(0, run_of(0, 1, 2), 0)
    assert crumb(custody) == offset


@pytest.mark.parametrize("slot", ["partition", "beside"])
@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not-archived"])
async def test_a_record_that_kills_out_of_the_archive_is_found_out_there(slot: str, archived: bool) -> None:
    custody, tenure, _ = owning()
    place = 0 if slot == "partition" else custody._slot(0)
    past = Past([Rejected(0, 3, 1, "FAC-0", "undecodable", "", b"")] if archived else [])
    custody.crumbs.found, custody._history = {place: 3}, past
    notes: dict[str, bytes] = {}
    for deaths in (1, 2, 3):
        suspect = await custody._suspect(tenure, StateRows(0, notes=notes), (5, 9))  # type: ignore[arg-type]
        assert suspect == (Suspect(3, 1, "FAC-0") if deaths == 3 and archived else None)
        assert tenure.ward.watch.deaths == {3: deaths}
        notes = {key.decode(): value for key, value in tenure.ward.take_due() if value is not None}
    assert past.asked == [(0, None, 3, 4)]


async def test_a_crumb_behind_the_end_of_the_log_is_of_another_log() -> None:
    custody, tenure, _ = owning()
    custody.crumbs.found = {0: 9}
    assert await custody._suspect(tenure, StateRows(0), (5, 9)) is None  # type: ignore[arg-type]
    assert tenure.ward.watch.deaths == {}


@dataclass
class Notes:
    """The notes of a tenure: each writing lasts until it is let go, or fails."""

    partition: int = 0
    written: int = 0
    fails: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def write_notes(self) -> None:
        self.begun.set()
        await self.go.wait()
        if self.fails:
            raise HaltedError("fenced")
        self.written += 1


async def test_a_death_is_forgotten_only_when_its_note_is_written() -> None:
    custody, _, _ = owning()
    custody.crumbs.found = {custody._slot(0): 3, 0: 7, 1: 9}
    notes = Notes()
    noted = asyncio.ensure_future(custody._noted(notes))  # type: ignore[arg-type]
    await notes.begun.wait()
    assert custody.crumbs.found == {custody._slot(0): 3, 0: 7, 1: 9}
    notes.go.set()
    await noted
    assert (custody.crumbs.found, notes.written) == ({1: 9}, 1)


async def test_a_restore_cancelled_while_notes_are_written_waits_and_counts_the_death_once() -> None:
    custody, _, _ = owning()
    custody.crumbs.found = {0: 7}
    notes = Notes()
    noted = asyncio.ensure_future(custody._noted(notes))  # type: ignore[arg-type]
    await notes.begun.wait()
    noted.cancel()
    await asyncio.sleep(0)
    assert not noted.done(), "whether it was written is not known yet"
    notes.go.set()
    with pytest.raises(asyncio.CancelledError):
        await noted
    assert (custody.crumbs.found, notes.written) == ({}, 1)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_note_that_was_not_written_leaves_the_death_to_the_next_restore(cancelled: bool) -> None:
    custody, _, _ = owning()
    custody.crumbs.found = {0: 7}
    notes = Notes(fails=True)
    noted = asyncio.ensure_future(custody._noted(notes))  # type: ignore[arg-type]
    await notes.begun.wait()
    if cancelled:
        noted.cancel()
        await asyncio.sleep(0)
    notes.go.set()
    with pytest.raises(asyncio.CancelledError if cancelled else HaltedError):
        await noted
    assert custody.crumbs.found == {0: 7}


async def test_a_restore_that_ends_before_its_notes_leaves_the_death_to_the_next() -> None:
    custody, tenure, _ = owning()
    custody.crumbs.found = {0: 7}
    for _ in range(2):  # each restore begins with the notes as they were written
        assert await custody._suspect(tenure, StateRows(0), (0, 9)) is None  # type: ignore[arg-type]
        assert tenure.ward.watch.deaths == {7: 1}
    assert custody.crumbs.found == {0: 7}


async def test_what_a_start_folds_again_neither_waits_for_a_clock_nor_tells_of_it_again() -> None:
    custody, tenure, _ = owning()
    custody.guard._own_ms = lambda: NOW
    tenure.published = 3
    await custody.take(0, [Raw(0), Raw(1, timestamp=NOW + HOUR), Raw(2, timestamp=NOW)], 0)
    assert (tenure.fed, tenure.held, tenure.told) == ([0, 1, 2], False, [])
    await custody.take(0, [Raw(3, timestamp=NOW + 3 * HOUR)], 0)
    assert (tenure.held, tenure.told) == (True, ["held"])
