from __future__ import annotations

import itertools
import socket
from pathlib import Path

from streams.ports import free_port, port_in_use


def test_a_port_is_in_use_while_somebody_listens_on_it():
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert port_in_use(port)
    assert not port_in_use(port)


def test_free_ports_lie_below_those_of_outgoing_connections_and_come_once(monkeypatch):
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(15_000 <= port < lowest for port in ports)
    offers = itertools.count(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("streams.ports.PORTS_FROM", taken.getsockname()[1] - 1)
        monkeypatch.setattr("streams.ports.secrets.randbelow", lambda _: next(offers))
        assert free_port() > taken.getsockname()[1]  # it was the first that was offered


def test_a_system_without_room_for_servers_gives_its_own_ports(monkeypatch, tmp_path):
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr("streams.ports._EPHEMERAL", tmp_path / "range")
    monkeypatch.setattr("streams.ports._taken", lambda _: True)
    port = free_port()
    assert not port_in_use(port)
    monkeypatch.setattr("streams.ports._EPHEMERAL", tmp_path / "none")
    assert not port_in_use(free_port())
