"""Numbers by jurisdiction, in one bundle: a room of the EU standard is judged by EU numbers, a Chinese one by Chinese, and an overlay says why.

The register says by `standard` which numbers a room is held to; its `jurisdiction` is a division code of GB/T 2260 and says who supervises it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.errors import BadInputError
from rules.pack import SHIPPED, Bundle, default_bundle, load_bundle
from rules.packdiff import differences
from tests.rules.byhand import HandLog, since

if TYPE_CHECKING:
    from pathlib import Path

RULE = "cleanroom.b-particles"
TABLE = (SHIPPED / "tables" / "cleanroom-particles.yaml").read_text(encoding="utf-8")
EU_ROW = "area.grade: B, area.standard: eu-annex1-2022, sensor.quantity: particles-5.0}, unit: /m3, limit: {high: 2930}"
STANDARDS = ("cn-gmp-2010", "eu-annex1-2022")


def overlay(tmp_path: Path, high: float, *, reason: str = "the region asks for less than Annex 1") -> Path:
    """Write a pack that changes one number of the EU standard."""
    assert EU_ROW in TABLE
    text = TABLE.replace(EU_ROW, EU_ROW.replace("2930", f"{high:g}"))
    path = tmp_path / "tables" / "cleanroom-particles.yaml"
    path.parent.mkdir()
    path.write_text(text + (f"override: {{reason: {reason}}}\n" if reason else ""), encoding="utf-8")
    return tmp_path


def raised(bundle: Bundle, values: list[float]) -> dict[str, list[float | None]]:
    """Return by standard since when the rooms of two facilities were above their limit; the records are the same."""
    found: dict[str, list[float | None]] = {}
    for standard in STANDARDS:
        room = {"id": "A1", "kind": "cleanroom", "grade": "B", "standard": standard}
        counter = {"tag": "P1", "area": "A1", "quantity": "particles-5.0", "unit": "/m3", "interval": "60s"}
        log = HandLog(facility="EU-1" if standard.startswith("eu") else "CN-1").register(-1, counter, areas=[room])
        changes = log.live("P1", 0, values).changes(until=30, bundle=bundle)
        found[standard] = [since(c.start) for c in changes if c.rule == RULE and c.change == "raised"]
        used = {limit.edition for c in changes if c.rule == RULE for limit in c.evidence.limits}
        assert all(("EU GMP" in edition) is standard.startswith("eu") for edition in used)
    return found


@pytest.mark.parametrize(
    ("value", "cn", "eu"),
    [(2900, [], []), (2901, [1.0], []), (2930, [1.0], []), (2931, [1.0], [1.0])],
)
def test_each_room_is_held_to_the_numbers_of_its_standard(value: float, cn: list[float], eu: list[float]) -> None:
    assert raised(default_bundle(), [10, value, value, value]) == dict(zip(STANDARDS, (cn, eu), strict=True))


def test_an_overlay_changes_the_numbers_of_its_standard_alone(tmp_path: Path) -> None:
    bundle = load_bundle(["default", overlay(tmp_path, 2000)])
    assert raised(bundle, [10, 2001, 2001, 2001]) == {"cn-gmp-2010": [], "eu-annex1-2022": [1.0]}
    assert raised(bundle, [10, 2901, 2901, 2901]) == {"cn-gmp-2010": [1.0], "eu-annex1-2022": [1.0]}
    assert raised(default_bundle(), [10, 2001, 2001, 2001]) == {"cn-gmp-2010": [], "eu-annex1-2022": []}
    assert bundle.sha256 != default_bundle().sha256
    assert differences(default_bundle(), bundle)
    again = Bundle.from_record(bundle.to_record())
    assert again.sha256 == bundle.sha256


def test_an_overlay_says_why_or_is_refused_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        load_bundle(["default", overlay(tmp_path, 2000, reason="")])
    (fault,) = refused.value.faults
    line = next(i for i, text in enumerate(TABLE.splitlines(), 1) if text.startswith("id:"))
    assert (fault.code, fault.pointer.split(":")[1]) == ("duplicate_id", str(line))
    assert "override: {reason: …}" in fault.detail


def test_a_reason_is_one_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as refused:
        load_bundle(["default", overlay(tmp_path, 2000, reason="because")])
    assert "override/reason" in refused.value.faults[0].detail


def test_a_register_with_both_standards_has_both_numbers() -> None:
    """One facility, one room of each: what counts is the room."""
    areas = [{"id": f"A{i}", "kind": "cleanroom", "grade": "B", "standard": one} for i, one in enumerate(STANDARDS)]
    counters = [
        {"tag": f"P{i}", "area": f"A{i}", "quantity": "particles-5.0", "unit": "/m3", "interval": "60s"}
        for i in range(2)
    ]
    log = HandLog().register(-1, *counters, areas=areas)
    for at in range(4):
        log.rows(at + 0.1, ("P0", [at], [2915]), ("P1", [at], [2915]))
    assert [
        c.subject for c in log.changes(until=30, bundle=default_bundle()) if c.rule == RULE and c.change == "raised"
    ] == [{"tag": "P0"}]
