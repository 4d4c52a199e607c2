"""Compose the answer of `GET /v1/feed` from what the follower has seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from monitor.gateway.answers import (
    Arrived,
    ClockOffset,
    Conflicts,
    ConflictSeen,
    Feed,
    Findings,
    LeftOut,
    Note,
    OpenFinding,
    SequenceSeen,
    SeriesSeen,
    SilentSeries,
)
from monitor.gateway.texts import NOTES
from rules.records import QUALITY_NAMES

if TYPE_CHECKING:
    from collections.abc import Container

    from monitor.gateway.answers import Refusals
    from monitor.gateway.follower import Follower
    from monitor.gateway.ledger import FacilitySeen, Finding, Sequence
    from rules.posts import QualityName

SILENT_AFTER = 3
"""Times the typical spacing; the gap rules' own limits decide what becomes an alarm."""
EXAMPLES = 20


def feed_of(
    facility: str, follower: Follower, registered: Container[str], tags: frozenset[str] | None, refusals: Refusals
) -> Feed:
    """Return what arrived of a facility; `registered` are its known tags, `tags` those that the key is for (None: all)."""
    seen = follower.ledger.find(facility)
    as_of = follower.log.end
    series = _series(seen, registered, tags)
    findings = [f for f in seen.findings.values() if tags is None or f.last.subject.get("tag") in tags]
    return Feed(
        facility=facility,
        since=follower.log.begin,
        as_of=as_of,
        caught_up=follower.caught_up,
        clock_offset=_clock_offset(seen),
        arrived=[
            Arrived(kind=kind, records=records, last=last) for kind, (records, last) in sorted(seen.records.items())
        ],
        sequence=_sequence(seen.sequence),
        series=series,
        unknown_tags=[one.tag for one in series if not one.registered],
        gaps=[] if as_of is None else _gaps(series, as_of, max(0, seen.clock_offset() or 0)),
        refusals=refusals,
        findings=Findings(
            since=follower.alarms.begin,
            last_change=seen.last_change,
            open=[_finding(f) for f in sorted(findings, key=lambda f: (-f.last.severity.rank, f.last.start))],
            left_out=seen.findings_left_out,
            changes_missed=seen.changes_missed,
        ),
        left_out=LeftOut(readings=seen.series.left_out, future=seen.series.future),
        conflicts=Conflicts(
            count=seen.batches.conflicts,
            newest=[ConflictSeen(batch=one.batch, received=one.received) for one in seen.batches.newest],
        ),
        notes=_notes(seen, follower),
    )


def _series(seen: FacilitySeen, registered: Container[str], tags: frozenset[str] | None) -> list[SeriesSeen]:
    table = seen.series
    spacing = table.spacing().tolist()
    found = []
    for tag, i in sorted(table.slots.items()):
        if table.received[i] < 0 or (tags is not None and tag not in tags):
            continue  # only rows ahead of the clock so far: no reading to tell
        value = float(table.value[i])
        quality = cast("QualityName", QUALITY_NAMES[table.quality[i]])
        found.append(
            SeriesSeen(
                tag=tag,
                time=int(table.time[i]),
                value=None if math.isnan(value) else value,
                quality=quality,
                received=int(table.received[i]),
                registered=tag in registered,
                spacing_ms=None if spacing[i] < 0 else spacing[i],
            )
        )
    return found


def _gaps(series: list[SeriesSeen], as_of: int, offset: int) -> list[SilentSeries]:
    """Return what is silent at `as_of`; a clock that runs behind, or a feed that always comes late, is no silence."""
    return [
        SilentSeries(tag=one.tag, since=one.time, spacing_ms=one.spacing_ms)
        for one in series
        if one.spacing_ms is not None and as_of - one.time > SILENT_AFTER * one.spacing_ms + offset
    ]


def _clock_offset(seen: FacilitySeen) -> ClockOffset | None:
    median = seen.clock_offset()
    return None if median is None else ClockOffset(median_ms=median, records=len(seen.offsets))


def _sequence(sequence: Sequence) -> SequenceSeen | None:
    if sequence.highest is None:
        return None
    missing = list(sequence.missing)
    return SequenceSeen(highest=sequence.highest, missing=len(missing), examples=sorted(missing)[:EXAMPLES])


def _finding(finding: Finding) -> OpenFinding:
    last = finding.last
    return OpenFinding(
        alarm=last.alarm,
        rule=last.rule,
        subject=last.subject,
        severity=last.severity,
        start=last.start,
        received=last.received,
        message=last.message,
        suppressed=finding.suppressed,
        unknown=finding.unknown,
        silence=finding.silence,
    )


def _notes(seen: FacilitySeen, follower: Follower) -> list[Note]:
    said = ["bounds"]
    if not follower.caught_up:
        said.append("catching_up")
    if seen.findings_left_out or seen.changes_missed:
        said.append("findings_incomplete")
    if seen.batches.conflicts:
        said.append("batch_conflict")
    if seen.series.left_out:
        said.append("series_left_out")
    if seen.series.future:
        said.append("future")
    return [Note(code=code, text=NOTES[code]) for code in said]
