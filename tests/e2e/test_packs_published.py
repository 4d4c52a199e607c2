"""Packs published to a real Kafka under a real worker: what comes after is judged by the new numbers, what was before stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rules.changes import Change
from rules.pack import default_bundle, load_bundle
from rules.records import Kind, Readings, RegisterRecord
from rules.register import Facility
from streams.codec import encode, home_of
from streams.topics import LOG
from tests.calibrated import CALIBRATION
from tests.e2e.test_front_to_alarm import changes_of, environment, running, until
from tests.monitor.packs.files import STRICTER, pack
from tests.streams.packing import producing

pytestmark = [pytest.mark.kafka, pytest.mark.long]
RULE = "cold-chain.store-out"
FACILITY = Facility.model_validate(
    {
        "id": "BJ-MFR-0007",
        "name": {"zh": "京北生物制品有限公司（模拟）", "en": "Jingbei Biologics (simulated)"},
        "jurisdiction": "110115",
        "scopes": [{"field": "manufacture", "line": "drug"}],
        "areas": [{"id": "CR1", "kind": "cold-room"}],
        "sensors": [
            {
                "tag": tag,
                "area": "CR1",
                "quantity": "temperature",
                "unit": "Cel",
                "interval": "60s",
                "calibration": CALIBRATION,
            }
            for tag in ("T1", "T2")
        ],
    }
)


class Firm:
    """Posts both tags minute by minute, straight into the log."""

    def __init__(self, settings):
        self.settings, self.minute = settings, 0
        self.begin = (int(time.time() * 1000) // 60_000 - 60) * 60_000

    def append(self, payload):
        headers, value = encode(payload)
        with producing(self.settings) as producer:
            topic, partition = self.settings.topic(LOG), home_of(FACILITY.id, self.settings.partitions)
            key = FACILITY.id.encode()
            return producer.send(topic, value, key=key, headers=headers, partition=partition).get(timeout=20)

    def post(self, *rows):
        """Post rows of (T1, T2)."""
        times = [self.begin + 60_000 * (self.minute + i) for i in range(len(rows))]
        self.minute += len(rows)
        values = [row[0] for row in rows] + [row[1] for row in rows]
        count = len(rows)
        return self.append(
            Readings(
                f"b{self.minute}", ("T1", "T2"), np.array([count, count], np.int32), np.array(times * 2, np.int64),
                np.array(values, np.float64), np.zeros(2 * count, np.uint8),
            )
        )  # fmt: skip


def offsite(env, *arguments, given=None):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, arguments)], env=env, input=given, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def of_rule(settings):
    return [change for change in changes_of(settings) if change.rule == RULE]


def test_a_published_limit_judges_what_comes_after_and_leaves_what_was_before(kafka_settings, tmp_path):
    env = environment(
        kafka_settings, OFFSITE_STORE_URL=f"sqlite:///{tmp_path}/store.db", OFFSITE_WORKER_PORT="0",
        OFFSITE_WORKER_CHECKPOINT_S="1", OFFSITE_WORKER_SESSION_TIMEOUT_S="6", OFFSITE_WORKER_TICK_S="1",
        OFFSITE_WORKER_FOLDER=str(tmp_path / "worker"),
    )  # fmt: skip
    folder = pack(tmp_path / "stricter", *STRICTER)
    old, new = default_bundle().sha256, load_bundle([folder]).sha256
    firm = Firm(kafka_settings)
    firm.append(RegisterRecord(version=1, facility=FACILITY))
    with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        firm.post(*[(5.0, 5.0)] * 3, *[(9.0, 7.5)] * 4)  # T1 is outside; 7.5 is inside 2 to 8
        before, *_ = until(lambda: of_rule(kafka_settings), 90)  # where the machine stands still, `unknown` follows
        assert (before.subject, before.version, before.packs) == ({"tag": "T1"}, "1.0.0", old)

        out = offsite(env, "packs", "publish", folder, "--yes", "--actor", "li.lei").decode()
        assert "/limits/from/high: 8.0 -> 7.0" in out
        firm.post(*[(9.0, 7.5)] * 3)  # the same values, and 7.5 is outside 2 to 7
        raised = until(lambda: [c for c in of_rule(kafka_settings) if c.subject == {"tag": "T2"}], 60)
        assert raised[0].change == "raised"  # on a machine that stands still for minutes it may be `unknown` next
        assert {(c.version, c.packs) for c in raised} == {("1.1.0", new)}
        assert raised[0].start == firm.begin + 60_000 * 7  # nothing that was decided before is decided again
        assert [limit.value for limit in raised[0].evidence.limits if limit.value in {7.0, 8.0}] == [7.0]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with running("worker", env=env, log=tmp_path / "worker.log"):
        firm.post(*[(6.6, 6.6)] * 4)  # inside 8, in the deadband of 7: neither ends
        firm.post(*[(5.0, 5.0)] * 4)
        cleared = until(lambda: [c for c in of_rule(kafka_settings) if c.change == "cleared"], 90)
        until(lambda: len([c for c in of_rule(kafka_settings) if c.change == "cleared"]) == 2, 30)
        assert cleared[0].end == firm.begin + 60_000 * 14
        shown = json.loads(offsite(env, "packs", "show", "--json"))
    assert {(row["sha256"], row["actor"]) for row in shown} == {(new, "li.lei")}
    # The first raise stands as it was published.
    live = changes_of(kafka_settings)
    again = next(c for c in live if c.alarm == before.alarm and c.change == "raised")
    assert again == before

    dump = offsite(env, "log", "dump")
    packs = [json.loads(line) for line in dump.splitlines() if b'"kind":"packs"' in line]
    assert [(row["partition"], row["offset"], row["received"]) for row in packs] == [
        (row["partition"], row["offset"], row["since"]) for row in shown
    ]
    assert {row["data"]["sha256"] for row in packs} == {new}
    for arguments, given in ((("--log", "-"), dump), (("--facility", FACILITY.id, "--log", "-"), dump)):
        folded = [
            Change.model_validate_json(line)
            for line in offsite(env, "evaluate", "--pack", "default", *arguments, given=given).splitlines()
        ]
        assert [c.to_json(source=False) for c in live] == [c.to_json(source=False) for c in folded][: len(live)]
    # A cut behind the publication carries the packs along; loaded into another topic and dumped again nothing is lost.
    cut = offsite(env, "log", "dump", "--facility", FACILITY.id, "--from", shown[0]["since"])
    kinds = [json.loads(line)["kind"] for line in cut.splitlines()]
    assert Kind.STATE.value in kinds
    file = tmp_path / "dump.jsonl"
    file.write_bytes(dump)
    offsite(env, "log", "load", file, "--topic", "again")
    reloaded = offsite(env, "log", "dump", "--topic", "again")
    assert [json.loads(a)["data"] for a in reloaded.splitlines()] == [json.loads(a)["data"] for a in dump.splitlines()]
    back_test = offsite(env, "evaluate", "--pack", "default", "--ignore-pack-records", "--log", "-", given=dump)
    assert {json.loads(line)["packs"] for line in back_test.splitlines()} == {old}
    assert not [
        c for c in map(json.loads, back_test.splitlines()) if c["rule"] == RULE and c["subject"] == {"tag": "T2"}
    ]
