"""What `offsite packs diff` and `publish` say of alarms that stand when packs change their rules."""

from __future__ import annotations

import pytest

from monitor.packs.comparing import Comparison, told
from rules.pack import Bundle, default_bundle
from rules.packdiff import differences
from tests.rules.bundles import changed

STORE = "cold-chain.store-out"


def moving(how, **members):
    base = changed()
    rules = [r.model_copy(update={"migration": how, **members}) if r.id == STORE else r for r in base.rules]
    return Bundle.of(rules, base.tables.values())


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
    found, (change,) = lines(old, Bundle.of(old.rules, tables))
    names = ["cleanroom.a-fine", "cleanroom.b-particles", "cleanroom.c-particles"]
    assert found == [f"alarms of {name} that stand: carried on with the new numbers" for name in names]
    assert change["migrations"] == dict.fromkeys(names, "carry")
