"""Conditions over reports by hand: what is taken, what is refused and where, and what each part is worth."""

from __future__ import annotations

import inspect
import json
import sys

import pytest

from rules.documentparts import Each
from rules.documents import syntax
from rules.documents.checking import check
from rules.documents.condition import known_of
from rules.documents.figures import compared, numbers_of
from rules.documents.kept import Version
from rules.documents.series import place_of
from rules.documents.shapes import shape_of
from rules.documents.syntax import ExpressionError, nodes, parse
from rules.documents.values import Scope, evaluator
from rules.reports.types import TYPES

RECALL = known_of(("recall-progress", "recall-final"), Each(of="totals", key="lot", before="previous"))
NOTICE = known_of(("recall-notice",), None)
QUALITY = known_of(("quality-review",), None)


def version(**fields):
    return Version(1, json.dumps(fields))


def worth(text, *, report=None, earlier=None, previous=None, entry=None, before=None, left_out=()):
    whole = [None if one is None else version(**one) for one in (report or {}, earlier, previous)]
    inner = [None if one is None else version(**one).fields for one in (entry, before)]
    return evaluator(parse(text), left_out)(Scope(*whole, *inner))


def shown(node):
    if node.kind in {"constant", "variable"}:
        return str(node.value)
    return f"({node.kind} {' '.join(shown(part) for part in node.parts)})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a || b && c", "(|| a (&& b c))"),
        ("a && b || c", "(|| (&& a b) c)"),
        ("a + b * c < d", "(< (+ a (* b c)) d)"),
        ("a - b - c", "(- (- a b) c)"),
        ("a / b * c", "(* (/ a b) c)"),
        ("(a - b) * c", "(* (- a b) c)"),
        ("!a && -b < c", "(&& (not a) (< (minus b) c))"),
        ("!!a", "(not (not a))"),
        ("a < b == c", "(== (< a b) c)"),
        ("a in [1, -2.5]", "(in a (list 1.0 -2.5))"),
        ("a in b.c", "(in a (member b))"),
        ("f(a, b.c)", "(call a (member b))"),
        ("a\n  || b", "(|| a b)"),
        ("'it\\'s' == \"a\\\\b\"", "(== it's a\\b)"),
        (".5e1 + 1E-2", "(+ 5.0 0.01)"),
    ],
)
def test_a_condition_groups_as_cel_does(text, tree):
    assert shown(parse(text)) == tree


def test_a_part_knows_where_it_stands_in_the_text():
    text = "report.figures[ 'yield' ] < 1 || (report.year == 2)"
    tree = parse(text)
    assert [text[one.at : one.end] for one in tree.parts] == ["report.figures[ 'yield' ] < 1", "(report.year == 2)"]
    assert tree.parts[0].parts[0].name == "yield"


@pytest.mark.parametrize(
    ("text", "at", "code"),
    [
        ("", 0, "syntax"),
        ("a <", 3, "syntax"),
        ("(a", 2, "syntax"),
        ("a b", 2, "syntax"),
        ("a ? b : c", 2, "syntax"),
        ("a % b", 2, "syntax"),
        ("a = b", 2, "syntax"),
        ("a & b", 2, "syntax"),
        ("{a: b}", 0, "syntax"),
        ("1u < a", 0, "syntax"),
        ("1.2.3 < a", 0, "syntax"),
        ("0x1F < a", 0, "syntax"),
        ("1e999 < a", 0, "syntax"),
        ("a < null", 4, "syntax"),
        ("[1] == a", 0, "syntax"),
        ("a in []", 6, "syntax"),
        ("a in [b]", 6, "syntax"),
        ("a in [1,]", 8, "syntax"),
        ("a in [-'x']", 7, "syntax"),
        ("a[0]", 2, "syntax"),
        ("a.5", 1, "syntax"),
        ("a.", 2, "syntax"),
        ("f(a,)", 4, "syntax"),
        ("'a", 0, "syntax"),
        ("'a\n'", 0, "syntax"),
        ("a == 'b\\n'", 7, "syntax"),
        ("b'a' == c", 1, "syntax"),
        ("a == \u4e2d", 5, "syntax"),
        ("a.all(x, x > 1)", 2, "comprehension"),
        ("a.map(x, x)", 2, "comprehension"),
        ("b || a.exists_one(x, x)", 7, "comprehension"),
        ("has(a.b)", 0, "comprehension"),
        ("a.matches('(x+)+y')", 2, "unknown_function"),
        ("a.size() > 1", 2, "unknown_function"),
    ],
)
def test_what_is_not_of_the_language_is_refused_at_its_place(text, at, code):
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert (refused.value.at, refused.value.code) == (at, code)
    assert refused.value.detail


