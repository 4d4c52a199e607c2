"""A real gateway on a real Kafka under what may happen to it: floods, a broker that hangs or dies, SIGTERM, kill -9."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import signal
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager

import pytest
import zstandard

from rules.eventtypes.posts import example_of as events_example
from rules.posts import read_readings
from rules.records import Events, Mark, Report
from rules.reports.posts import example_of as report_example
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from tests.e2e.test_front_to_alarm import until
from tests.monitor.gateway_real import (
    MIB,
    admit_firms,
    batch,
    dump,
    exchange,
    gateway_process,
    get,
    large,
    post,
    read_answer,
    request,
    stored,
)  # fmt: skip

pytestmark = pytest.mark.kafka
AGAIN = {"429", "503"}


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory):
    """One broker of this module's own: it is stopped, killed and started again."""
    with EmbeddedBroker(tmp_path_factory.mktemp("own")) as broker:
        yield broker


@pytest.fixture
def own_settings(own_broker, request):
    value = KafkaSettings(
        bootstrap=own_broker.bootstrap, partitions=3, topic_prefix=f"own{abs(hash(request.node.name))}."
    )
    admin.create(value)
    return value


@contextmanager
def paused(broker):
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@asynccontextmanager
async def watched(gateway):
    """Note the most memory and files that it uses, and the longest that a look at its health takes."""
    most = {"rss": 0, "files": 0, "health_s": 0.0}

    async def watch():
        while True:
            most["rss"] = max(most["rss"], gateway.rss())
            most["files"] = max(most["files"], gateway.files())
            began = time.perf_counter()
            assert (await get(gateway, "/healthz")).status == 200
            most["health_s"] = max(most["health_s"], time.perf_counter() - began)
            await asyncio.sleep(0.05)

    watcher = asyncio.create_task(watch())
    try:
        yield most
        assert not watcher.done() or watcher.result()
    finally:
        watcher.cancel()


async def flood(gateway, keys, count, body):
    raw = [request(key, body) for key in keys.values()]
    async with asyncio.timeout(300), watched(gateway) as most:
        answers = await asyncio.gather(*(exchange(gateway, raw[i % len(raw)]) for i in range(count)))
    return answers, most


def assert_receipts_are_the_log(settings, receipts):
    """Every receipt (facility, batch as posted, answer) names a record that is exactly what was posted."""
    log = stored(settings)
    for facility, body, answer in receipts:
        assert log[answer["partition"], answer["offset"]] == (facility, read_readings(body))
    places = [(answer["partition"], answer["offset"]) for _, _, answer in receipts]
    assert len(set(places)) == len(places)
    return log


@pytest.mark.parametrize("count", [120, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_flood_of_large_posts_at_a_broker_that_hangs_is_answered_from_bounded_memory(
    own_broker, own_settings, tmp_path, count
):
    keys = admit_firms(own_settings, 50)
    with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_SEND_TIMEOUT_S="3") as gateway:
        before = gateway.rss()
        with paused(own_broker):
            answers, most = asyncio.run(flood(gateway, keys, count, large("b-1")))
        assert None not in answers
        assert {answer.status for answer in answers} <= {429, 503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        # The hall's 128 MiB, what crosses to the process of large bodies, and that process; a flood holds 4 MiB a post otherwise.
        assert most["rss"] - before < 450 * MIB
        firm, key = next(iter(keys.items()))

        async def again():
            answer = await post(gateway, key, batch("b-2"))
            return answer.json if answer.status == 202 else None

        receipt = until(lambda: asyncio.run(again()), 60)
        figures = asyncio.run(gateway.figures())
        assert figures["offsite_gateway_bodies_held_bytes"] == 0
        until(lambda: asyncio.run(gateway.figures())["offsite_gateway_in_flight_bytes"] == 0, 60)
        assert_receipts_are_the_log(own_settings, [(firm, str(batch("b-2")).replace("'", '"').encode(), receipt)])


def test_bombs_in_parallel_are_refused_while_small_posts_are_taken(own_settings, tmp_path):
    keys = admit_firms(own_settings, 21)
    (_, good), *hostile = keys.items()
    raw = b" " * (300 * MIB)
    bombs = [
        request(key, packed, headers=f"Content-Encoding: {name}\r\n")
        for name, packed in (("gzip", gzip.compress(raw, 1)), ("zstd", zstandard.ZstdCompressor().compress(raw)))
        for _, key in hostile
    ]
    del raw

    async def attack(gateway):
        answered = []

        async def small():
            while True:
                answered.append((await post(gateway, good, batch(f"s-{len(answered)}"))).status)

        async with watched(gateway) as most:
            posting = asyncio.create_task(small())
            answers = await asyncio.gather(*(exchange(gateway, bomb) for bomb in bombs * 3))
            while len(answered) <= 3 and not posting.done():  # a machine that gave the small posts no turn: bombs go on
                answers += await asyncio.gather(*(exchange(gateway, bomb) for bomb in bombs))
            posting.cancel()
        return answers, answered, most

    with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_POSTS_PER_MINUTE="100000") as gateway:
        before = gateway.rss()
        answers, answered, most = asyncio.run(attack(gateway))
        assert {answer.status for answer in answers} <= {413, 429, 503}
        assert 413 in {answer.status for answer in answers}
        assert set(answered) == {202}
        assert len(answered) > 3
        assert most["rss"] - before < 200 * MIB


def test_a_thousand_connections_that_do_nothing_cost_little_and_keep_nobody_out(own_settings, tmp_path):
    ((_, key),) = admit_firms(own_settings, 1).items()
    raw = request(key, b"{}", path="/v1/readings?check=true")

    async def hold(gateway):
        held = [await gateway.connect() for _ in range(1_000)]
        for _, writer in held[:500]:  # half of them say nothing at all
            writer.write(raw)
        answers = [(await read_answer(reader)).status for reader, _ in held[:500]]
        figures = await gateway.figures()
        began = time.perf_counter()
        answer = await post(gateway, key, batch("b-1"))
        took = time.perf_counter() - began
        rss = gateway.rss()
        for _, writer in held:
            writer.transport.abort()
        return Counter(answers), figures["offsite_gateway_connections"], answer.status, took, rss

    with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_POSTS_PER_MINUTE="100000") as gateway:
        before, files = gateway.rss(), gateway.files()
        answers, connections, status, took, rss = asyncio.run(hold(gateway))
        assert answers == {422: 500}
        assert connections >= 900  # those that said nothing may have had their ten seconds on a slow machine
        assert (status, took < 5) == (202, True)
        assert rss - before < 64 * MIB
        until(lambda: gateway.files() <= files + 5, 30)


