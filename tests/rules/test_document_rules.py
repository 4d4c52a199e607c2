"""Rule files over what reports say: each fault with file, line, column and the place in the condition; and what the log refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.catalogue import entry
from rules.coverage import cover
from rules.documents.condition import condition_of
from rules.errors import BadInputError
from rules.leaves.model import ALL, TWO
from rules.lint import linted
from rules.pack import Bundle
from rules.records import SEMANTICS
from rules.soundness import bundle_faults, rule_faults
from tests.rules import documentlogs
from tests.rules.byhand import BUNDLE
from tests.rules.documentlogs import COPIED, FALL, OVER
from tests.rules.test_documents_by_hand import fall

if TYPE_CHECKING:
    from pathlib import Path

FILE = """schema: rule/1
id: vigilance.x
version: 1.0.0
title: {en: "X", zh: 某}
kind: document
applies_to: {}
reports: [recall-progress]
each: {of: totals, key: lot, before: previous, subject: lot}
condition: entry.shipped < before.shipped
severity: {base: orange}
scopes: [{field: vigilance, line: all}]
cites: [{instrument: X (own), status: own}]
rationale:
  cause: {en: x, zh: 某}
  consequence: {en: x, zh: 某}
  response: {en: x, zh: 某}
tests:
  - name: it fires
    reports: [{at: 1h, type: recall-progress, fields: {}}]
    expect: [{at: 1h, change: raised}]
  - {name: it is quiet, expect: []}
