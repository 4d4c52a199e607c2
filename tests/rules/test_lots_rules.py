"""Rules over lots as files: what their model and lint refuse, with its place; and that the first fold passes over them."""

from __future__ import annotations

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from rules.engine import Engine
from rules.lint import lint
from rules.lots.sound import lot_faults
from rules.migration import migrations
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.rule import LotRule, Rule, is_latched
from rules.ruletest import run_tests
from tests.coldlog import excursion
from tests.rules.lotlogs import RULES, altered, bundle

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
FILES = {name: SHIPPED / name.split(".")[0] / f"{name.split('.')[1]}.yaml" for name in RULES}
MOVED, CLUSTER, SUM = "vigilance.moved-after-stop", "vigilance.lot-cluster", "cross-check.sold-over-produced"


def value(name):
    return yaml.safe_load(FILES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RULES)
def test_the_shipped_rules_have_no_fault_and_their_tests_pass(name):
    rule = default_bundle().rule(name)
    assert lot_faults(rule) == []
    assert [outcome.differences for outcome in run_tests(default_bundle(), name)] == [[]] * len(rule.tests)
    assert is_latched(rule, {"lot": "L-1"}) == (name != SUM)
    assert FILES[name].exists()


@pytest.mark.parametrize(
    ("name", "members", "wanted"),
    [
        (MOVED, {"applies_to": {"facility.jurisdiction": "110115"}}, [("/applies_to/facility.jurisdiction", "predicate")]),
        (MOVED, {"severity": {"base": "red", "steps": [{"after": "1h", "to": "red"}]}}, [("/severity/steps", "step")]),
        (MOVED, {"migration": "close"}, [("/migration", "migration")]),
        (MOVED, {"reads": ["vigilance.lot-cluster"]}, [("/reads", "lot")]),
        (MOVED, {"behind": None}, [("/behind", "count")]),
        (MOVED, {"n": 2}, [("/n", "count")]),
        (MOVED, {"distinct": "case_id"}, [("/distinct", "count")]),
        (MOVED, {"within": "1d"}, [("/within", "count")]),
        (MOVED, {"counted": {"fact": "moved", "types": ["sold", "sold"]}}, [("/counted/types/1", "count")]),
        (CLUSTER, {"behind": {"fact": "expiry"}}, [("/behind", "count")]),
        (CLUSTER, {"distinct": None}, [("/distinct", "count")]),
        (CLUSTER, {"within": "0s"}, [("/within", "count")]),
        (CLUSTER, {"n": 1}, [("/within", "count")]),
        (CLUSTER, {"n": 1, "within": "0s"}, []),
        (CLUSTER, {"counted": {"fact": "case", "seriousness": ["death", "death"]}}, [("/counted/seriousness/1", "count")]),
        (SUM, {"whole": ["returned"]}, [("/whole", "balance")]),
        (SUM, {"whole": ["produced", "produced"], "parts": ["sold", "sold"]}, [("/parts/1", "count"), ("/whole/1", "count")]),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named_with_its_place(name, members, wanted):
    told = {key: one for key, one in (value(name) | members).items() if one is not None}
    assert [(fault.pointer, fault.code) for fault in lot_faults(RULE.validate_python(told))] == wanted


@pytest.mark.parametrize(
    ("name", "members"),
    [
        (MOVED, {"counted": {"fact": "moved", "types": ["arrived"]}}), (MOVED, {"counted": {"fact": "stock", "types": ["sold"]}}),
        (MOVED, {"behind": {"fact": "stop"}}), (MOVED, {"behind": {"fact": "expiry", "notice": "1d"}}), (CLUSTER, {"n": 0}), (CLUSTER, {"n": 101}),
        (CLUSTER, {"counted": {"fact": "case", "seriousness": ["grave"]}}), (SUM, {"parts": ["destroyed"]}), (SUM, {"tolerance": -1}),
        (SUM, {"whole": []}),
    ],
)  # fmt: skip
def test_what_the_model_does_not_know_is_refused(name, members):
    with pytest.raises(ValidationError):
        RULE.validate_python(value(name) | members)


def test_tests_of_series_and_of_several_facilities_stand_where_they_mean_something():
    told = value(MOVED)
    told["tests"][0]["series"] = {"T1": {"every": "60s", "values": "5"}}
    assert [fault.pointer for fault in lot_faults(RULE.validate_python(told))] == ["/tests/0/series"]
    other = yaml.safe_load((SHIPPED / "vigilance" / "recall-over-returned.yaml").read_text(encoding="utf-8"))
    other["tests"][0]["reports"][0]["facility"] = "SHOP-1"
    assert [fault.pointer for fault in lot_faults(RULE.validate_python(other))] == ["/tests/0/reports/0/facility"]


def test_lint_names_file_line_and_column(tmp_path):
    folder = tmp_path / "vigilance"
    folder.mkdir()
    text = FILES[MOVED].read_text(encoding="utf-8").replace("severity: {base: red}", "severity: {base: red}\nn: 2")
    (folder / "moved-after-stop.yaml").write_text(text, encoding="utf-8")
    (fault,) = lint([folder])
    line = text.splitlines().index("n: 2") + 1
    assert (fault.pointer, fault.code) == (f"vigilance/moved-after-stop.yaml:{line}:1", "count")


def test_a_bundle_carries_them_through_the_log_and_refuses_what_means_nothing():
    record = bundle().to_record()
    assert Bundle.from_record(record).sha256 == bundle().sha256
    assert all(isinstance(rule, LotRule) for rule in Bundle.from_record(record).rules)
    assert migrations(bundle(), altered(CLUSTER, n=4)) == {CLUSTER: "carry"}


def test_the_first_fold_says_what_it_says_without_them():
    whole = default_bundle()
    without = whole.only({rule.id for rule in whole.rules} - set(RULES))
    told = []
    for own in (whole, without):
        engine = Engine(own)
        changes = [change for record in excursion().records for change in engine.fold(record)]
        told.append([change.model_copy(update={"packs": ""}) for change in changes])
    assert told[0] == told[1] != []
