"""`offsite deadlines`: which reports are due, soon due or late, of a dumped log or as things stand."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitor.commands.evaluate import folded, opened_log, packs_and_register
from monitor.console.formats import local
from monitor.deadlines.views import deadline, report_title
from monitor.settings import worker_settings
from rules.clocks.ofalog import Due, due_of_log
from rules.engine import Engine
from rules.errors import BadInputError, Fault
from rules.instants import format_instant, parse_instant
from rules.models import is_facility_id
from streams import admin
from streams.codec import home_of
from streams.present import present

if TYPE_CHECKING:
    from rules.clocks.listing import Running
    from rules.models import Bilingual
    from rules.pack import Bundle

app = typer.Typer(add_completion=False, help="List which reports are due, soon due or late.")
Language = Literal["zh", "en", "both"]


@app.command()
def command(
    facility: Annotated[str | None, typer.Option("--facility", help="Leave every other facility out.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Instant (RFC 3339); ahead: what will be late by then if nothing comes.")
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", help="A dump as JSON lines, or - for standard input; else as things stand.")
    ] = None,
    pack: Annotated[
        list[str] | None, typer.Option("--pack", help="As for `offsite evaluate`; default: default.")
    ] = None,
    register: Annotated[
        Path | None, typer.Option("--register", help="A register file, as version 0 before the log.")
    ] = None,
    ignore_pack_records: Annotated[bool, typer.Option("--ignore-pack-records", help="Keep --pack throughout.")] = False,
    lang: Annotated[Language, typer.Option("--lang", help="Language of the text.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List every legal clock that runs, by due instant.

    As things stand: the newest checkpoint of the workers and the log behind it are folded here; nothing is written, and no worker is
    asked. With --log the log up to --at, or to its end.
    """
    instant = _instant(at)
    if facility is not None and not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="--facility")
    if log is None and (register is not None or ignore_pack_records):
        raise typer.BadParameter("stands beside --log", param_hint="--register, --ignore-pack-records")
    bundle, facts = packs_and_register(pack or ["default"], register)
    left_out: dict[str, str] = {}
    if log is None:
        due, left_out = _live(bundle, facility, instant)
    else:
        with ExitStack() as files:
            due = folded(
                opened_log(log, files), "stdin" if log == "-" else Path(log).name, facts,
                lambda records, surveyed: due_of_log(
                    records, bundle, at=instant, register=facts, facility=facility,
                    ignore_pack_records=ignore_pack_records, surveyed=surveyed,
                ),
            )  # fmt: skip
    _show(due, left_out, lang, as_json=as_json)


def _live(bundle: Bundle, facility: str | None, at: int | None) -> tuple[Due, dict[str, str]]:
    settings = worker_settings().model_copy(update={"fold": "facilities"})
    admin.ensure_ready(settings.kafka)
    count = settings.kafka.partitions
    due, left_out = Due(time.time_ns() // 1_000_000 if at is None else at), dict[str, str]()
    for partition in range(count) if facility is None else [home_of(facility, count)]:
        engine = Engine(bundle)  # one at a time: all of an installation need not fit
        found = present(settings, partition, engine, only=facility, until_ms=at)
        left_out |= found.left_out
        due.take(engine, partition, found.facilities)
        if facility is not None and not found.facilities and not found.left_out:
            raise BadInputError(
                "facility", [Fault("--facility", "unknown", f"no record of {facility} was ever received")]
            )
    return due, left_out


def _show(due: Due, left_out: dict[str, str], lang: Language, *, as_json: bool) -> None:
    if as_json:
        value = {
            "at": format_instant(due.at),
            "deadlines": [deadline(row, due.at).model_dump(mode="json") for row in due.rows],
            "aside": [{"facility": facility, "rule": rule} for facility, rule in due.aside],
            "left_out": [{"facility": facility, "why": why} for facility, why in sorted(left_out.items())],
        }
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        return
    for row in due.rows:
        sys.stdout.write(_line(row, due.at, lang) + "\n")
    sys.stdout.write(f"{len(due.rows)} clocks run, as of {local(due.at)}\n")
    for facility, rule in due.aside:
        sys.stderr.write(f"{facility}: {rule} raised and is put aside: its clocks are not known\n")
    for facility, why in sorted(left_out.items()):
        sys.stderr.write(f"{facility}: not listed: {why}\n")


def _line(row: Running, at: int, lang: Language) -> str:
    held = row.at(at)
    when = "-" * 19 if row.due is None else local(row.due)
    colour = "" if held.severity is None else held.severity.value
    doubts = f" verify: {', '.join(row.verify)}" if row.verify else ""
    alarm = "" if row.alarm is None else f" alarm {row.alarm}"
    case = " ".join(row.subject.values())
    return (
        f"{when} {held.state.value:7} {colour:6} {row.facility} {case}: {_said(report_title(row), lang)} ({row.time}), "
        f"{_said(held.words, lang)}{doubts}{alarm}"
    )


def _said(words: Bilingual, lang: Language) -> str:
    return f"{words.zh} / {words.en}" if lang == "both" else words.zh if lang == "zh" else words.en


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
