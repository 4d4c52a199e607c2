"""`offsite worker`: fold the log of the partitions that the group gives to this process."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from monitor.settings import ArchiverEnvironment, open_store, worker_settings
from rules import kernels
from rules.errors import BadInputError
from rules.models import faults_of
from streams import admin
from streams.app import default_fold
from streams.history import LogHistory
from streams.worker import run
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.archive.reader import ArchiveReader

app = typer.Typer(add_completion=False, help="Fold the log: checks, changes, checkpoints.")


@app.callback(invoke_without_command=True)
def worker(
    instance: Annotated[
        str | None, typer.Option(help="Stable name of this worker, its own on every machine [OFFSITE_WORKER_INSTANCE].")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where health and metrics are served [OFFSITE_WORKER_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free port [OFFSITE_WORKER_PORT].")] = None,
    lots: Annotated[
        bool, typer.Option("--lots", help="Fold the facts of lots, which cross facilities. Of a group of its own.")
    ] = False,
    partition_count: Annotated[
        int | None, typer.Option(min=1, help="Partitions that the log must have [OFFSITE_KAFKA_PARTITIONS].")
    ] = None,
) -> None:
    """Fold the log, or with --lots what it says of lots, until SIGTERM, then write a final checkpoint and end with 0.

    Ends with 70 when it cannot publish (start it again: it goes on from its last checkpoint), with 4 when starting
    again cannot help: no broker, other topics, state or log lost, another worker under its name.
    """
    chosen: dict[str, Any] = {"instance": instance, "host": host, "port": port}
    if lots:
        chosen["fold"] = "lots"
    settings = _settings({name: value for name, value in chosen.items() if value is not None}, partition_count)
    admin.ensure_ready(settings.kafka)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if not settings.of_lots:
        # Compiled before the first record, so that no batch waits for it while a session times out.
        kernels.warm()
    # Lots are kept for as long as their topic: nothing of it is archived.
    archive = None if settings.of_lots else _archive
    run(settings, default_fold(settings), LogHistory(settings.kafka, settings.log_topic, archive))


@contextmanager
def _archive() -> Iterator[ArchiveReader]:
    """Open the archive as it stands now; only a facility that must be folded anew from before the log's beginning asks."""
    from monitor.archive.reader import ArchiveReader  # noqa: PLC0415 - SQLAlchemy, which a worker needs here only

    store = open_store()
    try:
        yield ArchiveReader(store, ArchiverEnvironment().folder)
    finally:
        store.close()


def _settings(chosen: dict[str, Any], partition_count: int | None) -> WorkerSettings:
    try:
        settings = worker_settings()
        kafka = settings.kafka.model_dump()
        if partition_count is not None:
            kafka["partitions"] = partition_count
        return WorkerSettings.model_validate(settings.model_dump() | chosen | {"kafka": kafka})
    except ValidationError as error:
        raise BadInputError("worker settings", faults_of(error)) from error
