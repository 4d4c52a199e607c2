"""The bench of figures: a small run prints what it promises, and who has no such rule pays nothing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from bench import claims

if TYPE_CHECKING:
    import pytest


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(claims, "SERIES", 2)
    monkeypatch.setattr(claims, "REPETITIONS", 1)
    monkeypatch.setattr(sys, "argv", ["claims", "3"])
    claims.main()
    found = json.loads(capsys.readouterr().out)
    size = found["bytes_per_series"]
    assert found["readings"] == 2 * 600 * 6
    assert size["without"]["summaries_unpacked"] == 0
    assert size["days"]["ring_and_summaries"] - size["without"]["ring_and_summaries"] == 8 * (5 + 5 * 401)
    assert size["hours"]["ring_and_summaries"] - size["days"]["ring_and_summaries"] == 8 * 5 * 841
    assert size["days"]["summaries_unpacked"] == 8 * (5 + 5 * 3), "the newest rows are still in the ring"
    assert found["ratio"]["without"] == 1
