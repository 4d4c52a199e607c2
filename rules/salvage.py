"""A rule or table file that its model refuses: what can still be read of it, so that lint tells the other faults too.

What is wrong is taken out, and where it cannot be missing something harmless stands in its place. The result is for
lint alone: no bundle is made of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter, ValidationError

from rules.calendar import Calendar
from rules.errors import Fault
from rules.exceptions import ExceptionsFile, SiteException
from rules.faults import FaultCode
from rules.models import faults_of
from rules.refusals import REFUSED
from rules.rule import Rule, RuleBase
from rules.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
_MODELS = get_args(get_args(Rule)[0])
KINDS: tuple[str, ...] = tuple(get_args(model.model_fields["kind"].annotation)[0] for model in _MODELS)
"""The kinds of rule that this version folds."""
_MEMBERS = frozenset(field.alias or name for model in _MODELS for name, field in model.model_fields.items())
_COMMON = frozenset(field.alias or name for name, field in RuleBase.model_fields.items())
_WORDS = {"zh": "字", "en": "word"}
_CITES = [{"instrument": "x", "status": "own"}]
_IN_RULE: dict[str, Any] = {
    "schema": "rule/1", "id": "x.x", "version": "1.0.0", "title": _WORDS, "applies_to": {}, "cites": _CITES,
    "severity": {"base": "blue"}, "scopes": [{"field": "distribution", "line": "drug"}],
    "rationale": {"cause": _WORDS, "consequence": _WORDS, "response": _WORDS},
    "limits": {"from": {"low": 0}},
}  # fmt: skip
_IN_TABLE: dict[str, Any] = {
    "schema": "table/1", "id": "x", "edition": "x", "title": _WORDS, "cites": _CITES,
    "rows": [{"where": {}, "unit": "Cel", "limit": {"low": 0}, "edition": "x", "status": "own"}],
}  # fmt: skip
_IN_CALENDAR: dict[str, Any] = {
    "schema": "calendar/1", "id": "x", "edition": "x", "title": _WORDS, "prefixes": ["1"],
    "years": {"2026": {"status": "own", "source": "x", "days_off": [], "worked": []}},
}  # fmt: skip
_IN_EXCEPTION: dict[str, Any] = {
    "id": "x", "rule": "x.x", "facility": "XX", "tag": "x", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z",
    "allow": {"mute": True}, "reason": _WORDS, "approver": "x", "approved_date": "2026-01-01",
}  # fmt: skip
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Taken:
    """What is not as the file has it: the places, and which entries of a list are left where some were taken out."""

    places: frozenset[str] = frozenset()
    kept: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    """JSON pointer of a list in the file -> the places that its entries have there."""

    def __bool__(self) -> bool:
        """Say whether anything was left out."""
        return bool(self.places)

    def touches(self, pointer: str) -> bool:
        """Say whether something stands at, above or below one of the places."""
        return touches(pointer, self.places)

    def also(self, other: Taken) -> Taken:
        """Return both."""
        return Taken(self.places | other.places, self.kept) if other else self

    def origin(self, pointer: str) -> str:
        """Return the pointer into the file of a pointer into what was read of it.

        >>> Taken(kept={"/rows": [0, 2]}).origin("/rows/1/unit")
        '/rows/2/unit'
        """
        at = ""
        for part in pointer.split("/")[1:]:
            left = self.kept.get(at)
            found = left is not None and part.isdigit() and int(part) < len(left)
            at += f"/{left[int(part)] if found and left is not None else part}"
        return at


NOTHING = Taken()


def read_rule(value: Any, *, whole: bool = True) -> tuple[Rule | None, list[Fault], Taken]:  # noqa: ANN401 - a file's value
    """Return the rule, what its model refuses, and what was taken out of it or put in.

    With faults the rule is what could be read beside them. Where the kind is not known, or what it needs is not there, that is a rule of
    another kind: of what all kinds have. None is what is no object. Not `whole`: only members of the file are judged, none is missing.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind not in KINDS:
        return (
            _of_no_kind(value, whole=whole)
            if isinstance(value, dict)
            else _read(_RULE.validate_python, value, _IN_RULE)
        )
    rule, faults, taken = _read(_RULE.validate_python, value, _IN_RULE, whole=whole)
    if rule is not None:
        return rule, faults, taken
    rule, _, more = _of_no_kind(value, whole=whole)
    return rule, faults, Taken(taken.places | more.places, more.kept)


def _of_no_kind(value: dict[str, Any], *, whole: bool) -> tuple[Rule | None, list[Fault], Taken]:
    faults = []
    known = f"known are {', '.join(KINDS)}"
    if "kind" in value:
        faults = [Fault("/kind", "unknown_value", f"no kind of rule; {known}")]
    elif whole:
        faults = [Fault("/kind", "missing", f"one of {', '.join(KINDS)} is needed")]
    # Members that some kind has are not judged: whose they are is not known.
    strange = {name: member for name, member in value.items() if name in _COMMON or name not in _MEMBERS}
    taken = {"/kind", "/factor", "/threshold", *(f"/{name}" for name in value if name not in strange)}
    rule, more, out = _read(_RULE.validate_python, {**strange, "kind": "gap", "factor": 2}, _IN_RULE, whole=whole)
    return rule, [*faults, *more], Taken(out.places | taken, out.kept)


def read_table(value: Any, *, whole: bool = True) -> tuple[Table | None, list[Fault], Taken]:  # noqa: ANN401 - a file's value
    """Return the table, what its model refuses, and what was taken out of it or put in."""
    return _read(Table.model_validate, value, _IN_TABLE, whole=whole)


