"""The runbooks, drilled: each disaster happens on real parts, and the commands of its page, as they stand there, mend it.

Long: processes are started and stopped as in an installation, a minute a drill. `make test` drills three of them, `make test-full`
all: the slow ones take several minutes each.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import select

from monitor.alarms.operators import open_alarms
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import LOG, STATE
from tests.coldlog import cold_store
from tests.e2e.drill import ROOT, UNITS, Installation, homes
from tests.e2e.test_front_to_alarm import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_200)]  # two to four minutes each


@contextmanager
def working(made):
    """An installation at work: three firms, one in each partition, one with an excursion that has ended, one that lasts."""
    with made:
        for unit in UNITS:
            made.start(unit, wait=False)
        for unit in UNITS:
            made.await_ready(unit)
        made.names = homes(made.kafka.partitions)
        made.register(*made.names)
        made.excursion(made.names[0], 0)
        made.excursion(made.names[1], 0, ends=False)
        made.post(made.names[2], 0, [5.0, 5.1, 5.0])
        until(lambda: len(made.excursions()) == 2, 120)
        yield made


@pytest.fixture
def site(kafka_settings, tmp_path):
    """An installation at work on the session's Kafka."""
    with working(Installation(tmp_path / "site", kafka_settings)) as made:
        yield made


def drop_topic(site, name):
    with admin.admin_client(site.kafka) as client:
        client.delete_topics([site.kafka.topic(name)])
        until(lambda: site.kafka.topic(name) not in client.list_topics())


def test_the_proofs_are_lost(site):
    gateway = f"http://127.0.0.1:{site.ports['offsite-gateway']}/v1/proofs"
    who = {"Authorization": f"Bearer {site.keys[site.names[0]]}"}
    sent = httpx.post(gateway, content=b"a proof", headers=who | {"Content-Type": "text/plain"}, timeout=30)
    assert sent.status_code == 201, sent.text
    site.follow("README", "Before anything happens")
    shutil.rmtree(site.folder / "var" / "proofs")
    proof = f"{gateway}/{sent.json()['sha256']}"
    assert httpx.get(proof, headers=who, timeout=30).status_code == 404
    with pytest.raises(AssertionError, match="holds proofs, and there is none"):
        site.follow("lose-the-proofs", "How to check it worked")
    site.follow("lose-the-proofs", "Commands")
    assert httpx.get(proof, headers=who, timeout=30).content == b"a proof"
    assert httpx.get(gateway, headers=who, timeout=30).json()["proofs"] == [sent.json()]
    site.follow("lose-the-proofs", "How to check it worked")


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
        rule, firm, _, start, *_ = before
        assert (now[name][0], now[name][1], now[name][3]) == (rule, firm, start)
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


NEWER = """
import pathlib, runpy, shutil, sys
import rules.migrate, rules.snapshot
rules.migrate.FORMAT = rules.snapshot.FORMAT = 4
rules.migrate.MIGRATORS[3] = dict
import monitor.store.schema as schema
folder = pathlib.Path({folder!r})
if not folder.exists():
    shutil.copytree(schema.MIGRATIONS, folder)
    (folder / "versions" / "0099_future.py").write_text(
        "import sqlalchemy as sa\\nfrom alembic import op\\nrevision, down_revision = '0099', {head!r}\\n"
        "branch_labels = depends_on = None\\n"
        "def upgrade():\\n    op.add_column('alarm', sa.Column('future', sa.Text(), nullable=True))\\n"
        "def downgrade():\\n    op.drop_column('alarm', 'future')\\n"
    )
schema.MIGRATIONS = folder
from monitor.cli import main
main()
"""
"""A release of tomorrow: its snapshots have another format, its tables one more column."""


def test_a_release_goes_back(site, tmp_path):
    from monitor.store.schema import head

    site.settled()
    site.follow("README", "Before anything happens")
    newer = tmp_path / "newer.py"
    newer.write_text(NEWER.format(folder=str(tmp_path / "migrations"), head=head()))
    for unit in ("offsite-desk", "offsite-archiver", "offsite-worker@1"):
        site.stop(unit)
    site.release(ROOT, str(newer))
    site.run("offsite store upgrade")
    for unit in ("offsite-archiver", "offsite-worker@1", "offsite-desk"):
        site.start(unit)
    site.excursion(site.names[2], 5, ends=False)
    site.settled()
    alarm = acknowledged(site)  # what people do under the new release
    published = site.published()
    site.install = lambda: site.release(ROOT)
    site.follow("roll-back", "Commands")
    assert site.alarms()[alarm][5] == "li.lei"
    site.excursion(site.names[0], 20)
    site.agrees()
    assert dict(published).items() <= dict(site.published()).items()
    site.follow("roll-back", "How to check it worked")
    assert "bad_state" not in {row.get("code") for row in site.rejected()}


