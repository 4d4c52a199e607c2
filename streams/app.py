"""Build the Faust app of a worker: one agent at concurrency 1 on the log, every setting as measured in faust.md."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import faust
from yarl import URL

from rules.engine import Engine
from rules.pack import default_bundle
from streams.agents import fold_log
from streams.client_kinds import AIOKAFKA
from streams.custody import Custody
from streams.faust_seams import Assignor, RawSchema, WorkerApp, bind
from streams.group import client_id
from streams.halt import halt as end_process
from streams.lotfold import LotWorkerFold
from streams.sensor import Sensor

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from streams.client_kinds import ClientKinds
    from streams.fold import Fold
    from streams.halt import Halt
    from streams.history import History
    from streams.worker_settings import WorkerSettings

BUFFERED_CHUNKS = 64
BUFFERED_RECORDS = 1_024
"""What waits between fetch and agent; with chunks it counts fetches of up to 1 MiB or 500 records."""
FETCH_BYTES = 1024 * 1024
FETCH_RECORDS = 500
NEVER_S = 10 * 365 * 86_400.0
"""aiokafka leaves the group, for ever, when nothing was fetched for so long: a standby fetches nothing. Our watchdog sees more."""
_log = logging.getLogger("offsite.worker")


def create_app(
    settings: WorkerSettings,
    fold: Fold | None = None,
    *,
    sensor: Sensor | None = None,
    halt: Halt = end_process,
    history: History | None = None,
    kinds: ClientKinds = AIOKAFKA,
) -> WorkerApp:
    """Return the app with its agent; its `custody` owns the partitions. Call it in the event loop that runs it.

    Args:
        settings: of this worker.
        fold: what folds the log, or the facts of lots; with the shipped packs if not given.
        sensor: what counts; one of its own if not given.
        halt: ends the process; tests put another in its place.
        history: the log from its beginning; the log itself if not given.
        kinds: what makes its clients; tests put others in their place.
    """
    folds = fold or default_fold(settings)
    custody = Custody(folds, settings, sensor or Sensor(), halt, history, kinds)
    clients = settings.kafka.for_aiokafka()
    app = WorkerApp(
        settings.group_id,
        id_format="{id}",  # the group's name as it is, without Faust's version suffix
        broker=[URL(f"{kinds.scheme}://{server}") for server in clients["bootstrap_servers"].split(",")],
        broker_credentials=credentials_of(clients),
        broker_client_id=client_id(settings),
        consumer_group_instance_id=settings.instance,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_every_s,
        broker_max_poll_interval=NEVER_S,
        broker_max_poll_records=FETCH_RECORDS,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        producer_linger=0,
        stream_wait_empty=True,
        stream_buffer_maxsize=BUFFERED_CHUNKS if settings.chunked else BUFFERED_RECORDS,
        cython_optimizations=True,
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        PartitionAssignor=Assignor,
        web_enabled=False,
        worker_redirect_stdouts=False,
        autodiscover=False,
    )
    bind(app, custody)
    log = app.topic(settings.log_topic, schema=RawSchema(key_type=bytes, value_type=bytes), acks=False)

    @app.agent(log, concurrency=1, name="fold-log")  # type: ignore[untyped-decorator]  # faust ships no types
    async def agent(stream: Any) -> None:  # noqa: ANN401 - faust ships no types
        await fold_log(stream, custody, halt)

    return app


def default_fold(settings: WorkerSettings) -> Fold:
    """Return an empty fold of what this worker is to fold, with the shipped packs."""
    bundle = default_bundle()
    return (
        LotWorkerFold(bundle, log_failure)
        if settings.of_lots
        else Engine(bundle, on_failure=log_failure, keep_facts=True)
    )


def log_failure(facility: str, rule: str, error: Exception) -> None:
    """Write what a rule raised into the worker's log: the change that tells of it names only the kind of error."""
    _log.error(
        "rule %s failed at %s and is put aside until the packs change", rule, facility,
        exc_info=(type(error), error, error.__traceback__),
    )  # fmt: skip


def credentials_of(clients: Mapping[str, Any]) -> Any:  # noqa: ANN401 - faust ships no types
    """Return Faust's form of aiokafka's security arguments."""
    protocol = clients.get("security_protocol", "PLAINTEXT")
    context: ssl.SSLContext | None = clients.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=clients["sasl_plain_username"],
        password=clients["sasl_plain_password"],
        mechanism=clients.get("sasl_mechanism", "PLAIN"),
        ssl_context=context,
    )
