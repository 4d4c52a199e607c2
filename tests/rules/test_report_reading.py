"""A posted report is read or refused: whatever the bytes, in bounded time, all faults at once, with pointers that lead somewhere."""

from __future__ import annotations

import json
import math
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.faults import MAX_FAULTS, PostRefusedError
from rules.records import Kind, LogRecord, Report
from rules.reports.posts import POSTS, example_of
from rules.reports.reading import AHEAD_MS, read_report
from rules.reports.types import TYPES
from streams.codec import decode, encode
from tests.rules.posted import NOW, altered, anything, changed, faults, read_or_refused

CASE = example_of("adr-case")
SCHEMAS = {name: jsonschema.Draft202012Validator(post.model_json_schema()) for name, post in POSTS.items()}


def read(body):
    return read_report(body, NOW)


@settings(max_examples=300)
@given(st.one_of(anything, altered([example_of(name) for name in TYPES])))
def test_whatever_json_comes_is_a_report_or_refused(value):
    report = read_or_refused(read, value)
    if report is None:
        return
    assert isinstance(report, Report)
    SCHEMAS[report.type].validate(value)
    headers, encoded = encode(report)
    assert decode(0, 0, 1, b"FIRM-1", headers, encoded) == LogRecord(0, 0, 1, Kind.REPORT, "FIRM-1", report)
    assert report.fields == {name: member for name, member in value["fields"].items() if member is not None}


@given(st.one_of(st.binary(max_size=60), st.integers(0, 300).map(lambda cut: json.dumps(CASE).encode()[:cut])))
def test_whatever_bytes_come_are_a_report_or_refused(body):
    try:
        read(body)
    except PostRefusedError as error:
        refused = error
    else:
        refused = None
    assert refused is None or refused.faults


@pytest.mark.parametrize(
    ("body", "code", "grounds"),
    [
        (b"", "malformed", "malformed"), (b"\xff", "malformed", "malformed"), (b"\xef\xbb\xbf{}", "malformed", "malformed"),
        (b'{"type":"susar","type":"dsur"}', "malformed", "malformed"), (b'{"type":"\\ud800"}', "malformed", "malformed"),
        (b"[" * 17 + b"]" * 17, "too_deep", "too_large"), (b"[]", "wrong_type", "contract"), (b"null", "wrong_type", "contract"),
        (b"7", "wrong_type", "contract"), (b'{"more":' + b"[" * 15 + b"]" * 15 + b"}", "unknown_member", "contract"),
    ],
)  # fmt: skip
def test_what_is_no_report_at_all(body, code, grounds):
    with pytest.raises(PostRefusedError) as error:
        read(body)
    assert error.value.grounds == grounds
    assert code in error.value.counts


def test_all_faults_come_at_once_of_the_envelope_the_fields_and_the_order():
    bad = changed(changed(changed(CASE, ("id",), "a b"), ("fields", "onset"), "2026-03-04"), ("fields", "product"), ...)
    bad = changed(changed(bad, ("sent",), "2026-03-06T00:00:00+08:00"), ("fields", "is_new"), "no") | {"more": 1}
    assert faults(read, bad) == {
        "/id": "wrong_form", "/more": "unknown_member", "/sent": "in_the_future", "/fields/product": "missing",
        "/fields/is_new": "wrong_type", "/fields/onset": "impossible_time",
    }  # fmt: skip


@pytest.mark.parametrize(("sent", "taken"), [(NOW + AHEAD_MS, True), (NOW + AHEAD_MS + 1, False)])
def test_a_senders_clock_may_be_five_minutes_ahead(sent, taken):
    said = faults(read, changed(CASE, ("sent",), sent))
    assert said == ({} if taken else {"/sent": "in_the_future"})
    assert (
        read_report(json.dumps(changed(CASE, ("sent",), sent)).encode()).sent == sent
    )  # without a clock nothing lies ahead


@pytest.mark.parametrize(
    "sent", ["2026-03-05T09:00:00", "2026-03-05", "soon", None, 1.5, True, -1, "2101-01-01T00:00:00Z"]
)
def test_a_sent_that_is_none_is_one_fault_and_orders_nothing(sent):
    assert set(faults(read, changed(CASE, ("sent",), sent))) == {"/sent"}


def test_revisions_are_the_folds_business():
    """A revision above 1 without a reason is taken, and becomes a finding (settled.md); so does a number that comes again."""
    assert read(json.dumps(CASE | {"revision": 2}).encode()).revision == 2
    assert read(json.dumps(CASE | {"revision": 2, "reason": "lot found"}).encode()).reason == "lot found"
    assert faults(read, CASE | {"revision": 1, "reason": "x"}) == {}
    for revision, code in (
        (0, "out_of_range"),
        (100_001, "out_of_range"),
        ("1", "wrong_type"),
        (1.0, "wrong_type"),
        (True, "wrong_type"),
    ):
        assert faults(read, CASE | {"revision": revision}) == {"/revision": code}
    for reason in ("", " ", "x" * 4_001, "a\x00b", 5):
        assert set(faults(read, CASE | {"reason": reason})) == {"/reason"}
    assert read(json.dumps(CASE | {"reason": None}).encode()).reason is None


