"""Rooms, tanks and loops beside the cold room and the tank of the random logs: one for each branch of the packs' limits.

Each has an area, what its sensors measure there, and values on both sides of the limit and of the deadband.
"""

from __future__ import annotations

from typing import Any

CLEAN = {"kind": "cleanroom"}
WIDE = {"low": -200, "high": 10_000_000}
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any], list[float]]] = {
    "B": (
        CLEAN | {"grade": "B", "standard": "cn-gmp-2010"}, {"quantity": "particles-5.0", "unit": "/m3"},
        [100.0, 2610.0, 2611.0, 2900.0, 2901.0, 2931.0],
    ),
    "C": (
        CLEAN | {"grade": "C", "standard": "eu-annex1-2022"}, {"quantity": "particles-0.5", "unit": "/m3"},
        [1000.0, 3_168_000.0, 3_168_001.0, 3_520_000.0, 3_520_001.0],
    ),
    "CS": ({"kind": "cool-store"}, {"quantity": "temperature", "unit": "Cel"}, [15.0, 19.5, 19.6, 20.0, 20.1, -3.0]),
    "RS": ({"kind": "room-store"}, {"quantity": "humidity", "unit": "%RH"}, [50.0, 35.0, 34.9, 37.0, 75.1, 73.0, 73.1]),
    "FZ": (
        {"kind": "freezer"}, {"quantity": "temperature", "unit": "Cel", "limits": {"low": -160, "high": -120}},
        [-140.0, -125.0, -124.9, -120.0, -119.9],
    ),
    "FD": ({"kind": "freezer"}, {"quantity": "temperature", "unit": "Cel"}, [-140.0, -135.0, -134.9, -130.0, -129.9]),
    "LT": (
        {"kind": "cryo-tank", "phase": "liquid"}, {"quantity": "temperature", "unit": "Cel"},
        [-190.0, -140.0, -139.9, -135.0, -134.9],
    ),
    "LN": (
        {"kind": "cryo-tank"}, {"quantity": "ln2-level", "unit": "%", "limits": {"low": 40, "high": 95}},
        [60.0, 99.0, 45.0, 44.9, 40.0, 39.9],
    ),
    "OX": ({"kind": "cryo-room"}, {"quantity": "oxygen", "unit": "%"}, [20.9, 20.0, 19.9, 19.5, 19.4]),
    "WL": ({"kind": "water-loop", "water": "wfi"}, {"quantity": "toc", "unit": "ug/L"}, [80.0, 475.0, 476.0, 500.0, 501.0]),
    "BI": (
        {"kind": "refrigerator", "stores": ["chemical", "biologic"]}, {"quantity": "temperature", "unit": "Cel"},
        [0.0, -0.1, -0.5, -0.6, 4.0, 8.0, 8.1],
    ),
}  # fmt: skip
"""Id of the area -> the area, the sensor, values."""


def areas(used: set[str]) -> list[dict[str, Any]]:
    """Return the areas of those ids that are used, as a register holds them."""
    return [{"id": name, **area} for name, (area, _, _) in PLACES.items() if name in used]


def measured(area: str) -> dict[str, Any]:
    """Return what a sensor of the area is, beside its tag and interval."""
    return {"area": area, "range": WIDE, **PLACES[area][1]}
