"""`/healthz`, `/readyz` and `/metrics` of a process without an HTTP server of its own.

Answered from threads: a probe must get its answer when the event loop does not turn.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from rules.errors import PartMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[], tuple[bool, dict[str, object]]]

CLIENT_TIMEOUT_S = 5.0
MAX_CLIENTS = 32


class PortTakenError(PartMissingError):
    """Somebody listens there already, or the address is not this machine's."""

    code: ClassVar[str] = "port_taken"
    action: ClassVar[str] = "Stop what listens there, or choose another port with --port or its setting."


class Probes:
    """A small HTTP server in daemon threads; only GET, only three paths, bounded in clients and time."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        health: Answer,
        ready: Answer,
        registry: CollectorRegistry,
        refresh: Callable[[], None],
    ) -> None:
        slots = threading.BoundedSemaphore(MAX_CLIENTS)

        class Handler(BaseHTTPRequestHandler):
            timeout = CLIENT_TIMEOUT_S
            server_version = "offsite"
            sys_version = ""
            answers: ClassVar[dict[str, Answer]] = {"/healthz": health, "/readyz": ready}

            def do_GET(self) -> None:
                if not slots.acquire(blocking=False):
                    self.send_error(503)
                    return
                try:
                    self._answer()
                finally:
                    slots.release()

            def _answer(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    refresh()
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif path in self.answers:
                    good, body = self.answers[path]()
                    self._send(200 if good else 503, "application/json", json.dumps(body).encode() + b"\n")
                else:
                    self.send_error(404)

            def _send(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write no access log."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise PortTakenError(f"cannot listen on {host}:{port} for health checks ({error.strerror})") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="probes", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
