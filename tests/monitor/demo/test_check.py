"""Every check of the demo fails when what it looks at is wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, update

from monitor.alarms import operators
from monitor.alarms.projection import apply_batch
from monitor.demo import check
from monitor.register.files import read_register
from monitor.simulate.run import REGISTER
from monitor.simulate.script import STORY, read_script
from monitor.store.desk_tables import ChangeRow
from rules.canonical import canonical_bytes
from tests.monitor.alarms.changes import change, incoming

LIFE = [change(1), change(2, "cleared", end=1_500_000)]


@pytest.fixture
def stage(sqlite_store, tmp_path, monkeypatch):
    with sqlite_store.writing() as session:
        apply_batch(session, incoming(LIFE), 5_000_000)
    answers = {
        "log": "",
        "evaluate": "\n".join(canonical_bytes(c.to_json(source=False)).decode() for c in LIFE) + "\n",
        "archive": "",
    }
    codes = {}

    def run(_stage, *arguments):
        name = arguments[0]
        return SimpleNamespace(stdout=answers[name], stderr="why", returncode=codes.get(name, 0))

    monkeypatch.setattr(check, "_run", run)
    monkeypatch.setattr(check, "CATCH_UP_S", 0.3)
    return SimpleNamespace(
        manager=SimpleNamespace(restarts=dict),
        store=sqlite_store,
        folder=tmp_path,
        fallen=lambda: None,
        answers=answers,
        codes=codes,
    )


class Officer:
    """What the API would say of one excursion that went well."""

    def __init__(self):
        self.row = {
            "alarm": "a" * 32, "rule": check.EXCURSION, "raised": "2026-01-01T00:00:00.000Z",
            "changed": "2026-01-01T00:01:00.000Z", "state": "normal",
        }  # fmt: skip
        self.history = [{"change": "raised"}, {"change": "cleared"}]
        self.actions = [{"action": "acknowledge", "at": "2026-01-01T00:00:30.000Z"}]
        self.series = {"time": [1, 2, 3], "value": [5.0, 9.0, None], "lines": [{"name": "high", "value": 8.0}]}
        self.missing, self.text = [], '<table class="readings"><table>'

    def alarms(self, **_):
        return [self.row] if self.row else []

    def detail(self, _):
        return {"history": self.history, "actions": self.actions}

    def chart(self, _):
        return {
            "series": [self.series] if self.series else [],
            "start_ms": 2,
            "end_ms": 3,
            "to_ms": 9,
            "missing": self.missing,
        }

    def page(self, _):
        return self.text


def wrong(finding):
    return finding[1]


def test_a_good_run_passes_every_check(stage):
    officer = Officer()
    for finding in (
        check.acknowledged(officer), check.chart(officer), check.pages(officer), check.replay(stage), check.archive(stage),
        check.health(stage),
    ):  # fmt: skip
        assert finding[1] == [], finding


@pytest.mark.parametrize(
    "spoil",
    [
        lambda o: setattr(o, "row", None), lambda o: o.history.pop(), lambda o: o.history.reverse(), lambda o: o.actions.clear(),
        lambda o: o.actions[0].update(at="2026-01-01T00:02:00.000Z"), lambda o: o.row.update(state="unacknowledged"),
    ],
)  # fmt: skip
def test_an_excursion_that_was_not_raised_acknowledged_and_cleared_is_told(spoil):
    officer = Officer()
    spoil(officer)
    assert wrong(check.acknowledged(officer))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda o: o.series.update(value=[5.0, 7.9, 9.0]), lambda o: o.series.update(lines=[]),
        lambda o: o.missing.append({"code": "damaged"}), lambda o: setattr(o, "series", None),
    ],
)  # fmt: skip
def test_a_chart_without_the_excursion_is_told(spoil):
    officer = Officer()
    spoil(officer)
    assert wrong(check.chart(officer))


def test_a_page_without_a_table_is_told():
    officer = Officer()
    officer.text = "<p>nothing</p>"
    assert len(wrong(check.pages(officer))) == 2


@pytest.mark.parametrize("spoil", ["missing", "differs", "invented", "empty"])
def test_a_replay_that_differs_is_told_change_by_change(stage, spoil):
    with stage.store.writing() as session:
        if spoil == "missing":
            session.execute(delete(ChangeRow).where(ChangeRow.seq == 2))
        elif spoil == "differs":
            body = LIFE[1].model_copy(update={"end": 1_500_001}).to_json(source=False)
            session.execute(update(ChangeRow).where(ChangeRow.seq == 2).values(body=canonical_bytes(body).decode()))
    if spoil == "invented":
        lines = stage.answers["evaluate"].splitlines()
        stage.answers["evaluate"] = lines[1] + "\n"
    if spoil == "empty":
        stage.answers["evaluate"] = ""
    assert len(wrong(check.replay(stage))) == 1


def test_a_command_that_fails_is_no_silent_pass(stage):
    stage.codes["evaluate"] = 3
    with pytest.raises(RuntimeError, match="evaluate"):
        check.replay(stage)
    stage.codes["archive"] = 1
    assert wrong(check.archive(stage)) == ["why"]


def test_what_comes_after_the_dump_is_no_difference(stage):
    with stage.store.writing() as session:
        apply_batch(session, incoming([change(3)]), 6_000_000)
    assert wrong(check.replay(stage)) == []


def test_a_fallen_process_or_an_operators_alarm_is_told(stage):
    with stage.store.writing() as session:
        operators.opened(session, "stream-gap", "A1", "change 3 is missing", 1)
    assert wrong(check.health(stage)) == ["stream-gap A1: change 3 is missing"]
    stage.fallen = lambda: "worker ended with 70"
    stage.manager.restarts = lambda: {"desk": 2}
    assert wrong(check.health(stage))[:2] == ["worker ended with 70", "desk was started again 2 times"]


def test_the_story_is_compared_with_the_script(stage):
    script = read_script(STORY, [entry.logged() for entry in read_register(REGISTER).facilities])
    texts = wrong(check.story(stage, script, 0, 120_000))
    assert any(text.startswith("missing: cold-chain.store-out at BJ-WHS-0021") for text in texts)
    assert json.dumps(texts)
