"""What the engine needs of rules and tables beyond their models: without it a plan cannot be made, or means nothing.

`lint` tells it with file and line; a bundle that comes by the log is refused for it (`Bundle.from_record`): what no
facility can be compiled with would end every worker that reads it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from rules.duringfaults import during_faults
from rules.errors import Fault
from rules.exceptionfaults import allowance_faults, exception_faults
from rules.excursions.sound import source_faults
from rules.kinds import last_digit, too_precise
from rules.kinds.steadiness import PARTS
from rules.lots.sound import lot_faults
from rules.migration import AGAIN
from rules.params import CHI_SQUARE_9
from rules.postedsound import method_faults, result_faults
from rules.predicate import faults as predicate_faults
from rules.raresound import alarm_faults, rare_faults
from rules.register import Span
from rules.rule import (
    CumulativeRule,
    DifferenceRule,
    GapRule,
    JumpRule,
    LastDigitRule,
    LimitRule,
    MeanKineticRule,
    RareRule,
    ResultLimitRule,
    SteadinessRule,
)
from rules.scale import scale_faults
from rules.smoothing import smooth_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rules.exceptions import SiteException
    from rules.rule import Rule
    from rules.tables import Table

LEAST_DIGITS = 100
"""Ten of each digit: chi square of fewer is none."""
_SHARE = re.compile(r"\d{1,2}(\.\d+)?%")


def bundle_faults(
    rules: Iterable[Rule], tables: Iterable[Table], exceptions: Sequence[SiteException] = ()
) -> list[Fault]:
    """Return what is wrong with rules, tables and exceptions that come together; pointers are into the bundle."""
    rules, tables = list(rules), list(tables)
    named = {table.id: table for table in tables}
    faults = []
    for what, ids in (("rules", [rule.id for rule in rules]), ("tables", [table.id for table in tables])):
        twice = sorted(name for name, count in Counter(ids).items() if count > 1)
        faults += [Fault(f"/{what}", "duplicate", f"{name} stands here more than once") for name in twice]
    for i, rule in enumerate(rules):
        faults += [_below(f"/rules/{i}", fault) for fault in _of_rule(rule, named, rules)]
    for i, table in enumerate(tables):
        faults += [_below(f"/tables/{i}", fault) for fault in table_faults(table)]
    of_rules = {rule.id: rule for rule in rules}
    faults += [_below(f"/exceptions/{i}", fault) for i, fault in exception_faults(exceptions, of_rules)]
    return faults


def _of_rule(rule: Rule, tables: Mapping[str, Table], rules: Sequence[Rule]) -> list[Fault]:
    return (
        rule_faults(rule, tables) + single_faults(rule, rules) + alarm_faults(rule, rules) + source_faults(rule, rules)
    )


def rule_faults(rule: Rule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return what keeps a rule from being compiled; pointers are into the rule."""
    faults = [Fault(f"/applies_to/{name}", "predicate", detail) for name, detail in predicate_faults(rule.applies_to)]
    faults += _migration_faults(rule) + allowance_faults(rule)
    if not isinstance(rule, DifferenceRule) or rule.pairs != "cascades":
        faults += [
            Fault(f"/applies_to/{name}", "predicate", "only a difference rule of pairs: cascades has another room")
            for name in rule.applies_to
            if name.startswith("place.")
        ]
    faults += _step_faults(rule) + method_faults(rule, tables) + _door_faults(rule, tables)
    if isinstance(rule, GapRule) and (rule.factor is None) == (rule.threshold is None):
        faults.append(Fault("/factor", "silence", "a gap rule gives exactly one of factor and threshold"))
    if isinstance(rule, GapRule):
        if rule.at_least is not None and rule.factor is None:
            faults.append(
                Fault("/at_least", "silence", "it says how long a silence in intervals is at least: give a factor")
            )
        faults += during_faults(rule)
    if rule.overlap is not None and not isinstance(rule, GapRule):
        faults.append(Fault("/overlap", "overlap", "only rules over silences (gap) are of an overlap group"))
    if isinstance(rule, LimitRule | DifferenceRule | JumpRule):
        faults += _limit_faults(rule, tables)
    if isinstance(rule, JumpRule) and rule.when.on_delay:
        faults.append(Fault("/when/on_delay", "delay", "a jump does not last: count records instead"))
    if isinstance(rule, CumulativeRule):
        faults += _source_faults(rule.limits.from_, tables) + during_faults(rule)
    one_colour = CumulativeRule | MeanKineticRule | JumpRule | LastDigitRule | SteadinessRule
    if isinstance(rule, one_colour) and rule.severity.steps:
        faults.append(Fault("/severity/steps", "step", f"a {rule.kind} rule has one colour"))
    elif isinstance(rule, RareRule):
        faults += rare_faults(rule)
    if isinstance(rule, ResultLimitRule):
        faults += result_faults(rule, tables)
    return faults + _digit_faults(rule) + _steadiness_faults(rule) + lot_faults(rule)


