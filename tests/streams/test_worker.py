"""The worker's settings, app and log filter; what needs a broker is in test_worker_kafka and test_worker_kills."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import pytest
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaTimeoutError, ProducerFenced
from pydantic import ValidationError

from rules.errors import BadInputError
from rules.records import Kind, LogRecord, Rejected
from streams import worker
from streams.app import create_app
from streams.group import client_id
from streams.names import InstanceTakenError, thrown_out
from streams.sensor import DROPPED, REJECTED_CODES, Sensor
from streams.settings import KafkaSettings
from streams.worker import RateLimit, explained
from streams.worker_settings import WorkerSettings
from tests.rules import logs
from tests.streams.toy import ToyFold


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise AssertionError(reason) from error


async def test_the_app_has_the_measured_settings() -> None:
    settings = WorkerSettings(instance="w7", kafka=KafkaSettings(bootstrap="127.0.0.1:1,127.0.0.1:2"))
    app = create_app(settings, ToyFold(), halt=halt)
    conf = app.conf
    assert conf.id == "offsite-fold"
    assert [str(url) for url in conf.broker] == ["offsite://127.0.0.1:1", "offsite://127.0.0.1:2"]
    assert conf.consumer_group_instance_id == "w7"
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (10.0, 3.0)
    assert conf.broker_max_poll_interval > 365 * 86_400, "a standby fetches nothing and must stay in the group"
    assert conf.broker_client_id == client_id(settings)
    assert conf.producer_linger == 0
    assert conf.stream_wait_empty
    assert conf.cython_optimizations
    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader
    assert str(conf.store) == "memory:"
    assert not conf.web_enabled
    assert 0 < conf.stream_buffer_maxsize <= 1_024


async def test_one_agent_at_concurrency_one_reads_the_log_without_acks() -> None:
    app = create_app(WorkerSettings(), ToyFold(), halt=halt)
    (agent,) = app.agents.values()
    assert agent.concurrency == 1
    assert tuple(agent.channel.topics) == ("offsite.log.v1",)
    assert not agent.channel.acks
    assert list(app.boot_strategy.web_server()) == []


async def test_without_a_fold_it_is_the_engine_with_the_shipped_packs() -> None:
    app = create_app(WorkerSettings(), halt=halt)
    assert app.custody.fold.bundle.rules


@pytest.mark.parametrize(
    "changes",
    [
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "username": "worker"},
        {"security_protocol": "SSL"},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "worker"},
    ],
)
async def test_faust_gets_the_same_security_as_our_clients(changes: dict[str, Any], tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    kafka = KafkaSettings.model_validate(changes | ({"password_file": secret} if "username" in changes else {}))
    credentials = create_app(WorkerSettings(kafka=kafka), ToyFold(), halt=halt).conf.broker_credentials
    assert credentials.protocol.value == changes["security_protocol"]
    if "username" in changes:
        assert (credentials.username, credentials.password) == ("worker", "hush")
        assert credentials.mechanism.value == changes["sasl_mechanism"]
    assert "hush" not in repr(credentials)


def test_the_topics_and_the_group_carry_the_prefix_of_the_installation() -> None:
    settings = WorkerSettings(kafka=KafkaSettings(topic_prefix="t."))
    assert settings.log_topic == "t.offsite.log.v1"
    assert settings.group_id == "t.offsite-fold"
    assert {settings.alarms_topic, settings.state_topic, settings.rejected_topic} == {
        "t.offsite.alarms.v1",
        "t.offsite.state.v1",
        "t.offsite.rejected.v1",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance": ""},
        {"instance": "a b"},
        {"checkpoint_every_s": 0},
        {"hold_rows": 0},
        {"recovery_timeout_s": 90},
        {"port": -1},
        {"surprise": 1},
    ],
)
def test_settings_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate(wrong)


def test_the_probes_listen_on_loopback_unless_told_otherwise() -> None:
    assert WorkerSettings().host == "127.0.0.1"


def line(place: int, text: str = "away") -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "client.py", place, text, None, None)


def test_lines_of_one_place_are_passed_once_per_interval_and_the_rest_is_counted() -> None:
    now = 0.0
    limit = RateLimit(5.0, lambda: now)
    assert limit.filter(line(1))
    assert not any(limit.filter(line(1)) for _ in range(100))
    assert limit.filter(line(2)), "another place has its own turn"
    now = 5.0
    late = line(1)
    assert limit.filter(late)
    assert "100 more lines like this left out" in late.getMessage()
    now = 10.0
    again = line(1)
    assert limit.filter(again)
    assert again.getMessage() == "away"


def test_every_label_stands_at_zero_from_the_start() -> None:
    sensor = Sensor()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in sensor.registry.collect()
        for sample in metric.samples
    }
    for code in REJECTED_CODES:
        assert found["offsite_worker_rejected_total", code] == 0
    for kind in Kind:
        assert found["offsite_worker_records_total", kind.value] == 0
    for why in DROPPED:
        assert found["offsite_worker_dropped_total", why] == 0


def test_labels_stay_bounded_whatever_a_record_says() -> None:
    sensor = Sensor()
    sensor.rejected(Rejected(0, 0, 0, "FAC-0", "a-code-nobody-knows", "", b""))
    assert sensor.rejects.labels("other")._value.get() == 1


def test_readings_and_changes_are_counted() -> None:
    sensor, fold = Sensor(), ToyFold()
    payload = logs.readings([logs.Row("T1", 1_767_225_600_000, 1.0), logs.Row("T1", 1_767_225_660_000, 2.0)])
    record = LogRecord(0, 0, 1_767_225_600_000, Kind.READINGS, "FAC-0", payload)
    for change in fold.fold(record):
        sensor.changed(change)
    sensor.folded(record, 120)
    assert sensor.log_bytes._value.get() == 120
    assert sensor.readings._value.get() == 2
    assert sensor.changes.labels("raised")._value.get() == 1
    assert sensor.records.labels("readings")._value.get() == 1


def test_the_environment_reaches_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.commands.worker import _settings

    monkeypatch.setenv("OFFSITE_WORKER_CHECKPOINT_S", "2.5")
    monkeypatch.setenv("OFFSITE_WORKER_CHUNKED", "false")
    monkeypatch.setenv("OFFSITE_KAFKA_TOPIC_PREFIX", "t.")
    settings = _settings({"instance": "w9", "port": 0}, 12)
    assert (settings.checkpoint_every_s, settings.chunked, settings.instance, settings.port) == (2.5, False, "w9", 0)
    assert (settings.kafka.partitions, settings.kafka.topic_prefix) == (12, "t.")


def test_a_wrong_setting_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.commands.worker import _settings

    monkeypatch.setenv("OFFSITE_WORKER_CHECKPOINT_S", "0")
    with pytest.raises(BadInputError) as caught:
        _settings({}, None)
    assert "OFFSITE_WORKER_CHECKPOINT_S" in caught.value.report()


@pytest.mark.parametrize("error", [ProducerFenced(), InvalidProducerEpoch(), IllegalOperation("not in transaction")])
@pytest.mark.parametrize("taken", [True, False], ids=["by a twin", "by nobody that is seen"])
def test_a_producer_that_was_fenced_asks_who_took_its_place(
    error: Exception, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = WorkerSettings(instance="w7")
    monkeypatch.setattr(worker, "twin", lambda *_: thrown_out(settings) if taken else None)
    with pytest.raises(AssertionError, match="cannot publish") as halted:
        explained(settings, frozenset, halt)("cannot publish", error)
    if taken:
        assert isinstance(halted.value.__cause__, InstanceTakenError)
    else:
        assert halted.value.__cause__ is error


def test_what_is_no_fence_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "twin", lambda *_: pytest.fail("it asked"))
    error = KafkaTimeoutError()
    with pytest.raises(AssertionError, match="cannot publish") as halted:
        explained(WorkerSettings(), frozenset, halt)("cannot publish", error)
    assert halted.value.__cause__ is error
