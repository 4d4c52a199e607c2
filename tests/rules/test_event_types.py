"""Every type of event, member by member, and what rules read of them: what is posted is what the rules' own tests tell."""

from __future__ import annotations

import json

import jsonschema
import pytest

from rules.eventtypes.posts import POSTS, EventsPost, example_of
from rules.eventtypes.reading import read_events
from rules.eventtypes.types import STREAMS
from rules.pack import default_bundle
from rules.records import Events
from rules.ruletest import BEGIN_MS, timed
from tests.rules.posted import changed, faults, leaves

KINDS = [(stream, name) for stream, types in STREAMS.items() for name in types]
EXAMPLES = {(stream, name): example_of(stream, name) for stream, name in KINDS}
WHOLE = jsonschema.Draft202012Validator(EventsPost.model_json_schema())
SCHEMAS = {kind: jsonschema.Draft202012Validator(POSTS[kind[0]][kind[1]].model_json_schema()) for kind in KINDS}
OTHERS = (True, 7, -1, 1.5, "", " ", "x\x00y", [], {}, [[]], "2026-13-01", "2026-03-01T00:00:00")
EVENT = ("events", 0)
FIELDS = (*EVENT, "fields")
AT, AT1 = "2026-03-01T08:00:00+08:00", "2026-03-01T08:00:00.001+08:00"


def fields(stream, name, **members):
    """Return a batch with an event of a type with other fields; `...` leaves one out."""
    batch = EXAMPLES[stream, name]
    for member, value in members.items():
        batch = changed(batch, (*FIELDS, member.rstrip("_")), value)
    return batch


def test_the_types_are_those_of_the_catalogue():
    assert {stream: list(types) for stream, types in STREAMS.items()} == {
        "device": ["heartbeat", "restart", "alarm", "power", "door", "monitor", "config", "serial", "calibration", "replacement"],
        "audit": ["heartbeat", "audit-disabled", "limit-changed", "alarm-disabled", "alarm-enabled", "action"],
        "lab": ["result", "run", "parallel"],
        "trace": [
            "produced", "imported", "released", "destroyed", "shipped", "arrived", "sold", "returned", "stop-order", "stock-count", "used",
            "batch-step", "room-state",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "name", "needed"),
    [
        ("device", "heartbeat", ""), ("device", "restart", ""), ("device", "alarm", "cause state"), ("device", "power", "state"),
        ("device", "door", "state"), ("device", "monitor", "state"), ("device", "config", "hash"), ("device", "serial", "serial"),
        ("device", "calibration", "done_at"), ("device", "replacement", "old new"), ("audit", "heartbeat", ""), ("audit", "audit-disabled", ""),
        ("audit", "limit-changed", "actor asset old new"), ("audit", "alarm-disabled", "actor asset"), ("audit", "alarm-enabled", "actor asset"),
        ("audit", "action", "actor verb object"), ("lab", "result", "sample_id test method value unit verdict sampled_at"),
        ("lab", "run", "instrument number state"), ("lab", "parallel", "series value unit measured_at by reference_error"),
        ("trace", "produced", "lot quantity"), ("trace", "imported", "lot quantity"), ("trace", "released", "lot quantity"),
        ("trace", "destroyed", "lot quantity"), ("trace", "shipped", "lot quantity from to"), ("trace", "arrived", "lot quantity from to"),
        ("trace", "sold", "lot quantity from to"), ("trace", "returned", "lot quantity from to"), ("trace", "stop-order", "lot"),
        ("trace", "stock-count", "place product quantity"), ("trace", "used", "place product quantity"), ("trace", "batch-step", "batch step from"),
        ("trace", "room-state", "room state"),
    ],
)  # fmt: skip
def test_a_needed_member_is_needed_and_an_optional_one_is_not(stream, name, needed):
    members = STREAMS[stream][name].model.members()
    assert {member for member, is_needed in members.items() if is_needed} == set(needed.split())
    posted = EXAMPLES[stream, name]["events"][0]["fields"]
    for member, is_needed in members.items():
        if member in {"lot", "room", "loop"} and name == "result":
            continue
        without = fields(stream, name, **{member: ...}) if member in posted else EXAMPLES[stream, name]
        assert faults(read_events, without) == ({f"/events/0/fields/{member}": "missing"} if is_needed else {}), member
        null = fields(stream, name, **{member: None})
        assert set(faults(read_events, null)) == ({f"/events/0/fields/{member}"} if is_needed else set()), member
        if not is_needed:
            assert member not in read_events(json.dumps(null).encode()).events[0].fields


