"""Every type of report, member by member: what is needed, of which type, what is too much, and what cannot have happened in that order."""

from __future__ import annotations

import json

import jsonschema
import pytest

from rules.instants import parse_instant
from rules.records import Report
from rules.reports.parts import Fields
from rules.reports.posts import POSTS, ReportPost, example_of
from rules.reports.reading import fields_of, read_report, report_faults
from rules.reports.types import TYPES
from tests.rules.posted import AT, NOW, changed, faults, leaves

EXAMPLES = {name: example_of(name) for name in TYPES}
WHOLE = jsonschema.Draft202012Validator(ReportPost.model_json_schema())
SCHEMAS = {name: jsonschema.Draft202012Validator(post.model_json_schema()) for name, post in POSTS.items()}
OPTIONAL = {
    "adr-case": {"lots"}, "adr-death-investigation": set(), "adr-group": set(), "device-event": set(), "cosmetic-reaction": {"lot"},
    "cosmetic-self-check": set(), "susar": {"lot"}, "dsur": set(), "recall-notice": {"filed_at"}, "recall-progress": set(),
    "recall-final": {"ended_at", "line"}, "annual-report": set(), "quality-review": set(), "deviation": {"closed_at"},
    "oos-investigation": {"closed_at", "conclusion"}, "change-filing": {"approved_at"}, "rectification": {"plan_date"},
    "amendment": {"proof_at", "proof"}, "sampling-result": {"retest_of"}, "significant-change": set(),
    "adr-group-investigation": set(), "psur": {"deaths", "conclusion"}, "device-group-case": {"outcome"}, "recall-plan": set(),
}  # fmt: skip
"""The catalogue's `?`, part 2, §11; the last row are those that a clock of deadlines.md asks for, and the end of a recall is one of its."""
OTHERS = (True, 7, -1, 1.5, "", " ", "x\x00y", [], {}, [[]], "\u202e", "2026-13-01", "2026-03-01T00:00:00")


def read(body):
    return read_report(body, NOW)


def fields(name, **members):
    """Return the report of a type with other fields; `...` leaves one out."""
    report = EXAMPLES[name]
    for member, value in members.items():
        report = changed(report, ("fields", member.rstrip("_")), value)
    return report


def test_the_types_are_those_of_the_catalogue():
    assert set(TYPES) == set(OPTIONAL)
    assert {
        name: {m for m, needed in known.model.members().items() if not needed} for name, known in TYPES.items()
    } == OPTIONAL


@pytest.mark.parametrize("name", TYPES)
def test_its_example_is_taken_and_is_what_the_log_holds(name):
    report = read(json.dumps(EXAMPLES[name]).encode())
    assert report == Report.model_validate(EXAMPLES[name])
    assert isinstance(fields_of(report), TYPES[name].model)
    SCHEMAS[name].validate(EXAMPLES[name])
    WHOLE.validate(EXAMPLES[name])
    assert POSTS[name].model_validate(EXAMPLES[name]).fields == fields_of(report)


@pytest.mark.parametrize("name", TYPES)
def test_a_needed_member_is_needed_and_an_optional_one_is_not(name):
    for member, needed in TYPES[name].model.members().items():
        without = fields(name, **{member: ...}) if member in EXAMPLES[name]["fields"] else EXAMPLES[name]
        assert faults(read, without) == ({f"/fields/{member}": "missing"} if needed else {}), member
        null = fields(name, **{member: None})
        said = faults(read, null)
        assert set(said) == ({f"/fields/{member}"} if needed else set()), member
        if not needed:
            assert member not in read(json.dumps(null).encode()).fields


@pytest.mark.parametrize("name", TYPES)
def test_nothing_else_may_stand_in_it_nor_in_its_parts(name):
    report = EXAMPLES[name]
    assert faults(read, changed(report, ("more",), 1)) == {"/more": "unknown_member"}
    assert faults(read, changed(report, ("fields", "more"), 1)) == {"/fields/more": "unknown_member"}
    for member in TYPES[name].model.model_fields:
        if member.endswith("_"):
            renamed = changed(
                changed(report, ("fields", member), report["fields"][member[:-1]]), ("fields", member[:-1]), ...
            )
            assert faults(read, renamed) == {f"/fields/{member}": "unknown_member", f"/fields/{member[:-1]}": "missing"}
    for path, value in leaves(report["fields"], "fields"):
        free = path[-1] in {"figures", "old", "new"}  # names, and what is a form of several
        if isinstance(value, dict) and not free:
            assert faults(read, changed(report, (*path, "more"), 1)) == {
                f"/{'/'.join(map(str, path))}/more": "unknown_member"
            }


