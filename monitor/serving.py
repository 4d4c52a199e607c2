"""Serve an ASGI app on a port that is bound first, so that a taken port is a clear error and 0 takes a free one."""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from streams.probes import PortTakenError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STOP_S = 4
BACKLOG = 2_048
MAX_HEADER_BYTES = 16 * 1024


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        PortTakenError: it cannot be bound.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)  # from here on the port is taken; who connects early is served once the app is up
    except OSError as error:
        listening.close()
        raise PortTakenError(f"cannot listen on {host}:{port} ({error.strerror})") from error
    return listening


def is_loopback(host: str) -> bool:
    """Say whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def announce(host: str, listening: socket.socket, **more: object) -> None:
    """Print the one JSON line that says where a process listens."""
    sys.stdout.write(json.dumps({"listening": f"{host}:{listening.getsockname()[1]}"} | more) + "\n")
    sys.stdout.flush()


def serve(serving: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then return, so that the caller can end what else it runs.

    uvicorn raises the signal again once it has stopped; with the default handler that would end the process on the spot.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(serving, "should_exit", True))
    serving.run(sockets=[listening])


def server(app: ASGIApp, *, limit_concurrency: int = 2_000) -> uvicorn.Server:
    """Return the server of an app: bounded headers, connections and time to stop."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            loop="uvloop",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=limit_concurrency,
            backlog=BACKLOG,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
    )
