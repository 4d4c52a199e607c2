"""The judgement can fail: every way to lose or invent something is seen, and an honest run is not accused."""

from __future__ import annotations

import copy
import json

import pytest

from rules.canonical import canonical_bytes
from tests.chaos import judge
from tests.chaos.feeding import Receipt

AT = "2026-03-01T00:00:00.000Z"
BODY = {"batch": "b1", "seq": 4, "series": [{"tag": "T1", "time": [1, 2], "value": [5, 5.5]}]}


def readings(partition=0, offset=7, facility="CH-1", body=BODY):
    data = copy.deepcopy(body)
    return {
        "partition": partition,
        "offset": offset,
        "received": AT,
        "kind": "readings",
        "facility": facility,
        "data": data,
    }


def receipt(batch="b1", partition=0, offset=7, received=AT):
    return Receipt("CH-1", batch, partition, offset, received)


def held(dump, receipts, attempts=2):
    return judge.receipts_hold(dump, {("CH-1", "b1"): BODY}, receipts, {("CH-1", "b1"): attempts})


def test_a_log_that_holds_what_the_receipts_say_is_right_also_with_a_record_whose_answer_was_lost():
    assert held([readings(), readings(offset=9)], [receipt()]) == []
    spelled = BODY | {"series": [BODY["series"][0] | {"quality": ["good", "good"]}]}
    assert held([readings(body=spelled)], [receipt()]) == []


@pytest.mark.parametrize(
    ("dump", "receipts", "said"),
    [
        ([], [receipt()], "LOST CH-1 b1"),
        ([readings(offset=8)], [receipt()], "LOST CH-1 b1"),
        ([readings()], [receipt(), receipt()], "promised to"),
        ([readings(facility="CH-2")], [receipt()], "the log has CH-2"),
        ([readings()], [receipt(received="2026-03-01T00:00:00.001Z")], "received"),
        ([readings(), readings(offset=8, body=BODY | {"batch": "b9"})], [receipt()], "INVENTED"),
        ([readings(body=BODY | {"seq": 5})], [receipt()], "not what was posted"),
        (
            [readings(body=BODY | {"series": [{"tag": "T1", "time": [1, 2], "value": [5, 5.6]}]})],
            [receipt()],
            "not what",
        ),
        ([readings(), readings(offset=8), readings(offset=9)], [receipt()], "3 records of 2 posts"),
    ],
)
def test_a_log_that_does_not_hold_what_the_receipts_say_is_wrong(dump, receipts, said):
    assert any(said in text for text in held(dump, receipts)), held(dump, receipts)


def register(version, offset):
    return {"partition": 0, "offset": offset, "kind": "register", "facility": "CH-1", "data": {"version": version}}


def tick(by):
    return {"partition": 0, "offset": 1, "kind": "tick", "facility": "", "data": {"by": by}}


def test_register_versions_and_ticks_are_all_there_and_ours():
    dump = [register(1, 0), tick("gw-1"), register(1, 2), register(2, 3)]
    assert judge.others_are_known(dump, [("CH-1", 1), ("CH-1", 2)], ["gw-1"]) == []


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        ([register(1, 0)], "LOST CH-1: version 2"),
        ([register(1, 0), register(2, 1), register(3, 2)], "INVENTED"),
        ([register(2, 0), register(1, 1)], "versions came as"),
        ([register(1, 0), register(2, 1), tick("someone")], "a tick by someone"),
        ([register(1, 0), register(2, 1), {"partition": 0, "offset": 3, "kind": "mark"}], "a record of kind mark"),
    ],
)
def test_what_nobody_decided_or_what_is_missing_is_seen(dump, said):
    found = judge.others_are_known(dump, [("CH-1", 1), ("CH-1", 2)], ["gw-1"])
    assert any(said in text for text in found), found


def change(seq, stream="CH-1", text="x", source=None):
    value = {"stream": stream, "seq": seq, "text": text}
    return value if source is None else value | {"source": source}


def published(*changes):
    return [(0, i, json.dumps(one).encode()) for i, one in enumerate(changes)]


EVALUATED = [canonical_bytes(change(seq)) for seq in (1, 2, 3)]


