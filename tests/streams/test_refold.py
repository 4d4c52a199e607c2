"""A partition folded anew offline: equal to what was published, or nothing; what was not published comes once; the state as a worker's."""

from __future__ import annotations

import asyncio

import pytest

from rules.changes import Change
from rules.engine import Engine
from rules.errors import ContractError
from rules.fitting import change_bytes, fit
from rules.pack import default_bundle
from rules.records import Rejected
from rules.snapshot import SnapshotError
from streams.checkpoint import Origin, StateLostError, StateRows
from streams.refold import Known, Refold, RefoldDiffersError
from streams.restore import restore_partition
from streams.worker_settings import WorkerSettings
from tests.coldlog import ColdLog, cold_store

P = 3
SETTINGS = WorkerSettings(placed=False)
FIRMS = ("BJ-COLD-01", "SH-COLD-02")


def log():
    """Two firms: one out of its limits and back, one that falls silent; ticks to the end."""
    made = ColdLog(P)
    for firm in FIRMS:
        made.register(cold_store(firm))
    for minute in range(0, 40, 5):
        values = [9.5 if 10 <= m < 15 or m >= 30 else 5.0 + m % 2 / 10 for m in range(minute, minute + 5)]
        made.rows(minute, values, facility=FIRMS[0])
        if minute < 15:
            made.rows(minute, [5.0, 5.1, 5.0, 5.1, 5.0], facility=FIRMS[1])
        made.tick(minute + 5)
    return made.records


def folded(records):
    engine = Engine(default_bundle())
    return engine, [fit(change) for record in records for change in engine.fold(record)]


def known_of(changes):
    return Known.of([change_bytes(change) for change in changes])


def refold(known, records=None, *, end=None, told=0, passed=(), settings=SETTINGS):
    records = log() if records is None else records
    made = Refold(P, Engine(default_bundle()), known, settings, records[-1].offset + 1 if end is None else end)
    made.from_beginning(Origin(offset=0, packs=default_bundle().sha256))
    made.run(records, told=told, passed=passed)
    return made


def rows_of(written):
    """What the state topic holds after these rows."""
    rows = StateRows(P)
    for row in written:
        assert (row.topic, row.partition) == (SETTINGS.state_topic, P)
        rows.add(row.key, row.value, row.headers)
    return rows


def snapshots(rows):
    return {name: rows.snapshot(name) for name in rows.parts}


def test_what_was_published_is_compared_and_not_published_again():
    engine, changes = folded(log())
    assert len(changes) > 4
    made = refold(known_of(changes))
    made.finish()
    assert made.changes() == []
    assert (made.done.compared, made.done.published, made.done.facilities) == (len(changes), 0, 2)
    rows = rows_of(made.state([]))
    end = log()[-1].offset + 1
    marker = rows.checked_marker(end)
    assert (marker.next, marker.low, marker.origin.offset) == (end, end, 0)
    assert rows.rostered(marker) == sorted(FIRMS)
    assert snapshots(rows) == {firm: engine.snapshot(P, firm) for firm in FIRMS}
    heir = Engine(default_bundle())
    start = asyncio.run(restore_partition(heir, rows, end, (0, end)))
    assert (start.low, start.next_offset, start.bad) == (end, end, ())
    assert heir.partition_state(P) == engine.partition_state(P)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_what_was_never_published_comes_now_and_once(count):
    _, changes = folded(log())
    made = refold(known_of(changes[:count]))
    made.finish()
    sent = [Change.model_validate_json(row.value) for row in made.changes()]
    assert sent == changes[count:]
    assert [row.key.decode() for row in made.changes()] == [change.stream for change in sent]
    assert {(row.topic, row.partition) for row in made.changes()} == {(SETTINGS.alarms_topic, P)}


def test_a_repeat_in_the_topic_changes_nothing_and_foreign_bytes_are_passed_over():
    _, changes = folded(log())
    values = [change_bytes(change) for change in [*changes, *changes[2:]]]
    made = refold(Known.of([b"no change", None, *values]))
    made.finish()
    assert made.done.published == 0


def test_other_content_and_changes_that_the_log_does_not_give_write_nothing():
    _, changes = folded(log())
    other = changes[1].model_copy(update={"start": changes[1].start + 1})
    made = refold(known_of([changes[0], other, *changes[2:]]))
    with pytest.raises(RefoldDiffersError) as error:
        made.finish()
    assert [(f.pointer, f.code) for f in error.value.faults] == [(f"{other.stream}#{other.seq}", "differs")]
    beyond = changes[-1].model_copy(update={"seq": changes[-1].seq + 1})
    with pytest.raises(RefoldDiffersError, match="missing"):
        refold(known_of([*changes, beyond])).finish()
    with pytest.raises(RefoldDiffersError, match="NOBODY"):
        refold(known_of([*changes, changes[0].model_copy(update={"stream": "NOBODY"})])).finish()


