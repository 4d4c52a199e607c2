"""State of format 4 as the release before rare records (engine semantics 2) wrote it: it goes on under this one, byte for byte.

`golden/format-4.release.json` was written by that release: its packs, the state after the first 123 records of `golden/log.jsonl`,
and digests of the changes of the rest and of the state at the end. It is taken over as `offsite state upgrade` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from rules.engine import Engine, PartitionState
from rules.errors import ContractError
from rules.fitting import change_bytes, fit
from rules.pack import Bundle, default_bundle
from rules.records import Events, Kind, LogRecord, PacksRecord
from rules.snapshot import open_snapshot, unpacked
from streams.checkpoint import Marker, decode_marker, roster_of
from streams.jsonlines import parse_line
from streams.refold import Known, Refold
from tests.streams.test_tenure import SETTINGS

GOLDEN = Path(__file__).parent / "golden"
CUT = 123
LOG = [parse_line(line) for line in (GOLDEN / "log.jsonl").read_bytes().splitlines()]

HELD = {
    "OLD-0001": "1f05372d98739d2d832010d555dda7884f1595e515f62aff50a24f012e3150aa",
    "OLD-0002": "93ed255b983afb84e3fad872014f309ed8e722f3bccd7c1a0a7106d3277b2bc1",
}
"""What semantics 7 keeps of two of them, where a series is silent for hours: the rows before the silence as well (ADR 0035); and how far back-fill leads, and when the door was closed (ADR 0062); and
of the first silences of places of which an open gap may be filled yet (ADR 0092)."""


@pytest.fixture
def released() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "format-4.release.json").read_bytes())
    return found


def upgraded(engine: Engine, state: PartitionState) -> PartitionState:
    """Return it as `offsite state upgrade` leaves it, after a graceful stop of the release."""
    names = ["OLD-0001", "OLD-0002", "OLD-0003"]
    marker = Marker(
        partition=0, next=CUT, low=CUT, state=state, facilities=len(names), roster=roster_of(names), origin=None
    )
    return decode_marker(Refold(0, engine, Known(), SETTINGS, CUT).adopt(marker), 0).state


def by_zlib(snapshot: bytes) -> bytes:
    """Return a snapshot as the release packed it: only the packer is another one since."""
    packed = zlib.compress(unpacked(snapshot), 1)
    return b"OFS1" + hashlib.sha256(packed).digest() + packed


def test_it_waits_for_its_upgrade(released: dict[str, Any]) -> None:
    engine = Engine(Bundle.from_record(PacksRecord.model_validate(released["packs"])))
    with pytest.raises(ContractError, match="semantics 2, not 7"):
        engine.restore_partition(0, PartitionState.model_validate(released["partition"]))


def engine_of(released: dict[str, Any]) -> Engine:
    bundle = Bundle.from_record(PacksRecord.model_validate(released["packs"]))
    engine = Engine(bundle)
    engine.restore_partition(0, upgraded(engine, PartitionState.model_validate(released["partition"])))
    for name, snapshot in released["snapshots"].items():
        engine.restore(0, name, base64.b64decode(snapshot))
    return engine


def test_its_snapshots_are_restored_without_a_migration_and_written_as_they_were(released: dict[str, Any]) -> None:
    engine = engine_of(released)
    assert engine.dirty(0) == []
    for name, snapshot in released["snapshots"].items():
        assert by_zlib(engine.snapshot(0, name)) == base64.b64decode(snapshot)
        body, older = open_snapshot(base64.b64decode(snapshot))
        assert (body.format, older) == (4, False)
        assert engine.state_of(name).rare.pack() == ((0, [], b"", b""), [], [], [], [])


def test_what_comes_then_is_said_and_kept_as_by_the_release_itself(released: dict[str, Any]) -> None:
    engine = engine_of(released)
    said = b"".join(change_bytes(fit(change)) for record in LOG[CUT:] for change in engine.fold(record))
    assert hashlib.sha256(said).hexdigest() == released["changes_of_the_rest"]
    kept = {name: hashlib.sha256(by_zlib(engine.snapshot(0, name))).hexdigest() for name in engine.facilities(0)}
    assert kept == released["snapshots_at_the_end"] | HELD


def test_rules_over_rare_records_begin_where_their_packs_come_into_force(released: dict[str, Any]) -> None:
    engine, packs = engine_of(released), default_bundle()
    at = LOG[-1].received
    event = {"stream": "audit", "type": "audit-disabled", "time": at, "source": "LIMS"}

    def posted(offset: int) -> LogRecord:
        payload = Events.model_validate({"batch": f"e{offset}", "events": [event | {"seq": offset}]})
        return LogRecord(0, offset, at, Kind.EVENTS, "OLD-0001", payload)

    before = [change.rule for change in engine.fold(posted(1_000))]
    engine.fold(LogRecord(0, 1_001, at, Kind.PACKS, "", packs.to_record()))
    (raised,) = [change for change in engine.fold(posted(1_002)) if change.rule == "data-integrity.audit-disabled"]
    assert "data-integrity.audit-disabled" not in before
    assert (raised.change.value, raised.start, raised.packs) == ("raised", at, packs.sha256)
    assert by_zlib(engine.snapshot(0, "OLD-0001")) != base64.b64decode(released["snapshots"]["OLD-0001"])
