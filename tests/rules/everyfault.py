"""A pack that holds every kind of fault that lint knows: its files, and the codes that each of them is told with, in the order of their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = "{en: A text, zh: 文字}"
_HEAD = {
    "schema": "rule/1", "version": "1.0.0", "title": _WORDS, "applies_to": "{}", "severity": "{base: orange}",
    "scopes": "[{field: all, line: all}]", "cites": "[{instrument: A test, status: own}]",
    "rationale": f"{{cause: {_WORDS}, consequence: {_WORDS}, response: {_WORDS}}}",
    "tests": "[{name: fires, expect: [{at: 1m, change: raised}]}, {name: quiet, expect: []}]",
}  # fmt: skip
_LIMIT = {"kind": "limit", "applies_to": "{sensor.quantity: temperature}", "limits": "{from: {low: 2, high: 8}}"}
_CUMULATIVE = {**_LIMIT, "kind": "cumulative", "total": "60m", "clear_below": "50m", "window": "24h"}
_SCALE = {"kind": "difference", "pairs": "by-temperature", "applies_to": "{sensor.quantity: conductivity}"}
_LAB = "{stream: lab, type: result, where: {verdict: oos}}"
_DEVICE = "{stream: device, type: door}"

RULES: dict[str, tuple[dict[str, str], list[str]]] = {
    # What is wrong with one file whatever the others say.
    "shape": (
        {**_LIMIT, "version": "one", "colour": "red", "severity": "{base: pink}", "when": "{consecutive: 0, on_delay: [1]}",
         "cites": "[]", "clear": "{deadband: .nan}", "title": "{en: ' ', zh: Words}", "limits": "{}", "reads": "[every.nothing]"},
        ["wrong_form", "text", "text", "unknown_value", "too_few", "missing", "unknown_member", "out_of_range", "wrong_form", "not_finite", "unknown_rule"],
    ),
    "many": ({"kind": "revision", "of": "[number, reason, batch, datum, number]", "factor": "2"}, ["too_many", "unknown_member"]),
    "nokind": ({"kind": "magic", "title": "{en: A text, zh: Words}", "exceptions": "{mute: true, longest: 30d}"}, ["text", "unknown_value"]),
    "short": ({"kind": "count", "applies_to": "{area.kind: cold-rom}"}, ["missing", "missing", "vocabulary"]),
    "limit": (
        {**_LIMIT, "applies_to": "{sensor.colour: red}", "limits": "{from: {}, side: high}", "clear": "{latched: true, deadband: much}",
         "overlap": "silence", "exceptions": "{limits.high: {min: 1, max: 2}, longest: 1d}",
         "severity": "{base: orange, steps: [{after: 1h, to: yellow}, {to: red}]}",
         "tests": "[{name: one, series: {T1: {every: 60s, values: 7y5}}, expect: [{at: 1m, change: cleared}], beside: [every.nothing]}]"},
        ["unit", "predicate", "unreachable_step", "step", "no_firing_test", "no_quiet_test", "samples", "unknown_rule", "no_limit", "side", "unsupported", "deadband", "overlap", "exception_span"],
    ),
    "clears": ({**_LIMIT, "clear": "{deadband: 4}", "smooth": "{volume: 1 m3}", "during": "trip"}, ["during", "smooth", "during", "during", "smooth", "never_clears", "during"]),
    "register": (
        {**_LIMIT, "tests": """
  - name: fires
    register:
      walls: {}
      areas:
        - 7
        - {id: A1, kind: cleanroom}
        - {id: A1, kind: cold-room, phase: liquid}
      sensors:
        - {tag: T1, area: A9, interval: 60s, unit: K}
        - {tag: T2, area: A1, interval: 60s, quantity: pressure-difference, against: A1}
        - {tag: T3, area: A1, interval: 60s, range: {low: 3, high: 5}, limits: {low: 2, high: 8}}
      facility:
        name: {en: ' ', zh: 名}
        licences: [{kind: drug-mah, number: x, from: 2026-02-01, to: 2026-01-01}]
        regimes: [{id: r, product: p, area: A1, from: 2026-01-01T00:00:00Z}]
    expect: [{at: 1m, change: raised}]
  - {name: quiet, expect: []}
