"""A feed measures, buffers and cuts posts; nothing is lost, doubled or out of order but what a fault says."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.register.files import read_register
from monitor.simulate import feed as feed_module
from monitor.simulate.faults import sources_of
from monitor.simulate.feed import HISTORY_READINGS, POST_READINGS, Feed
from monitor.simulate.run import REGISTER
from monitor.simulate.script import Script
from rules.engine import Engine
from rules.faults import PostRefusedError
from rules.pack import default_bundle
from rules.posts import read_readings
from rules.records import Kind, LogRecord, RegisterRecord

FIRMS = {entry.id: entry.logged() for entry in read_register(REGISTER).facilities}
HOSPITAL = FIRMS["BJ-HOS-0104"]
BEGAN = 1_772_294_400_433
WHY = {"zh": "测试", "en": "test"}


def script(*faults):
    entries = [{"facility": HOSPITAL.id, "at": "10s", "for": "50s", "why": WHY, **fault} for fault in faults]
    return Script.model_validate({"schema": "simulation/1", "title": WHY, "faults": entries})


def feed_of(*faults, firm=HOSPITAL, history_ms=0, began=BEGAN):
    what = script(*faults)
    sources = sources_of(firm, what, began=began, seed=1, speed=60)
    return Feed(firm, sources, what, began=began, history_ms=history_ms)


def drive(feed, instants):
    """Post at these instants (ms of the run); returns [(instant, decoded post)]."""
    posts = []
    for now in instants:
        feed.collect(BEGAN + now)
        while feed.link_up(BEGAN + now) and (post := feed.next_post(BEGAN + now)) is not None:
            read_readings(post.body)  # the front door would take it
            posts.append((now, json.loads(post.body)))
            feed.stored()
    return posts


def rows_of(posts):
    rows = defaultdict(list)
    for _, post in posts:
        for series in post["series"]:
            rows[series["tag"]] += list(zip(series["time"], series["value"], strict=True))
    return rows


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=12).map(sorted), st.booleans())
def test_whenever_it_posts_the_same_readings_come_once_and_in_order(instants, silent):
    faults = [{"fault": "silence"}] if silent else []
    last = 120_000
    often = rows_of(drive(feed_of(*faults), [*range(0, last, 2_000), last]))
    seldom = rows_of(drive(feed_of(*faults), [*instants, last]))
    assert seldom == often
    for rows in often.values():
        times = [time for time, _ in rows]
        assert times == list(range(times[0], times[-1] + 1, 2_000))
        assert BEGAN - 2_000 < times[0] <= BEGAN + 2_000
        assert BEGAN + last - 2_000 < times[-1] <= BEGAN + last


def test_no_reading_is_stamped_ahead_of_the_clock():
    for now, post in drive(feed_of(history_ms=60_000), range(0, 30_000, 700)):
        assert max(time for series in post["series"] for time in series["time"]) <= BEGAN + now


def test_the_prehistory_is_one_post_without_a_hole_to_the_next():
    posts = drive(feed_of(history_ms=7_200_000), [0, 2_000])
    first, second = posts[0][1], posts[1][1]
    assert len(posts) == 2
    assert {len(series["time"]) for series in first["series"]} == {3_600}
    ends = {series["tag"]: series["time"][-1] for series in first["series"]}
    assert all(series["time"][0] - ends[series["tag"]] == 2_000 for series in second["series"])


def test_a_prehistory_that_one_post_cannot_hold_is_shortened():
    firm = HOSPITAL.model_copy(
        update={"sensors": [s.model_copy(update={"interval": 1_000}) for s in HOSPITAL.sensors] * 1}
    )
    feed = feed_of(firm=firm, history_ms=40 * 3_600_000)
    posts = drive(feed, [0])
    assert len(posts) == 1
    assert HISTORY_READINGS - 10 <= feed.counts.stored <= HISTORY_READINGS + 10
    assert len(json.dumps(posts[0][1])) < 4 * 1024 * 1024


def test_a_silent_feed_sends_nothing_and_then_everything_in_small_posts_in_order():
    feed = feed_of({"fault": "silence"})
    posts = drive(feed, range(0, 80_000, 2_000))
    assert not [now for now, _ in posts if 10_000 <= now < 60_000]
    back = [post for now, post in posts if now == 60_000]
    sizes = [sum(len(series["time"]) for series in post["series"]) for post in back]
    assert len(back) >= 3
    assert all(size <= POST_READINGS for size in sizes[:-1])
    newest = [max(series["time"][-1] for series in post["series"]) for post in back]
    assert newest == sorted(newest)
    # what is younger than twice the delivery is in the last post, and only there
    assert newest[-2] < BEGAN + 60_000 - 2 * HOSPITAL.delivery
    assert feed.counts.backfilled == 25 * len(HOSPITAL.sensors)
    assert feed.close().unsent == 0


def test_a_silent_tag_is_held_back_while_the_others_go_on():
    feed = feed_of({"fault": "silence", "tag": "RF1.T"})
    posts = drive(feed, range(0, 80_000, 2_000))
    while_silent = [post for now, post in posts if 14_000 <= now < 60_000]
    assert while_silent
    assert all(
        {s["tag"] for s in post["series"]} == {s.tag for s in HOSPITAL.sensors} - {"RF1.T"} for post in while_silent
    )
    rows = rows_of(posts)
    assert [time for time, _ in rows["RF1.T"]] == [time for time, _ in rows["RF2.T"]]
    assert feed.counts.backfilled == 25


def test_a_silence_without_backfill_leaves_a_hole():
    feed = feed_of({"fault": "silence", "area": "RS1", "backfill": False})
    rows = rows_of(drive(feed, range(0, 80_000, 2_000)))
    assert feed.counts.not_recorded == 50
    for tag, hole in (("RS1.T", True), ("RS1.RH", True), ("RF1.T", False)):
        times = [time for time, _ in rows[tag]]
        assert (max(b - a for a, b in pairwise(times)) > 50_000) is hole


def test_a_whole_feed_that_recorded_nothing_sends_nothing_afterwards():
    feed = feed_of({"fault": "silence", "backfill": False})
    rows = rows_of(drive(feed, range(0, 80_000, 2_000)))
    assert feed.counts.backfilled == 0
    assert feed.counts.not_recorded == 25 * len(HOSPITAL.sensors)
    assert all(not BEGAN + 10_000 <= time < BEGAN + 60_000 for tag in rows for time, _ in rows[tag])


def test_a_post_waits_unchanged_until_it_is_stored_and_numbers_rise_by_one():
    feed = feed_of()
    feed.collect(BEGAN + 2_000)
    first = feed.next_post(BEGAN + 2_000)
    feed.collect(BEGAN + 8_000)
    assert feed.next_post(BEGAN + 8_000) is first
    assert feed.counts.posts == 0
    feed.stored()
    second = feed.next_post(BEGAN + 8_000)
    assert (json.loads(second.body)["seq"], second.batch != first.batch) == (json.loads(first.body)["seq"] + 1, True)
    feed.refused()
    assert feed.next_post(BEGAN + 8_000) is None
    assert (feed.counts.posts, feed.counts.refused) == (1, second.readings)
    feed.stored()
    assert feed.counts.posts == 1


def test_a_later_run_has_other_ids_and_higher_numbers():
    posts = []
    for began in (BEGAN, BEGAN + 60_000):
        feed = feed_of(began=began)
        feed.collect(began + 2_000)
        posts.append(json.loads(feed.next_post(began + 2_000).body))
    assert posts[0]["batch"] != posts[1]["batch"]
    assert posts[0]["seq"] < posts[1]["seq"]


def test_a_full_buffer_gives_up_the_oldest_and_counts_them(monkeypatch):
    monkeypatch.setattr(feed_module, "BUFFER_READINGS", 50)
    feed = feed_of({"fault": "silence"})
    rows = rows_of(drive(feed, range(0, 80_000, 2_000)))
    assert feed.counts.dropped == 25 * 5 + 5 - 50
    assert all(rows[s.tag][-1][0] > BEGAN + 76_000 for s in HOSPITAL.sensors)


def test_what_is_left_at_the_end_is_counted():
    feed = feed_of({"fault": "silence"}, {"fault": "silence", "tag": "RF1.T"})
    drive(feed, range(0, 40_000, 2_000))
    assert feed.close().unsent == 15 * 5  # one instant waited when the link went down, fourteen came after


def test_broken_posts_come_only_while_the_fault_lasts_and_the_contract_refuses_each():
    feed = feed_of({"fault": "bad-post"})
    assert feed.broken_post(BEGAN + 9_999) is None
    assert feed.broken_post(BEGAN + 60_000) is None
    codes = []
    for _ in range(2):
        with pytest.raises(PostRefusedError) as caught:
            read_readings(feed.broken_post(BEGAN + 20_000))
        codes.append(set(caught.value.counts))
        feed.counts.broken_refused += 1
    assert codes == [{"null_with_good_quality", "length_mismatch", "bad_tag"}, {"malformed"}]


@pytest.mark.parametrize("firm", FIRMS.values(), ids=FIRMS)
def test_it_posts_much_more_often_than_promised(firm):
    feed = feed_of(firm=firm)
    fastest = min(sensor.interval for sensor in firm.sensors)
    assert feed.every_ms <= firm.delivery / 5
    assert feed.every_ms >= fastest


def test_a_firm_without_sensors_posts_nothing_and_does_not_spin():
    feed = feed_of(firm=HOSPITAL.model_copy(update={"sensors": [], "delivery": 0}))
    feed.collect(BEGAN + 60_000)
    assert feed.next_post(BEGAN + 60_000) is None
    assert feed.every_ms >= 1_000


SILENT = {"fault": "silence", "backfill": True}


@pytest.mark.parametrize(
    "faults", [[], [SILENT], [SILENT | {"tag": HOSPITAL.sensors[0].tag}]], ids=["none", "all", "one"]
)
def test_numbers_of_a_feed_that_sends_what_it_stored_are_no_finding(faults):
    posts = drive(feed_of(*faults, history_ms=600_000), range(0, 300_000, 2_000))
    engine = Engine(default_bundle().only({"data-integrity.sequence"}))
    log = [LogRecord(0, 0, BEGAN, Kind.REGISTER, HOSPITAL.id, RegisterRecord(version=1, facility=HOSPITAL))]
    log += [
        LogRecord(0, i, BEGAN + now, Kind.READINGS, HOSPITAL.id, read_readings(json.dumps(post).encode()))
        for i, (now, post) in enumerate(posts, 1)
    ]
    assert [change for record in log for change in engine.fold(record)] == []
    assert engine.advance(0, log[-1].received + 4 * 86_400_000) == []
    (feed,) = engine.state_of(HOSPITAL.id).rare.feeds.values()
    assert feed.highest == posts[-1][1]["seq"]
