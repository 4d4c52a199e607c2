"""`offsite log`: the log as JSON lines, out of Kafka and into an import topic (contracts.md §3)."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.factlines import format_fact_line
from monitor.lines import write_lines
from monitor.settings import ArchiverEnvironment, kafka_settings, open_store
from rules.errors import BadInputError, ContractError, Fault
from rules.instants import parse_instant
from rules.lots.facts import LotFact
from rules.lots.offline import FactLine
from rules.models import is_facility_id
from rules.pack import load_bundle
from rules.records import LogRecord, Rejected
from streams.codec import placed
from streams.cut import cut_log
from streams.dump import LogReader, open_log
from streams.jsonlines import format_line, read_lines, split_lines
from streams.load import checked, load_log
from streams.topics import LOG, LOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from monitor.archive.reader import ArchiveReader

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The log as JSON lines: dump it, load a dump into a topic of its own.",
)
LISTED = 100
"""Records left out that are named on stderr; all are counted."""


class _Rejections:
    """Takes what cannot be decoded or stands in a foreign partition out of the stream: names the first on stderr, counts all.

    `facilities` are those whose records went through.
    """

    def __init__(self) -> None:
        self.count = self.misplaced = 0
        self.facilities: set[str] = set()

    def sift(self, records: Iterable[LogRecord | Rejected]) -> Iterator[LogRecord]:
        for record in records:
            if isinstance(record, LogRecord):
                self.facilities.add(record.facility)
                yield record
                continue
            self.count += 1
            self.misplaced += record.code == "misplaced"
            if self.count <= LISTED:
                place = f"partition {record.partition} offset {record.offset}"
                sys.stderr.write(f"{place}: {record.code}: {record.detail}\n")


class LogBeginsLateError(ContractError):
    """Kafka has already dropped the beginning of the log, so a cut cannot be made right from it."""

    code = "log_begins_late"
    action = "Dump without --from: what the log still holds is printed as it is."


@app.command()
def dump(
    facility: Annotated[
        str | None, typer.Option("--facility", help="This facility, and the ticks and packs of its partition.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Fold what was received before (RFC 3339) into state lines.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Leave out what was received from then on.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="A file instead of standard output.")] = None,
    topic: Annotated[str, typer.Option("--topic", help="Another topic: an import.")] = LOG,
    pack: Annotated[
        list[str] | None, typer.Option("--pack", help="With --from: packs before the first `packs` record.")
    ] = None,
    from_archive: Annotated[
        bool, typer.Option("--from-archive", help="Read the archive instead of Kafka: also what Kafka has dropped.")
    ] = False,
    lots: Annotated[
        bool, typer.Option("--lots", help="Behind the log the facts of lots, as lines of kind `fact`, in their order.")
    ] = False,
) -> None:
    """Print every record up to the end seen at the start, ordered by (partition, offset).

    What the worker rejects is listed on stderr and left out: what cannot be decoded, and what stands in another
    partition than its facility's (an import may be placed as it likes).
    """
    if facility is not None and not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="--facility")
    since_ms, until_ms = _instant(since, "--from"), _instant(until, "--until")
    if pack and since is None:
        raise typer.BadParameter("belongs to --from", param_hint="--pack")
    if from_archive and topic != LOG:
        raise typer.BadParameter("only the log is archived, no import", param_hint="--topic")
    if lots and (facility is not None or since is not None or until is not None or topic != LOG):
        raise typer.BadParameter("facts of lots are of all facilities and of the whole log", param_hint="--lots")
    bundle = load_bundle(pack or ["default"])
    rejected = _Rejections()
    with ExitStack() as stack:
        # Its end is looked at first: whatever stands in it then, the log tells.
        told = stack.enter_context(_kafka(LOTS)) if lots else None
        source: AbstractContextManager[LogReader | ArchiveReader] = _archive() if from_archive else _kafka(topic)
        reader = stack.enter_context(source)
        if since_ms is not None:
            _begins_at_zero(reader)
        records = reader.records(facility)
        if topic == LOG:
            partitions = kafka_settings().partitions
            records = (placed(record, partitions) for record in records)
        records = cut_log(records, bundle, since_ms=since_ms, until_ms=until_ms)
        lines = map(format_line, rejected.sift(records))
        count = write_lines(lines if told is None else chain(lines, _facts(told, rejected)), output)
    parts = [
        f"{count} {what}"
        for what, count in (("undecodable", rejected.count - rejected.misplaced), ("misplaced", rejected.misplaced))
        if count
    ]
    left_out = f", {' and '.join(parts)} left out" if parts else ""
    sys.stderr.write(f"offsite: {count} lines{left_out}\n")
    if facility is not None and facility not in rejected.facilities:
        sys.stderr.write(f"offsite: no record of {facility} was found\n")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="A dump as JSON lines; the whole log, not a cut with state lines.")],
    topic: Annotated[str, typer.Option("--topic", help="The topic to make; it must not exist yet.")],
) -> None:
    """Write a dump into a topic of its own: partitions and receive times stay. Nothing is written if a line is bad."""
    settings = kafka_settings()
    partitions = checked(_lines(file))
    count = load_log(settings, settings.topic(topic), _lines(file), partitions)
    sys.stderr.write(f"offsite: {count} records in {settings.topic(topic)}\n")


def _facts(reader: LogReader, rejected: _Rejections) -> Iterator[bytes]:
    """Yield the facts of lots as lines."""
    for record in rejected.sift(reader.records()):
        if isinstance(record.payload, LotFact):
            yield format_fact_line(FactLine(record.partition, record.offset, record.received, record.payload))


def _kafka(topic: str) -> AbstractContextManager[LogReader]:
    settings = kafka_settings()
    return open_log(settings, settings.topic(topic))


@contextmanager
def _archive() -> Iterator[ArchiveReader]:
    from monitor.archive.reader import ArchiveReader  # noqa: PLC0415 - SQLAlchemy, which a dump out of Kafka does not need

    store = open_store()
    try:
        reader = ArchiveReader(store, ArchiverEnvironment().folder)
        for partition, begin, end in reader.gaps():
            sys.stderr.write(f"partition {partition} offsets {begin} to {end - 1}: lost before they were archived\n")
        yield reader
    finally:
        store.close()


def _begins_at_zero(reader: LogReader | ArchiveReader) -> None:
    if not isinstance(reader, LogReader) and reader.gaps():
        raise LogBeginsLateError(f"--from needs the whole log; the archive of {reader.topic} has gaps")
    late = [f"partition {partition} at offset {begin}" for partition, begin, _ in reader.places if begin > 0]
    if late:
        raise LogBeginsLateError(f"--from needs the whole log; {reader.topic} begins late: {', '.join(late)}")


def _lines(file: Path) -> Iterator[LogRecord]:
    try:
        with file.open("rb") as source:
            yield from read_lines(split_lines(source), file.name)
    except OSError as error:
        raise BadInputError("log", [Fault(str(file), "unreadable", error.strerror or str(error))]) from error


def _instant(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
