"""Lint rule packs: what a reader, a lawyer or the engine would stumble over, each with file, line and column.

One run tells all that can be known: a fault of one stage (text, model, what the engine needs, other files) keeps none of the others from
being looked at in what is left of the file. What only follows of a fault that is told is no second one: nothing is said of a part that
could not be read, nor of what depends on it (`_DEPENDS`), nor of a rule or table whose file is there and could not be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.clearfaults import clear_faults, row_faults
from rules.errors import Fault, in_order
from rules.exceptions import ended
from rules.excursions.sound import source_faults
from rules.instants import format_instant
from rules.pack import bundle_of, default_bundle, load_files
from rules.raresound import alarm_faults
from rules.register import UNITS, Quantity, Span
from rules.rule import CumulativeRule, DifferenceRule, JumpRule, LimitRule, ResultLimitRule
from rules.ruletest import samples
from rules.soundness import rule_faults, single_faults, table_faults
from rules.testfaults import register_faults
from rules.vocabulary import strangers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rules.models import Bilingual
    from rules.pack import Bundle, Loaded
    from rules.rule import Rule
    from rules.tables import Table

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_OF_ANY_KIND = frozenset({
    "text", "place", "vocabulary", "predicate", "unknown_rule", "samples", "no_firing_test", "no_quiet_test", "unreachable_step",
})  # fmt: skip
"""What is wrong with a rule of whatever kind; of one whose kind is not known nothing else is."""
_DEPENDS = {
    "unit": ("/limits", "/applies_to"), "never_clears": ("/limits", "/applies_to", "/clear"), "unreachable_step": ("/severity", "/limits"),
    "exception_span": ("/limits", "/when"), "exception_shape": ("/excludes", "/smooth"), "during": ("/during",), "single": ("/idle_while", "/marked"),
    "scale": ("/pairs", "/limits", "/clear"), "smooth": ("/smooth", "/severity", "/limits", "/when", "/clear"), "registered": ("/limits",),
    "side": ("/limits",), "step": ("/severity",), "check": ("/check",), "lateness": ("/of",), "silence": ("/factor", "/threshold"),
    "excursions": ("/excursions", "/reads", "/figures"), "compare": ("/figures", "/report"), "share": ("/check", "/severity"),
    "document": ("/reports", "/each", "/condition"), "place": ("/id",), "cycle": ("/reads",),
}  # fmt: skip
"""Code of a fault -> members of a rule on which it depends, wherever it is told: one of them that could not be read says nothing."""
_DECIDING = ("/kind", "/excludes", "/smooth", "/during", "/marked")
"""Members of a rule that decide whether another rule may look at it."""


def lint(folders: Iterable[Path]) -> list[Fault]:
    """Return every fault of the packs below `folders`, ordered by place."""
    return linted(folders)[0]


def linted(folders: Iterable[Path], now_ms: int = 0) -> tuple[list[Fault], list[Fault]]:
    """Return every fault of the packs below `folders`, and what is no fault but should not stay: exceptions that have ended by `now_ms`."""
    loaded, faults = load_files(folders)
    bundle, more = bundle_of(loaded)
    faults = [*faults, *more]
    packs = _Packs.of(loaded, bundle)
    for item in loaded:
        if item.rule is not None:
            faults.extend(_placed(item, _rule_faults(item, item.rule, packs)))
        if item.table is not None:
            faults.extend(_placed(item, _table_faults(item.table)))
        if item.calendar is not None:
            faults.extend(_placed(item, _texts("/title", item.calendar.title)))
        faults.extend(
            _placed(item, (f for i, one in item.exceptions for f in _texts(f"/exceptions/{i}/reason", one.reason)))
        )
    faults.extend(_cycles(loaded, bundle))
    return in_order(faults), in_order(_ended(loaded, now_ms))


@dataclass(frozen=True, slots=True)
class _Packs:
    """What the files say to each other: only what is known of them."""

    named: frozenset[str]
    """Ids of all files, also of those that could not be read."""
    rules: tuple[Rule, ...]
    """Those of which is known what another rule asks of them."""
    tables: Mapping[str, Table]
    """Those of which all rows could be read."""

    @classmethod
    def of(cls, loaded: Iterable[Loaded], bundle: Bundle) -> _Packs:
        loaded = list(loaded)
        named = frozenset(name for item in loaded for name in item.names)
        unsure = {
            name for item in loaded for name in item.names if any(item.taken.touches(at) for at in (*_DECIDING, "/id"))
        }
        broken = {name for item in loaded for name in item.names if item.taken.touches("/rows")}
        tables = {name: table for name, table in bundle.tables.items() if name not in broken}
        return cls(named, tuple(rule for rule in bundle.rules if rule.id not in unsure), tables)


def _ended(loaded: Iterable[Loaded], now_ms: int) -> list[Fault]:
    return [
        item.document.place(
            Fault(f"/exceptions/{i}/to", "ended", f"{one.id} ended at {format_instant(one.to)}: take it out")
        )
        for item in loaded
        for i, one in item.exceptions
        if ended([one], now_ms)
    ]


def _placed(item: Loaded, faults: Iterable[Fault]) -> list[Fault]:
    """Place the faults of a file; what comes of a part that could not be read is no fault of its own."""
    taken = item.taken
    if not taken:
        return [item.document.place(fault) for fault in faults]
    unsure = item.rule is not None and taken.touches("/kind")
    return [
        item.place(fault)
        for fault in faults
        if not (unsure and _is_of_kind(fault))
        and not taken.touches(taken.origin(fault.pointer))
        and not any(taken.touches(at) for at in _DEPENDS.get(fault.code, ()))
    ]


def _is_of_kind(fault: Fault) -> bool:
    """Say whether a fault depends on the kind of a rule; those of the registers of tests do not."""
    of_place = fault.code == "predicate" and fault.pointer.startswith("/applies_to/place.")
    return of_place or not (fault.code in _OF_ANY_KIND or "/register" in fault.pointer)


def _rule_faults(item: Loaded, rule: Rule, packs: _Packs) -> list[Fault]:
    # A table whose file cannot be read is there all the same: that is told of its file.
    faults = [
        f for f in rule_faults(rule, packs.tables) if f.code != "unknown_table" or _source(rule) not in packs.named
    ]
    pack, slug = rule.id.split(".", 1)
    if item.path.stem != slug or item.path.parent.name != pack:
        faults.append(Fault("/id", "place", f"the file of {rule.id} is {pack}/{slug}.yaml"))
    faults.extend(Fault(f"/applies_to/{name}", "vocabulary", text) for name, text in strangers(rule.applies_to))
    faults.extend(_texts("/title", rule.title))
    for name in ("cause", "consequence", "response"):
        faults.extend(_texts(f"/rationale/{name}", getattr(rule.rationale, name)))
    faults.extend(
        Fault("/reads", "unknown_rule", f"{other} is not in these packs")
        for other in rule.reads
        if other not in packs.named
    )
    faults.extend(_test_faults(rule, packs))
    faults.extend(_step_faults(rule))
    if isinstance(rule, LimitRule | CumulativeRule | DifferenceRule | JumpRule):
        faults.extend(_limit_faults(rule, packs.tables))
    faults.extend(clear_faults(rule, packs.tables))
    faults.extend(single_faults(rule, packs.rules))
    faults.extend(alarm_faults(rule, packs.rules))
    sure = {other.id for other in packs.rules}
    faults.extend(
        fault
        for fault in source_faults(rule, packs.rules)
        if fault.pointer != "/reads" or all(other in sure for other in rule.reads)
    )
    return faults


def _source(rule: Rule) -> str:
    return (
        rule.limits.from_
        if isinstance(rule, LimitRule | CumulativeRule | DifferenceRule | ResultLimitRule)
        and isinstance(rule.limits.from_, str)
        else ""
    )


def _texts(pointer: str, text: Bilingual) -> list[Fault]:
    faults = []
    if not text.en.strip():
        faults.append(Fault(f"{pointer}/en", "text", "an English text is needed"))
    if not _CHINESE.search(text.zh):
        faults.append(Fault(f"{pointer}/zh", "text", "a Chinese text is needed"))
    return faults


def _test_faults(rule: Rule, packs: _Packs) -> list[Fault]:
    fires = any(want.change is ChangeKind.RAISED for test in rule.tests for want in test.expect)
    quiet = any(not test.expect for test in rule.tests)
    faults = []
    if not fires:
        faults.append(Fault("/tests", "no_firing_test", "at least one test must raise the alarm"))
    if not quiet:
        faults.append(Fault("/tests", "no_quiet_test", "at least one test must stay quiet"))
    known = (
        {*packs.named, *(other.id for other in default_bundle().rules)}
        if any(test.beside for test in rule.tests)
        else {""}
    )
    table = packs.tables.get(_source(rule))
    for i, test in enumerate(rule.tests):
        faults += [Fault(f"/tests/{i}{f.pointer}", f.code, f.detail) for f in register_faults(rule, test, table)]
        faults += [
            Fault(f"/tests/{i}/beside/{k}", "unknown_rule", f"{name} is neither in these packs nor shipped")
            for k, name in enumerate(test.beside)
            if name not in known
        ]
        for tag, series in test.series.items():
            try:
                samples(series.values)
            except ValueError as error:
                at = f"/tests/{i}/series/{tag.replace('~', '~0').replace('/', '~1')}/values"
                faults.append(Fault(at, "samples", str(error)))
    return faults


def _step_faults(rule: Rule) -> list[Fault]:
    faults = []
    rank = rule.severity.base.rank
    last = -1.0
    for i, step in enumerate(rule.severity.steps):
        at = f"/severity/steps/{i}"
        if step.to.rank <= rank:
            faults.append(Fault(f"{at}/to", "unreachable_step", f"{step.to} does not rise above the colour before it"))
        rank = max(rank, step.to.rank)
        if step.after is not None:
            if step.after <= last:
                faults.append(Fault(f"{at}/after", "unreachable_step", "steps stand in the order of their durations"))
            last = step.after
        if (
            step.beyond is not None
            and isinstance(rule, LimitRule | DifferenceRule)
            and isinstance(rule.limits.from_, Span)
        ):
            faults.extend(_beyond_faults(at, rule.limits.from_, step.beyond))
    return faults


def _beyond_faults(at: str, base: Span, beyond: Span) -> list[Fault]:
    high = base.high is not None and beyond.high is not None and beyond.high < base.high
    low = base.low is not None and beyond.low is not None and beyond.low > base.low
    if high or low:
        return [Fault(f"{at}/beyond", "unreachable_step", "lies inside the rule's own limits")]
    return []


def _limit_faults(
    rule: LimitRule | CumulativeRule | DifferenceRule | JumpRule, tables: Mapping[str, Table]
) -> list[Fault]:
    faults = []
    source = rule.limits.from_
    wanted = rule.applies_to.get("sensor.quantity", [])
    quantities = wanted if isinstance(wanted, list) else [str(wanted)]
    units = {UNITS[Quantity(q)] for q in quantities if q in set(Quantity)}
    if isinstance(source, Span):
        if source.low is None and source.high is None:
            faults.append(Fault("/limits/from", "no_limit", "give low, high or both"))
        if len(units) != 1:
            faults.append(
                Fault("/applies_to", "unit", "a literal limit needs quantities of one unit in sensor.quantity")
            )
    elif source not in {"sensor", "range"}:
        table = tables.get(source)
        if table is not None and units and not any(row.unit in units for row in table.rows):
            faults.append(Fault("/limits/from", "unit", f"no row of {source} has a unit of {', '.join(sorted(units))}"))
    return faults


def _table_faults(table: Table) -> list[Fault]:
    faults = _texts("/title", table.title)
    faults.extend(table_faults(table))
    faults.extend(row_faults(table))
    for i, row in enumerate(table.rows):
        faults.extend(Fault(f"/rows/{i}/where/{name}", "vocabulary", text) for name, text in strangers(row.where))
        quantity = row.where.get("sensor.quantity")
        if isinstance(quantity, str) and quantity in set(Quantity) and UNITS[Quantity(quantity)] != row.unit:
            faults.append(Fault(f"/rows/{i}/unit", "unit", f"{quantity} is measured in {UNITS[Quantity(quantity)]}"))
    return faults


def _cycles(loaded: Iterable[Loaded], bundle: Bundle) -> list[Fault]:
    reads = {rule.id: [other for other in rule.reads if bundle.rule(other)] for rule in bundle.rules}
    faults = []
    for item in loaded:
        if item.rule is None or item.taken.touches("/reads"):
            continue
        seen: set[str] = set()
        ahead = list(reads.get(item.rule.id, ()))
        while ahead:
            other = ahead.pop()
            if other == item.rule.id:
                faults.append(Fault(item.document.where("/reads"), "cycle", f"{item.rule.id} reads itself in a circle"))
                break
            if other not in seen:
                seen.add(other)
                ahead.extend(reads[other])
    return faults