def read_calendar(value: dict[str, Any], *, whole: bool = True) -> tuple[Calendar | None, list[Fault], Taken]:
    """Return the calendar of a file, what its model refuses, and what was taken out of it or put in."""
    return _read(Calendar.model_validate, value, _IN_CALENDAR, whole=whole)


def read_exceptions(
    value: dict[str, Any], *, whole: bool = True
) -> tuple[tuple[tuple[int, SiteException], ...], list[Fault], Taken]:
    """Return the exceptions of a file that can be read, each with its place in it, what the model refuses of all, and what was taken out or put in."""
    entries = value.get("exceptions")
    try:
        ExceptionsFile.model_validate(value)
        refused = []
    except ValidationError as error:
        refused = [fault for fault in faults_of(error) if whole or fault.code != FaultCode.MISSING]
    found, taken = [], set()
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        one, wrong, out = _read(SiteException.model_validate, entry, _IN_EXCEPTION)
        taken |= {f"/exceptions/{i}{place}" for place in out.places}
        below = [Fault(f"/exceptions/{i}{fault.pointer}", fault.code, fault.detail) for fault in wrong]
        refused += [fault for fault in below if fault not in refused]
        if one is not None:
            found.append((i, one))
    return tuple(found), refused, Taken(frozenset(taken))


def touches(pointer: str, places: Iterable[str]) -> bool:
    """Say whether something stands at, above or below one of these places.

    >>> touches("/tests", {"/tests/0/name"}), touches("/title/zh", {"/titles"})
    (True, False)
    """
    return any(f"{pointer}/".startswith(f"{place}/") or f"{place}/".startswith(f"{pointer}/") for place in places)


def _read(
    read: Any,  # noqa: ANN401 - either model
    value: Any,  # noqa: ANN401 - a file's value
    harmless: dict[str, Any],
    *,
    whole: bool = True,
) -> tuple[Any, list[Fault], Taken]:
    """Read a value, without what is wrong in it: that is told of the value itself, and of what is left what no fault before it explains."""
    faults: list[Fault] = []
    taken: set[str] = set()
    kept: dict[str, list[int]] = {}
    left = _own(value)
    for _ in range(_ROUNDS + 1):
        refused: list[tuple[str, str]] = []
        now = Taken(frozenset(taken), kept)
        try:
            model = read(left, context={REFUSED: refused})
        except ValidationError as error:
            found = error
        else:
            together = [Fault(now.origin(at), FaultCode.WRONG_FORM.value, text) for at, text in refused if whole]
            faults += [fault for fault in together if not now.touches(fault.pointer)]
            return model, faults, Taken(frozenset(taken | {fault.pointer for fault in together}), kept)
        told = [Fault(now.origin(_untagged(fault.pointer)), fault.code, fault.detail) for fault in faults_of(found)]
        if taken:  # what could be told only now; not what is missing since it was taken out
            told = [fault for fault in told if fault.code != FaultCode.MISSING and not now.touches(fault.pointer)]
        faults += [
            fault for fault in told if whole or not (fault.code == FaultCode.MISSING and fault.pointer.count("/") == 1)
        ]
        places = [_bare(item["loc"]) for item in found.errors(include_url=False, include_input=False)]
        if not isinstance(left, dict) or not all(places):
            break
        taken |= _take_all(left, places, harmless, kept)
    return None, faults, Taken(frozenset(taken), kept)


def _own(value: Any) -> Any:  # noqa: ANN401 - a file's value
    """Return a copy of which no part stands at two places."""
    if isinstance(value, dict):
        return {name: _own(part) for name, part in value.items()}
    return [_own(part) for part in value] if isinstance(value, list) else value


def _take_all(
    left: dict[str, Any], places: list[list[Any]], harmless: dict[str, Any], kept: dict[str, list[int]]
) -> set[str]:
    """Take what stands at some places out of `left`; `kept` follows. Returns where in the file that is."""
    before = Taken(kept={pointer: list(entries) for pointer, entries in kept.items()})
    paths = {_path(left, place) for place in places}
    paths = {path for path in paths if not any(path[:n] in paths for n in range(1, len(path)))}
    out = set()
    for path in sorted(paths, key=lambda path: [(isinstance(part, int), part) for part in path], reverse=True):
        at = before.origin(_pointer(path))
        out.add(at)
        holder: Any = left
        for part in path[:-1]:
            holder = holder[part]
        name = path[-1]
        if isinstance(holder, list):  # from its end
            own = before.origin(_pointer(path[:-1]))
            del kept.setdefault(own, list(range(len(holder))))[name]
            del holder[name]
            continue
        for own in [own for own in kept if f"{own}/".startswith(f"{at}/")]:
            del kept[own]
        if holder is left and name in harmless:
            left[name] = _own(harmless[name])
        else:
            holder.pop(name, None)
    return out


def _pointer(path: Iterable[Any]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _path(value: dict[str, Any], place: list[Any]) -> tuple[Any, ...]:
    """Return the part of a place that is there; where nothing is there, the member that is missing."""
    path: list[Any] = []
    node: Any = value
    for part in place:
        if not (part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))):
            break
        path.append(part)
        node = node[part]
    return tuple(path or place[:1])


def _bare(location: Sequence[Any]) -> list[Any]:
    """Return a location without the union's tag, which the file has not."""
    return list(location[1:] if location and location[0] in KINDS else location)


def _untagged(pointer: str) -> str:
    parts = pointer.split("/")
    return "/".join([parts[0], *parts[2:]]) if len(parts) > 1 and parts[1] in KINDS else pointer