NEWER_SEMANTICS = """
import rules.records
now = rules.records.SEMANTICS
rules.records.SEMANTICS, rules.records.ADOPTS = now + 1, frozenset({now})
import rules.engine
fold = rules.engine.Engine.fold
def otherwise(self, record):
    found = fold(self, record)
    return [c.model_copy(update={"message": c.message.model_copy(update={"en": c.message.en + " (2)"})}) for c in found]
rules.engine.Engine.fold = otherwise
from monitor.cli import main
main()
"""
"""A release whose engine decides otherwise, as every text of its changes shows."""


def test_a_release_has_another_engine_semantics(site, tmp_path):
    site.settled()
    (ended, lasts), old = sorted(site.excursions(), key=lambda name: site.alarms()[name][4] is None), site.published()
    newer = tmp_path / "newer.py"
    newer.write_text(NEWER_SEMANTICS)

    def install():
        site.post(site.names[1], 7, [5.0, 5.1, 5.0, 5.1, 5.0])  # comes between: the new engine ends the old one's alarm
        site.release(ROOT, str(newer))
        assert "3 of them no worker can start from" in site.run("offsite state check", code=1)
        site.start("offsite-worker@1", wait=False)
        assert site.processes.pop("offsite-worker@1").wait(120) == 4

    site.install = install
    site.follow("new-semantics", "Commands")
    site.excursion(site.names[0], 20)
    until(lambda: len(site.excursions()) == 3, 120)
    site.settled()
    site.follow("new-semantics", "How to check it worked")
    published = site.published()
    keys = [key for key, _ in published]
    assert len(keys) == len(set(keys)), "a change was published twice"
    for stream in {stream for stream, _ in keys}:  # dense: nothing is missing between the engines
        assert sorted(seq for name, seq in keys if name == stream) == list(range(1, keys_of(keys, stream) + 1))
    assert [body for body in dict(old).items() if dict(published)[body[0]] != body[1]] == []
    assert all("(2)" in body for key, body in published if key not in dict(old))
    assert dict(published) == site.on_desk()
    alarms = site.alarms()
    assert alarms[ended][2] == alarms[lasts][2] == "cleared"
    # From the seeds on the new engine gives from the log what was published.
    (seed,) = [r for r in site.topic(LOG) if dict(r.headers)["kind"] == b"state" and r.key == site.names[0].encode()]
    assert sum(dict(r.headers)["kind"] == b"state" for r in site.topic(LOG)) == 3
    lines = site.run(f"offsite log dump --facility {site.names[0]}").splitlines()
    (site.folder / "since.jsonl").write_text(
        "".join(line + "\n" for line in lines if json.loads(line)["offset"] >= seed.offset)
    )
    told = site.run("offsite evaluate --pack default --log since.jsonl").splitlines()
    since = {(value["stream"], value["seq"]): line for line in told for value in [json.loads(line)]}
    mine = {key: body for key, body in published if key in since}
    assert mine
    assert {key: since[key] for key in mine} == mine


def keys_of(keys, stream):
    return max(seq for name, seq in keys if name == stream)


def test_all_of_kafka_is_lost(tmp_path):
    broker = EmbeddedBroker(tmp_path / "kafka").start()
    try:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=3)
        admin.create(settings)
        with working(Installation(tmp_path / "site", settings)) as site:
            site.settled()
            alarm = acknowledged(site)
            site.follow("README", "Before anything happens")
            site.excursion(site.names[2], 5, ends=False)  # behind the backup, but archived
            site.settled()
            site.archived()
            published, changes, alarms, acts = site.published(), site.on_desk(), site.alarms(), site.acts()
            site.stop("offsite-gateway")
            site.archived()  # the door is shut, the archiver has read what there is
            broker.kill()
            shutil.rmtree(broker.folder / "data")

            site.install = broker.start
            site.follow("lose-the-broker", "Commands")
            assert site.acts() == acts
            assert site.alarms().items() >= {name: row for name, row in alarms.items() if row[2] != "active"}.items()
            assert site.alarms()[alarm][5] == "li.lei"
            again = {key for key, _ in site.published()} & {key for key, _ in published}
            assert not again, "what was published is published again"
            site.excursion(site.names[0], 20)
            until(lambda: len(site.excursions()) == 4, 120)
            assert changes.items() <= site.on_desk().items()
            site.follow("lose-the-broker", "How to check it worked")
            with site.store.reading() as session:
                wrong = [
                    a.code
                    for a in open_alarms(session)
                    if a.code in {"stream-gap", "conflicting-change", "archive_gap"}
                ]
            assert wrong == []
            # The whole history, from the archive, gives what the desk has: ids and seqs go on where they were.
            site.archived()
            lines = site.run(
                "offsite log dump --from-archive --output log.jsonl && offsite evaluate --log log.jsonl --pack default"
            )
            offline = {(v["stream"], v["seq"]): line for line in lines.splitlines() for v in [json.loads(line)]}
            desk = site.on_desk()
            assert {key: desk[key] for key in offline if key in desk} == {k: v for k, v in offline.items() if k in desk}
            assert set(changes) <= set(offline)
    finally:
        broker.stop()
