"""Sending again changes nothing, whenever and through whichever door (contracts.md §1); two gateways tick and harm nobody."""

from __future__ import annotations

import asyncio
import json

import pytest
from kafka import KafkaProducer

from rules.engine import Engine
from rules.evaluate import evaluate
from rules.records import RegisterRecord
from streams.codec import encode
from streams.jsonlines import read_lines
from streams.topics import LOG
from tests.e2e.test_front_to_alarm import until
from tests.monitor.gateway_real import admit_firms, dump, gateway_process, get, post
from tests.rules.byhand import BUNDLE, HandLog, ms, sensor
from tests.rules.logs import facility

CONFLICT = "data-integrity.revision-conflict"
MINUTE = 60_000
BEGIN = 1_772_323_200_000
FIRM = "FIRM-0000"
HOURS = 360
EXCURSION = [5.0] * 10 + [9.0] * 5 + [5.0] * 16
POSTS = [(10, "b0", range(10)), (15, "b1", range(10, 15)), (31, "b2", range(15, 31))]


def told(changes):
    """Return the changes without where they stood in the log."""
    return [change.to_json(source=False) for change in changes]


def of_rows(changes):
    """Return them without what is said of a batch that comes with other content."""
    return [change | {"seq": 0} for change in changes if change["rule"] != CONFLICT]


def story(*repeats, doors=(0.0,), away=range(0)):
    """Fold one excursion in three batches, six hours long, a tick a minute.

    Args:
        repeats: (minute of receipt, batch, minutes, values) besides.
        doors: seconds in the minute at which each gateway ticks.
        away: minutes in which the first gateway does not tick.
    """
    log = HandLog().register(0, sensor())
    posts = [(at, name, minutes, [EXCURSION[m] for m in minutes]) for at, name, minutes in POSTS]
    for minute in range(HOURS):
        ticks = [(minute + second / 60, i) for i, second in enumerate(doors) if i or minute not in away]
        for at, _ in sorted(ticks):
            log.tick(at + 0.001)
        for due, name, minutes, values in [*posts, *repeats]:
            if due == minute:
                log.rows(minute + 0.99, ("T1", list(minutes), values), batch=name)
    return log.changes()


PLAIN = told(story())


@pytest.mark.parametrize("minute", [16, 32, 90, 200, 350])
@pytest.mark.parametrize("changed", [False, True], ids=["the-same", "other-values"])
def test_a_batch_id_again_changes_nothing_of_what_was_decided(minute, changed):
    assert "cold-chain.store-out" in {change["rule"] for change in PLAIN}
    values = [5.0, 99.0, 5.0, 5.0, 5.0] if changed else EXCURSION[10:15]
    repeats = [(minute, "b0", range(10), EXCURSION[:10]), (minute, "b1", range(10, 15), values)]
    for changes in (story(repeats[1]), story(*repeats)):
        assert of_rows(told(changes)) == of_rows(PLAIN)
        assert any(change.rule == CONFLICT for change in changes) == changed


def test_ticks_of_a_second_gateway_change_nothing():
    assert told(story(doors=(0.0, 17.0))) == PLAIN
    assert told(story(doors=(0.0, 0.0))) == PLAIN
    assert told(story(doors=(0.0, 17.0), away=range(HOURS))) == PLAIN


def test_the_door_is_open_while_any_gateway_ticks():
    away = range(32, 160)

    def silent_since(changes):
        """Return when the silence after the last batch was raised."""
        return [c.received for c in changes if c.change == "raised" and c.rule.endswith("gap") and c.received > ms(32)]

    assert silent_since(story())
    assert silent_since(story(doors=(0.0, 17.0), away=away)) == silent_since(story())
    assert silent_since(story(away=away)) != silent_since(story())


@pytest.mark.parametrize(
    ("values", "counted"), [(EXCURSION[10:15], "batch_repeated"), ([5.0, 99.0, 5.0, 5.0, 5.0], "batch_conflict")]
)
def test_what_came_again_is_counted(values, counted):
    engine = Engine(BUNDLE)
    log = HandLog().register(0, sensor())
    log.rows(15, ("T1", list(range(10, 15)), EXCURSION[10:15]), batch="b1")
    log.rows(16, ("T1", list(range(10, 15)), values), batch="b1")
    for record in log.records():
        engine.fold(record)
    counters = engine.counters(0, log.facility)
    assert {name for name in ("batch_repeated", "batch_conflict", "duplicate", "conflict") if counters[name]} == {
        counted
    }


def test_a_batch_sent_through_two_gateways_and_after_a_restart_is_folded_as_if_sent_once(kafka_settings, tmp_path):
    keys = admit_firms(kafka_settings, 1)
    producer = KafkaProducer(**kafka_settings.for_kafka_python(), acks="all")
    headers, value = encode(RegisterRecord(version=1, facility=facility([("T1", "A1", 60)], name=FIRM)))
    producer.send(kafka_settings.topic(LOG), key=FIRM.encode(), value=value, headers=headers).get(timeout=30)
    producer.close()
    names, spans = ["b0", "b1", "b2"], [range(10), range(10, 15), range(15, 31)]
    bodies = [
        {
            "batch": name,
            "series": [{"tag": "T1", "time": [BEGIN + MINUTE * m for m in s], "value": [EXCURSION[m] for m in s]}],
        }
        for name, s in zip(names, spans, strict=True)
    ]

    async def through(*doors):
        for body in bodies:
            for gateway in doors:
                assert (await post(gateway, keys[FIRM], body)).status == 202

    async def arrived(gateway):
        feed = json.loads((await get(gateway, "/v1/feed", keys[FIRM])).body)
        return sum(kind["records"] for kind in feed["arrived"] if kind["kind"] == "readings") == 9 and feed["series"]

    with gateway_process(kafka_settings, tmp_path, OFFSITE_GATEWAY_NAME="gw-1") as first:
        with gateway_process(kafka_settings, tmp_path, OFFSITE_GATEWAY_NAME="gw-2") as second:
            asyncio.run(through(first, second))
        first.process.kill()
    with gateway_process(kafka_settings, tmp_path, OFFSITE_GATEWAY_NAME="gw-1") as first:
        asyncio.run(through(first))
        series = until(lambda: asyncio.run(arrived(first)))
        assert [(one["tag"], one["value"]) for one in series] == [("T1", EXCURSION[-1])]
    log = dump(kafka_settings)
    posted = [line for line in log if line["kind"] == "readings"]
    assert [line["data"]["batch"] for line in posted] == ["b0", "b0", "b1", "b1", "b2", "b2", "b0", "b1", "b2"]
    assert {line["data"]["by"] for line in log if line["kind"] == "tick"} == {"gw-1", "gw-2"}
    once = [line for line in log if line not in posted] + [posted[0], posted[2], posted[4]]
    once.sort(key=lambda line: (line["partition"], line["offset"]))
    assert told(folded(log)) == told(folded(once))
    excursion = [c.change for c in folded(log) if c.rule == "cold-chain.store-out"]
    assert (excursion[0], excursion[-1]) == ("raised", "cleared")


def folded(lines):
    return evaluate(read_lines(json.dumps(line) for line in lines), BUNDLE)
