"""The fold as of now on a real Kafka: checkpoint and log behind it, as a worker folds them, and `offsite deadlines` over it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from msgspec.structs import replace

from monitor.cli import main
from rules.clocks.listing import listing
from rules.engine import Engine, PartitionState
from rules.errors import ContractError
from rules.instants import format_instant
from rules.pack import default_bundle
from rules.records import LogRecord
from rules.snapshot import open_snapshot
from streams.checkpoint import StateLostError, marker_key
from streams.codec import home_of
from streams.present import CheckpointNewerError, present
from streams.quarantine import Quarantine, encode_note
from tests.rules.duelogs import DAY, HOUR, DueLog
from tests.streams.sites import FIRM, Site, of_another_engine

pytestmark = pytest.mark.kafka
OTHERS = [name for name in (f"BJ-DUE-{n:04d}" for n in range(50)) if home_of(name, 3) == home_of(FIRM, 3)]
INVESTIGATION = "report-clock.adr-death-investigation"


def now():
    return time.time_ns() // 1_000_000


def told(name=FIRM):
    """Return a log whose instants are those of now."""
    return DueLog(name, begin=now() - 2 * DAY)


def second():
    """Return the record of another death of the firm."""
    return told().death(12 * HOUR, "C-2", id="R-2").records[-1]


def answer(name):
    """Return the record that ends the clock of the first."""
    return told(name).investigation(13 * HOUR, id="R-3").records[-1]


def run(step):
    return asyncio.run(step)


def seen(site, **wanted):
    engine = Engine(default_bundle())
    return engine, present(site.settings, site.partition, engine, **wanted)


def states(engine, site):
    return {name: engine.snapshot(site.partition, name) for name in engine.facilities(site.partition)}


@pytest.fixture
def site(kafka_settings):
    return Site(kafka_settings)


@pytest.fixture
def offsite(site, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_KAFKA_BOOTSTRAP", site.kafka.bootstrap)
    monkeypatch.setenv("OFFSITE_KAFKA_PARTITIONS", str(site.kafka.partitions))
    monkeypatch.setenv("OFFSITE_KAFKA_TOPIC_PREFIX", site.kafka.topic_prefix)

    def called(*arguments):
        code = 0
        try:
            main(["deadlines", *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return called


def checkpointed(site, *records):
    run(site.send([*told().death(10 * HOUR).records, *records]))
    run(site.rebuild())


def test_before_any_checkpoint_the_log_alone_is_folded(site):
    run(site.send(told().death(10 * HOUR).records))
    engine, found = seen(site)
    assert (found.facilities, found.left_out) == ([FIRM], {})
    assert states(engine, site) == states(site.folded()[0], site)


def test_a_checkpoint_and_the_log_behind_it_are_the_whole_log(site):
    checkpointed(site, *told(OTHERS[0]).death(11 * HOUR).records)
    run(site.send([second(), answer(OTHERS[0])]))
    whole = site.folded()[0]
    engine, found = seen(site)
    assert found.facilities == sorted([FIRM, OTHERS[0]])
    assert states(engine, site) == states(whole, site)
    alone, found = seen(site, only=FIRM)
    assert found.facilities == alone.facilities(site.partition) == [FIRM]
    bodies = [open_snapshot(one.snapshot(site.partition, FIRM))[0] for one in (alone, whole)]
    here, there = (replace(body, position=0) for body in bodies)  # it has not seen the others' last record
    assert here == there
    assert len(listing(alone.state_of(FIRM), default_bundle())) == 2
    assert seen(site, only=OTHERS[1])[1].facilities == []


def test_what_was_received_later_is_left_out_but_nothing_of_the_checkpoint_can_be(site):
    checkpointed(site)
    newest = Engine(default_bundle())
    present(site.settings, site.partition, newest)
    clock = newest.state_of(FIRM).clock
    time.sleep(0.05)
    run(site.send([second()]))
    cut, _ = seen(site, until_ms=clock)
    assert len(listing(cut.state_of(FIRM), default_bundle())) == 1
    assert len(listing(seen(site)[0].state_of(FIRM), default_bundle())) == 2
    with pytest.raises(CheckpointNewerError, match="newest checkpoint"):
        seen(site, until_ms=clock - 1)


def test_who_is_quarantined_is_left_out_and_said_to_be(site):
    checkpointed(site, *told(OTHERS[0]).death(11 * HOUR).records)
    note = Quarantine(
        facility=FIRM, partition=site.partition, begin=1, base=PartitionState(), offset=1, deaths=3, since=now()
    )
    run(site.put_state(f"quarantine-{FIRM}".encode(), encode_note(note)))
    run(site.send([second()]))
    for only, here in ((None, [OTHERS[0]]), (FIRM, [])):
        engine, found = seen(site, only=only)
        assert (found.facilities, found.left_out) == (here, {FIRM: "quarantined"})
        assert engine.facilities(site.partition) == here
    assert seen(site, only=OTHERS[0])[1].left_out == {}


def test_a_bad_snapshot_leaves_its_facility_out(site):
    checkpointed(site, *told(OTHERS[0]).death(11 * HOUR).records)
    run(site.put_state(FIRM.encode(), b"no snapshot"))
    run(site.send([second()]))
    _, found = seen(site)
    assert found.facilities == [OTHERS[0]]
    assert list(found.left_out) == [FIRM]


def test_what_a_worker_rejects_is_passed_over(site):
    checkpointed(site)
    bad = second()
    misplaced = LogRecord(
        0,
        0,
        0,
        bad.kind,
        next(n for n in (f"X-{i}" for i in range(99)) if home_of(n, 3) != site.partition),
        bad.payload,
    )
    run(site.send([misplaced]))
    engine, found = seen(site)
    assert (found.facilities, engine.facilities(site.partition)) == ([FIRM], [FIRM])


def test_what_no_worker_could_start_from_is_told(site):
    checkpointed(site)
    run(of_another_engine(site, 1))
    with pytest.raises(ContractError, match="semantics 1"):
        seen(site)
    run(site.put_state(marker_key(site.partition), None))
    with pytest.raises(StateLostError, match="no marker"):
        seen(site)


def test_the_command_lists_what_runs_as_things_stand_and_ahead(site, offsite):
    checkpointed(site, *told(OTHERS[0]).death(11 * HOUR).records)
    run(site.send([second(), answer(OTHERS[0])]))
    code, out, err = offsite("--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [(r["facility"], r["subject"]["report"], r["state"]) for r in found["deadlines"]] == [
        (FIRM, "C-1", "due"), (FIRM, "C-2", "due"),
    ]  # fmt: skip
    ahead = json.loads(offsite("--json", "--facility", FIRM, "--at", format_instant(now() + 30 * DAY))[1])
    assert [(r["state"], r["severity"], r["alarm"] is None) for r in ahead["deadlines"]] == [("late", "red", False)] * 2
    code, _, err = offsite("--facility", FIRM, "--at", "2026-01-01T00:00:00Z")
    assert (code, "newest checkpoint" in err) == (4, True)
    code, out, err = offsite("--facility", "BJ-NONE-0001")
    assert (code, out) == (3, "")
    assert "no record of BJ-NONE-0001 was ever received" in err


def test_the_command_says_who_is_left_out(site, offsite):
    checkpointed(site)
    run(site.put_state(FIRM.encode(), b"no snapshot"))
    code, out, err = offsite()
    assert (code, out.splitlines()[0].startswith("0 clocks run, as of ")) == (0, True)
    assert f"{FIRM}: not listed: " in err
    told_ = json.loads(offsite("--json", "--facility", FIRM)[1])
    assert [one["facility"] for one in told_["left_out"]] == [FIRM]
