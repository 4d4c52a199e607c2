"""The log's bytes: every kind survives the way to Kafka and back, and nothing that stands there can stop a reader."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.pack import default_bundle
from rules.records import MAX_READINGS, SEMANTICS, Kind, LogRecord, Readings, Rejected, Tick
from streams import codec
from streams.codec import MAX_VALUE_BYTES, decode, encode, json_value, key_of, kind_of
from tests.anyrecord import readings, records

AT = 1_767_225_600_000
KEY = b"BJ-MFR-0007"
GOOD = [("kind", b"readings"), ("v", b"1")]


def batch(**changes: Any) -> dict[str, Any]:
    """Return the columns of a small batch as they stand in Kafka, with changes (None takes a column out)."""
    columns = {
        "b": "b1",
        "g": ["CR1.T1", "CR1.T2"],
        "n": np.array([2, 1], "<i4").tobytes(),
        "t": np.array([AT, AT + 60_000, AT], "<i8").tobytes(),
        "v": np.array([4.8, 4.9, 5.1], "<f8").tobytes(),
        **changes,
    }
    return {name: value for name, value in columns.items() if value is not None}


def fold_in(columns: dict[str, Any]) -> LogRecord | Rejected:
    return decode(0, 0, AT, KEY, GOOD, msgspec.msgpack.encode(columns))


def refused(outcome: LogRecord | Rejected) -> str:
    assert isinstance(outcome, Rejected), outcome
    return outcome.code


@given(records())
def test_every_kind_comes_back_from_kafka_as_it_was(record: LogRecord) -> None:
    headers, value = encode(record.payload)
    back = decode(record.partition, record.offset, record.received, key_of(record), headers, value)
    assert isinstance(back, LogRecord), back
    assert back == record
    assert encode(back.payload) == (headers, value)  # 1, 1.0 and true are equal to Python and not to JSON


@given(readings())
def test_columns_survive_to_the_last_bit(payload: Readings) -> None:
    back = decode(0, 0, AT, KEY, *encode(payload))
    assert isinstance(back, LogRecord)
    assert isinstance(back.payload, Readings)
    assert back.payload.value.tobytes() == payload.value.tobytes()  # -0.0 is kept too
    for name in ("counts", "time", "value", "quality"):
        column = getattr(back.payload, name)
        assert column.flags.writeable
        assert column.flags.aligned  # the kernels are compiled for this kind of array only


def test_a_batch_as_it_stands_in_kafka_is_read() -> None:
    record = fold_in(batch())
    assert isinstance(record, LogRecord)
    assert record.kind is Kind.READINGS
    assert record.facility == "BJ-MFR-0007"
    payload = record.payload
    assert isinstance(payload, Readings)
    assert payload.tags == ("CR1.T1", "CR1.T2")
    assert payload.value.tolist() == [4.8, 4.9, 5.1]
    assert payload.quality.tolist() == [0, 0, 0]


def test_quality_is_left_out_when_all_is_good() -> None:
    good = decode(0, 0, AT, KEY, GOOD, msgspec.msgpack.encode(batch()))
    assert isinstance(good, LogRecord)
    assert "q" not in msgspec.msgpack.decode(encode(good.payload)[1])
    assert isinstance(good.payload, Readings)
    marked = replace(good.payload, quality=np.array([0, 3, 0], np.uint8))
    assert msgspec.msgpack.decode(encode(marked)[1])["q"] == b"\x00\x03\x00"


def test_json_kinds_are_spelled_in_the_models_order_without_spaces() -> None:
    tick = Tick.model_validate({"by": "gw-1", "role": "gateway", "now": "2026-03-01T00:04:00Z"})
    headers, value = encode(tick)
    assert dict(headers) == {"kind": b"tick", "v": b"1"}
    assert value == b'{"by":"gw-1","role":"gateway","now":"2026-03-01T00:04:00.000Z"}'
    assert kind_of(tick) is Kind.TICK


def test_readings_have_no_json_value_of_their_own() -> None:
    record = fold_in(batch())
    assert isinstance(record, LogRecord)
    with pytest.raises(TypeError):
        json_value(record.payload)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"n": np.array([2, 2], "<i4").tobytes()}, "columns"),
        ({"n": np.array([4, -1], "<i4").tobytes()}, "columns"),
        ({"n": np.array([3, 0], "<i4").tobytes()}, "columns"),
        ({"n": np.array([2**31 - 1, 2**31 - 1], "<i4").tobytes()}, "columns"),
        ({"n": np.array([3], "<i4").tobytes()}, "columns"),
        ({"n": b"\x01\x00\x00"}, "columns"),
        ({"t": np.array([AT, AT], "<i8").tobytes()}, "columns"),
        ({"t": b""}, "columns"),
        ({"v": np.zeros(3, "<f8").tobytes()[:-1]}, "columns"),
        ({"q": b"\x00\x00"}, "columns"),
        ({"g": []}, "columns"),
        ({"g": ["CR1.T1"]}, "columns"),
        ({"g": ["CR1.T1", "CR1.T1"]}, "contract"),
        ({"g": ["CR1.T1", "CR1.T2\n"]}, "contract"),
        ({"g": ["CR1.T1", "<b>"]}, "contract"),
        ({"g": ["CR1.T1", ""]}, "contract"),
        ({"b": ""}, "contract"),
        ({"b": "x" * 129}, "contract"),
        ({"s": -1}, "contract"),
        ({"s": 2**60}, "contract"),
        ({"t": np.array([AT, -1, AT], "<i8").tobytes()}, "contract"),
        ({"t": np.array([AT, AT * 1000, AT], "<i8").tobytes()}, "contract"),
        ({"q": b"\x00\x09\x00"}, "contract"),
        ({"v": np.array([4.8, np.nan, 5.1], "<f8").tobytes()}, "contract"),
        ({"v": np.array([4.8, np.nan, 5.1], "<f8").tobytes(), "q": b"\x06\x00\x00"}, "contract"),
        ({"v": np.array([4.8, np.inf, 5.1], "<f8").tobytes(), "q": b"\x00\x06\x00"}, "contract"),
        ({"v": None}, "undecodable"),
        ({"x": 1}, "undecodable"),
        ({"g": "CR1.T1"}, "undecodable"),
        ({"t": [AT, AT, AT]}, "undecodable"),
    ],
)
def test_columns_that_do_not_fit_are_rejected(changes: dict[str, Any], code: str) -> None:
    assert refused(fold_in(batch(**changes))) == code


def test_a_null_of_bad_quality_and_very_large_values_are_readings() -> None:
    record = fold_in(batch(v=np.array([np.nan, 1e308, -1e308], "<f8").tobytes(), q=b"\x06\x00\x00"))
    assert isinstance(record, LogRecord)


def test_more_readings_than_one_post_may_hold_are_rejected() -> None:
    rows = MAX_READINGS + 1
    columns = batch(g=["T"], n=np.array([rows], "<i4").tobytes(), t=bytes(8 * rows), v=bytes(8 * rows))
    assert refused(fold_in(columns)) == "columns"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (None, "schema_version"),
        ([], "schema_version"),
        ([("kind", b"readings")], "schema_version"),
        ([("kind", b"readings"), ("v", b"2")], "schema_version"),
        ([("kind", b"readings"), ("v", None)], "schema_version"),
        ([("kind", b"readings"), ("v", b"\xff" * 5000)], "schema_version"),
        ([("v", b"1")], "unknown_kind"),
        ([("kind", b"gossip"), ("v", b"1")], "unknown_kind"),
        ([("kind", None), ("v", b"1")], "unknown_kind"),
        ([("kind", b"READINGS"), ("v", b"1")], "unknown_kind"),
    ],
)
def test_an_unknown_kind_or_schema_is_rejected(headers: Any, code: str) -> None:
    outcome = decode(0, 7, AT, KEY, headers, msgspec.msgpack.encode(batch()))
    assert refused(outcome) == code
    assert isinstance(outcome, Rejected)
    assert outcome.facility == "BJ-MFR-0007"  # so that the firm's page can show it
    assert len(outcome.detail) < 2000


@pytest.mark.parametrize(
    "key", [None, b"", b"x", b"BJ MFR", b"BJ-MFR-0007\n", b"\xff\xfe", "北京-1".encode(), b"A" * 33]
)
def test_a_key_that_is_no_facility_id_is_rejected(key: bytes | None) -> None:
    outcome = decode(0, 0, AT, key, GOOD, msgspec.msgpack.encode(batch()))
    assert refused(outcome) == "bad_key"
    assert isinstance(outcome, Rejected)
    assert outcome.facility == ""


def test_a_register_record_under_anothers_key_is_rejected() -> None:
    facility = {"id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110115"}
    value = json.dumps({"version": 1, "facility": facility}).encode()
    headers = [("kind", b"register"), ("v", b"1")]
    assert isinstance(decode(0, 0, AT, b"AA-1", headers, value), LogRecord)
    assert refused(decode(0, 0, AT, b"BB-2", headers, value)) == "bad_key"


@pytest.mark.parametrize("timestamp", [-1, 4_102_444_800_001, 2**63 - 1])
def test_a_timestamp_outside_the_calendar_is_rejected(timestamp: int) -> None:
    outcome = decode(0, 0, timestamp, KEY, GOOD, msgspec.msgpack.encode(batch()))
    assert refused(outcome) == "bad_timestamp"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no_value"),
        (b"", "contract"),
        (b"null", "contract"),
        (b"[]", "contract"),
        (b'{"by":"gw-1"', "contract"),
        (b'{"by":"gw-1","role":"gateway","now":"2026-03-01T00:04:00Z","x":1}', "contract"),
        (b'{"by":"gw-1","role":"king","now":"2026-03-01T00:04:00Z"}', "contract"),
        (b'{"by":"gw-1","role":"gateway","now":"2026-03-01T00:04:00"}', "contract"),
        (b'{"by":"\xff","role":"gateway","now":"2026-03-01T00:04:00Z"}', "contract"),
        (b'{"by":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deep"),
        (b" " * (MAX_VALUE_BYTES + 1), "too_large"),
    ],
)
def test_a_json_record_that_breaks_the_contract_is_rejected(value: bytes | None, code: str) -> None:
    assert refused(decode(0, 0, AT, None, [("kind", b"tick"), ("v", b"1")], value)) == code


@pytest.mark.parametrize("sha256", ["0" * 64, default_bundle().sha256], ids=["any", "of a bundle that is known"])
def test_packs_that_are_not_what_their_hash_says_are_rejected(sha256: str) -> None:
    value = json.dumps({"sha256": sha256, "semantics": SEMANTICS, "bundle": "AAAA"}).encode()
    assert refused(decode(0, 0, AT, None, [("kind", b"packs"), ("v", b"1")], value)) == "bad_packs"


def test_packs_of_another_engine_are_left_to_the_fold_that_refuses_them() -> None:
    value = json.dumps({"sha256": "0" * 64, "semantics": SEMANTICS + 1, "bundle": "AAAA"}).encode()
    assert isinstance(decode(0, 0, AT, None, [("kind", b"packs"), ("v", b"1")], value), LogRecord)


@pytest.mark.parametrize("snapshot", ["AAAA", "A", "not base64"])
def test_a_snapshot_that_its_checksum_does_not_fit_is_rejected(snapshot: str) -> None:
    state = {
        "format": 1, "semantics": 1, "packs": "", "clock": "2026-03-01T00:00:00.000Z", "seq": 3, "snapshot": snapshot,
        "checksum": "0" * 64,
    }  # fmt: skip
    value = json.dumps(state).encode()
    assert refused(decode(0, 0, AT, KEY, [("kind", b"state"), ("v", b"1")], value)) == "bad_state"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_a_report_with_a_number_that_is_none_is_rejected(number: bytes) -> None:
    value = b'{"type":"adr-case","id":"R","revision":1,"sent":0,"fields":{"a":[{"b":%s}]}}' % number
    assert isinstance(decode(0, 0, AT, KEY, [("kind", b"report"), ("v", b"1")], value.replace(number, b"1")), LogRecord)
    assert refused(decode(0, 0, AT, KEY, [("kind", b"report"), ("v", b"1")], value)) in {"contract", "undecodable"}


def test_what_was_rejected_is_kept_by_its_first_four_kibibytes_and_its_place() -> None:
    outcome = decode(3, 57, AT, KEY, GOOD, b"\x1b[2J" * 5000)
    assert isinstance(outcome, Rejected)
    assert (outcome.partition, outcome.offset, outcome.received) == (3, 57, AT)
    assert outcome.sample == (b"\x1b[2J" * 5000)[:4096]
    assert "\x1b" not in outcome.detail


headers_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(["kind", "v", "x"]),
        st.none() | st.binary(max_size=12) | st.sampled_from([b"1", b"2", *(kind.value.encode() for kind in Kind)]),
    ),
    max_size=4,
)


@given(
    key=st.none() | st.binary(max_size=40) | st.just(KEY),
    headers=headers_of_any_kind | st.sampled_from(Kind).map(lambda kind: [("kind", kind.value.encode()), ("v", b"1")]),
    value=st.none() | st.binary(max_size=300),
    timestamp=st.integers(-(2**63), 2**63 - 1),
)
def test_random_bytes_never_raise(key: bytes | None, headers: Any, value: bytes | None, timestamp: int) -> None:
    outcome = decode(0, 0, timestamp, key, headers, value)
    if isinstance(outcome, Rejected):
        assert outcome.code
        assert outcome.sample == (value or b"")[:4096]


@given(records(), st.data())
def test_a_mutated_record_never_raises_and_never_breaks_the_contract(record: LogRecord, data: st.DataObject) -> None:
    headers, value = encode(record.payload)
    broken = bytearray(value)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(broken) - 1)))
        change = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if change == "flip":
            broken[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
        elif change == "cut":
            del broken[place : place + data.draw(st.integers(1, 9))]
        else:
            broken[place:place] = data.draw(st.binary(max_size=9))
    outcome = decode(record.partition, record.offset, record.received, key_of(record), headers, bytes(broken))
    if isinstance(outcome, LogRecord):  # the mutation hit a value: what came out must be a whole record again
        again = decode(outcome.partition, outcome.offset, outcome.received, key_of(outcome), *encode(outcome.payload))
        assert again == outcome


@given(record=records(), label=st.sampled_from(Kind))
def test_a_record_under_the_header_of_another_kind_never_raises(record: LogRecord, label: Kind) -> None:
    _, value = encode(record.payload)
    decode(0, 0, AT, KEY, [("kind", label.value.encode()), ("v", b"1")], value)


msgpack_values = st.recursive(
    st.none() | st.integers() | st.binary(max_size=9) | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("bgntvqs"), inner),
)


@given(msgpack_values)
def test_any_msgpack_value_never_raises(value: Any) -> None:
    try:
        raw = msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return
    decode(0, 0, AT, KEY, GOOD, raw)


def test_tags_that_are_remembered_are_those_that_stand_there() -> None:
    tags = [f"CR1.T{i}" for i in range(3)]
    columns = batch(g=tags, n=np.ones(3, "<i4").tobytes())
    first, again = fold_in(columns), fold_in(columns)
    assert isinstance(first, LogRecord)
    assert isinstance(again, LogRecord)
    assert isinstance(first.payload, Readings)
    assert isinstance(again.payload, Readings)
    assert first.payload.tags == again.payload.tags == tuple(tags)
    assert first.payload.tags is again.payload.tags


def test_tags_that_take_more_room_than_is_remembered_are_read_each_time() -> None:
    tags = [f"CR1.{'T' * 59}{i}" for i in range(9)] * 2
    assert refused(fold_in(batch(g=tags, n=np.ones(18, "<i4").tobytes()))) == "columns"
    tags = [f"CR1.{'T' * 58}{i}" for i in range(10, 30)]
    assert len(msgspec.msgpack.encode(tags)) > codec.KEPT_TAGS_BYTES
    long = {
        "g": tags, "n": np.ones(20, "<i4").tobytes(), "t": np.full(20, AT, "<i8").tobytes(), "v": np.ones(20, "<f8").tobytes(),
    }  # fmt: skip
    found = []
    for _ in range(2):
        record = fold_in(batch(**long))
        assert isinstance(record, LogRecord)
        assert isinstance(record.payload, Readings)
        found.append(record.payload.tags)
    assert found == [tuple(tags)] * 2
    assert found[0] is not found[1]


@pytest.mark.parametrize("tags", [["CR1.T1", "CR1.T1"], ["CR1.T1", "CR1 T2"], ["CR1.T1", ""]])
def test_tags_that_are_none_are_refused_also_when_they_come_again(tags: list[str]) -> None:
    assert [refused(fold_in(batch(g=tags))) for _ in range(2)] == ["contract", "contract"]


@pytest.mark.parametrize("tags", [7, [1, 2], None, {"a": 1}])
def test_what_is_no_list_of_tags_is_undecodable(tags: Any) -> None:
    assert [refused(fold_in(batch(g=tags))) for _ in range(2)] == ["undecodable", "undecodable"]
