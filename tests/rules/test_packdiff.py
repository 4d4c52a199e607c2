"""What a bundle changes beside another one, and how JSON values differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.canonical import canonical_bytes
from rules.jsondiff import walk
from rules.models import Bilingual
from rules.pack import Bundle, default_bundle
from rules.packdiff import differences
from tests.rules.bundles import changed
from tests.rules.exceptionlogs import allowing, exception

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a~/", max_size=2), inner, max_size=3),
    max_leaves=12,
)


def put(value, pointer, new):
    """Set what a JSON pointer names, as RFC 6901 reads it."""
    if pointer == "":
        return new
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer[1:].split("/")]
    place = value
    for name in names[:-1]:
        place = place[int(name) if isinstance(place, list) else name]
    last = int(names[-1]) if isinstance(place, list) else names[-1]
    if new is None and isinstance(place, dict):
        place.pop(last, None)
    else:
        place[last] = new
    return value


def without_nulls(value):
    """A member that is null and one that is not there are one to the models."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES, VALUES)
def test_the_steps_lead_from_one_value_to_the_other(old, new):
    old, new = without_nulls(old), without_nulls(new)
    value = without_nulls(old)  # a copy
    for pointer, before, after in walk(old, new):
        assert canonical_bytes(before) != canonical_bytes(after)
        value = put(value, pointer, after)
    assert canonical_bytes(without_nulls(value)) == canonical_bytes(new)


@given(VALUES)
def test_equal_values_have_no_steps(value):
    assert list(walk(value, value)) == []


def test_numbers_are_equal_as_json_has_them_and_true_is_no_number():
    assert list(walk({"n": 2}, {"n": 2.0})) == []
    assert list(walk({"n": 1}, {"n": True})) == [("/n", 1, True)]


def test_one_number_is_one_step():
    (found,) = differences(default_bundle(), changed())
    assert (found.of, found.id, found.change) == ("rule", "cold-chain.store-out", "changed")
    assert (found.old, found.new, found.silent) == ("1.0.0", "1.1.0", False)
    assert found.changes == (("/limits/from/high", 8.0, 7.0), ("/version", "1.0.0", "1.1.0"))
    assert found.to_json()["changes"][0] == {"pointer": "/limits/from/high", "old": 8.0, "new": 7.0}
    assert found.title.zh == "冷库温度超限"


def test_a_change_under_the_same_version_is_silent():
    (found,) = differences(default_bundle(), changed(version="1.0.0"))
    assert found.silent


def test_the_same_bundle_and_one_with_other_tests_differ_in_nothing():
    shipped = default_bundle()
    bare = Bundle.of(
        [rule.model_copy(update={"tests": []}) for rule in shipped.rules],
        shipped.tables.values(),
        (),
        shipped.calendars.values(),
    )
    assert differences(shipped, shipped) == differences(shipped, bare) == []
    assert bare.sha256 == shipped.sha256


def test_rules_and_tables_come_and_go_in_order_of_their_ids():
    shipped = default_bundle()
    rules = {rule.id: rule for rule in shipped.rules}
    table = next(iter(shipped.tables.values()))
    extra = rules["cold-chain.store-out"].model_copy(update={"id": "cold-chain.new-rule"})
    retitled = table.model_copy(update={"title": Bilingual(zh="表", en="Table")})
    small = Bundle.of([rules["cold-chain.store-out"]], [table])
    large = Bundle.of([extra, *shipped.rules], [retitled])
    there = differences(small, large)
    assert [(d.of, d.change) for d in there] == [("rule", "added")] * len(rules) + [("table", "changed")]
    assert [d.id for d in there[:-1]] == sorted({*rules, extra.id} - {"cold-chain.store-out"})
    assert there[-1].changes == (("/title/en", table.title.en, "Table"), ("/title/zh", table.title.zh, "表"))
    assert there[-1].silent  # the same edition
    back = differences(large, small)
    assert [(d.id, d.change, d.old, d.new) for d in back[:-1]] == [(d.id, "removed", d.new, None) for d in there[:-1]]


@pytest.mark.parametrize("exchanged", [False, True])
def test_a_difference_is_none_exactly_where_the_hash_is_one(exchanged):
    bundles = [default_bundle(), changed(), changed(high=6.0), default_bundle().only({"data-integrity.gap"})]
    for i, a in enumerate(bundles):
        for j, b in enumerate(bundles):
            old, new = (b, a) if exchanged else (a, b)
            assert (differences(old, new) == []) == (i == j) == (a.sha256 == b.sha256)


def test_exceptions_that_come_go_or_change_are_told_whole_behind_rules_and_tables():
    rules = allowing(default_bundle())
    old = Bundle.of(rules.rules, rules.tables.values(), [exception(id="EX-1"), exception(id="EX-2", tag="T2")])
    longer = exception(id="EX-2", tag="T2", to="2026-03-05T00:00:00Z")
    new = Bundle.of(rules.rules, rules.tables.values(), [longer, exception(id="EX-3", tag="T3", approver="Li Lei")])
    gone, changed_one, come = differences(old, new)
    assert [(d.of, d.id, d.change, d.old, d.new) for d in (gone, changed_one, come)] == [
        ("exception", "EX-1", "removed", "Wang Wei 2026-02-01", None),
        ("exception", "EX-2", "changed", "Wang Wei 2026-02-01", "Wang Wei 2026-02-01"),
        ("exception", "EX-3", "added", None, "Li Lei 2026-02-01"),
    ]
    assert [(at, after) for at, _, after in changed_one.changes] == [("/to", "2026-03-05T00:00:00.000Z")]
    assert changed_one.silent  # another window under the same approval
    assert [gone.silent, come.silent] == [False, False]
    members = {"/allow", "/approved_date", "/approver", "/facility", "/from", "/id", "/reason", "/rule", "/tag", "/to"}
    assert {at for at, _, _ in come.changes} == {at for at, _, _ in gone.changes} == members
    assert all(before is None for _, before, _ in come.changes)
    assert all(after is None for _, _, after in gone.changes)
    assert come.title.en == "Compressor is replaced"
    assert come.migrations == gone.migrations == ()
    approved = Bundle.of(
        rules.rules, rules.tables.values(), [exception(id="EX-1", to=1, **{"from": 0}, approved_date="1970-01-01")]
    )
    again = Bundle.of(
        rules.rules, rules.tables.values(), [exception(id="EX-1", to=2, **{"from": 0}, approved_date="1970-01-02")]
    )
    (renewed,) = differences(approved, again)
    assert not renewed.silent


def test_what_a_rule_allows_is_a_difference_that_moves_no_alarm():
    (found, *others) = differences(
        default_bundle(), allowing(default_bundle(), {"cold-chain.store-out": {"mute": True}})
    )
    assert others == []
    assert (found.id, found.changes[0][0], found.migrations, found.silent) == (
        "cold-chain.store-out",
        "/exceptions",
        (),
        True,
    )
