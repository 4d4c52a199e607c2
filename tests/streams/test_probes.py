"""The health endpoints of a worker."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Gauge

from streams.probes import PortTakenError, Probes

if TYPE_CHECKING:
    from collections.abc import Iterator


class World:
    def __init__(self) -> None:
        self.healthy = self.ready = True
        self.refreshed = 0
        self.registry = CollectorRegistry()
        Gauge("offsite_worker_test", "A figure.", registry=self.registry).set(7)

    def refresh(self) -> None:
        self.refreshed += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def probes(world: World) -> Iterator[Probes]:
    server = Probes(
        "127.0.0.1",
        0,
        health=lambda: (world.healthy, {"status": "ok"}),
        ready=lambda: (world.ready, {"ready": world.ready}),
        registry=world.registry,
        refresh=world.refresh,
    )
    server.start()
    yield server
    server.stop()


def get(probes: Probes, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{probes.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_readiness_tell_good_from_bad_by_status(probes: Probes, world: World) -> None:
    assert get(probes, "/healthz") == (200, '{"status": "ok"}\n')
    assert get(probes, "/readyz?x=1")[0] == 200
    world.healthy = world.ready = False
    assert get(probes, "/healthz")[0] == 503
    status, body = get(probes, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False})


def test_metrics_are_refreshed_when_asked(probes: Probes, world: World) -> None:
    status, body = get(probes, "/metrics")
    assert status == 200
    assert "offsite_worker_test 7.0" in body
    assert world.refreshed == 1


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/../etc", "GET", 404), ("/healthz", "POST", 501)]
)
def test_nothing_else_is_served(probes: Probes, path: str, method: str, status: int) -> None:
    assert get(probes, path, method)[0] == status


def test_it_does_not_name_its_software(probes: Probes) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{probes.port}/healthz", timeout=5) as answer:
        assert "Python" not in answer.headers["Server"]


def test_a_port_in_use_is_told_clearly(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            Probes(
                "127.0.0.1",
                port,
                health=lambda: (True, {}),
                ready=lambda: (True, {}),
                registry=world.registry,
                refresh=world.refresh,
            )
        assert "choose another port" in caught.value.report()