def test_length_parts_and_depth_are_bounded_at_their_last_value():
    assert parse("a" * syntax.MAX_TEXT).value == "a" * syntax.MAX_TEXT
    with pytest.raises(ExpressionError, match="characters"):
        parse("a" * (syntax.MAX_TEXT + 1))
    parts = "||".join(["a"] * (syntax.MAX_NODES // 2))
    assert len(list(nodes(parse(parts)))) == syntax.MAX_NODES - 1
    assert parse(f"!{parts}").kind == "||"
    with pytest.raises(ExpressionError, match="parts"):
        parse(f"!!{parts}")
    for begin, end in (("(", ")"), ("!", ""), ("-", ""), ("f(", ")"), ("", ".b")):
        assert parse(begin * syntax.MAX_DEPTH + "a" + end * syntax.MAX_DEPTH)
        with pytest.raises(ExpressionError) as refused:
            parse(begin * (syntax.MAX_DEPTH + 1) + "a" + end * (syntax.MAX_DEPTH + 1))
        assert refused.value.code == "too_deep"


def test_the_deepest_and_the_longest_condition_need_little_of_the_stack():
    deepest = "(" * (syntax.MAX_DEPTH - 1) + "report.a" + ")" * (syntax.MAX_DEPTH - 1)
    longest = "&&".join(["report.a"] * 66)
    assert len(list(nodes(parse(longest)))) == 197
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 350)
        assert [worth(text, report={"a": True}) for text in (deepest, longest)] == [True, True]
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    ("known", "text", "code", "at"),
    [
        (RECALL, "entry.shipmt < 1", "unknown_member", 0),
        (RECALL, "1 > entry.shipmt", "unknown_member", 4),
        (RECALL, "entri.shipped < 1", "unknown_name", 0),
        (RECALL, "entry.shipped < '1'", "wrong_type", 0),
        (RECALL, "entry.lot < 'B'", "wrong_type", 0),
        (RECALL, "entry.lot", "wrong_type", 0),
        (RECALL, "entry.shipped + 1", "wrong_type", 0),
        (RECALL, "entry.shipped && true", "wrong_type", 0),
        (RECALL, "!entry.shipped", "wrong_type", 1),
        (RECALL, "-entry.lot < 1", "wrong_type", 1),
        (RECALL, "report.totals == previous.totals", "wrong_type", 0),
        (RECALL, "report.totals.lot == 'a'", "unknown_member", 0),
        (RECALL, "entry < before", "wrong_type", 0),
        (RECALL, "report.as_of < report.seq", "wrong_type", 0),
        (RECALL, "entry.shipped < before.shipped < 1", "wrong_type", 0),
        (RECALL, "entry.lot in [1]", "wrong_type", 0),
        (RECALL, "entry.lot in ['a', 1]", "wrong_type", 13),
        (RECALL, "entry.lot in 'abc'", "wrong_type", 0),
        (RECALL, "size(entry.lot) > 1", "wrong_type", 5),
        (RECALL, "size() > 1", "wrong_type", 0),
        (RECALL, "size(report.totals, 1) > 1", "wrong_type", 0),
        (RECALL, "sum(report.totals) > 1", "unknown_function", 0),
        (RECALL, "share_equal(report) > 0.5", "wrong_type", 12),
        (RECALL, "share_equal(previous.seq) > 0.5", "wrong_type", 12),
        (RECALL, "1 < 2", "constant", 0),
        (RECALL, "before.shipped < 2", "constant", 0),
        (NOTICE, "report.class == 4", "unknown_value", 16),
        (NOTICE, "report.class in [0, 1]", "unknown_value", 17),
        (NOTICE, "'drugs' == report.line", "unknown_value", 0),
        (NOTICE, "report.line in ['drug', 'food']", "unknown_value", 24),
        (NOTICE, "entry.shipped < 1", "unknown_name", 0),
        (NOTICE, "previous.class == 1", "unknown_name", 0),
        (NOTICE, "report.decided_at < 5", "wrong_type", 0),
        (known_of(("change-filing",), None), "report.old == report.new", "wrong_type", 0),
        (known_of(("annual-report", "quality-review"), None), "report.year > 1", "unknown_member", 0),
    ],
)
def test_what_does_not_fit_the_models_is_told_with_its_place(known, text, code, at):
    found = check(parse(text), known).faults
    assert [(fault.code, fault.at) for fault in found] == [(code, at)]


