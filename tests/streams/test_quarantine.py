"""A record that ends its worker three times puts its facility into quarantine; released, it is as if nothing had been."""

# Above 400 lines on purpose: the life of one quarantine, from the first death to the release, reads from top to bottom.

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine, PartitionState
from rules.records import Kind, LogRecord, RegisterRecord, Rejected, Tick
from rules.snapshot import SnapshotError
from streams.admission import admit, snapshots_of
from streams.checkpoint import Origin, StateRows, decode_marker, encode_marker, marker_key
from streams.codec import encode, home_of, key_of, placed
from streams.crumbs import Crumbs
from streams.history import HistoryLostError, concerns
from streams.ledger import Ledger
from streams.quarantine import (
    ASTRAY,
    DEATHS,
    NOTE_KEY,
    NoteError,
    Quarantine,
    Release,
    Suspect,
    Ward,
    Watch,
    decode_note,
    encode_note,
    offset_of,
    place_of,
    suspect_in,
    suspect_of,
)
from streams.rejected import QuarantineNotice, UnreadRecord, read_rejected
from streams.release import kept_from, release
from streams.restore import Start, restore_partition
from streams.sensor import Sensor
from streams.tenure import Tenure
from tests.rules import logs
from tests.streams.lab import judge, offline
from tests.streams.test_tenure import (
    BUNDLE,
    SETTINGS,
    Halts,
    MemoryBroker,
    MemoryProducer,
    checkpoint,
    crash,
    published,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from streams.fold import Fold

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
BASE = PartitionState(next_offset=5, clock=1_767_225_600_000)
SUSPECT = Suspect(17, 1_767_225_600_000, "FAC-0")
SICK, WELL = "SICK-0001", "WELL-0001"


def empty(notes: dict[str, bytes] | None = None, low: int = 0) -> Ward:
    return Ward.of(3, notes or {}, low)


def written(ward: Ward, before: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """What the topic holds once the due rows are written."""
    rows = dict(before or {})
    for key, value in ward.take_due():
        if value is None:
            rows.pop(key.decode(), None)
        else:
            rows[key.decode()] = value
    return rows


def sick() -> tuple[Ward, dict[str, bytes]]:
    """A ward with one facility in quarantine, and its rows."""
    notes: dict[str, bytes] = {}
    for _ in range(DEATHS):
        ward = empty(notes)
        often = ward.died(17)
        notes = written(ward, notes)
    assert often
    assert ward.admit(SUSPECT, 5, BASE) is None
    return ward, written(ward, notes)


def test_the_third_death_at_one_record_is_enough_and_deaths_elsewhere_are_not() -> None:
    notes: dict[str, bytes] = {}
    for offset, enough in ((17, False), (17, False), (16, False), (18, False), (17, True)):
        ward = empty(notes)
        assert ward.died(offset) is enough
        notes = written(ward, notes)


def test_deaths_at_records_that_the_log_has_dropped_count_on() -> None:
    ward = empty()
    ward.died(17)
    ward.died(17)
    later = empty(written(ward), low=18)
    assert later.died(17), "it killed out of the archive"


def test_only_the_newest_deaths_are_remembered_and_the_last_one() -> None:
    ward = empty()
    for offset in range(1_000):
        ward.died(offset)
    assert min(ward.watch.deaths) == 900
    assert [ward.died(17) for _ in range(DEATHS)] == [False, False, True]
    assert (len(ward.watch.deaths), sorted(ward.watch.deaths)[1]) == (100, 901)


def test_deaths_in_a_record_of_all_are_counted_for_whom_it_was_folded() -> None:
    ward = empty()
    deaths = ["FAC-0", "FAC-0", "FAC-1", "", "FAC-0", "FAC-1", "FAC-1"]
    assert [ward.died(17, facility) for facility in deaths] == [False, False, False, False, True, False, True]
    assert [ward.often_at(17, facility) for facility in ("FAC-0", "FAC-1", "FAC-2", "")] == [True, True, False, False]
    assert not ward.often_at(18, "FAC-0")
    heir = empty(written(ward))
    assert heir.watch.deaths == {place_of(17): 1, place_of(17, "FAC-0"): 3, place_of(17, "FAC-1"): 3}
    assert heir.died(17, "FAC-0"), "one is enough now"


def test_a_record_of_all_that_kills_at_one_and_another_is_taken_for_what_kills() -> None:
    """Memory that runs out does so at anybody."""
    ward = empty()
    who = [f"FAC-{n}" for n in range(ASTRAY)]
    assert [ward.died(17, facility) for facility in who] == [False] * (ASTRAY - 1) + [True]
    assert not any(ward.often_at(17, facility) for facility in who)
    rejected = ward.admit(Suspect(17, 1, ""), 5, BASE)
    assert rejected is not None
    assert f"{ASTRAY} times" in rejected.detail


def test_facilities_that_kill_one_after_the_other_are_never_taken_for_the_record() -> None:
    ward = empty()
    for n in range(30):
        assert [ward.died(17, f"FAC-{n}") for _ in range(DEATHS)] == [False, False, True]
        assert ward.often_at(17, f"FAC-{n}")


@given(st.integers(0, (1 << 63) - 1), st.from_regex(r"[A-Z0-9][A-Z0-9-]{1,31}", fullmatch=True))
def test_a_place_is_a_number_that_its_row_gives_back(offset: int, facility: str) -> None:
    place = place_of(offset, facility)
    assert (place_of(offset), offset_of(place)) == (offset, offset)
    row = encode_note(Watch(partition=0, deaths={offset: 1, place: 2}))
    assert decode_note(Watch, row).deaths == {offset: 1, place: 2}


def test_of_places_the_newest_records_are_remembered() -> None:
    ward = empty()
    for offset in range(1_000):
        ward.died(offset, "FAC-0" if offset % 2 else "")
    assert sorted(offset_of(place) for place in ward.watch.deaths) == list(range(900, 1_000))


def test_what_was_passed_over_stays_so_out_of_the_archive_and_is_not_looked_for_in_the_log() -> None:
    ward = empty()
    assert ward.admit(Suspect(9, 1, ""), 5, BASE) is not None
    notes = written(ward)
    assert empty(notes, low=9).active
    heir = empty(notes, low=10)
    assert (heir.active, heir.watch.skipped) == (False, [9])


@pytest.mark.parametrize(
    ("record", "facility"),
    [
        (LogRecord(3, 9, 1, Kind.TICK, "FAC-0", Tick(by="t", role="worker", now=1)), ""),
        (
            LogRecord(
                3, 9, 1, Kind.REGISTER, "FAC-0", RegisterRecord(version=1, facility=logs.facility([("T0", "A1", 60)]))
            ),
            "FAC-0",
        ),
        (Rejected(3, 9, 1, "FAC-0", "undecodable", "", b""), "FAC-0"),
        (Rejected(3, 9, 1, "no such id", "undecodable", "", b""), ""),
    ],
)
def test_whose_a_record_out_of_the_archive_is(record: LogRecord | Rejected, facility: str) -> None:
    assert suspect_in(record) == Suspect(9, 1, facility)


def test_whoever_owns_the_partition_next_honours_the_quarantine() -> None:
    _, notes = sick()
    heir = empty(notes)
    assert heir.active
    assert heir.keeps(30, b"FAC-0", [("kind", b"readings")])
    assert not heir.keeps(31, b"FAC-1", [("kind", b"readings")])
    assert not heir.keeps(32, b"FAC-0", [("kind", b"tick")]), "ticks belong to all, whatever their key"
    assert heir.kept == {"FAC-0": 1}
    standing = heir.quarantined["FAC-0"]
    assert (standing.begin, standing.offset, standing.deaths, standing.base) == (5, 17, 3, BASE)


def test_a_record_of_nobody_is_passed_over_and_kept_by_reference() -> None:
    ward = empty()
    rejected = ward.admit(Suspect(9, 1, ""), 5, BASE)
    assert rejected is not None
    assert (rejected.code, rejected.offset, ward.quarantined) == ("killed", 9, {})
    heir = empty(written(ward))
    assert heir.keeps(9, b"", [("kind", b"tick")])
    assert not heir.keeps(10, b"", [("kind", b"tick")])


@pytest.mark.parametrize(
    ("key", "kind", "facility"),
    [
        (b"FAC-0", b"report", "FAC-0"),
        (b"FAC-0", b"tick", ""),
        (b"", b"packs", ""),
        (None, None, ""),
        (b"\xff", b"x", ""),
    ],
)
def test_whose_a_record_is_is_told_by_key_and_kind_alone(key: bytes | None, kind: bytes | None, facility: str) -> None:
    assert suspect_of(1, 2, key, [("kind", kind)]).facility == facility


def test_a_wish_of_an_earlier_quarantine_releases_nothing() -> None:
    ward, notes = sick()
    old = Release(id="a", facility="FAC-0", offset=3, by="ops")
    assert not ward.wish(old)
    assert empty(notes | {"release-FAC-0": encode_note(old)}).released == {}
    assert not ward.wish(Release(id="b", facility="FAC-9", offset=17, by="ops"))


def test_a_record_that_kills_again_refuses_its_release_at_once() -> None:
    _, notes = sick()
    wish = Release(id="a", facility="FAC-0", offset=17, by="ops")
    ward = empty(notes | {"release-FAC-0": encode_note(wish)}, low=90)
    assert "FAC-0" in ward.released
    assert ward.died(17), "one death is enough now"
    ward.admit(SUSPECT, 90, BASE)
    assert (ward.released, ward.quarantined["FAC-0"].begin) == ({}, 5)
    assert [notice.state for notice in ward.notices] == ["refused"]
    assert not ward.wish(wish), "the row may still be there for a while"
    assert ward.wish(wish.model_copy(update={"id": "b"}))
    assert "release-FAC-0" not in written(ward, notes)


def test_a_wish_that_cannot_be_read_stops_nobody() -> None:
    _, notes = sick()
    ward = empty(notes | {"release-FAC-0": b"\xff", "release-FAC-1": b"{}"})
    assert set(ward.quarantined) == {"FAC-0"}
    assert ward.released == {}


def test_a_discharge_leaves_nothing_behind() -> None:
    ward, notes = sick()
    ward.wish(Release(id="a", facility="FAC-0", offset=17, by="ops"))
    ward.discharge("FAC-0")
    left = written(ward, notes | {"release-FAC-0": b"{}"})
    assert set(left) == {"watch-p3"}
    heir = empty(left)
    assert not heir.active
    assert heir.watch.deaths == {}


def test_a_discharge_settles_what_was_counted_for_the_facility_in_a_record_of_all() -> None:
    ward = empty()
    for facility in ("FAC-0",) * DEATHS + ("FAC-1",):
        ward.died(17, facility)
    assert ward.admit(SUSPECT, 5, BASE) is None
    assert ward.quarantined["FAC-0"].deaths == DEATHS
    ward.discharge("FAC-0")
    assert ward.watch.deaths == {place_of(17, "FAC-1"): 1}


def test_a_row_that_cannot_be_read_stops_the_owner() -> None:
    for key in ("quarantine-FAC-0", "watch-p3"):
        with pytest.raises(NoteError):
            empty({key: b"{}x"})
    with pytest.raises(NoteError):
        decode_note(Quarantine, b'{"surprise":1}')


def test_keys_of_notes_meet_no_other_key_of_the_topic() -> None:
    for key in ("watch-p0", "quarantine-FAC-0", "release-FAC-0"):
        assert NOTE_KEY.match(key)
    for key in ("p0", "FAC-0", "FAC-0#1", "packs-" + "0" * 64, "release-", "quarantine-fac", "watch-p"):
        assert not NOTE_KEY.match(key)


@dataclass
class Raw:
    """A record as aiokafka fetched it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def raw(record: LogRecord) -> Raw:
    headers, value = encode(record.payload)
    return Raw(record.partition, record.offset, record.received, key_of(record), value, headers)


def two_facilities(drawn: tuple[Any, Any], other: tuple[Any, Any]) -> list[LogRecord]:
    """One partition's log of a facility that will be sick and one that stays well; both see the ticks of both."""
    parts: list[tuple[int, Kind, str, Any]] = []
    for name, (entity, entries) in ((SICK, drawn), (WELL, other)):
        facts = entity.model_copy(update={"id": name})
        parts.append((logs.BEGIN, Kind.REGISTER, name, RegisterRecord(version=1, facility=facts)))
        for received, what in entries:
            if isinstance(what, str):
                parts.append((received, Kind.TICK, "", Tick(by="t", role=what, now=received)))  # type: ignore[arg-type]
            else:
                parts.append((received, Kind.READINGS, name, logs.readings(what, f"b{len(parts)}")))
    parts.sort(key=lambda part: part[0])
    return [LogRecord(0, i, *part) for i, part in enumerate(parts)]


async def owner(broker: MemoryBroker, suspect: int | None, log: list[LogRecord]) -> Tenure:
    """Open the partition as custody does."""
    fold: Fold = Engine(BUNDLE)
    tenure = Tenure(0, fold, SETTINGS, {}, Ledger(10_000, 100_000_000), Sensor(), Halts())
    await tenure._producer.stop()
    tenure._producer = MemoryProducer(broker)
    state = broker.state(SETTINGS.state_topic)
    ward = tenure.ward = Ward.of(0, state.notes, 0)
    away = {*ward.quarantined, *([log[suspect].facility] if suspect is not None else [])}
    start = await restore_partition(fold, state, broker.offset, (0, 1 << 40), without=away)
    if suspect is not None:
        place = Suspect(suspect, log[suspect].received, log[suspect].facility)
        admit(ward, place, fold, state, start)
    ward.snapshots = snapshots_of(ward, fold, state, start)
    await tenure.write_notes()
    tenure.begin(start)
    return tenure


def feed(tenure: Tenure, log: list[LogRecord], until: int) -> None:
    for record in log[tenure.next : until]:
        one = raw(record)
        if tenure.ward.active and tenure.ward.keeps(one.offset, one.key, one.headers):
            tenure.pass_over(one.offset, one.timestamp)
        else:
            tenure.feed(record)


async def read(log: list[LogRecord], begin: int, size: int) -> AsyncGenerator[list[Raw]]:
    for at in range(begin, len(log), size):
        await asyncio.sleep(0)
        yield [raw(record) for record in log[at : at + size]]
    while True:
        await asyncio.sleep(0)
        yield []


@given(logs.logs(), logs.logs(), st.data())
@QUICK
def test_released_from_quarantine_the_changes_are_those_of_one_run(drawn: Any, other: Any, data: st.DataObject) -> None:
    log = two_facilities(drawn, other)
    mine = [record.offset for record in log if record.facility == SICK]
    killer = data.draw(st.sampled_from(mine))
    held = data.draw(st.integers(0, killer))
    found = data.draw(st.integers(killer, len(log)))
    asked = data.draw(st.integers(found, len(log)))
    again = data.draw(st.booleans())
    size = data.draw(st.sampled_from([1, 3, 100]))
    expected = offline([*log], Engine(BUNDLE))

    async def scenario() -> MemoryBroker:
        broker = MemoryBroker()
        first = await owner(broker, None, log)
        feed(first, log, held)
        await settle(first)
        await checkpoint(first)
        feed(first, log, killer)
        await settle(first)
        await crash(first)
        second = await owner(broker, killer, log)
        feed(second, log, found)
        await settle(second)
        assert SICK not in second.fold.facilities(0)
        if again:
            await checkpoint(second)
        await crash(second)
        third = await owner(broker, None, log)
        assert set(third.ward.quarantined) == {SICK}
        feed(third, log, asked)
        third.ward.wish(Release(id="a", facility=SICK, offset=killer, by="ops"))
        standing = third.ward.quarantined[SICK]
        work = asyncio.create_task(
            release(third, standing, third.ward.snapshots.get(SICK), Crumbs(None, 1), read(log, standing.begin, size))
        )
        for until in range(third.next, len(log) + 1):
            await asyncio.sleep(0)
            feed(third, log, until)
        await work
        feed(third, log, len(log))
        await third.close()
        heir = await owner(broker, None, log)
        assert not heir.ward.active
        await heir.close()
        return broker

    broker = asyncio.run(scenario())
    judge(published(broker), expected)
    told = [read_rejected(value) for _, value, _ in broker.rows[SETTINGS.rejected_topic]]
    states = [notice.state for notice in told if isinstance(notice, QuarantineNotice)]
    assert states[0] == "held"
    assert states[-1] == "released"


async def test_a_quarantined_facility_leaves_the_others_as_they_are() -> None:
    rows = [logs.Row("T0", logs.BEGIN + i * 60_000, 9.0) for i in range(1, 9)]
    entity = logs.facility([("T0", "A1", 60)])
    entries = [(row.t, [row]) for row in rows]
    log = two_facilities((entity, entries), (entity, entries))
    broker = MemoryBroker()
    killer = next(record.offset for record in log if record.facility == SICK)
    tenure = await owner(broker, killer, log)
    feed(tenure, log, len(log))
    await tenure.close()
    streams = {json.loads(value)["stream"] for _, value, _ in broker.rows[SETTINGS.alarms_topic]}
    assert streams == {WELL}
    assert tenure.ward.kept == {SICK: len(entries) + 1}


async def test_a_release_is_written_down_also_where_nothing_else_happens() -> None:
    entity = logs.facility([("T0", "A1", 60)])
    log = two_facilities((entity, []), (entity, []))
    broker = MemoryBroker()
    tenure = await owner(broker, 0, log)
    feed(tenure, log, len(log))
    await settle(tenure)
    await checkpoint(tenure)
    standing = tenure.ward.quarantined[log[0].facility]
    await release(tenure, standing, None, Crumbs(None, 1), read(log, standing.begin, 10))
    await settle(tenure)
    await checkpoint(tenure)
    await crash(tenure)
    heir = await owner(broker, None, log)
    assert not heir.ward.quarantined
    feed(heir, log, len(log))
    assert heir.fold.facilities(0) == sorted({SICK, WELL})
    await heir.close()


def alarming() -> list[LogRecord]:
    """Two facilities whose store goes out of range again and again."""
    rows = [logs.Row("T0", logs.BEGIN + i * 60_000, 9.0 if i // 6 % 2 else 5.0) for i in range(1, 40)]
    entity = logs.facility([("T0", "A1", 60)])
    return two_facilities((entity, [(row.t, [row]) for row in rows]), (entity, [(row.t, [row]) for row in rows]))


async def released(tenure: Tenure, log: list[LogRecord], early: int) -> None:
    """Release SICK while the partition stands at its start, give it all time at `early`, and feed the rest."""
    standing = tenure.ward.quarantined[SICK]
    batches = read(log, standing.begin, 3)
    work = asyncio.create_task(release(tenure, standing, tenure.ward.snapshots.get(SICK), Crumbs(None, 1), batches))
    feed(tenure, log, early)
    await asyncio.wait([work], timeout=0.2)
    feed(tenure, log, len(log))
    await work
    await tenure.close()


async def test_a_release_while_the_log_is_folded_again_swallows_nothing() -> None:
    log, broker = alarming(), MemoryBroker()
    killer = next(record.offset for record in log if record.facility == SICK)
    first = await owner(broker, killer, log)
    feed(first, log, len(log))
    await settle(first)
    await checkpoint(first)
    await crash(first)
    again = await owner(broker, None, log)
    assert (again.next, again.published) == (0, len(log)), "no snapshot of the other was due"
    await released(again, log, len(log) // 2)
    judge(published(broker), offline([*log], Engine(BUNDLE)))


async def test_what_was_published_before_the_quarantine_is_not_published_again() -> None:
    log, broker = alarming(), MemoryBroker()
    killer = [record.offset for record in log if record.facility == SICK][-3]
    first = await owner(broker, None, log)
    feed(first, log, killer)
    await settle(first)
    await checkpoint(first)
    await crash(first)
    second = await owner(broker, killer, log)
    standing = second.ward.quarantined[SICK]
    assert (standing.begin, standing.published, standing.source) == (0, killer, "snapshot")
    await released(second, log, len(log))
    rows = [(row["stream"], row["seq"]) for row in published(broker)]
    assert len(rows) == len(set(rows)) > 4
    judge(published(broker), offline([*log], Engine(BUNDLE)))


@pytest.mark.parametrize("how", ["broken", "gone", "older than low"])
async def test_a_facility_without_a_good_snapshot_is_folded_from_the_beginning_when_it_is_released(how: str) -> None:
    log, broker = alarming(), MemoryBroker()
    half = len(log) // 2
    killer = next(record.offset for record in log[half:] if record.facility == SICK)
    first = await owner(broker, None, log)
    feed(first, log, half)
    await first.close()
    state = broker.rows[SETTINGS.state_topic]
    if how == "broken":
        state.append((SICK.encode(), b"broken", [("part", b"0/1")]))
    elif how == "gone":
        state[:] = [row for row in state if row[0] != SICK.encode()]
    else:
        marker = decode_marker(broker.state(SETTINGS.state_topic).marker or b"", 0)
        told = marker.model_copy(update={"rebuilding": {SICK: half}})
        state.append((marker_key(0), encode_marker(told), []))
    second = await owner(broker, killer, log)
    standing = second.ward.quarantined[SICK]
    assert (standing.begin, standing.published, standing.source) == (0, half, "origin")
    assert second._rebuild is None, "it is folded anew once it is released, and not before"
    await released(second, log, len(log))
    rows = [(row["stream"], row["seq"]) for row in published(broker)]
    assert len(rows) == len(set(rows)) > 4
    judge(published(broker), offline([*log], Engine(BUNDLE)))
    heir = await owner(broker, None, log)
    assert heir.fold.facilities(0) == sorted({SICK, WELL})
    await heir.close()


async def test_a_quarantine_of_records_that_stand_in_a_foreign_partition_invents_nothing_when_it_is_released() -> None:
    log, broker = alarming(), MemoryBroker()
    killer = next(record.offset for record in log if record.facility == SICK)
    tenure = await owner(broker, killer, log)
    partitions = next(count for count in range(2, 100) if home_of(SICK, count) != 0)
    standing, batches = tenure.ward.quarantined[SICK], read(log, 0, 3)

    def place(record: LogRecord | Rejected) -> LogRecord | Rejected:
        return placed(record, partitions)

    work = asyncio.create_task(release(tenure, standing, None, Crumbs(None, 1), batches, place))
    feed(tenure, log, len(log))
    await work
    await tenure.close()
    assert SICK not in tenure.ward.quarantined
    assert SICK not in tenure.fold.facilities(0)
    judge(published(broker), {WELL: offline([*log], Engine(BUNDLE))[WELL]})
    told = [read_rejected(value or b"") for _, value, _ in broker.rows[SETTINGS.rejected_topic]]
    misplaced = [entry.offset for entry in told if isinstance(entry, UnreadRecord) and entry.code == "misplaced"]
    assert misplaced == [record.offset for record in log if record.facility == SICK]


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "not-archived"])
async def test_what_retention_has_dropped_of_a_quarantined_facility_is_folded_out_of_the_archive(
    archived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, broker = alarming(), MemoryBroker()
    half = len(log) // 2
    killer = next(record.offset for record in log if record.facility == SICK)
    tenure = await owner(broker, killer, log)
    standing, asked = tenure.ward.quarantined[SICK], []
    monkeypatch.setattr("streams.release.BATCH", 3)

    class Past:
        def records(
            self, partition: int, facilities: frozenset[str] | None, begin: int, end: int
        ) -> Iterator[LogRecord | Rejected]:
            asked.append((partition, facilities, begin, end))
            if not archived:
                raise HistoryLostError("no archive is at hand")
            yield from (record for record in log[begin:end] if concerns(record, facilities))

    batches = kept_from(Past(), SICK, half, 0, standing.begin, lambda at: read(log, at, 3))
    work = asyncio.create_task(release(tenure, standing, None, Crumbs(None, 1), batches))
    feed(tenure, log, len(log))
    if archived:
        await work
    else:
        with pytest.raises(HistoryLostError):
            await work
        assert SICK in tenure.ward.quarantined
    assert asked == [(0, frozenset({SICK}), standing.begin, half)]
    await tenure.close()
    whole = offline([*log], Engine(BUNDLE))
    judge(published(broker), whole if archived else {WELL: whole[WELL]})


@pytest.mark.parametrize("how", ["broken", "a part is missing"])
async def test_a_snapshot_that_goes_bad_during_the_quarantine_does_not_hold_the_facility_for_ever(how: str) -> None:
    log, broker = alarming(), MemoryBroker()
    half = len(log) // 2
    killer = next(record.offset for record in log[half:] if record.facility == SICK)
    first = await owner(broker, None, log)
    feed(first, log, half)
    await first.close()
    second = await owner(broker, killer, log)
    assert second.ward.quarantined[SICK].source == "snapshot"
    feed(second, log, killer + 4)
    await second.close()
    header = b"0/1" if how == "broken" else b"0/2"
    broker.rows[SETTINGS.state_topic].append((SICK.encode(), b"broken", [("part", header)]))
    third = await owner(broker, None, log)
    standing = third.ward.quarantined[SICK]
    assert (standing.begin, standing.published, standing.source) == (0, half, "origin")
    await released(third, log, len(log))
    rows = [(row["stream"], row["seq"]) for row in published(broker)]
    assert len(rows) == len(set(rows)) > 4
    judge(published(broker), offline([*log], Engine(BUNDLE)))
    heir = await owner(broker, None, log)
    assert heir.fold.facilities(0) == sorted({SICK, WELL})
    await heir.close()


def test_behind_an_upgrade_a_facility_is_folded_on_with_the_clock_and_the_door_of_there() -> None:
    ward, rows = Ward(0, Watch(partition=0)), StateRows(0)
    there = PartitionState(next_offset=3, clock=1_767_225_600_000, last_gateway=1_767_225_590_000, packs=BUNDLE.sha256)
    origin = Origin(offset=3, packs=BUNDLE.sha256, state=there)
    start = Start(5, 9, BASE, marked=True, origin=origin, rebuilding={"FAC-0": 7})
    assert admit(ward, SUSPECT, Engine(BUNDLE), rows, start) is None
    standing = ward.quarantined["FAC-0"]
    assert (standing.begin, standing.published, standing.source, standing.base) == (3, 7, "origin", there)


async def test_a_facility_with_neither_snapshot_nor_beginning_is_not_folded_from_nothing() -> None:
    ward, rows = Ward(0, Watch(partition=0)), StateRows(0)
    start = Start(5, 9, BASE, marked=True, origin=None, rebuilding={"FAC-0": 7})
    assert admit(ward, SUSPECT, Engine(BUNDLE), rows, start) is None
    assert ward.quarantined["FAC-0"].source == "lost"
    assert snapshots_of(ward, Engine(BUNDLE), rows, start) == {"FAC-0": b""}
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, "FAC-0", b"")
