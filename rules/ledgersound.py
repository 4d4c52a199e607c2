"""What a rule over facts that come in any order needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.rule import AnnualRule, ChangeRule, GradeRule, ReleaseRule, RetestRule, RunsRule, VisitRule

if TYPE_CHECKING:
    from rules.rule import LedgerRule


def ledger_faults(rule: LedgerRule | GradeRule) -> list[Fault]:
    """Return what is wrong with a rule; pointers are into the rule."""
    told = "it looks at what the facility sends: it knows facts of the facility"
    strange = [name for name in rule.applies_to if not name.startswith("facility.")]
    faults = [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if isinstance(rule, GradeRule):
        own = rule.id.partition(".")[0]
        if own not in rule.without:
            faults.append(Fault("/without", rule.kind, f"its own pack {own} is one of them: it does not count itself"))
        return faults
    if isinstance(rule, VisitRule):
        return faults + _of_notice(rule)
    if isinstance(rule, ChangeRule):
        asked_of = {"set_point": rule.set_point, "equipment": rule.equipment}
        told = "what is configured and replaced are events of device"
        faults += [
            Fault(f"/{name}/stream", rule.kind, told) for name, match in asked_of.items() if match.stream != "device"
        ]
        if rule.set_point == rule.equipment:
            faults.append(Fault("/equipment", rule.kind, "what configures and what replaces are told apart"))
        return faults
    if isinstance(rule, AnnualRule | RunsRule):
        return faults + _of_told(rule)
    if isinstance(rule, RetestRule | ReleaseRule):
        return faults + _of_results(rule)
    asked = {"/counted": rule.counted}
    asked |= {f"/{name}/{i}": one for name in ("adds", "takes") for i, one in enumerate(getattr(rule, name))}
    met: list[tuple[str, str]] = []
    for pointer, match in asked.items():
        if match.stream != "trace":
            faults.append(Fault(f"{pointer}/stream", "balance", "what is booked and counted are events of trace"))
        if (match.stream, match.type) in met:
            faults.append(Fault(f"{pointer}/type", "balance", f"{match.type} stands here twice: it counts once"))
        met.append((match.stream, match.type))
    return faults


def _of_told(rule: AnnualRule | RunsRule) -> list[Fault]:
    if isinstance(rule, RunsRule):
        name, match, wanted, words = "run", rule.run, ("lab", "run"), "what is told of runs are events lab run"
    else:
        name, match, wanted = "made", rule.made, ("trace", "produced")
        words = "what was produced are events trace produced"
    return [] if (match.stream, match.type) == wanted else [Fault(f"/{name}", rule.kind, words)]


def _of_results(rule: RetestRule | ReleaseRule) -> list[Fault]:
    results = {"failed": rule.failed}
    if isinstance(rule, RetestRule):
        results["passed"] = rule.passed
    faults = [
        Fault(f"/{name}", rule.kind, "what a laboratory says of a lot are events lab result")
        for name, match in results.items()
        if (match.stream, match.type) != ("lab", "result")
    ]
    if isinstance(rule, RetestRule) and rule.failed == rule.passed:
        faults.append(Fault("/passed", rule.kind, "what fails and what passes are told apart"))
    if isinstance(rule, ReleaseRule) and rule.released.stream != "trace":
        faults.append(Fault("/released/stream", rule.kind, "a release is an event of trace"))
    if isinstance(rule, ReleaseRule) and len(rule.reports) < len(rule.while_open):
        faults.append(Fault("/while_open", rule.kind, "a type of report stands here once"))
    return faults


def _of_notice(rule: VisitRule) -> list[Fault]:
    faults = []
    if rule.notice.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/notice/severity", rule.kind, "a notice is milder than what it announces"))
    if rule.notice.before <= 0:
        faults.append(Fault("/notice/before", rule.kind, "above nothing: it speaks before the visit is due"))
    return faults
