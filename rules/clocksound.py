"""What a legal clock needs beyond its model: reports and members that exist, of a type that can mean what the rule makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from rules.errors import Fault
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from rules.deadlineparts import Document, Where
    from rules.reports.parts import Fields
    from rules.rule import DeadlineRule

INSTANT, DAY = 1_767_225_600_000, "2026-01-01"
"""What a member is tried with."""


def clock_faults(rule: DeadlineRule) -> list[Fault]:
    """Return what is wrong with a legal clock; pointers are into the rule."""
    faults: list[Fault] = []
    parts = {"answer": rule.answer, "starts": rule.starts, "again_until": rule.again_until}
    for name, part in parts.items():
        if part is not None:
            faults += _document_faults(f"/{name}", part, own=name == "answer" and rule.yearly is not None)
    kinds = [
        name
        for name, given in (("starts", rule.starts), ("inspections", rule.inspections), ("yearly", rule.yearly))
        if given
    ]
    faults += [Fault(f"/{name}", "deadline", "one of starts, inspections and yearly, or none") for name in kinds[1:]]
    if not rule.is_awaited and rule.answer.at is None:
        faults.append(Fault("/answer/at", "deadline", "nothing starts it beforehand: the answer says when it began"))
    if rule.starts is not None and rule.starts.at is None:
        faults.append(Fault("/starts/at", "deadline", "what starts it says when it began"))
    if rule.yearly is not None and (rule.only or any(one.time.unit == "wd" for one in rule.within)):
        faults.append(Fault("/yearly", "deadline", "for all cases, and no working days: the register starts it"))
    if rule.again_until is not None and (rule.starts is None or rule.reminder or rule.overdue or rule.plan):
        faults.append(Fault("/again_until", "deadline", "needs starts, and has no reminder, overdue or plan"))
    if rule.reminder is not None and not rule.is_awaited:
        faults.append(
            Fault("/reminder", "deadline", "nothing is known before it is answered: there is nothing to remind of")
        )
    if rule.reminder is not None and rule.reminder.severity.rank >= rule.severity.base.rank:
        faults.append(Fault("/reminder/severity", "deadline", "milder than what it announces"))
    ranks = [rule.severity.base.rank, *(step.to.rank for step in rule.overdue)]
    if ranks != sorted(set(ranks)):
        faults.append(Fault("/overdue", "step", "each colour is stronger than the one before"))
    told = "it looks at reports: it knows facts of the facility"
    strange = [name for name in rule.applies_to if not name.startswith("facility.")]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    faults += _where_faults(rule)
    for name, day in (("judged", False), ("plan", True)):
        member = getattr(rule, name)
        if member is not None:
            faults += member_faults(f"/{name}", rule.answer.report, member, instant=not day, days=day)
    return faults


def _document_faults(at: str, part: Document, *, own: bool) -> Iterator[Fault]:
    """Yield what is wrong with one document; of a yearly clock its key is checked by the engine alone (`own`)."""
    model = model_of(part.report)
    if model is None:
        yield Fault(f"{at}/report", "unknown_value", f"no type of report; known are {', '.join(TYPES)}")
        return
    members = members_of(model)
    if part.key not in members:
        yield Fault(f"{at}/key", "unknown_member", f"{part.report} has no {part.key}")
    elif not own and not takes(members[part.key], "x") and not takes(members[part.key], ["x"]):
        yield Fault(f"{at}/key", "wrong_type", f"{part.key} names no case: it is neither a text nor a list of texts")
    if part.at is not None and part.at != "received":
        yield from member_faults(f"{at}/at", part.report, part.at, instant=True, days=True)
    yield from _values(f"{at}/where", part.where, model, part.report)


def _where_faults(rule: DeadlineRule) -> Iterator[Fault]:
    of = rule.answer.report if rule.starts is None else rule.starts.report
    model = model_of(of)
    if model is None:
        return
    for i, where in enumerate(rule.only):
        yield from _values(f"/only/{i}", where, model, of)
    for i, edition in enumerate(rule.within):
        if edition.where and (rule.inspections or rule.yearly):
            yield Fault(f"/within/{i}/where", "deadline", "a visit and the register have no members to ask for")
            continue
        yield from _values(f"/within/{i}/where", edition.where, model, of)
        if edition.from_ is not None and edition.before is not None and edition.from_ >= edition.before:
            yield Fault(f"/within/{i}/before", "deadline", "behind from")
        shadowed = [o for o in rule.within[:i] if not o.where and o.from_ is None and o.before is None]
        if shadowed:
            yield Fault(f"/within/{i}", "deadline", "an edition before it takes every case: this one is never reached")


def _values(at: str, where: Where, model: type[Fields], report: str) -> Iterator[Fault]:
    members = members_of(model)
    for name, wanted in where.items():
        if name not in members:
            yield Fault(f"{at}/{name}", "unknown_member", f"{report} has no {name}")
            continue
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if not takes(members[name], value):
                known = _choices(members[name])
                said = f"; it is one of {', '.join(map(str, known))}" if known else ""
                yield Fault(f"{at}/{name}", "wrong_type", f"{name} of {report} is never {value!r}{said}")


def member_faults(at: str, report: str, name: str, *, instant: bool, days: bool) -> Iterator[Fault]:
    """Yield why a member of a report is no instant, or no day, where it has to be one of these."""
    model = model_of(report)
    if model is None:
        return
    member = members_of(model).get(name)
    if member is None:
        yield Fault(at, "unknown_member", f"{report} has no {name}")
    elif not ((instant and _is_instant(member)) or (days and _is_day(member))):
        what = " or ".join(word for word, wanted in (("an instant", instant), ("a day", days)) if wanted)
        yield Fault(at, "wrong_type", f"{name} of {report} is not {what}")


def model_of(report: str) -> type[Fields] | None:
    """Return the model of a type of report, None where it is not known."""
    known = TYPES.get(report)
    return None if known is None else known.model


def members_of(model: type[Fields]) -> dict[str, FieldInfo]:
    """Return the members of a model by the names that they are posted with."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def takes(member: FieldInfo, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Say whether a member can have a value: tried with the member's own validation."""
    try:
        TypeAdapter(_annotated(member)).validate_python(value)
    except ValidationError:
        return False
    return True


def _annotated(member: FieldInfo) -> Any:  # noqa: ANN401 - a type
    return Annotated[member.annotation, *member.metadata] if member.metadata else member.annotation


def _is_instant(member: FieldInfo) -> bool:
    return takes(member, INSTANT) and not takes(member, "x") and takes(member, "2026-01-01T00:00:00Z")


def _is_day(member: FieldInfo) -> bool:
    return takes(member, DAY) and not takes(member, "2026-13-01")


def _choices(member: FieldInfo) -> tuple[Any, ...]:
    return get_args(member.annotation) if get_origin(member.annotation) is Literal else ()
