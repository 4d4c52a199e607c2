"""What a rule over rare records needs beyond its model (see `rules.soundness`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.clocksound import clock_faults
from rules.documentsound import report_faults
from rules.errors import Fault
from rules.excursions.sound import excursion_faults
from rules.lacks import WORDS
from rules.ledgersound import ledger_faults
from rules.rare.store import MAX_FACTS
from rules.rule import (
    HEARD,
    INCOMPLETE,
    SEQUENCE,
    TOLD,
    UNKNOWN_TAG,
    ClockRule,
    CompareRule,
    CompletenessRule,
    ConflictRule,
    CountRule,
    DeadlineRule,
    FollowUpRule,
    GapRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    RegisterCheckRule,
    RepeatDayRule,
    ReportRule,
    ResultLimitRule,
    RevisionRule,
    SeriesRule,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.rule import RareRule, Rule


def alarm_faults(rule: Rule, others: Iterable[Rule]) -> list[Fault]:
    """Return why the rule whose alarms one follows up cannot be that; one that is not here raises none."""
    if not isinstance(rule, FollowUpRule) or rule.alarm is None:
        return []
    other = next((one for one in others if one.id == rule.alarm), None)
    if other is None or (isinstance(other, SeriesRule) and not isinstance(other, GapRule)):
        return []
    return [Fault("/alarm", "follow_up", f"{other.id} raises no alarms of measured values")]


_NEEDS = {
    "sensor-count": ("counts",), "sensor-error": ("errors",), "calibration-due": ("notice",),
    "serial-changed": ("within", "grace", "allowed"), "config-hash": ("silent",), UNKNOWN_TAG: ("after", "forgotten"), INCOMPLETE: ("optional",),
}  # fmt: skip
"""Check of the register -> what it needs, and no other check has."""


def rare_faults(rule: RareRule) -> list[Fault]:
    """Return what is wrong with a rule; pointers are into the rule."""
    faults = []
    if rule.severity.steps:
        faults.append(Fault("/severity/steps", "step", f"a {rule.kind} rule has one colour"))
    by_event = isinstance(rule, CountRule | ResultLimitRule) or (
        isinstance(rule, FollowUpRule) and rule.trace is None and rule.excursions is None
    )
    by_area = by_event or getattr(rule, "check", None) in {
        *HEARD,
        *TOLD,
        "sensor-count",
        SEQUENCE,
        UNKNOWN_TAG,
        INCOMPLETE,
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
    if isinstance(rule, FollowUpRule):
        faults += _follow_up_faults(rule)
    if isinstance(rule, ClockRule):
        faults += _clock_faults(rule)
    if isinstance(rule, RepeatDayRule | ConflictRule):
        faults += _row_faults(rule)
    if isinstance(rule, RegisterCheckRule):
        faults += _check_faults(rule)
    if isinstance(rule, CompletenessRule):
        faults += _share_faults(rule)
    reports = DeadlineRule | CompareRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule
    if isinstance(rule, reports):
        faults += _faults_of_reports(rule)
    return faults


def _faults_of_reports(
    rule: DeadlineRule | CompareRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule,
) -> list[Fault]:
    if isinstance(rule, LedgerRule | GradeRule):
        return ledger_faults(rule)
    if isinstance(rule, LatenessRule | RevisionRule):
        return _lateness_faults(rule) if isinstance(rule, LatenessRule) else _revision_faults(rule)
    if isinstance(rule, DeadlineRule):
        return clock_faults(rule)
    return excursion_faults(rule) if isinstance(rule, CompareRule) else report_faults(rule)


def _row_faults(rule: RepeatDayRule | ConflictRule) -> list[Fault]:
    if isinstance(rule, ConflictRule):
        mild = rule.amended is None or rule.amended.severity.rank < rule.severity.base.rank
        return [] if mild else [Fault("/amended/severity", "conflict", "what an amendment names has a milder colour")]
    faults = []
    if rule.distinct > rule.pairs:
        faults.append(Fault("/distinct", "count", "at most as many as pairs"))
    if len(set(rule.lags)) < len(rule.lags):
        faults.append(Fault("/lags", "count", "a lag stands here once"))
    return faults


def _share_faults(rule: CompletenessRule) -> list[Fault]:
    faults = []
    for name in ("flags", "invalid", "exempt"):
        given, belongs = getattr(rule, name), (name == "flags") == (rule.check == "mark-share")
        if given and not belongs:
            faults.append(Fault(f"/{name}", "check", f"{name} does not belong to {rule.check}"))
        if len(set(given)) < len(given):
            faults.append(Fault(f"/{name}", "share", "a flag is named once"))
    if rule.check == "mark-share" and not rule.flags:
        faults.append(Fault("/flags", "check", "mark-share needs flags"))
    if both := sorted({*rule.invalid} & {*rule.exempt}):
        faults.append(Fault("/exempt", "share", f"{both[0]} is expected and not valid, or not expected"))
    if rule.check != "mark-share" and rule.notice is not None:
        faults.append(Fault("/notice", "check", "notice belongs to mark-share"))
    if rule.notice is not None and rule.notice.share >= rule.share:
        faults.append(Fault("/notice/share", "share", "below share: else the notice never speaks"))
    if rule.notice is not None and rule.notice.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/notice/severity", "share", "a notice is milder than what it announces"))
    return faults


def _revision_faults(rule: RevisionRule) -> list[Fault]:
    told = "it looks at posts: it knows facts of the facility"
    faults = [
        Fault(f"/applies_to/{name}", "predicate", told) for name in rule.applies_to if not name.startswith("facility.")
    ]
    if len(set(rule.of)) < len(rule.of):
        faults.append(Fault("/of", "revision", "a fault is named once"))
    return faults


def _lateness_faults(rule: LatenessRule) -> list[Fault]:
    faults = []
    told = "it looks at reports: it knows facts of the facility"
    strange = [name for name in rule.applies_to if rule.of == "amendment" and not name.startswith("facility.")]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if bool(rule.flags) != (rule.of == "mark"):
        faults.append(Fault("/flags", "lateness", "a rule of marks needs flags, and no other has them"))
    if rule.proof_by is not None and rule.of == "mark":
        faults.append(Fault("/proof_by", "lateness", "proof_by belongs to amendments"))
    if rule.within.unit == "wd":
        faults.append(Fault("/within", "lateness", "no working days: it asks no calendar"))
    if len(set(rule.flags)) < len(rule.flags):
        faults.append(Fault("/flags", "lateness", "a flag is named once"))
    return faults


def _follow_up_faults(rule: FollowUpRule) -> list[Fault]:
    if rule.excursions is not None:
        return excursion_faults(rule)
    if rule.alarm is None:
        wrong = [name for name in ("within_before", "lasts_until", "result") if getattr(rule, name) is not None]
        alone = [Fault(f"/{name}", "follow_up", f"{name} belongs to alarm") for name in wrong]
    else:
        wrong = [name for name in ("first", "before") if getattr(rule, name) is not None]
        alone = [Fault(f"/{name}", "follow_up", f"of an alarm there is no {name}") for name in wrong]
        ends = rule.lasts_until
        if ends is not None and ends == rule.then:
            alone.append(Fault("/lasts_until", "follow_up", "what begins and what ends it are told apart"))
        if rule.result is not None:
            alone += _result_faults(rule)
    return alone + _approval_faults(rule) + _trace_faults(rule)


def _trace_faults(rule: FollowUpRule) -> list[Fault]:
    trace = rule.trace
    if trace is None:
        return []
    wrong = [name for name in ("before", "alarm", "then") if getattr(rule, name) is not None]
    fields = FollowUpRule.model_fields
    wrong += [name for name in ("silent", "allowed") if getattr(rule, name) != fields[name].default]
    faults = [Fault(f"/{name}", "follow_up", f"what values show is no event: no {name}") for name in wrong]
    if trace.ends == rule.first:
        faults.append(Fault("/trace/ends", "follow_up", "what opens and what closes the door are told apart"))
    if rule.within is not None and trace.lasts > rule.within:
        faults.append(Fault("/trace/lasts", "follow_up", "at most within: an opening is judged when that is over"))
    if trace.absent > trace.last:
        faults.append(Fault("/trace/absent", "follow_up", "at most last: so many are never absent"))
    if trace.clear >= trace.absent:
        faults.append(Fault("/trace/clear", "follow_up", "below absent: else what raises an alarm clears it"))
    return faults


def _result_faults(rule: FollowUpRule) -> list[Fault]:
    wrong = [name for name in ("within_before", "lasts_until") if getattr(rule, name) is not None]
    wrong += ["silent"] if rule.silent != FollowUpRule.model_fields["silent"].default else []
    faults = [
        Fault(f"/{name}", "follow_up", f"a result does not last and says itself that it came: no {name}")
        for name in wrong
    ]
    if rule.result is not None and rule.result.otherwise == rule.then:
        faults.append(Fault("/result/otherwise", "follow_up", "another test than the one that failed"))
    return faults


def _approval_faults(rule: FollowUpRule) -> list[Fault]:
    if rule.before is None:
        wrong = [name for name in ("settings", "approved_by") if getattr(rule, name) is not None]
        return [Fault(f"/{name}", "follow_up", f"{name} belongs to before: true") for name in wrong]
    faults = [
        Fault(f"/{name}", "follow_up", f"before: true needs {name}")
        for name in ("settings", "approved_by")
        if getattr(rule, name) is None
    ]
    for name in ("settings", "approved_by"):
        given = getattr(rule, name) or []
        if len(set(given)) < len(given):
            faults.append(Fault(f"/{name}", "follow_up", "each stands here once"))
    asked = [name for name in ("first", "then", "within") if getattr(rule, name) is not None]
    fields = FollowUpRule.model_fields
    asked += [name for name in ("silent", "allowed") if getattr(rule, name) != fields[name].default]
    faults += [Fault(f"/{name}", "follow_up", f"with before: true nothing is awaited: no {name}") for name in asked]
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
    wrong = [name for name in ("wait", "apart") if (getattr(rule, name) is None) == (rule.check == SEQUENCE)]
    faults += [Fault(f"/{name}", "check", f"sequence needs {name}, and it belongs to no other check") for name in wrong]
    if rule.check == SEQUENCE:
        whole = "a feed is the facility's: an event of another area would be a number that is missing"
        places = [name for name in rule.applies_to if name.startswith("area.")]
        faults += [Fault(f"/applies_to/{name}", "predicate", whole) for name in places]
        if rule.wait is not None and rule.silent > rule.wait:
            faults.append(Fault("/silent", "check", "at most wait: a longer silence would never be noticed"))
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
        elif check == rule.check and not given and name not in {"notice", "optional"}:
            faults.append(Fault(f"/{name}", "check", f"{check} needs {name}"))
    if rule.notice is not None and rule.notice.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/notice/severity", "check", "a notice is milder than what it announces"))
    if rule.check in {UNKNOWN_TAG, INCOMPLETE}:
        whole = "its subject has no area: only facts of the facility are known"
        places = [name for name in rule.applies_to if name.startswith("area.")]
        faults += [Fault(f"/applies_to/{name}", "predicate", whole) for name in places]
    for i, band in enumerate(rule.errors):
        if band.low >= band.high:
            faults.append(Fault(f"/errors/{i}/high", "check", "low lies below high"))
    known = f"no rule lacks that; known are {', '.join(sorted(WORDS))}"
    faults += [
        Fault(f"/optional/{i}", "vocabulary", known) for i, name in enumerate(rule.optional) if name not in WORDS
    ]
    kinds = [kind for need in rule.counts for kind in need.kinds]
    twice = sorted({kind.value for kind in kinds if kinds.count(kind) > 1})
    faults += [Fault("/counts", "check", f"{kind} stands in two of them") for kind in twice]
    return faults