@pytest.mark.parametrize(("stream", "name"), KINDS)
def test_its_example_is_taken_and_is_what_the_log_holds(stream, name):
    batch = EXAMPLES[stream, name]
    assert read_events(json.dumps(batch).encode()) == Events.model_validate(batch)
    WHOLE.validate(batch)
    SCHEMAS[stream, name].validate(batch["events"][0])
    EventsPost.model_validate(batch)


@pytest.mark.parametrize(("stream", "name"), KINDS)
def test_nothing_else_may_stand_in_it_nor_in_its_parts(stream, name):
    batch = EXAMPLES[stream, name]
    for path in ((), EVENT, FIELDS):
        assert faults(read_events, changed(batch, (*path, "more"), 1)) == {
            "/".join(["", *map(str, path), "more"]): "unknown_member"
        }
    for path, value in leaves(batch["events"][0]["fields"], *FIELDS):
        if isinstance(value, dict) and path[-1] != "fields":
            assert faults(read_events, changed(batch, (*path, "more"), 1)) == {
                "/".join(["", *map(str, path), "more"]): "unknown_member"
            }
    if "from" in batch["events"][0]["fields"]:
        renamed = changed(
            changed(batch, (*FIELDS, "from_"), batch["events"][0]["fields"]["from"]), (*FIELDS, "from"), ...
        )
        assert faults(read_events, renamed) == {
            "/events/0/fields/from_": "unknown_member",
            "/events/0/fields/from": "missing",
        }


@pytest.mark.parametrize(("stream", "name"), KINDS)
def test_what_the_schema_refuses_is_refused_there_and_what_is_taken_fits_it(stream, name):
    batch = EXAMPLES[stream, name]
    for path, value in leaves(batch["events"][0], *EVENT):
        for other in OTHERS:
            one = changed(batch, path, other)
            said = faults(read_events, one)
            assert SCHEMAS[stream, name].is_valid(one["events"][0]) or said, (path, other)
            assert all(pointer.startswith("/events/0") for pointer in said), (path, other, said)
        if path[:4] == (*FIELDS, "fields"):  # settings of a device: any JSON
            continue
        if isinstance(value, str):
            assert all(faults(read_events, changed(batch, path, other)) for other in ("", " ", "x\x00y")), path
        if isinstance(value, bool):
            assert all(faults(read_events, changed(batch, path, other)) for other in (0, 1, "true", [])), path
        elif isinstance(value, (int, float)):
            assert all(
                faults(read_events, changed(batch, path, other)) for other in (True, [], {}, float("nan"), 10**400)
            ), path
        elif isinstance(value, list):
            assert all(faults(read_events, changed(batch, path, other)) for other in (True, 7, "x", {}, [None])), path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"lot": ..., "room": ..., "loop": ...}, {"lot": "missing"}), ({"lot": None, "room": None, "loop": None}, {"lot": "missing"}),
        ({"lot": "B1", "loop": ...}, {}), ({"room": "R1", "loop": ...}, {}), ({"loop": "L1"}, {}), ({"loop": "L1", "room": None}, {}),
        ({"loop": "L1", "room": "R1"}, {"loop": "not_together"}), ({"lot": "B1", "room": "R1", "loop": "L1"}, {"room": "not_together", "loop": "not_together"}),
    ],
)  # fmt: skip
def test_a_result_is_of_exactly_one_lot_room_or_loop(given, found):
    batch = EXAMPLES["lab", "result"]
    for member, value in given.items():
        inside = member in batch["events"][0]["fields"]
        batch = batch if value is ... and not inside else changed(batch, (*FIELDS, member), value)
    assert faults(read_events, batch) == {f"/events/0/fields/{member}": code for member, code in found.items()}
    assert SCHEMAS["lab", "result"].is_valid(batch["events"][0]) is (not found)


