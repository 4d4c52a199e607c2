"""Why a rule over rare records spoke of a subject at an instant, or why it did not (`offsite rules explain`).

Which events counted and what is awaited, the engine's own books say; the leaves and what answered an event are plainly read
from the log beside them (`rules.leaves.rare`). Above 400 lines on purpose: what each kind of rare rule says of itself is read side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rules.changes import Verdict
from rules.clocks.store import Clock
from rules.explainbeats import Kept, changed_settings, followed_alarms, heartbeats_of, kept_of, told_by_devices
from rules.explainclocks import clocks_of
from rules.explainclocks import kept_of as kept_of_clock
from rules.explainclocks import numbers_of as numbers_of_clock
from rules.explaindocuments import documents_of
from rules.explaindocuments import kept_of as kept_of_reports
from rules.explaindocuments import numbers_of as numbers_of_reports
from rules.explainexcursions import excursions_of
from rules.explainexcursions import kept_of as kept_of_excursion
from rules.explainlacks import found_of, lacks_json, lacks_of
from rules.explainlateness import kept_of as kept_of_lateness
from rules.explainlateness import lateness_of
from rules.explainlateness import numbers_of as numbers_of_lateness
from rules.explainledger import kept_of as kept_of_ledger
from rules.explainledger import ledger_of
from rules.explainledger import numbers_of as numbers_of_ledger
from rules.explainnumbers import numbers_of
from rules.explainopenings import openings_of
from rules.explainparallel import parallels_of
from rules.explainparts import ROWS, Told, rule_json, said_json
from rules.explainposted import results_of
from rules.explainrevisions import revisions_of
from rules.explainstrays import strays_of
from rules.facts import area_in_force, facts_of, facts_of_area, in_force
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.leaves import shared, shares
from rules.leaves.days import days_of
from rules.leaves.rare import Come, answer_of, come, looks_at, seen_of, subject_of_event, told_of
from rules.leaves.rowtrace import rows_of
from rules.leaves.watch import conditions_of, leaves_of, text_of
from rules.rare import calibrations, rate
from rules.rare.match import digest_of
from rules.rare.rate import Rate
from rules.rare.register_check import findings
from rules.rare.rows import digest_of as digest_of_row
from rules.rare.share import finding_of
from rules.rare.store import Case, subject_of
from rules.rare.store import text_of as text_of_subject
from rules.rule import (
    HEARD,
    SEQUENCE,
    TOLD,
    UNKNOWN_TAG,
    ClockRule,
    CompareRule,
    CompletenessRule,
    CountRule,
    DeadlineRule,
    FollowUpRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    ParallelRule,
    RegisterCheckRule,
    RepeatDayRule,
    ReportRule,
    ResultLimitRule,
    RevisionRule,
    RowRule,
    hears_excursions,
)

if TYPE_CHECKING:
    from rules.alarms import Alarm
    from rules.leaves.days import Judged as JudgedDay
    from rules.leaves.model import Leaf, Seen
    from rules.leaves.rowtrace import Odd
    from rules.pack import Bundle
    from rules.rare.incomplete import Missing
    from rules.rare.register_check import Finding
    from rules.rare.store import Fact
    from rules.records import LogRecord
    from rules.register import Facility
    from rules.rule import RareRule
    from rules.state import FacilityState

_COUNTED = ("change", "last", "absent", "clear")
"""Numbers of a trace that are no times."""
_CLOCK_NUMBERS = {
    "offset": ("beyond", "drift", "clear_below", "silent"),
    "heartbeat": ("silent", "back"),
    "sequence": ("wait", "apart", "silent"),
}


@dataclass(slots=True)
class RareExplanation:
    """One rule and one subject of a facility at an instant (log time, ms); without a subject: nothing came that it is about."""

    rule: RareRule
    packs: str
    facility: str
    subject: dict[str, str]
    at: int
    version: int
    conditions: list[Seen]
    facts: dict[str, Any]
    leaves: list[tuple[Leaf, Seen | None]]
    alarms: list[Alarm]
    events: list[Told] = field(default_factory=list)
    finding: Finding | None = None
    """What a check of the register finds: the fact that differs, with what it should be."""
    kept: Kept | None = None
    """What is kept of a subject says, of rules whose alarms do not stand by their events alone."""
    lacks: list[Missing] | None = None
    """What rules lack in the register, of the check that lists it."""
    failed: bool = False
    seeded: bool = False

    @property
    def watched(self) -> bool:
        """Say whether the rule is for the facility and the subject."""
        return all(seen.verdict is Verdict.TRUE for seen in self.conditions)

    @property
    def standing_alarm(self) -> Alarm | None:
        """Return the alarm that stands, or None."""
        own = [alarm for alarm in self.alarms if alarm.end is None and alarm.status != "retracted"]
        return own[-1] if own else None

    @property
    def awaited(self) -> Told | None:
        """Return what is decided next, or None."""
        return min((told for told in self.events if told.decided), key=lambda told: told.decided or 0, default=None)

    @property
    def phase(self) -> str:
        """Say where the condition stands."""
        return "active" if self.standing_alarm is not None else "pending" if self.awaited is not None else "normal"

    @property
    def agrees(self) -> bool:
        """Say whether what counts, or what the register says, and the alarm are of one mind; they have to be."""
        alarm = self.standing_alarm
        if self.failed or (
            isinstance(self.rule, CompletenessRule) and self.seeded
        ):  # what was found is in no saved state
            return True
        if self.kept is not None:
            return self.kept.agrees(alarm is not None)
        if not isinstance(self.rule, RegisterCheckRule | CompletenessRule):
            return any(told.fate == "occasion" for told in self.events) == (alarm is not None)
        verdict = Verdict.FALSE if self.finding is None or not self.watched else self.finding.verdict
        if verdict is Verdict.UNKNOWN:
            return alarm is None or alarm.status == "unknown"
        return (verdict is Verdict.TRUE) == (alarm is not None)

    def numbers(self) -> list[dict[str, Any]]:
        """Return the times and counts of the rule."""
        rule = self.rule
        found: list[tuple[str, Any]] = []
        if isinstance(rule, CountRule):
            found = [("n", rule.n), *([("within", rule.within)] if rule.n > 1 else []), *shared.numbers_of(rule)]
        elif isinstance(rule, FollowUpRule) and rule.trace is not None:
            found = [("lasts", rule.trace.lasts), ("within", rule.within)]
            found += [(name, getattr(rule.trace, name)) for name in _COUNTED]
        elif isinstance(rule, FollowUpRule):
            found = (
                []
                if rule.before
                else [
                    *([("within_before", rule.within_before)] if rule.within_before else []),
                    ("within", rule.within),
                    ("silent", rule.silent) if rule.result is None else ("result.within", rule.result.within),
                    ("allowed", rule.allowed),
                ]
            )
        elif isinstance(rule, ResultLimitRule):
            found = [("limits", rule.limits.from_)]
        elif isinstance(rule, ClockRule):
            names = _CLOCK_NUMBERS.get(rule.check, ("ahead", "behind"))
            found = [(name, getattr(rule, name)) for name in names if getattr(rule, name) is not None]
        elif isinstance(rule, RegisterCheckRule):
            named = ("within", "grace", "allowed", "silent", "after", "forgotten")
            times = [(name, getattr(rule, name)) for name in named]
            found = [("notice", None if rule.notice is None else rule.notice.before), *times]
            found = [(name, time) for name, time in found if time is not None]
        own = f"{rule.id} {rule.version}"
        if isinstance(rule, CompareRule):
            claims = {"duration": rule.duration, "peak": rule.peak} | {one.of: one for one in rule.figures}
            times = [(name, str(claim.model_dump())) for name, claim in claims.items() if claim is not None]
            times.append(("wait", format_duration(rule.wait)))
            return [{"name": name, "value": value, "origin": "rule", "edition": own} for name, value in times]
        if isinstance(rule, FollowUpRule) and rule.excursions is not None:
            return [{"name": "in_time", "value": str(rule.in_time), "origin": "rule", "edition": own}]
        if isinstance(rule, DeadlineRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule):
            times = _written(rule)
            return [{"name": name, "value": value, "origin": "rule", "edition": own} for name, value in times]
        if isinstance(rule, CompletenessRule):
            early = [] if rule.notice is None else [("notice", rule.notice.share)]
            flags = [
                (name, ", ".join(found)) for name in ("flags", "invalid", "exempt") if (found := getattr(rule, name))
            ]
            shares = [*flags, ("share", rule.share), *early]
            return [{"name": name, "value": value, "origin": "rule", "edition": own} for name, value in shares]
        if isinstance(rule, RepeatDayRule):
            names = ("share", "pairs", "distinct", "chance")
            return [{"name": name, "value": getattr(rule, name), "origin": "rule", "edition": own} for name in names]
        return [
            {
                "name": name,
                "value": v if name in {"n", "times", "limits", *_COUNTED} else format_duration(v),
                "origin": "rule",
                "edition": own,
            }
            for name, v in found
        ]

    def differs(self) -> dict[str, Any] | None:
        """Return the fact of the register that a check looked at, what it should be, and when a date changes the answer."""
        if self.finding is None:
            return None
        leaf = self.finding.leaf.model_dump(mode="json", exclude_none=True)
        change = self.finding.change
        return leaf if change == NEVER else leaf | {"changes": format_instant(change)}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `offsite rules explain --json` prints, one a subject."""
        alarm = self.standing_alarm
        return {
            "rule": rule_json(self.rule),
            "packs": self.packs,
            "facility": self.facility,
            "subject": self.subject,
            "at": format_instant(self.at),
            "register": {"version": self.version, "facts": self.facts},
            "watched": self.watched,
            "conditions": [said_json(seen) for seen in self.conditions],
            "limits": self.numbers(),
            "leaves": [{"says": leaf.words.model_dump(), **said_json(seen, leaf.name)} for leaf, seen in self.leaves],
            "state": {
                "phase": self.phase,
                "start": None if alarm is None else format_instant(alarm.start),
                "unknown": alarm is not None and alarm.status == "unknown",
                "counts": {"occasions": sum(told.fate == "occasion" for told in self.events)},
            },
            "alarms": [one.to_json() for one in self.alarms],
            "events": [told.to_json() for told in self.events[-ROWS:]],
            "differs": self.differs(),
            **lacks_json(self.lacks),
            "failed": self.failed,
            "from_saved_state": self.seeded,
            "agrees_with_engine": self.agrees,
        }


