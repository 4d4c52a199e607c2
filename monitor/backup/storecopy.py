"""The store as one SQLite file, whatever it is, and back into whatever is to hold it.

SQLite is copied by its online backup: one state of the database, while everybody goes on writing. PostgreSQL is read table
by table in one REPEATABLE READ transaction, which is one state too, into a SQLite file with the same tables. Not by
`pg_dump`: its program must be as new as the server and is often not where the desk runs, and what it writes is read
by PostgreSQL alone. So there is one form to check and to restore, and a backup of one database restores into the other.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import func, insert, select, text

from monitor.backup.manifest import FILE_MODE, BackupError, copy_file, sync_folder
from monitor.store.restored import mark_restored
from monitor.store.schema import METADATA, SchemaError, head, revision_of, upgrade
from monitor.store.session import Store
from monitor.store.tables import Lease
from rules.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Table

ROWS = 1_000


class NotEmptyError(ContractError):
    """The target of a restore holds something already."""

    code: ClassVar[str] = "restore_not_empty"
    action: ClassVar[str] = "Stop desk and archiver, then name an empty target, or say --replace; nothing was touched."


def copy_store(store: Store, path: Path) -> str:
    """Copy the store into a new SQLite file of mode 0600; returns the revision of its tables.

    Raises:
        SchemaError: the store has no tables, or (PostgreSQL) those of another release: copy it with that one.
        StoreDownError: it does not answer.
        BackupError: the copy is not whole.
    """
    with store.reading() as session:
        revision = revision_of(session.connection())
    if revision is None:
        raise SchemaError("the store holds no tables: there is nothing to back up")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    if store.dialect == "sqlite":
        with closing(sqlite3.connect(path)) as target, store.reading() as session:
            raw: Any = session.connection().connection.driver_connection
            session.rollback()  # the copy takes its own view of the database
            raw.backup(target)
    else:
        if revision != head():
            raise SchemaError(f"the store is at revision {revision}, this release copies {head()}")
        copy = Store(f"sqlite:///{path}")
        try:
            upgrade(copy)
            _transfer(store, copy)
        finally:
            copy.close()
    _settle(path)
    check_copy(path)
    return revision


def check_copy(path: Path) -> None:
    """Let SQLite look at the whole of a copy.

    Raises:
        BackupError: it finds something.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as copy:
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(10)")]
            found += [f"foreign key of {row[0]}" for row in copy.execute("PRAGMA foreign_key_check").fetchmany(10)]
    except sqlite3.Error as error:
        raise BackupError(f"the copy of the store cannot be read: {error}") from error
    if found != ["ok"]:
        raise BackupError(f"the copy of the store is not whole: {'; '.join(found)[:500]}")


def load_copy(copy: Path, store: Store, *, replace: bool) -> Path | None:
    """Put a copy in the store's place, its tables brought to this release; returns where the old SQLite file went.

    Raises:
        NotEmptyError: the store holds rows, and `replace` is not said; or an archiver is at work on it.
        SchemaError: the copy is of a newer release.
    """
    if store.dialect == "sqlite":
        return _load_sqlite(copy, store, replace=replace)
    work = copy.with_name(f".{copy.name}.loading-{os.getpid()}")
    try:
        copy_file(copy, work)
        source = Store(f"sqlite:///{work}")
        try:
            upgrade(source)
            upgrade(store)
            _transfer(source, store, replace=replace)
        finally:
            source.close()
    finally:
        for name in (work.name, f"{work.name}-wal", f"{work.name}-shm"):
            work.with_name(name).unlink(missing_ok=True)
    return None


def ensure_vacant(store: Store, *, replace: bool) -> None:
    """Refuse a store that holds rows unless told to replace it, and one that an archiver works on in any case.

    Raises:
        NotEmptyError: as said.
    """
    with store.reading() as session:
        if revision_of(session.connection()) is None:
            return
        full = [] if replace else _full(session.connection())
        busy = session.scalars(select(Lease).where(Lease.until_ms > time.time_ns() // 1_000_000)).first()
    if full:
        raise NotEmptyError(f"the store holds rows: {', '.join(full[:8])}")
    if busy is not None:
        raise NotEmptyError(f"{busy.name} {busy.holder} is at work on the store")


def _load_sqlite(copy: Path, store: Store, *, replace: bool) -> Path | None:
    from pathlib import Path as ToPath  # noqa: PLC0415 - used here alone at run time

    path = ToPath(str(store.engine.url.database))
    kept = None
    ensure_vacant(store, replace=replace)
    store.close()
    part = path.with_name(f".{path.name}.restoring")
    part.unlink(missing_ok=True)
    copy_file(copy, part)
    loaded = Store(f"sqlite:///{part}")
    try:
        upgrade(loaded)
        with loaded.writing() as session:
            _forget_leases(session.connection())
            mark_restored(session.connection())
    finally:
        loaded.close()
    _settle(part)
    if path.exists() and path.stat().st_size and replace:
        kept = path.with_name(f"{path.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for end in ("", "-wal", "-shm"):
        old = path.with_name(path.name + end)
        if old.exists():
            old.unlink() if kept is None else old.replace(kept.with_name(kept.name + end))
    part.replace(path)
    sync_folder(path.parent)
    return kept


def _transfer(source: Store, target: Store, *, replace: bool = False) -> None:
    """Copy all rows in one transaction on either side."""
    options: dict[str, Any] = {"offsite_write": False}
    if source.dialect == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with source.engine.connect().execution_options(**options) as reading, target.writing() as session:
        writing = session.connection()
        full = _full(writing)
        if full and not replace:
            raise NotEmptyError(f"the store holds rows: {', '.join(full[:8])}")
        for table in reversed(METADATA.sorted_tables):
            writing.execute(table.delete())
        for table in METADATA.sorted_tables:
            rows = reading.execution_options(stream_results=True, yield_per=ROWS).execute(select(table))
            for batch in rows.partitions(ROWS):
                writing.execute(insert(table), [row._asdict() for row in batch])
            if target.dialect == "postgresql":
                _number_on(writing, table)
        if target.dialect == "postgresql":
            _forget_leases(writing)
            mark_restored(writing)


def _full(connection: Connection) -> list[str]:
    return [
        table.name
        for table in METADATA.sorted_tables
        if connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None
    ]


def _number_on(connection: Connection, table: Table) -> None:
    """Let the numbers that PostgreSQL hands out go on behind those that were copied."""
    column = table.autoincrement_column
    if column is None or len(table.primary_key.columns) > 1:
        return
    name = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    newest = connection.scalar(select(func.max(column)))
    if name is not None and newest is not None:
        connection.execute(select(func.setval(name, newest)))


def _forget_leases(connection: Connection) -> None:
    """Whoever worked on the store when it was copied does not work on this one."""
    connection.execute(METADATA.tables[Lease.__tablename__].delete())


def _settle(path: Path) -> None:
    """Make one file of the database: nothing beside it, synced, for its owner alone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")
    path.chmod(FILE_MODE)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)