@pytest.mark.parametrize("name", ["config", "serial", "replacement"])
@pytest.mark.parametrize(
    ("envelope", "inside", "found"),
    [
        ({}, {}, {}), ({"device": "D1"}, {}, {}), ({}, {"device": "D1"}, {}), ({}, {"point": "T1"}, {}), ({"device": "D1"}, {"device": "D1"}, {}),
        ({"device": None}, {"point": "T1", "device": None}, {}), ({"device": "D1"}, {"device": "D2"}, {"device": "not_together"}),
        ({}, {"device": "D1", "point": "T1"}, {"point": "not_together"}), ({"device": "D1"}, {"point": "T1"}, {"point": "not_together"}),
        ({"device": "D1"}, {"device": "D1", "point": "T1"}, {"point": "not_together"}),
        ({"device": "D1"}, {"device": "D2", "point": "T1"}, {"device": "not_together", "point": "not_together"}),
    ],
)  # fmt: skip
def test_it_is_about_a_point_or_a_device_and_else_about_its_source(name, envelope, inside, found):
    batch = fields("device", name, point=...)
    for member, value in envelope.items():
        batch = changed(batch, (*EVENT, member), value)
    for member, value in inside.items():
        batch = changed(batch, (*FIELDS, member), value)
    assert faults(read_events, batch) == {f"/events/0/fields/{member}": code for member, code in found.items()}


@pytest.mark.parametrize("name", ["heartbeat", "alarm", "power", "door", "monitor", "calibration"])
def test_no_event_names_two_devices(name):
    batch = changed(fields("device", name, device="D1"), (*EVENT, "device"), "D2")
    assert faults(read_events, batch) == {"/events/0/fields/device": "not_together"}
    assert faults(read_events, changed(batch, (*EVENT, "device"), "D1")) == {}


def test_a_calibration_may_name_the_device_that_the_sensor_hangs_on():
    assert faults(read_events, changed(EXAMPLES["device", "calibration"], (*EVENT, "device"), "D1")) == {}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"point": ...}, {}), ({"serial": ...}, {}), ({"point": ..., "serial": ...}, {"point": "missing"}), ({"device": "D1"}, {}),
        ({"due_at": ..., "points": ...}, {}), ({"done_at": AT, "due_at": AT}, {}), ({"done_at": AT1, "due_at": AT}, {"done_at": "impossible_time"}),
        ({"points": []}, {"points": "too_few"}), ({"points": [{"reference": 5, "error": 0}] * 100}, {}),
        ({"points": [{"reference": 5, "error": 0}] * 101}, {"points": "too_many"}), ({"done_at": "2026-03-01"}, {"done_at": "wrong_form"}),
        ({"points": [{"at": 5, "error": 0}]}, {"points/0/at": "unknown_member", "points/0/reference": "missing"}),
    ],
)  # fmt: skip
def test_a_calibration_names_its_sensor_by_tag_or_serial(given, found):
    assert faults(read_events, fields("device", "calibration", **given)) == {
        f"/events/0/fields/{at}": code for at, code in found.items()
    }


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [(AT, AT, {}), (AT1, AT, {"/events/0/fields/from": "impossible_time"}), (AT, ..., {}), (AT, None, {})],
)
def test_a_step_does_not_end_before_it_begins(begin, end, found):
    assert faults(read_events, fields("trace", "batch-step", from_=begin, to=end)) == found


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (0, True), (-1, True), (-62_135_596_800_000, True), (1 << 40, True), (2**53 - 1, True), (2**53, False), (AT, True), ("2026-03-01", False),
        ("soon", False), (True, False), (1.0, False), ("1969-12-31T23:59:59Z", False), (None, True),
    ],
)  # fmt: skip
def test_a_devices_clock_may_be_as_wrong_as_it_likes(told, taken):
    assert bool(faults(read_events, fields("device", "heartbeat", device_time=told))) is not taken


@pytest.mark.parametrize(
    ("stream", "name", "member", "value"),
    [
        ("audit", "limit-changed", "new", {"high": None}), ("audit", "limit-changed", "new", {}), ("audit", "limit-changed", "new", {"low": 9, "high": 2}),
        ("audit", "limit-changed", "old", {"low": 2}), ("lab", "result", "value", "not detected"), ("lab", "result", "value", 0),
        ("device", "config", "fields", {"a": [1, {"b": None}], "c": "x"}), ("trace", "shipped", "to", "Dr. 王, clinic"),
        ("trace", "shipped", "codes", ["8" * 20] * 5_000), ("trace", "shipped", "codes", []), ("audit", "action", "actor", "张三"),
        ("trace", "stop-order", "basis", "order"), ("lab", "run", "number", 0), ("trace", "used", "quantity", 0.5),
    ],
)  # fmt: skip
def test_a_value_may_have_several_forms(stream, name, member, value):
    batch = fields(stream, name, **{member: value})
    assert faults(read_events, batch) == {}
    assert read_events(json.dumps(batch).encode()).events[0].fields[member] == value