def _digit_faults(rule: Rule) -> list[Fault]:
    if not isinstance(rule, LastDigitRule):
        return []
    names = ("related", "spread", "uneven", "even")
    given = {name: getattr(rule, name) for name in names}
    if rule.check == "precision":
        faults = [Fault(f"/{name}", "check", f"{name} belongs to uniform") for name in names if given[name] is not None]
        if rule.number > too_precise.MOST:
            faults.append(Fault("/number", "check", f"at most {too_precise.MOST} values are counted"))
        return faults
    faults = [Fault(f"/{name}", "check", f"uniform needs {name}") for name in names if given[name] is None]
    faults += [
        Fault(f"/{name}", "check", f"of these only are the tables: {', '.join(map(str, CHI_SQUARE_9))}")
        for name in ("uneven", "even")
        if given[name] is not None and given[name] not in CHI_SQUARE_9
    ]
    if rule.number < LEAST_DIGITS:
        faults.append(Fault("/number", "check", f"at least {LEAST_DIGITS}: fewer digits say nothing of their spread"))
    if rule.spread is not None and rule.spread % last_digit.DECADE:
        faults.append(Fault("/spread", "check", "whole tens of steps"))
    if rule.even is not None and rule.uneven is not None and rule.even < rule.uneven:
        faults.append(Fault("/even", "check", "at least uneven: else what raises it would clear it"))
    return faults


def _steadiness_faults(rule: Rule) -> list[Fault]:
    if not isinstance(rule, SteadinessRule):
        return []
    ratios, shares = ("below", "clear_above"), ("share", "before", "clear_below")
    own, other = (shares, ratios) if rule.check == "at-limit" else (ratios, shares)
    given = {name: getattr(rule, name) for name in own + other}
    faults = [Fault(f"/{name}", "check", f"{rule.check} needs {name}") for name in own if given[name] is None]
    faults += [
        Fault(f"/{name}", "check", f"{name} is none of {rule.check}") for name in other if given[name] is not None
    ]
    faults += [
        Fault(f"/{name}", "check", f"at least {1 / PARTS:.5f}: what is judged is rounded to so much")
        for name in own
        if given[name] is not None and round(given[name] * PARTS) < 1
    ]
    if rule.clear_above is not None and rule.below is not None and rule.clear_above < rule.below:
        faults.append(Fault("/clear_above", "check", "at least below: else what raises it would clear it"))
    if rule.clear_below is not None and rule.share is not None and rule.clear_below > rule.share:
        faults.append(Fault("/clear_below", "check", "at most share: else what raises it would clear it"))
    return faults


def _step_faults(rule: Rule) -> list[Fault]:
    faults: list[Fault] = []
    for i, step in enumerate(rule.severity.steps):
        at = f"/severity/steps/{i}"
        given = [step.after is not None, step.after_intervals is not None, step.beyond is not None]
        if sum(given) != 1:
            faults.append(Fault(at, "step", "a step has exactly one of after, after_intervals, beyond"))
        if step.beyond is not None and not isinstance(rule, LimitRule | DifferenceRule):
            faults.append(Fault(f"{at}/beyond", "step", "only limit and difference rules step by value"))
        if step.consecutive is not None and (step.beyond is None or not step.for_):
            faults.append(
                Fault(f"{at}/consecutive", "step", "only a step by value that lasts for a time counts records")
            )
        if step.unless_marked and not isinstance(rule, GapRule):
            faults.append(Fault(f"{at}/unless_marked", "step", "only the colours of a silence wait for marks"))
        if len(set(step.unless_marked or ())) < len(step.unless_marked or ()):
            faults.append(Fault(f"{at}/unless_marked", "step", "a flag is named once"))
    return faults


