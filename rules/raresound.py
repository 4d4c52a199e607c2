"""What a rule over rare records needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import Fault
from rules.rare.store import MAX_FACTS
from rules.rule import (
    HEARD,
    TOLD,
    ClockRule,
    CompletenessRule,
    CountRule,
    FollowUpRule,
    RegisterCheckRule,
    RepeatDayRule,
)

if TYPE_CHECKING:
    from rules.rule import RareRule

_NEEDS = {
    "sensor-count": ("counts",), "sensor-error": ("errors",), "calibration-due": ("notice",),
    "serial-changed": ("within", "grace", "allowed"), "config-hash": ("silent",),
}  # fmt: skip
"""Check of the register -> what it needs, and no other check has."""


def rare_faults(rule: RareRule) -> list[Fault]:
    """Return what is wrong with a rule; pointers are into the rule."""
    faults = []
    if rule.severity.steps:
        faults.append(Fault("/severity/steps", "step", f"a {rule.kind} rule has one colour"))
    by_area = isinstance(rule, CountRule | FollowUpRule) or getattr(rule, "check", None) in {
        *HEARD,
        *TOLD,
        "sensor-count",
    }
    told = "it looks at areas: it knows facts of these and of the facility"
    strange = [name for name in rule.applies_to if by_area and name.startswith("sensor.")]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if isinstance(rule, CountRule):
        if rule.n > MAX_FACTS:
            faults.append(Fault("/n", "count", f"at most {MAX_FACTS} events are kept of one subject"))
        if rule.n > 1 and rule.within == 0:
            faults.append(Fault("/within", "count", "a count above 1 needs a time"))
        if rule.n == 1 and rule.distinct is not None:
            faults.append(Fault("/distinct", "count", "of one event there is nothing to tell apart"))
        faults += _occasion_faults(rule)
    if isinstance(rule, ClockRule):
        faults += _clock_faults(rule)
    if isinstance(rule, RepeatDayRule):
        if rule.distinct > rule.pairs:
            faults.append(Fault("/distinct", "count", "at most as many as pairs"))
        if len(set(rule.lags)) < len(rule.lags):
            faults.append(Fault("/lags", "count", "a lag stands here once"))
    if isinstance(rule, RegisterCheckRule):
        faults += _check_faults(rule)
    if isinstance(rule, CompletenessRule):
        faults += _share_faults(rule)
    return faults


def _share_faults(rule: CompletenessRule) -> list[Fault]:
    faults = []
    if len(set(rule.flags)) < len(rule.flags):
        faults.append(Fault("/flags", "share", "a flag is named once"))
    if rule.notice is not None and rule.notice.share >= rule.share:
        faults.append(Fault("/notice/share", "share", "below share: else the notice never speaks"))
    if rule.notice is not None and rule.notice.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/notice/severity", "share", "a notice is milder than what it announces"))
    return faults


def _occasion_faults(rule: CountRule) -> list[Fault]:
    often = rule.occasions
    if often is None:
        return []
    faults = []
    if rule.distinct is None or rule.n < 2:  # noqa: PLR2004 - two are the fewest that differ
        faults.append(
            Fault("/distinct", "count", "occasions are of different texts of one field: distinct, and n of two or more")
        )
    if often.apart < rule.within:
        faults.append(Fault("/occasions/apart", "count", "at least within: else one pair of events is two occasions"))
    if often.over < (often.times - 1) * (often.apart + 1):
        faults.append(Fault("/occasions/over", "count", "so many occasions do not lie in so little time"))
    if often.calm < often.over:
        faults.append(Fault("/occasions/calm", "count", "at least over: what is counted together ends together"))
    return faults


def _clock_faults(rule: ClockRule) -> list[Fault]:
    faults = []
    if (rule.ahead is None) == (rule.check == "event-time"):
        faults.append(Fault("/ahead", "check", "event-time needs ahead, and it belongs to no other check"))
    wrong = [name for name in ("beyond", "clear_below") if (getattr(rule, name) is None) == (rule.check == "offset")]
    faults += [Fault(f"/{name}", "check", f"offset needs {name}, and it belongs to no other check") for name in wrong]
    if (rule.back is None) == (rule.check == "heartbeat"):
        faults.append(Fault("/back", "check", "heartbeat needs back, and it belongs to no other check"))
    if rule.check != "offset":
        strange = [name for name in ("drift", "worse") if getattr(rule, name) is not None]
        faults += [Fault(f"/{name}", "check", f"{name} belongs to offset") for name in strange]
    if rule.beats % 2 == 0:
        faults.append(Fault("/beats", "check", "of an even number there is no median"))
    if rule.beyond is not None and rule.clear_below is not None and rule.clear_below > rule.beyond:
        faults.append(Fault("/clear_below", "check", "at most beyond"))
    if rule.worse is not None and (
        rule.worse.beyond <= (rule.beyond or 0) or rule.worse.severity.rank <= rule.severity.base.rank
    ):
        faults.append(Fault("/worse", "check", "a stronger colour, from a larger offset on"))
    return faults


def _check_faults(rule: RegisterCheckRule) -> list[Fault]:
    faults = []
    for check, name in ((check, name) for check, names in _NEEDS.items() for name in names):
        given = bool(getattr(rule, name))
        if check != rule.check and given:
            faults.append(Fault(f"/{name}", "check", f"{name} belongs to {check}"))
        elif check == rule.check and not given and name != "notice":
            faults.append(Fault(f"/{name}", "check", f"{check} needs {name}"))
    if rule.notice is not None and rule.notice.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/notice/severity", "check", "a notice is milder than what it announces"))
    for i, band in enumerate(rule.errors):
        if band.low >= band.high:
            faults.append(Fault(f"/errors/{i}/high", "check", "low lies below high"))
    kinds = [kind for need in rule.counts for kind in need.kinds]
    twice = sorted({kind.value for kind in kinds if kinds.count(kind) > 1})
    faults += [Fault("/counts", "check", f"{kind} stands in two of them") for kind in twice]
    return faults
