"""`offsite state`: what a worker would start from, and rebuild it where it is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitor.archive.past import Past
from monitor.settings import ArchiverEnvironment, kafka_settings, open_store, worker_settings
from rules import kernels
from rules.engine import Engine
from rules.pack import load_bundle
from streams import admin, repair
from streams.app import log_failure
from streams.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.checkpoint import StateRows
    from streams.refold import Refolded
    from streams.worker_settings import WorkerSettings

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Check the workers' state, and rebuild it from log and archive."
)


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    lots: Annotated[bool, typer.Option("--lots", help="Of the workers of lots.")] = False,
) -> None:
    """Say of each partition whether a worker would start from its state: exit 1 if one is lost, of another engine, or of another log."""
    settings = _settings("lots" if lots else "facilities")
    admin.ensure_ready(settings.kafka)
    found = asyncio.run(repair.look(settings, range(settings.kafka.partitions)))
    bad = [standing for standing in found if standing.verdict in {"lost", "semantics", "regrown"}]
    if as_json:
        rows = [{"partition": s.partition, "verdict": s.verdict, "why": s.why} for s in found]
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.writelines(f"partition {s.partition}: {s.verdict}: {s.why}\n" for s in found)
        sys.stdout.write(f"{len(found)} partitions, {len(bad)} of them no worker can start from\n")
    raise typer.Exit(1 if bad else 0)


@app.command()
def rebuild(
    source: Annotated[
        Path | None, typer.Option("--from", help="Begin with the state of this backup, not where the log began.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also partitions whose state is whole.")] = False,
    partition: Annotated[list[int] | None, typer.Option("--partition", help="Only these.")] = None,
    pack: Annotated[
        list[str] | None, typer.Option("--pack", help="Packs in force before the first `packs` record.")
    ] = None,
    pass_over: Annotated[
        list[str] | None, typer.Option("--pass-over", help="PARTITION:OFFSET of a record that kills what folds it.")
    ] = None,
) -> None:
    """Fold log and archive anew and write the state that workers start from. Stop every worker first.

    Every change that was published must come out again, or nothing is written; none is published twice, and what was never
    published is published now.
    """
    settings = _settings("facilities")
    admin.ensure_ready(settings.kafka)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    chosen = sorted(set(partition or range(settings.kafka.partitions)))
    if chosen[-1] >= settings.kafka.partitions or chosen[0] < 0:
        raise typer.BadParameter(f"0 to {settings.kafka.partitions - 1}", param_hint="--partition")
    passed = [_place(text) for text in pass_over or []]
    repair.await_no_workers(settings)
    bundle = load_bundle(pack or ["default"])
    saved = None if source is None else _saved(source)
    found = asyncio.run(repair.look(settings, chosen))
    wanted = [s for s in found if s.verdict == "lost" or (everything and s.verdict == "whole")]
    others = [s for s in found if s.verdict in {"semantics", "regrown"}]
    for standing in others:
        see = "`offsite state upgrade`" if standing.verdict == "semantics" else "docs/state.md"
        sys.stderr.write(f"partition {standing.partition}: {standing.why}: see {see}\n")
    if wanted:
        kernels.warm()
    with open_store() as store:
        past = Past(kafka_settings(), store, ArchiverEnvironment().folder)
        asyncio.run(
            repair.rebuild(
                settings, wanted, lambda: Engine(bundle, on_failure=log_failure, keep_facts=True), past,
                saved=saved, passed=passed, tell=_tell,
            )
        )  # fmt: skip
    sys.stdout.write(f"{len(wanted)} partitions rebuilt, {len(found) - len(wanted)} left as they are\n")
    raise typer.Exit(1 if others else 0)


@app.command("upgrade")
def upgrade_state() -> None:
    """Go on with this release's engine semantics from what the engine before left. Stop every worker first, with SIGTERM.

    The log gets one `state` record for each facility; what was published stays as it is, and seqs go on. Exit 4, and nothing
    is written of that partition, if this engine does not go on from that state.
    """
    settings = _settings("facilities")
    admin.ensure_ready(settings.kafka)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    repair.await_no_workers(settings)
    found = asyncio.run(repair.look(settings, range(settings.kafka.partitions)))
    lost = [standing for standing in found if standing.verdict in {"lost", "regrown"}]
    wanted = [standing for standing in found if standing.verdict == "semantics"]
    for standing in lost:
        sys.stderr.write(f"partition {standing.partition}: {standing.why}: rebuild it with the release before\n")
    if wanted:
        kernels.warm()
    with open_store() as store:
        past = Past(kafka_settings(), store, ArchiverEnvironment().folder)
        engine = partial(Engine, load_bundle(["default"]), on_failure=log_failure, keep_facts=True)
        asyncio.run(upgrade(settings, wanted, engine, past, tell=_tell))
    sys.stdout.write(f"{len(wanted)} partitions upgraded, {len(found) - len(wanted)} left as they are\n")
    raise typer.Exit(1 if lost else 0)


def _settings(fold: Literal["facilities", "lots"]) -> WorkerSettings:
    return worker_settings().model_copy(update={"fold": fold})


def _saved(folder: Path) -> Callable[[int], StateRows]:
    from monitor.backup.kafkaparts import records_of, state_rows  # noqa: PLC0415 - only with a backup
    from monitor.backup.manifest import read_list, read_manifest  # noqa: PLC0415 - as above
    from streams.topics import STATE  # noqa: PLC0415 - as above

    manifest = read_manifest(folder)
    files = {file.path: file for file in read_list(folder, manifest)}
    return lambda partition: state_rows(partition, records_of(folder, manifest, files, STATE, partition))


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not PARTITION:OFFSET", param_hint="--pass-over")
    return int(partition), int(offset)


def _tell(done: Refolded) -> None:
    sys.stdout.write(
        f"partition {done.partition}: offsets {done.begin} to {done.end - 1}: {done.records} records,"
        f" {done.facilities} facilities; {done.compared} changes as published, {done.published} published now\n"
    )
    sys.stdout.flush()
