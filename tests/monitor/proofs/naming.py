"""Records that name uploads, as the log holds them."""

from __future__ import annotations

from rules.records import Kind, LogRecord, Mark, Report

FACILITY = "BJ-MFR-0007"
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def mark(proof, id_="M-1", revision=1, offset=0, received=1_000, facility=FACILITY):
    """A mark that names a proof."""
    payload = Mark.model_validate(
        {"id": id_, "revision": revision, "area": "CR1", "flag": "fault", "from": 0, "reason": "r", "author": "u-1", "proof": proof}
    )  # fmt: skip
    return LogRecord(0, offset, received, Kind.MARK, facility, payload)


def amendment(proof, id_="R-1", revision=1, offset=0, received=1_000, type_="amendment", facility=FACILITY):
    """A report that names a proof; only of an amendment it is one."""
    fields = {
        "readings": [{"tag": "CR1.T1", "time": 1, "old": 1, "new": 2}],
        "author": "u",
        "made_at": 1,
        "proof": proof,
    }
    payload = Report.model_validate({"type": type_, "id": id_, "revision": revision, "sent": 1, "fields": fields})
    return LogRecord(0, offset, received, Kind.REPORT, facility, payload)