@pytest.mark.parametrize("name", TYPES)
def test_what_the_schema_refuses_is_refused_there_and_what_is_taken_fits_it(name):
    report = EXAMPLES[name]
    for path, value in leaves(report):
        for other in OTHERS:
            one = changed(report, path, other)
            said = faults(read, one)
            fits = SCHEMAS[name].is_valid(one)
            assert fits or said, (path, other)
            if said and path[0] == "fields" and len(path) > 1:
                assert all(pointer.startswith("/fields") for pointer in said), (path, other, said)
        if isinstance(value, str):  # no text of ours may be empty, nor hold control characters
            for other in ("", " ", "x\x00y"):
                assert faults(read, changed(report, path, other)), (path, other)
        if isinstance(value, bool):
            assert all(faults(read, changed(report, path, other)) for other in (0, 1, "true", None, []))
        elif isinstance(value, (int, float)):
            assert all(faults(read, changed(report, path, other)) for other in (True, [], {}, float("nan"), 10**400)), (
                path
            )
        elif isinstance(value, list):
            assert all(faults(read, changed(report, path, other)) for other in (True, 7, "x", {}, [None])), path


@pytest.mark.parametrize(
    ("name", "member", "most"),
    [
        ("adr-case", "lots", 1_000), ("adr-group", "cases", 1_000), ("cosmetic-self-check", "cases", 1_000), ("recall-notice", "lots", 1_000),
        ("recall-progress", "totals", 1_000), ("annual-report", "products", 5_000), ("annual-report", "changes", 5_000),
        ("annual-report", "figures", 2_000), ("quality-review", "figures", 2_000), ("rectification", "actions", 1_000),
        ("amendment", "readings", 5_000), ("sampling-result", "tests", 1_000),
    ],
)  # fmt: skip
def test_lists_are_bounded(name, member, most):
    one = EXAMPLES[name]["fields"][member]
    many = {f"f{i}": i for i in range(most)} if isinstance(one, dict) else [one[0]] * most
    assert faults(read, fields(name, **{member: many})) == {}
    above = many | {"more": 1} if isinstance(many, dict) else [*many, one[0]]
    assert faults(read, fields(name, **{member: above})) == {f"/fields/{member}": "too_many"}


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("adr-group", "cases"), ("cosmetic-self-check", "cases"), ("recall-notice", "lots"), ("recall-final", "totals"),
        ("rectification", "actions"), ("amendment", "readings"), ("sampling-result", "tests"),
    ],
)  # fmt: skip
def test_lists_of_what_it_is_about_are_not_empty(name, member):
    assert faults(read, fields(name, **{member: []})) == {f"/fields/{member}": "too_few"}


@pytest.mark.parametrize(
    ("name", "member"),
    [("adr-case", "lots"), ("adr-group", "lots"), ("annual-report", "products"), ("deviation", "lots")],
)
def test_lists_of_what_was_touched_may_be(name, member):
    assert faults(read, fields(name, **{member: []})) == {}


DAY = "2026-03-02"
BEFORE, MIDNIGHT, LAST, BEHIND = (
    "2026-03-01T23:59:59.999+08:00", "2026-03-02T00:00:00+08:00", "2026-03-02T23:59:59.999+08:00", "2026-03-03T00:00:00+08:00",
)  # fmt: skip
T, T1 = "2026-03-02T10:00:00+08:00", "2026-03-02T10:00:00.001+08:00"
READING = {"tag": "T1", "time": T1, "old": 1, "new": 2}
EARLY = {"decided_at": T, "notified_at": T}
"""Of a day its whole day in Asia/Shanghai counts: it lies behind an instant only if it begins behind it."""


