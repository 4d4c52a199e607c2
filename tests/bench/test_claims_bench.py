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
    monkeypatch.setattr(sys, "argv", ["claims", "6"])
    claims.main()
    found = json.loads(capsys.readouterr().out)
    size = found["bytes_per_series"]
    assert found["readings"] == 2 * 600 * 13
    assert size["without"]["summaries_unpacked"] == 0
    assert size["days"]["ring_and_summaries"] - size["without"]["ring_and_summaries"] == 8 * (5 + 5 * 560)
    assert size["hours"]["ring_and_summaries"] - size["days"]["ring_and_summaries"] == 8 * 5 * 864
    assert size["days"]["summaries_unpacked"] == 8 * (5 + 5 * 6), "the newest rows are still in the ring"
    assert found["ratio"]["without"] == 1
    assert size["without"]["snapshot_written"] == size["without"]["snapshot_whole"]
    assert size["hours"]["snapshot_written"] < size["hours"]["snapshot_whole"]
    often = found["records_beside_per_day"]
    assert often["without"] == 0 < often["days"] <= 1 < often["hours"] <= 2
    beside = found["bytes_beside_per_series_and_day"]
    assert beside["without"] == 0 < beside["days"] < beside["hours"]
