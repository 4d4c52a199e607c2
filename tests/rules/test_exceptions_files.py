"""Files of site exceptions: every fault at once with its place, what a rule's author allows, and what no bundle may hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from rules.allowances import Allowances, Granted
from rules.errors import BadInputError
from rules.exceptionfaults import allowance_faults, exception_faults
from rules.exceptions import ExceptionsFile, SiteException
from rules.lint import lint, linted
from rules.pack import SHIPPED, Bundle, default_bundle, load_bundle
from rules.soundness import bundle_faults
from tests.rules.exceptionlogs import ALLOWED, allowing, exception
from tests.rules.test_soundness import record_of

if TYPE_CHECKING:
    from pathlib import Path

    from rules.errors import Fault

STORE = "cold-chain.store-out"
GOOD = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
ALLOWS = "exceptions: {limits.high: {min: 8, max: 10}, when.on_delay: {max: 60m}, mute: true, longest: 30d}\n"
ENTRY: dict[str, Any] = {
    "id": "EX-2026-014", "rule": STORE, "facility": "BJ-MFR-0007", "tag": "CR1.T1", "from": "2026-03-01T00:00:00+08:00",
    "to": "2026-03-31T00:00:00+08:00", "allow": {"limits.high": 9.5},
    "reason": {"zh": "压缩机更换", "en": "The compressor is replaced"}, "approver": "Wang Wei", "approved_date": "2026-02-25",
    "document": "No. 14",
}  # fmt: skip
DAY = 86_400_000


def write(tmp_path: Path, *entries: dict[str, Any], rule: str = GOOD + ALLOWS, **members: Any) -> Path:
    """Write a pack of one rule and its exceptions."""
    (tmp_path / "cold-chain").mkdir(exist_ok=True)
    (tmp_path / "cold-chain" / "store-out.yaml").write_text(rule, encoding="utf-8")
    content = {"schema": "exceptions/1", "exceptions": list(entries), **members}
    (tmp_path / "exceptions.yaml").write_text(
        yaml.safe_dump(json.loads(json.dumps(content)), allow_unicode=True), encoding="utf-8"
    )
    return tmp_path


def told(tmp_path: Path, *entries: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    """Return (code, pointer) of each fault of the file of exceptions; all have a line and a column."""
    faults = [fault for fault in lint([write(tmp_path, *entries, **options)]) if "exceptions.yaml" in fault.pointer]
    assert all(len(fault.pointer.split(":")) == 3 for fault in faults)
    return [(fault.code, fault.detail.split(":")[0]) for fault in faults]


def test_a_good_file_is_part_of_the_bundle_and_of_its_hash(tmp_path):
    folder = write(tmp_path, ENTRY)
    assert lint([folder]) == []
    bundle = load_bundle([folder])
    assert [one.id for one in bundle.exceptions] == ["EX-2026-014"]
    (tmp_path / "exceptions.yaml").unlink()
    assert load_bundle([folder]).sha256 != bundle.sha256
    assert "exceptions" not in json.loads(default_bundle().content())
    at = bundle.exceptions[0].from_
    assert list(bundle.excepted("BJ-MFR-0007", "CR1.T1", at)) == [STORE]
    assert bundle.excepted("BJ-MFR-0007", "CR1.T1", at - 1) == {}
    assert bundle.excepted("BJ-MFR-0007", "CR1.T1", bundle.exceptions[0].to) == {}
    assert bundle.excepted("BJ-MFR-0007", "CR1.T2", at) == bundle.excepted("BJ-MFR-0008", "CR1.T1", at) == {}


def test_a_rule_that_names_none_allows_none(tmp_path):
    folder = write(tmp_path, ENTRY, rule=GOOD)
    (fault,) = lint([folder])
    assert (fault.code, fault.pointer.split(":")[0].split("/")[-1]) == ("not_allowed", "exceptions.yaml")
    assert fault.detail == "exceptions/0/allow: cold-chain.store-out allows no exceptions: its file names none"
    with pytest.raises(BadInputError) as refused:  # not by lint alone: no bundle is made of it
        load_bundle([folder])
    assert [f.code for f in refused.value.faults] == ["not_allowed"]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"allow": {"limits.high": 10}}, []),
        ({"allow": {"limits.high": 10.001}}, [("not_allowed", "exceptions/0/allow/limits.high")]),
        ({"allow": {"limits.high": 7.9}}, [("not_allowed", "exceptions/0/allow/limits.high")]),
        ({"allow": {"limits.low": 1}}, [("not_allowed", "exceptions/0/allow/limits.low")]),
        ({"allow": {"when.on_delay": "60m"}}, []),
        ({"allow": {"when.on_delay": "61m"}}, [("not_allowed", "exceptions/0/allow/when.on_delay")]),
        ({"allow": {"mute": True}}, []),
        ({"to": "2026-03-31T00:00:00.001+08:00"}, [("window", "exceptions/0/to")]),
        ({"to": "2026-03-01T00:00:00+08:00"}, [("window", "exceptions/0/to")]),
        ({"approved_date": "2026-03-01"}, []),
        ({"approved_date": "2026-03-02"}, [("window", "exceptions/0/approved_date")]),
        ({"rule": "cold-chain.nothing"}, [("unknown_rule", "exceptions/0/rule")]),
        ({"reason": {"zh": "compressor", "en": " "}}, [("text", "exceptions/0/reason/en"), ("text", "exceptions/0/reason/zh")]),
    ],
)  # fmt: skip
def test_both_sides_of_what_the_author_allows(tmp_path, members, wanted):
    assert told(tmp_path, {**ENTRY, **members}) == wanted


@pytest.mark.parametrize(
    "missing", ["id", "rule", "facility", "tag", "from", "to", "allow", "reason", "approver", "approved_date"]
)
def test_who_why_and_until_when_are_never_left_out(tmp_path, missing):
    assert told(tmp_path, {name: value for name, value in ENTRY.items() if name != missing})[0][0] == "missing"


@pytest.mark.parametrize(
    "members",
    [
        {"allow": {}}, {"allow": {"mute": False}}, {"allow": {"mute": True, "limits.high": 9}}, {"allow": {"limits.high": "9"}},
        {"allow": {"severity": "blue"}}, {"approver": " "}, {"approver": "a\nb"}, {"approver": "x" * 129},
        {"approved_date": "2026-02-30"}, {"approved_date": "yesterday"}, {"document": "\x07"}, {"tag": "*"}, {"tag": ""},
        {"from": "2026-03-01T00:00:00"}, {"to": "9999-01-01T00:00:00Z"}, {"to": None}, {"area": "CR1"}, {"id": "EX 1"},
    ],
)  # fmt: skip
def test_what_is_no_exception_is_refused(members):
    with pytest.raises(ValidationError):
        SiteException.model_validate({**ENTRY, **members})


def test_all_faults_of_all_entries_at_once_and_each_at_its_own_place(tmp_path):
    """An entry that cannot be read takes neither the others' faults nor their places away."""
    broken = {**ENTRY, "facility": "lower case"}
    del broken["approver"]
    other = {**ENTRY, "id": "EX-2", "tag": "CR1.T2", "allow": {"limits.high": 99}}
    found = told(tmp_path, broken, other, {**ENTRY, "id": "EX-2", "tag": "CR1.T3"}, comment="?")
    assert sorted(found) == [
        ("duplicate_id", "exceptions/2/id"), ("missing", "exceptions/0/approver"), ("not_allowed", "exceptions/1/allow/limits.high"),
        ("unknown_member", "comment"), ("wrong_form", "exceptions/0/facility"),
    ]  # fmt: skip


