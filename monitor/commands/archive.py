"""`offsite archive`: check that the archive is whole, list what it holds."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.archive import alarms, index
from monitor.archive.chunkfile import ALL, ChunkDamagedError, ChunkMissingError, remove_file
from monitor.archive.index import Selection
from monitor.archive.reindex import reindex
from monitor.archive.source import TOPICS
from monitor.archive.verify import verify as verify_all
from monitor.commands import archived_changes
from monitor.settings import ArchiverEnvironment, open_store
from rules.errors import BadInputError, Fault
from rules.instants import format_instant
from rules.models import is_facility_id
from streams.topics import LOG

if TYPE_CHECKING:
    from monitor.archive.chunkfile import Chunk
    from monitor.store.session import Store

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Check and list the archive; heal the desk from it.")
app.command("changes")(archived_changes.changes)
app.command("compare")(archived_changes.compare)
app.command("heal")(archived_changes.heal)
LISTED = 1_000
TOLD_EVERY = 1_000
DAMAGES = frozenset({ChunkDamagedError.code, ChunkMissingError.code})
OLD_S = 24 * 3600.0


@app.command()
def verify(
    remove_leftovers: Annotated[
        bool, typer.Option("--remove-leftovers", help="Delete files older than a day that the index does not name.")
    ] = False,
) -> None:
    """Read every file and compare it with the index; exit 1 if anything is missing, damaged or twice.

    Files that a crash left behind are named and are no fault. If no file is missing or damaged, operators' alarms of
    damaged files are closed.
    """
    folder = ArchiverEnvironment().folder
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise BadInputError("archive", [Fault(f"OFFSITE_ARCHIVER_FOLDER {folder}", "unreadable", what)])
    with open_store() as store:
        report = verify_all(store, folder, _progress)
        if not any(fault.code in DAMAGES for fault in report.faults):
            with store.writing() as session:
                alarms.close_all(session, alarms.DAMAGED, time.time_ns() // 1_000_000)
    for fault in report.faults[:LISTED]:
        sys.stdout.write(f"{fault}\n")
    for path in report.leftovers[:LISTED]:
        old = time.time() - (folder / path).stat().st_mtime > OLD_S if (folder / path).exists() else False
        if remove_leftovers and old:
            remove_file(folder, path)
        sys.stdout.write(f"{path}: leftover{', removed' if remove_leftovers and old else ''}\n")
    sys.stdout.write(
        f"{report.files} files, {report.records} records, {report.bytes} bytes,"
        f" {len(report.faults)} faults, {len(report.leftovers)} leftovers\n"
    )
    raise typer.Exit(1 if report.faults else 0)


@app.command("reindex")
def reindex_files() -> None:
    """Make the index anew out of the files: for a store that was lost or is older than they are. Stop the archiver.

    Reads every file. Exit 1 with each file that is damaged and each stretch of offsets that no file holds.
    """
    with open_store() as store:
        done = reindex(store, ArchiverEnvironment().folder, tell=_progress)
    faults = [str(fault) for fault in done.faults] + [
        f"{topic}/{partition}: lost: offsets {begin} to {end - 1} are in no file"
        for topic, partition, begin, end in done.gaps
    ]
    sys.stdout.writelines(f"{fault}\n" for fault in faults[:LISTED])
    sys.stdout.write(
        f"{done.files} files, {done.records} records, {len(done.waste)} files left over, {len(faults)} faults\n"
    )
    raise typer.Exit(1 if faults else 0)


@app.command("list")
def list_chunks(
    facility: Annotated[str | None, typer.Option("--facility", help="Files that may hold records of this one.")] = None,
    topic: Annotated[str, typer.Option("--topic", help="The log, or the alarms.")] = LOG,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
) -> None:
    """List what was read of each partition, and the files in the order of their offsets."""
    if facility is not None and not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="--facility")
    if topic not in TOPICS:
        raise typer.BadParameter(f"{topic!r} is not archived; {' or '.join(TOPICS)}", param_hint="--topic")
    with open_store() as store:
        _list(store, topic, Selection(None if facility is None else (facility,)), as_json=as_json)


def _list(store: Store, topic: str, selection: Selection, *, as_json: bool) -> None:
    with store.reading() as session:
        spans = index.spans(session, topic)
    for partition in sorted({span.partition for span in spans}):
        for span in spans:
            if span.partition == partition and not as_json:
                sys.stdout.write(
                    f"{topic}/{partition}: offsets {span.begin} to {span.end - 1}, {span.records} records\n"
                )
        with store.reading() as session:
            units = index.units(session, topic, partition, selection)
        for unit in units:
            with store.reading() as session:
                rows = index.chunks(session, unit, selection)
            for row in rows:
                sys.stdout.write(_as_json(row) if as_json else _as_text(row))


def _as_text(row: Chunk) -> str:
    owner = {"": "(partition)", ALL: "(not cut yet)"}.get(row.place.facility, row.place.facility)
    return (
        f"  {format_instant(row.place.hour_ms)} {owner}: offsets {row.first_offset} to {row.last_offset},"
        f" {row.records} records, {row.size} bytes, {row.sha256[:12]}\n"
    )


def _as_json(row: Chunk) -> str:
    place = row.place
    line = {
        "topic": place.topic,
        "partition": place.partition,
        "facility": place.facility,
        "hour": format_instant(place.hour_ms),
        "first_offset": row.first_offset,
        "last_offset": row.last_offset,
        "records": row.records,
        "size": row.size,
        "sha256": row.sha256,
        "path": row.path,
    }
    return json.dumps(line) + "\n"


def _progress(files: int) -> None:
    if files % TOLD_EVERY == 0 and sys.stderr.isatty():
        sys.stderr.write(f"\r{files} files")
        sys.stderr.flush()
