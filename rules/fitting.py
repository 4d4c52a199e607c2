"""Keep a change within its bounds (contracts.md §4): evidence of at most 64 KiB, cut lists say how many were left out.

Both the live worker and `offsite evaluate` send every change through here, so that they cut alike.
"""

from __future__ import annotations

import json
from typing import Any

from rules.changes import Change, Evidence
from rules.models import Bilingual

EVIDENCE_BYTES = 64 * 1024
CHANGE_BYTES = 256 * 1024
"""No change is larger; the alarms topic accepts more."""
_LISTS = ("records", "marks", "suppresses", "leaves", "limits")
"""Lists of evidence, those that are cut first in front."""
RULE_FAILED = "register.rule-failed"


def change_bytes(change: Change) -> bytes:
    """Return the JSON of a change as it stands in the alarms topic."""
    return _dump(change.to_json())


def fit(change: Change) -> Change:
    """Return the change with its evidence cut to 64 KiB; one that is still too large becomes a small rule-failed.

    Its (stream, seq) stays: the sequence of a stream has no holes.
    """
    change = change.model_copy(update={"evidence": _cut(change.evidence)})
    if len(change_bytes(change)) <= CHANGE_BYTES:
        return change
    size = len(change_bytes(change))
    return change.model_copy(
        update={
            "rule": RULE_FAILED,
            "subject": {},
            "message": Bilingual(
                en=f"A change of rule {change.rule[:200]} was too large to publish ({size} bytes)",
                zh=f"规则 {change.rule[:200]} 的变更过大，无法发布（{size} 字节）",
            ),
            "evidence": Evidence(left_out={"evidence": 1}),
        }
    )


def _cut(evidence: Evidence) -> Evidence:
    size = _size(evidence)
    if size <= EVIDENCE_BYTES:
        return evidence
    left_out = dict(evidence.left_out)
    for name in _LISTS:
        members: list[Any] = getattr(evidence, name)
        if not members:
            continue
        keep = _fitting(evidence, name, left_out)
        left_out[name] = left_out.get(name, 0) + len(members) - keep
        evidence = evidence.model_copy(update={name: members[:keep], "left_out": dict(left_out)})
        if _size(evidence) <= EVIDENCE_BYTES:
            break
    return evidence


def _fitting(evidence: Evidence, name: str, left_out: dict[str, int]) -> int:
    """Return how many members of one list can stay, by halving."""
    members: list[Any] = getattr(evidence, name)
    low, high = 0, len(members)
    while low < high:
        middle = (low + high + 1) // 2
        counted = {**left_out, name: left_out.get(name, 0) + len(members) - middle}
        if _size(evidence.model_copy(update={name: members[:middle], "left_out": counted})) <= EVIDENCE_BYTES:
            low = middle
        else:
            high = middle - 1
    return low


def _size(evidence: Evidence) -> int:
    return len(_dump(evidence.model_dump(mode="json", exclude_none=True)))


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
