"""`offsite evaluate`: fold a dumped log through the rules and print the changes (contracts.md §5)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.register.files import read_register
from rules.alarms import fold_alarms
from rules.canonical import canonical_bytes
from rules.errors import BadInputError, Fault
from rules.evaluate import evaluate
from rules.instants import parse_instant
from rules.pack import load_bundle
from streams.jsonlines import read_lines

app = typer.Typer(help="Fold a dumped log through the rules and print the changes, one canonical JSON line each.")


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
    bundle = load_bundle(pack)
    facilities = [] if register is None else [entry.logged() for entry in read_register(register).facilities]
    if log == "-":
        records = list(read_lines(sys.stdin.buffer, "stdin"))
    else:
        try:
            with Path(log).open("rb") as lines:
                records = list(read_lines(lines, Path(log).name))
        except OSError as error:
            raise BadInputError("log", [Fault(log, "unreadable", error.strerror or str(error))]) from error
    changes = evaluate(
        records,
        bundle,
        register=facilities,
        facility=facility,
        until_ms=until_ms,
        ignore_pack_records=ignore_pack_records,
    )
    out = sys.stdout.buffer
    values = [a.to_json() for a in fold_alarms(changes)] if alarms else [c.to_json(source=False) for c in changes]
    for value in values:
        out.write(canonical_bytes(value) + b"\n")
    out.flush()


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from error
