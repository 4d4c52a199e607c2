"""Open the store and hand out sessions: one to read, one to write; both dialects behave alike.

SQLite runs in WAL mode. A writing session takes the write lock at its begin (`BEGIN IMMEDIATE`): a lock taken later, by
the first write of a session that has read before, would fail at once when another writer was faster.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from rules.errors import BadInputError, Fault, PartMissingError
from rules.faults import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

SQLITE_BUSY_MS = 15_000
FROZEN_MS = 60_000
"""PostgreSQL ends a transaction whose process says nothing for so long; nothing of it was kept, and it is done again."""
DIALECTS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


class Store:
    """The SQL store. Thread-safe; a session belongs to one thread."""

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        """Make the engine; nothing is opened yet.

        Raises:
            BadInputError: the URL is none, names another database than SQLite or PostgreSQL, or a folder that cannot be made.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise BadInputError("store", [Fault("OFFSITE_STORE_URL", "not_a_url", str(error))]) from error
        dialect = parsed.get_backend_name()
        if dialect not in DIALECTS:
            raise BadInputError(
                "store", [Fault("OFFSITE_STORE_URL", "not_supported", f"{dialect}: sqlite or postgresql")]
            )
        if password_file is not None:
            parsed = parsed.set(password=password_file.read_text(encoding="utf-8").strip())
        self.dialect = dialect
        self.engine = create_engine(parsed.set(drivername=DIALECTS[dialect]), **_options(dialect))
        if dialect == "sqlite":
            if parsed.database:
                _make_folder(Path(parsed.database).parent)
            _prepare_sqlite(self.engine)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that reads; what it sees is one state of the store on SQLite, one per statement on PostgreSQL."""
        with self._session(write=False) as session:
            yield session  # closing ends the transaction and keeps nothing; what was read stays readable

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that commits when the block ends well, and leaves nothing behind when it does not.

        Raises:
            PartMissingError: the database cannot be reached.
        """
        with self._session(write=True) as session:
            yield session
            session.commit()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        """Give the store; it is closed when the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()

    @contextmanager
    def _session(self, *, write: bool) -> Iterator[Session]:
        bound = self.engine.execution_options(offsite_write=write)
        try:
            with Session(bound, expire_on_commit=False) as session:
                yield session
        except (DBAPIError, PoolTimeoutError) as error:
            if isinstance(error, PoolTimeoutError) or error.connection_invalidated or _away(error):
                raise StoreDownError(self.engine.url.render_as_string(hide_password=True), error) from error
            raise


class StoreDownError(PartMissingError):
    """The database cannot be reached, or is locked for too long; nothing of the session was kept."""

    def __init__(self, url: str, error: Exception) -> None:
        """Name the database, without its password."""
        super().__init__(
            f"the store {url} does not answer: {str(error).splitlines()[0]}; start it, or set OFFSITE_STORE_URL"
        )


def _away(error: DBAPIError) -> bool:
    """Say whether trying again later can help: connection, locks, disk, memory; not a statement that is wrong.

    PostgreSQL's driver keeps its operational errors for exactly that. SQLite's also holds statements that name what is not
    there, so for those the text decides.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    text = str(error.orig).lower()
    return not any(sign in text for sign in ("no such", "no column", "syntax error", "too many"))


def _options(dialect: str) -> dict[str, Any]:
    if dialect == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_MS / 1000, "check_same_thread": False}}
    # A peer that vanished is noticed in half a minute; one of ours that was frozen in a transaction lets its locks go.
    alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    frozen = {"options": f"-c idle_in_transaction_session_timeout={FROZEN_MS}"}
    connect_args = {"connect_timeout": 5, **alive, **frozen}
    return {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 10, "connect_args": connect_args}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        detail = f"{folder} cannot be made: {unreadable(error)}"
        raise BadInputError("store", [Fault("OFFSITE_STORE_URL", "unwritable", detail)]) from error


def _set(cursor: sqlite3.Cursor, pragma: str) -> None:
    try:
        cursor.execute(f"PRAGMA {pragma}")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise BadInputError("store", [Fault("OFFSITE_STORE_URL", "not_a_store", "the file is no database")]) from error


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
        connection.isolation_level = None  # transactions begin where we say, below
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={SQLITE_BUSY_MS}"):
            _set(cursor, pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("offsite_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