def test_an_exceptions_file_of_another_shape_is_told(tmp_path):
    folder = write(tmp_path)
    (tmp_path / "exceptions.yaml").write_text("schema: exceptions/1\nexceptions: {a: 1}\n", encoding="utf-8")
    assert [fault.code for fault in lint([folder])] == ["wrong_type"]


@pytest.mark.parametrize(
    ("begins", "members", "overlap"),
    [
        ("2026-03-31T00:00:00+08:00", {}, False),
        ("2026-03-30T23:59:59.999+08:00", {}, True),
        ("2026-03-10T00:00:00+08:00", {"tag": "CR1.T2"}, False),
        ("2026-03-10T00:00:00+08:00", {"facility": "BJ-MFR-0008"}, False),
    ],
)
def test_two_exceptions_of_one_rule_and_tag_never_hold_at_once(tmp_path, begins, members, overlap):
    other = {**ENTRY, "id": "EX-2", "from": begins, "to": "2026-04-05T00:00:00+08:00", **members}
    wanted = [("overlap", "exceptions/0/from")] if overlap else []
    assert told(tmp_path, other, ENTRY) == wanted  # whatever the order in the file


def test_one_window_inside_another_is_found_behind_a_third():
    whole = exception(id="A", **{"from": 0, "to": 30 * DAY})
    inside = [exception(id=f"B{i}", **{"from": i * DAY, "to": i * DAY + 1}) for i in (1, 5, 29)]
    faults = exception_faults([*inside, whole], {})
    assert [i for i, fault in faults if fault.code == "overlap"] == [0, 1, 2]


