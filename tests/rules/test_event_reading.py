"""Posted events are read or refused: whatever the bytes, in bounded time, all faults at once, with pointers that lead somewhere."""

from __future__ import annotations

import json
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.eventtypes.posts import EventsPost, example_of
from rules.eventtypes.reading import read_events
from rules.eventtypes.types import STREAMS
from rules.faults import PostRefusedError
from rules.records import Events, Kind, LogRecord
from streams.codec import decode, encode
from tests.rules.posted import NOW, altered, anything, changed, faults, read_or_refused

EXAMPLES = [example_of(stream, name) for stream, types in STREAMS.items() for name in types]
DOOR = example_of("device", "door")
SCHEMA = jsonschema.Draft202012Validator(EventsPost.model_json_schema())
EVENT = ("events", 0)


def many(count, **members):
    return {"batch": "e", "events": [DOOR["events"][0] | members] * count}


@settings(max_examples=300)
@given(st.one_of(anything, altered(EXAMPLES), st.lists(altered(EXAMPLES), max_size=3).map(
    lambda batches: {"batch": "b", "events": [e for b in batches if isinstance(b, dict) and isinstance(b.get("events"), list) for e in b["events"]]}
)))  # fmt: skip
def test_whatever_json_comes_is_a_batch_or_refused(value):
    events = read_or_refused(read_events, value)
    if events is None:
        return
    assert isinstance(events, Events)
    SCHEMA.validate(value)
    headers, encoded = encode(events)
    assert decode(0, 0, 1, b"FIRM-1", headers, encoded) == LogRecord(0, 0, 1, Kind.EVENTS, "FIRM-1", events)


@given(st.one_of(st.binary(max_size=60), st.integers(0, 200).map(lambda cut: json.dumps(DOOR).encode()[:cut])))
def test_whatever_bytes_come_are_a_batch_or_refused(body):
    try:
        read_events(body)
    except PostRefusedError as error:
        refused = error
    else:
        refused = None
    assert refused is None or refused.faults


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], {"": "wrong_type"}), (None, {"": "wrong_type"}), ({}, {"/batch": "missing", "/events": "missing"}),
        ({"batch": "b", "events": {}}, {"/events": "wrong_type"}), ({"batch": "b", "events": []}, {"/events": "too_few"}),
        ({"batch": "b", "events": [7, None]}, {"/events/0": "wrong_type", "/events/1": "wrong_type"}),
        ({"batch": "", "events": [{}]}, {"/batch": "wrong_form", **{f"/events/0/{m}": "missing" for m in ("stream", "type", "time", "source")}}),
        (changed(DOOR, (*EVENT, "stream"), "doors"), {"/events/0/stream": "unknown_value"}),
        (changed(DOOR, (*EVENT, "type"), "doors"), {"/events/0/type": "unknown_value"}),
        (changed(DOOR, (*EVENT, "type"), "limit-changed"), {"/events/0/type": "unknown_value"}),
        (changed(DOOR, (*EVENT, "fields"), ...), {"/events/0/fields": "missing"}),
        (changed(DOOR, (*EVENT, "fields"), []), {"/events/0/fields": "wrong_type"}),
        (changed(DOOR, (*EVENT, "fields"), {}), {"/events/0/fields/state": "missing"}),
        (changed(DOOR, (*EVENT, "time"), "2026-03-01"), {"/events/0/time": "wrong_form"}),
        (changed(DOOR, (*EVENT, "source"), "PLC 2"), {"/events/0/source": "wrong_form"}),
        (changed(DOOR, (*EVENT, "seq"), "911"), {"/events/0/seq": "wrong_type"}), (changed(DOOR, (*EVENT, "seq"), -1), {"/events/0/seq": "out_of_range"}),
        (changed(DOOR, (*EVENT, "seq"), 2**53), {"/events/0/seq": "out_of_range"}), (changed(DOOR, (*EVENT, "seq"), 2**53 - 1), {}),
        (changed(DOOR, (*EVENT, "area"), None), {}), (changed(DOOR, (*EVENT, "time"), 0), {}),
    ],
)  # fmt: skip
def test_what_is_no_batch_or_no_event(value, found):
    assert faults(read_events, value) == found


@pytest.mark.parametrize("name", ["heartbeat", "restart"])
def test_fields_may_be_left_out_where_nothing_is_needed(name):
    one = changed(example_of("device", name), (*EVENT, "fields"), ...)
    assert read_events(json.dumps(one).encode()).events[0].fields == {}


def test_faults_of_every_event_come_at_once():
    batch = {
        "batch": "a b",
        "events": [
            DOOR["events"][0] | {"more": 1},
            {},
            example_of("audit", "action")["events"][0] | {"fields": {"verb": "x"}},
        ],
    }
    said = faults(read_events, batch)
    assert {pointer.split("/")[2] for pointer in said if pointer.startswith("/events")} == {"0", "1", "2"}
    assert said["/batch"] == "wrong_form"
    assert said["/events/2/fields/actor"] == "missing"


def test_an_event_ahead_of_its_time_is_the_folds_business():
    assert faults(read_events, changed(DOOR, (*EVENT, "time"), NOW * 2)) == {}


def test_a_thousand_events_are_taken_and_one_more_is_too_large():
    assert len(read_events(json.dumps(many(1_000)).encode()).events) == 1_000
    with pytest.raises(PostRefusedError) as error:
        read_events(json.dumps(many(1_001, more=1)).encode())
    assert error.value.grounds == "too_large"
    assert error.value.counts == {"too_many": 1}


def test_beside_too_many_events_the_batch_is_still_looked_at():
    said = faults(read_events, many(1_001) | {"batch": float("nan"), "more": [1] * 6_000})
    assert said == {"/events": "too_many", "/batch": "not_finite", "/more": "too_many"}


def test_every_fault_of_a_thousand_events_is_counted_in_bounded_time():
    body = json.dumps(many(1_000, **{f"m{i}": 1 for i in range(15)})).encode()
    began = time.process_time()
    with pytest.raises(PostRefusedError) as error:
        read_events(body)
    assert error.value.counts == {"unknown_member": 15_000}
    assert len(error.value.faults) == 500
    assert time.process_time() - began < 20
