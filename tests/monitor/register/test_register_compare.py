"""How two versions of registered facts differ: by names, with old and new, and since when."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.register.compare import KEYS, FactChange, compare
from monitor.register.store import document
from rules.register import Facility
from tests.monitor.register.samples import facility

SINCE = "2026-03-01T00:00:00.000Z"


def facts(**more):
    value = facility(**more)
    value.pop("contacts", None)
    return document(Facility.model_validate(value))


def told(old, new):
    return [(one.change, one.path, one.old, one.new, one.from_) for one in compare(old, new)]


def sensor(tag="CR1.T1", **more):
    return {"tag": tag, "area": "CR1", "quantity": "temperature", "unit": "Cel"} | more


def test_nothing_differs_from_itself():
    assert compare(facts(), facts()) == []


def test_where_an_entry_stands_in_its_list_is_no_fact():
    one, other = sensor("A"), sensor("B")
    assert compare({"sensors": [one, other]}, {"sensors": [other, one]}) == []
    assert compare({"labels": ["a", "b"]}, {"labels": ["b", "a"]}) == []


def test_a_member_is_named_by_its_entry_and_says_since_when():
    new = sensor(limits={"low": 2, "high": 9}, **{"from": SINCE})
    assert told({"sensors": [sensor(limits={"low": 2, "high": 8})]}, {"sensors": [new]}) == [
        ("added", "/sensors/CR1.T1/from", None, SINCE, SINCE),
        ("changed", "/sensors/CR1.T1/limits/high", 8, 9, SINCE),
    ]


def test_a_second_entry_of_one_tag_is_one_more_fact_and_not_a_change_of_the_first():
    first, later = sensor(interval="1m"), sensor(interval="30s", **{"from": SINCE})
    assert told({"sensors": [first]}, {"sensors": [first, later]}) == [
        ("added", f"/sensors/CR1.T1/{SINCE}", None, later, SINCE),
    ]


def test_of_two_entries_of_one_tag_each_is_told_by_its_beginning():
    first, later = sensor(interval="1m"), sensor(interval="30s", **{"from": SINCE})
    changed = later | {"interval": "10s"}
    assert told({"sensors": [first, later]}, {"sensors": [first, changed]}) == [
        ("changed", f"/sensors/CR1.T1/{SINCE}/interval", "30s", "10s", SINCE)
    ]
    assert told({"sensors": [first, later]}, {"sensors": [later]}) == [
        ("removed", "/sensors/CR1.T1/-", first, None, None)
    ]


@pytest.mark.parametrize(
    ("part", "entry", "name"),
    [
        ("areas", {"id": "CR2", "kind": "cold-room"}, "CR2"), ("products", {"id": "P/1", "class": "vaccine"}, "P~11"),
        ("devices", {"id": "D-1", "area": "CR1"}, "D-1"), ("trials", {"id": "T-1", "anniversary": "2026-03-01"}, "T-1"),
        ("licences", {"kind": "drug-mah", "number": "京1", "from": "2026-01-01"}, "drug-mah/京1"),
        ("cascades", {"cleaner": "A", "dirtier": "B", "low": 10}, "A/B"), ("scopes", {"field": "retail", "line": "drug"}, "retail/drug"),
        ("regimes", {"kind": "trial-pilot", "id": "M-1", "from": "2026-01-01"}, "trial-pilot/M-1"),
        ("sensors", sensor("T"), "T"),
    ],
)  # fmt: skip
def test_every_list_is_told_by_what_its_entries_are_called(part, entry, name):
    since = entry.get("from")
    assert told({part: []}, {part: [entry]}) == [("added", f"/{part}/{name}", None, entry, since)]
    assert told({part: [entry]}, {}) == [("removed", f"/{part}/{name}", entry, None, since)]
    changed = entry | {"more": 1}
    assert told({part: [entry]}, {part: [changed]}) == [("added", f"/{part}/{name}/more", None, 1, since)]


def test_every_list_of_entries_of_the_model_is_known():
    lists = {
        field.alias or name
        for name, field in Facility.model_fields.items()
        if "list[" in str(field.annotation) or name == "regimes"
    }
    assert lists - {"labels"} == set(KEYS)


def test_labels_and_single_facts():
    old, new = (
        facts(labels=["vaccine"]),
        facts(labels=["vaccine", "x"], delivery="2m", risk={"grade": "B", "since": "2026-01-10"}),
    )
    assert told(old, new) == [
        ("changed", "/delivery", "1m", "2m", None), ("added", "/labels/x", None, "x", None),
        ("added", "/risk", None, {"grade": "B", "since": "2026-01-10"}, None),
    ]  # fmt: skip


def test_a_change_is_written_with_from():
    assert json.loads(FactChange(path="/a", change="added", new=1, from_=SINCE).model_dump_json(by_alias=True)) == {
        "path": "/a", "change": "added", "old": None, "new": 1, "from": SINCE,
    }  # fmt: skip


entries = st.lists(
    st.fixed_dictionaries(
        {"tag": st.sampled_from("ABC"), "interval": st.sampled_from(["1m", "2m"])},
        optional={"from": st.sampled_from([SINCE, "2026-04-01T00:00:00.000Z"]), "error": st.sampled_from([0.1, 0.2])},
    ),
    max_size=5,
    unique_by=lambda one: (one["tag"], one.get("from")),
)


@given(entries, entries, st.randoms())
def test_both_ways_are_told_alike_and_order_never_matters(old, new, random):
    there = {(one.path, one.change) for one in compare({"sensors": old}, {"sensors": new})}
    back = {(one.path, one.change) for one in compare({"sensors": new}, {"sensors": old})}
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {(path, turned[change]) for path, change in back} == there
    shuffled = copy.deepcopy(new)
    random.shuffle(shuffled)
    assert {(one.path, one.change) for one in compare({"sensors": old}, {"sensors": shuffled})} == there
    assert bool(there) is (sorted(map(json.dumps, old)) != sorted(map(json.dumps, new)))
