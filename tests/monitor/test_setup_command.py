"""`offsite setup`: jars and kernels side by side; what is missing is said, what only slows a start does not stop it."""

from __future__ import annotations

import threading

import pytest

from monitor.cli import main
from monitor.commands import setup
from rules.errors import OffsiteError, PartMissingError

BOUND_S = 60


def call(capsys):
    try:
        main(["setup"])
    except SystemExit as end:
        return end.code or 0, capsys.readouterr().err
    return 0, capsys.readouterr().err


@pytest.fixture
def done(monkeypatch):
    """Parts that note that they were done, instead of doing it."""
    noted = []
    for name, owner in (
        ("ensure_jars", setup.jars),
        ("java", setup.jars),
        ("warm", setup.kernels),
        ("keep_classes", setup),
    ):
        monkeypatch.setattr(owner, name, lambda name=name: noted.append(name))
    return noted


def test_everything_is_prepared_and_the_classes_come_behind_their_jars(done, capsys):
    assert call(capsys)[0] == 0
    assert sorted(done) == ["ensure_jars", "java", "keep_classes", "warm"]
    assert [name for name in done if name != "warm"] == ["ensure_jars", "java", "keep_classes"]


def test_kernels_are_compiled_while_jars_are_fetched(done, capsys, monkeypatch):
    compiling, fetched = threading.Event(), threading.Event()

    def fetch():
        assert compiling.wait(BOUND_S), "nothing was compiled meanwhile"
        fetched.set()

    def compile_all():
        compiling.set()
        assert fetched.wait(BOUND_S), "nothing was fetched meanwhile"

    monkeypatch.setattr(setup.jars, "ensure_jars", fetch)
    monkeypatch.setattr(setup.kernels, "warm", compile_all)
    assert call(capsys)[0] == 0
    assert done == ["java", "keep_classes"]


@pytest.mark.parametrize("part", ["ensure_jars", "java"])
def test_a_missing_part_is_named_and_ends_with_4(part, done, capsys, monkeypatch):
    def missing():
        raise PartMissingError("no such part here")

    monkeypatch.setattr(setup.jars, part, missing)
    code, told = call(capsys)
    assert code == 4
    assert "no such part here" in told
    assert "Traceback" not in told
    assert "keep_classes" not in done
    assert "warm" in done  # what could be prepared is


def test_classes_that_cannot_be_kept_are_said_and_stop_nothing(done, capsys, monkeypatch):
    def full():
        raise OffsiteError("no room on the disk")

    monkeypatch.setattr(setup, "keep_classes", full)
    code, told = call(capsys)
    assert code == 0
    assert "Kafka's classes are not kept: no room on the disk" in told
    assert done[-1] in {"java", "warm"}
