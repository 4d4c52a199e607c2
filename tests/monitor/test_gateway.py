# Above 400 lines on purpose: what the front door takes and refuses, answer by answer, reads like its contract.
from __future__ import annotations

import gzip
import json
import zlib

import pytest
import zstandard

from monitor.gateway.bodies import _DECODERS, MAX_BODY_BYTES
from monitor.gateway.problems import RefusedError
from monitor.gateway.quota import Quota
from streams.access import AccessTable, FacilityEntry, KeyEntry, hash_key, new_key
from tests.monitor.gateway_parts import FACILITY, GOOD, HASH, KEY, client_of, open_gateway, put


@pytest.fixture
def gateway():
    return open_gateway()


@pytest.fixture
async def client(gateway):
    async with client_of(gateway) as c:
        yield c


def door(gateway):
    return gateway.state.gateway.door


async def post(client, body, *, path="/v1/readings", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(path, content=content, headers={"Content-Type": "application/json"} | names)


async def test_a_good_post_gets_a_receipt_that_names_its_place(client, gateway):
    answer = await post(client, GOOD)
    assert answer.status_code == 202
    assert answer.json() == {
        "id": "b-1", "partition": 3, "offset": 0, "received": "2026-01-01T00:01:01.123Z", "unknown_tags": [],
    }  # fmt: skip
    ((facility, readings),) = door(gateway).kept
    assert facility == "BJ-MFR-0007"
    assert readings.value.tolist() == [4.8, 4.9]


async def test_unknown_tags_are_kept_and_reported(client, gateway):
    body = {"batch": "b", "series": [{"tag": "NEW.T9", "time": [1], "value": [1.0]}]}
    answer = await post(client, body)
    assert answer.status_code == 202
    assert answer.json()["unknown_tags"] == ["NEW.T9"]
    assert len(door(gateway).kept) == 1


async def test_check_answers_without_appending(client, gateway):
    answer = await post(client, GOOD, path="/v1/readings?check=true")
    assert answer.status_code == 200
    assert answer.json()["checked"] is True
    assert (await post(client, {"batch": "b"}, path="/v1/readings?check=true")).status_code == 422
    assert door(gateway).kept == []
    assert (await post(client, GOOD, path="/v1/readings?check=false")).status_code == 202


@pytest.mark.parametrize(
    "query",
    [
        "check=True",
        "check=1",
        "check=",
        "check",
        "checked=true",
        "check=true&check=false",
        "a=1&check=maybe",
        "%1b[2J=1",
    ],
)
async def test_a_misspelt_check_stores_nothing(client, gateway, query):
    answer = await post(client, GOOD, path=f"/v1/readings?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "contract"
    assert len(answer.json()["errors"]) == (2 if query.startswith("a=") else 1)
    assert all(
        "query parameter" in fault["detail"] and "\x1b" not in fault["detail"] for fault in answer.json()["errors"]
    )
    assert door(gateway).kept == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 40 + b"]" * 40, 413, "too_large"),
        (b"", 400, "malformed"),
        (b" ", 400, "malformed"),
        (b"\xef\xbb\xbf{}", 400, "malformed"),
        ('{"batch":"b"}'.encode("utf-16"), 400, "malformed"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[1]}]} x', 400, "malformed"),
        (b'{"batch":"\\ud800","series":[{"tag":"T","time":[1],"value":[1]}]}', 400, "malformed"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 413, "too_large"),
        (b'{"batch":"b","series":' + b"[" * 100_000, 413, "too_large"),
        (b"null", 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[Infinity]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[' + b"9" * 5_000 + b"]}]}", 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[-1],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1.5],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1767225600000000],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[true]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[1],"quality":["GOOD"]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T\\n","time":[1],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"<b>T</b>","time":[1],"value":[1]}]}', 422, "contract"),
        ('{"batch":"b","series":[{"tag":"温度","time":[1],"value":[1]}]}'.encode(), 422, "contract"),
        (b'{"batch":"a\\r\\nX-Evil: 1","series":[{"tag":"T","time":[1],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[NaN]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[1e999]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":[1],"value":[null]}]}', 422, "contract"),
        (b'{"batch":"b","series":[{"tag":"T","time":["x"],"value":[1]}]}', 422, "contract"),
        (b'{"batch":"b","series":[],"more":1}', 422, "contract"),
        (b'{"batch":"<script>\\u0000","series":[{"tag":"T","time":[1],"value":[1]}]}', 422, "contract"),
    ],
)
async def test_a_bad_body_is_refused_whole(client, gateway, body, status, code):
    answer = await post(client, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["errors"]
    assert door(gateway).kept == []


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\x1b[2J", "a\r\nSet-Cookie: x=1", "\u202etxt.exe", "x" * 9_000]
)
async def test_names_from_outside_come_back_as_printable_data(client, name):
    answer = await post(client, {"batch": "b", "series": [], name: 1})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    texts = [text for error in answer.json()["errors"] for text in error.values()]
    assert all(text.isprintable() and len(text) < 600 for text in texts)


@pytest.mark.parametrize(
    "name", ["<script>", "BJ-MFR-0007%00", "%0d%0aX: 1", "..%2f..%2f", "", "bj-mfr-0007", "A" * 2_000]
)
@pytest.mark.parametrize("path", ["/v1/readings", "/v1/feed", "/v1/register"])
async def test_a_facility_that_is_none_is_another_firms(client, gateway, name, path):
    method = "POST" if path == "/v1/readings" else "GET"
    answer = await client.request(method, f"{path}?facility={name}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert "<script>" not in answer.text
    assert door(gateway).kept == []


async def test_a_member_that_stands_twice_is_refused(client, gateway):
    raw = b'{"batch":"a","batch":"b","series":[{"tag":"CR1.T1","time":[1],"value":[1]}]}'
    answer = await post(client, raw)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "malformed")
    assert door(gateway).kept == []


async def test_more_readings_or_series_than_a_post_may_hold_are_too_large(client, gateway):
    many = {"batch": "b", "series": [{"tag": "T", "time": [1] * 50_001, "value": [1] * 50_001}]}
    assert (await post(client, many)).status_code == 413
    many = {"batch": "b", "series": [{"tag": f"T{i}", "time": [1], "value": [1]} for i in range(5_001)]}
    assert (await post(client, many)).status_code == 413
    assert door(gateway).kept == []
    gateway.state.gateway.lane.close()


async def test_all_faults_come_at_once(client):
    body = {
        "batch": "a b",
        "series": [{"tag": "?", "time": [1, 2], "value": [1.0]}, {"tag": "T", "time": [1], "value": [None]}],
    }
    answer = await post(client, body)
    assert {error["pointer"].split("/")[1] for error in answer.json()["errors"]} == {"batch", "series"}
    assert len(answer.json()["errors"]) >= 4


async def test_times_out_of_order_or_in_the_future_are_the_folds_business(client):
    body = {"batch": "b", "series": [{"tag": "CR1.T1", "time": [4000000000000, 1], "value": [1.0, 2.0]}]}
    assert (await post(client, body)).status_code == 202


@pytest.mark.parametrize("encode", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
async def test_compressed_bodies_are_taken(client, gateway, encode):
    name = "gzip" if encode is gzip.compress else "zstd"
    assert (await post(client, encode(json.dumps(GOOD).encode()), Content_Encoding=name)).status_code == 202
    assert len(door(gateway).kept) == 1


@pytest.mark.parametrize("name", ["gzip", "zstd"])
async def test_a_decompression_bomb_is_stopped_at_the_cap(client, gateway, name):
    bomb = b" " * (200 * 1024 * 1024)
    packed = gzip.compress(bomb) if name == "gzip" else zstandard.ZstdCompressor(level=19).compress(bomb)
    assert len(packed) < MAX_BODY_BYTES
    answer = await post(client, packed, Content_Encoding=name)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert door(gateway).kept == []


@pytest.mark.parametrize(("name", "most"), [("gzip", 1_001), ("zstd", 4 * 1024 * 1024), ("identity", 1_001)])
def test_no_step_of_decoding_blows_up_beyond_its_room(name, most):
    bomb = b" " * (64 * 1024 * 1024)
    packed = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(level=19).compress, "identity": bytes}[name](bomb)
    piece = _DECODERS[name]().feed(packed, 1_000)
    assert 1_000 < len(piece) <= most
    assert set(piece) == {ord(" ")}


@pytest.mark.parametrize(
    ("raw", "name", "status"),
    [
        (b"nonsense", "gzip", 400),
        (b"nonsense", "zstd", 400),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"tail", "gzip", 400),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
        (zlib.compress(b"{}"), "deflate", 415),
    ],
)
async def test_broken_or_other_encodings_are_refused(client, raw, name, status):
    assert (await post(client, raw, Content_Encoding=name)).status_code == status


