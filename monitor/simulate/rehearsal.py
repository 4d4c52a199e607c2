"""Fold a script without gateway and Kafka: the same posts, a clock of our own, the same engine.

A writer of scripts sees in seconds what an hour of the simulation would raise; the tests hold the story to its promise so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.simulate.faults import sources_of
from monitor.simulate.feed import Feed
from rules.engine import Engine
from rules.fitting import fit
from rules.posts import read_readings
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from rules.reports.reading import read_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.simulate.script import Script
    from rules.changes import Change
    from rules.pack import Bundle
    from rules.records import Payload
    from rules.register import Facility

STEP_MS = 250
TICK_MS = 5_000
LATENCY_MS = 40
"""From a post to the broker's stamp; the next post of the feed goes out after it."""


def rehearse(
    facilities: list[Facility], script: Script, bundle: Bundle, *,
    began: int, until: int, seed: int = 1, speed: float = 60.0, history_ms: int = 7_200_000, registered_ms: int = 3_000,
) -> list[Change]:  # fmt: skip
    """Return the changes that a run from `began` to `until` (ms) gives; the firms were registered `registered_ms` before."""
    engine = Engine(bundle)
    changes: list[Change] = []
    for record in _log(
        facilities, script, began=began, until=until, seed=seed, speed=speed, history_ms=history_ms,
        registered=began - registered_ms,
    ):  # fmt: skip
        changes += map(fit, engine.fold(record))
    return sorted(changes, key=lambda change: (change.stream, change.seq))


def _log(
    facilities: list[Facility], script: Script, *,
    began: int, until: int, seed: int, speed: float, history_ms: int, registered: int,
) -> Iterator[LogRecord]:  # fmt: skip
    """Yield the records of one partition in the order in which a broker would hold them."""
    offset = -1

    def record(received: int, kind: Kind, facility: str, payload: Payload) -> LogRecord:
        nonlocal offset
        offset += 1
        return LogRecord(0, offset, received, kind, facility, payload)

    for facility in facilities:
        yield record(registered, Kind.REGISTER, facility.id, RegisterRecord(version=1, facility=facility))
    feeds = [
        Feed(
            facility, sources_of(facility, script, began=began, seed=seed, speed=speed), script,
            began=began, history_ms=history_ms,
        )
        for facility in facilities
    ]  # fmt: skip
    due = [began] * len(feeds)
    for now in range(began, until + 1, STEP_MS):
        for i, feed in enumerate(feeds):
            if now < due[i]:
                continue
            due[i] = now + feed.every_ms
            feed.collect(now)
            received = now
            while feed.link_up(now) and (post := feed.next_post(now)) is not None:
                received += LATENCY_MS
                yield record(received, Kind.READINGS, feed.facility, read_readings(post.body))
                feed.stored()
            while feed.link_up(now) and (report := feed.next_report(now)) is not None:
                received += LATENCY_MS
                yield record(received, Kind.REPORT, feed.facility, read_report(report, received))
                feed.submitted(taken=True)
        if (now - began) % TICK_MS == 0:
            tick = Tick(by="rehearsal", role="gateway", now=now)
            yield record(now + LATENCY_MS, Kind.TICK, "", tick)
