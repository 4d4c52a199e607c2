"""Changes for the tests of this folder: plausible lives of alarms of one or several streams."""

from __future__ import annotations

from hypothesis import strategies as st

from monitor.alarms.incoming import Incoming
from rules.changes import Change, ChangeKind, alarm_id
from rules.models import Bilingual, Severity

PACKS = "sha256:" + "0" * 64
NAMES = ("A1", "B2", "C3")


def change(seq, kind="raised", *, stream="A1", tag="T1", severity="orange", start=1_000_000, end=None, **more):
    at = more.pop("at", start + seq * 1000)
    return Change(
        stream=stream, seq=seq, facility=stream, alarm=alarm_id("cold-chain.store-out", stream, {"tag": tag}, start),
        rule="cold-chain.store-out", version="1.0.0", packs=PACKS, subject={"tag": tag}, change=ChangeKind(kind),
        severity=Severity(severity), stage=more.pop("stage", "live"), start=start, end=end, at=at, received=at + 500,
        message=Bilingual(en=f"{tag} {kind} <b>&", zh=f"{tag} 报警"), **more,
    )  # fmt: skip


def incoming(changes, partition=0):
    return [
        Incoming(partition, i, c if isinstance(c, bytes) else c.model_dump_json().encode())
        for i, c in enumerate(changes)
    ]


@st.composite
def streams(draw):
    """Return the changes of up to three streams, each dense from 1, interleaved."""
    parts = []
    for name in NAMES[: draw(st.integers(1, 3))]:
        kinds = draw(st.lists(st.sampled_from(list(ChangeKind)), min_size=1, max_size=10))
        found = []
        for seq, kind in enumerate(kinds, start=1):
            tag = draw(st.sampled_from(["T1", "T2"]))
            raised = any(c.subject["tag"] == tag for c in found)
            chosen = kind if raised else ChangeKind.RAISED
            ended = chosen in {ChangeKind.CLEARED, ChangeKind.RETRACTED}
            severity = draw(st.sampled_from(list(Severity)))
            by = "f" * 32 if chosen is ChangeKind.SUPPRESSED else None
            found.append(change(seq, chosen.value, stream=name, tag=tag, severity=severity.value, by=by,
                                end=2_000_000 + seq if ended else None))  # fmt: skip
        parts.append(found)
    order = draw(st.permutations([i for i, part in enumerate(parts) for _ in part]))
    cursors = [iter(part) for part in parts]
    return [next(cursors[i]) for i in order]
