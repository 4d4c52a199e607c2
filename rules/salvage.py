"""A rule or table file that its model refuses: what can still be read of it, so that lint tells the other faults too.

What is wrong is taken out, and where it cannot be missing something harmless stands in its place. The result is for
lint alone: no bundle is made of it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter, ValidationError

from rules.calendar import Calendar
from rules.errors import Fault
from rules.exceptions import ExceptionsFile, SiteException
from rules.models import faults_of
from rules.rule import GapRule, Rule
from rules.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
_MODELS = get_args(get_args(Rule)[0])
KINDS: tuple[str, ...] = tuple(get_args(model.model_fields["kind"].annotation)[0] for model in _MODELS)
"""The kinds of rule that this version folds."""
_MEMBERS = frozenset(field.alias or name for model in _MODELS for name, field in model.model_fields.items())
_OF_ANY = frozenset(field.alias or name for name, field in GapRule.model_fields.items())
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
_ROUNDS = 4


def read_rule(value: Any) -> tuple[Rule | None, list[Fault], frozenset[str]]:  # noqa: ANN401 - a file's value
    """Return the rule, what its model refuses, and the pointers at which something was taken out or put in.

    With faults the rule is what could be read beside them, or None.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind in KINDS:
        return _read(_RULE.validate_python, value, _IN_RULE)
    if "kind" in value:
        known = f"no kind of rule; known are {', '.join(KINDS)}"
        faults = [Fault("/kind", "unknown_value", known)]
    else:
        faults = [Fault("/kind", "missing", f"one of {', '.join(KINDS)} is needed")]
    # Members that some kind has are not judged: whose they are is not known.
    strange = {name: member for name, member in value.items() if name in _OF_ANY or name not in _MEMBERS}
    taken = {"/kind", "/factor", "/threshold", *(f"/{name}" for name in value if name not in strange)}
    strange |= {"kind": "gap", "factor": 2}
    strange.pop("threshold", None)
    rule, more, out = _read(_RULE.validate_python, strange, _IN_RULE)
    return rule, [*faults, *more], out | taken


def read_table(value: Any) -> tuple[Table | None, list[Fault], frozenset[str]]:  # noqa: ANN401 - a file's value
    """Return the table, what its model refuses, and the pointers at which something was taken out or put in."""
    return _read(Table.model_validate, value, _IN_TABLE)


def read_calendar(value: dict[str, Any]) -> tuple[Calendar | None, list[Fault]]:
    """Return the calendar of a file, or what its model refuses."""
    try:
        return Calendar.model_validate(value), []
    except ValidationError as error:
        return None, faults_of(error)


def read_exceptions(value: dict[str, Any]) -> tuple[tuple[tuple[int, SiteException], ...], list[Fault]]:
    """Return the exceptions of a file that can be read, each with its place in it, and what the model refuses of all."""
    entries = value.get("exceptions")
    try:
        ExceptionsFile.model_validate(value)
        refused = []
    except ValidationError as error:
        refused = faults_of(error)
    found = []
    for i, entry in enumerate(entries if isinstance(entries, list) else []):
        try:
            found.append((i, SiteException.model_validate(entry)))
        except ValidationError:
            continue  # told above, with the rest of the file
    return tuple(found), refused


def touches(pointer: str, places: Iterable[str]) -> bool:
    """Say whether something stands at, above or below one of these places.

    >>> touches("/tests", {"/tests/0/name"}), touches("/title/zh", {"/titles"})
    (True, False)
    """
    return any(f"{pointer}/".startswith(f"{place}/") or f"{place}/".startswith(f"{pointer}/") for place in places)


def _read(read: Any, value: Any, harmless: dict[str, Any]) -> tuple[Any, list[Fault], frozenset[str]]:  # noqa: ANN401 - either model
    try:
        return read(value), [], frozenset()
    except ValidationError as error:
        found = error
    faults = [Fault(_untagged(fault.pointer), fault.code, fault.detail) for fault in faults_of(found)]
    taken: set[str] = set()
    left = copy.deepcopy(value)
    for _ in range(_ROUNDS):
        places = [_bare(item["loc"]) for item in found.errors(include_url=False, include_input=False)]
        if not isinstance(left, dict) or not all(places):
            break
        for place in sorted(places, key=str, reverse=True):  # items of a list from its end
            taken.add(_take_out(left, place, harmless))
        try:
            return read(left), faults, frozenset(taken)
        except ValidationError as error:
            found = error
    return None, faults, frozenset(taken)


def _bare(location: Sequence[Any]) -> list[Any]:
    """Return a location without the union's tag, which the file has not."""
    return list(location[1:] if location and location[0] in KINDS else location)


def _untagged(pointer: str) -> str:
    parts = pointer.split("/")
    return "/".join([parts[0], *parts[2:]]) if len(parts) > 1 and parts[1] in KINDS else pointer


def _take_out(value: dict[str, Any], place: list[Any], harmless: dict[str, Any]) -> str:
    """Take what stands at a place out of `value`, and return where: at the place, or above it if it is not there."""
    path: list[tuple[Any, Any]] = []
    node: Any = value
    for part in place:
        if not (part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))):
            break
        path.append((node, part))
        node = node[part]
    holder, name = path[-1] if path else (value, place[0])
    if isinstance(holder, list):
        del holder[name]
    elif holder is value and name in harmless:
        value[name] = copy.deepcopy(harmless[name])
    else:
        holder.pop(name, None)
    return "".join(f"/{part}" for _, part in path) or f"/{name}"