async def test_a_client_that_hangs_up_behind_its_body_does_no_harm(own_settings, tmp_path):
    ((firm, key),) = (await asyncio.to_thread(admit_firms, own_settings, 1)).items()
    with gateway_process(own_settings, tmp_path) as gateway:
        body = str(batch("gone")).replace("'", '"').encode()
        for _ in range(20):
            _, writer = await gateway.connect()
            writer.write(request(key, body))
            await writer.drain()
            writer.transport.abort()
        for cut in range(0, len(request(key, body)), 60):
            _, writer = await gateway.connect()
            writer.write(request(key, body)[:cut])
            await writer.drain()
            writer.transport.abort()
        answer = await post(gateway, key, body)
        assert answer.status == 202
        figures = await gateway.figures()
        assert figures["offsite_gateway_bodies_held_bytes"] == 0
        assert 'offsite_gateway_posts_total{status="500"}' in figures
        assert figures['offsite_gateway_posts_total{status="500"}'] == 0
    log = await asyncio.to_thread(assert_receipts_are_the_log, own_settings, [(firm, body, answer.json)])
    assert all(record == (firm, read_readings(body)) for record in log.values())  # whole or not at all


async def post_on(gateway, firms, receipts, unsure, stop):
    """Post as fast as each answer allows, one connection per firm, and keep what was said."""

    async def one(firm, key):
        number = 0
        while not stop.is_set():
            number += 1
            rows = random.randint(1, 40)  # noqa: S311 - no secret
            body = (
                str(batch(f"{firm}-{number}", at=1_772_294_400_000 + number * 60_000, rows=rows))
                .replace("'", '"')
                .encode()
            )
            answer = await post(gateway, key, body)
            if answer is not None and answer.status == 202:
                receipts.append((firm, body, answer.json))
            elif answer is not None and answer.status == 503:
                assert int(answer.headers["retry-after"]) >= 1
                unsure.append((firm, body, answer.json["code"]))
            else:
                assert answer is None, answer  # closed without an answer: nothing was said
                unsure.append((firm, body, None))
                await asyncio.sleep(0.01)

    await asyncio.gather(*(one(firm, key) for firm, key in firms.items()))


async def posted_until(gateway, firms, act, count=200):
    """Let the firms post; after `count` receipts do `act`, and end when it is done."""
    receipts, unsure, stop = [], [], asyncio.Event()
    posting = asyncio.create_task(post_on(gateway, firms, receipts, unsure, stop))
    async with asyncio.timeout(120):
        while len(receipts) < count:
            assert not posting.done()
            await asyncio.sleep(0.01)
        await act()
        stop.set()
        await posting
    return receipts, unsure


def test_every_receipt_seen_before_a_kill_is_in_the_log_as_posted(own_settings, tmp_path):
    firms = admit_firms(own_settings, 12)
    receipts = []
    for round_ in range(3):
        with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_POSTS_PER_MINUTE="100000") as gateway:

            async def kill(process=gateway.process):
                process.kill()
                await asyncio.to_thread(process.wait)

            seen, _ = asyncio.run(posted_until(gateway, firms, kill, 60 * (round_ + 1)))
            receipts += seen
    assert_receipts_are_the_log(own_settings, receipts)


