"""Bring a database to this release's tables, by Alembic's migrations inside the package.

An empty database is filled at first use. One that holds tables of an older release is never changed by the way: an
operator runs `offsite store upgrade`. One of a newer release is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from monitor.store import desk_tables, tables
from monitor.store.base import Base
from rules.errors import ContractError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from monitor.store.session import Store

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x0FF517E
"""PostgreSQL advisory lock: one process migrates, the others wait."""
METADATA = Base.metadata
MODULES = (tables, desk_tables)


class SchemaError(ContractError):
    """The database's tables are not those of this release."""

    action = "Run `offsite store upgrade` with this release, or start the release that the database belongs to."


def head() -> str:
    """Return the revision of this release."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if revision is None:
        raise SchemaError("this package holds no migration")
    return revision


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the database, or None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def ensure_ready(store: Store) -> None:
    """Fill an empty database; check any other.

    Raises:
        SchemaError: the tables are of another release.
        StoreDownError: the database does not answer.
    """
    with store.reading() as session:
        found = revision_of(session.connection())
    if found is None:
        upgrade(store)
    elif found != head():
        raise SchemaError(f"the store is at revision {found}, this release needs {head()}")


def downgrade(store: Store, revision: str) -> None:
    """Take the database back to an older revision, in one transaction; columns that it does not have are dropped.

    Raises:
        SchemaError: the revision is not one of this release, or newer than the database.
    """
    order = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
    with store.writing() as session:
        connection = session.connection()
        if store.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
        found = revision_of(connection)
        if revision not in order or found not in order or order.index(revision) > order.index(found):
            raise SchemaError(f"the store is at revision {found} and cannot go down to {revision} with this release")
        command.downgrade(_config(connection), revision)


def upgrade(store: Store) -> None:
    """Bring the database to this release's revision, in one transaction; nothing is done if it is there."""
    with store.writing() as session:
        connection = session.connection()
        if store.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
        found = revision_of(connection)
        known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
        if found is not None and found not in known:
            raise SchemaError(f"the store is at revision {found}, which this release does not know")
        command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
