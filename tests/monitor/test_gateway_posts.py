"""Reports, marks and events at the front door: what is taken, what is refused and why, for whom, and how large bodies are read."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
import zstandard

from monitor.gateway.bodies import MAX_BODY_BYTES
from monitor.gateway.lane import LARGE_BYTES, Lane
from monitor.gateway.posts import MEDIUM_BYTES, POSTS, How, read_post
from monitor.gateway.quota import Quota
from rules.eventtypes.posts import example_of as events_example
from rules.instants import parse_instant
from rules.records import Events, Mark, Report
from rules.reports.posts import example_of as report_example
from streams.codec import decode
from tests.monitor.gateway_parts import FACILITY, GOOD, HASH, client_of, open_gateway, put

NOW = parse_instant("2026-03-05T09:00:00+08:00")
REPORT, AMENDMENT = report_example("adr-case"), report_example("amendment")
MARK = {
    "id": "M-77", "revision": 1, "tags": ["CR1.T1", "CR1.T2"], "flag": "maintenance", "from": "2026-03-01T08:00:00+08:00", "to": None,
    "reason": "compressor service", "author": "u-12", "proof": "WO-5513",
}  # fmt: skip
AREA = {name: value for name, value in MARK.items() if name != "tags"} | {"area": "CR1"}
EVENTS = events_example("device", "door")
BODIES = {"reports": REPORT, "marks": MARK, "events": EVENTS}
NAMES = sorted(BODIES)


@pytest.fixture
def gateway():
    app = open_gateway()
    app.state.gateway.now_ms = lambda: NOW
    return app


@pytest.fixture
async def client(gateway):
    async with client_of(gateway) as c:
        yield c
    gateway.state.gateway.lane.close()


def kept(gateway):
    return gateway.state.gateway.door.kept


async def post(client, name, body, query="", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {header.replace("_", "-"): value for header, value in headers.items()}
    return await client.post(
        f"/v1/{name}{query}", content=content, headers={"Content-Type": "application/json"} | names
    )


@pytest.mark.parametrize(
    ("name", "body", "id_", "unknown", "payload"),
    [
        ("reports", REPORT, "R-2026-0031", [], Report), ("reports", AMENDMENT, "R-2026-0031", [], Report),
        ("marks", MARK, "M-77", ["CR1.T2"], Mark), ("marks", AREA, "M-77", [], Mark), ("events", EVENTS, "e-0192", [], Events),
    ],
)  # fmt: skip
async def test_a_good_post_gets_a_receipt_that_names_its_place(client, gateway, name, body, id_, unknown, payload):
    answer = await post(client, name, body)
    assert answer.status_code == 202
    assert answer.json() == {
        "id": id_, "partition": 3, "offset": 0, "received": "2026-01-01T00:01:01.123Z", "unknown_tags": unknown,
    }  # fmt: skip
    assert kept(gateway) == [(FACILITY, payload.model_validate(body))]


@pytest.mark.parametrize(
    ("name", "body", "unknown"),
    [
        ("reports", AMENDMENT | {"fields": AMENDMENT["fields"] | {"readings": [
            {"tag": tag, "time": 1, "old": 1, "new": 2} for tag in ("X.1", "CR1.T1", "X.2", "X.1")]}}, ["X.1", "X.2"]),
        ("marks", MARK | {"tags": ["X.2", "CR1.T1", "X.2"]}, ["X.2"]),
        ("events", {"batch": "e", "events": [
            *events_example("device", "serial")["events"], events_example("device", "serial")["events"][0] | {"fields": {"point": "X.3", "serial": "S"}},
            events_example("lab", "parallel")["events"][0] | {"fields": events_example("lab", "parallel")["events"][0]["fields"] | {"series": "X.4"}},
            *EVENTS["events"], events_example("device", "config")["events"][0] | {"fields": {"point": None, "hash": "0a1b2c3d"}},
        ]}, ["X.3", "X.4"]),
    ],
)  # fmt: skip
async def test_tags_that_are_not_registered_are_reported_back_once_and_kept(client, gateway, name, body, unknown):
    checked = await post(client, name, body, "?check=true")
    assert (checked.status_code, checked.json()["unknown_tags"]) == (200, unknown)
    assert kept(gateway) == []
    answer = await post(client, name, body)
    assert (answer.status_code, answer.json()["unknown_tags"]) == (202, unknown)
    assert len(kept(gateway)) == 1


@pytest.mark.parametrize("name", NAMES)
async def test_a_check_stores_nothing_and_a_misspelt_one_is_refused(client, gateway, name):
    good, bad = BODIES[name], BODIES[name] | {"more": 1}
    checked = await post(client, name, good, "?check=true")
    assert checked.json() == {
        "id": checked.json()["id"],
        "checked": True,
        "unknown_tags": ["CR1.T2"] if name == "marks" else [],
    }
    assert (await post(client, name, bad, "?check=true")).status_code == 422
    assert (await post(client, name, good, "?checks=true")).status_code == 422
    assert (await post(client, name, good, "?check=1")).status_code == 422
    assert kept(gateway) == []
    assert (await post(client, name, good, "?check=false")).status_code == 202


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"), (b"{", 400, "malformed"), (b'{"id":"\xff\xfe"}', 400, "malformed"), (b"\xef\xbb\xbf{}", 400, "malformed"),
        (b'{"id":"a","id":"b"}', 400, "malformed"), (b'{"id":"\\ud800"}', 400, "malformed"), (b"[" * 40 + b"]" * 40, 413, "too_large"),
        (b"[]", 422, "contract"), (b"null", 422, "contract"), (b"{}", 422, "contract"), (b"7", 422, "contract"),
        (b'{"more":[' + b"1," * 5_000 + b"1]}", 413, "too_large"), (json.dumps(GOOD).encode(), 422, "contract"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_whole(client, gateway, name, body, status, code):
    answer = await post(client, name, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert kept(gateway) == []


async def test_all_faults_come_at_once_with_their_counts(client):
    bad = REPORT | {
        "id": "a b",
        "sent": "2026-03-05T09:05:00.001+08:00",
        "fields": REPORT["fields"] | {"onset": "2026-03-04", "x": 1, "lots": ["a b"]},
    }
    answer = await post(client, "reports", bad)
    assert answer.status_code == 422
    assert {error["pointer"]: error["code"] for error in answer.json()["errors"]} == {
        "/id": "wrong_form", "/sent": "in_the_future", "/fields/onset": "impossible_time", "/fields/x": "unknown_member", "/fields/lots/0": "wrong_form",
    }  # fmt: skip
    assert answer.json()["counts"] == {"impossible_time": 1, "in_the_future": 1, "unknown_member": 1, "wrong_form": 2}
    assert (await post(client, "reports", REPORT | {"sent": "2026-03-05T09:05:00+08:00"})).status_code == 202


async def test_of_many_faults_five_hundred_are_told_and_all_are_counted(client):
    many = {"batch": "e", "events": [EVENTS["events"][0] | {"fields": {"state": "x", "y": 1}}] * 1_000}
    answer = await post(client, "events", many)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 500)
    assert answer.json()["counts"] == {"unknown_member": 1_000, "unknown_value": 1_000}


async def test_more_events_than_a_post_may_hold_are_too_large(client, gateway):
    batch = EVENTS | {"events": EVENTS["events"] * 1_000}
    assert (await post(client, "events", batch)).status_code == 202
    answer = await post(client, "events", EVENTS | {"events": EVENTS["events"] * 1_001})
    assert (answer.status_code, answer.json()["code"], answer.json()["counts"]) == (413, "too_large", {"too_many": 1})
    assert len(kept(gateway)) == 1


async def test_times_ahead_are_the_folds_business_but_for_the_sending_of_a_report(client):
    ahead = NOW + 86_400_000
    assert (
        await post(client, "events", EVENTS | {"events": [EVENTS["events"][0] | {"time": ahead}]})
    ).status_code == 202
    assert (await post(client, "marks", MARK | {"from": ahead})).status_code == 202
    assert (await post(client, "reports", REPORT | {"sent": ahead})).status_code == 422


@pytest.mark.parametrize("name", NAMES)
async def test_an_id_that_comes_again_is_one_more_record_and_the_folds_to_pass_over(client, gateway, name):
    answers = [await post(client, name, BODIES[name]) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["offset"] for answer in answers] == [0, 1]
    assert kept(gateway)[0] == kept(gateway)[1]


async def test_revisions_without_a_reason_or_in_any_order_are_taken(client, gateway):
    for revision in (3, 1, 2):
        assert (await post(client, "reports", REPORT | {"revision": revision})).status_code == 202
    assert [report.revision for _, report in kept(gateway)] == [3, 1, 2]


async def test_what_is_null_in_fields_is_not_in_the_log(client, gateway):
    assert (await post(client, "reports", REPORT | {"fields": REPORT["fields"] | {"lots": None}})).status_code == 202
    assert "lots" not in kept(gateway)[0][1].fields


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_compressed_bodies_are_taken_and_bombs_are_not(client, gateway, name, encoding):
    pack = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[encoding]
    assert (
        await post(client, name, pack(json.dumps(BODIES[name]).encode()), Content_Encoding=encoding)
    ).status_code == 202
    bomb = await post(client, name, pack(b" " * (50 * 1024 * 1024)), Content_Encoding=encoding)
    assert (bomb.status_code, bomb.json()["code"]) == (413, "too_large")
    assert (await post(client, name, b"nonsense", Content_Encoding=encoding)).status_code == 400
    assert len(kept(gateway)) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "media", ["text/plain", "application/senml+json", "", "application/xml", "multipart/form-data; boundary=x"]
)
async def test_only_json_is_taken(client, name, media):
    answer = await post(client, name, BODIES[name], Content_Type=media)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")
    assert answer.json()["detail"] == "Content-Type: application/json"
    assert (await post(client, name, BODIES[name], Content_Type="Application/JSON; charset=utf-8")).status_code == 202


@pytest.mark.parametrize("name", NAMES)
async def test_a_key_is_for_its_endpoints_and_its_facility(client, gateway, name):
    table = gateway.state.gateway.access
    put(
        table,
        endpoints=[other for other in ("readings", "reports", "marks", "events", "feed", "register") if other != name],
    )
    answer = await post(client, name, BODIES[name])
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    put(table, endpoints=[name])
    assert (await post(client, name, BODIES[name], "?facility=ELSE-0001")).status_code == 403
    assert (await post(client, name, BODIES[name], f"?facility={FACILITY}")).status_code == 202
    put(table, facilities=["AA-1", "BB-2"])
    assert (await post(client, name, BODIES[name])).json()["code"] == "which_facility"
    assert (await post(client, name, BODIES[name], "?facility=BB-2")).status_code == 202
    table.apply(HASH.encode(), None)
    assert (await post(client, name, BODIES[name])).status_code == 401
    assert [facility for facility, _ in kept(gateway)] == [FACILITY, "BB-2"]


def amendment(*tags):
    readings = [{"tag": tag, "time": 1, "old": 1, "new": 2} for tag in tags]
    return AMENDMENT | {"fields": AMENDMENT["fields"] | {"readings": readings}}


def calibrated(tag):
    example = events_example("device", "calibration")["events"][0]
    return {"batch": "e", "events": [*EVENTS["events"], example | {"fields": example["fields"] | {"point": tag}}]}


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("marks", MARK, "not these tags: CR1.T2"), ("marks", MARK | {"tags": ["CR1.T1"]}, None), ("marks", AREA, "not a whole area"),
        ("reports", amendment("CR1.T1"), None), ("reports", amendment("CR1.T1", "CR1.T2", "CR1.T3"), "not these tags: CR1.T2, CR1.T3"), ("reports", REPORT, None),
        ("events", calibrated("CR1.T1"), None), ("events", calibrated("CR1.T9"), "not these tags: CR1.T9"), ("events", EVENTS, None),
    ],
)  # fmt: skip
async def test_a_key_for_some_tags_speaks_for_no_others_and_for_no_area(client, gateway, name, body, told):
    put(gateway.state.gateway.access, tags=["CR1.T1"])
    for query in ("?check=true", ""):
        answer = await post(client, name, body, query)
        assert (answer.status_code, answer.json().get("detail")) == (
            (403, told) if told else (200 if query else 202, None)
        )
    assert len(kept(gateway)) == (0 if told else 1)


async def test_all_posts_of_a_key_share_its_quota(client, gateway):
    gateway.state.gateway.posts = Quota(3, lambda: 100.0)
    answers = [await post(client, name, body) for name, body in BODIES.items()]
    assert [answer.status_code for answer in answers] == [202] * 3
    answer = await client.post("/v1/readings", json=GOOD)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "quota", "20")


@pytest.mark.parametrize("name", NAMES)
async def test_bytes_are_counted_for_every_post(client, gateway, name):
    gateway.state.gateway.bytes = Quota(100, lambda: 100.0)
    assert (await post(client, name, BODIES[name])).status_code == 202
    assert (await post(client, name, BODIES[name])).json()["detail"] == "bytes"


@pytest.mark.parametrize("name", NAMES)
async def test_a_refusal_is_told_in_the_feed_under_its_endpoint(client, name):
    assert (await post(client, name, {})).status_code == 422
    refusals = (await client.get("/v1/feed")).json()["refusals"]
    assert refusals["counts"] == {"contract": 1}
    assert (refusals["last"][0]["endpoint"], refusals["last"][0]["errors"][0]["code"]) == (name, "missing")


@pytest.mark.parametrize("name", NAMES)
async def test_only_a_post_is_taken(client, name):
    answer = await client.get(f"/v1/{name}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def large(name, size):
    return json.dumps(BODIES[name]).encode().ljust(size)


@pytest.mark.parametrize("name", NAMES)
async def test_only_large_bodies_take_the_lane(client, gateway, name):
    parts, ways = gateway.state.gateway, []

    class Seen(Lane):
        async def read(self, key_hash, body, how):
            ways.append((key_hash, len(body), how))
            return read_post(body, how)

    parts.lane = Seen(1)
    for size in (MEDIUM_BYTES[name], MEDIUM_BYTES[name] + 1, LARGE_BYTES):
        assert (await post(client, name, large(name, size))).status_code == 202
    assert ways == []
    assert (await post(client, name, large(name, LARGE_BYTES + 1))).status_code == 202
    assert ways == [(HASH, LARGE_BYTES + 1, How(name, NOW))]
    assert all(record == kept(gateway)[0] for record in kept(gateway))


@pytest.mark.parametrize("name", NAMES)
async def test_a_large_body_is_read_apart_as_a_small_one_here(client, gateway, name):
    assert (await post(client, name, BODIES[name])).status_code == 202
    assert (await post(client, name, large(name, MAX_BODY_BYTES))).status_code == 202
    assert kept(gateway)[0] == kept(gateway)[1]
    bad = json.dumps(BODIES[name] | {"more": 1, "id": "a b"}).encode()
    answers = [await post(client, name, body) for body in (bad, bad.ljust(LARGE_BYTES + 1))]
    assert answers[0].json() == answers[1].json()
    assert (await post(client, name, large(name, MAX_BODY_BYTES + 1))).status_code == 413


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("events", b'{"batch":"b","events":[' + b"{}," * 999 + b'{"more":[' + b"{}," * 1_000_000 + b"1]}]}"),
        ("events", json.dumps({"batch": "b", "events": [EVENTS["events"][0] | {f"m{i}": "x" * 20 for i in range(15)}] * 1_000}).encode()),
        ("reports", json.dumps(AMENDMENT | {"fields": {"readings": [{f"{i:x}": 1 for i in range(20)}] * 5_000}}).encode()),
        ("reports", json.dumps(amendment(*["CR1.T1"] * 5_000)).encode().ljust(MAX_BODY_BYTES)),
    ],
    ids=["entries", "events", "readings", "good"],
)  # fmt: skip
async def test_small_posts_go_on_while_a_large_body_is_read(client, gateway, name, body):
    assert len(body) <= MAX_BODY_BYTES
    gateway.state.gateway.posts = Quota(10_000_000, lambda: 100.0)
    gateway.state.gateway.bytes = Quota(1_000_000_000, lambda: 100.0)
    slow = asyncio.create_task(post(client, name, body))
    answered = 0
    while not slow.done():
        assert (await post(client, "marks", MARK)).status_code == 202
        answered += 1
        await asyncio.sleep(0)
    assert (await slow).status_code in {202, 413, 422}
    assert answered > 20


async def test_what_is_encoded_apart_is_what_the_log_takes():
    for name, body in (*BODIES.items(), ("readings", GOOD)):
        found = read_post(json.dumps(body).encode(), How(name, NOW))
        headers, value = found.record
        record = decode(0, 0, 1, FACILITY.encode(), headers, value)
        assert record.kind in {"report", "mark", "events", "readings"}
        assert found.readings == (2 if name == "readings" else 0)


def test_every_post_has_a_route():
    paths = {route.path for route in open_gateway().routes}
    assert {f"/v1/{name}" for name in POSTS} <= paths
