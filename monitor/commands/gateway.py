"""`offsite gateway`: the front door of facilities."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, ClassVar

import typer

from monitor.gateway.app import create_gateway
from monitor.gateway.connections import files_for, guarded
from monitor.serving import announce, bound, serve
from monitor.settings import GatewayEnvironment, kafka_settings
from rules.errors import OffsiteError
from streams import admin

app = typer.Typer(add_completion=False, help="Run the front door of facilities.")


class GatewayFellError(OffsiteError):
    """A task that the front door cannot be without ended: no ticks, or keys that are no longer followed."""

    code: ClassVar[str] = "gateway_fell"
    retriable: ClassVar[bool] = True
    action: ClassVar[str] = (
        "Start it again; its supervisor does. Report the traceback above: it is a fault of this program."
    )


log = logging.getLogger(__name__)


@app.command()
def command(
    host: Annotated[str | None, typer.Option("--host", help="Where to listen [OFFSITE_GATEWAY_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free port [OFFSITE_GATEWAY_PORT].")
    ] = None,
) -> None:
    """Serve until SIGTERM; requests under way are answered, then it ends within five seconds."""
    settings = GatewayEnvironment()
    chosen_host, chosen_port = host or settings.host, settings.port if port is None else port
    kafka = kafka_settings()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        admin.ensure_ready(kafka)
    except admin.BrokerDownError as error:
        # Firms get an honest 503 instead of a closed port; /readyz says why; the door opens when Kafka answers.
        log.warning("%s", error.report())
    listening = bound(chosen_host, chosen_port)
    room = files_for(settings.connections)
    if room < settings.connections:
        log.warning("room for %d connections only: the process may open no more files (ulimit -n)", room)
    application = create_gateway(
        settings.model_copy(update={"connections": room}), kafka, lambda: setattr(serving, "should_exit", True)
    )
    gateway = application.state.gateway
    serving = guarded(application, gateway.guard)
    announce(chosen_host, listening)
    serve(serving, listening)
    if gateway.fallen is not None:
        raise GatewayFellError(f"{gateway.fallen} ended by a fault of its own")