def single_faults(rule: Rule, others: Iterable[Rule]) -> list[Fault]:
    """Return why the rule that `idle_while` names cannot be one of single events; one that is not here leaves nothing out."""
    if not isinstance(rule, CumulativeRule):
        return []
    other = next((one for one in others if one.id == rule.idle_while), None)
    fits = (
        isinstance(other, LimitRule)
        and not (other.excludes or other.smooth or other.during)
        and other.marked == rule.marked
    )
    if other is None or fits:
        return []
    return [Fault("/idle_while", "single", f"{other.id} is no limit rule that counts the same rows")]


def table_faults(table: Table) -> list[Fault]:
    """Return what keeps a table from being looked up; pointers are into the table."""
    return [
        Fault(f"/rows/{i}/where/{name}", "predicate", text)
        for i, row in enumerate(table.rows)
        for name, text in predicate_faults(row.where)
    ]


def _migration_faults(rule: Rule) -> list[Fault]:
    if rule.migration != "re-evaluate" or isinstance(rule, AGAIN):
        return []
    return [Fault("/migration", "migration", f"a {rule.kind} rule is not decided again: carry or close")]


def _limit_faults(rule: LimitRule | DifferenceRule | JumpRule, tables: Mapping[str, Table]) -> list[Fault]:
    deadband = rule.clear.deadband
    faults = _source_faults(rule.limits.from_, tables, pair=isinstance(rule, DifferenceRule))
    if isinstance(rule, LimitRule | DifferenceRule):
        faults += scale_faults(rule, tables)
    if isinstance(rule, LimitRule):
        faults += smooth_faults(rule, tables)
    if isinstance(rule, LimitRule) and rule.limits.side is not None and rule.limits.from_ != "sensor":
        faults.append(Fault("/limits/side", "side", "only of the sensor's registered limits one side can be taken"))
    if isinstance(rule, DifferenceRule) and not isinstance(rule.limits.from_, Span) and rule.limits.from_ in tables:
        faults += [
            Fault(
                "/limits/from",
                "registered",
                f"row {i} of {rule.limits.from_} takes a sensor's limit; pairs have narrower: register",
            )
            for i, row in enumerate(tables[rule.limits.from_].rows)
            if row.registered
        ]
    if isinstance(rule, LimitRule):
        faults += during_faults(rule)
    if rule.clear.latched and not (isinstance(rule, LimitRule) and rule.during):
        faults.append(
            Fault("/clear/latched", "unsupported", "of limits only those during a declared state are latched")
        )
    if isinstance(deadband, str) and not _SHARE.fullmatch(deadband):
        faults.append(Fault("/clear/deadband", "deadband", "a number in the quantity's unit, or a share such as 10%"))
    elif isinstance(deadband, float) and (deadband < 0 or not math.isfinite(deadband)):
        faults.append(Fault("/clear/deadband", "deadband", "zero or more"))
    return faults


def _door_faults(rule: Rule, tables: Mapping[str, Table]) -> list[Fault]:
    """Return what keeps a rule from asking for doors: by the clock alone, behind one record, nothing may open."""
    if not isinstance(rule, DifferenceRule) or rule.doors is None:
        return []
    source = rule.limits.from_
    rows = [] if isinstance(source, Span) or source not in tables else tables[source].rows
    counts = [rule.when.consecutive, *(row.consecutive for row in rows if row.consecutive is not None)]
    checks = (
        (rule.pairs != "cascades", "/doors", "only pairs: cascades has a cleaner room"),
        (min(counts) < 2, "/when/consecutive", "with doors two records at least: the clock alone knows no doors"),  # noqa: PLR2004 - as it says
        (rule.doors.closed >= rule.when.on_delay, "/doors/closed", "is shorter than when.on_delay, which counts where the doors are not known"),
    )  # fmt: skip
    return [Fault(pointer, "doors", text) for wrong, pointer, text in checks if wrong]


def _source_faults(source: str | Span, tables: Mapping[str, Table], *, pair: bool = False) -> list[Fault]:
    registered = set() if pair else {"sensor", "range"}
    if not isinstance(source, Span) and source not in registered and source not in tables:
        return [Fault("/limits/from", "unknown_table", f"{source} is not a table of these packs")]
    return []


def _below(pointer: str, fault: Fault) -> Fault:
    return Fault(f"{pointer}{fault.pointer}", fault.code, fault.detail)
