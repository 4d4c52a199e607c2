"""`offsite simulate`: simulated facilities that post through the real gateway."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from monitor.register.files import read_register
from monitor.simulate.expectation import compare
from monitor.simulate.keys import read_keys
from monitor.simulate.rehearsal import rehearse
from monitor.simulate.run import REGISTER, SimulationSettings, now_ms, run_simulation
from monitor.simulate.script import STORY, STORY_PACKS, read_script
from rules.errors import BadInputError, Fault
from rules.instants import format_instant
from rules.models import faults_of
from rules.pack import load_bundle

if TYPE_CHECKING:
    from monitor.simulate.run import Outcome
    from monitor.simulate.script import Script
    from rules.pack import Bundle
    from rules.register import Facility

app = typer.Typer(add_completion=False, help="Run simulated facilities against a gateway.")
GATEWAY = "http://127.0.0.1:8710"


@app.command()
def command(
    gateway: Annotated[str, typer.Option("--gateway", help="Where the front door is.")] = GATEWAY,
    keys: Annotated[Path | None, typer.Option("--keys", help="JSON object, facility to feed key; mode 0600.")] = None,
    register: Annotated[
        Path, typer.Option("--register", help="Who is simulated; the five demo firms if not given.")
    ] = REGISTER,
    script: Annotated[Path, typer.Option("--script", help="What goes wrong; the demo's story if not given.")] = STORY,
    facility: Annotated[list[str] | None, typer.Option("--facility", help="Only these; repeat it.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same readings.")] = 1,
    speed: Annotated[float, typer.Option("--speed", help="Signal time per clock time.")] = 60.0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="End after so long; else run until told to stop.")
    ] = None,
    history: Annotated[
        int, typer.Option("--history", min=0, max=120, help="Minutes of prehistory, sent at once.")
    ] = 120,
    rehearsal: Annotated[
        bool,
        typer.Option("--rehearse", help="Fold the script here instead, without a gateway; 1 if it breaks its promise."),
    ] = False,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack", help="Rehearse with these packs, a later over an earlier; the shipped ones, and the story's."
        ),
    ] = None,
) -> None:
    """Print one JSON line when it begins and one with the counts when it ends (SIGTERM and Ctrl-C end it cleanly)."""
    settings = _settings(
        {"gateway": gateway, "seed": seed, "speed": speed, "seconds": seconds, "history": f"{history}m"}
    )
    everyone = [entry.logged() for entry in read_register(register).facilities]
    story = read_script(script, everyone)
    chosen = _chosen(everyone, facility)
    if rehearsal:
        packs = pack or ["default", *([str(STORY_PACKS)] if script == STORY else [])]
        raise typer.Exit(_rehearse(settings, chosen, story, load_bundle(packs)))
    if keys is None:
        raise typer.BadParameter("a file with the feed keys is needed", param_hint="--keys")
    secrets = read_keys(keys, [one.id for one in chosen])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    outcome = asyncio.run(_run(settings, chosen, secrets, story))
    _line(outcome.to_json())


async def _run(settings: SimulationSettings, chosen: list[Facility], keys: dict[str, str], story: Script) -> Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    names = [facility.id for facility in chosen]
    return await run_simulation(
        settings, chosen, keys, story, stop=stop,
        begun=lambda began: _line({"began": format_instant(began), "began_ms": began, "facilities": names}),
    )  # fmt: skip


def _rehearse(settings: SimulationSettings, chosen: list[Facility], story: Script, bundle: Bundle) -> int:
    part = story.only({facility.id for facility in chosen})
    began = now_ms()
    until = began + (part.end if settings.seconds is None else int(settings.seconds * 1000))
    changes = rehearse(
        chosen, part, bundle,
        began=began, until=until, seed=settings.seed, speed=settings.speed, history_ms=settings.history,
    )  # fmt: skip
    for change in sorted(changes, key=lambda change: (change.received, change.stream, change.seq)):
        _line(
            {
                "second": (change.received - began) / 1000,
                "facility": change.facility,
                "rule": change.rule,
                "subject": change.subject,
                "change": change.change.value,
                "severity": change.severity.value,
            }
        )
    result = compare(part, changes, began=began, until=until)
    for text in [
        *(f"missing: {text}" for text in result.missing),
        *(f"unexpected: {text}" for text in result.unexpected),
    ]:
        sys.stderr.write(f"{text}\n")
    return 0 if result.holds else 1


def _settings(values: dict[str, object]) -> SimulationSettings:
    try:
        return SimulationSettings.model_validate(values)
    except ValidationError as error:
        raise BadInputError("options", faults_of(error, "--")) from error


def _chosen(everyone: list[Facility], names: list[str] | None) -> list[Facility]:
    if not names:
        return everyone
    known = {facility.id: facility for facility in everyone}
    strange = [
        Fault(name, "unknown_facility", f"registered are {', '.join(known)}") for name in names if name not in known
    ]
    if strange:
        raise BadInputError("--facility", strange)
    return [known[name] for name in dict.fromkeys(names)]


def _line(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