def test_changes_that_retention_has_dropped_count_as_published():
    _, changes = folded(log())
    newest = {change.stream: change for change in changes}
    made = refold(known_of(newest.values()))
    made.finish()
    assert (made.done.compared, made.done.published) == (len(newest), 0)


@pytest.mark.parametrize("cut", [1, 9, 15])
def test_from_the_state_of_an_earlier_day_it_is_the_same_as_from_the_beginning(cut):
    records = log()
    whole = refold(Known())
    whole.finish()
    _, before = folded(records[:cut])
    early = refold(known_of([]), records[:cut])
    early.finish()
    saved = rows_of(early.state([]))
    for known in (known_of(before), known_of(folded(records)[1])):
        made = Refold(P, Engine(default_bundle()), known, SETTINGS, records[-1].offset + 1)
        begin = asyncio.run(made.from_state(saved))
        assert begin == records[cut - 1].offset + 1
        made.run([record for record in records if record.offset >= begin], told=0)
        made.finish()
        assert rows_of(made.state([])) == rows_of(whole.state([]))
        count = sum(len(seqs) for seqs in known.streams.values())
        assert [row.value for row in made.changes()] == [row.value for row in whole.changes()][count:]


def test_a_state_that_counts_more_changes_than_were_published_is_refused():
    records = log()
    early = refold(Known(), records[:15])
    saved = rows_of(early.state([]))
    made = Refold(P, Engine(default_bundle()), Known(), SETTINGS, records[-1].offset + 1)
    asyncio.run(made.from_state(saved))
    with pytest.raises(RefoldDiffersError, match="changes_lost"):
        made.finish()


def test_a_saved_state_that_is_not_whole_is_refused():
    written = refold(Known()).state([])
    end = log()[-1].offset + 1
    without = rows_of([row for row in written if not row.key.startswith(b"roster") and row.key != FIRMS[0].encode()])
    broken = rows_of([
        row if row.key != FIRMS[0].encode() else type(row)(row.topic, row.partition, row.key, b"?", row.headers) for row in written
    ])  # fmt: skip
    with pytest.raises(StateLostError):
        asyncio.run(Refold(P, Engine(default_bundle()), Known(), SETTINGS, end).from_state(without))
    with pytest.raises(SnapshotError, match=FIRMS[0]):
        asyncio.run(Refold(P, Engine(default_bundle()), Known(), SETTINGS, end).from_state(broken))
    with pytest.raises(ContractError):  # the log ends before the state does
        asyncio.run(Refold(P, Engine(default_bundle()), Known(), SETTINGS, end - 1).from_state(rows_of(written)))


def test_what_stood_in_the_topic_and_is_not_written_anew_is_forgotten():
    made = refold(Known())
    before = ["GONE-01", f"{FIRMS[0]}#1", FIRMS[1], "packs-" + "0" * 64, "watch-p3", "p3"]
    rows = made.state(before)
    forgotten = [row.key.decode() for row in rows if row.value is None]
    assert forgotten == sorted({"GONE-01", f"{FIRMS[0]}#1", "packs-" + "0" * 64, "watch-p3"})
    after = rows_of(rows)
    assert after.rostered(after.checked_marker(None)) == sorted(FIRMS)


def test_only_what_was_rejected_behind_the_groups_offset_is_told():
    records = log()
    bad = [Rejected(P, offset, 1, "", "undecodable", "?", b"") for offset in (100, 200)]
    made = refold(Known(), [*records, *bad], end=201, told=150)
    made.finish()
    told = [row for row in made.changes() if row.topic == SETTINGS.rejected_topic]
    assert [b'"offset":200' in row.value for row in told] == [True]


def test_a_record_that_is_passed_over_or_misplaced_is_not_folded():
    records = log()
    first = next(r for r in records if r.facility == FIRMS[1])
    made = refold(Known(), passed={first.offset})
    made.finish()
    assert rows_of(made.state([])) != rows_of(refold(Known()).state([]))
    strict = refold(Known(), settings=WorkerSettings())
    strict.finish()
    assert strict.done.facilities < 2
    assert any(b"misplaced" in row.value for row in strict.changes())


@pytest.mark.parametrize(("begin", "published", "starts"), [(0, True, True), (5, False, True), (5, True, False)])
def test_a_worker_without_a_marker_does_not_begin_in_the_middle_where_changes_were_published(begin, published, starts):
    """Seqs would begin anew: other changes under identities that are taken."""
    begun = restore_partition(Engine(default_bundle()), StateRows(P), None, (begin, 9), published=published)
    if starts:
        assert asyncio.run(begun).low == begin
    else:
        with pytest.raises(StateLostError, match="seqs would begin anew"):
            asyncio.run(begun)