def explain_rare(
    rule: RareRule, log: list[LogRecord], bundle: Bundle, state: FacilityState, alarms: list[Alarm], at: int,
    *, read: list[Alarm], failed: bool, seeded: bool,
) -> list[RareExplanation]:  # fmt: skip
    """Return what a rule says of each subject at `at` (log time, ms); those of which an alarm stands come first.

    Args:
        rule: in force at `at`.
        log: records of the facility up to `at`.
        bundle: in force at `at`.
        state: of the facility at `at`.
        alarms: of the rule, oldest first.
        at: log time, ms.
        read: alarms of the rule whose alarms this one follows up, oldest first.
        failed: the rule raised here and was put aside.
        seeded: the log begins with a saved state.
    """
    facility, lacks = state.planned.facility, lacks_of(rule, state, bundle)
    checked: dict[str, Finding] = {}
    asks_of_log = isinstance(rule, RegisterCheckRule) and rule.check in {*TOLD, UNKNOWN_TAG}
    if isinstance(rule, CompletenessRule | RegisterCheckRule) and not asks_of_log:
        checked, leaves = _findings(rule, facility, state, at) if lacks is None else found_of(rule, lacks)
        found: dict[str, list[Told]] = {}
    else:
        found, leaves = _asked(rule, log, bundle, state, read, at)
    books = state.rare.of(rule.id)
    names = {*found, *checked, *books, *state.clocks.of(rule.id), *state.documents.of(rule.id)} - {""}
    result = []
    for name in sorted(names) or [""]:
        subject = subject_of(name) if name else {}
        facts = _facts(facility, subject, at)
        conditions = conditions_of(rule, facility, facts)
        if not name and isinstance(rule, ResultLimitRule):  # nothing came: of no area is asked what it is
            conditions = [seen for seen in conditions if not seen.name.startswith("area.")]
        one = RareExplanation(
            rule, bundle.sha256, state.facility, subject, at, state.version, conditions,
            {fact: text_of(value) for fact, value in facts.items() if value not in (None, [])},
            [], [alarm for alarm in alarms if alarm.subject == subject], found.get(name, []), checked.get(name),
            lacks=lacks, failed=failed, seeded=seeded,
        )  # fmt: skip
        one.kept = kept_of(rule, books.get(name, Case()), facility, at)
        if isinstance(rule, DeadlineRule):
            clock = state.clocks.of(rule.id).get(name, Clock())
            one.kept = kept_of_clock(rule, clock, state, bundle, at)
        elif hears_excursions(rule):
            one.kept = kept_of_excursion(rule, name, state)
        elif isinstance(rule, ReportRule):
            one.kept = kept_of_reports(rule, name, state)
        elif isinstance(rule, LatenessRule) and name:
            one.kept = kept_of_lateness(rule, name, state, at)
        elif isinstance(rule, LedgerRule | GradeRule):
            one.kept = kept_of_ledger(rule, name, state, at)
        seen = leaves.get(name, {})
        one.leaves = [(leaf, seen.get(leaf.name)) for leaf in leaves_of(rule, bundle)]
        result.append(one)
    return sorted(result, key=lambda one: (one.standing_alarm is None, not one.events, list(one.subject.items())))


