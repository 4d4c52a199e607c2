"""The past of a facility: the log, and the archive in front of it; what is nowhere is said, never skipped."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from rules.records import Kind, LogRecord, Rejected, Tick
from streams import history as module
from streams.history import HistoryLostError, LogHistory, concerns
from streams.settings import KafkaSettings
from tests.rules import logs
from tests.streams.test_cadence import toy_log

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = frozenset({"FAC-1"})
LOG = toy_log(30)


@dataclass
class StubLog:
    """A log whose retention may go on while it is read."""

    begin: int = 0
    end: int = 30
    begins_later: int | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def bounds(self, partition: int) -> tuple[int, int]:
        assert partition == 0
        begin = self.begins_later if self.asked and self.begins_later is not None else self.begin
        return begin, self.end

    def records_of(self, partition: int, facilities: frozenset[str], begin: int, end: int) -> Iterator[LogRecord]:
        self.asked.append((begin, end))
        yield from (r for r in LOG[begin:end] if r.partition == partition and r.facility in facilities)


@dataclass
class StubArchive:
    places: list[tuple[int, int, int]]
    lost: list[tuple[int, int, int]] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def gaps(self) -> list[tuple[int, int, int]]:
        return self.lost

    def records(
        self, facility: str | None = None, partition: int | None = None, from_offset: int = 0
    ) -> Iterator[LogRecord | Rejected]:
        self.asked.append((facility, partition, from_offset))
        yield from (r for r in LOG[from_offset:] if facility is None or r.facility == facility)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StubLog:
    stub = StubLog()

    @contextmanager
    def opened(*_: object) -> Iterator[StubLog]:
        yield stub

    monkeypatch.setattr(module, "open_log", opened)
    return stub


def history(archive: StubArchive | None = None) -> LogHistory:
    @contextmanager
    def opened() -> Iterator[StubArchive]:
        assert archive is not None
        yield archive

    return LogHistory(KafkaSettings(), "log", None if archive is None else opened)


def offsets(found: Iterator[LogRecord | Rejected]) -> list[int]:
    return [record.offset for record in found]


def test_a_log_that_holds_everything_needs_no_archive(log: StubLog) -> None:
    assert offsets(history().records(0, ONE, 0, 20)) == list(range(1, 20, 3))
    assert log.asked == [(0, 20)]


def test_what_retention_took_comes_from_the_archive_and_the_rest_from_the_log(log: StubLog) -> None:
    log.begin = 11
    archive = StubArchive([(0, 0, 25), (1, 0, 9)])
    assert offsets(history(archive).records(0, ONE, 0, 20)) == list(range(1, 20, 3))
    assert (archive.asked, log.asked) == ([("FAC-1", 0, 0)], [(11, 20)])


def test_several_facilities_are_read_in_one_go(log: StubLog) -> None:
    log.begin = 30
    archive = StubArchive([(0, 0, 30)])
    found = offsets(history(archive).records(0, frozenset({"FAC-0", "FAC-1"}), 3, 9))
    assert found == [3, 4, 6, 7]
    assert archive.asked == [(None, 0, 3)]
    assert log.asked == [(9, 9)]


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (None, "no archive is at hand"),
        (StubArchive([]), "the archive holds none of them"),
        (StubArchive([(0, 2, 25)]), "the archive holds 2 to 24"),
        (StubArchive([(0, 0, 10)]), "the archive holds 0 to 9"),
        (StubArchive([(1, 0, 25)]), "the archive holds none of them"),
        (StubArchive([(0, 0, 25)], lost=[(0, 5, 6), (0, 8, 10)]), "the archive lacks 5 to 5, 8 to 9"),
    ],
)
def test_what_is_nowhere_is_said(log: StubLog, archive: StubArchive | None, says: str) -> None:
    log.begin = 11
    with pytest.raises(HistoryLostError, match=says):
        list(history(archive).records(0, ONE, 0, 20))


@pytest.mark.parametrize("lost", [(1, 5, 6), (0, 11, 14)])
def test_a_gap_elsewhere_does_not_matter(log: StubLog, lost: tuple[int, int, int]) -> None:
    log.begin = 11
    archive = StubArchive([(0, 0, 25)], lost=[lost])
    assert offsets(history(archive).records(0, ONE, 0, 20)) == list(range(1, 20, 3))


def test_retention_that_goes_on_while_the_log_is_read_is_seen(log: StubLog) -> None:
    log.begins_later = 4
    with pytest.raises(HistoryLostError, match="dropped records while they were read"):
        list(history().records(0, ONE, 0, 20))


def test_a_log_that_ends_early_is_seen(log: StubLog) -> None:
    log.end = 19
    with pytest.raises(HistoryLostError, match="ends at 19, 20 is wanted"):
        list(history().records(0, ONE, 0, 20))


def test_ticks_and_packs_concern_everybody() -> None:
    tick = LogRecord(0, 0, logs.BEGIN, Kind.TICK, "", Tick(by="t", role="worker", now=logs.BEGIN))
    assert concerns(tick, ONE)
    assert concerns(LOG[1], ONE)
    assert not concerns(LOG[0], ONE)
    assert concerns(Rejected(0, 0, 0, "FAC-1", "undecodable", "", b""), ONE)
