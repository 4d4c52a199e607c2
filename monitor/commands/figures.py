"""`offsite figures`: samples that pass, visits and risk grades over all facilities, of a dumped log or as things stand."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.commands.evaluate import folded, opened_log, packs_and_register
from monitor.figures.views import figures
from monitor.settings import worker_settings
from rules.clocks.ofalog import folded_until
from rules.engine import Engine
from rules.figures.facts import FacilityFacts, facts_of
from rules.instants import parse_instant
from streams import admin
from streams.present import present

if TYPE_CHECKING:
    from monitor.figures.views import Figures, JudgedView, SamplingView, TargetView, YearView
    from rules.pack import Bundle

app = typer.Typer(add_completion=False, help="Add up figures over all facilities.")


@app.command()
def command(
    at: Annotated[str | None, typer.Option("--at", help="Instant (RFC 3339) of which the figures are.")] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Say how many samples pass by product line and period, who was visited by risk grade, and what became of steps of the grade.

    As things stand: the newest checkpoint of the workers and the log behind it are folded here; nothing is written, and no worker is
    asked. With --log the log up to --at, or to its end.
    """
    instant = _instant(at)
    if log is None and (register is not None or ignore_pack_records):
        raise typer.BadParameter("stands beside --log", param_hint="--register, --ignore-pack-records")
    bundle, facts = packs_and_register(pack or ["default"], register)
    left_out: dict[str, str] = {}
    if log is None:
        found, left_out = _live(bundle, instant)
    else:
        with ExitStack() as files:
            told = folded(
                opened_log(log, files), "stdin" if log == "-" else Path(log).name, facts,
                lambda records, surveyed: folded_until(
                    records, bundle, at=instant, register=facts, facility=None,
                    ignore_pack_records=ignore_pack_records, surveyed=surveyed,
                ),
            )  # fmt: skip
        found = figures([one for p in told.partitions for one in _facts(told.engine, p, told.at)], told.at)
    _show(found, left_out, as_json=as_json)


def _live(bundle: Bundle, instant: int | None) -> tuple[Figures, dict[str, str]]:
    settings = worker_settings().model_copy(update={"fold": "facilities"})
    admin.ensure_ready(settings.kafka)
    at = time.time_ns() // 1_000_000 if instant is None else instant
    told, left_out = list[FacilityFacts](), dict[str, str]()
    for partition in range(settings.kafka.partitions):
        engine = Engine(bundle)  # one at a time: all of an installation need not fit
        found = present(settings, partition, engine, until_ms=instant)
        left_out |= found.left_out
        told += _facts(engine, partition, at, found.facilities)
    return figures(told, at), left_out


def _facts(engine: Engine, partition: int, at: int, names: list[str] | None = None) -> list[FacilityFacts]:
    """Return the facts of a partition whose clock is moved to the instant (ms): what time alone proposes by then is there."""
    engine.advance(partition, at)
    return [facts_of(engine.state_of(name)) for name in (engine.facilities(partition) if names is None else names)]


def _show(found: Figures, left_out: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        gone = [{"facility": facility, "why": why} for facility, why in sorted(left_out.items())]
        value = found.model_dump(mode="json") | {"left_out": gone}
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        return
    targets: dict[str, TargetView] = {target.name: target for target in found.targets}
    grades = " ".join(f"{grade}:{count}" for grade, count in found.grades)
    lines = [f"facilities by risk grade: {grades}"]
    lines += [_rate(one, targets["sampling"]) for one in found.sampling]
    for year in found.years:
        lines += _year(year, targets)
    sys.stdout.write("".join(f"{line}\n" for line in lines) + f"as of {found.at}\n")
    if found.dropped:
        sys.stderr.write(f"{found.dropped} older reports of samples are kept no more, and are not counted\n")
    for facility, why in sorted(left_out.items()):
        sys.stderr.write(f"{facility}: not counted: {why}\n")


def _rate(one: SamplingView, target: TargetView) -> str:
    name = f"{one.period:8}{'*' if one.running else ' '} {one.line or 'unknown':9}"
    if one.percent is None:
        return f"{name}      no samples"
    failed = f", {one.unretested} failed without a re-test" if one.unretested else ""
    return f"{name} {one.percent:6.2f} % {one.passed}/{one.samples}{failed}{_missed(one.missed, target)}"


def _year(year: YearView, targets: dict[str, TargetView]) -> list[str]:
    name = f"{year.year}{'*' if year.running else ' '}"
    lines = [
        f"{name} grade {grade} visited: {share.percent:.2f} % {share.visited}/{share.facilities}"
        for grade, share in year.all.items()
        if share.percent is not None
    ]
    lines += [_judged(name, one, targets[one.target]) for one in year.judged if one.missed is not None]
    steps = " ".join(f"{state}:{count}" for state, count in year.steps)
    return [*lines, *([f"{name} steps of the grade: {steps}"] if year.steps.proposed else [])]


def _judged(name: str, one: JudgedView, target: TargetView) -> str:
    share = one.share
    return (
        f"{name} trial institutions of grade B visited before {one.at}: {share.percent:.2f} % "
        f"{share.visited}/{share.facilities}{_missed(one.missed, target)}"
    )


def _missed(missed: bool | None, target: TargetView) -> str:  # noqa: FBT001 - three values, not a switch
    """Return what is said of a target that is missed: its colour, its number, and how sure that is."""
    if not missed:
        return ""
    return (
        f"  {target.severity.value}: below {target.percent} % ({target.cites[0].status}: {target.cites[0].instrument})"
    )


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