@pytest.mark.parametrize(
    ("stream", "name", "member", "value", "code"),
    [
        ("audit", "limit-changed", "new", {"high": "12"}, "wrong_type"), ("audit", "limit-changed", "new", 12, "wrong_type"),
        ("lab", "result", "value", True, "wrong_type"), ("lab", "result", "value", "", "wrong_type"), ("lab", "result", "verdict", "fail", "unknown_value"),
        ("device", "config", "fields", {f"k{i}": 1 for i in range(2_001)}, "too_many"), ("device", "door", "state", "ajar", "unknown_value"),
        ("device", "alarm", "cause", "smoke", "unknown_value"), ("trace", "shipped", "quantity", -1, "out_of_range"),
        ("trace", "shipped", "to", "x" * 201, "wrong_form"), ("trace", "shipped", "trip", "x" * 129, "wrong_form"),
        ("trace", "produced", "expiry", "2028-02-30", "wrong_form"), ("trace", "room-state", "state", "idle", "unknown_value"),
        ("trace", "shipped", "codes", ["8" * 20] * 5_001, "too_many"), ("lab", "parallel", "series", "T 1", "wrong_form"),
        ("lab", "run", "number", -1, "out_of_range"), ("lab", "parallel", "reference_error", -0.1, "out_of_range"),
        ("device", "serial", "serial", "x" * 129, "wrong_form"), ("audit", "action", "verb", "read", "unknown_value"),
    ],
)  # fmt: skip
def test_a_value_that_is_none_is_named_by_its_code(stream, name, member, value, code):
    at = f"/events/0/fields/{member}" + ("/high" if isinstance(value, dict) and "high" in value else "")
    assert faults(read_events, fields(stream, name, **{member: value})) == {at: code}


@pytest.mark.parametrize(("stream", "name"), KINDS)
def test_every_member_is_explained_in_both_languages(stream, name):
    schema = POSTS[stream][name].model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for member, said in part.get("properties", {}).items():
            text = said.get("description", "")
            assert text[0].isascii(), (part["title"], member)
            assert any("\u4e00" <= c <= "\u9fff" for c in text), (part["title"], member)
    title = STREAMS[stream][name].title
    assert title.en.isascii()
    assert any("\u4e00" <= c <= "\u9fff" for c in title.zh)


def shipped_events():
    """Return every event that the tests of the shipped rules tell."""
    return [event for rule in default_bundle().rules for test in rule.tests for event in test.events]


FOREIGN = {
    ("device", "heartbeat", "hash"), ("device", "heartbeat", "point"), ("device", "heartbeat", "serial"),
    ("audit", "limit-changed", "terminal"), ("audit", "action", "asset"),
}  # fmt: skip
"""Members that a test tells of a type that has none, to show that they say nothing there."""


BROKEN = {("new", "{'high': '12'}"), ("device_time", "'soon'"), ("number", "'seven'"), ("state", "'ajar'")}
"""Values that a test tells to show that they cannot be read."""


def test_every_member_that_the_tests_of_shipped_rules_tell_can_be_posted():
    foreign, broken, seen = set(), set(), 0
    for event in shipped_events():
        members = STREAMS[event.stream][event.type].model.members()
        foreign |= {(event.stream, event.type, name) for name in event.fields if name not in members}
        for name, value in event.fields.items():
            one = {
                "stream": event.stream,
                "type": event.type,
                "time": 1,
                "source": "S",
                "fields": {name: timed(value, BEGIN_MS)},
            }
            said = faults(read_events, {"batch": "b", "events": [one]})
            if any(at.startswith(f"/events/0/fields/{name}") and code != "missing" for at, code in said.items()):
                broken |= set() if name not in members else {(name, repr(value))}
        seen += 1
    assert (foreign, broken) == (FOREIGN, BROKEN)
    assert seen > 500
