"""Which decisions of an officer end a latched alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rules.records import Decision

CLOSING: Final = frozenset(
    {"false-alarm", "equipment-fault", "marked-state", "breach", "data-fraud", "duplicate", "close-latched"}
)
"""Codes of a decision that end a latched alarm (settled.md)."""


def closes(payload: Decision) -> str | None:
    """Return the latched alarm that a decision ends, None: it ends none.

    `data-fraud` needs a second officer (settled.md): without one it closes nothing.
    """
    fraud = payload.code == "data-fraud"
    if payload.code not in CLOSING or (fraud and payload.second in {None, payload.officer}):
        return None
    return payload.subject.get("alarm")
