"""Why a rule spoke at an instant of the log, or why it did not: what `offsite rules explain` says.

What the alarms are, the engine says; the leaves, counts and rows are plainly evaluated beside it (`rules.leaves`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.errors import BadInputError, Fault
from rules.evaluate import fold_one
from rules.explainparts import ROWS, exception_json, row_json, rule_json, said_json
from rules.explainrare import RareExplanation, explain_rare
from rules.instants import format_duration, format_instant
from rules.leaves.absence import AbsenceNumbers
from rules.leaves.difference import PairNumbers
from rules.leaves.during import DuringNumbers
from rules.leaves.exposure import ExposureNumbers
from rules.leaves.frozen import FrozenNumbers
from rules.leaves.gap import GapNumbers
from rules.leaves.jump import JumpNumbers
from rules.leaves.last_digit import UniformNumbers
from rules.leaves.limit import LimitNumbers
from rules.leaves.mean_kinetic import AT_MONTH_END, MeanNumbers
from rules.leaves.model import Seen, Standing
from rules.leaves.smooth import SmoothNumbers
from rules.leaves.steadiness import SteadinessNumbers
from rules.leaves.too_precise import DigitNumbers
from rules.leaves.trace import Tracer, taken
from rules.leaves.watch import leaves_of, text_of
from rules.rule import FollowUpRule, RareRule
from rules.watching import used_at_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.alarms import Alarm
    from rules.changes import Change
    from rules.leaves.model import Leaf, Moment, Row
    from rules.leaves.trace import Line
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import Rule

SUBJECTS = 20
"""The most series that one answer explains."""
FAILED = "register.rule-failed"


@dataclass(slots=True)
class Explanation:
    """One rule and one series of a facility at an instant (log time, ms)."""

    rule: Rule | None
    rule_id: str
    packs: str
    facility: str
    tag: str
    at: int
    version: int
    line: Line | None = None
    leaves: list[tuple[Leaf, Seen | None]] = field(default_factory=list)
    """Each leaf as it was then; None: not asked, for the condition is not there."""
    standing: Standing = field(default_factory=Standing)
    rows: list[Row] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    """Alarms of the rule on the series, its area or the whole facility, oldest first."""
    failed: bool = False
    """The rule had raised an error for this facility and was switched off."""
    seeded: bool = False
    """The log begins with a saved state, which the leaves do not know."""

    @property
    def watched(self) -> bool:
        """Say whether the rule watches the series."""
        return self.line is not None and self.line.watch.numbers is not None

    @property
    def subject(self) -> dict[str, str]:
        """Return the subject of the alarms explained."""
        about = {} if self.line is None else self.line.watch.about
        return about or {"tag": self.tag}

    @property
    def standing_alarm(self) -> Alarm | None:
        """Return the alarm of the series that stands, or None."""
        own = [a for a in self.alarms if a.subject == self.subject and a.end is None and a.status != "retracted"]
        return own[-1] if own else None

    @property
    def agrees(self) -> bool:
        """Say whether the leaves and the engine say the same; they have to, but for a saved state or a failed rule."""
        return self.standing.active == (self.standing_alarm is not None)

    def numbers(self) -> list[dict[str, Any]]:
        """Return the numbers in force: name, value, unit, origin, edition."""
        numbers = None if self.line is None else self.line.watch.numbers
        if self.rule is None or numbers is None:
            return []
        own = f"{self.rule.id} {self.rule.version}"
        if isinstance(numbers, PairNumbers | JumpNumbers | DuringNumbers):
            numbers = numbers.limits
        if isinstance(numbers, LimitNumbers | SmoothNumbers):
            found = [used.model_dump(exclude_none=True) for used in numbers.used]
            low, high, watched = numbers.range
            if watched and not numbers.rule.excludes:
                found += [
                    {"name": f"range {name}", "value": value, "unit": numbers.unit, "origin": "register range"}
                    for name, value in (("low", low), ("high", high))
                    if math.isfinite(value)
                ]
            return found
        if isinstance(numbers, AbsenceNumbers):
            numbers = numbers.silence
        if isinstance(numbers, GapNumbers):
            steps = [(f"step {k}", after) for k, (after, _) in enumerate(numbers.steps, 1)]
            named = [("silence", numbers.silent), *steps, ("delivery", numbers.delivery)]
            origins = {"delivery": "register"}
            return [
                {"name": name, "value": format_duration(ms), "origin": origins.get(name, "rule"), "edition": own}
                for name, ms in named
            ]
        if isinstance(numbers, FrozenNumbers | DigitNumbers | UniformNumbers | SteadinessNumbers):
            return _of_values(numbers, own)
        if isinstance(numbers, MeanNumbers):
            above, clear = numbers.rule.above, numbers.rule.clear_at
            pairs = [("high", above), ("clear", clear)]
            return [{"name": n, "value": v, "unit": numbers.unit, "origin": "rule", "edition": own} for n, v in pairs]
        found = [used.model_dump(exclude_none=True) for used in numbers.used]
        rule = numbers.rule
        times = [("total", rule.total)]
        times += [] if isinstance(numbers, ExposureNumbers) else [("clear", rule.clear_below), ("window", rule.window)]
        return found + [
            {"name": name, "value": format_duration(ms), "origin": "rule", "edition": own} for name, ms in times
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `offsite rules explain --json` prints, one a series."""
        line = self.line
        rule = None if self.rule is None else rule_json(self.rule)
        return {
            "rule": rule or {"id": self.rule_id},
            "packs": self.packs,
            "facility": self.facility,
            "subject": self.subject,
            "at": format_instant(self.at),
            "register": {"version": self.version, "facts": {} if line is None else self.facts()},
            "watched": self.watched,
            "conditions": [] if line is None else [said_json(c) for c in line.watch.conditions],
            **exception_json(None if line is None else line.watch.exception),
            "limits": self.numbers(),
            "leaves": [{"says": leaf.words.model_dump(), **said_json(seen, leaf.name)} for leaf, seen in self.leaves],
            "state": {
                "phase": self.standing.phase,
                "start": None if self.standing.start is None else format_instant(self.standing.start),
                "unknown": self.standing.unknown,
                "counts": self.standing.notes,
            },
            "alarms": [alarm.to_json() for alarm in self.alarms],
            "rows": [row_json(row) for row in self.rows],
            "refused": {} if line is None else line.refused,
            "failed": self.failed,
            "from_saved_state": self.seeded,
            "agrees_with_engine": self.agrees,
        }

    def facts(self) -> dict[str, Any]:
        """Return the registered facts in force that the rule can see."""
        if self.line is None:
            return {}
        watch, sensor = self.line.watch, self.line.watch.sensor
        facts: dict[str, Any] = {name: text_of(value) for name, value in watch.facts.items() if value not in (None, [])}
        facts["area"] = sensor.area
        facts["interval"] = None if sensor.interval is None else format_duration(sensor.interval)
        for name, span in (("limits", sensor.limits), ("range", sensor.range)):
            facts[name] = None if span is None else span.model_dump(exclude_none=True)
        return facts


