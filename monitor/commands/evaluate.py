"""`offsite evaluate`: fold a dumped log through the rules and print the changes (contracts.md §5)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypeVar

import typer

from monitor.factlines import without_facts
from monitor.lines import write_lines
from monitor.register.files import read_register
from rules.alarms import fold_alarms
from rules.canonical import canonical_bytes
from rules.errors import BadInputError, Fault
from rules.evaluate import Survey, evaluate, survey
from rules.instants import parse_instant
from rules.lint import lint
from rules.models import is_facility_id
from rules.pack import SHIPPED, load_bundle
from streams.jsonlines import read_lines, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rules.lots.offline import FactLine
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.register import Facility

Answer = TypeVar("Answer")
app = typer.Typer(
    add_completion=False,
    help="Fold a dumped log through the rules and print the changes, one canonical JSON line each.",
)


@app.command()
def command(
    pack: Annotated[list[str], typer.Option("--pack", help="`default`, or a folder of rule files; repeat to overlay.")],
    log: Annotated[str, typer.Option("--log", help="A dump as JSON lines, or - for standard input.")],
    register: Annotated[
        Path | None, typer.Option("--register", help="A register file, as version 0 before the log.")
    ] = None,
    facility: Annotated[str | None, typer.Option("--facility", help="Leave every other facility out.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Move time past the last record (RFC 3339).")] = None,
    alarms: Annotated[bool, typer.Option("--alarms", help="One line per alarm as it ends up.")] = False,
    ignore_pack_records: Annotated[bool, typer.Option("--ignore-pack-records", help="Keep --pack throughout.")] = False,
) -> None:
    """Print nothing at all if anything in the input is wrong (exit 3, every fault on stderr)."""
    until_ms = _instant(until)
    if facility is not None and not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="--facility")
    bundle, facts = packs_and_register(pack, register)
    with ExitStack() as open_files:
        source = opened_log(log, open_files)
        name = "stdin" if log == "-" else Path(log).name
        lines: list[FactLine] = []
        changes = folded(
            source, name, facts,
            lambda records, surveyed: evaluate(
                records, bundle, register=facts, facility=facility, until_ms=until_ms,
                ignore_pack_records=ignore_pack_records, surveyed=surveyed, lines=lines,
            ),
            lines,
        )  # fmt: skip
    values = [a.to_json() for a in fold_alarms(changes)] if alarms else [c.to_json(source=False) for c in changes]
    write_lines(map(canonical_bytes, values), None)


def packs_and_register(packs: list[str], register: Path | None) -> tuple[Bundle, list[Facility]]:
    """Read both, so that the faults of both are told at once."""
    faults: list[Fault] = []
    bundle, facts = None, []
    try:
        bundle = load_bundle(packs)
    except BadInputError as error:
        # The same list as `offsite rules lint` tells: what only it looks for is to be corrected too.
        folders = [SHIPPED if folder == "default" else Path(folder) for folder in packs]
        faults += sorted({*error.faults, *lint(folders)})
    try:
        facts = [] if register is None else [entry.logged() for entry in read_register(register).facilities]
    except BadInputError as error:
        faults += error.faults
    if faults or bundle is None:
        raise BadInputError("packs and register", faults)
    return bundle, facts


def folded(
    source: BinaryIO, name: str, facts: list[Facility], fold: Callable[[Iterator[LogRecord], Survey], Answer],
    lines: list[FactLine] | None = None,
) -> Answer:  # fmt: skip
    """Return what `fold` makes of the records of a dump; what is wrong is told whole, also of the lines behind the first fault.

    Args:
        source: of the dump.
        name: of it, for faults.
        facts: registered facts that are folded before it.
        fold: takes the records, and a survey of them if there are such facts.
        lines: takes the facts of lots that the dump holds, while the records are read.

    Raises:
        BadInputError: with every fault.
    """
    surveyed = Survey()
    if facts:  # they stand before the first line, so where the lines begin has to be known first
        surveyed = survey(records_of(source, name))
        source.seek(0)
    records = records_of(source, name, lines)
    try:
        return fold(records, surveyed)
    except BadInputError as error:
        # What could not be folded was told by the fold; the lines behind it may be wrong too.
        try:
            for _ in records:
                pass
        except BadInputError as more:
            raise BadInputError(name, [*error.faults, *more.faults]) from error
        raise


def records_of(source: BinaryIO, name: str, lines: list[FactLine] | None = None) -> Iterator[LogRecord]:
    """Yield the records of a dump; its facts of lots go into `lines`.

    Raises:
        BadInputError: at the end, with the faults of all lines.
    """
    faults: list[Fault] = []
    found: list[FactLine] = [] if lines is None else lines
    try:
        yield from read_lines(without_facts(split_lines(source), name, found, faults), name)
    except BadInputError as error:
        raise BadInputError(name, [*error.faults, *faults]) from error
    if faults:
        raise BadInputError(name, faults)


def opened_log(log: str, files: ExitStack) -> BinaryIO:
    """Open a dump; what comes through a pipe is kept in a temporary file, because it may have to be read twice.

    Raises:
        BadInputError: it cannot be opened.
    """
    try:
        source: BinaryIO = sys.stdin.buffer if log == "-" else files.enter_context(Path(log).open("rb"))  # noqa: SIM115 - as below
        if log != "-" and source.seekable():
            return source
        spool = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        shutil.copyfileobj(source, spool)
        spool.seek(0)
    except OSError as error:
        raise BadInputError("log", [Fault(log, "unreadable", error.strerror or str(error))]) from error
    return spool


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from error
