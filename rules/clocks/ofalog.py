"""What is due at an instant: the clocks of an engine whose time is moved there, of some log or of a checkpoint with the log behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.clocks.listing import listing
from rules.engine import Engine
from rules.evaluate import Survey, fold_one, registered
from rules.rule import DeadlineRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.clocks.listing import Running
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.register import Facility


@dataclass(slots=True)
class Due:
    """The clocks of any number of facilities."""

    at: int
    """The instant asked about, ms."""
    rows: list[Running] = field(default_factory=list)
    """By due instant."""
    aside: list[tuple[str, str]] = field(default_factory=list)
    """Facilities and rules that are put aside there because they raised: what they would list is not known."""

    def take(self, engine: Engine, partition: int, facilities: Iterable[str]) -> None:
        """Move a partition to the instant, its front door open, and list the clocks of facilities that stand in it."""
        engine.advance(partition, self.at)
        for name in facilities:
            state = engine.state_of(name)
            bundle = engine.sibling(state.packs).bundle
            self.rows += listing(state, bundle)
            mine = [rule.id for rule in bundle.rules if isinstance(rule, DeadlineRule) and state.is_muted(rule.id)]
            self.aside += [(name, rule) for rule in mine]
        self.rows.sort(key=lambda row: row.place)


def due_of_log(
    records: Iterable[LogRecord],
    bundle: Bundle,
    *,
    at: int | None = None,
    register: Iterable[Facility] = (),
    facility: str | None = None,
    ignore_pack_records: bool = False,
    surveyed: Survey | None = None,
) -> Due:
    """Return what is due at an instant of a log, or behind it if nothing comes.

    Args:
        records: ordered by (partition, offset).
        bundle: the packs before the first `packs` record.
        at: what was received later is left out, ms; None: where the log ends.
        register: stands for version-0 register records before the first line, as in `rules.evaluate.evaluate`.
        facility: leave the others out.
        ignore_pack_records: keep `bundle` throughout.
        surveyed: of the same records; needed with a `register`.

    Raises:
        BadInputError: a `packs` or `state` record that does not hold what it promises, with its place.
        ContractError: packs of another engine semantics.
    """
    found = folded_until(
        records, bundle, at=at, register=register, facility=facility, ignore_pack_records=ignore_pack_records,
        surveyed=surveyed,
    )  # fmt: skip
    due = Due(found.at)
    for partition in found.partitions:
        due.take(found.engine, partition, found.engine.facilities(partition))
    return due


@dataclass(frozen=True, slots=True)
class Folded:
    """A log that was folded up to an instant; the clocks of its partitions were not moved there."""

    engine: Engine
    partitions: list[int]
    at: int
    """The instant asked about, ms; where nobody named one, where the log ends."""


def folded_until(
    records: Iterable[LogRecord],
    bundle: Bundle,
    *,
    at: int | None,
    register: Iterable[Facility],
    facility: str | None,
    ignore_pack_records: bool,
    surveyed: Survey | None,
) -> Folded:
    """Return the fold of a log up to an instant; arguments and errors as of `due_of_log`."""
    engine = Engine(bundle, ignore_pack_records=ignore_pack_records)
    facts = [entry for entry in register if facility in {None, entry.id}]
    for record in registered(facts, surveyed or Survey()):
        if at is None or record.received <= at:
            engine.fold(record)
    partitions, newest = set(), 0
    for record in records:
        newest = max(newest, record.received)
        if (at is None or record.received <= at) and (facility is None or record.facility in {"", facility}):
            partitions.add(record.partition)
            fold_one(engine, record)
    return Folded(engine, sorted(partitions), newest if at is None else at)