def _written(
    rule: DeadlineRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule,
) -> list[tuple[str, Any]]:
    if isinstance(rule, LedgerRule | GradeRule):
        return numbers_of_ledger(rule)
    if isinstance(rule, LatenessRule | RevisionRule):
        return numbers_of_lateness(rule) if isinstance(rule, LatenessRule) else [("of", ", ".join(rule.of))]
    return numbers_of_clock(rule) if isinstance(rule, DeadlineRule) else numbers_of_reports(rule)


def _of_reports(
    rule: DeadlineRule | CompareRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule,
    log: list[LogRecord],
    bundle: Bundle,
    state: FacilityState,
    at: int,
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    if isinstance(rule, LedgerRule | GradeRule):
        return ledger_of(rule, state, at)
    if isinstance(rule, LatenessRule | RevisionRule):
        return lateness_of(rule, log, state, at) if isinstance(rule, LatenessRule) else revisions_of(rule, log, state)
    if isinstance(rule, DeadlineRule):
        return clocks_of(rule, log, state, bundle, at)
    return excursions_of(rule, state) if isinstance(rule, CompareRule) else documents_of(rule, log, state)


def _of_laboratories(
    rule: ParallelRule | ResultLimitRule, log: list[LogRecord], bundle: Bundle, state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    if isinstance(rule, ResultLimitRule):
        return results_of(rule, log, state, bundle)
    return parallels_of(rule, log, state)


def _asked(
    rule: RareRule, log: list[LogRecord], bundle: Bundle, state: FacilityState, read: list[Alarm], at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of all that a rule was asked of, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    if isinstance(rule, RegisterCheckRule | CompletenessRule):
        if isinstance(rule, RegisterCheckRule):
            found, leaves = (strays_of if rule.check == UNKNOWN_TAG else told_by_devices)(rule, log, state, at)
        return found, leaves
    if isinstance(rule, DeadlineRule | CompareRule | LatenessRule | RevisionRule | ReportRule | LedgerRule | GradeRule):
        return _of_reports(rule, log, bundle, state, at)
    if isinstance(rule, FollowUpRule) and (rule.excursions or rule.alarm or rule.trace or rule.before):
        return _followed(rule, log, state, read, at)
    if isinstance(rule, ParallelRule | ResultLimitRule):
        return _of_laboratories(rule, log, bundle, state)
    if isinstance(rule, ClockRule) and rule.check in {SEQUENCE, *HEARD}:
        return (numbers_of if rule.check == SEQUENCE else heartbeats_of)(rule, log, state, at)
    if isinstance(rule, RowRule):
        rows = rows_of(rule, log, bundle)
        found = _rows(rule, rows, state)
        # Of the newest row that is an occasion; where there is none, of the newest.
        for odd in sorted(rows, key=lambda odd: odd.occasion):
            leaves[text_of_subject({"tag": odd.tag})] = {seen.name: seen for seen in odd.leaves}
    elif isinstance(rule, RepeatDayRule):
        days = days_of(rule, log, bundle)
        found = _days(rule, days, state)
        for day in sorted(days, key=lambda day: day.occasion):
            leaves[text_of_subject({"tag": day.tag})] = {seen.name: seen for seen in day.leaves}
    else:
        events = come(log)
        found = _events(rule, events, state)
        for whose, moment in told_of(rule, events, at):
            leaves.setdefault(whose or "", {}).update((seen.name, seen) for seen in moment.leaves)
    return found, leaves


def _followed(
    rule: FollowUpRule, log: list[LogRecord], state: FacilityState, read: list[Alarm], at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    if rule.alarm:
        return followed_alarms(rule, read, log, state, at)
    return openings_of(rule, rule.trace, log, state) if rule.trace else changed_settings(rule, log, state, at)


def _findings(
    rule: RegisterCheckRule | CompletenessRule, facility: Facility, state: FacilityState, at: int
) -> tuple[dict[str, Finding], dict[str, dict[str, Seen]]]:
    """Return what a check finds in the register, or what the newest judgement of marked time found, with the leaves, by subject."""
    checked: dict[str, Finding] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    if isinstance(rule, RegisterCheckRule):
        for one in findings(rule, facility, at, state.registered, calibrations.told(state.rare.of(rule.id))):
            checked[one.subject] = one
            leaves[one.subject] = {seen.name: seen for seen in seen_of(rule, one)}
        return checked, leaves
    for name, share in state.rare.judged.get(rule.id, {}).items():
        month = rate.finding_of(rule, share, stands=True) if isinstance(share, Rate) else finding_of(rule, share)
        checked[name] = replace(month, change=state.rare.checked.get(rule.id, NEVER))
        leaves[name] = {seen.name: seen for seen in shares.seen_of(rule, share)}
    return checked, leaves


def _facts(facility: Facility, subject: dict[str, str], at: int) -> dict[str, Any]:
    """Return the facts in force of a subject's sensor or area, else those of the facility."""
    asset = subject.get("asset")
    for sensor in in_force(facility, at):
        if sensor.tag == subject.get("tag", asset):
            return facts_of(facility, sensor, at)
    area = subject.get("area", asset)
    if area is not None and area == asset and all(one.id != asset for one in facility.areas):
        area = next((device.area for device in facility.devices if device.id == asset), None)
    return facts_of_area(facility, None if area is None else area_in_force(facility, area, at))


def _rows(rule: RowRule, rows: list[Odd], state: FacilityState) -> dict[str, list[Told]]:
    """Return what became of the rows that are occasions, by subject."""
    found: dict[str, list[Told]] = {}
    for odd in rows:
        if not odd.occasion:
            continue
        name, digest = text_of_subject({"tag": odd.tag}), digest_of_row(odd.row.t, odd.row.value)
        case = state.rare.of(rule.id).get(name, Case())
        mine = found.setdefault(name, [])
        said: dict[str, Any] = {"stream": "readings", "type": odd.tag, "value": odd.row.value}
        said |= {} if odd.stood is None else {"stood": odd.stood.value}
        told = Told(odd.row.t, odd.row.received, odd.row.batch, "not kept", said)
        if any((one.t, one.event["value"]) == (told.t, odd.row.value) for one in mine):
            told.fate = "again"
        elif any(fact.digest == digest for fact in case.facts):
            waits = told.received == case.due
            told.fate, told.decided = ("awaited", case.due) if waits else ("occasion", None)
        elif digest in case.seen:
            told.fate = "done"
        mine.append(told)
    return found


def _days(rule: RepeatDayRule, days: list[JudgedDay], state: FacilityState) -> dict[str, list[Told]]:
    """Return what became of the copied days, by subject."""
    found: dict[str, list[Told]] = {}
    for day in days:
        if day.occasion:
            name = text_of_subject({"tag": day.tag})
            case, digest = state.rare.of(rule.id).get(name, Case()), str(day.start)
            kept = any(fact.digest == digest for fact in case.facts)
            fate = "occasion" if kept else "done" if digest in case.seen else "not kept"
            said: dict[str, Any] = {"stream": "readings", "type": day.tag, "share": day.leaves[-1].left}
            found.setdefault(name, []).append(Told(day.start, day.row.received, day.row.batch, fate, said))
    return found


def _events(
    rule: CountRule | FollowUpRule, events: list[tuple[Come, Facility]], state: FacilityState
) -> dict[str, list[Told]]:
    """Return what became of the events that a rule asked about, by subject; those of none that were no case under an empty name."""
    match = rule.events if isinstance(rule, CountRule) else rule.begins
    found: dict[str, list[Told]] = {}
    known: dict[str, set[str]] = {}
    ours = [one for one, facility in events if looks_at(rule, one, facility)]
    for one, _ in events:
        event = one.event
        if (event.stream, event.type) != (match.stream, match.type):
            continue
        said: dict[str, Any] = {"stream": event.stream, "type": event.type, "source": event.source}
        said |= {name: value for name, value in event.fields.items() if name in match.where}
        name = subject_of_event(rule, one)
        if name is None:
            found.setdefault("", []).append(Told(one.t, one.received, one.batch, "not meant", said))
            continue
        digest, case = digest_of(event), state.rare.of(rule.id).get(name, Case())
        told = Told(one.t, one.received, one.batch, "not kept", said)
        before = known.setdefault(name, set())
        if not one.new or digest in before:
            told.fate = "again"
        elif isinstance(rule, CountRule) and rule.occasions is not None:
            told.fate = shared.fate_of(rule, rule.occasions, one, case.facts)
        else:
            _judge(rule, told, one, case, ours)
        if one.new:  # what a batch says that is not taken was never told
            before.add(digest)
        if isinstance(rule, FollowUpRule):
            told.until = one.t + rule.time
        found.setdefault(name, []).append(told)
    for name, case in state.rare.of(rule.id).items():
        for fact in case.facts:
            if fact.digest and fact.digest not in known.get(name, set()):
                told = Told(fact.t, fact.received, fact.batch, "not kept")
                _kept(rule, told, fact)
                found.setdefault(name, []).insert(0, told)
    return found


def _judge(rule: CountRule | FollowUpRule, told: Told, one: Come, case: Case, ours: list[Come]) -> None:
    """Say what became of an event by the engine's books, or by what answered it; it stays `not kept` where neither knows it."""
    digest = digest_of(one.event)
    fact = next((fact for fact in case.facts if fact.digest == digest), None)
    by = answer_of(rule, one, ours) if isinstance(rule, FollowUpRule) and one in ours else None
    if fact is not None:
        _kept(rule, told, fact)
    elif by is not None:
        told.fate, told.answer = "answered", by
    elif digest in case.seen:
        told.fate = "done"


def _kept(rule: CountRule | FollowUpRule, told: Told, fact: Fact) -> None:
    """Say what an event that is kept stands for."""
    told.fate = "occasion" if fact.counts else "counted" if isinstance(rule, CountRule) else "unheard"
    if fact.due != NEVER:
        told.fate, told.decided = "awaited", fact.due
    if isinstance(rule, FollowUpRule):
        told.until = fact.t + rule.time