def test_repeats_with_the_same_content_are_counted_and_the_source_is_no_content():
    rows = published(change(1, source={"offset": 4}), change(2), change(1, source={"offset": 5}), change(2), change(3))
    assert judge.published_equals(rows, EVALUATED) == ([], 2)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([change(1), change(2)], "LOST CH-1: 2 published, 3 evaluated"),
        ([change(1), change(2), change(3), change(4)], "INVENTED CH-1"),
        ([change(1), change(3)], "3 follows 1"),
        ([change(1), change(2, text="y"), change(3)], "1 of 3 differ published, first 2"),
        ([change(1), change(2), change(2, text="y"), change(3)], "published again at 0/2 with other content"),
        ([*(change(i) for i in (1, 2, 3)), change(1, stream="CH-2")], "INVENTED CH-2"),
    ],
)
def test_changes_that_are_lost_invented_or_told_twice_differently_are_seen(rows, said):
    found, _ = judge.published_equals(published(*rows), EVALUATED)
    assert any(said in text for text in found), found


def test_a_stream_that_moves_to_another_partition_is_seen():
    rows = [(0, 0, EVALUATED[0]), (1, 0, EVALUATED[1]), (1, 1, EVALUATED[2])]
    assert any("in partition 1, before in 0" in text for text in judge.published_equals(rows, EVALUATED)[0])


def test_the_desks_changes_must_be_all_of_them_and_the_same():
    rows = [("CH-1", seq, canonical_bytes(change(seq)).decode()) for seq in (1, 2, 3)]
    assert judge.desk_equals(rows, EVALUATED) == []
    assert any("LOST" in text for text in judge.desk_equals(rows[:2], EVALUATED))
    assert any("2 follows 0" in text for text in judge.desk_equals(rows[1:], EVALUATED))
    other = [*rows[:2], ("CH-1", 3, canonical_bytes(change(3, text="y")).decode())]
    assert any("differ on the desk" in text for text in judge.desk_equals(other, EVALUATED))


def test_the_desks_alarms_must_be_all_of_them_and_the_same():
    alarm = {"alarm": "a", "status": "active"}
    evaluated = [canonical_bytes(alarm)]
    assert judge.alarms_equal([alarm], evaluated) == []
    assert "LOST" in judge.alarms_equal([], evaluated)[0]
    assert "INVENTED" in judge.alarms_equal([alarm, alarm | {"alarm": "b"}], evaluated)[0]
    assert "on the desk" in judge.alarms_equal([alarm | {"status": "cleared"}], evaluated)[0]


@pytest.mark.parametrize(
    ("left_out", "kept", "said"),
    [
        ([(0, 1)], [(0, 1)], None),
        ([(0, 1)], [(0, 1), (0, 1)], None),
        ([], [(0, 1)], "stands in the dump"),
        ([(0, 1), (0, 2)], [(0, 1)], "LOST (0, 2): left out of the dump"),
        ([(0, 1)], [], "was not kept"),
        ([(0, 1)], [(0, 1), (0, 2)], "INVENTED (0, 2)"),
    ],
)
def test_poison_is_left_out_and_kept_and_nothing_else_is(left_out, kept, said):
    found = judge.rejections_hold({(0, 1): "bytes"}, left_out, kept)
    assert (found == []) if said is None else any(said in text for text in found)


def test_two_dumps_differ_where_they_say():
    assert judge.same_lines("dumps", b"a\nb\n", b"a\nb\n") == []
    assert judge.same_lines("dumps", b"a\nb\n", b"a\nc\n") == [
        "dumps: 2 and 2 lines, the first that differs is 2: b and c"
    ]
    assert judge.same_lines("dumps", b"a\nb\n", b"a\n") == [
        "dumps: 2 and 1 lines, the first that differs is 2: b and nothing"
    ]


@pytest.mark.parametrize(
    ("records", "holds"),
    [
        ([], True),
        ([(0, 5, True)], True),
        ([(0, 5, False), (0, 6, True)], True),
        ([(0, 5, False), (0, 5, True)], False),
        ([(0, 6, True), (0, 7, False)], False),
        ([(0, 5, False), (0, 6, True), (1, 5, False)], False),
        ([(0, 5, False), (0, 6, True), (1, 5, False), (1, 9, True), (1, 7, False)], True),
    ],
)
def test_a_log_has_ended_where_each_partition_has_a_tick_later_than_all_else(records, holds):
    assert judge.ticked(records) is holds