def test_an_exception_from_a_rule_whose_file_cannot_be_read_is_no_fault_of_its_own(tmp_path):
    torn = GOOD + ALLOWS.replace("max: 10}", "max: ten}")
    assert told(tmp_path, ENTRY, rule=torn) == []
    assert told(tmp_path, {**ENTRY, "approved_date": "2026-03-02"}, rule=torn) == [
        ("window", "exceptions/0/approved_date")
    ]
    assert told(tmp_path, ENTRY, rule="id: cold-chain.store-out\nkind: [") == []
    assert told(tmp_path, ENTRY, rule="id: cold-chain.other\nkind: limit") == [("unknown_rule", "exceptions/0/rule")]


def test_files_of_several_folders_add_up_and_the_last_rule_says_what_is_allowed(tmp_path):
    first, second = write(tmp_path / "a" if (tmp_path / "a").mkdir() is None else tmp_path, ENTRY), tmp_path / "b"
    (second / "cold-chain").mkdir(parents=True)
    reason = "override: {reason: this jurisdiction allows nothing}\n"
    (second / "cold-chain" / "store-out.yaml").write_text(GOOD + reason, encoding="utf-8")
    assert [one.id for one in load_bundle([first]).exceptions] == ["EX-2026-014"]
    assert [fault.code for fault in lint([first, second])] == ["not_allowed"]


def test_lint_tells_exceptions_that_have_ended_from_the_instant_they_end(tmp_path):
    folder = write(tmp_path, ENTRY)
    end = SiteException.model_validate(ENTRY).to
    assert linted([folder], end - 1) == ([], [])
    faults, (notice,) = linted([folder], end)
    assert (faults, notice.code) == ([], "ended")
    assert notice.detail == "exceptions/0/to: EX-2026-014 ended at 2026-03-30T16:00:00.000Z: take it out"


@pytest.mark.parametrize(
    ("rule", "allowed", "wanted"),
    [
        (STORE, ALLOWED[STORE], []),
        (STORE, {"limits.high": {"min": 5, "max": 8}}, ["/exceptions/limits.high"]),
        (STORE, {"limits.low": {"min": 2, "max": 3}}, ["/exceptions/limits.low"]),
        ("cold-chain.freeze-60min", {"limits.high": {"min": 0, "max": 1}}, ["/exceptions/limits.high"]),
        ("cold-chain.warm-10h", {"when.on_delay": {"max": "10h"}}, ["/exceptions/when.on_delay"]),
        ("cold-chain.warm-10h", {"when.on_delay": {"max": "11h"}}, []),
        ("cold-chain.warm-cumulative", {"limits.high": {"min": 8, "max": 9}, "mute": True}, []),
        ("cold-chain.warm-cumulative", {"when.on_delay": {"max": "1h"}}, ["/exceptions/when.on_delay"]),
        ("data-integrity.frozen", {"mute": True}, []),
        ("data-integrity.frozen", {"mute": True, "limits.low": {"min": 0, "max": 1}}, ["/exceptions/limits.low"]),
        ("data-integrity.gap", {"mute": True}, ["/exceptions/mute"]),
        ("data-integrity.overwritten", {"mute": True}, ["/exceptions/mute"]),
        ("data-integrity.day-copy", {"mute": True}, ["/exceptions/mute"]),
        ("cleanroom.pressure-low", {"limits.low": {"min": 5, "max": 9}}, ["/exceptions/limits.low"]),
        ("data-integrity.physical-range", {"mute": True}, ["/exceptions"]),
    ],
)  # fmt: skip
def test_what_an_author_can_allow(rule, allowed, wanted):
    found = default_bundle().rule(rule)
    assert found is not None
    assert [f.pointer for f in allowance_faults(found)] == []
    changed = found.model_copy(update={"exceptions": Allowances.model_validate(allowed)})
    assert [fault.pointer for fault in allowance_faults(changed)] == wanted


