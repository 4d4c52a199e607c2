"""Which upload a record of the log names: marks and amendments may, by its SHA-256 (contracts.md §1, ADR 0077)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rules.records import Mark, Report

if TYPE_CHECKING:
    from rules.changes import Evidence
    from rules.records import Payload

AMENDMENT: Final = "amendment"
KINDS: Final = ("mark", "report")
MOST_DIGITS: Final = 10
"""Of a revision."""
Name = tuple[str, str, int]
"""Kind, id and revision of a record."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def proof_of(payload: Payload) -> str | None:
    """Return the SHA-256 in lower case that a mark or an amendment names; any other `proof` is an id of the firm's own.

    >>> from rules.records import Mark
    >>> mark = {"id": "M-1", "revision": 1, "area": "CR1", "flag": "fault", "from": 0, "reason": "r", "author": "u"}
    >>> proof_of(Mark.model_validate(mark | {"proof": "AB" * 32})) == "ab" * 32
    True
    >>> proof_of(Mark.model_validate(mark | {"proof": "WO-5513"}))
    """
    if isinstance(payload, Mark):
        named: object = payload.proof
    elif isinstance(payload, Report) and payload.type == AMENDMENT:
        named = payload.fields.get("proof")
    else:
        return None
    return named.lower() if isinstance(named, str) and _SHA256.fullmatch(named) else None


def names_in(evidence: Evidence, facility: str) -> dict[str, set[Name]]:
    """Return the marks and reports that evidence names, by facility: that of a lot says whose a record is, where it is another's.

    >>> from rules.changes import Evidence
    >>> names_in(Evidence(marks=["M-7/2"]), "BJ-MFR-0007")
    {'BJ-MFR-0007': {('mark', 'M-7', 2)}}
    """
    found: dict[str, set[Name]] = {facility: set()}
    told = [("mark", name) for name in evidence.marks]
    for kind, name in [*told, *((read.kind, read.id) for read in evidence.records if read.kind in KINDS)]:
        teller, _, own = name.rpartition(" ")
        record, _, revision = own.rpartition("/")
        if record and revision.isascii() and revision.isdigit() and len(revision) < MOST_DIGITS:
            found.setdefault(teller or facility, set()).add((kind, record, int(revision)))
    return found
