"""Clocks of firms in a desk's store, by way of their snapshots, without Kafka."""

from __future__ import annotations

from monitor.deadlines import keeping
from monitor.deadlines.snapshots import Reader
from monitor.packs import journal
from rules.pack import default_bundle
from tests.monitor.desk.lab import NOW
from tests.rules.duelogs import DAY, HOUR, DueLog

LATE, SOON, DUE, UNKNOWN = "BJ-MFR-0007", "BJ-WHS-0112", "BJ-HOS-0031", "BJ-CEL-0004"
INVESTIGATION, RECTIFICATION = "report-clock.adr-death-investigation", "report-clock.rectification"


def snapshot(log, bundle=None):
    """Return the snapshot of a firm that was folded with the shipped packs, or others."""
    return log.engine(bundle or default_bundle()).snapshot(log.partition, log.name)


def told(name, days, case="C-1", begin=NOW):
    """Return a log in which a death came to be known so many days ago."""
    return DueLog(name, begin=begin - days * DAY).death(10 * HOUR, case)


def unknown(name):
    """Return a log whose clock ends behind the calendar of working days."""
    return DueLog(name, begin=NOW, jurisdiction="810000").visit(HOUR, handed_over_at=0)


def keep(store, *logs, as_of=NOW - 30_000):
    """List the clocks of firms, each in a partition of its own, as the desk's follower does."""
    with store.reading() as session:
        reader = Reader(lambda sha256: journal.bundle(session, sha256))
        found = [reader.read(log.name, snapshot(log), "") for log in logs]
    with store.writing() as session:
        for partition, listed in enumerate(found):
            assert listed.fault is None
            keeping.keep(session, partition, listed)
        keeping.as_of(session, dict.fromkeys(range(len(found)), as_of))


def province(store):
    """List one clock in each state, of four firms."""
    late, soon = told(LATE, 30, "C-LATE").tick(30 * DAY), told(SOON, 15, "C-SOON").tick(15 * DAY)  # their alarms stand
    keep(store, late, soon, told(DUE, 3, "C-DUE"), unknown(UNKNOWN))
