"""The live stream: every step once and in order, from any number still kept, over HTTP and in the hub."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from sqlalchemy import delete, select

from monitor.desk import live
from monitor.desk.live import KEEP_MS, Hub, ResetError
from monitor.serving import bound
from monitor.store.desk_tables import LiveRow
from tests.monitor.alarms.changes import change
from tests.monitor.desk.lab import NOW, PASSWORD, DeskLab


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def steps(lab, begin, end, stream="A1"):
    lab.apply(*[change(seq, "raised" if seq == 1 else "amended", stream=stream) for seq in range(begin, end + 1)])


async def take(hub, after, count, patience=5.0):
    found = []
    async for some in hub.follow(after, patience):
        found += [step.id for step in some]
        if len(found) >= count or not some:
            return found
    return found


def in_hub(lab, scenario):
    async def run():
        hub = Hub(lab.store)
        lab.desk.hub = hub
        await asyncio.to_thread(hub.load)
        task = asyncio.create_task(hub.run())
        try:
            return await scenario(hub)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(run())


def test_a_client_gets_what_is_stored_and_then_what_comes(lab):
    steps(lab, 1, 5)

    async def scenario(hub):
        follower = asyncio.create_task(take(hub, 0, 8))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(steps, lab, 6, 8)
        return await follower

    assert in_hub(lab, scenario) == list(range(1, 9))


def test_many_clients_at_different_places_get_the_same_steps(lab, monkeypatch):
    monkeypatch.setattr(live, "RING", 10)
    monkeypatch.setattr(live, "PAGE", 7)
    steps(lab, 1, 30)

    async def scenario(hub):
        tasks = [asyncio.create_task(take(hub, after, 50 - after)) for after in (0, 3, 17, 29, 30)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(steps, lab, 31, 50)
        return await asyncio.gather(*tasks)

    found = in_hub(lab, scenario)
    assert found == [list(range(after + 1, 51)) for after in (0, 3, 17, 29, 30)]


def test_without_a_step_the_client_is_told_that_the_line_is_alive(lab):
    async def scenario(hub):
        return await anext(hub.follow(0, 0.05))

    assert in_hub(lab, scenario) == []


def test_what_another_desk_wrote_is_found_without_a_word_from_this_one(lab):
    async def scenario(hub):
        follower = asyncio.create_task(take(hub, 0, 2))
        await asyncio.sleep(0.1)
        lab.desk.hub = Hub(lab.store)  # its poke wakes nobody here
        await asyncio.to_thread(steps, lab, 1, 2)
        return await follower

    assert in_hub(lab, scenario) == [1, 2]


@pytest.mark.parametrize("after", [7, 10**15])
def test_a_number_that_was_never_given_out_is_a_reset(lab, after):
    steps(lab, 1, 5)

    async def scenario(hub):
        with pytest.raises(ResetError):
            await take(hub, after, 1)

    in_hub(lab, scenario)


def test_a_number_too_old_is_a_reset_and_the_newest_step_is_always_kept(lab):
    steps(lab, 1, 3)
    lab.clock.ms += KEEP_MS + 1
    steps(lab, 4, 4)
    lab.clock.ms += KEEP_MS + 1
    assert lab.desk.hub.prune(lab.clock.ms) == 3
    with lab.store.reading() as session:
        assert list(session.scalars(select(LiveRow.id))) == [4]

    async def scenario(hub):
        with pytest.raises(ResetError):
            await take(hub, 1, 1)
        return await take(hub, 3, 1)

    assert in_hub(lab, scenario) == [4]


@contextmanager
def served(lab):
    """The desk on a real server: a test client of the same loop cannot leave a stream."""
    listening = bound("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(lab.app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def events(client, count, **more):
    """Return the first events of the stream as (event, id, data)."""
    found = []
    with client.stream("GET", "/v1/stream", timeout=20, **more) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        current = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            elif "event" in current:
                found.append((current["event"], int(current["id"]), json.loads(current["data"])))
                current = {}
            if len(found) >= count:
                return found
    return found


def test_over_http_a_client_resumes_from_the_last_event_it_had(lab):
    steps(lab, 1, 4)
    lab.user()
    with served(lab) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD}).status_code == 200
        first = events(client, 2, params={"after": 0})
        assert [(event, number) for event, number, _ in first] == [("alarm", 1), ("alarm", 2)]
        assert first[0][2] == {
            "kind": "raised", "alarm": change(1).alarm, "facility": "A1", "revision": 1, "at": "2026-09-21T14:13:20.000Z",
        }  # fmt: skip
        again = events(client, 2, params={"after": 0}, headers={"Last-Event-ID": "2"})
        assert [number for _, number, _ in again] == [3, 4]
        reset = events(client, 1, headers={"Last-Event-ID": "999"})
        assert [(event, number) for event, number, _ in reset] == [("reset", 4)]
        assert client.get("/v1/stream", params={"after": "x"}).status_code == 422
    assert lab.desk.hub.clients == 0


def test_a_session_that_ends_ends_its_stream(lab, monkeypatch):
    from monitor.api import stream

    monkeypatch.setattr(stream, "KEEPALIVE_S", 0.1)
    monkeypatch.setattr(stream, "CHECK_S", 0.2)
    lab.user()
    with served(lab) as url, httpx.Client(base_url=url, trust_env=False) as client:
        client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD})
        with client.stream("GET", "/v1/stream", timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            from monitor.store.desk_tables import SessionRow

            with lab.store.writing() as session:
                session.execute(delete(SessionRow))
            told = {line for line in lines if line.startswith("event")}  # and it ends by itself
            assert told <= {"event: still", "event: standing"}, "nothing of an alarm"


def test_too_many_clients_are_told_to_come_later(lab, monkeypatch):
    from monitor.api import stream

    monkeypatch.setattr(stream, "MAX_CLIENTS", 0)
    with lab.signed_in() as client:
        answer = client.get("/v1/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert lab.clock() == NOW