@pytest.mark.parametrize(
    ("known", "text", "uncertain"),
    [
        (RECALL, "entry.returned + entry.destroyed > entry.shipped", False),
        (RECALL, "entry.returned / entry.destroyed > 2", True),
        (RECALL, "entry.returned > before.returned", True),
        (RECALL, "report.seq > earlier.seq", True),
        (RECALL, "entry.lot == 'B1' || entry.lot in ['B2']", False),
        (RECALL, "size(report.totals) >= 3 && !(report.recall_id == 'x')", False),
        (RECALL, "report.as_of >= previous.as_of", True),
        (NOTICE, "report.class in [1, 2] && report.line != 'drug'", False),
        (NOTICE, "report.notified_at > report.decided_at", False),
        (NOTICE, "report.filed_at > report.decided_at", True),
        (QUALITY, "report.figures.oos > 2", True),
        (QUALITY, "report.figures['oos of lot'] > 2", True),
        (QUALITY, "size(report.figures) > 2", False),
        (QUALITY, "share_equal(earlier) == 1", True),
        (known_of(("adr-case",), None), "report.is_new && 'B1' in report.lots", True),
        (known_of(("susar",), None), "report.fatal_or_life_threatening == report.follow_up", False),
    ],
)
def test_what_fits_is_taken_and_it_is_known_what_can_be_unknown(known, text, uncertain):
    tree = parse(text)
    found = check(tree, known)
    assert found.faults == []
    assert ((tree.at, tree.end) in found.uncertain) is uncertain


def test_every_fault_of_a_condition_is_told_at_once():
    found = check(parse("entry.a < 1 || entry.lot < 2 || f(3) == 1"), RECALL).faults
    assert [(fault.code, fault.at) for fault in found] == [
        ("unknown_member", 0), ("wrong_type", 15), ("unknown_function", 32),
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_member_of_every_report_has_a_type(name):
    """A member whose type is not understood could never be named; only what may be of several types is mixed."""
    mixed = {member for member, one in shape_of(TYPES[name].model).members.items() if one.shape.kind == "mixed"}
    assert mixed == ({"old", "new"} if name == "change-filing" else set())
    for member, one in shape_of(TYPES[name].model).members.items():
        assert (one.shape.kind == "instant") == (member.endswith("_at") or member in {"from", "to"}), member
        days = {
            "onset",
            "day0",
            "anniversary",
            "as_of",
            "plan_date",
            "in_force_from",
            "effective_from",
            "data_lock",
            "period_from",
        }
        assert (one.shape.kind == "day") == (member in days), member
        assert one.optional == (member not in TYPES[name].model.model_json_schema()["required"]), member


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("entry.a < 2", True),
        ("entry.a < 1", False),
        ("entry.a <= 1 && entry.a >= 1", True),
        ("entry.none < 1", None),
        ("entry.none == entry.none", None),
        ("!(entry.none == 1)", None),
        ("entry.none < 1 || entry.a == 1", True),
        ("entry.a == 1 || entry.none < 1", True),
        ("entry.none < 1 || entry.a == 2", None),
        ("entry.none < 1 && entry.a == 2", False),
        ("entry.a == 2 && entry.none < 1", False),
        ("entry.none < 1 && entry.a == 1", None),
        ("before.a == 1", None),
        ("entry.a / entry.zero > 0", None),
        ("entry.zero / entry.zero == 0", None),
        ("entry.big * 10 > 1", None),
        ("entry.big * 10 - entry.big * 10 == 0", None),
        ("entry.a * 0.1 + 0.2 == 0.3", False),
        ("-entry.a == -1", True),
        ("entry.a in [2, 1]", True),
        ("entry.a in [2, 3]", False),
        ("entry.none in [2, 3]", None),
        ("entry.lot == 'B1'", True),
        ("'B2' in report.lots", True),
        ("'B3' in report.lots", False),
        ("size(report.lots) == 2", True),
        ("size(report.gone) == 2", None),
        ("earlier.a == 1", None),
        ("report.inner.deep == 1", True),
        ("report.nowhere.deep == 1", None),
        ("report.flag", True),
        ("!report.flag == false", True),
    ],
)
def test_what_is_not_said_is_unknown_and_numbers_are_doubles(text, value):
    entry = {"a": 1, "zero": 0, "big": 1e308, "lot": "B1"}
    report = {"lots": ["B1", "B2"], "inner": {"deep": 1}, "flag": True}
    assert worth(text, report=report, entry=entry) is value