@pytest.mark.parametrize(
    ("name", "before", "behind", "pointer"),
    [
        ("adr-case", {"onset": DAY, "known_at": MIDNIGHT}, {"known_at": BEFORE}, "onset"),
        ("adr-case", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("adr-death-investigation", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("adr-group", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("device-event", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("cosmetic-reaction", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("cosmetic-self-check", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("susar", {"day0": "2026-03-05"}, {"day0": "2026-03-06"}, "day0"),
        ("dsur", {"anniversary": "2026-03-05"}, {"anniversary": "2026-03-06"}, "anniversary"),
        ("recall-notice", {"decided_at": T, "notified_at": T}, {"decided_at": T1}, "decided_at"),
        ("recall-notice", {"notified_at": AT}, {"notified_at": NOW + 1}, "notified_at"),
        ("recall-notice", EARLY | {"filed_at": T}, {"decided_at": T1, "notified_at": T1}, "decided_at"),
        ("recall-notice", {"filed_at": AT}, {"filed_at": NOW + 1}, "filed_at"),
        ("recall-progress", {"as_of": "2026-03-05"}, {"as_of": "2026-03-06"}, "as_of"),
        ("recall-final", {"as_of": "2026-03-05"}, {"as_of": "2026-03-06"}, "as_of"),
        ("annual-report", {"year": 2026}, {"year": 2027}, "year"),
        ("deviation", {"from": T, "to": T, "opened_at": T1}, {"from": T1}, "from"),
        ("deviation", {"from": T, "to": T1, "opened_at": T}, {"from": T1}, "from"),
        ("deviation", {"opened_at": T, "closed_at": T, "from": T, "to": T}, {"opened_at": T1}, "opened_at"),
        ("deviation", {"closed_at": AT}, {"closed_at": NOW + 1}, "closed_at"),
        ("deviation", {"to": AT}, {"to": NOW + 1}, "to"),
        ("deviation", {"opened_at": AT}, {"opened_at": NOW + 1}, "opened_at"),
        ("oos-investigation", {"opened_at": T, "closed_at": T}, {"opened_at": T1}, "opened_at"),
        ("oos-investigation", {"closed_at": AT}, {"closed_at": NOW + 1}, "closed_at"),
        ("oos-investigation", {"opened_at": AT}, {"opened_at": NOW + 1}, "opened_at"),
        ("change-filing", {"filed_at": T, "approved_at": T}, {"filed_at": T1}, "filed_at"),
        ("change-filing", {"approved_at": AT}, {"approved_at": NOW + 1}, "approved_at"),
        ("change-filing", {"filed_at": AT, "approved_at": ...}, {"filed_at": NOW + 1}, "filed_at"),
        ("rectification", {"handed_over_at": AT}, {"handed_over_at": NOW + 1}, "handed_over_at"),
        ("amendment", {"made_at": T, "readings": [READING | {"time": T}]}, {"readings": [READING | {"time": T}, READING]}, "readings/1/time"),
        ("amendment", {"made_at": AT}, {"made_at": NOW + 1}, "made_at"),
        ("amendment", {"proof_at": AT}, {"proof_at": NOW + 1}, "proof_at"),
        ("sampling-result", {"drawn_at": AT}, {"drawn_at": NOW + 1}, "drawn_at"),
        ("adr-group-investigation", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("psur", {"period_from": "2026-01-31"}, {"period_from": "2026-02-01"}, "period_from"),
        ("psur", {"data_lock": "2026-03-05"}, {"data_lock": "2026-03-06"}, "data_lock"),
        ("device-group-case", {"known_at": AT}, {"known_at": NOW + 1}, "known_at"),
        ("recall-plan", {"decided_at": AT}, {"decided_at": NOW + 1}, "decided_at"),
        ("recall-final", {"ended_at": AT}, {"ended_at": NOW + 1}, "ended_at"),
    ],
)  # fmt: skip
def test_what_cannot_have_happened_in_that_order(name, before, behind, pointer):
    assert parse_instant(AT) == NOW
    good = fields(name, **before)
    assert faults(read, good) == {}
    for member, value in behind.items():
        good = changed(good, ("fields", member), value)
    assert faults(read, good) == {f"/fields/{pointer}": "impossible_time"}


def test_every_order_of_every_type_is_asked_in_the_test_above():
    asked = {
        (row[0], row[3].split("/")[0]) for row in test_what_cannot_have_happened_in_that_order.pytestmark[0].args[1]
    }
    assert asked == {(name, first.split("/")[0]) for name, known in TYPES.items() for first, _ in known.model.ORDER}


@pytest.mark.parametrize("second", [BEFORE, MIDNIGHT, LAST, BEHIND])
def test_a_date_is_its_whole_day_in_the_jurisdictions_zone(second):
    class Dates(Fields):
        ORDER = (("day", "at"), ("at", "other"))

    from rules.reports.checks import Seen, what_cannot_be

    said = {"day": DAY, "at": second, "other": DAY}
    seen = Seen(said)
    what_cannot_be(Dates, said, seen)
    found = {BEFORE: ["/day"], MIDNIGHT: [], LAST: [], BEHIND: ["/at"]}[second]
    assert [fault.pointer for fault in seen.faults.listed] == found


@pytest.mark.parametrize(
    ("name", "member", "value", "code"),
    [
        ("adr-case", "onset", "2026-02-30", "wrong_form"), ("adr-case", "onset", "2026-03-01T00:00:00Z", "wrong_form"),
        ("adr-case", "onset", "2026-W09-1", "wrong_form"), ("adr-case", "onset", 1772000000000, "wrong_type"),
        ("adr-case", "known_at", "2026-03-01", "wrong_form"), ("adr-case", "known_at", "2026-03-01T00:00:00", "wrong_form"),
        ("adr-case", "known_at", 1.5, "wrong_form"), ("adr-case", "seriousness", "grave", "unknown_value"),
        ("adr-case", "product", "P 12", "wrong_form"), ("adr-case", "lots", ["B1", "批号"], "wrong_form"),
        ("recall-notice", "class", 0, "out_of_range"), ("recall-notice", "class", 4, "out_of_range"),
        ("recall-notice", "class", 1.0, "wrong_type"), ("recall-notice", "class", True, "wrong_type"), ("recall-notice", "class", "1", "wrong_type"),
        ("recall-notice", "line", "food", "unknown_value"), ("recall-progress", "seq", 0, "out_of_range"),
        ("dsur", "susar_count", -1, "out_of_range"), ("dsur", "susar_count", 1 << 53, "out_of_range"),
        ("deviation", "duration_min", -0.1, "out_of_range"), ("quality-review", "period", "2026-Q5", "wrong_form"),
        ("quality-review", "period", "2026-00", "wrong_form"), ("annual-report", "year", 1969, "out_of_range"),
        ("change-filing", "old", {"low": "2"}, "wrong_type"), ("change-filing", "old", {"mid": 2}, "wrong_type"), ("change-filing", "new", "", "wrong_type"),
        ("change-filing", "new", True, "wrong_type"), ("sampling-result", "facility_sampled", "bj-1", "wrong_form"),
        ("oos-investigation", "test", "x" * 129, "wrong_form"), ("rectification", "plan_date", "soon", "wrong_form"),
    ],
)  # fmt: skip
def test_a_value_that_is_none_is_named_by_its_code(name, member, value, code):
    pointer = f"/fields/{member}/1" if member == "lots" else f"/fields/{member}"
    assert faults(read, fields(name, **{member: value})) == {pointer: code}


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [
        ("quality-review", "period", "2026-12"), ("quality-review", "period", "2026"), ("quality-review", "period", "2026-Q4"),
        ("change-filing", "old", 5), ("change-filing", "old", "fridge"), ("change-filing", "new", {"low": 2}), ("change-filing", "new", {}),
        ("change-filing", "new", {"high": None}), ("adr-case", "known_at", NOW - 1), ("recall-notice", "class", 3),
        ("deviation", "duration_min", 0), ("amendment", "readings", [{"tag": "T", "time": 1, "old": None, "new": 1}]),
        ("amendment", "readings", [{"tag": "T", "time": 1, "old": 1, "new": None}]), ("device-event", "class", "overseas"),
    ],
)  # fmt: skip
def test_a_value_may_have_several_forms(name, member, value):
    assert faults(read, fields(name, **{member: value})) == {}


def test_an_amendment_changes_something_and_names_both_values():
    one = EXAMPLES["amendment"]
    for said, found in (
        ({"old": None, "new": None}, {"/fields/readings/0": "wrong_form"}),
        ({"old": 1}, {"/fields/readings/0/new": "missing"}),
    ):
        entry = {"tag": "T", "time": 1, **said}
        assert faults(read, changed(one, ("fields", "readings"), [entry])) == found


@pytest.mark.parametrize("name", TYPES)
def test_every_member_is_explained_in_both_languages(name):
    schema = POSTS[name].model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for member, said in part.get("properties", {}).items():
            text = said.get("description", "")
            assert text[0].isascii(), (part["title"], member)
            assert any("\u4e00" <= c <= "\u9fff" for c in text), (part["title"], member)
    known = TYPES[name]
    assert known.senders
    for text in (known.title, *known.senders):
        assert text.en.isascii()
        assert any("\u4e00" <= c <= "\u9fff" for c in text.zh)


def test_a_report_of_the_log_that_does_not_fit_has_no_fields():
    report = Report.model_validate(EXAMPLES["susar"])
    assert fields_of(report.model_copy(update={"type": "other"})) is None
    assert fields_of(report.model_copy(update={"fields": {"trial_id": "CTR-1"}})) is None
    assert not report_faults(EXAMPLES["susar"])
