"""What could not be taken in becomes operators' alarms, counted, and a bounded list of the last ones."""

from __future__ import annotations

import base64

import pytest

from monitor.alarms import rejections
from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import FAILED, apply_batch
from monitor.alarms.rejections import CODES, LAST, SHOWN_MS, Rejections, expire, read
from rules.changes import ChangeKind
from rules.fitting import RULE_FAILED
from streams.rejected import ClockNotice, QuarantineNotice, RefusedPost, UnreadRecord, encode_entry
from tests.monitor.alarms.changes import change, incoming

NOW = 1_790_000_000_000


def unread(offset=7, code="undecodable", sample=b"\xff\x1b[2J<b>"):
    return UnreadRecord(
        partition=3, offset=offset, received_ms=NOW, facility="BJ-0001", code=code, detail="no such thing",
        sample=base64.b64encode(sample).decode(),
    )  # fmt: skip


def refused(code="contract", **unsampled):
    return RefusedPost(
        gateway="gw-1", at=NOW, facility="BJ-0001", principal="feed", endpoint="/v1/readings", status=422, code=code,
        detail="a value is no number", counts={}, sample="", size=3, sha256=None, unsampled=unsampled,
    )  # fmt: skip


def quarantine(state="held", detail=""):
    return QuarantineNotice(
        state=state, facility="BJ-0001", partition=3, begin=5, offset=7, deaths=3, since_ms=NOW, detail=detail
    )


def clock(state):
    return ClockNotice(state=state, partition=3, offset=7, received_ms=NOW + 3_600_000, own_ms=NOW, worker="w1")


def told(store, *entries, now=NOW):
    values = [("0 offset 1", entry if isinstance(entry, bytes) else encode_entry(entry)) for entry in entries]
    with store.writing() as session:
        read(session, values, now)
    with store.reading() as session:
        return {(row.code, row.subject): (row.count, row.detail) for row in open_alarms(session)}


def test_records_of_the_log_that_cannot_be_folded_are_counted_by_reason_with_the_last_one(store):
    alarms = told(store, unread(), unread(8), unread(9, "too_large"))
    assert {key: count for key, (count, _) in alarms.items()} == {
        (rejections.REJECTED, "undecodable"): 2,
        (rejections.REJECTED, "too_large"): 1,
    }
    detail = alarms[rejections.REJECTED, "undecodable"][1]
    assert "3:8" in detail
    assert "BJ-0001" in detail
    assert "\x1b" not in detail


def test_what_a_firm_did_wrong_is_no_fault_of_the_monitor(store):
    assert told(store, refused()) == {}


@pytest.mark.parametrize("value", [b"", b"\xff\x00", b"{}", b'{"by":"worker"}', b'{"by":"nobody"}'])
def test_an_entry_that_is_none_stops_nothing(store, value):
    alarms = told(store, value, unread())
    assert {code for code, _ in alarms} == {rejections.FOREIGN, rejections.REJECTED}


@pytest.mark.parametrize(
    "entry",
    [
        clock("held").model_copy(update={"received_ms": 10**18}),
        quarantine().model_copy(update={"since_ms": -(10**18)}),
        quarantine("refused", "ValueError: \x00").model_copy(update={"since_ms": 10**30}),
        unread().model_copy(update={"sample": "a"}),
        refused().model_copy(update={"sample": "a"}),
    ],
    ids=["a-clock", "an-instant", "a-huge-instant", "a-sample", "a-sample-of-a-post"],
)
def test_an_entry_that_can_be_read_and_not_told_stops_nothing_and_is_named(store, entry):
    with store.writing() as session:
        taken = read(session, [("0 offset 1", encode_entry(entry)), ("0 offset 2", encode_entry(unread()))], NOW)
    Rejections().note(taken)
    assert taken == [unread()]
    with store.reading() as session:
        alarms = {row.code: row.detail for row in open_alarms(session)}
    assert alarms.keys() == {rejections.FOREIGN, rejections.REJECTED}
    assert alarms[rejections.FOREIGN].startswith("0 offset 1: ")


def test_a_quarantine_stands_until_it_is_released(store):
    alarms = told(store, quarantine(), quarantine(), quarantine("refused", "it ended again"))
    ((code, subject),) = alarms
    assert (code, subject) == (rejections.QUARANTINED, "BJ-0001")
    assert "it ended again" in alarms[code, subject][1]
    with store.writing() as session:
        expire(session, NOW + 2 * SHOWN_MS)
    assert told(store) == alarms, "it is not over because nobody says it again"
    assert told(store, quarantine("released")) == {}


def test_a_partition_that_waits_is_told_and_the_jump_stays_on_the_page_for_a_day(store):
    assert set(told(store, clock("held"))) == {(rejections.HELD, "partition 3")}
    assert set(told(store, clock("reached"))) == {(rejections.CLOCK, "partition 3")}
    assert set(told(store, clock("back"), now=NOW + SHOWN_MS)) == {(rejections.CLOCK, "partition 3")}
    with store.writing() as session:
        expire(session, NOW + 2 * SHOWN_MS)
    assert told(store)
    with store.writing() as session:
        expire(session, NOW + 2 * SHOWN_MS + 1)
    assert told(store) == {}


def test_a_clock_that_goes_back_ends_no_wait(store):
    assert set(told(store, clock("held"), clock("back"))) == {
        (rejections.HELD, "partition 3"),
        (rejections.CLOCK, "partition 3"),
    }


def test_the_list_is_bounded_and_the_counts_are_whole():
    book = Rejections()
    book.note(unread(offset) for offset in range(1_000))
    book.note([refused("contract", contract=4, malformed=2), quarantine(), clock("held")])
    counts, last = book.view()
    assert counts == [("worker", "undecodable", 1_000), ("gateway", "contract", 5), ("gateway", "malformed", 2)]
    assert len(last) == LAST
    assert (last[0].by, last[0].place) == ("gateway", "gw-1 /v1/readings")
    assert last[1].place == "3:999"
    assert "\x1b" not in last[1].sample


def test_reasons_without_end_share_one_count():
    book = Rejections()
    book.note(unread(code=f"reason-{i}") for i in range(2 * CODES))
    counts, _ = book.view()
    assert len(counts) <= CODES + 1
    assert sum(count for _, _, count in counts) == 2 * CODES


def test_a_rule_that_failed_is_an_operators_alarm_until_it_is_tried_again(store):
    failed = change(1).model_copy(update={"rule": RULE_FAILED, "subject": {"system": "cold-chain.store-out"}})
    with store.writing() as session:
        apply_batch(session, incoming([failed]), NOW)
    with store.reading() as session:
        assert [(row.code, row.subject) for row in open_alarms(session)] == [(FAILED, "A1 cold-chain.store-out")]
    again = failed.model_copy(update={"seq": 2, "change": ChangeKind.CLEARED, "end": failed.start})
    with store.writing() as session:
        apply_batch(session, incoming([again]), NOW)
    with store.reading() as session:
        assert open_alarms(session) == []
