"""`offsite rules coverage`: what the tests of a rule file never saw is named, and the shipped packs leave nothing out."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from monitor.commands.rules import app
from rules.changes import Verdict
from rules.coverage import cover, coverage, moments_of, share
from rules.leaves.watch import leaves_of
from rules.pack import SHIPPED, default_bundle, load_bundle
from rules.ruletest import around, run_tests

GOOD = SHIPPED / "cold-chain" / "store-out.yaml"


def pack(tmp_path, change, source=GOOD):
    """Write a rule file after `change` of its content, and load it."""
    value = yaml.safe_load(source.read_text(encoding="utf-8"))
    change(value)
    folder = tmp_path / source.parent.name
    folder.mkdir(parents=True)
    (folder / source.name).write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    return load_bundle([tmp_path]), value["id"]


def missing(covered):
    return {(entry.leaf.name, verdict.value) for entry in covered.leaves for verdict in entry.missing}


def test_the_shipped_packs_see_every_leaf_true_false_and_unknown():
    found = coverage(default_bundle())
    assert {entry.rule: missing(entry) for entry in found if missing(entry)} == {}
    assert [entry.rule for entry in found] == [rule.id for rule in default_bundle().rules]
    assert share(found) == 100.0


@pytest.mark.parametrize(
    ("without", "lost"),
    [
        ("two records above 8 raise it, three inside by the deadband clear it", set()),
        ("1.9 is outside", {("below", "true")}),
        ("7.6 is inside the deadband and does not clear it; 7.5 does", {("deadband", "false")}),
        ("a broken wire is no excursion", {("range", "true"), ("range", "false")}),
        (
            "bad quality neither raises nor clears; a long unknown is said",
            {
                ("deadband", "unknown"), ("clear_consecutive", "unknown"), ("unknown", "true"),
            },
        ),
    ],
)  # fmt: skip
def test_what_only_one_test_saw_is_missing_without_it(tmp_path, without, lost):
    def drop(value):
        names = [test["name"] for test in value["tests"]]
        value["tests"].pop(names.index(without))

    bundle, rule = pack(tmp_path, drop)
    assert missing(cover(bundle.rule(rule), bundle)) == lost


def test_a_leaf_that_a_rule_does_not_have_is_not_asked_for():
    names = {rule.id: [leaf.name for leaf in leaves_of(rule, default_bundle())] for rule in default_bundle().rules}
    assert names["cell-storage.oxygen-low"] == ["reading", "range", "below", "deadband", "clear_consecutive", "unknown"]
    assert names["data-integrity.physical-range"] == ["reading", "above", "below", "clear_consecutive", "unknown"]
    assert names["data-integrity.gap"] == ["silence", "step1.after", "step2.after", "step2.marked"]
    assert names["cell-storage.vapour-high"][:8] == [
        "reading", "range", "above", "consecutive", "on_delay", "step1.above", "step1.for", "deadband",
    ]  # fmt: skip


def test_a_pack_alone_is_tested_with_the_shipped_exclusion(tmp_path):
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    (folder / "store-out.yaml").write_text(GOOD.read_text(encoding="utf-8"), encoding="utf-8")
    bundle = load_bundle([tmp_path])
    assert [rule.id for rule in around(bundle.rules[0], bundle).rules][1:] == ["data-integrity.physical-range"]
    assert share(coverage(bundle)) == 100.0
    assert all(outcome.passed for outcome in run_tests(bundle))


def test_the_excluding_rule_of_the_packs_goes_before_the_shipped_one(tmp_path):
    def own(value):
        value["id"], value["limits"] = "data-integrity.own-range", {"from": {"low": -1, "high": 1}}

    bundle, rule = pack(tmp_path, own, SHIPPED / "data-integrity" / "physical-range.yaml")
    both = type(bundle).of([*bundle.rules, default_bundle().rule("cold-chain.store-out")], [])
    assert [r.id for r in around(both.rules[0], both).rules] == ["cold-chain.store-out", rule]
    assert [r.id for r in around(both.rules[1], both).rules] == [rule]


def test_each_leaf_has_words_in_both_languages():
    for rule in default_bundle().rules:
        for leaf in leaves_of(rule, default_bundle()):
            assert leaf.words.en.isascii(), leaf.name
            assert any("\u4e00" <= c <= "\u9fff" for c in leaf.words.zh), leaf.name


def test_an_hours_delivery_is_unknown_not_silent():
    rule = default_bundle().rule("cold-chain.interval-storage")
    test = next(t for t in rule.tests if t.until == 3_719_000)
    moments = moments_of(rule, test, around(rule, default_bundle()))
    assert [leaf.verdict for leaf in moments[-1].leaves] == [Verdict.TRUE, Verdict.UNKNOWN]
    assert moments[-1].leaves[1].left == 3_719_000 - 60_000


def test_a_test_that_cannot_run_sees_nothing(tmp_path):
    def break_all(value):
        value["tests"] = [{**test, "register": {"sensor": {"tag": "!"}}} for test in value["tests"]]

    bundle, rule = pack(tmp_path, break_all)
    covered = cover(bundle.rule(rule), bundle)
    assert (covered.found, covered.wanted) == (0, 22)
    assert not any(outcome.passed for outcome in run_tests(bundle, rule))


@pytest.mark.parametrize(("bound", "code"), [("100", 1), ("50", 0), (None, 0)])
def test_the_command_names_what_is_missing_and_fails_under_a_bound(tmp_path, bound, code):
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    text = GOOD.read_text(encoding="utf-8")
    begin = text.index("  - name: 1.9 is outside")
    end = text.index("  - name: the registered range wins")
    (folder / "store-out.yaml").write_text(text[:begin] + text[end:], encoding="utf-8")
    done = CliRunner().invoke(app, ["coverage", str(tmp_path), *(["--fail-under", bound] if bound else [])])
    assert done.exit_code == code, done.output
    assert "never true: below (the value lies below the lower limit)" in done.output
    assert "95.4 % of 22 verdicts were seen" in done.output


def test_the_command_gives_json_with_the_test_that_saw_each_verdict():
    done = CliRunner().invoke(app, ["coverage", "--json", "--rule", "cold-chain.store-out", "--fail-under", "100"])
    assert done.exit_code == 0
    value = json.loads(done.output)
    leaf = next(leaf for leaf in value["rules"][0]["leaves"] if leaf["leaf"] == "below")
    assert leaf["seen"]["true"] == "1.9 is outside"
    assert (value["percent"], leaf["missing"]) == (100.0, [])


def test_a_rule_that_is_not_there_is_a_usage_error():
    assert CliRunner().invoke(app, ["coverage", "--rule", "cold-chain.nothing"]).exit_code == 2


def test_every_test_of_the_shipped_packs_passes_with_the_excluding_rules_beside_it():
    assert [o for o in run_tests(default_bundle()) if not o.passed] == []
    within = around(default_bundle().rule("cold-chain.store-out"), default_bundle())
    assert [rule.id for rule in within.rules] == ["cold-chain.store-out", "data-integrity.physical-range"]
