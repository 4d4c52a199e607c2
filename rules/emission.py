"""Make changes of transitions: ids, sequence, occurrence bookkeeping. One emitter serves one record of one facility."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules import formerly, formerpairs, pairdoors
from rules.changes import Change, ChangeKind, Evidence, Leaf, RecordRead, Source, Verdict, alarm_id
from rules.exceptions import ORIGIN
from rules.layout import CLEARED, GAP, KNOWN, NONE, RAISED, RETRACTED, STEPPED, UNKNOWN
from rules.models import Bilingual, Severity
from rules.occurrence import Difference, Occurrence, next_use, prune
from rules.records import Kind
from rules.rule import GapRule
from rules.wording import begun_anew, declared, evidence, excepted, message, unwatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.changes import Stage
    from rules.exceptions import SiteException
    from rules.layout import Array, Words
    from rules.marks import Declaration
    from rules.occurrence import Told
    from rules.pack import Bundle
    from rules.plan import Instance
    from rules.rule import Rule
    from rules.state import FacilityState

SEVERITIES = tuple(Severity)
_NAN = float("nan")
_KINDS = {
    RAISED: ChangeKind.RAISED,
    STEPPED: ChangeKind.STEPPED,
    UNKNOWN: ChangeKind.UNKNOWN,
    KNOWN: ChangeKind.KNOWN,
    CLEARED: ChangeKind.CLEARED,
    RETRACTED: ChangeKind.RETRACTED,
}


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks where no rule of a pack does: the monitor about itself."""

    id: str
    version: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition of one instance, read from the kernel's output."""

    row: int
    of: int
    inst: int
    kind: ChangeKind
    sev: int
    at: int
    received: int
    start: int
    end: int
    decided: int
    value: float
    peak: float
    first: int