"""


def faults(tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    """Return (line:column, code, what) of each fault of a rule file."""
    folder = tmp_path / "vigilance"
    folder.mkdir()
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    found, _ = linted([tmp_path])
    return [(":".join(fault.pointer.split(":")[-2:]), fault.code, fault.detail) for fault in found]


def test_a_sound_file_has_none(tmp_path: Path) -> None:
    assert faults(tmp_path, FILE) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "code", "says"),
    [
        ("< before.shipped", "< before.sent", "9:1", "unknown_member", "at character 17, 'before.sent': no member sent here"),
        ("entry.shipped <", "entry.lot <", "9:1", "wrong_type", "at character 1, 'entry.lot < before.shipp': a text is never"),
        ("entry.shipped < before.shipped", "entry.shipped", "9:1", "wrong_type", "a condition is true or false, this is a number"),
        ("entry.shipped < before.shipped", "entry.shipped <", "9:1", "syntax", "at character 16, its end: the text ends where"),
        ("entry.shipped < before.shipped", '"report.totals.all(t, t.shipped > 0)"', "9:1", "comprehension", "at character 15"),
        ("entry.shipped < before.shipped", '"entry.shipped < before.shipped && sum(1) > 2"', "9:1", "unknown_function", "at character 35"),
        ("entry.shipped < before.shipped", '"' + "(" * 21 + '1"', "9:1", "too_deep", "nested at most 20 deep"),
        ("entry.shipped < before.shipped", "entry.shipped < before.shipped" + " " * 60 + " ||" * 700, "9:1", "too_long", "1000 characters"),
        ("entry.shipped < before.shipped", "1 < 2", "9:1", "constant", "reads nothing of the report"),
        ("entry.shipped < before.shipped", "report.seq < 2", "8:1", "document", "does not look at entry"),
        ("entry.shipped < before.shipped", "entry.shipped < 2", "8:30", "document", "does not look at before"),
        ("before: previous, ", "", "9:1", "unknown_name", "there is no before: each does not say before what"),
        ("of: totals", "of: total", "8:8", "unknown_member", "total is no list of objects"),
        ("key: lot", "key: shipped", "8:20", "unknown_member", "a text that every entry has is needed; there is lot"),
        ("subject: lot", "subject: product", "8:48", "document", "the report, or lot"),
        ("[recall-progress]", "[recall-progress, recal-final]", "7:28", "unknown_value", "no type of report"),
        ("[recall-progress]", "[recall-progress, recall-progress]", "7:1", "document", "more than once"),
        ("before: previous", "before: earlier", "", "", ""),
        ("applies_to: {}", "applies_to: {area.kind: cold-room}", "6:14", "predicate", "facts of the facility"),
        ("applies_to: {}", "applies_to: {facility.labels: vaccine}", "", "", ""),
        ("severity: {base: orange}", "severity: {base: orange, steps: [{after: 2h, to: red}]}", "10:26", "step", "has one colour"),
        ("kind: document", "kind: document\njudged: newest", "", "", ""),
        ("subject: lot}", "subject: report}\njudged: newest", "9:1", "document", "newest belongs to alarms about entries"),
        ("kind: document", "kind: document\nleave_out: [limit]", "6:1", "document", "compares no numbers of whole reports"),
    ],
)  # fmt: skip
def test_each_fault_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, place: str, code: str, says: str
) -> None:
    assert old in FILE
    found = faults(tmp_path, FILE.replace(old, new, 1))
    if not place:
        assert found == []
    else:
        assert (place, code) in [(where, what) for where, what, _ in found], found
        assert any(says in detail for where, _, detail in found if where == place), found


def test_a_position_in_a_condition_of_several_lines_counts_the_text_as_it_is_read(tmp_path: Path) -> None:
    lines = "condition: >-\n  entry.shipped < before.shipped ||\n  entry.gone < 1"
    ((place, code, says),) = faults(tmp_path, FILE.replace("condition: entry.shipped < before.shipped", lines))
    assert (place, code) == ("9:1", "unknown_member")
    assert says.startswith("condition: at character 35, 'entry.gone < 1': no member gone here")


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"parts": ["returned", "gone"]}, "/parts/1", "gone is no number here; there is shipped, returned, destroyed"),
        ({"whole": ["lot"]}, "/whole/0", "lot is no number here"),
        ({"whole": ["returned"]}, "/parts", "returned is on both sides"),
        ({"each": None, "judged": "every"}, "/parts/0", "returned is no number here; there is seq"),
        ({"reports": ["recall-notice"]}, "/each/of", "totals is no list of objects"),
    ],
)
def test_a_balance_is_made_of_numbers_that_are_there(changes: dict[str, object], pointer: str, says: str) -> None:
    rule = BUNDLE.rule(OVER)
    assert rule is not None
    found = rule_faults(rule.model_copy(update=changes), {})
    assert pointer in [fault.pointer for fault in found]
    assert any(says in fault.detail for fault in found), found


def test_previous_needs_reports_that_follow_each_other() -> None:
    rule = fall(reports=["recall-notice"], each=None, condition="report.class < previous.class")
    (fault,) = rule_faults(rule, {})
    assert "reports of this type have no order" in fault.detail
    each = fall().each
    assert each is not None
    lots = each.model_copy(update={"of": "lots"})
    found = rule_faults(fall(reports=["recall-notice"], each=lots, condition="entry.shipped < before.shipped"), {})
    assert [fault.pointer for fault in found] == ["/each/before"]


def test_packs_with_a_condition_that_means_nothing_are_refused_by_the_log() -> None:
    record = Bundle.of([fall(condition="entry.gone < 1")], []).to_record()
    assert record.semantics == SEMANTICS
    with pytest.raises(BadInputError) as refused:
        Bundle.from_record(record)
    assert refused.value.faults[0].pointer == "/rules/0/condition"


def test_the_shipped_rules_and_those_of_the_properties_are_sound() -> None:
    assert bundle_faults(documentlogs.rules(), []) == []
    assert all(bundle_faults(other.rules, []) == [] for other in documentlogs.other_bundles())


def test_a_condition_is_made_ready_once_for_all_facilities() -> None:
    assert condition_of(fall()) is condition_of(fall(title=fall().title, version="9.9.9"))


def test_every_leaf_of_the_shipped_rules_is_seen_true_false_and_where_it_can_be_unknown() -> None:
    for name, leaves in ((FALL, 3), (OVER, 1), (COPIED, 2)):
        rule = BUNDLE.rule(name)
        assert rule is not None
        found = cover(rule, BUNDLE)
        assert len(found.leaves) == leaves
        assert found.found == found.wanted
        assert {one.leaf.verdicts for one in found.leaves} == ({TWO} if name == OVER else {ALL})


def test_the_catalogue_page_says_what_a_rule_asks() -> None:
    rule = BUNDLE.rule(COPIED)
    assert rule is not None
    page = entry(rule, BUNDLE)
    assert "condition count_compared(previous) >= 10 && share_equal(previous) >= 0.8" in page
    assert "`share_equal(previous) >= 0.8` share_equal(previous) 不小于 0.8" in page
