from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.gateway import lane as module
from monitor.gateway.lane import LARGE_BYTES, Lane
from monitor.gateway.posts import How, read_post
from monitor.gateway.problems import RefusedError
from rules.faults import PostRefusedError
from rules.posts import read_readings
from rules.senml import read_senml
from streams.codec import decode
from tests.monitor.gateway_parts import FACILITY, GOOD, HASH, client_of, open_gateway

JSON = How("readings", 1)
PAD = b" " * LARGE_BYTES
LARGE = json.dumps(GOOD).encode() + PAD
BROKEN = json.dumps({"batch": "b", "series": [{"tag": "?", "time": [1], "value": [None]}] * 700}).encode() + PAD


@pytest.fixture(scope="module")
def shared():
    lane = Lane(1)
    yield lane
    lane.close()


async def test_a_large_body_is_read_as_a_small_one(shared):
    assert await shared.read("k", LARGE, JSON) == read_post(LARGE, JSON)
    assert decode(0, 0, 1, b"AA-1", *read_post(LARGE, JSON).record).payload == read_readings(LARGE)
    pack = json.dumps([{"bn": "CR1.T1", "bt": 1767225600, "v": 4.8}]).encode() + PAD
    senml = How("readings", 1, "s-1", {"CR1.T1": "Cel"})
    assert await shared.read("k", pack, senml) == read_post(pack, senml)
    assert decode(0, 0, 1, b"AA-1", *read_post(pack, senml).record).payload == read_senml(pack, "s-1", {})
    wrong = json.dumps([{"bn": "CR1.T1", "bt": 1767225600, "u": "K", "v": 4.8}]).encode() + PAD
    with pytest.raises(PostRefusedError) as caught:
        await shared.read("k", wrong, senml)
    assert caught.value.counts == {"wrong_unit": 1}
    assert shared.under_way == 0


@pytest.mark.parametrize("body", [BROKEN, b"{" + PAD, b"[" * 40 + PAD, b"\xff" + PAD])
async def test_all_its_faults_come_through_the_pipe(shared, body):
    with pytest.raises(PostRefusedError) as apart:
        await shared.read("k", body, JSON)
    with pytest.raises(PostRefusedError) as here:
        read_readings(body)
    assert (apart.value.faults, apart.value.counts, apart.value.grounds, str(apart.value)) == (
        here.value.faults, here.value.counts, here.value.grounds, str(here.value),
    )  # fmt: skip
    assert shared.under_way == 0


class Held(Lane):
    """A lane whose process does not answer."""

    def __init__(self):
        super().__init__(1)
        self.go = asyncio.Event()

    async def _run(self, body, *_):
        await self.go.wait()
        return read_post(body, JSON)


async def test_one_key_takes_two_places_and_all_together_eight():
    lane = Held()
    first = [asyncio.create_task(lane.read("hostile", LARGE, JSON)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RefusedError) as refused:
        await lane.read("hostile", LARGE, JSON)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, "at_once", 2)
    others = [asyncio.create_task(lane.read(f"k{i}", LARGE, JSON)) for i in range(module.WAITING - 2)]
    await asyncio.sleep(0)
    with pytest.raises(RefusedError) as full:
        await lane.read("one-more", LARGE, JSON)
    assert (full.value.status, full.value.code, full.value.retry_after_s) == (503, "busy", 2)
    lane.go.set()
    await asyncio.gather(*first, *others)
    assert lane.under_way == 0
    assert len(lane._keys) == 0
    await lane.read("hostile", LARGE, JSON)


async def test_a_lost_process_is_an_honest_503_and_the_next_body_gets_a_new_one():
    lane = Lane(1)
    try:
        await lane.read("k", LARGE, JSON)
        (pid,) = lane._pool._processes
        os.kill(pid, signal.SIGKILL)
        refused = None
        while refused is None:  # until the loss is noticed a body may still get in
            try:
                await lane.read("k", LARGE, JSON)
            except RefusedError as error:
                refused = error
        assert (refused.status, refused.code) == (503, "busy")
        assert await lane.read("k", LARGE, JSON) == read_post(LARGE, JSON)
    finally:
        lane.close()


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_process_does_not_outlive_a_gateway_that_was_killed():
    script = (
        "import asyncio, sys\n"
        "from monitor.gateway.lane import Lane\n"
        "from monitor.gateway.posts import How\n"
        "async def main():\n"
        "    lane = Lane(1)\n"
        f"    await lane.read('k', {json.dumps(GOOD).encode()!r}, How('readings', 1))\n"
        "    print(*lane._pool._processes, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while not gone(child):
        assert time.monotonic() < deadline, "the process of the lane is an orphan"
        time.sleep(0.05)


async def test_only_large_bodies_take_the_lane():
    app = open_gateway()
    parts = app.state.gateway
    ways = []

    class Seen(Lane):
        async def read(self, key_hash, body, how):
            ways.append((key_hash, len(body), how.endpoint, how.batch_id, how.units))
            return read_post(body, how)

    parts.lane = Seen(1)
    headers = {"Content-Type": "application/json"}
    exact = json.dumps(GOOD).encode().ljust(LARGE_BYTES)
    async with client_of(app) as client:
        assert (await client.post("/v1/readings", content=exact, headers=headers)).status_code == 202
        assert ways == []
        assert (await client.post("/v1/readings", content=exact + b" ", headers=headers)).status_code == 202
        pack = json.dumps([{"bn": "CR1.T1", "bt": 1767225600, "v": 4.8}]).encode() + PAD
        senml = {"Content-Type": "application/senml+json", "Idempotency-Key": "s-1"}
        assert (await client.post("/v1/readings", content=pack, headers=senml)).status_code == 202
    known = {"CR1.T1": "Cel"}
    assert ways == [(HASH, LARGE_BYTES + 1, "readings", None, {}), (HASH, len(pack), "readings", "s-1", known)]
    assert [facility for facility, _ in parts.door.kept] == [FACILITY] * 3


async def test_a_hostile_body_gets_its_faults_and_small_posts_go_on_meanwhile():
    app = open_gateway(posts_per_minute=1_000_000)
    many = b'{"batch":"b","series":[' + b"{}," * 700_000 + b"{}]}"
    headers = {"Content-Type": "application/json"}
    async with client_of(app) as client:
        slow = asyncio.create_task(client.post("/v1/readings", content=many, headers=headers))
        answered = 0
        while not slow.done():
            assert (await client.post("/v1/readings", json=GOOD)).status_code == 202
            answered += 1
            await asyncio.sleep(0)  # nothing in memory ever waits
        assert (await slow).status_code == 413
    app.state.gateway.lane.close()
    assert answered > 20  # on the loop it would be one or two
