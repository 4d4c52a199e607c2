from __future__ import annotations

import asyncio

import pytest

from monitor.gateway import bodies
from monitor.gateway.bodies import MAX_BODY_BYTES, declared_bytes, read_body
from monitor.gateway.figures import Figures
from monitor.gateway.hall import Hall
from monitor.gateway.problems import RefusedError
from monitor.gateway.quota import Quota
from tests.monitor.gateway_parts import GOOD, HASH, client_of, open_gateway
from tests.monitor.gateway_real import MIB

ROOM = 64 * MIB


@pytest.fixture
def hall():
    return Hall(ROOM, 3, Figures())


def refused(ask):
    with pytest.raises(RefusedError) as caught:
        ask()
    return caught.value.status.value, caught.value.code, caught.value.retry_after_s


def test_one_key_holds_an_eighth_of_the_room_and_gives_it_back(hall):
    with hall.enter("a") as first, hall.enter("a") as second:
        first.hold(5 * MIB)
        second.hold(3 * MIB)
        assert refused(lambda: second.hold(3 * MIB + 1)) == (429, "at_once", 1)
        first.leave()
        second.hold(8 * MIB)
        second.hold(MIB)  # holds the more already
        assert hall._figures.bodies._value.get() == 8 * MIB
    assert hall._figures.bodies._value.get() == 0
    assert (len(hall._bytes), len(hall._posts), hall._room) == (0, 0, ROOM)


def test_when_the_room_is_taken_by_large_bodies_small_ones_still_come_in(hall):
    large = [hall.enter(f"k{i}") for i in range(7)]
    for place in large:
        place.__enter__().hold(8 * MIB)
    with hall.enter("late") as late:
        assert refused(lambda: late.hold(4 * MIB)) == (503, "busy", 2)
        late.hold(64 * 1024)
    for place in large:
        place.__exit__(None, None, None)
    with hall.enter("late") as late:
        late.hold(4 * MIB)


def test_a_key_has_so_many_posts_under_way_and_no_more(hall):
    with hall.enter("a"), hall.enter("a"), hall.enter("a"):
        assert refused(hall.enter("a").__enter__) == (429, "at_once", 1)
        with hall.enter("b"):
            pass
    with hall.enter("a"):
        pass


def test_an_exception_inside_gives_everything_back(hall):
    def fall():
        with hall.enter("a") as place:
            place.hold(MIB)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fall()
    assert (len(hall._bytes), len(hall._posts), hall._room) == (0, 0, ROOM)


async def test_long_work_takes_turns_and_the_loop_serves_others_between(hall):
    done, served = [], []

    async def bomb(i):
        with hall.enter(f"k{i}") as place:
            async with place.turn():
                done.append(i)

    async def small():
        while len(done) < 20:
            served.append(len(done))
            await asyncio.sleep(0)

    await asyncio.gather(small(), *(bomb(i) for i in range(20)))
    assert done == list(range(20))
    assert len(set(served)) >= 20  # never two bombs between two looks


@pytest.mark.parametrize(
    ("header", "size"),
    [(None, 0), ("", 0), ("17", 17), ("-1", 0), ("1e3", 0), ("٣", 0), ("9" * 5_000, 9_999_999_999_999_999)],
)
def test_what_a_body_announces_is_read_without_trust(header, size):
    assert declared_bytes(header) == size


async def chunks(*parts, then_wait=False):
    for part in parts:
        yield part
    if then_wait:
        await asyncio.Event().wait()


async def test_a_body_takes_its_room_before_it_is_read_and_no_more_than_it_needs(hall):
    with hall.enter("a") as place:
        assert await read_body(chunks(b"12", b"34"), "", bytearray(), place, 4 * MIB) == b"1234"
        assert hall._bytes["a"] == 4 * MIB
    with hall.enter("a") as place:
        await read_body(chunks(b"x" * 1_000), "", bytearray(), place)
        assert hall._bytes["a"] == 1_000


async def test_a_body_that_announces_too_much_is_refused_with_its_first_bytes_alone(hall):
    head, asked = bytearray(), []

    async def endless():
        while True:
            asked.append(1)
            yield b"[" * 10_000

    with hall.enter("a") as place, pytest.raises(RefusedError) as caught:
        await read_body(endless(), "", head, place, MAX_BODY_BYTES + 1)
    assert (caught.value.status.value, len(head), len(asked)) == (413, 4096, 1)


@pytest.mark.parametrize(("grace", "sent"), [(0.05, []), (0.0, [b"x" * 800, b"y" * 800])])
async def test_a_body_that_comes_too_slowly_is_refused(hall, monkeypatch, grace, sent):
    monkeypatch.setattr(bodies, "GRACE_S", grace)
    with hall.enter("a") as place, pytest.raises(RefusedError) as caught:
        await read_body(chunks(*sent, then_wait=True), "", bytearray(), place)
    assert (caught.value.status.value, caught.value.code) == (408, "too_slow")
    assert hall._room == ROOM


async def test_bytes_have_a_quota_of_their_own_and_what_was_blown_up_counts():
    app = open_gateway()
    parts = app.state.gateway
    parts.bytes = Quota(5 * MIB, lambda: 100.0)
    async with client_of(app) as client:
        headers = {"Content-Type": "application/json"}
        assert (
            await client.post("/v1/readings", content=b"[" * (MAX_BODY_BYTES + 1), headers=headers)
        ).status_code == 413
        padded = str(GOOD).replace("'", '"').encode().ljust(60_000)
        answers = []
        while not answers or answers[-1].status_code == 202:
            answers.append(await client.post("/v1/readings", content=padded, headers=headers))
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "quota")
    assert answers[-1].headers["retry-after"] == "1"
    assert len(answers) == MIB // 60_000 + 2
    assert HASH not in parts.hall._posts


async def test_while_a_post_waits_for_the_broker_its_text_is_gone():
    app = open_gateway()
    parts = app.state.gateway
    seen = []
    append = parts.door.append

    async def looking(facility, payload):
        seen.append((parts.hall._bytes[HASH], parts.hall._posts[HASH]))
        return await append(facility, payload)

    parts.door.append = looking
    async with client_of(app) as client:
        assert (await client.post("/v1/readings", json=GOOD)).status_code == 202
    assert seen == [(0, 1)]


async def test_posts_that_all_end_in_a_fault_of_ours_are_told_to_the_door():
    from http import HTTPStatus

    app = open_gateway()
    door = app.state.gateway.door
    async with client_of(app) as client:
        door.refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", retry_after_s=5)
        await client.post("/v1/readings", json=GOOD)
        door.refusal = None
        await client.post("/v1/readings", json={"batch": "b"})
        await client.post("/v1/readings", json=GOOD, headers={"Authorization": "Bearer stranger"})
    assert door.refused == 1
