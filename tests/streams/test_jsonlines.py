"""The log as JSON lines: loss-free against Kafka, every bad line named, in bounded memory."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import BadInputError
from rules.faults import PostRefusedError
from rules.instants import format_instant
from rules.records import Kind, LogRecord, Readings
from streams import jsonlines
from streams.codec import decode, encode, key_of
from streams.jsonlines import format_line, parse_line, read_lines, split_lines
from tests.anyrecord import records

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = 1_772_323_200_000
# The lines of contracts.md §3, with the facts that it abbreviates.
REGISTER = (
    '{"partition": 3, "offset": 0, "received": "2026-03-01T00:00:00.000Z", "kind": "register", '
    '"facility": "BJ-MFR-0007", "data": {"version": 1, "facility": {"id": "BJ-MFR-0007", '
    '"name": {"zh": "京北", "en": "Jingbei"}, "jurisdiction": "110115"}}}'
)
READINGS = (
    '{"partition": 3, "offset": 1, "received": "2026-03-01T00:01:00.000Z", "kind": "readings", '
    '"facility": "BJ-MFR-0007", "data": {"batch": "b1", "series": '
    '[{"tag": "CR1.T1", "time": [1772323200000], "value": [4.8]}]}}'
)
EVENTS = (
    '{"partition": 3, "offset": 4, "received": "2026-03-01T00:03:10.000Z", "kind": "events", '
    '"facility": "BJ-MFR-0007", "data": {"batch": "e1", "events": [{"stream": "device", "type": "door", '
    '"time": "2026-03-01T08:01:00+08:00", "source": "PLC-2", "seq": 911, "area": "CR1", "fields": {"state": "open"}}]}}'
)
TICK = (
    '{"partition": 3, "offset": 5, "received": "2026-03-01T00:04:00.000Z", "kind": "tick", "facility": "", '
    '"data": {"by": "gw-1", "role": "gateway", "now": "2026-03-01T00:04:00.000Z"}}'
)
LOG = [REGISTER, READINGS, EVENTS, TICK]


def changed(line: str, **members: Any) -> str:
    return json.dumps({**json.loads(line), **members}, ensure_ascii=False)


def faults(*lines: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadInputError) as caught:
        list(read_lines(lines, "log.jsonl"))
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


def test_the_lines_of_the_contract_are_read() -> None:
    found = list(read_lines(LOG))
    assert [record.kind for record in found] == [Kind.REGISTER, Kind.READINGS, Kind.EVENTS, Kind.TICK]
    assert [record.offset for record in found] == [0, 1, 4, 5]
    assert found[1].received == AT + 60_000
    assert found[3].facility == ""


@pytest.mark.parametrize("line", [READINGS, TICK])
def test_members_stand_in_the_order_that_the_contract_prints(line: str) -> None:
    assert format_line(parse_line(line.encode())).decode() == json.dumps(json.loads(line), separators=(",", ":"))


def test_texts_are_written_as_they_are() -> None:
    assert "京北" in format_line(parse_line(REGISTER.encode())).decode()


@given(records())
def test_kafka_json_lines_and_records_are_the_same(record: LogRecord) -> None:
    headers, value = encode(record.payload)
    line = format_line(record)
    back = parse_line(line)
    assert back == record
    assert encode(back.payload) == (headers, value)
    again = decode(back.partition, back.offset, back.received, key_of(back), headers, value)
    assert isinstance(again, LogRecord)
    assert format_line(again) == line
    assert list(json.loads(line)) == ["partition", "offset", "received", "kind", "facility", "data"]
    assert b"\n" not in line


@given(records(st.just(Kind.READINGS)))
def test_readings_stand_as_posted(record: LogRecord) -> None:
    assert isinstance(record.payload, Readings)
    series = json.loads(format_line(record))["data"]["series"]
    begin = 0
    for entry, tag, count in zip(series, record.payload.tags, record.payload.counts.tolist(), strict=True):
        quality = record.payload.quality[begin : begin + count]
        begin += count
        assert entry["tag"] == tag
        assert all(type(time) is int for time in entry["time"])
        assert ("quality" in entry) == bool(quality.any())


@given(records())
def test_the_way_that_names_faults_reads_the_same_record(record: LogRecord) -> None:
    assert jsonlines._named(format_line(record)) == record


@given(records(), st.data())
def test_a_mutated_line_never_raises_anything_else(record: LogRecord, data: st.DataObject) -> None:
    line = bytearray(format_line(record))
    place = data.draw(st.integers(0, len(line)))
    line[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        back = parse_line(bytes(line))
    except PostRefusedError:
        return
    assert parse_line(format_line(back)) == back


def test_every_bad_line_is_named_with_its_number_and_its_place() -> None:
    assert faults(
        REGISTER,
        "{",
        "",
        changed(READINGS, received="2026-03-01 00:01"),
        READINGS.replace("4.8", "null"),
        READINGS.replace("CR1.T1", "CR1 T1").replace("readings", "gossip"),
        EVENTS.replace('"device"', '"gossip"'),
        TICK,
    ) == [
        ("log.jsonl:2", "malformed"),
        ("log.jsonl:4/received", "bad_instant"),
        ("log.jsonl:5/data/series/0/value/0", "null_with_good_quality"),
        ("log.jsonl:6/kind", "unknown_value"),
        ("log.jsonl:7/data/events/0/stream", "unknown_value"),
    ]


def test_all_faults_of_one_line_are_named() -> None:
    line = changed(READINGS, partition=-1, offset="1", received=5, facility="x", extra=1)
    assert faults(line.replace("4.8", "NaN")) == [
        ("log.jsonl:1/extra", "unknown_member"),
        ("log.jsonl:1/partition", "out_of_range"),
        ("log.jsonl:1/offset", "out_of_range"),
        ("log.jsonl:1/received", "bad_instant"),
        ("log.jsonl:1/facility", "bad_facility"),
        ("log.jsonl:1/data/series/0/value/0", "not_finite"),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("5", ("log.jsonl:1", "wrong_type")),
        (changed(TICK, offset=2**63), ("log.jsonl:1/offset", "out_of_range")),
        (changed(TICK, offset=True), ("log.jsonl:1/offset", "out_of_range")),
        (changed(TICK, received="1969-12-31T23:59:59Z"), ("log.jsonl:1/received", "bad_instant")),
        (changed(TICK, received="2026-03-01T00:04:00"), ("log.jsonl:1/received", "bad_instant")),
        (changed(TICK, kind=None), ("log.jsonl:1/kind", "unknown_value")),
        (changed(TICK, facility="BJ-MFR-0007"), ("log.jsonl:1/facility", "bad_facility")),
        (changed(READINGS, facility=""), ("log.jsonl:1/facility", "bad_facility")),
        (changed(READINGS, data=None), ("log.jsonl:1/data", "wrong_type")),
        (changed(TICK, data=None), ("log.jsonl:1/data", "wrong_type")),
        (changed(REGISTER, facility="BJ-MFR-0008"), ("log.jsonl:1/data/facility/id", "bad_facility")),
        (TICK[:-1] + ', "data": ' + "[" * 90 + "]" * 90 + "}", ("log.jsonl:1", "too_deep")),
        (EVENTS.replace('"open"', "[[NaN]]"), ("log.jsonl:1/data/events/0/fields/state", "not_finite")),
        (EVENTS.replace('"open"', "1e999"), ("log.jsonl:1/data/events/0/fields/state", "not_finite")),
        ("\udc80", ("log.jsonl:1", "malformed")),
        (b"\xff\xfe", ("log.jsonl:1", "malformed")),
    ],
)
def test_a_bad_line_is_named(line: str | bytes, fault: tuple[str, str]) -> None:
    assert faults(line) == [fault]


@pytest.mark.parametrize("member", ["partition", "offset", "received", "kind", "facility", "data"])
def test_a_missing_member_is_named(member: str) -> None:
    value = json.loads(READINGS)
    del value[member]
    assert faults(json.dumps(value)) == [(f"log.jsonl:1/{member}", "missing")]


def test_offsets_rise_within_a_partition_and_partitions_may_be_interleaved() -> None:
    other = changed(TICK, partition=4, offset=0)
    assert len(list(read_lines([*LOG, other]))) == 5
    assert faults(*LOG, other, changed(TICK, offset=5), changed(TICK, offset=2), changed(TICK, offset=6)) == [
        ("log.jsonl:6/offset", "offset_order"),
        ("log.jsonl:7/offset", "offset_order"),
    ]


def test_a_facility_stays_in_its_partition() -> None:
    assert faults(REGISTER, changed(READINGS, partition=4)) == [("log.jsonl:2/partition", "facility_moved")]


def test_state_lines_may_share_an_offset() -> None:
    data = {"format": 1, "semantics": 1, "packs": "", "clock": 0, "seq": 0, "snapshot": "", "checksum": "0" * 64}
    first = changed(READINGS, kind="state", data=data)
    second = changed(first, facility="BJ-MFR-0008")
    assert [record.kind for record in read_lines([first, second, READINGS])] == [Kind.STATE, Kind.STATE, Kind.READINGS]


def test_records_come_before_the_end_is_read_and_stop_at_the_first_bad_line() -> None:
    read: list[str] = []

    def source() -> Iterator[str]:
        for line in [REGISTER, "{", READINGS, "}"]:
            read.append(line)
            yield line

    lines = read_lines(source())
    assert next(lines).kind is Kind.REGISTER
    assert read == [REGISTER]  # bounded memory: nothing is read ahead
    with pytest.raises(BadInputError) as caught:
        next(lines)
    assert [fault.pointer for fault in caught.value.faults] == ["log:2", "log:4"]


def test_five_hundred_faults_are_listed_and_the_rest_is_counted() -> None:
    with pytest.raises(BadInputError) as caught:
        list(read_lines(["{"] * 1_200))
    assert len(caught.value.faults) == 501
    assert caught.value.faults[-1].detail.startswith("700 more")


def test_a_line_that_is_too_long_is_passed_over_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 400)
    source = io.BytesIO(
        b"\n".join([READINGS.encode(), b" " * 5_000 + TICK.encode(), b"x" * 400, TICK.encode()]) + b"\n"
    )
    lines = list(split_lines(source))
    assert max(map(len, lines)) == 401
    assert [code for _, code in faults(*lines)] == ["too_long", "malformed"]
    assert [place for place, _ in faults(*lines)] == ["log.jsonl:2", "log.jsonl:3"]


def test_lines_end_where_they_end() -> None:
    assert list(split_lines(io.BytesIO(b"a\n\nb"))) == [b"a\n", b"\n", b"b"]


def test_a_line_without_control_characters_reaches_the_terminal() -> None:
    with pytest.raises(BadInputError) as caught:
        list(read_lines([changed(TICK, **{"\x1b[2J": 1}), "\x1b[2J", changed(TICK, kind="\x1b[2J")]))
    assert "\x1b" not in caught.value.report()


def test_instants_are_utc_with_three_decimals() -> None:
    record = parse_line(changed(TICK, received="2026-03-01T08:04:00.5+08:00").encode())
    assert json.loads(format_line(record))["received"] == "2026-03-01T00:04:00.500Z" == format_instant(record.received)
