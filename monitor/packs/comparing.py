"""How a bundle differs from what is in force, for people and as JSON: partitions with the same packs are told together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.exceptions import ended
from rules.faults import printable
from rules.instants import format_instant
from rules.pack import default_bundle
from rules.packdiff import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.pack import Bundle
    from rules.packdiff import Difference
    from rules.rule import Migration
    from streams.packs import Current

LINE = 120
"""Characters of a value that a line of a terminal shows; JSON has all."""

MIGRATIONS: dict[Migration, str] = {
    "carry": "carried on with the new numbers",
    "re-evaluate": "what the horizon holds is decided again with the new numbers",
    "close": "cleared; the rule begins anew",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would change in some partitions."""

    partitions: tuple[int, ...]
    sha256: str | None
    """Of what is in force there; None where nobody folded yet: the packs of this release stand in for it."""
    changes: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "partitions": list(self.partitions), "in_force": self.sha256,
            "changes": [change.to_json() for change in self.changes],
        }  # fmt: skip


def compared(seen: Sequence[Current], new: Bundle) -> list[Comparison]:
    """Compare a bundle with what is in force, once for each bundle that is."""
    groups: dict[str | None, list[Current]] = {}
    for found in seen:
        groups.setdefault(found.sha256, []).append(found)
    return [
        Comparison(
            tuple(found.partition for found in group),
            sha256,
            tuple(differences(group[0].bundle or default_bundle(), new)),
        )
        for sha256, group in groups.items()
    ]


def told(comparisons: Iterable[Comparison], new: Bundle) -> Iterator[str]:
    """Yield the lines that a person reads; names and texts come from outside and are shown, not obeyed."""
    yield f"these files: sha256 {new.sha256}, {counted(new)}"
    for each in comparisons:
        where = f"partitions {ranges(each.partitions)}"
        if each.sha256 is None:
            yield f"{where}: never folded, no packs published; compared with the packs of this release"
        else:
            yield f"{where}: in force is sha256 {each.sha256}"
        if not each.changes:
            yield "  no difference"
        for change in each.changes:
            yield from _change(change)


def _change(change: Difference) -> Iterator[str]:
    versions = {"added": change.new, "removed": change.old}.get(change.change, f"{change.old} -> {change.new}")
    title = f"{_short(change.title.zh)} / {_short(change.title.en)}"
    yield f"  {change.change} {change.of} {change.id} {printable(str(versions), LINE)}: {title}"
    for at, old, new in change.changes:
        yield f"    {printable(at, LINE)}: {_value(old)} -> {_value(new)}"
    for rule, how in change.migrations:
        name = "" if change.of == "rule" else f" of {rule}"
        yield f"    alarms{name} that stand: {MIGRATIONS[how]}"
    if change.change == "removed" and change.of == "rule":
        yield "    alarms that stand: cleared, no longer watched"
    if change.silent:
        said = (
            "under one approval; who approved the change?" if change.of == "exception" else "raise it, alarms name it"
        )
        yield f"    note: it changes and stays {printable(str(change.old), LINE)}; {said}"


def counted(bundle: Bundle) -> str:
    """Return how many rules, tables and exceptions there are, in words."""
    counts = [("rule", len(bundle.rules)), ("table", len(bundle.tables))]
    counts += [("calendar", len(bundle.calendars))] if bundle.calendars else []
    counts += [("exception", len(bundle.exceptions))] if bundle.exceptions else []
    return ", ".join(f"{n} {what}{'s' if n != 1 else ''}" for what, n in counts)


def past(bundle: Bundle, now_ms: int) -> Iterator[str]:
    """Yield a line for each exception that has ended: it decides nothing, and should not stay unnoticed."""
    for one in ended(bundle.exceptions, now_ms):
        yield f"note: exception {one.id} ended at {format_instant(one.to)}: take it out"


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as people write them.

    >>> ranges([0, 1, 2, 5])
    '0-2, 5'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _value(value: object) -> str:
    return "none" if value is None else _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return printable(text, LINE)