class Emitter:
    """Collects the changes of one record for one facility, in publication order."""

    def __init__(
        self,
        state: FacilityState,
        bundle: Bundle,
        place: tuple[int, int] | None,
        *,
        shared: bool = False,
        batch: str | None = None,
    ) -> None:
        """Begin with nothing; `place` is the record's partition and offset, `batch` the id of a facility's readings."""
        self.state = state
        self.bundle = bundle
        self.shared = shared
        """A tick or packs: the partition's clock moves, not the facility's own."""
        self.changes: list[Change] = []
        self.by_time = False
        """What is decided now is due by time alone: the record only moved the clock, as a tick before it would have done."""
        self._batch_id = batch
        self._reads: list[RecordRead] | None = None
        self.failures: list[tuple[str, Exception]] = []
        """Rules that raised, with what they raised: for the log of the process, never for a change."""
        self._place = place
        self._source: Source | None = None
        self._told: list[tuple[Occurrence, Told, str | None]] = []
        """For each change: whose it was, and what had been told of it before, also by which alarm it was suppressed."""
        self._undo: list[tuple[int, Callable[[], None]]] = []
        self._named: dict[tuple[Kind, str], RecordRead] = {}
        """Records that evidence named: most changes of a record read the same few."""

    @property
    def reads(self) -> list[RecordRead]:
        """The record itself, where a facility sent it and it is being read; made when it is asked for, as most records change nothing."""
        if self.by_time:
            return []
        if self._reads is None:
            self._reads = [] if self._batch_id is None else [RecordRead(kind=Kind.READINGS, id=self._batch_id)]
        return self._reads

    @property
    def source(self) -> Source | None:
        """Where the record stands, None for a move of the clock without one."""
        if self._source is None and self._place is not None:
            self._source = Source(partition=self._place[0], offset=self._place[1])
        return self._source

    def on_take_back(self, undo: Callable[[], None]) -> None:
        """Let `undo` be called should the change that comes next be taken back."""
        self._undo.append((len(self.changes), undo))

    def take_back(self, mark: int, seq: int) -> None:
        """Take back the changes behind the first `mark`, and the sequence to `seq`."""
        while self._undo and self._undo[-1][0] >= mark:
            self._undo.pop()[1]()
        for occurrence, told, hidden in reversed(self._told[mark:]):
            occurrence.told, occurrence.hidden = told, hidden
        del self.changes[mark:], self._told[mark:]
        self.state.seq = seq

    def told_since(self, mark: int) -> list[tuple[Change, Occurrence]]:
        """Return the changes behind the first `mark`, each with the alarm that it was told of."""
        return list(zip(self.changes[mark:], (occurrence for occurrence, _, _ in self._told[mark:]), strict=True))

    def read(self, out: Array, n: int) -> list[Transition]:
        """Return the first `n` transitions of the kernel's output."""
        return [
            Transition(
                int(r["row"]), int(r["kind"]), int(r["inst"]), _KINDS[int(r["code"])], int(r["sev"]), int(r["at"]),
                int(r["recv"]), int(r["start"]), int(r["end"]), int(r["decided"]), float(r["value"]), float(r["peak"]),
                int(r["first"]),
            )
            for r in out[:n]
        ]  # fmt: skip

    def apply(self, kind: int, instance: Instance, transition: Transition, records: list[RecordRead]) -> Occurrence:
        """Book one transition on the instance's occurrence and emit its change."""
        if transition.kind is ChangeKind.RAISED:
            occurrence = self.open(kind, instance, transition.start, transition.sev, transition.decided)
        else:
            occurrence = self.current(kind, instance)
            occurrence.sev = transition.sev
            occurrence.top = max(occurrence.top, transition.sev)
            if transition.kind in {ChangeKind.UNKNOWN, ChangeKind.KNOWN}:
                occurrence.unknown = transition.kind is ChangeKind.UNKNOWN
            elif transition.kind in {ChangeKind.CLEARED, ChangeKind.RETRACTED}:
                occurrence.end, occurrence.closed = transition.end, transition.decided
                occurrence.unknown = False
                occurrence.retracted = transition.kind is ChangeKind.RETRACTED
        first = transition.first
        if kind == GAP:  # a silence has no first row: here stands how far the rows of a back-fill lead
            occurrence.filled, first = first, NONE
        self._of_instance(
            instance, occurrence, transition.kind, transition.at, transition.received, transition.value, records,
            peak=transition.peak, first=first, decided=transition.decided,
        )  # fmt: skip
        return occurrence

    def late(
        self, kind: int, instance: Instance, difference: Difference, at: int, received: int, records: list[RecordRead],
        *, late: bool = True,
    ) -> None:  # fmt: skip
        """Book and emit one difference that a late row made, or (not `late`) a partner's row that came in a later record."""
        new, occurrence = difference.new, difference.old
        then = (
            instance if new is None else _as_of(self.state, instance, new.opened if new.closed == NONE else new.closed)
        )
        value, peak, first = (_NAN, _NAN, NONE) if new is None else (new.value, new.peak, new.first)
        if occurrence is None:
            assert new is not None  # noqa: S101 - a raise has its new occurrence
            occurrence = self.open(kind, instance, new.start, new.top if new.end != NONE else new.sev, new.opened)
            begun = _as_of(self.state, instance, new.opened)
            self._of_instance(
                begun, occurrence, ChangeKind.RAISED, at, received, value, records, late=late, peak=peak, first=first,
                decided=new.opened,
            )  # fmt: skip
            occurrence.sev, occurrence.top, occurrence.unknown = new.sev, new.top, new.unknown
            if new.unknown:
                self._of_instance(instance, occurrence, ChangeKind.UNKNOWN, at, received, value, records, peak=peak)
            if new.end != NONE:
                occurrence.end, occurrence.closed = new.end, new.closed
                self._of_instance(then, occurrence, ChangeKind.CLEARED, at, received, new.closing, records, peak=peak)
            return
        if new is None:
            occurrence.retracted, occurrence.unknown = True, False
        else:
            self._rebook(occurrence, difference)
        if new is not None and difference.kind is ChangeKind.CLEARED:
            value = new.closing
        self._of_instance(
            then, occurrence, difference.kind, at, received, value, records,
            into=difference.into, peak=peak, first=first,
        )  # fmt: skip

    def _rebook(self, occurrence: Occurrence, difference: Difference) -> None:
        new = difference.new
        assert new is not None  # noqa: S101 - only retractions lack it
        occurrence.start = new.start
        occurrence.sev, occurrence.top = new.sev, new.top
        if difference.kind is ChangeKind.CLEARED or (difference.kind is ChangeKind.AMENDED and occurrence.end != NONE):
            occurrence.end = new.end
        if difference.kind in {ChangeKind.UNKNOWN, ChangeKind.KNOWN, ChangeKind.CLEARED}:
            occurrence.unknown = new.unknown

    def abandon(
        self, kind: int, instance: Instance, received: int, why: RecordRead, *, anew: bool = False, site: SiteException | None = None,
    ) -> None:  # fmt: skip
        """End the open occurrence of an instance that is no longer watched, or begins anew.

        Args:
            kind: of the instance.
            instance: of the plan that ends.
            received: the clock.
            why: the record that says so.
            anew: it begins anew.
            site: the exception that keeps the rule from watching, if it is that.
        """
        records = [why] if site is None else [why, RecordRead(kind=ORIGIN, id=site.id)]
        for occurrence in self.state.occurrences.get((kind, *instance.key), []):
            if occurrence.active:
                occurrence.end = max(received, occurrence.start)
                occurrence.closed = self.state.newest_of(instance)
                wording = (begun_anew if anew else unwatched) if site is None else partial(excepted, one=site)
                self.emit(
                    instance.rule, instance.subject, occurrence, ChangeKind.CLEARED, received, received,
                    wording(instance.label), Evidence(limits=list(instance.limits), records=records),
                )  # fmt: skip

    def open(self, kind: int, instance: Instance, start: int, sev: int, opened: int) -> Occurrence:
        """Add a new occurrence of an instance; its id counts earlier uses of the same start."""
        key = (kind, *instance.key)
        tail, draft = self.state.tail_of(instance), self.state.drafts.get(key)
        rows = prune(
            self.state.occurrences.get(key, []), tail, self.state.starts_of(instance), self.state.windows_of(instance)
        )
        known = rows if draft is None else [*draft.told, *rows]
        had = list(dict.fromkeys(o.alarm for o in known if o.first_start == start))
        alarm_of = partial(alarm_id, instance.rule.id, self.state.facility, instance.subject, start)
        use = next_use(had, alarm_of, self.state.seq)
        occurrence = Occurrence(alarm_of(use), start, start, NONE, sev, sev, opened)
        self.state.occurrences[key] = [*rows, occurrence]
        return occurrence

    def current(self, kind: int, instance: Instance) -> Occurrence:
        """Return the open occurrence of an instance."""
        return next(o for o in reversed(self.state.occurrences[kind, *instance.key]) if o.active)

    def active(self, kind: int, instance: Instance) -> Occurrence | None:
        """Return the open occurrence of an instance, or None."""
        rows = self.state.occurrences.get((kind, *instance.key), [])
        return next((o for o in reversed(rows) if o.active), None)

    def marked(
        self, instance: Instance, occurrence: Occurrence, mark: Declaration, received: int, records: list[RecordRead]
    ) -> None:
        """Emit `amended` of an alarm that stands although the firm marked its time; the mark is in the evidence."""
        leaf = Leaf(
            expr=f"mark {mark.name}", left=mark.flag, op="covers", right=instance.label, verdict=Verdict.TRUE,
        )  # fmt: skip
        proof = Evidence(
            leaves=[leaf], limits=list(instance.limits), records=self.read_of(instance.reads, NONE, records, received),
            marks=self._marks(instance, occurrence, received),
        )  # fmt: skip
        text = declared(instance.label, mark)
        self.emit(instance.rule, instance.subject, occurrence, ChangeKind.AMENDED, mark.begin, received, text, proof)

    def _marks(self, instance: Instance, occurrence: Occurrence, received: int) -> list[str]:
        """Return the marks of the series of an instance that overlap an occurrence up to now, as they stand, by beginning."""
        state = self.state
        if not state.marks.by_id:
            return []
        end = received if occurrence.end == NONE else occurrence.end
        sensors = [state.planned.sensors[slot] for slot in instance.reads]
        over = {
            one
            for sensor in sensors
            for one in state.marks.of(sensor.tag, sensor.area)
            if state.marks.overlaps(one, sensor.tag, sensor.area, occurrence.start, end)
        }
        return [one.name for one in sorted(over, key=lambda one: (one.begin, one.id))]

    def cover(
        self, instance: Instance, occurrence: Occurrence, kind: ChangeKind, at: int, received: int, by: str | None
    ) -> None:
        """Emit `suppressed`, `released` or a retraction of a tag's alarm."""
        self._of_instance(instance, occurrence, kind, at, received, _NAN, [], by=by)

    def _of_instance(
        self, instance: Instance, occurrence: Occurrence, kind: ChangeKind, at: int, received: int, value: float,
        records: list[RecordRead], *, late: bool = False, by: str | None = None, into: str | None = None,
        peak: float = _NAN, first: int = NONE, decided: int = NONE,
    ) -> None:  # fmt: skip
        read = self.read_of(instance.reads, first, records, received)
        proof = evidence(instance, kind, value, peak, read, into)
        doors = pairdoors.leaf(self.state, instance, decided) if kind is ChangeKind.RAISED else None
        if doors is not None:
            proof = proof.model_copy(update={"leaves": [*proof.leaves, doors]})
        if marks := self._marks(instance, occurrence, received):
            proof = proof.model_copy(update={"marks": marks})
        self.emit(
            instance.rule, instance.subject, occurrence, kind, at, received, message(instance, kind, value), proof,
            late=late, by=by,
        )  # fmt: skip

    def read_of(
        self, slots: Words | tuple[int, ...], first: int, records: list[RecordRead], received: int
    ) -> list[RecordRead]:
        """Return the records that a decision read: the first row's batch, the deciding one, the register version.

        What the clock decides read the newest row that was folded of the series in `slots`. A batch that is not kept any
        more when it is decided (`received`, ms) has no name; in-between ones are not named.
        """
        state = self.state
        decided = records
        if not records:
            newest = slots[0] if len(slots) == 1 else slots[int(state.column("recv", np.asarray(slots)).argmax())]
            decided = self._batch(state.of_series("batch", newest), received)
        found = [*self._batch(first, received), *decided]
        return [
            *(read for i, read in enumerate(found) if read not in found[:i]),
            self._read(Kind.REGISTER, str(state.version)),
        ]

    def _batch(self, number: int, received: int) -> list[RecordRead]:
        name = None if number == NONE else self.state.batches.name(number, received)
        return [] if name is None else [self._read(Kind.READINGS, name)]

    def _read(self, kind: Kind, name: str) -> RecordRead:
        read = self._named.get((kind, name))
        if read is None:
            read = self._named[kind, name] = RecordRead(kind=kind, id=name)
        return read

    def emit(
        self, rule: Rule | Voice, subject: dict[str, str], occurrence: Occurrence, kind: ChangeKind, at: int, received: int,
        text: Bilingual, proof: Evidence, *, late: bool = False, by: str | None = None,
    ) -> None:  # fmt: skip
        """Append one change with the next `seq`; a retraction is told to the groups that cover the alarm."""
        state = self.state
        state.seq += 1
        if kind is ChangeKind.RETRACTED:
            state.groups.retracted(occurrence.alarm)
        if isinstance(rule, GapRule):
            state.unsettled.add(("tag", subject["tag"]) if "tag" in subject else ("area", subject.get("area", "")))
        if kind is ChangeKind.RAISED:
            occurrence.version, occurrence.packs = rule.version, self.bundle.sha256
        sev = occurrence.sev if occurrence.active else occurrence.top
        self.changes.append(
            Change(
                stream=state.facility,
                seq=state.seq,
                facility=state.facility,
                alarm=occurrence.alarm,
                rule=rule.id,
                version=occurrence.version or rule.version,
                packs=occurrence.packs or self.bundle.sha256,
                subject=subject,
                change=kind,
                severity=SEVERITIES[sev if kind is not ChangeKind.CLEARED else occurrence.sev],
                stage=rule.stage,
                start=occurrence.start,
                end=None if occurrence.end == NONE else occurrence.end,
                at=at,
                received=received,
                late=late,
                message=text,
                evidence=proof,
                by=by,
                source=self.source,
            )
        )
        self._told.append((occurrence, occurrence.told, occurrence.hidden))
        occurrence.tell(kind, by)


def _as_of(state: FacilityState, instance: Instance, t: int) -> Instance:
    """Return an instance with what it was judged by at an event time (ms)."""
    return formerpairs.as_of(state, instance, t) if instance.slots else formerly.as_of(state, instance, t)
