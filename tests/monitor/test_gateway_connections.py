"""The bounds of connections on real sockets: a small application, a guard with short times, peers that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from contextlib import asynccontextmanager

import pytest
from starlette.responses import Response

from monitor.gateway import connections
from monitor.gateway.connections import Guard, Limits, files_for, guarded
from monitor.gateway.figures import CLOSED_FOR, Figures
from tests.monitor.gateway_real import Running, exchange, read_answer

BIG = b"x" * (16 * 1024 * 1024)


async def application(scope, receive, send):
    """Answer /echo with its body, /big with 16 MiB, /deaf without reading, all else with a word."""
    if scope["type"] != "http":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b"ok"
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
    await Response(BIG if scope["path"] == "/big" else body)(scope, receive, send)


@asynccontextmanager
async def served(**limits):
    figures = Figures()
    guard = Guard(Limits(**limits), figures)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = guarded(application, guard)
    running = asyncio.create_task(server._serve([listening]))
    gateway = Running(None, f"http://127.0.0.1:{listening.getsockname()[1]}")
    gateway.guard = guard

    def count(why):
        return figures.closed.labels(why)._value.get()

    gateway.closed = count
    try:
        yield gateway
    finally:
        server.should_exit = True
        await running
    assert guard.held == set()
    assert len(guard._peers) == 0


async def until(ask, seconds=30):
    async with asyncio.timeout(seconds):
        while not ask():  # noqa: ASYNC110 - a socket's state, no event tells it
            await asyncio.sleep(0.02)


def asking(path="/", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: gw\r\n{more}\r\n".encode()


async def test_requests_are_answered_one_after_the_other_on_one_connection():
    async with served() as gateway:
        reader, writer = await gateway.connect()
        for _ in range(3):
            writer.write(b"POST /echo HTTP/1.1\r\nHost: gw\r\nContent-Length: 3\r\n\r\nabc")
            assert (await read_answer(reader)).body == b"abc"
        chunked = (
            b"POST /echo HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        writer.write(chunked + asking())
        assert (await read_answer(reader)).body == b"abcde"
        assert (await read_answer(reader)).body == b"ok"
        writer.close()
        await until(lambda: not gateway.guard.held)
        assert all(gateway.closed(why) == 0 for why in CLOSED_FOR)


async def test_an_upgrade_is_not_made_and_the_request_is_answered():
    async with served() as gateway:
        answer = await exchange(gateway, asking(more="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        assert answer.status == 200


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", b"GET /" + b"a" * 100])
async def test_headers_that_do_not_come_end_the_connection_with_408(sent):
    async with served(headers_s=0.2, rest_s=0.2) as gateway:
        reader, writer = await gateway.connect()
        writer.write(sent)
        answer = await read_answer(reader)
        assert (answer.status, answer.json["code"]) == (408, "too_slow")
        assert await reader.read() == b""
        writer.close()
        assert gateway.closed("slow_headers") == 1


async def test_headers_drop_by_drop_gain_no_time():
    async with served(headers_s=0.5, rest_s=0.2) as gateway:
        reader, writer = await gateway.connect()
        answering = asyncio.create_task(read_answer(reader))
        writer.write(b"GET / HTTP/1.1\r\n")
        drops = 0
        while not answering.done():
            writer.write(b"X-A: b\r\n")
            drops += 1
            await asyncio.sleep(0.02)
        assert (await answering).status == 408
        assert drops > 5
        writer.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: abcdefgh\r\n" * 3_000 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000_000,
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 2_000_000,
    ],
    ids=["header", "headers", "address", "endless-header", "trailer", "chunk-extension"],
)
async def test_headers_trailers_and_extensions_that_are_too_large_are_refused(raw):
    async with served() as gateway:
        answer = await exchange(gateway, raw)
        assert answer is None or (answer.status, answer.json["code"]) == (431, "large_headers")
        await until(lambda: gateway.closed("large_headers") == 1)
        assert (await exchange(gateway, asking())).status == 200


async def test_what_is_no_http_is_told_so_and_nothing_is_logged(caplog):
    async with served() as gateway:
        for _ in range(3):
            answer = await exchange(gateway, b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
            assert (answer.status, answer.json["code"]) == (400, "malformed")
        assert gateway.closed("malformed") == 3
    # Another test's client of Kafka may still end in a thread of its own.
    assert [record for record in caplog.records if not record.name.startswith("kafka.")] == []


async def test_requests_sent_far_ahead_close_the_connection():
    async with served() as gateway:
        reader, writer = await gateway.connect()
        writer.write(asking() * 5_000)
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(65_536):
                    assert all(len(one.pipeline) <= connections.AHEAD for one in gateway.guard.held)
        writer.close()
        assert gateway.closed("ahead") == 1


async def test_the_rest_of_a_body_that_nobody_wants_is_read_for_a_moment_only():
    async with served(rest_s=0.2) as gateway:
        reader, writer = await gateway.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 100000000\r\n\r\n" + b"a" * 1_000)
        assert (await read_answer(reader)).status == 200
        assert await reader.read() == b""
        assert gateway.closed("unread_body") == 1
        writer.close()
        reader, writer = await gateway.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 4\r\n\r\nab")
        assert (await read_answer(reader)).status == 200
        writer.write(b"cd" + asking())
        assert (await read_answer(reader)).status == 200
        writer.close()


async def test_an_answer_that_nobody_reads_is_given_up():
    async with served(answer_s=0.3) as gateway:
        reader, writer = await gateway.connect()
        writer.transport.pause_reading()
        writer.write(asking("/big"))
        await until(lambda: gateway.closed("unread_answer") == 1)
        await until(lambda: not gateway.guard.held)
        writer.transport.abort()
        assert reader is not None


async def test_an_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    async with served() as gateway:
        reader, writer = await gateway.connect()
        writer.write(asking())
        assert (await read_answer(reader)).status == 200
        writer.write(b"\r\n")  # is no request, and gains no time
        assert await reader.read() == b""
        writer.close()


async def test_above_the_bound_a_connection_is_told_503_and_a_place_that_is_free_is_given_again():
    async with served(connections=3, rest_s=0.2) as gateway:
        held = [await gateway.connect() for _ in range(3)]
        await until(lambda: len(gateway.guard.held) == 3)
        answer = await exchange(gateway, asking())
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "busy", "5")
        held[0][1].close()
        await until(lambda: len(gateway.guard.held) == 2)
        assert (await exchange(gateway, asking())).status == 200
        for _, writer in held:
            writer.close()


async def test_one_address_has_so_many_connections_and_no_more():
    async with served(per_peer=2) as gateway:
        held = [await gateway.connect() for _ in range(2)]
        await until(lambda: len(gateway.guard.held) == 2)
        answer = await exchange(gateway, asking())
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (429, "connections", "5")
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port, local_addr=("127.0.0.2", 0))
        writer.write(asking())
        assert (await read_answer(reader)).status == 200
        for one in (writer, *(writer for _, writer in held)):
            one.close()


async def test_far_above_the_bound_nothing_is_said_any_more(monkeypatch):
    monkeypatch.setattr(connections, "TURNED_AWAY", 1)
    async with served(connections=1, rest_s=30) as gateway:
        held = [await gateway.connect() for _ in range(2)]
        await until(lambda: gateway.closed("full") == 1)
        assert await exchange(gateway, asking()) is None
        assert gateway.closed("crowd") == 1
        for _, writer in held:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("soft", "hard", "room"),
    [
        (1_024, 524_288, 2_000),
        (1_024, 1_024, 512),
        (4_096, 4_096, 2_000),
        (300, 300, 64),
        (1_024, -1, 2_000),
        (-1, -1, 2_000),
    ],
)
def test_the_bound_of_files_is_raised_or_the_connections_are_lowered(monkeypatch, soft, hard, room):
    made = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, value: made.append(value))
    assert files_for(2_000) == room
    assert all(hard in {-1, new[1]} and new[0] > soft for new in made) or (soft, hard) in made
