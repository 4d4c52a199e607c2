"""A store of an older release goes up with what it holds: nothing is lost, and what is new is worked out from what was there."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from monitor.alarms.projection import apply_batch
from monitor.store.desk_tables import AlarmRow, ChangeRow
from monitor.store.schema import MIGRATIONS, SchemaError, ensure_ready, head, revision_of, upgrade
from tests.monitor.alarms.changes import change, incoming


def to(store, revision):
    """Bring a store down to a revision, as `alembic downgrade` would."""
    with store.writing() as session:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = session.connection()
        command.downgrade(config, revision)


@pytest.fixture
def old(store):
    """A store of the release before, with alarms: raised once, stepped up, released, and one whose change is gone."""
    with store.writing() as session:
        lives = [
            change(1, tag="PLAIN", at=1_000_000),
            change(2, tag="WORSE", at=2_000_000), change(3, "stepped", tag="WORSE", severity="red", at=9_000_000),
            change(4, "stepped", tag="WORSE", severity="blue", at=9_500_000),
            change(5, tag="GONE", at=3_000_000),
        ]  # fmt: skip
        apply_batch(session, incoming(lives), 1)
        session.delete(session.get_one(ChangeRow, ("A1", 5)))
    to(store, "0002")
    return store


def test_since_when_an_alarm_asks_is_read_from_its_changes(old):
    with pytest.raises(SchemaError, match="0002"):
        ensure_ready(old)
    upgrade(old)
    with old.reading() as session:
        assert revision_of(session.connection()) == head()
        asked = {
            row.subject.split('"')[3]: row.asked_ms for row in session.query(AlarmRow)
        }  # fmt: skip
    assert asked == {"PLAIN": 1_000_500, "WORSE": 9_000_500, "GONE": 3_000_500}


def test_going_down_takes_the_column_and_nothing_else(old):
    with old.reading() as session:
        rows = session.execute(text("SELECT * FROM alarm")).mappings().all()
        assert {"raised_ms", "attention_revision"} <= set(rows[0])
        assert "asked_ms" not in rows[0]
        assert len(rows) == 3
        assert len(session.execute(text('SELECT 1 FROM "change"')).all()) == 4


def test_a_store_that_went_up_goes_on_as_one_that_was_made_so(old):
    upgrade(old)
    with old.writing() as session:
        apply_batch(session, incoming([change(6, "stepped", tag="PLAIN", severity="red", at=20_000_000)]), 2)
    with old.reading() as session:
        assert session.get(AlarmRow, change(1, tag="PLAIN").alarm).asked_ms == 20_000_500
