"""`offsite archive changes|compare|heal`: the changes of condition in the archive, against the desk and the evaluation."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from monitor.alarms.incoming import Incoming, Read, read
from monitor.archive.changes import ArchivedChanges
from monitor.archive.compare import compare as compare_side
from monitor.desk import healing
from monitor.settings import ArchiverEnvironment, open_store
from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.archive.compare import Comparison

LISTED = 1_000
Evaluated = Annotated[
    Path | None, typer.Option("--evaluated", help="What `offsite evaluate` printed of the dumped log.", dir_okay=False)
]


def changes(
    stream: Annotated[str, typer.Argument(help="A facility, `lot:<lot>`, or `product:<id>`.")],
) -> None:
    """Print a stream's archived changes as `offsite evaluate` does: canonical JSON, ordered by seq, repeats once.

    Exit 1 if a change is missing or came twice with different content.
    """
    with open_store() as store:
        found: dict[int, str] = {}
        faults: list[Fault] = []
        archive = ArchivedChanges(store, ArchiverEnvironment().folder)
        for item in archive.stream(stream):
            place = f"{item.record.partition}/{item.record.offset}"
            if item.change is None:
                faults.append(Fault(place, "foreign", item.why))
            elif found.setdefault(item.change.seq, item.body) != item.body:
                faults.append(Fault(place, "differs", f"seq {item.change.seq} came before with other content"))
    for seq in sorted(found):
        sys.stdout.write(found[seq] + "\n")
    missing = sorted(set(range(1, max(found, default=0))) - set(found))
    faults += [Fault(f"{stream}#{seq}", "gap", "it is not in the archive") for seq in missing[:LISTED]]
    _tell(faults + _damages(archive), sys.stderr)
    raise typer.Exit(1 if faults or archive.damaged else 0)


def compare(evaluated: Evaluated = None) -> None:
    """Compare the desk's changes with the archive, and with an evaluation if given; exit 1 with every difference."""
    with open_store() as store:
        archive = ArchivedChanges(store, ArchiverEnvironment().folder)
        found = compare_side(store, "archive", archive.all())
        found.faults += _damages(archive)
        sides = [("archive", found)]
        if evaluated is not None:
            sides.append(("evaluation", compare_side(store, "evaluation", _lines(evaluated))))
    for name, found in sides:
        _tell(found.faults, sys.stdout)
        sys.stdout.write(_summary(name, found))
    raise typer.Exit(1 if any(found.faults for _, found in sides) else 0)


def heal(
    evaluated: Evaluated = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Apply the whole archive: for a desk whose rows were lost.")
    ] = False,
    newest: Annotated[
        bool,
        typer.Option(
            "--newest",
            help="Take from the evaluation also what is behind the newest change that the desk has: no worker ran any more when the log was dumped.",
        ),
    ] = False,
) -> None:
    """Fill what the desk misses from the archive, then from an evaluation if given; exit 1 if something is left.

    May run while the desk does: what comes by both ways counts once.
    """
    now = time.time_ns() // 1_000_000
    with open_store() as store:
        archive = ArchivedChanges(store, ArchiverEnvironment().folder)
        if everything:
            sys.stdout.write(f"archive: {healing.rebuild(store, archive, now)} changes applied\n")
        healed = healing.heal(store, archive, now)
        if evaluated is not None:
            told = healing.fill_from_evaluation(store, _lines(evaluated), now, newest=newest)
            healed.filled |= told.filled
            healed.left = {name: why for name, why in healed.left.items() if name not in told.filled} | told.left
    for name, count in healed.filled.items():
        sys.stdout.write(f"{name}: {count} changes applied\n")
    for name, why in healed.left.items():
        sys.stdout.write(f"{name}: left: {why}\n")
    raise typer.Exit(1 if healed.left else 0)


def _lines(path: Path) -> Iterator[Read]:
    """Read an evaluation; a change of it stands nowhere in Kafka, which the place -1/-1 says.

    Raises:
        BadInputError: a line is no change.
    """
    with path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            found = read(Incoming(-1, -1, line))
            if found.change is None:
                raise BadInputError("evaluation", [Fault(f"{path.name}:{number}", "no_change", found.why)])
            yield found


def _damages(archive: ArchivedChanges) -> list[Fault]:
    return [Fault(path, "damaged", why) for path, why in archive.damaged.items()]


def _summary(name: str, found: Comparison) -> str:
    return (
        f"{name}: {found.changes} changes, {found.repeats} of them repeats, {len(found.faults)} faults;"
        f" the desk is {found.ahead} ahead\n"
    )


def _tell(faults: list[Fault], sink: TextIO) -> None:
    sink.writelines(f"{fault}\n" for fault in faults[:LISTED])
    if len(faults) > LISTED:
        sink.write(f"and {len(faults) - LISTED} more\n")
