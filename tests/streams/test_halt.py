"""How a worker ends at once, and what it says."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest

from rules.errors import PartMissingError
from streams.checkpoint import StateLostError
from streams.halt import exit_status, halt


class LeftError(Exception):
    pass


def leave(status: int) -> NoReturn:
    raise LeftError(status)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 70),
        (RuntimeError("x"), 70),
        (PartMissingError("no broker"), 70),
        (StateLostError("gone"), 4),
    ],
)
def test_only_what_a_restart_cannot_mend_has_its_own_status(error: BaseException | None, status: int) -> None:
    assert exit_status(error) == status


def test_the_log_says_why_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL), pytest.raises(LeftError) as left:
        halt("cannot restore", StateLostError("the marker is gone"), leave)
    assert left.value.args == (4,)
    assert "cannot restore: the marker is gone" in caplog.text
    assert "offsite state rebuild" in caplog.text


def test_an_unexpected_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("a bug")
    with caplog.at_level(logging.CRITICAL), pytest.raises(LeftError) as left:
        halt("the fold failed", caught.value, leave)
    assert left.value.args == (70,)
    assert "Traceback" in caplog.text
    assert "a bug" in caplog.text


def test_nothing_keeps_the_process_not_even_a_broken_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(logging.getLogger("offsite.worker"), "critical", broken)
    with pytest.raises(LeftError):
        halt("x", None, leave)
