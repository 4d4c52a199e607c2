"""Packs that come by the log and of which no plan could be made are refused whole: no worker ends for them."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from rules.canonical import canonical_bytes, sha256_hex
from rules.engine import Engine
from rules.errors import BadInputError
from rules.pack import Bundle, default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, PacksRecord
from rules.snapshot import open_snapshot
from rules.soundness import bundle_faults
from tests.rules import logs

if TYPE_CHECKING:
    from collections.abc import Callable

SHIPPED = default_bundle()
CONTENT: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(SHIPPED.to_record().bundle)))


def record_of(content: dict[str, Any]) -> PacksRecord:
    """Return a packs record whose hash fits whatever it holds."""
    packed = base64.b64encode(zlib.compress(canonical_bytes(content))).decode()
    return PacksRecord(sha256=sha256_hex(content), semantics=SEMANTICS, bundle=packed)


def rule(content: dict[str, Any], rule_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(rule for rule in content["rules"] if rule["id"] == rule_id)
    return found


def limits_from_nowhere(content: dict[str, Any]) -> None:
    rule(content, "cold-chain.store-out")["limits"]["from"] = "nowhere"


def a_table_taken_out(content: dict[str, Any]) -> None:
    content["tables"] = []


def silence_said_twice(content: dict[str, Any]) -> None:
    silence = rule(content, "data-integrity.gap")
    silence["factor"], silence["threshold"] = 3.0, "10m"


def an_unknown_fact(content: dict[str, Any]) -> None:
    rule(content, "cold-chain.store-out")["applies_to"] = {"sensor.colour": "red"}


def a_rule_twice(content: dict[str, Any]) -> None:
    content["rules"].append(copy.deepcopy(content["rules"][0]))


def a_table_twice(content: dict[str, Any]) -> None:
    content["tables"].append(copy.deepcopy(content["tables"][0]))


def a_step_that_steps_never(content: dict[str, Any]) -> None:
    rule(content, "data-integrity.gap")["severity"]["steps"] = [{"to": "red"}]


def a_silence_that_steps_by_value(content: dict[str, Any]) -> None:
    rule(content, "data-integrity.gap")["severity"]["steps"] = [{"to": "red", "beyond": {"high": 9.0}}]


def a_deadband_in_words(content: dict[str, Any]) -> None:
    rule(content, "cold-chain.store-out")["clear"]["deadband"] = "wide"


def a_deadband_below_nothing(content: dict[str, Any]) -> None:
    rule(content, "cold-chain.store-out")["clear"]["deadband"] = -1.0


def a_pair_between_registered_limits(content: dict[str, Any]) -> None:
    rule(content, "cleanroom.pressure-low")["limits"]["from"] = "sensor"


def a_pair_by_a_row_of_registered_limits(content: dict[str, Any]) -> None:
    next(table for table in content["tables"] if table["id"] == "cleanroom-pressure")["rows"][1]["registered"] = True


def a_sensor_in_two_rooms(content: dict[str, Any]) -> None:
    rule(content, "cold-chain.store-out")["applies_to"] = {"place.kind": "cleanroom"}


BREAKS = {
    a_pair_between_registered_limits: ("unknown_table", "limits/from"),
    a_pair_by_a_row_of_registered_limits: ("registered", "limits/from"),
    a_sensor_in_two_rooms: ("predicate", "applies_to/place.kind"),
    limits_from_nowhere: ("unknown_table", "limits/from"),
    a_table_taken_out: ("unknown_table", "limits/from"),
    silence_said_twice: ("silence", "factor"),
    an_unknown_fact: ("predicate", "applies_to/sensor.colour"),
    a_rule_twice: ("duplicate", "/rules"),
    a_table_twice: ("duplicate", "/tables"),
    a_step_that_steps_never: ("step", "severity/steps/0"),
    a_silence_that_steps_by_value: ("step", "severity/steps/0/beyond"),
    a_deadband_in_words: ("deadband", "clear/deadband"),
    a_deadband_below_nothing: ("deadband", "clear/deadband"),
}


def test_the_shipped_packs_are_sound() -> None:
    assert bundle_faults(SHIPPED.rules, SHIPPED.tables.values()) == []
    assert Bundle.from_record(record_of(CONTENT)).sha256 == SHIPPED.sha256


@pytest.mark.parametrize(("spoil", "wanted"), BREAKS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_packs_of_which_no_plan_can_be_made_are_refused_and_the_old_ones_stay_in_force(
    spoil: Callable[[dict[str, Any]], None], wanted: tuple[str, str]
) -> None:
    content = copy.deepcopy(CONTENT)
    spoil(content)
    engine = Engine(SHIPPED)
    entity = logs.facility([("T0", "A1", 60)])
    for record in logs.records(entity, [(logs.BEGIN + 60_000, [logs.Row("T0", logs.BEGIN, 5.0)])]):
        engine.fold(record)
    with pytest.raises(BadInputError) as caught:
        engine.fold(LogRecord(0, 2, logs.BEGIN + 61_000, Kind.PACKS, "", record_of(content)))
    assert any(code == wanted[0] and wanted[1] in pointer for pointer, code in seen(caught.value)), (
        caught.value.report()
    )
    assert engine.partition_state(0).packs == SHIPPED.sha256
    record = logs.records(entity, [(logs.BEGIN + 120_000, [logs.Row("T0", logs.BEGIN + 60_000, 5.0)])])[1]
    engine.fold(dataclasses.replace(record, offset=3))
    body, _ = open_snapshot(engine.snapshot(0, entity.id))
    assert (body.packs, body.position, body.clock) == (SHIPPED.sha256, 4, logs.BEGIN + 120_000), "it goes on"


def test_every_fault_is_told_at_once_with_its_place() -> None:
    content = copy.deepcopy(CONTENT)
    limits_from_nowhere(content)
    silence_said_twice(content)
    with pytest.raises(BadInputError) as caught:
        Bundle.from_record(record_of(content))
    assert {code for _, code in seen(caught.value)} == {"unknown_table", "silence"}
    place = [r["id"] for r in content["rules"]].index("cold-chain.store-out")
    assert f"/rules/{place}/limits/from" in {pointer for pointer, _ in seen(caught.value)}


def seen(error: BadInputError) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.code) for fault in error.faults}
