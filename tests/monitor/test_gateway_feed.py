# Above 400 lines on purpose: the feed's answers share one small log, and are read against one another.
from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from aiokafka import TopicPartition

from monitor.gateway.answers import Feed, RegisterAnswer
from monitor.gateway.quota import Quota
from rules.records import Answer, Readings, RegisterRecord, Tick
from streams.access import FacilityEntry, hash_key, new_key
from streams.codec import encode, home_of
from streams.topics import ALARMS, LOG
from tests.monitor.gateway_parts import FACILITY, GOOD, client_of, open_gateway, put
from tests.rules.logs import BEGIN, Row, facility, readings

MINUTE = 60_000
PARTITIONS = 2
NAME_ZH = "京北生物制品有限公司（模拟）"


@dataclass
class Raw:
    """A record as aiokafka gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: tuple
    value: bytes


class Feeder:
    """Puts records where the follower would have read them."""

    def __init__(self, follower):
        self.follower = follower
        self.offset = 0
        for reach in follower.reach.values():
            reach.partitions = PARTITIONS
            reach.since = {0: BEGIN, 1: BEGIN - 1}
        follower.caught_up = True

    def log(self, payload, received, owner=FACILITY, partition=None):
        if isinstance(payload, Readings) and payload.batch == "b":  # not named by the test: one of its own
            payload = replace(payload, batch=f"b{self.offset}")
        headers, value = encode(payload)
        partition = home_of(owner, PARTITIONS) if partition is None else partition
        self.raw(LOG, Raw(partition, self.offset, received, owner.encode(), tuple(headers), value))

    def raw(self, topic, row):
        self.offset += 1
        self.follower.take(TopicPartition(topic, row.partition), row)

    def ticks(self, received):
        for partition in (0, 1):
            self.log(Tick(by="gw-1", role="gateway", now=received), received, "", partition)

    def change(self, seq, alarm="a" * 32, owner=FACILITY, **members):
        value = {
            "stream": owner, "seq": seq, "facility": owner, "alarm": alarm, "rule": "cold-chain.store-out",
            "version": "1.0.0", "packs": "p", "subject": {"tag": "CR1.T1"}, "change": "raised", "severity": "orange",
            "stage": "live", "start": "2026-03-01T03:10:00.000Z", "end": None, "at": "2026-03-01T03:11:00.000Z",
            "received": "2026-03-01T03:11:02.113Z", "late": False, "message": {"en": "Too warm", "zh": "超温"},
            "evidence": {"leaves": []}, "source": {"partition": 3, "offset": 57},
        } | members  # fmt: skip
        self.raw(ALARMS, Raw(0, self.offset, BEGIN, owner.encode(), (), json.dumps(value).encode()))


@pytest.fixture
def gateway():
    return open_gateway()


@pytest.fixture
def feeder(gateway):
    return Feeder(gateway.state.gateway.follower)


@pytest.fixture
async def client(gateway):
    async with client_of(gateway) as c:
        yield c


async def feed(client, path="/v1/feed"):
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    Feed.model_validate(answer.json())
    return answer.json()


async def test_before_anything_was_read_nothing_is_claimed(client):
    told = await feed(client)
    assert (told["since"], told["as_of"], told["caught_up"]) == (None, None, False)
    assert told["series"] == told["gaps"] == told["findings"]["open"] == []
    assert {note["code"] for note in told["notes"]} == {"bounds", "catching_up"}
    assert all(note["text"]["zh"] and note["text"]["en"] for note in told["notes"])


async def test_the_last_reading_of_each_tag_with_its_quality_and_receive_time(client, feeder):
    feeder.log(readings([Row("CR1.T1", BEGIN, 4.8), Row("CR1.T1", BEGIN + MINUTE, 4.9)]), BEGIN + MINUTE + 500)
    feeder.log(
        readings([Row("CR1.T1", BEGIN + MINUTE * 2, float("nan"), 6), Row("NEW.T9", BEGIN, 1.0)]), BEGIN + 130_000
    )
    told = await feed(client)
    assert told["series"] == [
        {
            "tag": "CR1.T1", "time": "2026-02-28T16:02:00.000Z", "value": None, "quality": "fault",
            "received": "2026-02-28T16:02:10.000Z", "registered": True, "spacing_ms": MINUTE,
        },
        {
            "tag": "NEW.T9", "time": "2026-02-28T16:00:00.000Z", "value": 1.0, "quality": "good",
            "received": "2026-02-28T16:02:10.000Z", "registered": False, "spacing_ms": None,
        },
    ]  # fmt: skip
    assert told["unknown_tags"] == ["NEW.T9"]
    assert told["arrived"] == [{"kind": "readings", "records": 2, "last": "2026-02-28T16:02:10.000Z"}]
    assert told["clock_offset"] == {"median_ms": 5_250, "records": 2}
    assert told["since"] == "2026-02-28T16:00:00.000Z"  # the later of the two partitions


async def test_a_batch_id_with_other_content_is_told_and_nothing_of_it_counts(client, feeder):
    first = readings([Row("CR1.T1", BEGIN, 20.0)], "exc1")
    other = readings([Row("CR1.T1", BEGIN + MINUTE, 77.0), Row("T0", BEGIN, 99.0)], "exc1")
    feeder.log(first, BEGIN)
    told = await feed(client)
    assert told["conflicts"] == {"count": 0, "newest": []}
    feeder.log(first, BEGIN + 1_000)
    for seconds in (2, 3):
        feeder.log(other, BEGIN + seconds * 1_000)
    told = await feed(client)
    assert [(one["tag"], one["value"]) for one in told["series"]] == [("CR1.T1", 20.0)]
    assert told["conflicts"] == {
        "count": 2,
        "newest": [{"batch": "exc1", "received": f"2026-02-28T16:00:0{seconds}.000Z"} for seconds in (2, 3)],
    }
    assert "batch_conflict" in {note["code"] for note in told["notes"]}
    assert told["arrived"][0]["records"] == 4, "each has arrived"
    assert feeder.follower.ledger.conflicts == 2


async def test_a_series_silent_for_more_than_three_spacings_is_a_gap(client, feeder):
    for minute in range(5):
        at = BEGIN + minute * MINUTE
        feeder.log(readings([Row("CR1.T1", at, 5.0), Row("CR1.T2", at, 5.0)]), at)
    for minute in range(5, 9):
        at = BEGIN + minute * MINUTE
        feeder.log(readings([Row("CR1.T2", at, 5.0)]), at)
        feeder.ticks(at)
        told = await feed(client)
        silent = [] if minute < 8 else [{"tag": "CR1.T1", "since": "2026-02-28T16:04:00.000Z", "spacing_ms": MINUTE}]
        assert told["gaps"] == silent
    assert told["as_of"] == "2026-02-28T16:08:00.000Z"


async def test_a_feed_that_comes_by_the_hour_is_not_silent_between_two_posts(client, feeder):
    for hour in range(3):
        begin = BEGIN + hour * 60 * MINUTE
        rows = [Row("CR1.T1", begin + i * MINUTE, 5.0) for i in range(60)]
        feeder.log(readings(rows), begin + 61 * MINUTE)
    feeder.ticks(BEGIN + 4 * 60 * MINUTE)
    assert (await feed(client))["gaps"] == []
    feeder.ticks(BEGIN + 7 * 60 * MINUTE)
    assert [gap["tag"] for gap in (await feed(client))["gaps"]] == ["CR1.T1"]


async def test_a_clock_that_runs_behind_is_an_offset_and_no_silence(client, feeder):
    late = 45 * MINUTE
    for minute in range(5):
        at = BEGIN + minute * MINUTE
        feeder.log(readings([Row("CR1.T1", at, 5.0)]), at + late)
        feeder.ticks(at + late)
    told = await feed(client)
    assert told["clock_offset"]["median_ms"] == late
    assert told["gaps"] == []


async def test_without_a_sign_from_every_partition_no_silence_is_claimed(client, feeder):
    for minute in range(3):
        feeder.log(readings([Row("CR1.T1", BEGIN + minute * MINUTE, 5.0)]), BEGIN + minute * MINUTE)
    feeder.log(Tick(by="gw-1", role="gateway", now=BEGIN), BEGIN + 90 * MINUTE, "", home_of(FACILITY, PARTITIONS))
    told = await feed(client)
    assert (told["as_of"], told["gaps"]) == (None, [])


async def test_readings_ahead_of_the_clock_are_told_and_are_no_newest_reading(client, feeder):
    feeder.log(
        readings([Row("CR1.T1", BEGIN, 5.0), Row("CR1.T1", BEGIN + 90 * MINUTE, 6.0), Row("F", BEGIN * 2, 1.0)]), BEGIN
    )
    told = await feed(client)
    assert [(one["tag"], one["value"]) for one in told["series"]] == [("CR1.T1", 5.0)]
    assert told["left_out"]["future"] == 2
    assert "future" in {note["code"] for note in told["notes"]}


async def test_missing_numbers_of_the_posts_are_told(client, feeder):
    for seq in (7, 8, 11):
        batch = readings([Row("CR1.T1", BEGIN + seq, 5.0)])
        object.__setattr__(batch, "seq", seq)
        feeder.log(batch, BEGIN + seq)
    assert (await feed(client))["sequence"] == {"highest": 11, "missing": 2, "examples": [9, 10]}


async def test_open_findings_are_told_worst_first_and_cleared_ones_are_not(client, feeder):
    feeder.change(1, severity="yellow")
    feeder.change(2, alarm="b" * 32, severity="red", evidence={"leaves": [{"expr": "silence of CR1.T1", "op": ">"}]})
    feeder.change(3, alarm="c" * 32)
    feeder.change(4, alarm="c" * 32, change="cleared", end="2026-03-01T03:20:00.000Z")
    findings = (await feed(client))["findings"]
    assert [(f["alarm"][0], f["severity"], f["silence"]) for f in findings["open"]] == [
        ("b", "red", True), ("a", "yellow", False),
    ]  # fmt: skip
    assert findings["open"][1]["message"] == {"en": "Too warm", "zh": "超温"}
    assert findings["open"][1]["start"] == "2026-03-01T03:10:00.000Z"
    assert (findings["last_change"], findings["left_out"], findings["changes_missed"]) == (
        "2026-03-01T03:11:02.113Z",
        0,
        0,
    )


async def test_what_is_missing_in_the_changes_is_said(client, feeder):
    feeder.change(1)
    feeder.change(5, alarm="b" * 32)
    told = await feed(client)
    assert told["findings"]["changes_missed"] == 3
    assert "findings_incomplete" in {note["code"] for note in told["notes"]}


async def test_findings_of_rules_that_are_not_live_are_not_the_firms(client, feeder):
    feeder.change(1, stage="shadow")
    feeder.change(2, alarm="b" * 32, stage="draft")
    assert (await feed(client))["findings"]["open"] == []
    feeder.change(3)
    assert len((await feed(client))["findings"]["open"]) == 1
    feeder.change(4, change="stepped", stage="shadow")  # the rule was taken back to trial
    assert (await feed(client))["findings"]["open"] == []


async def test_what_cannot_be_read_is_counted_and_stops_nothing(client, feeder):
    feeder.raw(ALARMS, Raw(0, 1, BEGIN, b"x", (), b"{broken"))
    feeder.raw(ALARMS, Raw(0, 2, BEGIN, b"x", (), None))
    feeder.raw(LOG, Raw(0, 3, BEGIN, FACILITY.encode(), (("kind", b"readings"), ("v", b"1")), b"\xff"))
    feeder.raw(LOG, Raw(0, 4, BEGIN, b"<script>", (("kind", b"report"), ("v", b"1")), b"{}"))
    feeder.raw(LOG, Raw(0, 5, BEGIN, None, (), b"{}"))
    feeder.log(readings([Row("CR1.T1", BEGIN, 4.8)]), BEGIN)
    assert len((await feed(client))["series"]) == 1
    figures = (await client.get("/metrics")).text
    assert 'offsite_gateway_followed{what="foreign"} 3.0' in figures
    assert 'offsite_gateway_followed{what="facilities"} 1.0' in figures


async def test_what_stands_in_a_foreign_partition_is_told_to_nobody_and_counted(client, feeder):
    home = home_of(FACILITY, PARTITIONS)
    register = RegisterRecord(version=9, facility=facility([("CR1.T1", "A1", 60)], name=FACILITY))
    answer = Answer(id="a1", version=1, case="c1", question="q1", kind="explain", text_sha256="0" * 64)
    for partition in (1 - home, home):
        feeder.log(readings([Row("CR1.T1", BEGIN, float(partition))]), BEGIN, partition=partition)
        feeder.log(register, BEGIN, partition=partition)
        feeder.log(answer, BEGIN, partition=partition)
        told = await feed(client)
        if partition != home:
            assert told["series"] == []
            assert told["arrived"] == []
            assert gateway_figure(await client.get("/metrics"), "facilities") == 0
            assert gateway_figure(await client.get("/metrics"), "foreign") == 3
    assert [series["value"] for series in told["series"]] == [float(home)]
    assert {each["kind"]: each["records"] for each in told["arrived"]} == {"readings": 1, "register": 1, "answer": 1}


def gateway_figure(answer, what):
    (line,) = [
        line for line in answer.text.splitlines() if line.startswith(f'offsite_gateway_followed{{what="{what}"}}')
    ]
    return float(line.rpartition(" ")[2])


async def test_a_firm_sees_its_own_facility_only(client, gateway, feeder):
    feeder.log(readings([Row("SECRET.T1", BEGIN, 4.8)]), BEGIN, "ELSE-0001")
    feeder.change(1, owner="ELSE-0001")
    told = await feed(client)
    assert told["facility"] == FACILITY
    assert told["series"] == told["findings"]["open"] == []
    for path in ("/v1/feed", "/v1/register"):
        answer = await client.get(f"{path}?facility=ELSE-0001")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
        assert "SECRET" not in answer.text
    put(gateway.state.gateway.access, facilities=[FACILITY, "ELSE-0001"])
    assert (await client.get("/v1/feed")).json()["code"] == "which_facility"
    assert [s["tag"] for s in (await feed(client, "/v1/feed?facility=ELSE-0001"))["series"]] == ["SECRET.T1"]


async def test_a_key_for_some_tags_sees_those_only(client, gateway, feeder):
    feeder.log(readings([Row("CR1.T1", BEGIN, 4.8), Row("CR1.T2", BEGIN, 4.8)]), BEGIN)
    feeder.change(1)
    feeder.change(2, alarm="b" * 32, subject={"area": "CR1"})
    put(gateway.state.gateway.access, tags=["CR1.T2"])
    told = await feed(client)
    assert [one["tag"] for one in told["series"]] == ["CR1.T2"]
    assert told["findings"]["open"] == []


async def test_a_key_needs_the_endpoint_and_a_quota_of_its_own_holds(client, gateway):
    gateway.state.gateway.queries = Quota(2, lambda: 100.0)
    answers = [await client.get("/v1/feed") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "30"
    assert (await client.post("/v1/readings", json=GOOD)).status_code == 202
    put(gateway.state.gateway.access, endpoints=["readings"])
    assert (await client.get("/v1/feed")).status_code == 403
    assert (await client.get("/v1/register")).status_code == 403


async def test_refusals_of_the_facility_and_of_the_key_are_told_newest_first(client, gateway):
    instants = iter(range(BEGIN, BEGIN + 10_000, 1_000))
    gateway.state.gateway.now_ms = lambda: next(instants)
    assert (
        await client.post("/v1/readings", content=b"{", headers={"Content-Type": "application/json"})
    ).status_code == 400
    assert (await client.post("/v1/readings", json={"batch": "b", "series": []})).status_code == 422
    assert (await client.post("/v1/readings?facility=ELSE-0001", json=GOOD)).status_code == 403
    refusals = (await feed(client))["refusals"]
    assert refusals["counts"] == {"contract": 1, "malformed": 1, "not_allowed": 1}
    assert [(r["code"], r["status"], r["endpoint"], r["key"]) for r in refusals["last"]] == [
        ("not_allowed", 403, "readings", "feed"), ("contract", 422, "readings", "feed"), ("malformed", 400, "readings", "feed"),
    ]  # fmt: skip
    assert refusals["last"][1]["errors"][0]["pointer"] == "/series"
    assert refusals["gateway"] == "gw-1"


async def test_a_stranger_leaves_no_trace_in_anybodys_refusals(client, gateway):
    stranger, _ = new_key()
    async with client_of(gateway, stranger) as other:
        assert (await other.post("/v1/readings", json=GOOD)).status_code == 401
    assert (await feed(client))["refusals"]["counts"] == {}


async def test_the_last_refusals_are_few_and_the_counts_go_on(client):
    for _ in range(15):
        await client.post("/v1/readings", json={"batch": "b", "series": [{"tag": "?"}] * 20})
    refusals = (await feed(client))["refusals"]
    assert refusals["counts"] == {"contract": 15}
    assert len(refusals["last"]) == 10
    assert len(refusals["last"][0]["errors"]) == 5


async def test_refusals_remember_the_owners_used_last(gateway, monkeypatch):
    monkeypatch.setattr("monitor.gateway.refusals.REMEMBERED", 2)
    other, other_hash = new_key()
    put(gateway.state.gateway.access, other_hash, facilities=["AA-1", "BB-2", "CC-3"], name="integrator")
    async with client_of(gateway, other) as integrator:
        for name in ("AA-1", "BB-2", "AA-1", "CC-3"):
            assert (await integrator.post(f"/v1/readings?facility={name}", json={})).status_code == 422
        counts = {
            n: (await feed(integrator, f"/v1/feed?facility={n}"))["refusals"]["counts"]
            for n in ("AA-1", "BB-2", "CC-3")
        }
    assert counts == {"AA-1": {"contract": 2}, "BB-2": {}, "CC-3": {"contract": 1}}
    assert hash_key(other) == other_hash


async def test_the_register_is_told_as_the_newest_record_says(client, feeder):
    missing = await client.get("/v1/register")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_read")
    assert "2026-02-28T16:00:00.000Z" in missing.json()["detail"]
    assert missing.json()["title_zh"]
    assert (await feed(client))["refusals"]["counts"] == {}
    for version in (3, 2):
        fact = facility([("T1", "A1", 60 * version)], name=FACILITY)
        fact = fact.model_copy(update={"name": fact.name.model_copy(update={"zh": NAME_ZH})})
        feeder.log(RegisterRecord(version=version, facility=fact), BEGIN + version)
    answer = await client.get("/v1/register")
    assert answer.status_code == 200
    told = RegisterAnswer.model_validate_json(answer.content)
    assert (told.version, told.received, told.since) == (3, BEGIN + 3, BEGIN)
    assert (told.facility.id, told.facility.name.zh, told.facility.sensors[0].interval) == (FACILITY, NAME_ZH, 180_000)


async def test_a_register_older_than_the_look_back_is_told_from_the_access_topic(client, feeder, gateway):
    fact = facility([("T1", "A1", 60)], name=FACILITY)
    entry = FacilityEntry(
        facility=FACILITY, tags={}, version=4, facts=fact.model_dump_json(by_alias=True, exclude_none=True)
    )
    gateway.state.gateway.access.apply(f"f:{FACILITY}".encode(), entry.model_dump_json(exclude_none=True).encode())
    told = RegisterAnswer.model_validate_json((await client.get("/v1/register")).content)
    assert (told.version, told.received, told.facility.id) == (4, None, FACILITY)
    feeder.log(RegisterRecord(version=3, facility=fact), BEGIN)
    assert (await client.get("/v1/register")).json()["version"] == 4
    feeder.log(RegisterRecord(version=5, facility=fact), BEGIN + 5)
    told = RegisterAnswer.model_validate_json((await client.get("/v1/register")).content)
    assert (told.version, told.received) == (5, BEGIN + 5)


@pytest.mark.parametrize("path", ["/v1/feed", "/v1/register"])
async def test_answers_are_nobodys_to_keep(client, path):
    answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.post(path)).status_code == 405
