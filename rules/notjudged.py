"""What a facility sent that rules could not judge, or could no longer keep: the counters of its state that somebody has to see.

Other counters tell what is in order (duplicates, late rows); of these an alarm may be missing that there should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDS: Final = ("_dropped", "_left_out", "_too_large", "_unread", "_unreadable", "_unknown")
"""How the names of such counters end: no room for it, or nothing to judge it by (no calendar, no area, fields of another shape)."""


def not_judged(counters: Mapping[str, int]) -> dict[str, int]:
    """Return those of a facility's counters that say that something was not judged, without zeros.

    >>> not_judged({"rows": 9, "clock_unknown": 1, "document_too_large": 0, "report_unread": 2, "duplicate": 4})
    {'clock_unknown': 1, 'report_unread': 2}
    """
    return {name: count for name, count in counters.items() if count and name.endswith(ENDS)}
