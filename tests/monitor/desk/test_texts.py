"""Texts: whatever a template or a module asks for is there, whatever is there is asked for, in both languages.

Templates are parsed, modules too; a key put together at run time is a family, and its members come from the enumeration
that the code draws from. So a new state, colour or refusal without words is found here, not on a page.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import nodes

from monitor.accounts.users import Role
from monitor.alarms import projection, queries, rejections
from monitor.alarms.acts import ANSWERS, PROPOSED
from monitor.alarms.axes import Attention, State
from monitor.alarms.chart import Line
from monitor.alarms.decide import DECIDED
from monitor.alarms.queries import Filter
from monitor.alarms.second import FINDING
from monitor.api.decisions import REFUSED
from monitor.api.models import NamedProof
from monitor.archive import alarms as archive_alarms
from monitor.console.render import TEMPLATES
from monitor.console.texts import TEXTS, text
from monitor.desk import admission, calendars, clock_follower, offsets, retention
from monitor.desk.standing import Standing
from rules.changes import ChangeKind, Stage, Verdict
from rules.clocks.listing import Doubt, DueState
from rules.exceptions import ORIGIN
from rules.figures.facts import LINES
from rules.figures.periods import SHOWN
from rules.figures.targets import B_SHARE
from rules.figures.visits import STATES
from rules.models import Severity
from rules.pack import default_bundle
from rules.records import QUALITY_NAMES
from rules.rule import Citation

TABLES = set(default_bundle().tables)
MONITOR = Path(__file__).parents[3] / "monitor"
NAMES = sorted(TEMPLATES.list_templates(["html"]))
COLOURS = {severity.value for severity in Severity}


def literals(field):
    return {value for value in get_args(field.annotation) if isinstance(value, str)} or {
        value for part in get_args(field.annotation) for value in get_args(part) if isinstance(value, str)
    }


def codes_of(module):
    return {
        value
        for name, value in vars(module).items()
        if name
        in {
            "GAP",
            "FOREIGN",
            "CONFLICT",
            "LOST",
            "CUT",
            "DAMAGED",
            "STOPPED",
            "UNWRITABLE",
            "NEAR",
            "ENDS",
            "FAILED",
            "REJECTED",
            "QUARANTINED",
            "CLOCK",
            "HELD",
            "OLD",
            "UNREAD",
        }
    }


def refusals():
    """Every code that the desk raises a RefusedError with."""
    found = {code for _, code in REFUSED.values()}
    for path in [path for room in ("accounts", "api", "console", "desk") for path in (MONITOR / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RefusedError":
                found |= {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
    return found


SHOWN_ELSEWHERE = {"not_signed_in", "password_must_change"}  # these lead to a form, not to a page of refusal
API_ONLY = {"bad_cursor", "too_many_clients", "archive_down"}
FAMILIES = {
    "state.": {state.value for state in State},
    "severity.": COLOURS,
    "status.": literals(Filter.model_fields["status"]),
    "attention.": literals(Filter.model_fields["attention"]),
    "suppressed.": literals(Filter.model_fields["suppressed"]),
    "stage.": set(get_args(Stage)) | literals(Filter.model_fields["stage"]),
    "named.": literals(Filter.model_fields["named"]),
    "cause.": literals(Filter.model_fields["cause"]),
    "role.": {role.value for role in Role},
    "untold.": set(queries.UNSEEN) | {"operators", "title"},
    "old.": {standing.value for standing in Standing} | {"since"},
    "origin.": {"register", "register range", "rule", ORIGIN} | TABLES,
    "verdict.": {verdict.value for verdict in Verdict},
    "change.": {kind.value for kind in ChangeKind},
    "quality.": set(QUALITY_NAMES),
    "figures.by.": set(SHOWN),
    "figures.ahead.": {target.name for target in B_SHARE},
    "step.": {"proposed", *STATES},
    "line.": {*LINES, "unknown"},
    "due.": {state.value for state in DueState},
    "verify.": set(get_args(Doubt)),
    "cite.": set(get_args(Citation.model_fields["status"].annotation)),
    "action.": {"acknowledge", PROPOSED, *ANSWERS} | {f"decide-{code}" for code in DECIDED},
    "code.": {*DECIDED, FINDING},
    "proofs.kind.": literals(NamedProof.model_fields["kind"]),
    "proofs.state.": literals(NamedProof.model_fields["state"]) - {"received"},
    "monitor.": codes_of(projection)
    | codes_of(offsets)
    | codes_of(archive_alarms)
    | codes_of(retention)
    | codes_of(calendars)
    | codes_of(admission)
    | codes_of(clock_follower)
    | codes_of(rejections),
    "rejected.by.": {"worker", "gateway"},
    "fault.": {"short", "long", "name", "repeated", "common", "same", "wrong", "differs"},
    "refused.": (refusals() | {"contract", "not_found", "internal", "store_down", "other", "title", "back"})
    - SHOWN_ELSEWHERE
    - API_ONLY,
}
PARTIAL = {"filter.", "alarm.", "deadlines.", "figures."}
"""Families that also hold single keys: a part put together in a template, the rest asked for by name."""
ALSO = {
    "filter.": {"status", "severity", "attention", "suppressed", "stage", "cause", "named"},
    "deadlines.": {"left_out", "aside", "held", "unread"},
    "figures.": {"held", "unread", "dropped"},
    "alarm.": {*get_args(Line.model_fields["name"].annotation), "on_delay", "volume", "sample"},
}


def template_keys():
    """Return (literal keys, prefixes of keys put together) of every call of `t` or `choice` in the templates."""
    single, prefixes = set(), set()
    for name in NAMES:
        tree = TEMPLATES.parse(TEMPLATES.loader.get_source(TEMPLATES, name)[0])
        for call in tree.find_all(nodes.Call):
            called = getattr(call.node, "name", "")
            if called == "t":
                for key in keys_in(call.args[0]):
                    (prefixes if key.endswith(".") else single).add(key)
            if called == "choice":  # its prefix and the word for `any` reach `t` by name
                for argument in call.args[3:]:
                    (prefixes if argument.value.endswith(".") else single).add(argument.value)
    return single, prefixes


def keys_in(argument):
    if isinstance(argument, nodes.Const):
        yield argument.value
    elif isinstance(argument, nodes.Concat):
        if isinstance(argument.nodes[0], nodes.Const):
            yield argument.nodes[0].value
    elif isinstance(argument, nodes.CondExpr):
        yield from keys_in(argument.expr1)
        if argument.expr2 is not None:
            yield from keys_in(argument.expr2)
    else:
        assert isinstance(argument, nodes.Name), argument  # a macro's parameter: its calls are looked at


def module_keys():
    """The same for the modules: calls of `text`, and constants that are keys."""
    single, prefixes = set(), set()
    for path in (MONITOR / "console").glob("*.py"):
        if path.name == "texts.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in TEXTS:
                single.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = node.values[0].value
                if re.fullmatch(r"[a-z_]+\.", start):
                    prefixes.add(start)
    return single, prefixes


def asked_for():
    single, prefixes = (a | b for a, b in zip(template_keys(), module_keys(), strict=True))
    known = set(FAMILIES) | PARTIAL
    assert prefixes <= known, f"a family without its members here: {prefixes - known}"
    for prefix in prefixes & set(FAMILIES):
        single |= {prefix + member for member in FAMILIES[prefix]}
    for prefix in prefixes & PARTIAL:
        single |= {prefix + member for member in ALSO[prefix]}
    return single


def test_whatever_is_asked_for_is_there():
    assert asked_for() - set(TEXTS) == set()


def test_whatever_is_there_is_asked_for():
    assert set(TEXTS) - asked_for() == set()


def test_the_parsing_sees_every_kind_of_call():
    single, prefixes = template_keys()
    assert {"act.acknowledge", "queue.none", "filter.any"} <= single
    assert {"state.", "severity.", "untold.", "cite.", "stage.", "suppressed."} <= prefixes
    single, prefixes = module_keys()
    assert {"left.over", "sign_in.wait", "alarm.low"} <= single
    assert {"refused.", "fault.", "monitor."} <= prefixes
    assert {"no_such_alarm", "csrf", "role", "bad_filter", "too_many_tries"} <= refusals()


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_each_text_says_something_in_each_language_and_fills_the_same_places(key):
    zh, en = TEXTS[key]
    assert zh.strip() == zh
    assert en.strip() == en or key == "alarm.chart.missing"
    assert zh
    assert en
    assert zh != en
    assert sorted(re.findall(r"\{(\w*)\}", zh)) == sorted(re.findall(r"\{(\w*)\}", en))
    if key != "nav.language":  # names the other language in its own words
        assert re.search(r"[\u4e00-\u9fff]", zh)
        assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", en)


@pytest.mark.parametrize(
    "family", ["state.", "severity.", "change.", "quality.", "verdict.", "cite.", "role.", "untold.", "monitor.", "fault.", "stage.", "step.", "line.", "action.", "code."]
)  # fmt: skip
def test_words_of_one_family_are_told_apart(family):
    for language in (0, 1):
        words = [TEXTS[key][language] for key in TEXTS if key.startswith(family)]
        assert len(words) == len(set(words))


def test_an_unknown_key_is_an_error_and_never_an_empty_page():
    with pytest.raises(KeyError):
        text("no.such", "zh")


def test_a_text_from_outside_is_filled_in_and_never_a_template():
    assert text("alarm.acknowledged_by", "en", name="{n} {0} %s", n=3) == "{n} {0} %s acknowledged revision 3"


def test_every_attention_that_can_be_chosen_is_one_of_the_axis():
    assert {a.value for a in Attention} - {"none"} == FAMILIES["attention."]