def test_reports_marks_and_events_with_a_receipt_survive_a_kill_large_ones_too(own_settings, tmp_path):
    ((firm, key),) = admit_firms(own_settings, 1, endpoints=["reports", "marks", "events"]).items()
    amendment = report_example("amendment")
    amendment["fields"]["readings"] = [{"tag": f"T{i}", "time": i, "old": i, "new": None} for i in range(5_000)]
    shipped = events_example("trace", "shipped")
    mark = {
        "id": "M-1",
        "revision": 1,
        "tags": ["T1"],
        "flag": "fault",
        "from": 0,
        "to": 5,
        "reason": "故障",
        "author": "u-1",
    }
    bodies = [
        ("reports", report_example("adr-case")), ("reports", amendment), ("marks", mark), ("events", shipped),
        ("events", shipped | {"batch": "e-2", "events": shipped["events"] * 1_000}), ("marks", mark | {"tags": [f"T{i}" for i in range(5_000)]}),
    ]  # fmt: skip
    with gateway_process(own_settings, tmp_path) as gateway:
        answers = [asyncio.run(post(gateway, key, body, path=f"/v1/{name}")) for name, body in bodies]
        assert [answer.status for answer in answers] == [202] * len(bodies)
        assert [len(answer.json["unknown_tags"]) for answer in answers] == [0, 5_000, 1, 0, 0, 5_000]
        gateway.process.kill()
        gateway.process.wait()
    kinds = {"reports": Report, "marks": Mark, "events": Events}
    log = {(line["partition"], line["offset"]): line for line in dump(own_settings)}
    for (name, body), answer in zip(bodies, answers, strict=True):
        line = log[answer.json["partition"], answer.json["offset"]]
        assert (line["facility"], line["received"]) == (firm, answer.json["received"])
        assert kinds[name].model_validate(line["data"]) == kinds[name].model_validate(body)


def test_at_sigterm_every_post_under_way_gets_a_true_answer(own_settings, tmp_path):
    firms = admit_firms(own_settings, 12)
    with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_POSTS_PER_MINUTE="100000") as gateway:

        async def end():
            gateway.process.terminate()
            assert await asyncio.to_thread(gateway.process.wait, 30) == 0

        receipts, unsure = asyncio.run(posted_until(gateway, firms, end))
    log = assert_receipts_are_the_log(own_settings, receipts)
    said = [record for _, record in sorted(log.items())]
    for firm, body, code in unsure:
        assert code in {None, "not_stored", "not_ready", "busy"}
        assert (firm, read_readings(body)) not in said or code in {None, "not_stored"}


def test_at_sigterm_with_a_broker_that_hangs_posts_are_answered_503_and_it_ends_in_time(
    own_broker, own_settings, tmp_path
):
    firms = admit_firms(own_settings, 5)

    async def stop_under_way(gateway):
        posts = [asyncio.create_task(post(gateway, key, batch("hung"))) for key in firms.values()]
        slow, writer = await gateway.connect()
        writer.write(request(next(iter(firms.values())), b'{"batch"', length=1_000))
        until_held = gateway.figures
        while (await until_held())["offsite_gateway_in_flight_bytes"] < 5 * 1024:  # noqa: ASYNC110 - its own figure
            await asyncio.sleep(0.05)
        began = time.monotonic()
        gateway.process.terminate()
        answers = [*await asyncio.gather(*posts), await read_answer(slow)]
        code = await asyncio.to_thread(gateway.process.wait, 60)
        writer.close()
        return answers, code, time.monotonic() - began

    with gateway_process(own_settings, tmp_path, OFFSITE_GATEWAY_SEND_TIMEOUT_S="60") as gateway:
        assert asyncio.run(post(gateway, next(iter(firms.values())), batch("before"))).status == 202
        with paused(own_broker):
            answers, code, took = asyncio.run(stop_under_way(gateway))
    assert [(a.status, a.json["code"], a.headers["connection"]) for a in answers] == [(503, "not_stored", "close")] * 6
    assert code == 0
    assert took < 15  # four seconds for the answers and one for the rest, on a quiet machine
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()


def test_a_broker_killed_under_load_costs_no_receipt_and_the_door_opens_again_by_itself(
    own_broker, own_settings, tmp_path
):
    firms = admit_firms(own_settings, 8)
    more = {"OFFSITE_GATEWAY_POSTS_PER_MINUTE": "100000", "OFFSITE_GATEWAY_SEND_TIMEOUT_S": "3"}
    with gateway_process(own_settings, tmp_path, **more) as gateway:

        async def kill_and_start():
            own_broker.kill()
            await asyncio.sleep(1)
            own_broker.start()  # in this thread: it ends with the one that began it

        receipts, unsure = asyncio.run(posted_until(gateway, firms, kill_and_start))
        assert unsure
        again = {}

        async def send_again():
            for firm, body, _ in unsure[:5]:
                answer = await post(gateway, firms[firm], body)
                if answer.status == 202:
                    again[firm, body] = answer.json
            return len(again) == len({(firm, body) for firm, body, _ in unsure[:5]})

        until(lambda: asyncio.run(send_again()), 90)
    receipts += [(firm, body, answer) for (firm, body), answer in again.items()]
    assert_receipts_are_the_log(own_settings, receipts)
