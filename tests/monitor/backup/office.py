"""An office with everything that cannot be computed again: register, contacts, keys, accounts, acts, an archive."""

from __future__ import annotations

from sqlalchemy import select

from monitor.accounts import users
from monitor.alarms.acknowledge import acknowledge
from monitor.backup.storecopy import METADATA
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.restored import RESTORED
from tests.monitor.archive.making import Archive, at_hours, story
from tests.monitor.archive.streams import at_desk, life
from tests.monitor.archive.test_archive_property import cut_all
from tests.monitor.register.samples import facility, register

LATER_MS = 60_000


def furnished(store, folder):
    """Fill a store and an archive; returns the archive under construction."""
    with store.writing() as session:
        import_register(session, register(facility(), facility("SH-WHS-0001")), "u-1", 1_000)
        issue(session, name="feed", facilities=["BJ-MFR-0007"], actor="u-1", now_ms=2_000)
        users.add(session, "li.lei", display="李雷", role="lead", language="zh", now_ms=3_000)
    at_desk(store, life("A1", 5))
    with store.writing() as session:
        acknowledge(session, life("A1")[0].alarm, revision=4, actor="li.lei", now_ms=4_000, note="called QA")
    made = Archive(store, folder)
    made.begin(2)
    made.write(1, at_hours(story(1), [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]), (4,))
    cut_all(made)
    made.write(1, at_hours(story(1, offset=20), [3] * 11), (6,))
    # The archiver has ended: nobody holds its lease any more.
    made.clock.now_ms += LATER_MS
    with store.writing() as session:
        made.tenancy.release(session)
    return made


def everything(store, without=("lease",)):
    """Return all rows of all tables, but for the note that a store came out of a backup."""
    with store.reading() as session:
        return {
            table.name: sorted(repr(tuple(row)) for row in session.execute(select(table)) if row[0] != RESTORED)
            for table in METADATA.sorted_tables
            if table.name not in without
        }