async def test_a_body_above_four_mebibytes_is_refused(client):
    assert (await post(client, b" " * (MAX_BODY_BYTES + 1))).status_code == 413


async def test_another_content_type_is_refused(client):
    assert (await post(client, GOOD, Content_Type="text/plain")).status_code == 415


async def test_senml_is_taken_with_its_batch_id_in_the_header(client, gateway):
    pack = [{"bn": "CR1.T1", "bt": 1767225600, "v": 4.8}]
    answer = await post(client, pack, Content_Type="application/senml+json", Idempotency_Key="s-1")
    assert (answer.status_code, answer.json()["id"]) == (202, "s-1")
    assert (await post(client, pack, Content_Type="application/senml+json")).status_code == 422
    assert len(door(gateway).kept) == 1


async def test_senml_may_name_the_registered_unit_and_no_other(client, gateway):
    gateway.state.gateway.access.apply(
        b"f:" + FACILITY.encode(),
        json.dumps({"facility": FACILITY, "tags": {"CR1.T1": "Cel", "CR1.H1": "%RH"}}).encode(),
    )
    good = [
        {"bn": "CR1.", "bt": 1767225600, "bu": "Cel", "n": "T1", "v": 4.8},
        {"n": "H1", "u": "%RH", "v": 60},
        {"n": "T9", "u": "V", "v": 1},
    ]
    wrong = [
        {"bn": "CR1.", "bt": 1767225600, "bu": "K", "n": "T1", "v": 277.9},
        {"n": "H1", "u": "Pa", "v": "x"},
    ]
    headers = {"Content_Type": "application/senml+json", "Idempotency_Key": "s-1"}
    for path in ("/v1/readings?check=true", "/v1/readings"):
        taken = await post(client, good, path=path, **headers)
        assert (taken.status_code, taken.json()["unknown_tags"]) == (200 if "check" in path else 202, ["CR1.T9"])
        refused = await post(client, wrong, path=path, **headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "contract")
        assert {(fault["pointer"], fault["code"], fault["detail"]) for fault in refused.json()["errors"]} == {
            ("/0/bu", "wrong_unit", "'K'; CR1.T1 is registered in 'Cel'"),
            ("/1/u", "wrong_unit", "'Pa'; CR1.H1 is registered in '%RH'"),
            ("/1/v", "wrong_type", "a number"),
        }
    assert len(door(gateway).kept) == 1


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", "Basic " + KEY, "Bearer " + "k" * 5000, "Bearer " + HASH],
    ids=[
        "none",
        "no-key",
        "wrong-key",
        "basic",
        "long",
        "its-hash",
    ],  # keys are random: as names they would part the workers of xdist
)
async def test_without_a_valid_key_nothing_is_said(client, gateway, header):
    answer = await post(client, GOOD, Authorization=header)
    assert answer.status_code == 401
    assert answer.json()["errors"] == []
    assert answer.headers["www-authenticate"] == "Bearer"
    assert door(gateway).kept == []


