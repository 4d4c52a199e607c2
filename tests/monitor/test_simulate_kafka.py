"""The simulation on real parts: `offsite simulate` posts through the gateway into Kafka; the log folds to what the script says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from kafka import KafkaProducer

from monitor.register.files import read_register
from monitor.simulate.expectation import compare
from monitor.simulate.run import REGISTER
from monitor.simulate.script import read_script
from rules.evaluate import evaluate
from rules.pack import load_bundle
from rules.records import Kind, RegisterRecord
from streams.access import new_key
from streams.codec import encode
from streams.jsonlines import read_lines
from streams.topics import ACCESS, LOG
from tests.e2e.test_front_to_alarm import environment, gateway, running, until

pytestmark = pytest.mark.kafka
NAMES = ("BJ-WHS-0021", "BJ-HOS-0104")
FIRMS = [entry.logged() for entry in read_register(REGISTER).facilities if entry.id in NAMES]
SCRIPT = """\
schema: simulation/1
title: {zh: 试, en: Trial}
faults:
  - {fault: excursion, facility: BJ-WHS-0021, tag: CR1.T1, at: 3s, for: 10s, by: 8, why: {zh: 门, en: Door}, expect: [
      {rule: cold-chain.store-out, subject: {tag: CR1.T1}, severity: orange, raised: [3s, 40s], ended: [13s, 70s]}]}
  - {fault: bad-post, facility: BJ-HOS-0104, at: 1s, for: 6s, why: {zh: 错, en: Wrong}}
"""


def admit(settings):
    """Let the firms in as the desk's outbox does: keys, known tags and register records; returns the keys."""
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    keys, sent = {}, []
    for firm in FIRMS:
        keys[firm.id], digest = new_key()
        entry = {"name": "feed", "facilities": [firm.id], "endpoints": ["readings"]}
        tags = {"facility": firm.id, "tags": {sensor.tag: sensor.unit for sensor in firm.sensors}}
        headers, value = encode(RegisterRecord(version=1, facility=firm))
        for key, text in ((digest, entry), (f"f:{firm.id}", tags)):
            sent.append(producer.send(settings.topic(ACCESS), key=key.encode(), value=json.dumps(text).encode()))
        sent.append(producer.send(settings.topic(LOG), key=firm.id.encode(), value=value, headers=headers))
    for future in sent:
        future.get(timeout=20)
    producer.close()
    return keys


def logged(env):
    done = subprocess.run([sys.executable, "-m", "monitor", "log", "dump"], env=env, capture_output=True, check=True)
    return list(read_lines(done.stdout.splitlines(), "dump"))


@pytest.mark.slow  # in `make test`: the demo does the same
def test_firms_post_through_the_real_gateway_and_the_log_folds_to_the_scripts_promise(kafka_settings, tmp_path):
    env = environment(kafka_settings)
    path, keys_path = tmp_path / "script.yaml", tmp_path / "keys.json"
    path.write_text(SCRIPT, encoding="utf-8")
    script = read_script(path, FIRMS)
    packs = load_bundle(["default"])
    with gateway(kafka_settings, tmp_path) as (url, _):
        keys_path.touch(0o600)
        keys_path.write_text(json.dumps(admit(kafka_settings)), encoding="utf-8")
        arguments = ["simulate", "--gateway", url, "--keys", str(keys_path), "--script", str(path), "--history", "30"]
        arguments += [part for name in NAMES for part in ("--facility", name)]
        with running(*arguments, env=env, log=tmp_path / "simulate.log") as process:
            began = json.loads(process.stdout.readline())["began_ms"]
            until(
                lambda: any(
                    c.rule == "cold-chain.store-out" and c.change == "cleared" for c in evaluate(logged(env), packs)
                ),
                seconds=120,
            )
            process.terminate()
            counts = json.loads(process.stdout.readline())["facilities"]
            assert process.wait(60) == 0, (tmp_path / "simulate.log").read_text(encoding="utf-8")
    records = logged(env)
    result = compare(script, evaluate(records, packs), began=began, until=began + script.end)
    assert result.missing == []
    assert result.unexpected == []
    for firm in FIRMS:
        mine = [r for r in records if r.kind is Kind.READINGS and r.facility == firm.id]
        assert counts[firm.id]["posts"] == len(mine)
        assert counts[firm.id]["stored"] == sum(r.payload.time.size for r in mine)
        assert [r.payload.seq for r in mine] == list(range(mine[0].payload.seq, mine[0].payload.seq + len(mine)))
        assert all(r.payload.time.max() <= r.received for r in mine)
        assert counts[firm.id]["unknown_tags"] == counts[firm.id]["refused"] == 0
    assert counts["BJ-HOS-0104"]["broken_refused"] >= 1
    assert counts["BJ-HOS-0104"]["broken_taken"] == 0