def _of_values(
    numbers: FrozenNumbers | DigitNumbers | UniformNumbers | SteadinessNumbers, own: str
) -> list[dict[str, Any]]:
    if isinstance(numbers, FrozenNumbers):
        return _frozen_numbers(numbers, own)
    if isinstance(numbers, SteadinessNumbers):
        steady = ("below", "clear_above", "share", "before", "clear_below", "weeks")
        named = [(name, value) for name in steady if (value := getattr(numbers.rule, name)) is not None]
        used = used_at_limit(numbers.rule, numbers.sensor) or ()
        return [
            *(one.model_dump(exclude_none=True) for one in used),
            *({"name": name, "value": value, "origin": "rule", "edition": own} for name, value in named),
        ]
    return _digit_numbers(numbers, own)


def _digit_numbers(numbers: DigitNumbers | UniformNumbers, own: str) -> list[dict[str, Any]]:
    rule = numbers.rule
    named: list[tuple[str, Any]] = [
        ("values", rule.number), ("within", format_duration(rule.within)), ("clean", format_duration(rule.clean))
    ]  # fmt: skip
    if isinstance(numbers, UniformNumbers):
        named = [(name, getattr(rule, name)) for name in ("number", "related", "spread", "uneven", "even")]
    return [
        {"name": "resolution", "value": numbers.resolution, "unit": numbers.unit, "origin": "register"},
        *({"name": name, "value": value, "origin": "rule", "edition": own} for name, value in named),
    ]


def _frozen_numbers(numbers: FrozenNumbers, own: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "identical values", "value": numbers.identical, "origin": "rule", "edition": own},
        {"name": "span", "value": format_duration(numbers.rule.span), "origin": "rule", "edition": own},
    ]
    if numbers.width is not None:
        origin = f"{numbers.rule.window_share:g} of the registered limits' width"
        found.append({"name": "width of a day", "value": numbers.width, "unit": numbers.unit, "origin": origin})
    return found