async def test_a_revoked_or_expired_key_is_refused(client, gateway):
    table = gateway.state.gateway.access
    put(table, expires="2020-01-01T00:00:00Z")
    assert (await post(client, GOOD)).status_code == 401
    put(table)
    assert (await post(client, GOOD)).status_code == 202
    table.apply(HASH.encode(), None)
    assert (await post(client, GOOD)).status_code == 401


async def test_a_key_serves_its_own_facility_endpoints_and_tags_only(client, gateway):
    table = gateway.state.gateway.access
    assert (await post(client, GOOD, path="/v1/readings?facility=ELSE-0001")).status_code == 403
    put(table, endpoints=["feed"])
    assert (await post(client, GOOD)).status_code == 403
    put(table, tags=["OTHER.T1"])
    answer = await post(client, GOOD)
    assert answer.status_code == 403
    assert "CR1.T1" in answer.json()["detail"]
    assert door(gateway).kept == []


async def test_an_integrators_key_names_the_facility(client, gateway):
    put(gateway.state.gateway.access, facilities=["AA-1", "BB-2"])
    assert (await post(client, GOOD)).json()["code"] == "which_facility"
    assert (await post(client, GOOD, path="/v1/readings?facility=BB-2")).status_code == 202
    assert door(gateway).kept[0][0] == "BB-2"


