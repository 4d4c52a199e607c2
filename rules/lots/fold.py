"""The second fold: facts of lots in, changes of the streams `lot:<lot>` out (architecture.md; ADR 0072).

What stands of a lot at the end is a function of the set of its facts and the packs: the spells that the rules find (`judge`). Each fact is
taken, the spells are found anew and held against what was told; the differences go out. An alarm is one start at one facility, which make its
id: where late facts move either, the alarm is `retracted` (`into`: the other one) and the other `raised`; one that was retracted and holds
after all is `amended`. So whatever order facts come in, the alarms that are not retracted are the same in the end.

More than 400 lines: what is decided of a lot and what is said of that are one, and a rule that raises takes both back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rules.changes import Change, ChangeKind, Evidence, Leaf, RecordRead, Source, Verdict, alarm_id
from rules.errors import ContractError
from rules.failing import MONITOR, PASSED
from rules.layout import NONE
from rules.lots import corrections
from rules.lots.bounds import Quiet
from rules.lots.facts import Dark, Lit
from rules.lots.judge import MAX_SPELLS, concerns, spells_of
from rules.lots.ratio import MAX_RATED, with_rate
from rules.lots.speak import LISTED_FACILITIES, message_of, proof_of, read_of
from rules.lots.store import Failed, LotState, Told
from rules.models import Bilingual, Severity, Strict
from rules.records import SEMANTICS, Kind
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule, LotRule
from rules.wording import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.changes import Stage
    from rules.lots.facts import LotFact
    from rules.lots.rows import Corrected
    from rules.lots.spell import Spell
    from rules.pack import Bundle

_COLOURS = tuple(Severity)


class LotPartition(Strict):
    """What belongs to a partition of lots and to no lot; the marker of a checkpoint carries it."""

    packs: str = ""
    clock: int = NONE
    """Newest `received` of facts and packs, ms."""
    semantics: int = SEMANTICS


@dataclass(slots=True)
class _Partition:
    bundle: Bundle
    clock: int = NONE
    lots: dict[str, LotState] = field(default_factory=dict)
    quiet: Quiet = field(default_factory=Quiet)
    next: int = 0
    """The offset behind the facts that were folded, where it is known."""


@dataclass(frozen=True, slots=True)
class _Now:
    """What a decision is taken by: the event time of the fact, or the clock; the record; who told it; whether something newer had come."""

    at: int
    read: RecordRead
    facility: str
    late: bool
    source: Source | None
    corrected: Corrected | None = None
    """The fact is a revision that took the place of another."""


class LotFold:
    """The fold over facts of lots; one object serves any number of partitions.

    `bundle` is the set of packs before the first `adopt` of a partition. `on_failure` hears of a rule that raised: stream, rule, and what it raised.
    """

    def __init__(self, bundle: Bundle, on_failure: Callable[[str, str, Exception], None] | None = None) -> None:
        self.bundle = bundle
        self._on_failure = on_failure
        self._bundles = {bundle.sha256: bundle}
        self._rules: dict[str, tuple[LotRule, ...]] = {}
        self._partitions: dict[int, _Partition] = {}

    def fold(self, partition: int, fact: LotFact, source: tuple[int, int] | None) -> list[Change]:
        """Fold one fact; returns its changes in publication order. One that came before, by (facility, n), changes nothing.

        Args:
            partition: of the lots' topic.
            fact: to fold.
            source: partition and offset at which it stands, for `source` of the changes.
        """
        part = self._partition(partition)
        part.next = part.next if source is None else max(part.next, source[1] + 1)
        state = part.lots.get(fact.lot)
        if state is None:
            offset = None if source is None else source[1]
            state = part.lots[fact.lot] = part.quiet.begin(fact.lot, fact.facility, offset)
            part.quiet.let_go(part.lots, state)
        if state.book.knows(fact):
            return []
        part.clock = max(part.clock, fact.received)
        state.received = max(state.received, fact.received)
        state.dirty = True
        late = fact.told.late if isinstance(fact.told, Dark) else fact.at < state.newest
        if fact.told.fact not in {"decided", "dark", "lit", "entered"}:  # they say nothing of when something happened
            state.newest = max(state.newest, fact.at)
        new, rescoped = state.book.take(fact), state.book.rescoped
        whole = fact.until is None or state.book.has(fact.facility, fact.until)
        if not rescoped and not (whole and (new or fact.until is not None)):
            return []
        read = RecordRead(kind=fact.record.kind, id=fact.record.id)
        place = None if source is None else Source(partition=source[0], offset=source[1])
        speaker = _Speaker(
            state, part.bundle.sha256, _Now(fact.at, read, fact.facility, late, place, state.book.corrected)
        )
        quiet = not state.seq
        for rule in self._rules_of(part.bundle):
            if isinstance(rule, LotFollowUpRule) and rescoped:
                self._attempt(speaker, rule)
            elif whole and (rescoped or concerns(rule, fact, state.book)):
                self._attempt(speaker, rule, fact)
        if quiet and state.seq:
            part.quiet.speaks(state)
        return speaker.changes

    def adopt(
        self, partition: int, bundle: Bundle, received: int, *, but: Callable[[str], bool] = lambda _: False
    ) -> list[Change]:
        """Let packs come into force for a partition (at `received`, ms): every lot is decided again by all that is known of it.

        So is one that was let go of and whose state row is not written yet: if there is something to say of it, it stays. What no rule watches any more is cleared; rules that were put aside are tried again. The same packs change nothing.

        Args:
            partition: of the lots' topic.
            bundle: the packs.
            received: when they came, ms.
            but: lots that were decided by these packs, or by later ones, before: their snapshot is of behind this record.
        """
        part = self._partition(partition)
        bundle = self._bundles.setdefault(bundle.sha256, bundle)
        if bundle.sha256 == part.bundle.sha256:
            return []
        part.bundle, part.clock = bundle, max(part.clock, received)
        rules = self._rules_of(bundle)
        read = RecordRead(kind=Kind.PACKS, id=bundle.sha256)
        changes: list[Change] = []
        for lot in sorted(lot for lot in [*part.lots, *part.quiet.going] if not but(lot)):
            going = lot not in part.lots  # all is known of it until its row is written
            state = part.quiet.going[lot] if going else part.lots[lot]
            before = state.received
            at = state.received = max(before, received)
            speaker = _Speaker(state, bundle.sha256, _Now(at, read, "", late=False, source=None))
            quiet = not state.seq
            speaker.resume()
            speaker.leave({rule.id for rule in rules})
            for rule in rules:
                self._attempt(speaker, rule)
            if speaker.changes:
                state.dirty = True
            else:
                state.received = before
            if going and state.seq:
                part.lots[lot] = part.quiet.stays(lot)
            elif quiet and state.seq:
                part.quiet.speaks(state)
            changes += speaker.changes
        return changes

    def know(self, bundle: Bundle) -> None:
        """Make a bundle known, so that partitions that name it can be restored."""
        self._bundles[bundle.sha256] = bundle

    def lots(self, partition: int) -> list[str]:
        """Return the lots of a partition, sorted."""
        return sorted(self._partition(partition).lots)

    def dirty(self, partition: int) -> list[str]:
        """Return the lots that changed, or were let go of, since `clean` was called for them, sorted."""
        part = self._partition(partition)
        return sorted([*part.quiet.going, *(lot for lot, state in part.lots.items() if state.dirty)])

    def clean(self, partition: int, lot: str) -> None:
        """Say that a snapshot holds all of a lot; of one that was let go of nothing is kept then."""
        part = self._partitions[partition]
        if not part.quiet.written(lot, part.next):
            part.lots[lot].dirty = False

    def holds(self, partition: int, lot: str) -> bool:
        """Say whether anything is known of a lot."""
        return lot in self._partition(partition).lots

    def state_of(self, partition: int, lot: str) -> LotState:
        """Return the books of a lot, to read.

        Raises:
            KeyError: no fact of it was folded.
        """
        return self._partition(partition).lots[lot]

    def kept(self, partition: int) -> tuple[int, int]:
        """Return how many lots a partition holds, and how many were let go of since the process began."""
        part = self._partitions.get(partition)
        return (0, 0) if part is None else (len(part.lots), part.quiet.dropped)

    def counters(self, partition: int) -> dict[str, int]:
        """Return how many lots and moves a partition holds, how many facts found no room, how many lots were let go of since the process began."""
        part = self._partition(partition)
        states = part.lots.values()
        books = [state.book for state in states]
        moves = sum(len(rows) for book in books for rows in book.moves.values())
        left_out = sum(book.left_out + book.links.left_out + book.portions.left_out for book in books)
        return {"lots": len(books), "lot_moves": moves, "lot_left_out": left_out, "lots_dropped": part.quiet.dropped}

    def snapshot(self, partition: int, lot: str) -> bytes:
        """Return the whole state of a lot; restoring it gives the same bytes again."""
        part = self._partitions[partition]
        return (part.quiet.row(lot, part.next) or part.lots[lot]).snapshot()

    def restore(self, partition: int, lot: str, snapshot: bytes) -> None:
        """Put a lot back as its snapshot says; one that was let go of is none, and who had told facts of it is known.

        Raises:
            SnapshotError: it is broken, of another format, or of another lot.
        """
        part, state = self._partition(partition), LotState.restored(lot, snapshot)
        before = part.lots.pop(lot, None)
        if before is not None and not before.seq:
            part.quiet.speaks(before)
        if part.quiet.restored(state):
            part.lots[lot] = state

    def partition_state(self, partition: int) -> LotPartition:
        """Return what the marker of a checkpoint carries."""
        part = self._partition(partition)
        return LotPartition(packs=part.bundle.sha256, clock=part.clock)

    def restore_partition(self, partition: int, state: LotPartition) -> None:
        """Put a partition back as its marker says.

        Raises:
            ContractError: another engine semantics wrote it, or its packs are not here.
        """
        if state.semantics != SEMANTICS:
            raise ContractError(
                f"lots of partition {partition} have engine semantics {state.semantics}, not {SEMANTICS}"
            )
        bundle = self._bundles.get(state.packs or self.bundle.sha256)
        if bundle is None:
            raise ContractError(f"lots of partition {partition} have packs {state.packs[:12]} that are not here")
        part = self._partition(partition)
        part.bundle, part.clock = bundle, state.clock

    def drop(self, partition: int) -> None:
        """Forget a partition that was revoked."""
        self._partitions.pop(partition, None)

    def _partition(self, partition: int) -> _Partition:
        if partition not in self._partitions:
            self._partitions[partition] = _Partition(self.bundle)
        return self._partitions[partition]

    def _rules_of(self, bundle: Bundle) -> tuple[LotRule, ...]:
        found = self._rules.get(bundle.sha256)
        if found is None:
            live = [rule for rule in bundle.rules if rule.stage in {"live", "shadow"}]
            found = self._rules[bundle.sha256] = tuple(rule for rule in live if isinstance(rule, LotRule))
        return found

    def _attempt(self, speaker: _Speaker, rule: LotRule, fact: LotFact | None = None) -> None:
        """Decide one rule on a lot, whole or not at all; one that raises is put aside there until other packs come.

        Where a fact is of a trip, and the rule looks at trips, those trips alone are decided of which it says something else.
        """
        state = speaker.state
        if state.is_muted(rule.id):
            return
        told, mark, seq = [replace(one) for one in state.told.get(rule.id, ())], len(speaker.changes), state.seq
        try:
            if isinstance(rule, LotFollowUpRule) and fact is not None and isinstance(fact.told, Dark | Lit):
                asker = state.book.standing.asker(rule)
                for trip in state.book.links.touched:
                    speaker.decide(rule, state.book.links.spells_of(trip, rule, asker), trip)
            else:
                speaker.decide(rule, spells_of(rule, state.book))
        except PASSED:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a rule raises, the others go on
            del speaker.changes[mark:]
            state.seq = seq
            state.keep(rule.id, told)
            speaker.put_aside(rule, type(error).__name__)
            if self._on_failure is not None:
                self._on_failure(state.stream, rule.id, error)


class _Speaker:
    """Holds what rules find of one lot against what was told, and says what differs."""

    def __init__(self, state: LotState, packs: str, now: _Now) -> None:
        self.state = state
        self.packs = packs
        self.now = now
        self.changes: list[Change] = []

    def decide(self, rule: LotRule, spells: list[Spell], trip: str | None = None) -> None:
        """Say by what the spells of a rule differ from its alarms: those of the spells by start, then what does not hold.

        With a `trip` the spells are those of it, and alarms of others stay as they are.
        """
        ratio, since = isinstance(rule, LotRatioRule), self.state.book.portions.judged_from
        most = MAX_RATED if ratio else len(spells) if isinstance(rule, LotFollowUpRule) else MAX_SPELLS
        spells, full = spells[-most:] if most else [], len(spells) > most
        whole = self.state.told.get(rule.id, ())
        others = [one for one in whole if trip not in {None, one.trip}]
        told = [one for one in whole if trip in {None, one.trip}]
        known = {one.key: one for one in told}
        for spell in spells:
            one = known.get(spell.key)
            if one is None:
                told.append(self._raise(rule, spell))
            else:
                self._compare(rule, spell, one)
        found = {spell.key for spell in spells}
        for one in told:  # what is beyond those is not looked at any more
            beyond = (full and (one.start, one.lot) < (spells[0].start, spells[0].lot)) or (ratio and one.start < since)
            if one.key not in found and not one.retracted and not beyond:
                self._retract(rule, one, spells, told)
        self.state.keep(rule.id, [*others, *told])

    def _raise(self, rule: LotRule, spell: Spell) -> Told:
        base = rule.severity.base
        alarm = alarm_id(rule.id, spell.facility, self._subject(spell), spell.start, spell.use)
        one = Told(
            alarm, spell.start, NONE, spell.facility, base.rank, rule.version, self.packs, rule.stage,
            facilities=spell.facilities, use=spell.use, trip=spell.trip, lot=spell.lot,
        )  # fmt: skip
        if self.state.recall(rule.id, alarm):
            one.end = spell.end
            self._tell(rule, one, ChangeKind.AMENDED, spell)
            return one
        self._tell(rule, one, ChangeKind.RAISED, spell, late=self.now.late)
        if spell.end != NONE:
            one.end = spell.end
            self._tell(rule, one, ChangeKind.CLEARED, spell)
        return one

    def _compare(self, rule: LotRule, spell: Spell, one: Told) -> None:
        one.stage = rule.stage
        if one.retracted or one.end not in {NONE, spell.end}:
            one.retracted, one.unknown, one.end, one.facilities = False, False, spell.end, spell.facilities
            self._tell(rule, one, ChangeKind.AMENDED, spell)
        if one.unknown:
            one.unknown = False
            self._tell(rule, one, ChangeKind.KNOWN, spell)
        if one.rank != rule.severity.base.rank and one.stands:
            one.rank = rule.severity.base.rank
            self._tell(rule, one, ChangeKind.STEPPED, spell)
        if one.end != spell.end:
            one.end = spell.end
            self._tell(rule, one, ChangeKind.CLEARED, spell)
        elif one.stands and one.facilities != spell.facilities:
            one.facilities = spell.facilities
            self._tell(rule, one, ChangeKind.AMENDED, spell)

    def _retract(self, rule: LotRule, one: Told, spells: list[Spell], told: list[Told]) -> None:
        one.retracted, one.unknown = True, False
        near = [s for s in spells if (s.trip, s.lot) == (one.trip, one.lot)]
        beside = [s for s in near if one.end == NONE or s.start < one.end if s.end == NONE or one.start < s.end]
        # Clusters last side by side: the nearest is what became of it.
        if not isinstance(rule, LotBalanceRule | LotFollowUpRule):
            beside.sort(key=lambda s: (abs(s.start - one.start), s.start))
        over = next(iter(beside), None)
        into = None if over is None else next(t.alarm for t in told if t.key == over.key)
        self._tell(rule, one, ChangeKind.RETRACTED, over, into=into)

    def _tell(
        self, rule: LotRule, one: Told, kind: ChangeKind, spell: Spell | None, *, late: bool = False, into: str | None = None
    ) -> None:  # fmt: skip
        now = self.now
        read = [read_of(now.read.kind, now.read.id, now.facility, one.facility)]
        corrected = now.corrected
        if corrected is not None:
            name = f"{corrected.report}/{corrected.before.revision}"
            read.insert(0, read_of("report", name, corrected.facility, one.facility))
        facilities = one.facilities if spell is None else spell.facilities
        proof = Evidence(records=read, facilities=list(facilities[:LISTED_FACILITIES]))
        if spell is not None:
            spell = with_rate(rule, self.state.book, spell) if isinstance(rule, LotRatioRule) else spell
            proof = proof_of(rule, spell, read, into, facility=one.facility)
        if kind is ChangeKind.RETRACTED:
            said = [] if corrected is None else corrections.leaves_of(rule, corrected)
            said += [] if spell is not None else corrections.leaves_now(rule, self.state.book, one)
            proof = proof.model_copy(update={"leaves": [*said, *proof.leaves]})
        closed = spell is not None and spell.closed is not None
        text = message_of(one.lot or self.state.lot, rule.title, kind, facilities, closed=closed, trip=one.trip)
        self._emit(rule.id, one, kind, self._subject(one), text, proof, late=late)

    def _subject(self, one: Told | Spell) -> dict[str, str]:
        return {"lot": one.lot or self.state.lot, **({"trip": one.trip} if one.trip else {})}

    def _emit(
        self, rule: str, one: Told, kind: ChangeKind, subject: dict[str, str], text: Bilingual, proof: Evidence, *, late: bool = False
    ) -> None:  # fmt: skip
        state, now = self.state, self.now
        state.seq += 1
        self.changes.append(
            Change(
                stream=state.stream, seq=state.seq, facility=one.facility, alarm=one.alarm, rule=rule,
                version=one.version, packs=one.packs, subject=subject, change=kind, severity=_COLOURS[one.rank],
                stage=one.stage, start=one.start, end=None if one.end == NONE else one.end, at=now.at,
                received=state.received, late=late, message=text, evidence=proof, source=now.source,
            )
        )  # fmt: skip

    def leave(self, rules: set[str]) -> None:
        """End the alarms of rules that are not in force any more."""
        for rule in sorted(self.state.told.keys() - rules):
            for one in self.state.told[rule]:
                if one.stands:
                    one.end, one.unknown = max(self.state.received, one.start), False
                    proof = Evidence(records=[self.now.read])
                    text = unwatched(one.lot or self.state.lot)
                    self._emit(rule, one, ChangeKind.CLEARED, self._subject(one), text, proof)

    def put_aside(self, rule: LotRule, error: str) -> None:
        """Put a rule aside: the operators' alarm, and unknown for what it had told and not ended."""
        state, start = self.state, self.state.received
        before = state.failed.get(rule.id)
        use = before.use + 1 if before is not None and before.start == start else 1
        facility = self.now.facility or self._someone()
        subject = {"system": rule.id, **state.subject}
        alarm = alarm_id(MONITOR.id, facility, subject, start, use)
        state.failed[rule.id] = Failed(alarm, facility, start, use, self.packs)
        text = Bilingual(
            en=f"Rule {rule.id} failed on {' '.join(next(iter(state.subject.items())))} and is put aside there until the rule packs change",
            zh=f"规则 {rule.id} 对{'产品' if 'product' in state.subject else '批号'} {next(iter(state.subject.values()))} 运行出错，已停用至规则包更新",
        )
        leaf = Leaf(expr=f"rule {rule.id}", left=error, op="raised", verdict=Verdict.UNKNOWN)
        proof = Evidence(leaves=[leaf], records=[self.now.read])
        self._emit(MONITOR.id, self._operators(state.failed[rule.id]), ChangeKind.RAISED, subject, text, proof)
        for one in state.told.get(rule.id, ()):
            if one.stands and not one.unknown:
                one.unknown = True
                text = message_of(one.lot or state.lot, rule.title, ChangeKind.UNKNOWN, one.facilities, trip=one.trip)
                self._emit(rule.id, one, ChangeKind.UNKNOWN, self._subject(one), text, proof)

    def resume(self) -> None:
        """Let rules that were put aside be tried again."""
        for rule, failed in sorted(self.state.failed.items()):
            if not failed.muted:
                continue
            failed.muted = False
            one = self._operators(failed)
            one.end = max(self.state.received, failed.start)
            subject = {"system": rule, **self.state.subject}
            text = Bilingual(en=f"Rule {rule} is tried again", zh=f"规则 {rule} 重新启用")
            self._emit(MONITOR.id, one, ChangeKind.CLEARED, subject, text, Evidence(records=[self.now.read]))

    def _operators(self, failed: Failed) -> Told:
        stage: Stage = MONITOR.stage
        return Told(
            failed.alarm, failed.start, NONE, failed.facility, Severity.ORANGE.rank, MONITOR.version, failed.packs, stage
        )  # fmt: skip

    def _someone(self) -> str:
        """Return a facility of the lot, where packs and no fact decide: the first by id."""
        return min(self.state.book.tellers())
