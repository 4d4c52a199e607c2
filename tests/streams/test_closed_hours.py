"""Hours and days that are over on the state topic: written once, named by the snapshot, missed where one is not there (ADR 0084)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.apart import Record, digest_of, joined, split
from rules.engine import Engine
from rules.records import Kind
from rules.snapshot import SnapshotError, open_snapshot, sealed
from streams.checkpoint import CLOSED_HEADER, StateLostError, StateRows, read_key
from streams.restore import Start, restore_partition
from streams.stateledger import StateLedger
from streams.statetail import SnapshotRow, StateTail
from streams.worker_settings import WorkerSettings
from tests.examples import examples
from tests.rules import claimlogs
from tests.rules.byhand import FACILITY, HandLog, sensor
from tests.rules.claimlogs import MONTH, SPAN, STORE
from tests.rules.test_claims_by_hand import BUNDLE, DAY, LIMITS, SCOPE
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from rules.pack import Bundle
    from rules.records import LogRecord

SETTINGS = WorkerSettings()
QUICK = settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@dataclass
class Site:
    """A fold, the ledger of its checkpoints, and the state topic as compaction leaves it."""

    bundle: Bundle = BUNDLE
    part_bytes: int = 900_000
    name: str = FACILITY
    topic: dict[bytes, tuple[bytes, list[tuple[str, bytes]]]] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    forgotten: list[str] = field(default_factory=list)
    bytes: Counter[str] = field(default_factory=Counter)
    next: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> Start:
        """Start a worker from what stands in the topic."""
        self.engine = Engine(self.bundle)
        start = asyncio.run(restore_partition(self.engine, self.rows, None, (0, 1 << 40)))
        self.ledger = StateLedger(0, SETTINGS.model_copy(update={"snapshot_part_bytes": self.part_bytes}), start, 0.0)
        if not start.marked:
            self.ledger.remember(self.bundle.to_record())
        return start

    @property
    def rows(self) -> StateRows:
        found = StateRows(0)
        for key, (value, headers) in self.topic.items():
            found.add(key, value, headers)
        return found

    def checkpoint(self) -> None:
        names = self.engine.dirty(0)
        for row in self.ledger.rows(self.engine, names, names, 1e9, (self.next, self.next), {}):
            key = (row.key or b"").decode()
            if row.value is None:
                self.forgotten.append(key)
                self.topic.pop(row.key or b"", None)
            else:
                self.written[key] += 1
                self.bytes[(read_key(row.key) or ("none",))[0]] += len(row.value)
                self.topic[row.key or b""] = row.value, list(row.headers)

    def fold(self, log: list[LogRecord], *, every: int = 1) -> list[Any]:
        told: list[Any] = []
        for i, record in enumerate(log):
            told += self.engine.fold(record)
            self.next = record.offset + 1
            if i % every == 0:
                self.checkpoint()
        return told

    @property
    def closed(self) -> set[str]:
        return {key.decode() for key in self.topic if b"~" in key}


def days(count: int, *, tags: tuple[str, ...] = ("T1", "T2")) -> HandLog:
    """Rows of two series every five minutes, a batch for each four hours."""
    random = Random(1)  # noqa: S311 - readings, no secret
    hand = HandLog().register(-1, *(sensor(tag, interval="5m", **LIMITS) for tag in tags), version=1, **SCOPE)
    for at in range(0, count * DAY, 240):
        times = list(range(at, at + 240, 5))
        hand.rows(times[-1], *((tag, times, [round(random.gauss(5, 1.5), 1) for _ in times]) for tag in tags))
    return hand


def whole(hand: HandLog, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    return engine


def test_what_is_over_is_written_once_and_the_snapshot_stays_small() -> None:
    """At each of 240 checkpoints a snapshot is written; hours of a day once, or twice where one series is behind; days grow."""
    hand, site = days(40), Site()
    site.fold(hand.records())
    hours = {key: times for key, times in site.written.items() if "~h" in key}
    assert len(hours) >= 35
    assert set(hours.values()) == {1}
    grown = {key: times for key, times in site.written.items() if "~d" in key}
    assert max(grown.values()) <= 28
    assert site.rows.snapshot(FACILITY) == site.engine.snapshot(0, FACILITY)
    slim, _ = site.engine.apart(0, FACILITY)
    assert len(slim) < len(site.engine.snapshot(0, FACILITY)) / 3
    assert site.bytes["closed"] < site.bytes["snapshot"] / 15


def test_what_is_too_old_is_forgotten() -> None:
    site = Site()
    site.fold(days(40).records(), every=6)
    gone = {key for key in site.forgotten if "~h" in key}
    assert len(gone) == sum("~h" in key for key in site.written) - 35
    assert not gone & site.closed
    assert sum("~h" in key for key in site.closed) == 35


def test_a_series_that_leaves_takes_its_own_with_it_and_the_last_one_all() -> None:
    hand, site = days(5), Site()
    hand.register(5 * DAY, sensor("T1", interval="5m", **LIMITS), version=2, **SCOPE)
    site.fold(hand.records())
    assert {tag for tag, _, _ in open_snapshot(site.rows.snapshot(FACILITY))[0].sums or ()} == {"T1"}
    assert len(site.closed) >= 5
    other = Site()
    other.fold(hand.register(5 * DAY + 1, sensor("X", interval="5m", **LIMITS), version=3, **SCOPE).records())
    assert other.closed == set()
    assert CLOSED_HEADER not in dict(other.topic[FACILITY.encode()][1])


@pytest.mark.parametrize("part_bytes", [100, 300])
def test_a_large_record_stands_in_parts_and_those_left_over_go(part_bytes: int) -> None:
    site = Site(part_bytes=part_bytes)
    hand = days(6)
    site.fold(hand.records())
    assert any("~h" in key and "#1" in key for key in site.closed)
    assert site.rows.snapshot(FACILITY) == site.engine.snapshot(0, FACILITY)
    more = HandLog(first=len(hand.lines)).register(6 * DAY, sensor("T1", interval="5m", **LIMITS), version=2, **SCOPE)
    site.fold(more.records())
    assert site.rows.snapshot(FACILITY) == site.engine.snapshot(0, FACILITY)
    site.start()
    assert site.engine.snapshot(0, FACILITY) == site.rows.snapshot(FACILITY)


def test_nothing_changes_where_no_rule_asks() -> None:
    """Byte for byte: keys, values and headers are those of a release without."""
    bundle = BUNDLE.only({STORE})
    site = Site(bundle)
    site.fold(days(3).records())
    assert site.closed == set()
    value, headers = site.topic[FACILITY.encode()]
    assert value == whole(days(3), bundle).snapshot(0, FACILITY)
    assert headers == [("part", b"0/1")]
    assert site.engine.apart(0, FACILITY) == (value, [])
    assert msgspec.msgpack.encode(open_snapshot(value)[0]).count(b"closed") == 0


def test_a_fold_without_summaries_has_nothing_apart() -> None:
    log = days(1).records()
    toy = ToyFold()
    for record in log:
        toy.fold(record)
    assert toy.apart(0, FACILITY) == (toy.snapshot(0, FACILITY), ())


@pytest.mark.parametrize("cut", [1, 7, 20, 33, 48, 49, 60])
def test_a_restart_at_any_record_equals_none(cut: int) -> None:
    log = days(10).records()
    site, engine = Site(), Engine(BUNDLE)
    told = site.fold(log[:cut], every=3)
    site.checkpoint()
    start = site.start()
    assert not start.bad
    told += site.fold(log[cut:], every=3)
    site.checkpoint()
    assert told == [change for record in log for change in engine.fold(record)]
    assert site.engine.snapshot(0, FACILITY) == engine.snapshot(0, FACILITY) == site.rows.snapshot(FACILITY)
    assert {times for key, times in site.written.items() if "~h" in key} <= {1}, "none is written again by a start"


def test_a_checkpoint_older_than_the_log_is_gone_on_from() -> None:
    """A worker that died folds again what came behind its last checkpoint, and writes what that closes once."""
    log = days(10).records()
    site = Site()
    site.fold(log[:30])
    site.engine.fold(log[30])
    site.start()
    site.fold(log[25:])
    assert site.engine.snapshot(0, FACILITY) == whole(days(10)).snapshot(0, FACILITY) == site.rows.snapshot(FACILITY)


@pytest.mark.long
@given(claimlogs.logs(steps=(20, 45)), st.lists(st.integers(0, 60), max_size=4), st.integers(1, 4))
@QUICK
def test_restarts_at_any_records_of_any_log_equal_none(log: list[LogRecord], cuts: list[int], every: int) -> None:
    bundle = claimlogs.bundle()
    engine, site = Engine(bundle), Site(bundle, name=claimlogs.FACILITY, part_bytes=700)
    for i, record in enumerate(log):
        assert site.fold([record], every=every) == engine.fold(record)
        if i in cuts:
            site.checkpoint()
            assert not site.start().bad
    site.checkpoint()
    # A tick of which nothing comes makes no facility dirty: only the position is another one.
    stored, here = (open_snapshot(one)[0] for one in (site.rows.snapshot(site.name), engine.snapshot(0, site.name)))
    assert msgspec.structs.replace(stored, position=here.position) == here
    slim, records = engine.apart(0, site.name)
    assert site.rows.closed(site.name).keys() == {record.name for record in records}
    assert joined(slim, {record.name: record.packed for record in records}) == engine.snapshot(0, site.name)


def test_a_snapshot_of_before_with_all_inside_is_read_and_the_next_one_stands_apart() -> None:
    hand, site = days(4), Site()
    log = hand.records()
    site.fold(log[:15])
    full = site.engine.snapshot(0, FACILITY)
    for key in [key for key in site.topic if b"~" in key]:
        del site.topic[key]
    site.topic[FACILITY.encode()] = full, [("part", b"0/1")]
    assert not site.start().bad
    assert site.engine.snapshot(0, FACILITY) == full
    site.fold(log[15:])
    assert site.closed
    assert site.rows.snapshot(FACILITY) == whole(hand).snapshot(0, FACILITY)


def damaged(site: Site, how: str) -> None:
    key = sorted(key for key in site.topic if b"~h" in key)[0]
    value, headers = site.topic[key]
    other, _ = site.topic[sorted(key for key in site.topic if b"~h" in key)[1]]
    changed = {
        "gone": None, "stale": other, "broken": value[:-3] + b"abc", "short": value[:20], "foreign": b"XXXX" + value[4:],
        "digest": value[:4] + b"\0" * 8 + value[12:], "empty": b"", "cut": value[:44],
    }[how]  # fmt: skip
    if changed is None:
        del site.topic[key]
    else:
        site.topic[key] = changed, headers


@pytest.mark.parametrize("how", ["gone", "stale", "broken", "short", "foreign", "digest", "empty", "cut"])
def test_hours_that_are_missing_or_others_are_told_as_damage_and_written_anew(how: str) -> None:
    site = Site()
    site.fold(days(4).records())
    before, good = site.rows.snapshot(FACILITY), dict(site.topic)
    damaged(site, how)
    told = site.rows.damaged()[FACILITY]
    assert "hours of 2026-03-01" in told
    start = site.start()
    assert [(bad.facility, bad.why) for bad in start.bad] == [(FACILITY, told)]
    assert all(digest == b"" for digest, _ in start.closed[FACILITY].values()), "what stands there is not trusted"
    # A worker folds the facility anew and takes it over.
    site.engine.restore(0, FACILITY, before)
    names = [FACILITY]
    for row in site.ledger.rows(site.engine, names, names, 2e9, (site.next, site.next), {}, fresh=frozenset(names)):
        if row.value is not None:
            site.topic[row.key or b""] = row.value, list(row.headers)
    assert site.rows.damaged() == {}
    assert {key: site.topic[key] for key in good if b"~" in key} == {key: good[key] for key in good if b"~" in key}


@pytest.mark.parametrize("how", ["older", "older inside"])
def test_an_older_one_of_the_same_days_is_not_taken_for_the_one_that_is_named(how: str) -> None:
    """The four weeks as they stood a day before: whole and of this facility, but a day is missing in it."""
    site, log = Site(), days(6).records()
    site.fold(log[:30])
    key = next(key for key in site.topic if b"~d" in key)
    older = site.topic[key][0]
    site.fold(log[30:])
    value, headers = site.topic[key]
    assert value != older
    site.topic[key] = older if how == "older" else value[:36] + older[36:], headers
    assert "days of the four weeks from 2026-02-" in site.rows.damaged()[FACILITY]
    with pytest.raises(SnapshotError):
        site.rows.snapshot(FACILITY)


def test_records_of_another_facility_are_none_of_it() -> None:
    engine = whole(days(4))
    slim, records = engine.apart(0, FACILITY)
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    other = split(msgspec.structs.replace(body, facility="OTHER-1"))[1]
    named = [(one.kind, one.number, one.digest) for one in other]
    mixed = sealed(msgspec.structs.replace(open_snapshot(slim)[0], closed=named))
    with pytest.raises(SnapshotError, match="OTHER-1"):
        joined(mixed, {one.name: one.packed for one in other})
    assert {one.name for one in other} == {one.name for one in records}


def test_records_of_a_series_that_the_snapshot_does_not_have_are_refused() -> None:
    slim, records = whole(days(4)).apart(0, FACILITY)
    body, _ = open_snapshot(slim)
    assert isinstance(body.sums, list)
    with pytest.raises(SnapshotError, match="T1"):
        joined(sealed(msgspec.structs.replace(body, sums=body.sums[1:])), {one.name: one.packed for one in records})


def test_an_engine_takes_no_snapshot_without_what_it_names() -> None:
    """Restored as it is, its hours would be unknown and nobody would know."""
    slim, records = whole(days(4)).apart(0, FACILITY)
    assert records
    with pytest.raises(SnapshotError, match="not with it"):
        Engine(BUNDLE).restore(0, FACILITY, slim)


def test_keys_are_read_listed_and_kept_apart() -> None:
    site = Site(part_bytes=300)
    site.fold(days(4).records())
    assert site.rows.keys() == sorted(key.decode() for key in site.topic)
    kinds = Counter(read.kind for key in site.topic if (read := read_key(key)))
    assert kinds["closed"] == len(site.closed)
    assert set(site.rows.parts) == {FACILITY}
    for key in (b"FAC-1~x3", b"FAC-1~h", b"FAC-1~h1234567", b"FAC-1~~h3", b"~h3", b"FAC-1#1~h3"):
        assert read_key(key) is None


def test_without_a_marker_they_are_lost_state() -> None:
    site = Site()
    site.fold(days(4).records())
    rows = StateRows(0)
    for key in sorted(site.closed):
        value, headers = site.topic[key.encode()]
        rows.add(key.encode(), value, headers)
    with pytest.raises(StateLostError, match="no marker"):
        rows.checked_marker(None)


def test_who_follows_the_topic_passes_them_over() -> None:
    site, tail = Site(), StateTail()
    site.fold(days(4).records())
    seen = [tail.take(0, key, value, headers) for key, (value, headers) in site.topic.items()]
    assert [one.facility for one in seen if isinstance(one, SnapshotRow)] == [FACILITY]
    assert tail.take(0, sorted(site.closed)[0].encode(), None, ()) is None
    assert tail.begun == frozenset()


def test_digests_are_those_of_what_stands_in_a_record() -> None:
    _, records = whole(days(4)).apart(0, FACILITY)
    assert all(digest_of(one.packed) == one.digest for one in records)
    one = records[0]
    assert Record(one.kind, one.number, one.digest, one.raw).packed == one.packed
    assert [kind for kind, _, _ in open_snapshot(whole(days(4)).apart(0, FACILITY)[0])[0].closed or ()] == ["d"] + [
        "h"
    ] * 3


def test_only_days_where_no_rule_asks_for_hours() -> None:
    site = Site(BUNDLE.only({MONTH, STORE}))
    site.fold(days(4).records())
    assert {key.split("~")[1][0] for key in site.closed} == {"d"}
    assert site.rows.snapshot(FACILITY) == site.engine.snapshot(0, FACILITY)
    assert SPAN not in site.bundle.sha256
    assert Kind.READINGS in {record.kind for record in days(1).records()}
