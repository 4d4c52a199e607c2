"""The pusher keeps every post until it is answered, whatever the front door says, and stops when told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest

from monitor.register.files import read_register
from monitor.simulate import run
from monitor.simulate.faults import sources_of
from monitor.simulate.feed import Feed
from monitor.simulate.pusher import LONGEST_WAIT_S, Pusher, rest_until
from monitor.simulate.run import REGISTER, SimulationSettings, run_simulation
from monitor.simulate.script import Script
from rules.models import faults_of

FIRMS = [entry.logged() for entry in read_register(REGISTER).facilities]
HOSPITAL = next(firm for firm in FIRMS if firm.id == "BJ-HOS-0104")
BEGAN = 1_772_294_400_000
WHY = {"zh": "测试", "en": "test"}
KEY = "k" * 43


def script(*faults, reports=()):
    entries = [{"facility": HOSPITAL.id, "at": "10s", "for": "20s", "why": WHY, **fault} for fault in faults]
    return Script.model_validate({"schema": "simulation/1", "title": WHY, "faults": entries, "reports": reports})


class FrontDoor:
    """Answers as it is told, then 202; keeps what it took, by id."""

    def __init__(self, *answers, unknown=()):
        self.answers = list(answers)
        self.unknown = list(unknown)
        self.asked = []
        self.requests = []
        self.taken = {}

    def __call__(self, request):
        self.requests.append(request)
        body = request.content
        if b'"broken"' in body:
            return httpx.Response(422 if body.endswith(b"}") else 400)
        post = json.loads(body)
        post["batch"] = post.get("batch", post.get("id"))
        self.asked.append(post["batch"])
        answer = self.answers.pop(0) if self.answers else 202
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if answer == 202:
            self.taken[post["batch"]] = post
            return httpx.Response(202, json={"id": post["batch"], "unknown_tags": self.unknown})
        return httpx.Response(answer)


class VirtualTime:
    """A clock that only resting moves; stops after so many seconds."""

    def __init__(self, until_s):
        self.now = BEGAN
        self.end = BEGAN + int(until_s * 1000)
        self.rests = []

    async def rest(self, seconds):
        self.rests.append(seconds)
        self.now += max(1, round(seconds * 1000))
        await asyncio.sleep(0)

    def stopping(self):
        return self.now > self.end


async def push(door, seconds, *faults, history_ms=4_000, reports=()):
    what = script(*faults, reports=reports)
    feed = Feed(
        HOSPITAL, sources_of(HOSPITAL, what, began=BEGAN, seed=1, speed=60), what, began=BEGAN, history_ms=history_ms
    )
    time = VirtualTime(seconds)
    async with httpx.AsyncClient(base_url="http://door", transport=httpx.MockTransport(door)) as client:
        await Pusher(feed, client, KEY, lambda: time.now, time.rest, time.stopping).run()
    return feed.close(), time


def times_of(door, tag="RF1.T"):
    posts = [post for post in door.taken.values() if "series" in post]
    return [t for post in posts for series in post["series"] if series["tag"] == tag for t in series["time"]]


def assert_whole(times, seconds):
    """Every reading once and in order, up to the last post: waits may have moved it by less than its interval."""
    assert times == list(range(BEGAN - 2_000, times[-1] + 1, 2_000))
    assert BEGAN + seconds * 1_000 - 4_000 < times[-1] <= BEGAN + seconds * 1_000


async def test_a_quiet_run_posts_every_reading_once_with_its_key():
    door = FrontDoor()
    counts, _ = await push(door, 20)
    assert times_of(door) == list(range(BEGAN - 2_000, BEGAN + 20_001, 2_000))
    assert counts.posts == len(door.taken) == len(door.asked)
    assert counts.stored == 5 * len(times_of(door))
    assert (counts.repeats, counts.refused, counts.denied, counts.unsent, counts.backfilled) == (0, 0, 0, 0, 0)
    request = door.requests[0]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.url.path, request.url.params["facility"]) == ("/v1/readings", HOSPITAL.id)


REPORTS = [
    {
        "facility": HOSPITAL.id, "at": at, "type": "dsur", "id": name, "why": WHY,
        "fields": {"trial_id": "T-1", "anniversary": "2026-03-10", "susar_count": 0},
    }
    for name, at in (("R-2", "9s"), ("R-1", "5s"))
]  # fmt: skip


async def test_reports_go_to_their_own_path_in_time_once_and_behind_what_was_measured():
    door = FrontDoor()
    counts, _ = await push(door, 20, reports=REPORTS)
    at = [i for i, request in enumerate(door.requests) if request.url.path == "/v1/reports"]
    assert [json.loads(door.requests[i].content)["id"] for i in at] == ["R-1", "R-2"]
    for i, after in zip(at, (5_000, 9_000), strict=True):
        request = door.requests[i]
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.url.params["facility"] == HOSPITAL.id
        newest = [t for r in door.requests[:i] for s in json.loads(r.content).get("series", ()) for t in s["time"]]
        assert max(newest) >= BEGAN + after - 2_000
    assert (counts.reports, counts.reports_refused) == (2, 0)
    assert_whole(times_of(door), 20)


@pytest.mark.parametrize(("answers", "stored", "times"), [([503, 429], 1, 3), ([422], 0, 1), ([401], 1, 2)])
async def test_a_report_waits_for_its_answer_as_readings_do(answers, stored, times):
    door = FrontDoor()
    took = door.__call__

    def answer(request):
        if request.url.path == "/v1/reports" and answers:
            door.asked.append(json.loads(request.content)["id"])
            return httpx.Response(answers.pop(0))
        return took(request)

    counts, _ = await push(answer, 30, reports=REPORTS[1:])
    assert door.asked.count("R-1") == times
    assert (counts.reports, counts.reports_refused) == (stored, 1 - stored)
    assert_whole(times_of(door), 30)


async def test_no_report_leaves_while_the_link_is_down():
    door = FrontDoor()
    what = {"fault": "silence", "at": "3s", "for": "9s"}
    counts, _ = await push(door, 30, what, reports=REPORTS)
    first = next(i for i, name in enumerate(door.asked) if name.startswith("R-"))
    times = [t for r in door.requests[:first] for s in json.loads(r.content).get("series", ()) for t in s["time"]]
    assert max(times) >= BEGAN + 12_000 - 2_000
    assert counts.reports == 2


ROUGH = [503, httpx.ConnectError("gone"), 500, httpx.ReadTimeout("late"), 429, 502]


async def test_a_front_door_in_trouble_gets_the_same_post_again_and_loses_nothing():
    door = FrontDoor(*ROUGH)
    counts, time = await push(door, 60)
    assert Counter(door.asked)[door.asked[0]] == len(ROUGH) + 1
    assert_whole(times_of(door), 60)
    assert counts.repeats == len(ROUGH)
    assert time.rests[: len(ROUGH)] == [0.5, 1, 2, 4, 8, 16]
    seqs = [post["seq"] for post in door.taken.values()]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


@pytest.mark.parametrize(
    ("asked", "waits"), [("7", 7.0), ("0", 0.5), ("86400", LONGEST_WAIT_S), ("soon", 0.5), ("-3", 0.5), ("٣", 0.5)]
)
async def test_it_waits_as_long_as_it_is_asked_to_within_bounds(asked, waits):
    answer = httpx.Response(503, headers={"Retry-After": asked.encode()})
    _, time = await push(FrontDoor(answer), 3)
    assert time.rests[0] == waits


async def test_the_wait_begins_small_again_after_a_success():
    _, time = await push(FrontDoor(503, 503, 202, 503), 10)
    assert time.rests[:2] == [0.5, 1]
    assert time.rests[3:5].count(0.5) == 1


async def test_a_key_that_is_not_known_yet_delays_and_does_not_lose():
    door = FrontDoor(401, 401, 403)
    counts, _ = await push(door, 30)
    assert counts.denied == 3
    assert times_of(door)[0] == BEGAN - 2_000
    assert counts.refused == 0


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_will_never_be_taken_is_counted_and_the_next_goes_out(status):
    door = FrontDoor(status)
    counts, _ = await push(door, 10)
    assert counts.refused == 10
    assert Counter(door.asked)[door.asked[0]] == 1
    assert times_of(door)[0] == BEGAN + 2_000


async def test_an_answer_that_is_no_receipt_is_none():
    counts, _ = await push(FrontDoor(httpx.Response(200, text="hello"), httpx.Response(302)), 10)
    assert counts.repeats == 2


@pytest.mark.parametrize("body", [b"", b"[]", b'{"unknown_tags": 3}', b"\xff"])
async def test_a_receipt_with_a_strange_body_is_a_receipt(body):
    counts, _ = await push(FrontDoor(httpx.Response(202, content=body)), 4)
    assert counts.repeats == 0
    assert counts.posts >= 1


async def test_unknown_tags_are_counted():
    counts, _ = await push(FrontDoor(unknown=["RF1.T", "RF2.T"]), 4)
    assert counts.unknown_tags == 2


async def test_a_silent_feed_sends_nothing_meanwhile_and_everything_afterwards():
    door = FrontDoor()
    counts, _ = await push(door, 50, {"fault": "silence"})
    assert times_of(door) == list(range(BEGAN - 2_000, BEGAN + 50_001, 2_000))
    assert counts.backfilled == 10 * 5


async def test_a_silence_while_a_post_waits_holds_it_back_too():
    door = FrontDoor(*[202] * 4, *[503] * 5)
    await push(door, 60, {"fault": "silence", "at": "10s"})
    assert_whole(times_of(door), 60)


async def test_broken_posts_are_sent_and_refused_and_nothing_else_is_touched():
    door = FrontDoor()
    counts, _ = await push(door, 50, {"fault": "bad-post"})
    assert counts.broken_refused == 10
    assert counts.broken_taken == 0
    assert {r.content.endswith(b"}") for r in door.requests if b'"broken"' in r.content} == {True, False}
    assert times_of(door) == list(range(BEGAN - 2_000, BEGAN + 50_001, 2_000))


async def test_a_front_door_that_takes_broken_posts_is_found_out():
    counts, _ = await push(lambda _: httpx.Response(202, json={}), 50, {"fault": "bad-post"})
    assert counts.broken_taken == 10


async def test_a_run_that_never_gets_through_counts_what_is_left():
    counts, _ = await push(lambda _: httpx.Response(503), 20)
    assert counts.posts == 0
    assert counts.unsent > 0


# The whole run, on the real clock but for no longer than it takes to see each firm post.


async def test_all_firms_post_with_their_own_keys_until_stop():
    stop = asyncio.Event()
    seen = {}

    def door(request):
        seen.setdefault(request.url.params["facility"], request.headers["authorization"])
        if len(seen) == len(FIRMS):
            stop.set()
        return httpx.Response(202, json={"unknown_tags": []})

    began = []
    outcome = await run_simulation(
        SimulationSettings(gateway="http://127.0.0.1:1"),
        FIRMS,
        {firm.id: f"key-of-{firm.id}" for firm in FIRMS},
        script(),
        stop=stop,
        begun=began.append,
        transport=httpx.MockTransport(door),
    )
    assert seen == {firm.id: f"Bearer key-of-{firm.id}" for firm in FIRMS}
    assert began == [outcome.began]
    assert outcome.ended >= outcome.began
    assert sum(counts.posts for counts in outcome.counts.values()) >= len(FIRMS)
    value = outcome.to_json()
    assert set(value["facilities"]) == set(seen)
    json.dumps(value)


async def test_it_ends_by_itself_when_its_time_is_over_and_tells_the_faults(caplog):
    caplog.set_level("INFO")
    outcome = await run_simulation(
        SimulationSettings(gateway="http://127.0.0.1:1", seconds=0.3, history="0s"),
        [HOSPITAL],
        {HOSPITAL.id: KEY},
        script({"fault": "bad-post", "at": "0s", "for": "10ms"}),
        stop=asyncio.Event(),
        transport=httpx.MockTransport(lambda _: httpx.Response(202, json={})),
    )
    assert outcome.counts[HOSPITAL.id].unsent == 0
    told = [record.message for record in caplog.records if "bad-post" in record.message]
    assert told == [
        f"故障开始 fault begins: bad-post {HOSPITAL.id}: 测试 / test",
        f"故障结束 fault ends: bad-post {HOSPITAL.id}: 测试 / test",
    ]


async def test_a_stop_does_not_wait_for_a_front_door_that_is_gone():
    stop = asyncio.Event()

    def door(_):
        asyncio.get_running_loop().call_soon(stop.set)
        return httpx.Response(503, headers={"Retry-After": "30"})

    async with asyncio.timeout(20):
        outcome = await run_simulation(
            SimulationSettings(gateway="http://127.0.0.1:1"), [HOSPITAL], {HOSPITAL.id: KEY}, script(),
            stop=stop, transport=httpx.MockTransport(door),
        )  # fmt: skip
    assert outcome.counts[HOSPITAL.id].unsent >= 3_600 * 5


async def test_a_stop_gives_a_post_under_way_a_moment_and_no_more(monkeypatch):
    monkeypatch.setattr(run, "STOP_S", 0.05)
    stop = asyncio.Event()

    async def door(_):
        stop.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        outcome = await run_simulation(
            SimulationSettings(gateway="http://127.0.0.1:1", history="1m"), [HOSPITAL], {HOSPITAL.id: KEY}, script(),
            stop=stop, transport=httpx.MockTransport(door),
        )  # fmt: skip
    assert outcome.counts[HOSPITAL.id].posts == 0
    assert outcome.counts[HOSPITAL.id].unsent >= 30 * 5


async def test_a_firm_without_a_key_is_told_at_once():
    with pytest.raises(KeyError, match=HOSPITAL.id):
        await run_simulation(
            SimulationSettings(gateway="http://127.0.0.1:1"), [HOSPITAL], {}, script(), stop=asyncio.Event()
        )


async def test_resting_ends_with_the_time_or_with_stop():
    stop = asyncio.Event()
    await rest_until(stop, 0)
    asyncio.get_running_loop().call_soon(stop.set)
    async with asyncio.timeout(20):
        await rest_until(stop, 3_600)


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8710", "http://", "http://gw.example", "http://10.0.0.7:8710"])
def test_a_key_goes_to_no_other_machine_without_tls(url):
    with pytest.raises(ValueError, match="gateway") as caught:
        SimulationSettings(gateway=url)
    assert [fault.pointer for fault in faults_of(caught.value)] == ["/gateway"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8710/", "http://localhost:1", "http://[::1]:8710", "https://gw.example"]
)
def test_this_machine_and_tls_are_taken(url):
    assert SimulationSettings(gateway=url).gateway == url.rstrip("/")
