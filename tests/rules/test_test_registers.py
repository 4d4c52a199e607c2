"""The registers inside the tests of rule files: lint says what makes no facility, or none that the rule can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.lint import lint
from rules.pack import SHIPPED, default_bundle
from rules.rule import RuleTest
from rules.ruletest import facility_of
from rules.testfaults import register_faults

if TYPE_CHECKING:
    from pathlib import Path

STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
AT_FIRST = "register: {sensor: {tag: T1, quantity: temperature, interval: 60s, limits: {low: 2, high: 8}}, area: {kind: cold-room}}"
BUNDLE = default_bundle()
COLD, PARTICLES = BUNDLE.rule("cold-chain.store-out"), BUNDLE.rule("cleanroom.b-particles")
assert COLD is not None
assert PARTICLES is not None


def told(register: object, later: object = None) -> list[tuple[str, str]]:
    """Return (code, pointer) of each fault of a test of store-out with these registers."""
    more = {} if later is None else {"later": [{"at": "1h", "register": later}]}
    test = RuleTest.model_validate({"name": "one", "register": register, "expect": [], **more})
    return [(fault.code, fault.pointer) for fault in register_faults(COLD, test)]


@pytest.mark.parametrize(
    ("register", "found"),
    [
        ({}, []),
        ({"sensor": {"tag": "T1", "unit": "Cel"}}, []),
        ({"sensor": {"tag": "T1", "unit": "K"}}, [("wrong_unit", "/register/sensor/unit")]),
        ({"sensors": [{"tag": "T1"}, {"tag": "T2", "unit": "%RH"}]}, [("wrong_unit", "/register/sensors/1/unit")]),
        (
            {"sensors": [{"tag": "T1", "unit": "K"}], "sensor": {"tag": "T2", "quantity": "toc", "unit": "mg/L"}},
            [("wrong_unit", "/register/sensors/0/unit"), ("wrong_unit", "/register/sensor/unit")],
        ),
        ({"sensor": {"tag": "T1", "quantity": "warmth"}}, [("unknown_value", "/register/sensor/quantity"), ("missing", "/register/sensor/unit")]),
        ({"sensor": {"tag": "T1", "limits": {"low": 8, "high": 2}}}, [("wrong_form", "/register/sensor/limits")]),
        ({"area": {"kind": "barn"}}, [("unknown_value", "/register/area/kind")]),
        ({"areas": [{}, {"id": "A2", "kind": "box", "phase": "liquid"}]}, [("misplaced", "/register/areas/1/phase")]),
        ({"facility": {"jurisdiction": 7}}, [("wrong_type", "/register/facility/jurisdiction")]),
        ({"facility": {"sensors": [{"tag": "T1"}]}}, None),
        ({"sensor": {"tag": "T1", "area": "A9"}}, [("unknown_area", "/register/sensor/area")]),
        ({"sensr": {"tag": "T1"}}, [("unknown_member", "/register/sensr")]),
        ({"sensor": ["T1"]}, [("wrong_type", "/register/sensor")]),
        ({"sensors": {"tag": "T1"}, "areas": [3]}, [("wrong_type", "/register/sensors"), ("wrong_type", "/register/areas/0")]),
    ],
)  # fmt: skip
def test_what_makes_no_facility_is_told_where_the_test_writes_it(
    register: object, found: list[tuple[str, str]] | None
) -> None:
    if found is None:
        assert {pointer.rpartition("/")[0] for _, pointer in told(register)} == {"/register/facility/sensors/0"}
    else:
        assert told(register) == found


def test_later_registers_are_read_as_well() -> None:
    assert told({}, {"sensor": {"tag": "T1", "unit": "K"}}) == [("wrong_unit", "/later/0/register/sensor/unit")]


def test_a_sensor_in_whose_unit_the_table_has_no_limit_cannot_be_judged() -> None:
    """The rule is made to mean temperatures too: of its table no row is in their unit, so it would stay quiet whatever came."""
    assert PARTICLES is not None
    wide = PARTICLES.model_copy(update={"applies_to": {"sensor.quantity": ["particles-0.5", "temperature"]}})
    table = BUNDLE.tables["cleanroom-particles"]
    register = {
        "sensors": [{"tag": "P", "quantity": "particles-0.5"}, {"tag": "T"}, {"tag": "H", "quantity": "humidity"}]
    }
    test = RuleTest.model_validate({"name": "one", "register": register, "expect": []})
    found = register_faults(wide, test, table)
    assert [(fault.code, fault.pointer) for fault in found] == [("unit", "/register/sensors/1/unit")]
    assert found[0].detail == "temperature is measured in Cel; cleanroom-particles has limits in /m3"
    assert register_faults(PARTICLES, test, table) == []


def test_lint_names_file_line_and_column(tmp_path: Path) -> None:
    assert AT_FIRST in STORE_OUT
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    wrong = AT_FIRST.replace("interval: 60s", "unit: K, interval: 60s")
    (folder / "store-out.yaml").write_text(STORE_OUT.replace(AT_FIRST, wrong, 1), encoding="utf-8")
    (fault,) = lint([tmp_path])
    lines = STORE_OUT.splitlines()
    line = next(i for i, text in enumerate(lines) if AT_FIRST in text)
    column = lines[line].replace(AT_FIRST, wrong).index("unit: K, interval")
    assert fault.pointer.endswith(f"cold-chain/store-out.yaml:{line + 1}:{column + 1}")
    assert (fault.code, fault.detail) == (
        "wrong_unit",
        "tests/0/register/sensor/unit: temperature is measured in Cel, not K",
    )


JUNK = st.recursive(
    st.sampled_from([None, True, 7, -1.5, "x", "", "T1", "temperature", "K", "Cel", "A1"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["tag", "quantity", "unit", "area", "kind", "id", "limits", "low", "range"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["sensor", "sensors", "area", "areas", "facility", "more"]), JUNK, max_size=4))
@example({"sensor": {"tag": None, "quantity": []}})
def test_a_register_is_told_of_or_makes_a_facility_whatever_it_holds(register: dict[str, object]) -> None:
    assert COLD is not None
    test = RuleTest.model_validate({"name": "one", "register": register, "expect": []})
    if not register_faults(COLD, test):
        facility_of(COLD, test)