def test_whole_numbers_are_compared_as_doubles():
    assert worth("report.a == report.b", report={"a": 2**53, "b": 2**53 + 1}) is True
    assert worth("report.a == 1", report={"a": 10**400}) is None  # beyond every double: unknown


def test_numbers_are_those_of_all_leaves_but_ids_dates_and_limits():
    fields = {
        "year": 2025.0, "products": [{"product": "P-1", "batches": 4.0, "unit": "vial"}, {"product": "P-1", "batches": 5.0}],
        "figures": {"Assay LIMIT low": 1.0, "limits": 2.0, "unlimited": 3.0, "含量上限": 4.0, "收率": 5.0, "due_date": 6.0},
        "flag": True, "lots": ["a"], "seconds": [7.0, 8.0],
    }  # fmt: skip
    assert numbers_of(fields, ["year", "limit", "limits", "date", "上限"]) == {
        ("products", "=P-1", "batches"): 4.0, ("products", "=P-1", "batches", "#2"): 5.0,
        ("figures", "unlimited"): 3.0, ("figures", "收率"): 5.0, ("seconds", "[0]"): 7.0, ("seconds", "[1]"): 8.0,
    }  # fmt: skip


def test_a_number_is_compared_unless_it_is_zero_in_both():
    own = {("a",): 0.0, ("b",): 0.0, ("c",): 2.0, ("d",): 3.0, ("e",): 0.0}
    assert compared(own, {("a",): 0.0, ("b",): 1.0, ("c",): 2.0, ("f",): 9.0}) == (4, 1)
    assert compared({}, {("a",): 1.0}) == (0, 0)


def test_shares_of_nothing_and_of_what_never_came_are_unknown():
    same = {"figures": {"a": 1, "b": 2}}
    assert worth("share_equal(previous) == 1", report=same, previous=same) is True
    assert worth("share_equal(previous) == 0.5", report=same, previous={"figures": {"a": 1, "b": 3}}) is True
    assert worth("share_equal(previous) == 1", report=same) is None
    assert worth("count_compared(previous) == 0", report={"figures": {}}, previous=same) is True
    assert worth("share_equal(previous) == 0", report={"figures": {}}, previous=same) is None
    assert worth("count_compared(earlier) == 1", report=same, earlier=same, left_out=("b",)) is True


@pytest.mark.parametrize(
    ("one", "other", "follows"),
    [
        (("annual-report", {"year": 2024.0}), ("annual-report", {"year": 2025.0}), True),
        (("recall-progress", {"recall_id": "a", "seq": 9.0}), ("recall-final", {"recall_id": "a", "seq": 10.0}), True),
        (("recall-progress", {"recall_id": "a", "seq": 1.0}), ("recall-progress", {"recall_id": "b", "seq": 2.0}), None),
        (("quality-review", {"product": "p", "period": "2025-09"}), ("quality-review", {"product": "p", "period": "2025-10"}), True),
        (("quality-review", {"product": "p", "period": "2025-Q4"}), ("quality-review", {"product": "p", "period": "2026-Q1"}), True),
        (("quality-review", {"product": "p", "period": "2025"}), ("quality-review", {"product": "p", "period": "2025-Q4"}), None),
        (("quality-review", {"product": "p", "period": "2025"}), ("quality-review", {"product": "q", "period": "2026"}), None),
        (("dsur", {"trial_id": "t", "anniversary": "2025-02-01"}), ("dsur", {"trial_id": "t", "anniversary": "2026-02-01"}), True),
        (("adr-case", {"case_id": "c"}), ("adr-case", {"case_id": "c"}), None),
    ],
)  # fmt: skip
def test_which_reports_follow_each_other(one, other, follows):
    first, second = (place_of((kind, name), fields) for name, (kind, fields) in zip("xy", (one, other), strict=True))
    assert (first.group == second.group) is (follows is not None)
    if follows:
        assert first.order < second.order
