"""A stage that does not become ready says where to look and what a first start lacks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from monitor.demo import stage
from monitor.demo.stage import Stage, StageError


def test_a_process_that_is_not_ready_is_named_with_its_log_and_the_command_for_cold_kernels(monkeypatch, tmp_path):
    monkeypatch.setattr(stage, "READY_S", -1.0)
    made = Stage(tmp_path / "demo", fresh=True, desk_port=0)
    child = SimpleNamespace(tail=lambda: "the last line")
    made.manager = SimpleNamespace(
        not_ready=lambda: ["worker", "desk"], failure=None, running=lambda: {"worker": child}
    )
    with pytest.raises(StageError) as refused:
        made._await_ready()
    told = refused.value.report()
    for name in ("worker", "desk"):
        assert str(tmp_path / "demo" / "logs" / f"{name}.log") in told
        assert made._spec(name).log == tmp_path / "demo" / "logs" / f"{name}.log"
    assert "the last line" in told
    assert "`offsite setup`" in told
