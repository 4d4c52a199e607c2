"""Clocks read out of snapshots: what is known is not read again, packs are looked up or waited for, faults are told."""

from __future__ import annotations

import msgspec
import pytest

from monitor.deadlines import snapshots
from monitor.deadlines.snapshots import Listed, Reader, UnknownPacksError
from rules.clocks import listing, sums
from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import PacksRecord
from rules.snapshot import open_snapshot, sealed
from tests.monitor.deadlines.listed import INVESTIGATION, snapshot, told
from tests.rules.duelogs import CLOCKS, FIRM, HOUR, DueLog


@pytest.fixture
def reader():
    return Reader(lambda _: None)


def test_it_lists_what_the_engine_lists(reader):
    log = told(FIRM, 3).visit(12 * HOUR, handed_over_at=0)
    engine = log.engine(default_bundle())
    found = reader.read(FIRM, engine.snapshot(0, FIRM), "")
    assert found.rows == listing.listing(engine.state_of(FIRM), default_bundle())
    assert (len(found.rows), found.left_out, found.aside, found.fault) == (2, 0, [], None)


def test_what_is_known_is_not_read_again(reader):
    log = told(FIRM, 3)
    first = reader.read(FIRM, snapshot(log), "")
    assert reader.read(FIRM, snapshot(log), first.digest) is None
    log.tick(12 * HOUR)
    assert reader.read(FIRM, snapshot(log), first.digest) is None  # nothing of the clocks has changed
    log.death(13 * HOUR, "C-2")
    assert len(reader.read(FIRM, snapshot(log), first.digest).rows) == 2


def test_a_firm_without_clocks_and_one_that_was_never_registered_list_nothing(reader):
    engine = Engine(default_bundle())
    engine.fold(DueLog().records[0])
    assert reader.read(FIRM, engine.snapshot(0, FIRM), "").rows == []
    log = told(FIRM, 3)
    log.records = log.records[1:]
    assert reader.read(FIRM, snapshot(log), "").rows == []


def test_packs_are_looked_up_or_waited_for():
    asked = []
    reader = Reader(lambda sha256: asked.append(sha256) or (CLOCKS.to_record() if len(asked) > 1 else None))
    with pytest.raises(UnknownPacksError) as unknown:
        reader.read(FIRM, snapshot(told(FIRM, 3), CLOCKS), "")
    assert (unknown.value.sha256, asked) == (CLOCKS.sha256, [CLOCKS.sha256])
    assert len(reader.read(FIRM, snapshot(told(FIRM, 3), CLOCKS), "").rows) == 1
    assert len(reader.read(FIRM, snapshot(told(FIRM, 4), CLOCKS), "").rows) == 1
    assert len(asked) == 2


def test_packs_that_come_in_the_topic_need_no_look():
    reader = Reader(lambda _: pytest.fail("asked"))
    reader.learn(CLOCKS.to_record())
    reader.learn(CLOCKS.to_record())
    assert len(reader.read(FIRM, snapshot(told(FIRM, 3), CLOCKS), "").rows) == 1


def test_packs_that_this_release_cannot_read_are_a_fault(reader):
    reader.learn(PacksRecord(sha256=CLOCKS.sha256, semantics=1, bundle="none"))
    found = reader.read(FIRM, snapshot(told(FIRM, 3), CLOCKS), "known")
    assert found == Listed(FIRM, "", fault=f"its packs {CLOCKS.sha256[:12]} cannot be read by this release")


def test_few_bundles_are_at_hand_and_the_oldest_is_looked_up_again(monkeypatch):
    monkeypatch.setattr(snapshots, "BUNDLES", 2)
    rule = CLOCKS.rule(INVESTIGATION)
    bundles = [
        Bundle.of([rule.model_copy(update={"version": f"1.0.{n}"})], [], calendars=CLOCKS.calendars.values())
        for n in range(3)
    ]
    records, asked = {one.sha256: one.to_record() for one in bundles}, []
    reader = Reader(lambda sha256: asked.append(sha256) or records[sha256])
    seen = [reader.read(f"F-{n}", snapshot(told(f"F-{n}", 3), one), "") for n, one in enumerate([*bundles, bundles[0]])]
    assert [one.rows[0].version for one in seen] == ["1.0.0", "1.0.1", "1.0.2", "1.0.0"]
    assert asked == [bundles[n].sha256 for n in (0, 1, 2, 0)]


def test_registers_are_read_once_and_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(snapshots, "CONTEXTS", 2)
    asked = []
    monkeypatch.setattr(snapshots, "asked", lambda *facts: asked.append(facts[0].id) or listing.asked(*facts))
    reader = Reader(lambda _: None)
    for name in ("F-1", "F-2", "F-1", "F-3", "F-1", "F-2"):
        reader.read(name, snapshot(told(name, 3)), "")
    assert asked == ["F-1", "F-2", "F-3", "F-2"]


def test_a_facility_keeps_the_clocks_that_are_due_first(reader, monkeypatch):
    monkeypatch.setattr(snapshots, "MOST", 2)
    log = told(FIRM, 9, "C-1")
    for n in range(2, 6):
        log.death(n * 24 * HOUR, f"C-{n}")
    found = reader.read(FIRM, snapshot(log), "")
    assert ([row.subject["report"] for row in found.rows], found.left_out) == (["C-1", "C-2"], 3)


def test_rules_that_raised_are_named(reader, monkeypatch):
    monkeypatch.setattr(sums, "facts_of", lambda *_: 1 / 0)
    found = reader.read(FIRM, snapshot(told(FIRM, 3)), "")
    assert found.rows == []
    assert INVESTIGATION in found.aside
    assert all(name.startswith("report-clock.") for name in found.aside)


def test_what_cannot_be_read_is_told_and_stops_nothing(reader, monkeypatch):
    good = snapshot(told(FIRM, 3))
    body, _ = open_snapshot(good)
    newer = sealed(msgspec.structs.replace(body, format=99))
    unregistered = sealed(msgspec.structs.replace(body, register='{"id": 5}'))
    for bad in (b"", good[:-1], newer, unregistered):
        found = reader.read(FIRM, bad, "known")
        assert (found.digest, found.rows, bool(found.fault)) == ("", [], True)
    assert reader.read("F-2", good, "").fault == f"a snapshot of {FIRM} stands under the key F-2"
    monkeypatch.setattr(snapshots, "rows", lambda *_: 1 / 0)
    assert reader.read(FIRM, good, "").fault == "ZeroDivisionError: division by zero"
