"""The state of one facility: words, published occurrences, clock and sequence; what its snapshot holds of them.

Above 400 lines on purpose: what is kept and how it goes into a snapshot and comes back stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from rules import drafts, formerly, formerpairs, kernels, layout, opengaps, pairdoors, stored, sums
from rules.aside import Aside
from rules.batches import Batches
from rules.clocks import store as clocks
from rules.clocks.store import Clocks
from rules.declared import Declared
from rules.documents import store as documents
from rules.documents.store import Documents
from rules.excursions import book as excursions
from rules.figures.book import FigureBook
from rules.groups import Group, Groups
from rules.held import Held
from rules.horizon import STANDS_BITS
from rules.kept import Kept
from rules.kinds import difference, gap
from rules.kinds.table import CODES, KINDS, NAMES
from rules.layout import GAP, NEVER, NONE
from rules.lots.scopes import Registered, names_of
from rules.lots.telling import Telling
from rules.lots.watches import Watches
from rules.marks import Marks
from rules.migrate import FORMAT
from rules.occurrence import Occurrence
from rules.rare.feeds import Feed
from rules.rare.named import Named
from rules.rare.store import NOTHING, Rare
from rules.snapshot import Body, SnapshotError, sealed
from rules.stays import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rules.doorstates import Doors
    from rules.drafts import Draft
    from rules.excursions.book import Book
    from rules.layout import Codes, Floats, Words
    from rules.opengap import Gap
    from rules.plan import Instance, Plan

MAX_LEFT = 5_000
COUNTERS = ("rows", "duplicate", "conflict", "late", "stale", "future")


def _nothing() -> Words:
    return np.zeros(0, np.int64)


def _no_floats() -> Floats:
    return np.zeros(0)


@dataclass(slots=True)
class FacilityState:
    """Everything the fold knows of one facility."""

    partition: int
    facility: str
    version: int = -1
    clock: int = NONE
    seq: int = 0
    position: int = 0
    """Own records, ticks and packs before this offset are folded; ticks and packs behind it may be too."""
    plan: Plan | None = None
    packs: str = ""
    registered: dict[str, int] = field(default_factory=dict)
    """When each tag came into force: silence is counted from there."""
    left: dict[str, int] = field(default_factory=dict)
    """Newest event time of tags that are no longer registered: should one return, what was folded is not folded again.

    So with pairs that are no longer watched, by rule and name; no tag has a space.
    """
    unknown_tags: int = 0
    batches: Batches = field(default_factory=Batches)
    repeated: int = 0
    """Batches that came again, and changed nothing ..."""
    conflicting: int = 0
    """... and those whose id came again with other content."""
    occurrences: dict[tuple[int, str, str], list[Occurrence]] = field(default_factory=dict)
    groups: Groups = field(default_factory=Groups)
    """Silences of places."""
    rare: Rare = field(default_factory=Rare)
    """Events, decisions and checks of the register (rules/rare)."""
    excursions: dict[str, Book] = field(default_factory=dict)
    """Excursions and deviations, by the rule that compares them (rules/excursions)."""
    clocks: Clocks = field(default_factory=Clocks)
    """Submitted reports and legal clocks (rules/clocks)."""
    documents: Documents = field(default_factory=Documents)
    """What submitted reports say, as far as rules read it (rules/documents)."""
    telling: Telling = field(default_factory=Telling)
    """What is told of lots, for the second fold (rules/lots)."""
    figures: FigureBook = field(default_factory=FigureBook)
    """What figures over all facilities are made of (rules/figures)."""
    marks: Marks = field(default_factory=Marks)
    """What the firm declared of its series (rules/marks.py)."""
    stands: Words = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    """Slot, event time, bits of instances of each row that some take as it was folded; follows from `marks.standing`."""
    declared: Declared = field(default_factory=Declared)
    """Declared states of areas (rules/declared.py)."""
    aside: dict[str, Aside] = field(default_factory=dict)
    """Rules that raised here, by id (rules/failing.py)."""
    words: Words = field(default_factory=_nothing)
    """Headers of the series and the blocks of their instances (rules/layout.py)."""
    tails: Words = field(default_factory=_nothing)
    rings: Words = field(default_factory=_nothing)
    floats: Floats = field(default_factory=_no_floats)
    """The same memory as `words`, as floats; so with the next two."""
    tail_floats: Floats = field(default_factory=_no_floats)
    ring_floats: Floats = field(default_factory=_no_floats)
    past: formerly.Past = field(default_factory=dict)
    """Numbers that were in force before, by kind and key of their instance (rules/formerly.py)."""
    spans: dict[str, list[formerly.Span]] = field(default_factory=dict)
    """Registered limits that were in force before, of series that have summaries, by tag."""
    kept: list[Kept] = field(default_factory=list)
    """What each pair keeps of its inputs ..."""
    former: dict[tuple[str, str], list[formerpairs.Former]] = field(default_factory=dict)
    """... and what it was judged by before, by rule and name (rules/formerpairs.py)."""
    door_books: dict[tuple[str, str], Doors] = field(default_factory=dict)
    """What was told of the doors of pairs, by rule and name (rules/pairdoors.py) ..."""
    door_counts: dict[str, int] = field(default_factory=dict)
    """... and how many events of doors there were, and which were not read."""
    due: Words = field(default_factory=_nothing)
    """The earliest decision by the clock of each series, then of each pair; follows from the rest, as the next one does."""
    silent: Codes = field(default_factory=lambda: np.zeros(0, np.uint8))
    """Whether each series is silent; a pair never is."""
    late: Words = field(default_factory=lambda: np.full((0, 3), NONE))
    """Of each series the earliest and the newest row of its horizon that wait to be decided, NONE without (all wait for `clock` to be over), and
    whether rows that leave its horizon are kept ..."""
    held: Held = field(default_factory=Held)
    """... as late rows wait that are not in their places yet (rules/late.py)."""
    gaps: dict[str, list[Gap]] = field(default_factory=dict)
    """Open gaps behind which the tails stand (rules/opengaps.py), by tag, oldest first ..."""
    outside: dict[str, dict[int, tuple[int, float]]] = field(default_factory=dict)
    """... and rows that may lie in one and wait for `clock` to be over: by tag and event time, batch and quality in one number, and value."""
    drafts: dict[tuple[int, str, str], Draft] = field(default_factory=dict)
    """What late rows made of instances, by kind and key, that is told once `clock` is over (rules/drafts.py)."""
    doors: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Of each series, by tag, when our front door was closed behind its newest row, ms (rules/silence.py): that is no part of a distance."""
    unsettled: set[tuple[str, str]] = field(default_factory=set)
    """Silences of which something was said at `clock`, so that it waits to be settled which rule's alarm speaks (rules/overlap.py): ("tag", its
    tag) or ("area", its area, or empty for the facility)."""
    next_due: int = NEVER
    rises: Words | None = None
    """When each place falls silent, as `rules.places` found it with `next_due`; None where no series is silent."""
    floor: int = NONE
    """When registered facts or the front door last changed what is due; a move of time, so in no snapshot."""
    dirty: bool = True

    def is_muted(self, rule: str) -> bool:
        """Say whether a rule is put aside here because it raised."""
        aside = self.aside.get(rule)
        return aside is not None and aside.muted

    def is_by_other(self, rule: str, by: str) -> bool:
        """Say whether the alarm `by`, which suppresses a silence of a rule, is another rule's: not that of its own place."""
        group = self.groups.by_alarm(by)
        return group is None or group.rule != rule

    def is_covered(self, rule: str, by: str | None, area: str) -> bool:
        """Say whether a silence of a rule, of an area or in it, is suppressed by a place of its own rule that stands or is about to release it."""
        group = None if by is None else self.groups.by_alarm(by)
        return group is not None and group.rule == rule and group.place in {"", area} and group.holds

    def param(self, instance: Instance, name: str) -> int:
        """Return a parameter of an instance that is a whole number."""
        return int(self.planned.params[instance.params + KINDS[instance.kind].params[name].start])

    def column(self, name: str, slots: Words | None = None) -> Words:
        """Return a field of the headers, of all series or of some."""
        return self.words[self.planned.series_at[slice(None) if slots is None else slots] + layout.SERIES[name].start]

    def of_series(self, name: str, slot: int) -> int:
        """Return a field of one series' header."""
        return int(self.words[self.planned.series_at[slot] + layout.SERIES[name].start])

    def put(self, name: str, slot: int, value: int) -> None:
        """Set a field of one series' header."""
        self.words[self.planned.series_at[slot] + layout.SERIES[name].start] = value

    def gap_column(self, name: str, members: Words | None = None) -> Words:
        """Return a field of the gap instances, of all or of some."""
        return self.words[self.planned.gap_at[slice(None) if members is None else members] + gap.STATE[name].start]

    def of(self, instance: Instance, name: str) -> int:
        """Return a field of an instance."""
        return int(self.words[instance.state + KINDS[instance.kind].state[name].start])

    def real_of(self, instance: Instance, name: str) -> float:
        """Return a field of an instance that holds floats."""
        return float(self.floats[instance.state + KINDS[instance.kind].state[name].start])

    @property
    def planned(self) -> Plan:
        """Return the plan of a facility that has one."""
        assert self.plan is not None  # noqa: S101 - there are arrays only with a plan
        return self.plan

    def take(self, plan: Plan) -> None:
        """Take a plan with blank arrays (`rules.carry` fills them)."""
        self.plan = plan
        self.words, self.tails = plan.blank_state.copy(), plan.blank_tails.copy()
        self.rings = np.zeros(plan.ring_words, np.int64)
        self.floats, self.tail_floats = self.words.view(np.float64), self.tails.view(np.float64)
        self.ring_floats = self.rings.view(np.float64)
        count = len(plan.sensors) + len(plan.pairs)
        self.due, self.silent = np.full(count, NEVER), np.zeros(count, np.uint8)
        self.late, self.held = np.full((len(plan.sensors), 3), NONE), Held(len(plan.sensors))
        self.doors = {tag: spans for tag, spans in self.doors.items() if tag in plan.slots}
        opengaps.fit(self)
        self.let_stand()
        self.kept = [Kept() for _ in plan.pairs]
        self.groups.fit(plan.grouping)

    def let_stand(self) -> None:
        """Note which rows are taken by which instances as they were folded."""
        plan, found = self.planned, dict[tuple[int, int], int]()
        if self.marks.standing:
            watched = {(kind, *one.key) for kind, instances in plan.by_kind.items() for one in instances}
            self.marks.standing = {key: rows for key, rows in self.marks.standing.items() if key in watched}
        for kind, instances in plan.by_kind.items() if self.marks.standing else ():
            for one in instances:
                for _, t in () if one.slots else self.marks.standing.get((kind, *one.key), ()):
                    found[one.slot, t] = found.get((one.slot, t), 0) | 1 << min(one.call, STANDS_BITS)
        rows = [(slot, t, bits) for (slot, t), bits in sorted(found.items())]
        self.stands = np.array(rows, np.int64).reshape(len(rows), 3)

    def refresh(self, slot: int) -> None:
        """Note what is due for a series after one of its instances was changed."""
        kernels.refresh(self.planned.params, self.planned.where, slot, self.words, self.due, self.silent)

    def refresh_pair(self, pair: Instance) -> None:
        """Note what is due for a pair."""
        x = pair.state
        due = min(self.words[x + difference.WAITS], self.words[x + difference.STATE["due"].start])
        self.due[len(self.planned.sensors) + pair.place] = due

    def refresh_all(self) -> None:
        """Note what is due for every series and pair."""
        plan = self.planned
        kernels.refresh_all(plan.params, plan.where, len(plan.sensors), self.words, self.due, self.silent)
        for pair in self.planned.pairs:
            self.refresh_pair(pair)

    def newest_of(self, instance: Instance) -> int:
        """Return the newest event time that an instance was decided with."""
        return self.of(instance, "seen_t") if instance.slots else self.of_series("last_t", instance.slot)

    def tail_of(self, instance: Instance) -> int:
        """Return the newest event time that an instance is not decided again for."""
        if instance.kind == layout.ABSENCE:
            return self.of(instance, "edge")
        return self.of(instance, "floor") if instance.slots else self.of_series("gone_t", instance.slot)

    @property
    def waits(self) -> bool:
        """Say whether late rows, rows of before a change, or what parts of a back-fill came to, wait for `clock` to be over."""
        return bool(self.drafts or self.outside) or kernels.waits(self.late, self.held.size)

    def refresh_due(self) -> bool:
        """Recompute the earliest decision by the clock of series and groups (`rules.places` adds those of places).

        Returns whether a series is silent.
        """
        due, silent = kernels.next_due(self.due, self.silent)
        due = min(due, self.rare.due, self.clocks.due, self.groups.next_due(), self.telling.watches.due)
        for book in self.excursions.values():
            due = min(due, book.due)
        if self.plan is not None:
            due = min(due, self.plan.until)
            due = min(due, self.clock) if self.waits else due
        self.next_due = due
        return bool(silent)

    def starts_of(self, instance: Instance) -> set[int]:
        """Return the starts that an instance has, and has where its horizon begins: pending, it is raised with one of them."""
        fields = KINDS[instance.kind].state
        if instance.tail == NONE or "start_t" not in fields:
            return set()
        at = fields["start_t"].start
        gaps = self.gaps.get(instance.tag, ()) if self.gaps else ()
        before = [gap.blocks.get((instance.kind, instance.rule.id)) for gap in gaps]
        stood = {int(block[at]) for block in before if block is not None}
        return {int(self.words[instance.state + at]), int(self.tails[instance.tail + at]), *stood} - {NONE}

    def windows_of(self, instance: Instance) -> list[tuple[int, int]]:
        """Return in which event times before its horizon occurrences of an instance may still be others (rules/opengaps.py)."""
        return [] if instance.slots else opengaps.windows(self, instance.kind, instance.slot)

    def counters(self) -> dict[str, int]:
        """Return what happened to rows, summed over the series."""
        sums = {name: 0 if self.plan is None else int(self.column(name).sum()) for name in COUNTERS}
        batches = {"batch_repeated": self.repeated, "batch_conflict": self.conflicting}
        listens = self.plan is not None and (self.plan.rare or self.plan.asked or self.plan.door_areas)
        rare = dict(self.rare.counts) if listens else {}
        for book in self.excursions.values():
            rare |= {name: rare.get(name, 0) + number for name, number in book.counts.items()}
        plan = self.plan
        rare |= (
            dict(self.clocks.counts)
            if plan is not None
            and (plan.deadlines or plan.documents or plan.amendments or plan.revisions or plan.ledgers)
            else {}
        )
        rare |= dict(self.documents.counts) if plan is not None and plan.documents else {}
        rare |= self.declared.counts if self.plan is not None and self.plan.asked else {}
        if plan is not None and plan.door_areas:
            rare |= dict.fromkeys(pairdoors.COUNTERS, 0) | self.door_counts
        marks = self.marks.counts
        no_room = 0 if self.plan is None else self.plan.no_room
        more = {**marks, **rare, **self.telling.counters()}
        return {**sums, "unknown_tag": self.unknown_tags, "limits_without_room": no_room, **batches, **more}

    def snapshot(self, through: int) -> bytes:
        """Return the whole state. Equal states give equal bytes.

        Args:
            through: every record of the partition before this offset has been folded.
        """
        return sealed(self.body(through))

    def body(self, through: int) -> Body:
        """Return what a snapshot holds."""
        plan = self.plan
        return Body(
            format=FORMAT,
            facility=self.facility,
            version=self.version,
            clock=self.clock,
            seq=self.seq,
            position=max(self.position, through),
            packs=self.packs,
            register=None if plan is None else plan.facility.model_dump_json(by_alias=True, exclude_none=True),
            adopted=None if plan is None else plan.at,
            registered=list(self.registered.items()),
            left=list(self.left.items()),
            unknown_tags=self.unknown_tags,
            batches=self.batches.pack(),
            refused=self.batches.pack_refused() or msgspec.UNSET,
            repeated=self.repeated,
            conflicting=self.conflicting,
            occurrences=sorted(
                (KINDS[kind].name, rule, tag, [o.pack() for o in rows])
                for (kind, rule, tag), rows in self.occurrences.items()
                if rows
            ),
            groups=[group.pack() for group in self.groups],
            late=self._waiting() or msgspec.UNSET,
            drafts=drafts.pack(self) or msgspec.UNSET,
            held=(plan and self.held.pack([one.tag for one in plan.sensors])) or msgspec.UNSET,
            gaps=opengaps.pack(self) or msgspec.UNSET,
            outside=opengaps.pack_outside(self) or msgspec.UNSET,
            filled=self._filled() or msgspec.UNSET,
            doors=sorted(self.doors.items()) or msgspec.UNSET,
            past=formerly.pack(self) or msgspec.UNSET,
            former=formerpairs.pack(self) or msgspec.UNSET,
            door_books=pairdoors.pack(self) or msgspec.UNSET,
            door_counts=sorted(self.door_counts.items()) or msgspec.UNSET,
            spans=(plan and formerly.pack_spans(self)) or msgspec.UNSET,
            unsettled=sorted(self.unsettled) or msgspec.UNSET,
            sent=[(rule, list(of.items())) for rule, of in sorted(self.rare.sent.items()) if of] or msgspec.UNSET,
            named=self.rare.named.pack() or msgspec.UNSET,
            feeds=[one.pack(*key) for key, one in self.rare.feeds.items()] or msgspec.UNSET,
            missing=[one.pack(rule) for rule, (one, _) in sorted(self.rare.missing.items())] or msgspec.UNSET,
            shifted=[one.pack(rule) for rule, (_, one) in sorted(self.rare.missing.items())] or msgspec.UNSET,
            declared=self.declared.pack(),
            monitors=self.declared.pack_monitors(),
            rare=msgspec.UNSET if (rare := self.rare.pack()) == NOTHING else rare,
            excursions=[book.pack(rule) for rule, book in sorted(self.excursions.items())] or msgspec.UNSET,
            claims=excursions.pack_claims(sorted(self.excursions.items())) or msgspec.UNSET,
            revised=excursions.pack_before(sorted(self.excursions.items())) or msgspec.UNSET,
            clocks=msgspec.UNSET if self.clocks.are_nothing else self.clocks.pack(),
            sayings=self.clocks.pack_sayings() or msgspec.UNSET,
            documents=msgspec.UNSET if self.documents.are_nothing else self.documents.pack(),
            lots=msgspec.UNSET if self.telling.is_nothing else self.telling.pack(),
            shipments=self.telling.watches.pack() or msgspec.UNSET,
            scoped=self.telling.registered.pack() or msgspec.UNSET,
            figures=msgspec.UNSET if self.figures.is_nothing else self.figures.pack(),
            marks=msgspec.UNSET if self.marks.are_nothing else self.marks.pack(NAMES),
            past_marks=[one.pack() for one in self.marks.past.values()] or msgspec.UNSET,
            stays=sorted(self.marks.stays.items()) or msgspec.UNSET,
            sums=(plan and sums.pack(plan, self.rings)) or msgspec.UNSET,
            aside=[(rule, one.pack()) for rule, one in sorted(self.aside.items())],
            keys=_keys(plan),
            layouts={} if plan is None else stored.layouts_of(plan),
            arrays={}
            if plan is None
            else {n: (of, a.tobytes()) for n, (of, a) in stored.arrays_of(self, plan).items()},
        )

    def _load_reports(self, body: Body) -> None:
        if not isinstance(body.excursions, msgspec.UnsetType):
            self.excursions = dict(map(excursions.unpack, body.excursions))
        if not isinstance(body.claims, msgspec.UnsetType):
            excursions.unpack_claims(body.claims, self.excursions)
        if not isinstance(body.revised, msgspec.UnsetType):
            excursions.unpack_before(body.revised, self.excursions)
        if not isinstance(body.clocks, msgspec.UnsetType):
            self.clocks = clocks.unpack(
                body.clocks, None if isinstance(body.sayings, msgspec.UnsetType) else body.sayings
            )
        self.documents = documents.unpack(body.documents)
        if not isinstance(body.lots, msgspec.UnsetType):
            self.telling = Telling.unpack(body.lots)
        if not isinstance(body.shipments, msgspec.UnsetType):
            self.telling.watches = Watches.unpack(body.shipments)
        if not isinstance(body.scoped, msgspec.UnsetType):
            self.telling.registered = Registered.unpack(body.scoped)
        self.telling.registered.now = None if self.plan is None else names_of(self.plan.facility)
        if not isinstance(body.figures, msgspec.UnsetType):
            self.figures = FigureBook.unpack(body.figures)

    def _closed(self) -> Iterator[Occurrence]:
        """Yield the silences that ended and still count, by rule and tag."""
        for (kind, *_), rows in sorted(self.occurrences.items()):
            if kind == GAP:
                yield from (one for one in rows if not (one.retracted or one.active))

    def _filled(self) -> dict[str, int]:
        """Return how far late rows fill each silence that ended."""
        return {one.alarm: one.filled for one in self._closed() if one.filled != NONE}

    def _fill(self, filled: Mapping[str, int]) -> None:
        for one in self._closed():
            one.filled = filled.get(one.alarm, NONE)

    def _waiting(self) -> list[tuple[str, int, int]]:
        """Return the earliest and the newest row of the horizon of each series that waits, by tag."""
        if self.plan is None:
            return []
        return [
            (self.plan.sensors[i].tag, *self.late[i, :2].tolist())
            for i in np.flatnonzero(self.late[:, 0] != NONE).tolist()
        ]

    def _load_waiting(self, plan: Plan, body: Body) -> None:
        late = [] if isinstance(body.late, msgspec.UnsetType) else body.late
        held = [] if isinstance(body.held, msgspec.UnsetType) else body.held
        for tag in [*(tag for tag, _, _ in late), *(tag for tag, _ in held)]:
            if tag not in plan.slots:
                raise SnapshotError(f"snapshot of {body.facility}: late rows of {tag}, which is not watched")
        self.doors = (
            {} if isinstance(body.doors, msgspec.UnsetType) else {tag: list(spans) for tag, spans in body.doors}
        )
        for tag, earliest, newest in late:
            self.late[plan.slots[tag], :2] = earliest, newest
        for tag, rows in held:
            self.held.put_back(plan.slots[tag], rows)

    def load(self, body: Body) -> None:
        """Put back what a snapshot holds; a plan made of its register and its packs has been adopted before.

        Raises:
            SnapshotError: it does not fit that plan.
        """
        if _some(body.keys) != _some(_keys(self.plan)):
            raise SnapshotError(f"snapshot of {self.facility}: its instances do not fit its register and packs")
        if self.plan is not None:
            stored.load(self, self.plan, body)
            sums.put_back(self, [] if isinstance(body.sums, msgspec.UnsetType) else body.sums)
        for name in ("version", "clock", "seq", "position", "packs", "unknown_tags", "repeated", "conflicting"):
            setattr(self, name, getattr(body, name))
        self.batches = Batches.unpack(body.batches, () if isinstance(body.refused, msgspec.UnsetType) else body.refused)
        for kind, rule, tag, rows in body.occurrences:
            self.occurrences[CODES[kind], rule, tag] = [Occurrence.unpack(row) for row in rows]
        self._fill({} if isinstance(body.filled, msgspec.UnsetType) else body.filled)
        self.groups.replace([Group.unpack(row) for row in body.groups])
        self.groups.know(self.occurrences, layout.GAP)
        self.rare = Rare() if isinstance(body.rare, msgspec.UnsetType) else Rare.unpack(body.rare)
        self.rare.sent = {} if isinstance(body.sent, msgspec.UnsetType) else {rule: dict(of) for rule, of in body.sent}
        self.rare.named = Named() if isinstance(body.named, msgspec.UnsetType) else Named.unpack(body.named)
        self.rare.feeds = {} if isinstance(body.feeds, msgspec.UnsetType) else dict(map(Feed.unpack, body.feeds))
        self._load_reports(body)
        if not isinstance(body.declared, msgspec.UnsetType):
            self.declared = Declared.unpack(body.declared, body.monitors)
        self.aside = {rule: Aside.unpack(row) for rule, row in body.aside}
        if not isinstance(body.marks, msgspec.UnsetType):
            past = () if isinstance(body.past_marks, msgspec.UnsetType) else body.past_marks
            self.marks = Marks.unpack(body.marks, CODES, past)
            if self.plan is not None:
                self.let_stand()
        if not isinstance(body.stays, msgspec.UnsetType):
            self.marks.stays = unpacked(body.stays, () if self.plan is None else self.plan.slots)
        if self.plan is not None:
            self._load_waiting(self.plan, body)
            drafts.load(self, [] if isinstance(body.drafts, msgspec.UnsetType) else body.drafts)
            opengaps.load(
                self, [] if isinstance(body.gaps, msgspec.UnsetType) else body.gaps,
                [] if isinstance(body.outside, msgspec.UnsetType) else body.outside,
            )  # fmt: skip
            formerly.load(self, [] if isinstance(body.past, msgspec.UnsetType) else body.past)
            formerpairs.load(self, [] if isinstance(body.former, msgspec.UnsetType) else body.former)
            pairdoors.load(
                self,
                [] if isinstance(body.door_books, msgspec.UnsetType) else body.door_books,
                [] if isinstance(body.door_counts, msgspec.UnsetType) else body.door_counts,
            )
            formerly.load_spans(self, [] if isinstance(body.spans, msgspec.UnsetType) else body.spans)
            formerly.fit(self)
            self.refresh_all()
        self.unsettled = set() if isinstance(body.unsettled, msgspec.UnsetType) else set(body.unsettled)
        self.refresh_due()


def _some(keys: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Return the kinds that have instances: a snapshot may have been written before a kind came."""
    return {kind: found for kind, found in keys.items() if found}


def _keys(plan: Plan | None) -> dict[str, list[tuple[str, str]]]:
    """Return the instances of each kind, in the order of the arrays; of some kinds only where there are any."""
    if plan is None:
        return {}
    kinds = {
        KINDS[kind].name: found for kind, found in plan.by_kind.items() if found or kind not in stored.ONLY_WHERE_USED
    }
    # As `Instance.key` says; a thousand of them for a hundred series.
    return {name: [(one.rule.id, one.name or one.tag) for one in found] for name, found in kinds.items()}