def explain(
    records: Iterable[LogRecord], bundle: Bundle, rule_id: str, *, at: int,
    facility: str | None = None, tag: str | None = None, subject: str | None = None, ignore_pack_records: bool = False,
) -> tuple[list[Explanation] | list[RareExplanation], int]:  # fmt: skip
    """Return why `rule_id` spoke, or did not, of each subject at `at` (log time, ms), and how many subjects were left out.

    Records received after `at` are not read. Without `tag`: the series that the rule watches, or if there is none all; without
    `subject`: all that a rule over events or the register was asked of. `subject` is one word of it: a system, an area, a device.

    Raises:
        BadInputError: the log does not say which facility is meant, or does not hold it; there is no such subject; or what
            `evaluate` raises.
    """
    log = [
        record for record in records if record.received <= at and record.facility in {"", facility or record.facility}
    ]
    names = sorted({record.facility for record in log if record.facility})
    if len(names) != 1:
        said = f"say --facility: the log holds {', '.join(names[:SUBJECTS])}" if names else "no record of it until then"
        raise BadInputError("log", [Fault("/facility", "unknown_facility", said)])
    name = names[0]
    engine = Engine(bundle, ignore_pack_records=ignore_pack_records)
    tracer = Tracer(rule_id, bundle, name, ignore_pack_records=ignore_pack_records)
    tracer.keep = 4 * ROWS
    changes: list[Change] = []
    tracer.taken = partial(taken, engine, tracer)
    for record in log:
        told = fold_one(engine, record)
        changes += told
        tracer.fold(record)
        tracer.close(told)
    for partition in sorted({record.partition for record in log}):
        changes += engine.advance(partition, at)
    tracer.move(at)
    rule = tracer.bundle.rule(rule_id)
    if isinstance(rule, RareRule):
        return _rare(rule, log, engine, tracer, changes, at, subject if tag is None else tag)
    if subject is not None:
        raise BadInputError(
            "subject", [Fault("/subject", "unknown_subject", f"{rule_id} is about series: name one with --tag")]
        )
    watched = [t for t, line in sorted(tracer.lines.items()) if line.watch.numbers is not None]
    tags = _named(tracer, tag) if tag is not None else watched or sorted(tracer.lines)
    found = [_explain(tracer, t, at, changes) for t in tags[:SUBJECTS]]
    return found, max(0, len(tags) - SUBJECTS)


def _rare(
    rule: RareRule, log: list[LogRecord], engine: Engine, tracer: Tracer, changes: list[Change], at: int, subject: str | None
) -> tuple[list[RareExplanation], int]:  # fmt: skip
    state = engine.state_of(tracer.name)
    if state.plan is None:
        raise BadInputError("log", [Fault("/facility", "unknown_facility", "its register had not come until then")])
    own = fold_alarms(c for c in changes if c.rule == rule.id)
    followed = rule.alarm if isinstance(rule, FollowUpRule) else None
    read = fold_alarms(c for c in changes if c.rule == followed)
    found = explain_rare(
        rule, log, tracer.bundle, state, own, at, read=read, failed=_failed(rule.id, changes), seeded=tracer.seeded
    )
    if subject is not None:
        found = [one for one in found if subject in one.subject.values()]
        if not found:
            raise BadInputError(
                "subject", [Fault("/subject", "unknown_subject", f"{rule.id} was asked nothing of {subject}")]
            )
    return found[:SUBJECTS], max(0, len(found) - SUBJECTS)


def _failed(rule: str, changes: list[Change]) -> bool:
    failures = fold_alarms(c for c in changes if c.rule == FAILED and c.subject == {"system": rule})
    return any(alarm.end is None for alarm in failures)


def _named(tracer: Tracer, tag: str) -> list[str]:
    """Return the lines that a tag names: its own, or the pairs that read it."""
    numbers = {name: line.watch.numbers for name, line in tracer.lines.items()}
    pairs = [name for name, own in sorted(numbers.items()) if isinstance(own, PairNumbers) and tag in own.tags]
    return pairs or [tag]


def _explain(tracer: Tracer, tag: str, at: int, changes: list[Change]) -> Explanation:
    rule = tracer.bundle.rule(tracer.rule_id)
    line = tracer.lines.get(tag)
    packs = tracer.bundle.sha256
    answer = Explanation(rule, tracer.rule_id, packs, tracer.name, tag, at, tracer.version, line, seeded=tracer.seeded)
    places: list[dict[str, str]] = [answer.subject, {}]
    if line is not None:
        places.append({"area": line.watch.sensor.area})
    own = [c for c in changes if c.rule == tracer.rule_id and c.subject in places]
    answer.alarms = fold_alarms(own)
    answer.failed = _failed(tracer.rule_id, changes)
    if line is None or rule is None or not answer.watched:
        return answer
    moments: deque[Moment] = deque(maxlen=4 * ROWS)
    last: dict[str, Seen] = {}

    def see(moment: Moment) -> None:
        moments.append(moment)
        last.update((leaf.name, leaf) for leaf in moment.leaves)

    answer.standing = tracer.finish(tag, see)
    now = {leaf.name: leaf for leaf in moments[-1].leaves} if moments else {}
    for name in ("flat", *AT_MONTH_END):  # asked once an hour or a month: the last answer stands until then
        if name in last:
            now.setdefault(name, last[name])
    answer.leaves = [(leaf, now.get(leaf.name)) for leaf in leaves_of(rule, tracer.bundle)]
    answer.rows = [m.row for m in moments if m.by == "row" and m.row is not None][-ROWS:]
    return answer
