"""Alembic's entry: run the migrations on the connection that `monitor.store.schema` hands over."""

from __future__ import annotations

from alembic import context

from monitor.store.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_server_default=True,
    transactional_ddl=False,  # the caller's transaction is the transaction, on SQLite too
)
context.run_migrations()
