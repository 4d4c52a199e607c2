"""Rows that one transaction holds at a time: a lock by name, and numbers handed out in the order of commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.desk_tables import Counter

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def hold(session: Session, name: str) -> Counter:
    """Wait until no other transaction holds `name`, then hold it until this one ends."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(Counter).values(name=name, value=0).on_conflict_do_nothing())
    return session.execute(
        select(Counter).where(Counter.name == name).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()


def numbers(session: Session, name: str, count: int) -> range:
    """Return the next `count` numbers; whoever reads up to n after this commit has seen all that stand below n."""
    counter = hold(session, name)
    first = counter.value + 1
    counter.value += count
    session.flush()
    return range(first, first + count)
