from __future__ import annotations

from pathlib import Path

import pytest

from monitor.commands.rules import junit_xml
from rules.errors import BadInputError
from rules.lint import lint
from rules.pack import SHIPPED, Bundle, default_bundle, load_bundle
from rules.records import SEMANTICS, PacksRecord
from rules.ruletest import run_test, run_tests, samples
from rules.yamlfile import read_yaml

CASES = [(rule, test) for rule in default_bundle().rules for test in rule.tests]
GOOD = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("rule", "test"), CASES, ids=[f"{rule.id}: {test.name}" for rule, test in CASES])
def test_the_rules_own_tests_pass(rule, test):
    assert run_test(rule, test, default_bundle()).differences == []


def test_the_shipped_packs_hold_these_rules_and_no_fault():
    assert lint([SHIPPED]) == []
    assert [rule.id for rule in default_bundle().rules] == [
        "cell-storage.glass-transition",
        "cell-storage.ln2-low",
        "cell-storage.oxygen-low",
        "cell-storage.oxygen-silent",
        "cell-storage.vapour-high",
        "cleanroom.a-coarse",
        "cleanroom.a-fine",
        "cleanroom.a-growth",
        "cleanroom.a-monitor-off",
        "cleanroom.b-particles",
        "cleanroom.b-viable",
        "cleanroom.c-particles",
        "cleanroom.cd-viable",
        "cleanroom.pressure-low",
        "cleanroom.pressure-reversed",
        "cold-chain.ambient-store-out",
        "cold-chain.excursion-no-alarm",
        "cold-chain.freeze-60min",
        "cold-chain.freeze-cumulative",
        "cold-chain.interval-storage",
        "cold-chain.interval-transport",
        "cold-chain.mkt-year",
        "cold-chain.power-no-alarm",
        "cold-chain.ship-cool",
        "cold-chain.ship-freeze",
        "cold-chain.ship-hot",
        "cold-chain.ship-warm",
        "cold-chain.store-out",
        "cold-chain.warm-10h",
        "cold-chain.warm-cumulative",
        "cross-check.annual-volume",
        "cross-check.change-unfiled",
        "cross-check.copied-report",
        "cross-check.deviation-misstated",
        "cross-check.excursion-no-deviation",
        "cross-check.expired-moving",
        "cross-check.narcotic-balance",
        "cross-check.online-no-telemetry",
        "cross-check.released-while-open",
        "cross-check.retest-no-investigation",
        "cross-check.sold-over-produced",
        "data-integrity.amendment-late",
        "data-integrity.at-detection-limit",
        "data-integrity.audit-disabled",
        "data-integrity.audit-silent",
        "data-integrity.clock-offset",
        "data-integrity.day-copy",
        "data-integrity.discarded-runs",
        "data-integrity.effective-rate",
        "data-integrity.event-time",
        "data-integrity.frozen",
        "data-integrity.full-rights",
        "data-integrity.gap",
        "data-integrity.last-digit",
        "data-integrity.late-evidence",
        "data-integrity.limit-widened",
        "data-integrity.mark-late",
        "data-integrity.mark-share",
        "data-integrity.narrow-wobble",
        "data-integrity.no-door-trace",
        "data-integrity.overwritten",
        "data-integrity.parallel-misfit",
        "data-integrity.physical-range",
        "data-integrity.revision-conflict",
        "data-integrity.sequence",
        "data-integrity.shared-account",
        "data-integrity.too-precise",
        "data-integrity.too-smooth",
        "register.calibration-due",
        "register.config-hash",
        "register.incomplete",
        "register.sensor-count",
        "register.sensor-error",
        "register.serial-changed",
        "register.unknown-tag",
        "report-clock.adr-death",
        "report-clock.adr-death-investigation",
        "report-clock.adr-group",
        "report-clock.adr-group-investigation",
        "report-clock.adr-other",
        "report-clock.adr-serious",
        "report-clock.annual-report",
        "report-clock.cosmetic-ordinary",
        "report-clock.cosmetic-self-check",
        "report-clock.cosmetic-serious",
        "report-clock.cosmetic-social",
        "report-clock.device-death",
        "report-clock.device-group",
        "report-clock.device-group-case",
        "report-clock.device-group-report",
        "report-clock.device-overseas",
        "report-clock.device-recall-plan",
        "report-clock.device-serious",
        "report-clock.drug-recall-final",
        "report-clock.drug-recall-plan",
        "report-clock.dsur",
        "report-clock.psur",
        "report-clock.recall-notice",
        "report-clock.recall-progress",
        "report-clock.rectification",
        "report-clock.susar-fatal",
        "report-clock.susar-follow-up",
        "report-clock.susar-other",
        "risk.step-up",
        "risk.visit-overdue",
        "vigilance.lot-cluster",
        "vigilance.lot-ratio",
        "vigilance.moved-after-stop",
        "vigilance.recall-over-returned",
        "vigilance.recall-totals-fall",
        "water.chp-conductivity",
        "water.endotoxin",
        "water.microbial",
        "water.stage1",
        "water.stage2-missing",
        "water.toc",
    ]


