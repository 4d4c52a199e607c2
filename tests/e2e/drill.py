"""An installation whose disasters are drilled: its processes, firms that post, and the commands of a runbook page, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import httpx
from sqlalchemy import select

from monitor.alarms.incoming import read_change
from monitor.archive.index import next_offsets
from monitor.register.keys import every, issue, live, revoke
from monitor.register.store import import_register, newest
from monitor.store.desk_tables import ActionRow, AlarmRow, ChangeRow, NoticeRow
from monitor.store.schema import ensure_ready
from monitor.store.session import Store
from monitor.store.tables import OutboxLane
from rules.canonical import canonical_bytes
from rules.engine import Engine
from rules.fitting import fit
from rules.pack import default_bundle
from rules.records import LogRecord
from rules.register import RegisterFile
from streams.codec import home_of, placed
from streams.dump import open_log
from streams.ports import free_port
from streams.repair import group_offsets
from streams.topics import ALARMS, LOG, REJECTED
from streams.worker_settings import WorkerSettings
from tests.coldlog import cold_store
from tests.e2e.test_front_to_alarm import until

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "runbooks"
MINUTE = 60_000
LONG_S = 180
UNITS = ("offsite-gateway", "offsite-worker@1", "offsite-archiver", "offsite-desk")


def commands(page, heading):
    """Return the commands under a heading of a page: each line of its `sh` blocks."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    (part,) = [part for part in parts if part.partition("\n")[0].strip() == heading]
    blocks = re.findall(r"^```sh\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
    found = [
        line
        for block in blocks
        for line in block.splitlines()
        if line.strip() and (line.startswith("# install") or not line.startswith("#"))
    ]
    assert found, f"{page}: nothing under {heading}"
    return found


class Installation:
    """Everything but the broker. A context manager: leaving it ends every process."""

    def __init__(self, folder, kafka, **more):
        self.folder, self.kafka = folder, kafka
        self.ports = {unit: free_port() for unit in (*UNITS, "offsite-worker@2")}
        self.processes = {}
        self.entry = ["-m", "monitor"]
        """How Python is told to run `offsite`: a drill puts another release in its place."""
        self.firms = {}
        self.keys = {}
        self.begin = (time.time_ns() // 1_000_000 // MINUTE - 40) * MINUTE
        self.posts = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFSITE_")}
        self.env = kept | {
            "PATH": f"{folder}/bin:{kept['PATH']}", "PYTHONPATH": str(ROOT),
            "OFFSITE_KAFKA_BOOTSTRAP": kafka.bootstrap, "OFFSITE_KAFKA_PARTITIONS": str(kafka.partitions),
            "OFFSITE_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "OFFSITE_STORE_URL": f"sqlite:///{folder}/lib/offsite.db", "OFFSITE_ARCHIVER_FOLDER": f"{folder}/lib/archive",
            "OFFSITE_ARCHIVER_FLUSH_S": "0.3", "OFFSITE_ARCHIVER_IDLE_FLUSH_S": "0.5", "OFFSITE_ARCHIVER_LEASE_S": "2",
            "OFFSITE_WORKER_CHECKPOINT_S": "1", "OFFSITE_WORKER_SNAPSHOT_S": "3", "OFFSITE_WORKER_TICK_S": "1",
            "OFFSITE_WORKER_SESSION_TIMEOUT_S": "6", "OFFSITE_GATEWAY_TICK_S": "1", "BACKUP": f"{folder}/backup",
        } | more  # fmt: skip
        (folder / "bin").mkdir(parents=True)
        (folder / "lib").mkdir()
        self.release(ROOT)
        self.store = Store(self.env["OFFSITE_STORE_URL"])
        ensure_ready(self.store)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for unit in list(self.processes):
            self.stop(unit, signal.SIGKILL)
        self.store.close()

    def release(self, root, *entry):
        """Put a release in place: what `offsite` runs from now on."""
        self.entry = list(entry) or ["-m", "monitor"]
        self.env["PYTHONPATH"] = str(root)
        program = self.folder / "bin" / "offsite"
        line = shlex.join([sys.executable, *self.entry])
        program.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        program.chmod(0o755)

    def install(self):
        """What a page means by installing a release; a drill says which."""
        raise AssertionError("this page installs a release, and its drill does not say which")

    def start(self, unit, *, wait=True, **more):
        kind, _, number = unit.removeprefix("offsite-").partition("@")
        env = self.env | {f"OFFSITE_{kind.upper()}_PORT": str(self.ports[unit])}
        if number:
            env |= {
                "OFFSITE_WORKER_INSTANCE": f"host-{number}",
                "OFFSITE_WORKER_FOLDER": f"{self.folder}/worker-{number}",
            }
        with (self.folder / f"{unit}.log").open("ab") as log:
            self.processes[unit] = subprocess.Popen(
                [sys.executable, *self.entry, kind], env=env | more, stdout=log, stderr=log, cwd=self.folder
            )
        if wait:
            self.await_ready(unit)

    def await_ready(self, unit):
        try:
            until(lambda: self.ready(unit), LONG_S)
        except AssertionError as error:
            raise AssertionError(f"{unit} is not ready: {self.log(unit)[-3000:]}") from error

    def ready(self, unit):
        code = self.processes[unit].poll()
        assert code is None, f"{unit} ended with {code}: {self.log(unit)[-1500:]}"
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[unit]}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, unit, number=signal.SIGTERM):
        process = self.processes.pop(unit)
        if process.poll() is None:
            process.send_signal(number)
        return process.wait(30)

    def log(self, unit):
        return (self.folder / f"{unit}.log").read_text(errors="replace")

    def run(self, line, code=0):
        """Run one command of a page; `systemctl` is this installation's."""
        if line.startswith("# install"):
            self.install()
            return ""
        words = shlex.split(line, comments=True)
        if words[:1] == ["systemctl"]:
            assert words[1] in {"start", "stop"}, line
            for name in words[2:]:
                if words[1] == "stop":
                    for unit in [unit for unit in self.processes if fnmatch(unit, name)]:
                        self.stop(unit)
                else:
                    self.start(name)
            return ""
        done = subprocess.run(
            ["bash", "-euc", line], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=LONG_S, check=False
        )  # fmt: skip
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def follow(self, page, heading):
        """Run all commands under a heading of a page."""
        return [self.run(line) for line in commands(page, heading)]

    def register(self, *ids, version_of=cold_store):
        """Import firms into the register, and give each that is new a key."""
        entries = [version_of(name).model_dump(mode="json", by_alias=True, exclude_none=True) for name in ids]
        now = time.time_ns() // 1_000_000
        with self.store.writing() as session:
            import_register(session, RegisterFile.model_validate({"facilities": entries}), "li.lei", now)
            for name in ids:
                if name not in self.keys:
                    made = issue(session, name=name, facilities=[name], actor="li.lei", now_ms=now)
                    self.keys[name] = made.key

    def revoke(self, name):
        """Revoke a firm's key."""
        now = time.time_ns() // 1_000_000
        with self.store.writing() as session:
            (row,) = live(session, name, now)
            revoke(session, row.id, now)

    def sent(self):
        """Wait until the desk has sent what was decided."""

        def waits():
            with self.store.reading() as session:
                return sum(session.scalars(select(OutboxLane.unsent)))

        until(lambda: waits() == 0, LONG_S)

    def key_states(self):
        """Return the state of every firm's newest key, and the register in force."""
        with self.store.reading() as session:
            return {row.name: "live" if row.revoked_ms is None else "revoked" for row in every(session)}

    def in_force(self):
        """Return the registered facts by facility, with their versions."""
        with self.store.reading() as session:
            return {name: (row.version, row.data) for name, row in newest(session).items()}

    def post(self, name, minute, values):
        """Post a batch of one firm: a value a minute from `minute` on; again until there is a receipt."""
        self.posts += 1
        times = [self.begin + (minute + i) * MINUTE for i in range(len(values))]
        body = {"batch": f"b-{self.posts}", "series": [{"tag": "CR1.T1", "time": times, "value": values}]}
        url = f"http://127.0.0.1:{self.ports['offsite-gateway']}/v1/readings"

        def stored():
            try:
                answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {self.keys[name]}"}, timeout=20)
            except httpx.HTTPError:
                return False
            assert answer.status_code in {202, 401, 403, 429, 503}, answer.text
            return answer.status_code == 202

        until(stored, 60)

    def excursion(self, name, minute, *, ends=True):
        """Post an excursion of five minutes, and its end if it has one."""
        self.post(name, minute, [5.0, 5.1, 9.5, 9.6, 9.7, 9.8, 9.9] + [5.0, 5.1, 5.0, 5.1] * ends)

    def settled(self):
        """Wait until all that stands in the log is folded, on the desk and archived; the log may grow on by ticks."""
        ends = self.ends(LOG)
        until(lambda: all(group_offsets(self.worker_settings).get(p, 0) >= end for p, end in ends.items()), LONG_S)
        changes = {key for key, _ in self.published()}
        until(lambda: changes <= set(self.on_desk()), LONG_S)
        return changes

    def archived(self):
        """Wait until all that stands in log and changes now is archived."""
        ends = {topic: self.ends(topic) for topic in (LOG, ALARMS)}

        def done():
            with self.store.reading() as session:
                stands = next_offsets(session)
            return all(stands.get((topic, p), 0) >= end for topic, mine in ends.items() for p, end in mine.items())

        until(done, LONG_S)

    @property
    def worker_settings(self):
        return WorkerSettings(kafka=self.kafka)

    def ends(self, topic):
        with open_log(self.kafka, self.kafka.topic(topic)) as log:
            return {partition: end for partition, _, end in log.places}

    def topic(self, name):
        with open_log(self.kafka, self.kafka.topic(name)) as log:
            return [record for place in log.places for record in log.raw(place)]

    def published(self):
        """Return what stands in the topic of changes: ((stream, seq), body), in its order."""
        found = [read_change(record.value) for record in self.topic(ALARMS)]
        return [((change.stream, change.seq), body) for change, body in found]

    def rejected(self):
        return [json.loads(record.value) for record in self.topic(REJECTED)]

    def on_desk(self):
        with self.store.reading() as session:
            return {(row.stream, row.seq): row.body for row in session.scalars(select(ChangeRow))}

    def alarms(self):
        """Return the desk's alarms by id, with what people did."""
        with self.store.reading() as session:
            return {
                row.id: (row.rule, row.facility, row.status, row.start_ms, row.end_ms, row.acknowledged_by)
                for row in session.scalars(select(AlarmRow))
            }

    def excursions(self):
        """Return those alarms that are excursions; silences come by themselves."""
        return [name for name, alarm in self.alarms().items() if alarm[0] == "cold-chain.store-out"]

    def rows(self, *tables):
        with self.store.reading() as session:
            return [sorted(map(repr, map(tuple, session.execute(select(table.__table__)).all()))) for table in tables]

    def acts(self):
        return self.rows(ActionRow, NoticeRow)

    def reopen(self):
        """Open the store anew: its file is another one now."""
        self.store.close()
        self.store = Store(self.env["OFFSITE_STORE_URL"])

    def offline(self):
        """Fold the log in this process, with this release's engine; returns the bodies of the changes."""
        engine = Engine(default_bundle())
        found = {}
        with open_log(self.kafka, self.kafka.topic(LOG)) as log:
            for read in log.records():
                record = placed(read, self.kafka.partitions)
                if isinstance(record, LogRecord):
                    for change in map(fit, engine.fold(record)):
                        found[change.stream, change.seq] = canonical_bytes(change.to_json(source=False)).decode()
        return found

    def agrees(self, *, once=True):
        """Assert that published changes, the desk and the offline fold of the log are the same, none twice, none missing.

        Returns what the offline fold gives.
        """
        self.settled()
        published = self.published()
        keys = [key for key, _ in published]
        if once:
            assert len(keys) == len(set(keys)), "a change was published twice"
        bodies = dict(published)
        offline = self.offline()
        shared = {key: offline[key] for key in bodies if key in offline}
        assert {key: bodies[key] for key in shared} == shared
        assert set(bodies) <= set(offline), set(bodies) - set(offline)
        until(lambda: set(offline) <= set(self.on_desk()), LONG_S)
        desk = self.on_desk()
        assert {key: desk[key] for key in offline} == offline
        return offline


def homes(partitions, count=1):
    """Return ids of firms: `count` for each partition."""
    found = {partition: [] for partition in range(partitions)}
    number = 0
    while any(len(ids) < count for ids in found.values()):
        name = f"BJ-WHS-{number:04d}"
        found[home_of(name, partitions)].append(name)
        number += 1
    return [name for ids in found.values() for name in ids[:count]]
