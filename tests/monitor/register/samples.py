"""Register files for the tests of this folder."""

from __future__ import annotations

import copy

from rules.register import RegisterFile

BASE = {
    "id": "BJ-MFR-0007",
    "name": {"zh": "京北生物制品有限公司（模拟）", "en": "Jingbei Biologics (simulated)"},
    "jurisdiction": "110115",
    "scopes": [{"field": "manufacture", "line": "drug"}],
    "areas": [{"id": "CR1", "kind": "cold-room"}],
    "sensors": [{"tag": "CR1.T1", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s"}],
    "contacts": [{"name": "王芳", "role": "QA", "phone": "+86 10 5555 0100"}],
}


def facility(name="BJ-MFR-0007", **more):
    value = copy.deepcopy(BASE) | {"id": name} | more
    return {key: item for key, item in value.items() if item is not None}


def register(*facilities):
    return RegisterFile.model_validate({"facilities": list(facilities) or [facility()]})
