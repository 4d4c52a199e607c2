"""The runbooks, drilled: each disaster happens on real parts, and the commands of its page, as they stand there, mend it.

Long: processes are started and stopped as in an installation, a minute a drill.
"""

from __future__ import annotations

import pytest
from sqlalchemy import select

from streams import admin
from streams.topics import STATE
from tests.coldlog import cold_store
from tests.e2e.drill import Installation, homes
from tests.e2e.test_front_to_alarm import until

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def site(kafka_settings, tmp_path):
    """An installation at work: three firms, one in each partition, one with an excursion that has ended, one that lasts."""
    with Installation(tmp_path / "site", kafka_settings) as made:
        for unit in ("offsite-gateway", "offsite-desk", "offsite-archiver", "offsite-worker@1"):
            made.start(unit)
        made.names = homes(kafka_settings.partitions)
        made.register(*made.names)
        made.excursion(made.names[0], 0)
        made.excursion(made.names[1], 0, ends=False)
        made.post(made.names[2], 0, [5.0, 5.1, 5.0])
        until(lambda: len(made.excursions()) == 2, 120)
        yield made


def drop_topic(site, name):
    with admin.admin_client(site.kafka) as client:
        client.delete_topics([site.kafka.topic(name)])
        until(lambda: site.kafka.topic(name) not in client.list_topics())


def test_the_state_topic_is_lost(site):
    site.settled()
    site.stop("offsite-worker@1")
    drop_topic(site, STATE)
    admin.create(site.kafka)
    site.excursion(site.names[2], 5)  # firms post on
    worker = "offsite-worker@1"
    site.start(worker, wait=False)
    assert site.processes[worker].wait(120) == 4
    assert "state_lost" in site.log(worker) or "state is gone" in site.log(worker)
    assert "3 of them no worker can start from" in site.run("offsite state check", code=1)
    before = site.published()
    told = site.follow("lose-the-state", "Commands")
    assert "3 partitions rebuilt" in "".join(told)
    site.follow("lose-the-state", "How to check it worked")
    site.excursion(site.names[0], 20)
    site.agrees()
    assert {key for key, _ in before} <= {key for key, _ in site.published()}
    assert len(site.excursions()) == 4


def test_a_workers_machine_is_lost(site):
    site.excursion(site.names[2], 5, ends=False)
    site.processes["offsite-worker@1"].kill()  # whatever it was doing
    site.stop("offsite-worker@1")
    for path in (site.folder / "worker-1").rglob("*"):
        path.unlink()
    site.excursion(site.names[0], 20)
    site.follow("lose-a-worker", "Commands")
    site.agrees(once=False)  # what came again carries the seq that it had
    assert dict(site.published()) == site.on_desk()
    site.follow("lose-a-worker", "How to check it worked")
    assert len(site.excursions()) == 4


def lose(site):
    """Lose the database: the file and what SQLite keeps beside it."""
    site.stop("offsite-desk")
    site.stop("offsite-archiver")
    site.store.close()
    for path in (site.folder / "lib").glob("offsite.db*"):
        path.unlink()


def acknowledged(site):
    from monitor.alarms.acknowledge import acknowledge
    from monitor.store.desk_tables import AlarmRow

    with site.store.writing() as session:
        alarm, revision = session.execute(select(AlarmRow.id, AlarmRow.revision).order_by(AlarmRow.start_ms)).first()
        acknowledge(session, alarm, revision=revision, actor="li.lei", now_ms=1, note="called QA")
    return alarm


def after_the_backup(site):
    """What happens between the backup and the loss: an alarm, a version, a new firm with a key, a key revoked."""
    warmer = site.names[2]
    site.register(warmer, version_of=lambda name: cold_store(name, tags=("CR1.T1", "CR1.T2")))
    site.register("BJ-NEW-0001")
    site.revoke(site.names[0])
    site.sent()
    site.excursion(site.names[1], 20)
    site.excursion("BJ-NEW-0001", 20)
    site.settled()


@pytest.mark.parametrize("backed_up", [True, False], ids=["with a backup", "without"])
def test_the_desks_database_is_lost(site, backed_up):
    site.settled()
    alarm = acknowledged(site)
    if backed_up:
        site.run("offsite users add li.lei --role lead")
        site.follow("README", "Before anything happens")
    after_the_backup(site)
    register, alarms, changes = site.in_force(), site.alarms(), site.on_desk()
    lose(site)
    site.excursion(site.names[2], 20)  # the firms post on
    site.follow("lose-the-store", "Commands" if backed_up else "Without a backup")
    site.reopen()
    site.agrees()
    site.follow("lose-the-store", "How to check it worked")
    assert changes.items() <= site.on_desk().items()
    now = site.alarms()
    for name, before in alarms.items():
        assert now[name][:4] == before[:4]
        assert now[name][5] == (before[5] if backed_up else None)
    assert (alarms[alarm][5], now[alarm][5]) == ("li.lei", "li.lei" if backed_up else None)
    assert site.in_force() == register
    keys = site.key_states()
    assert keys["BJ-NEW-0001"] == keys[site.names[1]] == "live"
    assert keys.get(site.names[0], "revoked") == "revoked"
    # Versions go on behind those in the log: the fold takes the next one.
    site.register(site.names[2], version_of=lambda name: cold_store(name, tags=("CR1.T1", "CR1.T3")))
    site.sent()
    site.excursion(site.names[2], 35)
    site.agrees()