def test_an_unknown_type_names_those_there_are_and_nothing_is_said_of_its_fields():
    said = faults(read, CASE | {"type": "adr-cases", "fields": {"x": math.nan}})
    assert said == {"/type": "unknown_value", "/fields/x": "not_finite"}
    assert set(faults(read, CASE | {"type": "A b"})) == {"/type"}
    assert faults(read, CASE | {"fields": []}) == {"/fields": "wrong_type"}


def test_numbers_are_finite_and_whole_ones_survive_every_reader():
    review = example_of("quality-review")
    for value, code in (
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (10**400, "not_finite"),
        (2**53, "out_of_range"),
        (-(2**53), "out_of_range"),
    ):
        assert faults(read, changed(review, ("fields", "figures"), {"a": 1, "b/c": value})) == {
            "/fields/figures/b~1c": code
        }
    assert faults(read, changed(review, ("fields", "figures"), {"a": 2**53 - 1, "b": 1e300})) == {}


def test_a_number_that_is_none_is_one_fault_however_many_there_are():
    review = changed(
        example_of("quality-review"), ("fields", "figures"), {f"f{i}": math.nan for i in range(MAX_FAULTS + 100)}
    )
    assert wall(review)[0].counts == {"not_finite": MAX_FAULTS + 100}


def test_what_is_wrong_with_a_name_stands_at_what_it_names():
    with pytest.raises(PostRefusedError) as error:
        read(json.dumps(changed(example_of("quality-review"), ("fields", "figures"), {"": {}})).encode())
    assert [(fault.pointer, fault.code) for fault in error.value.faults] == [
        ("/fields/figures/", "wrong_form"), ("/fields/figures/", "wrong_type"),
    ]  # fmt: skip


def wall(value):
    body = json.dumps(value, separators=(",", ":")).encode()
    began = time.process_time()
    with pytest.raises(PostRefusedError) as error:
        read(body)
    return error.value, time.process_time() - began


def test_ten_thousand_faults_are_all_counted_and_five_hundred_listed():
    amendment = example_of("amendment")
    refused, took = wall(
        changed(amendment, ("fields", "readings"), [{"tag": "?", "time": 1, "old": 1, "more": 1}] * 4_000)
    )
    assert refused.counts == {"missing": 4_000, "unknown_member": 4_000, "wrong_form": 4_000}
    assert len(refused.faults) == MAX_FAULTS
    assert took < 5


@pytest.mark.parametrize(
    "member",
    [
        {"readings": [{}] * 1_300_000}, {"more": [1] * 2_000_000}, {"readings": [{f"{i:x}": 1 for i in range(20)}] * 5_000}, {"lots": [[1] * 4_999] * 400},
        {f"{i:x}": 1 for i in range(460_000)}, {"readings": [[[[[[1]]]]]] * 4_900}, {"readings": "x" * 4_000_000},
    ],
    ids=["entries", "numbers", "members of entries", "lists", "members", "nested", "text"],
)  # fmt: skip
def test_no_body_of_four_mebibytes_takes_long(member):
    refused, took = wall(changed(example_of("amendment"), ("fields",), member))
    assert len(refused.faults) <= MAX_FAULTS
    assert took < 20  # some two seconds on a quiet machine; what reads large bodies ends one that takes thirty


def test_more_than_five_thousand_entries_are_not_looked_into():
    many = changed(example_of("amendment"), ("fields", "readings"), [{}] * 5_001)
    assert faults(read, many | {"type": "x y"}) == {"/fields/readings": "too_many"}
    assert wall(many)[0].grounds == "too_large"


@pytest.mark.parametrize(("members", "found"), [(20, "unknown_member"), (21, "too_many")])
def test_an_object_in_a_list_has_at_most_twenty_members(members, found):
    entry = {"tag": "T", "time": 1, "old": 1, "new": 2} | {f"m{i}": 1 for i in range(members - 4)}
    said = faults(read, changed(example_of("amendment"), ("fields", "readings"), [entry, entry]))
    assert set(said.values()) == {found}
    assert {pointer for pointer in said if pointer.count("/") == 3} == (
        {f"/fields/readings/{i}" for i in (0, 1)} if members > 20 else set()
    )


def test_a_document_holds_at_most_a_quarter_million_values():
    lists = [[0] * 4_999 for _ in range(49)]
    rest = 250_000 - 5 - 1 - 49 - 49 * 4_999  # the report's members, `more`, its lists, and what is in them
    for extra, found in ((0, "unknown_member"), (1, "too_many")):
        value = CASE | {"fields": {}, "more": [*lists, [0] * (rest - 1 + extra)]}
        said = faults(read, value)
        assert said.get("") == ("too_many" if extra else None), extra
        assert ("/more" in said) is not bool(extra)
        assert found in said.values()
