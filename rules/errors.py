"""The tree of errors. Doors (gateway, desk, broker) hang their own branches below it.

OffsiteError
├── BadInputError      a file, record or request is wrong: all faults at once     exit 3
├── PartMissingError   something that must run or be installed is not there       exit 4
└── ContractError      the log or the state breaks a promise; stop, do not guess  exit 4
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong, and where: `pointer` is a JSON pointer or `file:line:column`."""

    pointer: str
    code: str
    detail: str

    def __str__(self) -> str:
        """Return `where: code: what`."""
        return f"{self.pointer or '/'}: {self.code}: {self.detail}"


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults of files once each, by file, line and column as numbers, code and text.

    >>> [str(fault) for fault in in_order([Fault("a:10:1", "yaml", "x"), Fault("a:9:12", "yaml", "x"), Fault("a:9:2", "yaml", "x")])]
    ['a:9:2: yaml: x', 'a:9:12: yaml: x', 'a:10:1: yaml: x']
    """
    return sorted(set(faults), key=_place)


def _place(fault: Fault) -> tuple[str, tuple[int, ...], Fault]:
    parts = fault.pointer.rsplit(":", 2)
    if len(parts) == 3 and all(part.isdecimal() for part in parts[1:]):  # noqa: PLR2004 - file, line and column
        return parts[0], (int(parts[1]), int(parts[2])), fault
    return fault.pointer, (), fault


class OffsiteError(Exception):
    """Base of every error this product raises on purpose.

    `code` is stable (metric label, docs anchor), `retriable` says whether sending again can help, `action` is what an
    operator does about it.
    """

    code: ClassVar[str] = "offsite"
    retriable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 4
    action: ClassVar[str] = "Read the message; it names what to change."

    def report(self) -> str:
        """Return the text that a person at a terminal reads."""
        return f"{self}\n  {self.action}"


class BadInputError(OffsiteError):
    """Input from outside is wrong; carries every fault found, never only the first."""

    code = "bad_input"
    exit_code = 3
    action = "Correct the places named and run it again; nothing was applied."

    def __init__(self, what: str, faults: list[Fault]) -> None:
        self.what = what
        self.faults = faults
        super().__init__(f"{what}: {len(faults)} fault{'s' if len(faults) != 1 else ''}")

    def report(self) -> str:
        """List every fault on its own line."""
        unread = bool(self.faults) and all(fault.code == "unreadable" for fault in self.faults)
        action = "Check the path and who may read it; nothing was applied." if unread else self.action
        lines = [str(self), *(f"  {fault}" for fault in self.faults), f"  {action}"]
        return "\n".join(lines)


class PartMissingError(OffsiteError):
    """A real part (broker, database, Java, Chromium) is missing or does not answer."""

    code = "part_missing"
    retriable = True
    action = "Start or install the part named; then run the same command again."


class ContractError(OffsiteError):
    """The log, its topics or the state break a promise; going on would lose or invent something."""

    code = "contract_broken"
    action = "Stop the process, compare topics and state with `offsite topics verify`, and restore before going on."
