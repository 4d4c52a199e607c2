"""`offsite packs`: publish rule packs to the log, and show what is in force."""

from __future__ import annotations

import getpass
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.packs import journal
from monitor.packs.candidate import read_candidate
from monitor.packs.comparing import compared, counted, past, ranges, told
from monitor.settings import kafka_settings, open_store
from monitor.words import NAME_CHARACTERS, is_name
from rules.errors import OffsiteError
from rules.faults import printable
from rules.instants import format_instant
from rules.records import SEMANTICS
from streams import admin
from streams.packs import in_force, since
from streams.packs import publish as append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.packs.candidate import Candidate
    from monitor.packs.comparing import Comparison
    from monitor.packs.journal import Noted
    from streams.packs import Current, Place
    from streams.settings import KafkaSettings

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Publish rule packs to the log, and show what is in force."
)
Folders = Annotated[
    list[str], typer.Argument(help="Folders of rule files, a later one over an earlier; `default`: the shipped packs.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def diff(folders: Folders, as_json: AsJson = False) -> None:
    """Lint and test rule files and show how they differ from the packs in force; exit 1 if they do."""
    candidate = read_candidate(folders)
    kafka = _kafka()
    found = compared(in_force(kafka), candidate.bundle)
    if as_json:
        _print_json({"sha256": candidate.bundle.sha256, "partitions": [each.to_json() for each in found]})
    else:
        _print_lines(found, candidate, sys.stdout)
    raise typer.Exit(1 if any(each.changes for each in found) else 0)


@app.command()
def publish(
    folders: Folders,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who decided it; the account's name if not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring rule files into force in every partition, or in none: from the next record on they decide.

    Nothing is written if a file holds a fault, a test in it fails, or the bundle is in force already.
    """
    who = actor or getpass.getuser()
    if not is_name(who, NAME_CHARACTERS):
        raise typer.BadParameter(f"1 to {NAME_CHARACTERS} printable characters", param_hint="--actor")
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter(
            "no terminal to ask at: look at `offsite packs diff`, then run this with --yes", param_hint="--yes"
        )
    candidate = read_candidate(folders)
    kafka = _kafka()
    seen = in_force(kafka)
    found = compared(seen, candidate.bundle)
    if all(each.sha256 == candidate.bundle.sha256 for each in seen):
        _tell_unchanged(candidate, as_json=as_json)
        return
    _print_lines(found, candidate, sys.stderr if as_json else sys.stdout)
    if not yes and not typer.confirm(f"Publish to {len(seen)} partitions?", err=True):
        sys.stderr.write("nothing was published\n")
        raise typer.Exit(1)
    with open_store() as store:
        with store.writing() as session:
            publication = journal.begin(session, candidate.record, who, _now_ms())
        places = append(kafka, candidate.record, seen)
        # Told first: whatever becomes of the store, the packs are in force.
        _tell_published(candidate, places, who, found, as_json=as_json)
        with store.writing() as session:
            journal.done(session, publication, places, _now_ms())


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the packs in force in each partition, since when, and who published them; exit 1 if partitions differ."""
    kafka = _kafka()
    seen = in_force(kafka)
    noted, unfinished = _noted(seen)
    rows = [_row(kafka, found, noted.get(found.partition), unfinished) for found in seen]
    if as_json:
        _print_json(rows)
    else:
        _print_bundles(seen)
        for row in rows:
            sys.stdout.write(f"partition {row['partition']}: {printable(_since_when(row), 300)}\n")
    differ = len({found.sha256 for found in seen}) > 1
    if differ:
        sys.stderr.write("the partitions do not have the same packs in force: publish again\n")
    raise typer.Exit(1 if differ else 0)


def _kafka() -> KafkaSettings:
    kafka = kafka_settings()
    admin.ensure_ready(kafka)
    return kafka


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _print_lines(found: list[Comparison], candidate: Candidate, out: Any) -> None:  # noqa: ANN401 - a text stream
    out.writelines(f"{line}\n" for line in told(found, candidate.bundle))
    out.writelines(f"{line}\n" for line in past(candidate.bundle, _now_ms()))
    out.write(f"{candidate.tests} tests passed\n")


def _tell_unchanged(candidate: Candidate, *, as_json: bool) -> None:
    if as_json:
        _print_json({"sha256": candidate.bundle.sha256, "published": False, "places": [], "partitions": []})
    else:
        sys.stdout.write(f"sha256 {candidate.bundle.sha256} is in force in every partition; nothing was appended\n")


def _tell_published(
    candidate: Candidate, places: Sequence[Place], actor: str, found: list[Comparison], *, as_json: bool
) -> None:
    if as_json:
        rows = [
            {"partition": each.partition, "offset": each.offset, "received": format_instant(each.received)}
            for each in places
        ]
        compared_rows = [each.to_json() for each in found]
        _print_json(
            {"sha256": candidate.bundle.sha256, "published": True, "actor": actor, "places": rows,
             "partitions": compared_rows}
        )  # fmt: skip
        return
    for place in places:
        sys.stdout.write(f"{place.partition}:{place.offset} {format_instant(place.received)}\n")
    sys.stdout.write(f"published by {actor}: sha256 {candidate.bundle.sha256}, {counted(candidate.bundle)}\n")


def _noted(seen: list[Current]) -> tuple[dict[int, Noted], dict[str, str]]:
    """Return what the store knows: the newest record of each partition, and who began a publication that never ended.

    A store that does not answer only leaves out names, and times that the log must then be read for.
    """
    try:
        with open_store() as store, store.reading() as session:
            begun = {each.sha256: journal.unfinished(session, each.sha256) for each in seen if each.sha256 is not None}
            return journal.newest(session), {sha256: rows[0].actor for sha256, rows in begun.items() if rows}
    except OffsiteError as error:
        sys.stderr.write(f"who published is not known: {error}\n")
        return {}, {}


def _row(kafka: KafkaSettings, found: Current, noted: Noted | None, unfinished: dict[str, str]) -> dict[str, Any]:
    actor = None
    semantics = SEMANTICS if found.marker is None else found.marker.state.semantics
    at = None if found.record is None else found.record.offset
    known = noted is not None and noted.sha256 == found.sha256
    if noted is not None and known and (noted.offset < found.read_from if at is None else noted.offset == at):
        place: tuple[int, int] | None = (noted.offset, noted.received_ms)
        actor = noted.actor
    else:
        record = since(kafka, found)
        place = None if record is None else (record.offset, record.received)
    if place is not None and actor is None and found.sha256 is not None:
        actor = unfinished.get(found.sha256)
    other = None if found.marker is None or semantics == SEMANTICS else found.marker.state.packs
    return {
        "partition": found.partition, "sha256": found.sha256 or other, "semantics": semantics,
        "offset": None if place is None else place[0], "since": None if place is None else format_instant(place[1]),
        "actor": actor,
    }  # fmt: skip


def _since_when(row: dict[str, Any]) -> str:
    if row["sha256"] is None:
        return "never folded, no packs published: a worker begins with those of its release"
    if row["semantics"] != SEMANTICS:
        return f"{row['sha256'][:12]}, folded with engine semantics {row['semantics']}; this release has {SEMANTICS}"
    if row["since"] is None:
        return f"{row['sha256'][:12]} since it was first folded: no packs record stands in the log"
    by = f"published by {row['actor']}" if row["actor"] else "who published it is not known"
    return f"{row['sha256'][:12]} since {row['since']} (offset {row['offset']}), {by}"


def _print_bundles(seen: list[Current]) -> None:
    groups: dict[str, list[Current]] = {}
    for found in seen:
        if found.sha256 is not None:
            groups.setdefault(found.sha256, []).append(found)
    for sha256, group in groups.items():
        bundle = group[0].bundle
        where = ranges(found.partition for found in group)
        sys.stdout.write(f"sha256 {sha256}: {'' if bundle is None else counted(bundle)}, partitions {where}\n")
