"""Fold a log offline: the same engine as live (contracts.md §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rules.engine import Engine
from rules.errors import BadInputError, ContractError, Fault, OffsiteError
from rules.fitting import fit
from rules.lots.offline import Lots
from rules.records import Kind, LogRecord, RegisterRecord
from rules.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.changes import Change
    from rules.lots.offline import FactLine
    from rules.pack import Bundle
    from rules.register import Facility


class FoldError(ContractError):
    """A record ends the fold by an error that is no rule's: live its facility would be quarantined (docs/quarantine.md)."""

    code: ClassVar[str] = "fold_failed"
    action: ClassVar[str] = "Evaluate the other facilities with --facility; report the record and the error."


@dataclass(frozen=True, slots=True)
class Survey:
    """What a log must tell before it is folded, where registered facts go in front of it."""

    first: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Partition -> (offset, receive time in ms) of its first record."""
    homes: dict[str, int] = field(default_factory=dict)
    """Facility -> its partition."""


def survey(records: Iterable[LogRecord]) -> Survey:
    """Return the first record of every partition and the partition of every facility."""
    found = Survey()
    for record in records:
        found.first.setdefault(record.partition, (record.offset, record.received))
        if record.facility:
            found.homes.setdefault(record.facility, record.partition)
    return found


def evaluate(
    records: Iterable[LogRecord],
    bundle: Bundle,
    *,
    register: Iterable[Facility] = (),
    facility: str | None = None,
    until_ms: int | None = None,
    ignore_pack_records: bool = False,
    surveyed: Survey | None = None,
    lines: Sequence[FactLine] = (),
) -> list[Change]:
    """Return the changes of a log, ordered by (stream, seq): of its facilities, and of the lots that these name (rules/lots).

    `register` stands for version-0 register records before the first line of each facility's partition, received with it
    (a facility that the log never names stands in its lowest partition). `facility` leaves the others out; `until_ms`
    moves every partition's clock past the last record, front door open; nothing of the last receive time is taken to come behind the
    log. `surveyed` is the survey of the same records:
    with it the log is folded as it comes, without it a log with a `register` is kept in memory. `lines` are facts of lots as their topic
    holds them: read once `records` are; where there are some, lots are decided by them. With `facility` no lot is decided: others may know
    what decides it.

    Raises:
        BadInputError: a `packs` or `state` record that does not hold what it promises, with its place.
        ContractError: packs of another engine semantics, or lines that are not what the log tells.
    """
    engine = Engine(bundle, ignore_pack_records=ignore_pack_records, keep_facts=facility is None)
    facts = [entry for entry in register if facility in {None, entry.id}]
    if facts and surveyed is None:
        records = list(records)
        surveyed = survey(records)
    changes: list[Change] = []
    for record in registered(facts, surveyed or Survey()):
        changes += engine.fold(record)
    partitions, lots = set(), Lots()
    for record in records:
        partitions.add(record.partition)
        if facility is None or record.facility in {"", facility}:
            changes += fold_one(engine, record)
        if facility is None:
            _note(lots, engine, record)
    for partition in sorted(partitions):
        if until_ms is not None:
            changes += engine.advance(partition, until_ms)
            lots.tell(None, engine.take_facts(partition))
        changes += engine.settle(partition)
    if facility is None:
        changes += lots.decide(bundle, lines)
    return sorted(map(fit, changes), key=lambda change: (change.stream, change.seq))


def _note(lots: Lots, engine: Engine, record: LogRecord) -> None:
    """Note what a record that was folded says of lots."""
    lots.tell((record.partition, record.offset), engine.take_facts(record.partition))
    if record.kind is Kind.PACKS:
        lots.adopt(record.received, record.partition, engine.packs_of(record.partition))
    if record.kind is Kind.STATE:
        lots.seed(record.facility, engine.state_of(record.facility).telling.told)


def registered(facts: list[Facility], log: Survey) -> list[LogRecord]:
    """Return version-0 register records that stand before the first record of each facility's partition."""
    records = []
    for entry in facts if log.first else ():
        partition = log.homes.get(entry.id, min(log.first))
        offset, received = log.first[partition]
        payload = RegisterRecord(version=0, facility=entry)
        records.append(LogRecord(partition, offset - 1, received, Kind.REGISTER, entry.id, payload))
    return records


def fold_one(engine: Engine, record: LogRecord) -> list[Change]:
    """Fold one record; what is wrong with it is told with its place.

    Raises:
        BadInputError: a `packs` or `state` record that does not hold what it promises.
        FoldError: an error that is no rule's.
    """
    place = f"partition {record.partition} offset {record.offset}"
    try:
        return engine.fold(record)
    except BadInputError as error:
        faults = [Fault(f"{place}{fault.pointer}", fault.code, fault.detail) for fault in error.faults]
        raise BadInputError("log", faults) from error
    except SnapshotError as error:
        raise BadInputError("log", [Fault(place, error.code, str(error))]) from error
    except (OffsiteError, MemoryError):
        raise
    except Exception as error:
        raise FoldError(f"{place}, {record.facility or 'all facilities'}: {type(error).__name__}: {error}") from error