def test_a_bundle_goes_through_the_log_and_keeps_its_hash():
    bundle = default_bundle()
    again = Bundle.from_record(bundle.to_record())
    assert again.sha256 == bundle.sha256
    assert [rule.model_copy(update={"tests": []}) for rule in bundle.rules] == list(again.rules)


@pytest.mark.parametrize("text", ["", "AAAA", "e30="])
def test_a_broken_bundle_is_refused_whole(text):
    record = default_bundle().to_record()
    with pytest.raises(BadInputError):
        Bundle.from_record(PacksRecord(sha256=record.sha256, semantics=SEMANTICS, bundle=text))


def test_a_bundle_with_another_hash_is_refused():
    record = default_bundle().to_record()
    with pytest.raises(BadInputError, match="fault"):
        Bundle.from_record(record.model_copy(update={"sha256": "0" * 64}))


def pack(tmp_path: Path, text: str, name: str = "store-out") -> Path:
    folder = tmp_path / "cold-chain"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("sensor.quantity: temperature,", "sensor.colour: red,", "predicate", 7),
        ("sensor.quantity: temperature,", "sensor.pinned: 7,", "predicate", 7),
        ("zh: 冷库温度超限", "zh: Cold room", "text", 5),
        ("{from: {low: 2, high: 8}, narrower: sensor}", "{from: no-such-table}", "unknown_table", 8),
        (
            "severity: {base: orange}",
            "severity: {base: orange, steps: [{after: 2h, to: yellow}]}",
            "unreachable_step",
            12,
        ),
        (
            "severity: {base: orange}",
            "severity: {base: orange, steps: [{beyond: {high: 7}, to: red}]}",
            "unreachable_step",
            12,
        ),
        ("id: cold-chain.store-out", "id: cold-chain.other", "place", 3),
        ("id: cold-chain.store-out", "id: cold-chain.store-out\nreads: [cold-chain.nothing]", "unknown_rule", 4),
        ("id: cold-chain.store-out", "id: cold-chain.store-out\nreads: [cold-chain.store-out]", "cycle", 4),
        ("deadband: 0.5", "deadband: much", "deadband", 10),
        ("consecutive: 3,", "consecutive: 3, latched: true,", "unsupported", 10),
        ("7x5 9x2 7x10", "7y5", "samples", 32),
    ],
)
def test_lint_names_what_is_wrong_and_where(tmp_path, old, new, code, line):
    assert old in GOOD
    faults = lint([pack(tmp_path, GOOD.replace(old, new, 1))])
    assert [f.pointer.split(":")[1] for f in faults if f.code == code] == [str(line)], faults


