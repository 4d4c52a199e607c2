"""`offsite gateway`: the front door of facilities."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from monitor.gateway.app import create_gateway
from monitor.serving import announce, bound, serve, server
from monitor.settings import GatewayEnvironment, kafka_settings
from streams import admin

app = typer.Typer(help="Run the front door of facilities.")
log = logging.getLogger(__name__)


@app.command()
def command(
    host: Annotated[str | None, typer.Option("--host", help="Where to listen [OFFSITE_GATEWAY_HOST].")] = None,
    port: Annotated[int | None, typer.Option("--port", help="0 takes a free port [OFFSITE_GATEWAY_PORT].")] = None,
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
    serving = server(create_gateway(settings, kafka))
    announce(chosen_host, listening)
    serve(serving, listening)