async def test_an_outage_is_said_honestly_and_counted(client, gateway):
    from http import HTTPStatus

    door(gateway).refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", retry_after_s=5)
    answer = await post(client, GOOD)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "send it again with the same id" in answer.json()["title"]
    figures = (await client.get("/metrics")).text
    assert 'offsite_gateway_posts_total{status="503"} 1.0' in figures
    assert 'offsite_gateway_posts_total{status="429"} 0.0' in figures


async def test_before_the_keys_are_known_the_door_is_closed(client, gateway):
    gateway.state.gateway.access.ready.clear()
    answer = await post(client, GOOD)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"]
    assert (await client.get("/v1/feed")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    assert "offsite_gateway_open 0.0" in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("keys", "closed", "failing", "why"),
    [
        (True, None, False, []),
        (False, None, False, ["keys"]),
        (False, "broker_down", True, ["keys", "broker_down"]),
        (True, "topics_differ", False, ["topics_differ"]),
        (True, None, True, ["appends_fail"]),
    ],
)
async def test_ready_says_why_not_in_both_languages(client, gateway, keys, closed, failing, why):
    if not keys:
        gateway.state.gateway.access.ready.clear()
    door(gateway).closed_because, door(gateway).failing = closed, failing
    answer = await client.get("/readyz")
    assert answer.status_code == (503 if why else 200)
    assert answer.json()["status"] == ("closed" if why else "open")
    assert [reason["code"] for reason in answer.json()["why"]] == why
    assert all(reason["text"]["zh"] and reason["text"]["en"] for reason in answer.json()["why"])


async def test_a_fault_of_our_own_is_said_to_be_one_and_claims_nothing(client, gateway, caplog):
    door(gateway).refusal = RuntimeError("a bug with <details>")
    answer = await post(client, GOOD)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "<details>" not in answer.text
    assert "a bug" in caplog.text
    assert 'offsite_gateway_posts_total{status="500"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [("/", "GET", 404, "not_found"), ("/v1/readings", "GET", 405, "method"), ("/v1/nothing", "POST", 404, "not_found")],
)
async def test_other_addresses_and_methods_are_problems_too(client, path, method, status, code):
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


async def test_a_key_that_posts_too_often_is_told_when_to_come_back(client, gateway):
    gateway.state.gateway.posts = Quota(2, lambda: 100.0)
    answers = [await post(client, GOOD) for _ in range(3)]
    assert [a.status_code for a in answers] == [202, 202, 429]
    assert answers[-1].headers["retry-after"] == "30"


def test_the_bucket_fills_again_and_forgets_the_oldest_keys():
    now = [0.0]
    quota = Quota(60, lambda: now[0])
    assert [quota.take("k") for _ in range(61)] == [0] * 60 + [1]
    now[0] = 1.0
    assert quota.take("k") == 0
    assert quota.take("k") == 1


def test_a_broken_access_entry_grants_nothing():
    table = AccessTable()
    put(table)
    assert table.find(KEY) is not None
    table.apply(HASH.encode(), b"{broken")
    assert table.find(KEY) is None
    table.apply(b"\xff\xff", b'{"name":1}')
    assert table.foreign == 2


def test_keys_are_random_and_only_their_hash_is_kept():
    first, second = new_key(), new_key()
    assert first != second
    assert len(first[0]) >= 43
    assert hash_key(first[0]) == first[1]
    assert first[0] not in KeyEntry(name="n", facilities=["AA-1"], endpoints=[]).model_dump_json()
    assert FacilityEntry(facility="AA-1", tags={"T": "Cel"}).tags == {"T": "Cel"}