def test_a_pack_with_many_errors_prints_them_all(tmp_path):
    pack(tmp_path, "a: [1, 2", "one")
    pack(tmp_path, "a: &x 1\nb: *x\n", "two")
    pack(tmp_path, "a: 1\na: 2\n", "three")
    pack(tmp_path, "kind: limit\n", "four")
    pack(tmp_path, "kind: magic\n", "five")
    (tmp_path / "cold-chain" / "six.yaml").write_bytes(b"\xff\xfe")
    pack(tmp_path, named("seven").replace("interval: 60s", "interval: 60s, unit: K", 1), "seven")
    pack(tmp_path, named("eight").replace("deadband: 0.5", "deadband: 3.5"), "eight")
    found = lint([tmp_path])
    places = {fault.pointer.split(":")[0] for fault in found}
    assert {Path(place).stem for place in places} == {"one", "two", "three", "four", "five", "six", "seven", "eight"}
    ours = [(Path(name).stem, *at, f.code) for f in found for name, *at in [f.pointer.split(":")]]
    assert [one for one in ours if one[0] in {"seven", "eight"}] == [
        ("eight", "10", "25", "never_clears"),
        ("seven", "31", "72", "wrong_unit"),
    ]


def named(slug: str) -> str:
    return GOOD.replace("id: cold-chain.store-out", f"id: cold-chain.{slug}", 1)


def test_a_rule_without_firing_and_quiet_tests_is_a_fault(tmp_path):
    faults = lint([pack(tmp_path, GOOD[: GOOD.index("tests:")])])
    assert {fault.code for fault in faults} == {"no_firing_test", "no_quiet_test"}


def test_a_second_file_of_an_id_needs_a_reason_and_then_wins(tmp_path):
    own = tmp_path / "own"
    (own / "cold-chain").mkdir(parents=True)
    path = own / "cold-chain" / "store-out.yaml"
    path.write_text(GOOD.replace("version: 1.0.0", "version: 2.0.0"), encoding="utf-8")
    with pytest.raises(BadInputError) as refused:
        load_bundle(["default", own])
    assert refused.value.faults[0].code == "duplicate_id"
    reason = "override: {reason: this jurisdiction keeps colder stores}\n"
    path.write_text(GOOD.replace("version: 1.0.0", "version: 2.0.0") + reason, encoding="utf-8")
    assert load_bundle(["default", own]).rule("cold-chain.store-out").version == "2.0.0"
    assert load_bundle(["default", own]).sha256 != default_bundle().sha256


def test_a_wrong_expectation_is_told_in_words(tmp_path):
    text = GOOD.replace("{at: 6m, change: raised, severity: orange, start: 5m}", "{at: 7m, change: raised}", 1)
    bundle = load_bundle([pack(tmp_path, text)])
    failed = [outcome for outcome in run_tests(bundle) if not outcome.passed]
    assert failed[0].differences == [
        "expected raised at 7m, got raised at 6m orange start 5m {'tag': 'T1'}",
    ]
    assert b'failures="1"' in junit_xml(run_tests(bundle))


@pytest.mark.parametrize("text", ["x", "7x", "!_", "1e5", "5x99999999", "(5 6)", "(5)x", "(5 6)x10001", "((5)x2)x2"])
def test_words_that_are_no_samples_are_refused(text):
    with pytest.raises(ValueError, match="sample"):
        samples(text)


def test_a_group_of_samples_stands_as_often_as_it_says():
    words = ["5", "_", "!9", "9", "9"]
    assert samples("(5 _)x2 !9 (9x2)x1") == samples(" ".join(words[:2] * 2 + words[2:]))
    assert len(samples("(5 6)x10000")) == 20_000


def test_deep_and_large_yaml_are_faults():
    assert read_yaml("[" * 100 + "]" * 100, "deep")[0].code == "yaml"
    assert read_yaml("a" * (5 * 1024 * 1024), "large")[0].code == "too_large"
