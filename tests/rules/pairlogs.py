"""Random facilities with rooms under pressure, rules for their pairs, and logs that they could send."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from pydantic import TypeAdapter

from rules.pack import Bundle, default_bundle
from rules.register import Facility
from rules.rule import Rule
from tests.rules.logs import BEGIN, Row

WORDS = {"en": "word", "zh": "字"}
PRESSURES = [-3.0, 0.0, 1.0, 9.0, 10.0, 10.5, 11.0, 11.5, 12.0, 20.0, 500.0]


def rule(slug, **members):
    """Return a difference rule, its texts filled in."""
    whole = {
        "schema": "rule/1", "id": f"cleanroom.{slug}", "version": "1.0.0", "kind": "difference", "title": WORDS,
        "applies_to": {"area.kind": "cleanroom"}, "cites": [{"instrument": "own", "status": "own"}],
        "scopes": [{"field": "manufacture", "line": "drug"}], "severity": {"base": "orange"},
        "rationale": {"cause": WORDS, "consequence": WORDS, "response": WORDS}, "pairs": "cascades",
        "limits": {"from": {"low": 10}},
    }  # fmt: skip
    return TypeAdapter(Rule).validate_python(whole | members)


LOW = rule(
    "test-low",
    limits={"from": {"low": 10}, "narrower": "register"},
    when={"consecutive": 2, "on_delay": "60s"},
    clear={"consecutive": 3, "deadband": 1},
)
REVERSED = rule(
    "test-reversed",
    limits={"from": {"low": 0}, "inclusive": True},
    when={"consecutive": 2, "on_delay": "10s"},
    clear={"consecutive": 2, "deadband": 1},
    severity={"base": "yellow", "steps": [{"after": "3m", "to": "red"}]},
)
WAITING = rule(
    "test-waiting", when={"on_delay": "90s"}, clear={"consecutive": 1}, unknown={"max": "60s"}, marked="count",
    severity={"base": "blue", "steps": [{"beyond": {"low": 5}, "for": "1m", "to": "orange"}]},
)  # fmt: skip
TWINS = rule("test-twins", pairs="redundant", limits={"from": {"low": -2, "high": 2}}, max_age_intervals=1)
_EXCLUDING = [one for one in default_bundle().rules if getattr(one, "excludes", False)]
BUNDLE = Bundle.of([LOW, REVERSED, WAITING, TWINS, *_EXCLUDING], [])


def facility(sensors, cascades, delivery="60s"):
    """Return a facility with two cleanrooms B1 and C1 and a store; sensors are (tag, area, against, interval s)."""
    room = {"kind": "cleanroom", "standard": "cn-gmp-2010"}
    return Facility.model_validate(
        {
            "id": "TEST-0001", "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": delivery,
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [{"id": "B1", "grade": "B", **room}, {"id": "C1", "grade": "C", **room}, {"id": "S", "kind": "room-store"}],
            "cascades": [{"cleaner": a, "dirtier": b, "low": low} for a, b, low in cascades],
            "sensors": [
                {
                    "tag": tag, "area": area, "quantity": "pressure-difference" if against else "pressure", "unit": "Pa",
                    "range": {"low": -100, "high": 100}, **({"against": against} if against else {}),
                    **({"interval": f"{interval}s"} if interval else {}),
                }
                for tag, area, against, interval in sensors
            ],
        }
    )  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log of one facility: (facility, [(received, rows or tick role)])."""
    intervals = st.sampled_from([60, 60, 60, 30, 300, None])
    sensors = [("P.B", "B1", None, draw(intervals)), ("P.C", "C1", None, draw(intervals))]
    if draw(st.booleans()):
        sensors.append(("P.B2", "B1", None, draw(intervals)))
    if draw(st.booleans()):
        sensors.append(("DP", *draw(st.sampled_from([("B1", "S"), ("S", "B1"), ("C1", "S")])), draw(intervals)))
    cascades = [("B1", "C1", draw(st.sampled_from([5.0, 12.0])))]
    cascades += [("B1", "S", 11.0)] if draw(st.booleans()) else []
    heads = dict.fromkeys((s[0] for s in sensors), BEGIN)
    entries, kept, now = [], [], BEGIN
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["run", "run", "run", "run", "gap", "tick", "backfill", "hold", "dup", "long"]))
        chosen = draw(st.lists(st.sampled_from(sensors), min_size=1, max_size=3, unique_by=lambda s: s[0]))
        if kind in ("run", "hold", "long"):
            rows = []
            for tag, _, against, interval in chosen:
                step = (interval or 60) * 1000
                value = draw(st.sampled_from(PRESSURES if against else [20.0, 30.0, 31.0, 40.0]))
                heads[tag] = max(heads[tag], now - 4 * step) + draw(st.sampled_from([0, 0, 7_000]))
                for _ in range(draw(st.integers(1, 8)) if kind != "long" else 150):
                    heads[tag] += step
                    if draw(st.integers(0, 2)) == 0 and kind != "long":
                        value = draw(st.sampled_from(PRESSURES if against else [20.0, 30.0, 31.0, 40.0, 500.0]))
                    quality = draw(st.sampled_from([0] * 8 + [2, 3, 8])) if kind != "long" else 0
                    missing = quality == 8 and draw(st.booleans())
                    rows.append(Row(tag, heads[tag], math.nan if missing else value, quality))
            if kind == "hold":
                kept += rows
                continue
            now = max(now, *(row.t for row in rows)) + draw(st.sampled_from([0, 500]))
            cut = draw(st.integers(0, len(rows))) if draw(st.booleans()) else 0
            if cut:
                entries.append((now, rows[:cut]))
                now += draw(st.sampled_from([0, 0, 1_000]))
            if rows[cut:]:
                entries.append((now, rows[cut:]))
        elif kind == "backfill" and kept:
            rows, kept = (list(reversed(kept)) if draw(st.booleans()) else kept), []
            now += draw(st.sampled_from([0, 1, 1000]))
            entries.append((now, rows))
        elif kind == "gap":
            now += draw(st.sampled_from([90_000, 120_000, 121_000, 600_000, 2_400_000, 7_500_000]))
        elif kind == "tick":
            now += draw(st.sampled_from([1000, 60_000, 400_000]))
            entries.append((now, draw(st.sampled_from(["gateway", "worker"]))))
        elif kind == "dup" and entries:
            old = draw(st.sampled_from(entries))[1]
            if not isinstance(old, str):
                entries.append((now, old))
    return facility(sensors, cascades, draw(st.sampled_from(["10s", "60s"]))), entries
