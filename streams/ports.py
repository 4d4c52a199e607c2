"""Loopback ports for what we start ourselves: free ones, and whether one is in use."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

PORTS_FROM = 15_000
"""Free ports are looked for from here to where the system's ports for outgoing connections begin."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on, another one at every call of a process.

    It lies below those that the system gives to outgoing connections: one of those may be gone before it is listened on.
    """
    lowest = min(_first_ephemeral_port(), 61_000)
    for _ in range(1_000):
        port = PORTS_FROM + secrets.randbelow(max(lowest - PORTS_FROM, 1))
        if port not in _given and not _taken(port):
            _given.add(port)
            return port
    with socket.socket() as probe:  # a system that keeps next to nothing for its servers
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_ephemeral_port() -> int:
    try:
        return int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux' own choice


def _taken(port: int) -> bool:
    """Say whether anything is bound to a port, also a connection that has just ended."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def port_in_use(port: int) -> bool:
    """Say whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