"""},
        ["unknown_member", "wrong_type", "needed", "needed", "stands_twice", "stands_twice", "misplaced", "unknown_area", "wrong_unit", "own_area", "blind_range", "empty", "ends_before", "unknown_product"],
    ),
    "lonely": ({"kind": "lot_count", "reads": "[every.lonely]"}, ["missing", "cycle"]),
    # What the engine needs of a rule of some kind.
    "jump": ({"kind": "jump", "applies_to": "{sensor.quantity: temperature}", "limits": "{from: {high: 2}}", "when": "{on_delay: 5m}"}, ["delay"]),
    "gap": ({"kind": "gap", "records": "good", "migration": "re-evaluate", "at_least": "5m", "threshold": "10m", "exceptions": "{mute: true, longest: 1d}"}, ["during", "migration", "silence", "exception_shape"]),
    "digits": ({"kind": "last_digit", "check": "uniform", "number": "50", "related": "0.2", "spread": "25", "uneven": "0.001", "even": "0.01"}, ["check", "check"]),
    "days": ({"kind": "repeat_day", "pairs": "24", "distinct": "25", "lags": "[24h, 25h]"}, ["count", "wrong_form"]),
    "overwritten": ({"kind": "conflict", "amended": "{within: 10d, severity: red}"}, ["conflict"]),
    "share": ({"kind": "completeness", "check": "mark-share", "flags": "[fault, fault]", "share": "0.1"}, ["share"]),
    "late": ({"kind": "lateness", "of": "amendment", "within": "10wd", "flags": "[fault]"}, ["lateness", "lateness"]),
    "revision": ({"kind": "revision", "of": "[number, number]"}, ["revision"]),
    "follow": ({"kind": "follow_up", "alarm": "every.gap", "reads": "[every.gap]", "first": _DEVICE, "then": _DEVICE, "within": "1h"}, ["follow_up", "follow_up"]),
    "single": ({**_CUMULATIVE, "idle_while": "every.gap", "reads": "[every.gap]"}, ["single"]),
    "sum": ({**_CUMULATIVE, "clear_below": "70m", "window": "25h1s", "idle_while": "every.jump"}, ["wrong_form", "wrong_form", "wrong_form"]),
    "clock": (
        {"kind": "deadline", "starts": "{report: adr-case, key: case_id}", "answer": "{report: no-such, key: case_id, at: known_at}",
         "within": "[{time: 15d}]"},
        ["deadline", "unknown_value"],
    ),
    "claims": (
        {"kind": "compare", "excursions": "{least: blue}", "report": "adr-case", "duration": "{share: 0.1, intervals: 1}",
         "peak": "{degrees: 1, errors: 2}", "wait": "24h", "reads": "[every.jump]"},
        ["compare", "excursions", "excursions"],
    ),
    "document": (
        {"kind": "document", "reports": "[annual-report, annual-report]", "condition": "report.nothing > 1 && nobody > 2 && nothing(report) == 1 || true == 'x'"},
        ["document", "unknown_function", "unknown_member", "unknown_name", "wrong_type"],
    ),
    "constant": ({"kind": "document", "reports": "[annual-report]", "condition": "1 > 2"}, ["constant"]),
    "syntax": ({"kind": "document", "reports": "[annual-report, no-such]", "condition": "1 >"}, ["unknown_value", "syntax"]),
    "comprehension": ({"kind": "document", "reports": "[annual-report]", "condition": "report.actions.exists(x, x == 'y')"}, ["comprehension"]),
    "deep": ({"kind": "document", "reports": "[annual-report]", "condition": "'" + "(" * 60 + "1" + ")" * 60 + " > 2'"}, ["too_deep"]),
    "long": ({"kind": "document", "reports": "[annual-report]", "condition": "'" + " || ".join(["1 > 2"] * 300) + "'"}, ["too_long"]),
    "lots": ({"kind": "lot_balance", "reads": "[every.jump]", "parts": "[sold]", "whole": "[returned]"}, ["lot", "balance"]),
    "ratio": (
        {"kind": "lot_ratio", "counted": "{fact: case, seriousness: [serious]}", "distinct": "case_id", "n": "2", "within": "30d", "over": "36h", "factor": "3"},
        ["ratio", "ratio", "ratio"],
    ),
    "visit": ({"kind": "visit", "months": "{A: 24, B: 24, C: 12, D: 6}", "notice": "{before: 30d, severity: red}"}, ["visit"]),
    "change": ({"kind": "change", "set_point": _DEVICE, "equipment": _DEVICE, "report": "change-filing", "within": "366d"}, ["change"]),
    "annual": ({"kind": "annual", "made": "{stream: trace, type: sold}", "report": "annual-report", "percent": "2", "batches": "1"}, ["annual"]),
    "runs": ({"kind": "runs", "run": "{stream: lab, type: result}", "wait": "48h", "anew": "10"}, ["runs"]),
    "retest": ({"kind": "retest", "failed": _LAB, "passed": _LAB, "report": "oos-investigation", "wait": "24h"}, ["retest"]),
    "release": (
        {"kind": "release", "released": _DEVICE, "failed": _LAB, "while_open": "[deviation, deviation]", "allowed": "48h"}, ["release", "release"],
    ),
    "grade": ({"kind": "grade", "window": "30d", "red": "1", "orange": "3", "without": "[risk]", "leave_out": "[duplicate]"}, ["grade"]),
    "notable": ({**_LIMIT, "limits": "{from: no-such-table}"}, ["unknown_table"]),
    "result": (
        {"kind": "result_limit", "events": _DEVICE, "limits": "{from: every-table}", "applies_to": "{area.kind: cleanroom}"},
        ["result", "result", "result"],
    ),
    "scaled": ({**_SCALE, "limits": "{from: every-table}", "clear": "{deadband: 10%}"}, ["registered", "scale", "scale", "unit", "deadband"]),
    "doors": (
        {"kind": "difference", "pairs": "cascades", "applies_to": "{area.kind: cleanroom, sensor.quantity: pressure-difference}",
         "limits": "{from: {low: 10}}", "when": "{consecutive: 1, on_delay: 30s}", "doors": "{closed: 60s}"},
        ["doors", "doors"],
    ),
    "pairs": ({**_SCALE, "pairs": "cascades", "limits": "{from: every-table}"}, ["registered", "unit"]),
    "wander": ({"id": "every.wanderer", "kind": "gap", "factor": "2"}, ["place"]),
    "unread": ({"kind": "follow_up", "alarm": "every.torn", "reads": "[every.torn, every.latin]", "then": _DEVICE, "within": "1h"}, []),
}  # fmt: skip
"""Slug -> members of the rule, and what its file is told with, in the order of the places."""

_TABLE = f"""schema: table/1
id: every-table
edition: own
title: {_WORDS}
cites: [{{instrument: A test, status: own}}]
rows:
  - {{where: {{area.grade: A}}, unit: K, limit: {{low: 1, high: 2}}, edition: own, status: own, registered: true}}
