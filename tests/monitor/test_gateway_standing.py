"""What a gateway cannot be without: ticks, and keys that are followed. If such a task ends, the process ends too, and says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from monitor.gateway import app as module
from monitor.gateway.app import create_gateway
from monitor.settings import GatewayEnvironment
from streams.ports import free_port
from streams.settings import KafkaSettings
from tests.e2e.test_front_to_alarm import environment
from tests.monitor.gateway_parts import GOOD, client_of, open_gateway


async def fall(*_):
    raise RuntimeError("a fault of our own")


@pytest.fixture
def elsewhere():
    return KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}", partitions=2)


async def test_a_standing_task_that_falls_is_told_and_named(elsewhere, monkeypatch, caplog):
    monkeypatch.setattr(module, "_open_and_tick", fall)
    fallen = asyncio.Event()
    app = create_gateway(GatewayEnvironment(), elsewhere, fallen.set)
    async with app.router.lifespan_context(app):
        async with asyncio.timeout(30):
            await fallen.wait()
        assert app.state.gateway.fallen == "door"
    assert "a fault of our own" in caplog.text


async def test_an_ordinary_end_is_no_fall_and_waits_for_nobody_long(elsewhere, monkeypatch):
    async def stubborn(*_):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

    monkeypatch.setattr(module, "_open_and_tick", stubborn)
    monkeypatch.setattr(module, "STOP_S", 0.05)
    fallen = asyncio.Event()
    app = create_gateway(GatewayEnvironment(), elsewhere, fallen.set)
    async with asyncio.timeout(30):
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0)
    assert (app.state.gateway.fallen, fallen.is_set()) == (None, False)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def test_the_process_ends_and_says_what_to_do(elsewhere):
    script = (
        "import monitor.gateway.app as module\n"
        "from monitor.cli import main\n"
        "async def fall(*_):\n"
        "    raise RuntimeError('a fault of our own')\n"
        "module._open_and_tick = fall\n"
        "main(['gateway'])\n"
    )
    env = environment(elsewhere, OFFSITE_GATEWAY_PORT="0")
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4
    assert "door ended by a fault of its own" in done.stderr
    assert "Start it again" in done.stderr


async def test_a_post_that_the_end_of_the_server_cuts_off_is_told_what_is_known():
    app = open_gateway()
    begun = asyncio.Event()

    async def hang(*_):
        begun.set()
        await asyncio.Event().wait()

    app.state.gateway.door.append = hang
    async with client_of(app) as client:
        post = asyncio.create_task(client.post("/v1/readings", json=GOOD))
        await begun.wait()
        post.cancel()  # as uvicorn does with what is under way after its limit; the transport of tests runs in this task
        answer = await post
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_stored", "1")
