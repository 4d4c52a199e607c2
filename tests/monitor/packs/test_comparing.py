"""What `offsite packs diff` and `publish` say of alarms that stand when packs change their rules."""

from __future__ import annotations

import pytest

from monitor.packs.comparing import Comparison, counted, past, told
from rules.pack import Bundle, default_bundle
from rules.packdiff import differences
from tests.rules.bundles import changed
from tests.rules.exceptionlogs import allowing, exception

STORE = "cold-chain.store-out"


def moving(how, **members):
    base = changed()
    rules = [r.model_copy(update={"migration": how, **members}) if r.id == STORE else r for r in base.rules]
    return Bundle.of(rules, base.tables.values(), (), base.calendars.values())


def lines(old, new):
    comparison = Comparison((0, 1), old.sha256, tuple(differences(old, new)))
    return [line.strip() for line in told([comparison], new) if "stand:" in line], comparison.to_json()["changes"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (None, "carried on with the new numbers"), ("carry", "carried on with the new numbers"),
        ("re-evaluate", "what the horizon holds is decided again with the new numbers"),
        ("close", "cleared; the rule begins anew"),
    ],
)  # fmt: skip
def test_each_changed_rule_says_what_becomes_of_its_alarms(how, said):
    found, (change,) = lines(default_bundle(), moving(how))
    assert found == [f"alarms that stand: {said}"]
    assert change["migrations"] == {STORE: how or "carry"}


def test_a_rule_whose_words_alone_change_says_nothing_of_alarms():
    found, (change,) = lines(moving("close"), moving("close", version="1.2.0"))
    assert (found, change["migrations"]) == ([], {})


def test_a_rule_that_leaves_says_that_its_alarms_end_and_one_that_comes_says_nothing():
    whole = default_bundle()
    without = whole.only({rule.id for rule in whole.rules} - {STORE})
    assert lines(whole, without)[0] == ["alarms that stand: cleared, no longer watched"]
    assert lines(without, whole)[0] == []


def test_a_table_names_the_rules_that_decide_otherwise_by_it():
    old = default_bundle()
    table = old.tables["cleanroom-particles"]
    rows = [row.model_copy(update={"consecutive": 4}) for row in table.rows]
    tables = [table.model_copy(update={"rows": rows}) if t is table else t for t in old.tables.values()]
    found, (change,) = lines(old, Bundle.of(old.rules, tables, (), old.calendars.values()))
    names = ["cleanroom.a-coarse", "cleanroom.a-fine", "cleanroom.b-particles", "cleanroom.c-particles"]
    assert found == [f"alarms of {name} that stand: carried on with the new numbers" for name in names]
    assert change["migrations"] == dict.fromkeys(names, "carry")


def test_a_site_exception_is_shown_whole_when_it_comes_and_when_it_goes():
    bare = allowing(default_bundle())
    with_one = Bundle.of(
        bare.rules, bare.tables.values(), [exception(reason={"zh": "更换\t", "en": "Replaced\nagain"})]
    )
    come = list(told([Comparison((0,), bare.sha256, tuple(differences(bare, with_one)))], with_one))
    assert come[0].endswith(f"{len(bare.rules)} rules, {len(bare.tables)} tables, 1 exception")
    assert come[2].startswith("  added exception EX-1 Wang Wei 2026-02-01: 更换")
    assert all(line.isprintable() for line in come)  # texts from outside are shown, not obeyed
    shown = "\n".join(come)
    for said in (
        '/rule: none -> "cold-chain.store-out"', '/facility: none -> "TEST-0001"', '/tag: none -> "T0"', '/to: none -> "2026-03-01T16:00:00.000Z"',
        '/allow: none -> {"limits.high": 12.0}', '/approver: none -> "Wang Wei"',
    ):  # fmt: skip
        assert said in shown
    gone = "\n".join(told([Comparison((0,), None, tuple(differences(with_one, bare)))], bare))
    assert "removed exception EX-1 Wang Wei 2026-02-01" in gone
    assert '/approver: "Wang Wei" -> none' in gone
    assert "exception" not in counted(bare)


def test_an_exception_that_changes_under_one_approval_is_pointed_at():
    bare = allowing(default_bundle())
    old, new = (
        Bundle.of(bare.rules, bare.tables.values(), [exception(to=f"2026-03-0{day}T00:00:00Z")]) for day in (2, 3)
    )
    shown = "\n".join(told([Comparison((0,), old.sha256, tuple(differences(old, new)))], new))
    assert "note: it changes and stays Wang Wei 2026-02-01; under one approval; who approved the change?" in shown


def test_exceptions_that_have_ended_are_named():
    bare = allowing(default_bundle())
    one = exception()
    bundle = Bundle.of(bare.rules, bare.tables.values(), [one, exception(id="EX-2", tag="T1", to=one.to + 1)])
    assert list(past(bundle, one.to)) == ["note: exception EX-1 ended at 2026-03-01T16:00:00.000Z: take it out"]
    assert list(past(bundle, one.to - 1)) == []