"""
_ENTRY = (
    "{id: ID, rule: RULE, facility: F-1, tag: T1, from: '2026-03-01T00:00:00Z', to: '2026-03-31T00:00:00Z', allow: ALLOW, "
    f"reason: {_WORDS}, approver: A person, approved_date: '2026-02-25'}}"
)


def _entry(*pairs: tuple[str, str]) -> str:
    entry = _ENTRY
    for old, new in (*pairs, ("ALLOW", "{mute: true}"), ("RULE", "every.latin"), ("ID", "one")):
        entry = entry.replace(old, new)
    return f"  - {entry}\n"


FILES: dict[str, tuple[bytes, list[str]]] = {
    "every/torn.yaml": (b"schema: rule/1\nid: every.torn\nversion: one\ntitle: {en: x, zh: x}\nkind: [limit\ncolour: red\n", ["wrong_form", "yaml"]),
    "every/latin.yaml": ("id: every.latin\n# \u00e9\n".encode("latin-1"), ["unreadable"]),
    "every/large.yaml": (b"#" * (4 * 1024 * 1024 + 1), ["too_large"]),
    "every/elsewhere.yaml": (b"", ["wrong_type"]),
    "tables/every-table.yaml": (_TABLE.encode(), []),
    "tables/other.yaml": (_TABLE.replace("id: every-table", "id: every-table\nname: x").encode(), ["duplicate_id", "unknown_member"]),
    "tables/copy.yaml": (
        (_TABLE.replace("id: every-table", "id: every-copy") + "  - {where: {}, unit: K, limit: {}, edition: own, status: own, registered: low}\n"
        "  - {where: {area.kind: cold-rom, sensor.quantity: temperature}, unit: '%', limit: {low: 1, high: 2}, edition: own, status: own}\n"
        "  - {where: {sensor.colour: red}, unit: Cel, limit: {low: 1, high: 2}, deadband: 3, edition: own, status: own}\n"
        "  - {unit: Cel, limit: {low: 3, high: 2}, edition: own, status: own}\n"
        "  - {where: {area.kind: bocks}, unit: Cel, limit: {low: 1}, edition: own, status: own}\n").encode(),
        ["wrong_type", "vocabulary", "unit", "predicate", "never_clears", "missing", "wrong_form", "vocabulary"],
    ),
    "calendars/days.yaml": (
        (b"schema: calendar/1\nid: days\nedition: own\ntitle: {en: x, zh: x}\nprefixes: ['1']\n"
        b"years: {'2026': {status: own, source: a test, days_off: ['03-07', '02-30', '03-06'], worked: ['3-8']}}\n"),
        ["text", "wrong_form", "wrong_form", "wrong_form"],
    ),
    "exceptions.yaml": (
        ("schema: exceptions/1\nexceptions:\n"
         + _entry() + _entry(("RULE", "every.nothing")) + _entry(("ID", "two"), ("RULE", "every.lonely"), ("2026-02-25", "2026-03-25"))
         + _entry(("ID", "four"), ("RULE", "every.limit"), ("F-1", "F-2")) + _entry(("ID", "three"), ("F-1", "F 1"), ("ALLOW", "{}"), ("en: A text", "en: ' '"), ("2026-03-31", "2026-02-01"))).encode(),
        ["duplicate_id", "unknown_rule", "window", "window", "not_allowed", "wrong_form", "window", "wrong_form", "text"],
    ),
    "every/twice.yaml": (
        (b"schema: rule/1\nid: every.twice\nversion: &v 1.0.0\nversion: 1.0.1\nkind: magic\ntitle: !mine {en: A text, zh: Words}\n"
         b"severity: *v\ncolour: red\nreads: [every.nothing]\n"),
        ["missing", "missing", "missing", "missing", "no_firing_test", "no_quiet_test", "yaml", "unknown_value", "yaml", "alias", "unknown_member", "unknown_rule"],
    ),
}  # fmt: skip


def text_of(slug: str, members: dict[str, str]) -> str:
    """Return a rule file."""
    return "".join(
        f"{name}: {value}\n" for name, value in {"schema": "rule/1", "id": f"every.{slug}", **_HEAD, **members}.items()
    )


def write(folder: Path) -> Path:
    """Write the pack, and return its folder."""
    (folder / "every").mkdir(parents=True)
    for slug, (members, _) in RULES.items():
        (folder / "every" / f"{slug}.yaml").write_text(text_of(slug, members), encoding="utf-8")
    for name, (content, _) in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
