"""Tables, sessions and migrations on both databases."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from monitor.store.counters import hold, numbers
from monitor.store.desk_tables import Counter
from monitor.store.schema import METADATA, SchemaError, ensure_ready, head, revision_of, upgrade
from monitor.store.session import Store, StoreDownError
from rules.errors import BadInputError


def test_the_migrations_make_exactly_the_tables_of_the_models(store):
    with store.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert set(inspect(session.connection()).get_table_names()) == {*METADATA.tables, "alembic_version"}


def test_an_empty_database_is_filled_at_first_use(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/deep/er/new.db")
    ensure_ready(store)
    ensure_ready(store)
    with store.reading() as session:
        assert revision_of(session.connection()) == head()
    store.close()


def test_a_store_of_another_release_is_refused_and_left_alone(store):
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (ensure_ready, upgrade):
        with pytest.raises(SchemaError, match="9999"):
            call(store)
    with store.reading() as session:
        assert revision_of(session.connection()) == "9999"


@pytest.mark.parametrize("url", ["", "not a url", "mysql://x/y", "oracle://x"])
def test_a_url_of_no_store_is_refused(url):
    with pytest.raises(BadInputError):
        Store(url)


@pytest.mark.parametrize("url", ["postgresql://offsite:geheim@127.0.0.1:1/x", "sqlite:////proc/nowhere.db"])
def test_a_store_that_is_away_is_named_without_its_password(url):
    store = Store(url)
    with pytest.raises(StoreDownError) as caught, store.reading() as session:
        session.execute(text("SELECT 1"))
    assert "geheim" not in caught.value.report()
    assert "OFFSITE_STORE_URL" in caught.value.report()
    store.close()


def test_a_writing_session_keeps_all_or_nothing(store):
    def half_done():
        with store.writing() as session:
            session.add(Counter(name="a", value=1))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    with pytest.raises(IntegrityError), store.writing() as session:
        session.add(Counter(name="b", value=None))
    with store.reading() as session:
        assert session.scalars(select(Counter)).all() == []


def test_what_a_reading_session_changes_is_not_kept(store):
    with store.reading() as session:
        session.add(Counter(name="a", value=1))
        session.flush()
    with store.reading() as session:
        assert session.get(Counter, "a") is None


def test_numbers_are_dense_and_in_commit_order_under_concurrent_writers(store):
    found, faults = [], []
    lock = threading.Lock()

    def take():
        try:
            for _ in range(20):
                with store.writing() as session:
                    got = list(numbers(session, "live", 3))
                    session.add(Counter(name=f"n{got[0]}", value=got[0]))
                with lock:
                    found.extend(got)
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            faults.append(error)

    def watch():
        seen = 0
        while seen < 4 * 20 * 3 - 2 and not faults:
            with store.reading() as session:
                rows = sorted(session.scalars(select(Counter.value).where(Counter.name.like("n%"))))
            if rows != list(range(1, rows[-1] + 1, 3) if rows else []):
                faults.append(AssertionError(f"a reader saw a later number before an earlier one: {rows}"))
            seen = rows[-1] if rows else 0

    threads = [threading.Thread(target=take) for _ in range(4)] + [threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert sorted(found) == list(range(1, 241))


def test_who_holds_a_name_makes_others_wait(store):
    order = []
    holding = threading.Event()

    def second():
        holding.wait(10)
        with store.writing() as session:
            hold(session, "register")
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.writing() as session:
        hold(session, "register")
        holding.set()
        thread.join(0.3)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