@pytest.mark.parametrize(
    "allowed",
    [
        {}, {"longest": "10d"}, {"limits.high": {"max": 10}}, {"limits.high": {"min": 9, "max": 8}}, {"mute": False}, {"all": True},
        {"mute": True, "longest": "367d"}, {"mute": True, "longest": "0d"}, {"when.on_delay": {"max": "0s"}},
    ],
)  # fmt: skip
def test_what_is_no_allowance_is_refused(allowed):
    with pytest.raises(ValidationError):
        Allowances.model_validate(allowed)


def test_the_shapes_are_named_alike_on_both_sides():
    names = ("limits.high", "limits.low", "when.on_delay", "mute")
    assert Allowances.model_validate(ALLOWED[STORE]).shapes == names
    assert Granted.model_validate({"limits.high": 1, "limits.low": 0, "when.on_delay": "1m"}).shapes == names[:3]


def refused(content: dict[str, Any]) -> list[Fault]:
    with pytest.raises(BadInputError) as found:
        Bundle.from_record(record_of(content))
    return list(found.value.faults)


def test_a_bundle_by_the_log_is_refused_whole_for_an_exception_that_is_not_allowed():
    """Whoever may write the log could append one: what the author does not allow is not taken from there either."""
    content = json.loads(allowing(default_bundle(), ALLOWED, [exception()]).content())
    assert Bundle.from_record(record_of(content)).exceptions[0].id == "EX-1"
    for members, code in (
        ({"allow": {"limits.high": 21}}, "not_allowed"), ({"rule": "cold-chain.warm-10h"}, "not_allowed"),
        ({"rule": "no.rule"}, "unknown_rule"), ({"to": "2026-08-01T00:00:00Z"}, "window"), ({"approved_date": "2026-06-01"}, "window"),
    ):  # fmt: skip
        changed = {**content, "exceptions": [{**content["exceptions"][0], **members}]}
        assert [fault.code for fault in refused(changed)] == [code]
    twice = {**content, "exceptions": content["exceptions"] * 2}
    assert [(fault.pointer, fault.code) for fault in refused(twice)] == [
        ("/exceptions/1/id", "duplicate_id"), ("/exceptions/1/from", "overlap"),
    ]  # fmt: skip
    assert [fault.code for fault in refused({**content, "exceptions": [{"id": "EX-1"}]})] == ["bundle"]
    assert [fault.code for fault in refused({**content, "exceptions": []})] == ["hash"]


def test_bundles_without_exceptions_are_as_they_were():
    shipped = default_bundle()
    assert bundle_faults(shipped.rules, shipped.tables.values(), shipped.exceptions) == []
    assert all(rule.exceptions is None for rule in shipped.rules)  # no shipped rule gives its limits away


def test_the_printed_file_is_the_models(tmp_path):
    assert (
        ExceptionsFile.model_validate({"schema": "exceptions/1", "exceptions": [ENTRY]}).exceptions[0].document
        == "No. 14"
    )
    found = ExceptionsFile.model_validate({"schema": "exceptions/1", "exceptions": [ENTRY]}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert told(tmp_path, *found["exceptions"]) == []
