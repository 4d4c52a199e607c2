"""What a rule bundle changes beside another one: rules, tables and exceptions one by one, each changed member with both values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rules.exceptions import SiteException
from rules.jsondiff import walk
from rules.migration import migrations, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.calendar import Calendar
    from rules.jsondiff import Step
    from rules.models import Bilingual
    from rules.pack import Bundle
    from rules.rule import Migration, Rule
    from rules.tables import Table

    Part: TypeAlias = Rule | Table | SiteException | Calendar


@dataclass(frozen=True, slots=True)
class Difference:
    """One rule, table, exception or calendar that the bundles do not have alike."""

    of: Literal["rule", "table", "exception", "calendar"]
    id: str
    change: Literal["added", "removed", "changed"]
    title: Bilingual
    """Of the newer bundle, where it is in there; of an exception its reason."""
    old: str | None
    """Version of the rule, edition of the table or approval of the exception before, None where there was none."""
    new: str | None
    changes: tuple[Step, ...] = ()
    """Of what is changed: JSON pointers into it, with the value before and after; an exception that comes or goes is told whole."""
    migrations: tuple[tuple[str, Migration], ...] = ()
    """Rules that decide otherwise by it (the rule itself, or those that take limits from the table), with what becomes of their alarms."""

    @property
    def silent(self) -> bool:
        """Say whether the content changed under the same version, or an exception under the same approval: its name would mean two."""
        return self.change == "changed" and self.old == self.new

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "of": self.of, "id": self.id, "change": self.change, "title": self.title.model_dump(),
            "old": self.old, "new": self.new,
            "changes": [{"pointer": at, "old": old, "new": new} for at, old, new in self.changes],
            "migrations": dict(self.migrations),
        }  # fmt: skip


def differences(old: Bundle, new: Bundle) -> list[Difference]:
    """Return what differs: rules, tables, exceptions, calendars, each by id. Tests are no part of a bundle and are not compared."""
    rules = _compare("rule", {rule.id: rule for rule in old.rules}, {rule.id: rule for rule in new.rules})
    moved = migrations(old, new)
    of_table: dict[str, list[str]] = {}
    for rule in new.rules:
        if rule.id in moved and (table := table_of(rule)) is not None:
            of_table.setdefault(table, []).append(rule.id)
    excepted = [{one.id: one for one in bundle.exceptions} for bundle in (old, new)]
    found = rules + _compare("table", old.tables, new.tables) + _compare("exception", *excepted)
    found += _compare("calendar", old.calendars, new.calendars)
    return [
        replace(one, migrations=tuple((rule, moved[rule]) for rule in _moved_by(one, of_table) if rule in moved))
        for one in found
    ]


def _moved_by(one: Difference, of_table: Mapping[str, list[str]]) -> list[str]:
    if one.of == "rule":
        return [one.id]
    return of_table.get(one.id, []) if one.of == "table" else []


def _compare(
    of: Literal["rule", "table", "exception", "calendar"], old: Mapping[str, Part], new: Mapping[str, Part]
) -> list[Difference]:
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        part = after or before
        assert part is not None  # noqa: S101 - the name comes from one of both
        title = part.reason if isinstance(part, SiteException) else part.title
        versions = (_version(before), _version(after))
        if before is None or after is None:
            change: Literal["added", "removed"] = "added" if before is None else "removed"
            whole = tuple(walk(_members(before), _members(after))) if of == "exception" else ()
            found.append(Difference(of, name, change, title, *versions, whole))
        elif steps := tuple(walk(_content(before), _content(after))):
            found.append(Difference(of, name, "changed", title, *versions, steps))
    return found


def _version(part: Part | None) -> str | None:
    if isinstance(part, SiteException):
        return f"{part.approver} {part.approved_date}"
    return None if part is None else str(getattr(part, "version", None) or getattr(part, "edition", ""))


def _members(part: Part | None) -> dict[str, Any]:
    return {} if part is None else _content(part)


def _content(part: Part) -> dict[str, Any]:
    """Return what the bundle's hash covers."""
    return part.model_dump(mode="json", by_alias=True, exclude={"tests"}, exclude_none=True)
