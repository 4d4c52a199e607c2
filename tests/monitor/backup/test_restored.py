"""A store out of a backup: nobody decides in it before it knows what the log has come to hold since."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from monitor.backup.make import make_backup
from monitor.backup.restore import restore_backup
from monitor.cli import main
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.restored import NotRebuiltError, ensure_rebuilt, is_restored, mark_rebuilt
from monitor.store.session import Store
from monitor.store.tables import FacilityVersion, OutboxRow
from tests.monitor.backup.office import furnished
from tests.monitor.backup.test_rebuild import keys
from tests.monitor.register.samples import facility, register


@pytest.fixture(params=["sqlite", "postgresql"])
def restored(request, sqlite_store, tmp_path):
    """Return a store that was put back from a backup, on either database."""
    office = furnished(sqlite_store, tmp_path / "archive")
    make_backup(tmp_path / "backup", office.store, office.folder, None)
    postgres = request.param == "postgresql"
    url = request.getfixturevalue("postgres").database("offsite") if postgres else f"sqlite:///{tmp_path}/again.db"
    with Store(url) as store:
        restore_backup(tmp_path / "backup", store, tmp_path / "archive-again")
        yield store


def counts(store):
    with store.reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in (FacilityVersion, OutboxRow)]


def changed(name="BJ-COLD-01"):
    return register(facility(id=name, delivery="77s"))


def test_nothing_is_decided_in_it(restored):
    before = counts(restored)

    def edit(session):
        import_register(session, changed(), "u-1", 9_000)

    def new_key(session):
        issue(session, name="n", facilities=["BJ-MFR-0007"], actor="u-1", now_ms=9_000)

    for decide in (edit, new_key):
        with pytest.raises(NotRebuiltError, match="was not rebuilt since"), restored.writing() as session:
            decide(session)
    assert counts(restored) == before


def test_behind_the_rebuild_everything_is_as_ever(restored):
    with restored.writing() as session:
        assert is_restored(session)
        mark_rebuilt(session)
    with restored.writing() as session:
        assert not is_restored(session)
        ensure_rebuilt(session)
        import_register(session, changed(), "u-1", 9_000)


def test_the_rebuild_sends_keys_again_once_it_knows_the_register(restored):
    with pytest.raises(NotRebuiltError):
        keys(restored, None)
    with restored.writing() as session:
        mark_rebuilt(session)
    assert keys(restored, None).queued > 0


def test_a_store_that_was_never_restored_is_none(store):
    with store.writing() as session:
        assert not is_restored(session)
        mark_rebuilt(session)
        assert not is_restored(session)
        import_register(session, register(), "u-1", 1_000)


def test_a_backup_of_it_waits_for_its_rebuild_as_well(restored, tmp_path):
    make_backup(tmp_path / "second", restored, tmp_path / "archive-again", None)
    with Store(f"sqlite:///{tmp_path}/third.db") as third:
        restore_backup(tmp_path / "second", third, tmp_path / "archive-third")
        with third.reading() as session:
            assert is_restored(session)


def test_the_commands_say_so(restored, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", restored.engine.url.render_as_string(hide_password=False))
    with pytest.raises(SystemExit) as ended:
        main(["store", "check"])
    assert ended.value.code == 1
    assert "run `offsite store rebuild`" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["keys", "issue", "--name", "x", "--facility", "BJ-MFR-0007"])
    assert ended.value.code == 4
    assert "was not rebuilt since" in capsys.readouterr().err
