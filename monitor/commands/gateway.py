"""`offsite gateway`: the front door of facilities."""

from __future__ import annotations

import logging
import socket
import sys
from typing import Annotated, ClassVar

import typer
import uvicorn

from monitor.gateway.app import create_gateway
from monitor.settings import GatewayEnvironment, kafka_settings
from rules.errors import PartMissingError
from streams import admin

app = typer.Typer(help="Run the front door of facilities.")
log = logging.getLogger(__name__)
STOP_S = 4
MAX_HEADER_BYTES = 16 * 1024


class PortTakenError(PartMissingError):
    """Somebody listens there already."""

    code: ClassVar[str] = "port_taken"
    action: ClassVar[str] = "Stop what listens there, or choose another port with --port or OFFSITE_GATEWAY_PORT."


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
    listening = socket.socket(socket.AF_INET6 if ":" in chosen_host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((chosen_host, chosen_port))
    except OSError as error:
        listening.close()
        raise PortTakenError(f"cannot listen on {chosen_host}:{chosen_port} ({error.strerror})") from error
    sys.stdout.write(f'{{"listening":"{chosen_host}:{listening.getsockname()[1]}"}}\n')
    sys.stdout.flush()
    config = uvicorn.Config(
        create_gateway(settings, kafka),
        http="httptools",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=2_000,
        backlog=2_048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    uvicorn.Server(config).run(sockets=[listening])
