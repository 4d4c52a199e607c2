"""An officer closes a latched alarm: what the desk sends to the log, what it refuses, what the page offers."""

from __future__ import annotations

import hashlib
import json

import pytest
from sqlalchemy import select, update

from monitor.console.texts import text
from monitor.store.desk_tables import ActionRow
from monitor.store.restored import mark_restored
from monitor.store.tables import OutboxRow
from rules.changes import Change, ChangeKind, alarm_id
from rules.instants import format_instant
from rules.models import Bilingual, Severity
from rules.records import Decision
from tests.monitor.alarms.changes import PACKS, change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab

START = NOW - 600_000
LOT = "vigilance.moved-after-stop"


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def told(seq=1, kind="raised", *, rule=LOT, stream="lot:B-1", facility="SHOP-1", subject=None, end=None):
    subject = subject or {"lot": "B-1"}
    return Change(
        stream=stream, seq=seq, facility=facility, alarm=alarm_id(rule, facility, subject, START), rule=rule, version="1.0.0",
        packs=PACKS, subject=subject, change=ChangeKind(kind), severity=Severity.RED, stage="live", start=START, end=end,
        at=START + seq, received=START + seq, message=Bilingual(en="moved", zh="仍发货"),
    )  # fmt: skip


FRAUD = {"rule": "data-integrity.revision-conflict", "stream": "SHOP-1", "subject": {"report": "R-1"}}


def decide(client, alarm, **more):
    body = {"revision": 1, "code": "breach", "reason": "stock blocked, 已封存"} | more
    return client.post(f"/v1/alarms/{alarm}/decision", json=body, headers={"X-CSRF-Token": client.csrf})


def sent(lab):
    with lab.store.reading() as session:
        rows = session.scalars(select(OutboxRow).order_by(OutboxRow.id))
        return [(row.lane, dict(json.loads(row.headers)), row.value) for row in rows]


def aged(lab, ms):
    """Let what was decided lie further back."""
    with lab.store.writing() as session:
        session.execute(update(ActionRow).values(at_ms=ActionRow.at_ms - ms))
        session.execute(update(OutboxRow).values(created_ms=OutboxRow.created_ms - ms))


def test_a_decision_on_an_alarm_of_a_lot_goes_to_the_log_of_its_facility_and_names_the_lot(lab):
    lab.apply(one := told())
    with lab.signed_in() as client:
        answer = decide(client, one.alarm)
        assert answer.status_code == 200, answer.text
        assert answer.json()["alarm"]["status"] == "active"  # it ends when the worker says so
        assert answer.json()["alarm"]["attention"] == "acknowledged"
        actions = client.get(f"/v1/alarms/{one.alarm}").json()["actions"]
    ((lane, headers, value),) = sent(lab)
    assert (lane, headers["kind"]) == ("offsite.log.v1|SHOP-1", "decision")
    decision = Decision.model_validate_json(value)
    assert (decision.subject, decision.lot, decision.code, decision.officer) == (
        {"alarm": one.alarm}, "B-1", "breach", "li.lei",
    )  # fmt: skip
    assert (decision.id, decision.version, decision.revision_seen) == (answer.json()["decision"], 1, 1)
    assert decision.reason_sha256 == hashlib.sha256("stock blocked, 已封存".encode()).hexdigest()
    assert [(a["action"], a["note"]) for a in actions] == [
        ("acknowledge", None), ("decide-breach", "stock blocked, 已封存"),
    ]  # fmt: skip


def test_a_latched_alarm_of_a_facility_is_closed_by_the_same_way_and_names_no_lot(lab):
    lab.apply(one := told(**FRAUD))
    with lab.signed_in() as client:
        assert decide(client, one.alarm, code="close-latched").status_code == 200
    ((_, _, value),) = sent(lab)
    assert "lot" not in json.loads(value)


def test_the_same_decision_sent_again_is_one_also_when_the_alarm_has_ended(lab):
    lab.apply(one := told())
    with lab.signed_in() as client:
        first = decide(client, one.alarm).json()["decision"]
        lab.apply(told(2, "cleared", end=NOW))
        assert decide(client, one.alarm).json()["decision"] == first
        other = decide(client, one.alarm, reason="another one")
        assert (other.status_code, other.json()["code"]) == (409, "not_latched")
    assert len(sent(lab)) == 1


def test_what_another_officer_decides_before_the_worker_has_folded_the_first_is_refused_for_a_day_behind_it(lab):
    lab.apply(one := told())
    with lab.signed_in() as first, lab.signed_in("han.mei", language="en") as second:
        assert decide(first, one.alarm).status_code == 200
        for reason in ("a wrong count", "stock blocked, 已封存"):
            answer = decide(second, one.alarm, code="false-alarm", reason=reason)
            assert (answer.status_code, answer.json()["code"]) == (409, "decision_under_way")
        assert decide(first, one.alarm, code="false-alarm").json()["code"] == "decision_under_way"
        assert decide(first, one.alarm).status_code == 200, "the same again is one"
        decision = second.get(f"/v1/alarms/{one.alarm}").json()["decision"]
        assert decision == {"code": "breach", "officer": "li.lei", "at": format_instant(NOW)}
        page = second.get(f"/alarms/{one.alarm}").text
        assert text("act.under_way", "en") in page
        assert parse(page).all("details", class_="decide") == []
        form = second.post(f"/alarms/{one.alarm}/decision",
                           data={"csrf": second.csrf, "revision": "1", "code": "breach", "reason": "x"})  # fmt: skip
        assert (form.status_code, text("refused.decision_under_way", "en") in form.text) == (409, True)
        assert len(sent(lab)) == 1
        aged(lab, 86_400_000)  # sent nowhere: it waits however long that takes
        assert decide(second, one.alarm, code="false-alarm").json()["code"] == "decision_under_way"
        aged(lab, -1)
        with lab.store.writing() as session:
            session.execute(update(OutboxRow).values(sent_ms=NOW + 1))
        assert decide(second, one.alarm, code="false-alarm").json()["code"] == "decision_under_way"
        aged(lab, 1)  # the worker had a day: whatever it made of it, the alarm is not left without a way
        assert second.get(f"/v1/alarms/{one.alarm}").json()["decision"] is None
        assert decide(second, one.alarm, code="false-alarm").status_code == 200
    assert len(sent(lab)) == 2


def test_a_decision_on_an_alarm_that_steps_up_meanwhile_is_under_way_all_the_same(lab):
    lab.apply(one := told().model_copy(update={"severity": Severity.ORANGE}))
    with lab.signed_in() as client:
        assert decide(client, one.alarm).status_code == 200
        lab.apply(told(2, "stepped"))
        answer = decide(client, one.alarm, revision=2, code="false-alarm")
        assert (answer.status_code, answer.json()["code"]) == (409, "decision_under_way")
        lab.apply(told(3, "cleared", end=NOW))
        assert client.get(f"/v1/alarms/{one.alarm}").json()["decision"] is None
        assert decide(client, one.alarm, revision=3, code="false-alarm").json()["code"] == "not_latched"
    assert len(sent(lab)) == 1


def test_a_blank_note_of_an_acknowledgement_is_none_by_api_and_by_form(lab):
    lab.apply(one := told())
    with lab.signed_in() as client:
        for note in ("   ", "\u200b", "\u3000\n"):
            body = {"revision": 1, "note": note}
            url, head = f"/v1/alarms/{one.alarm}/acknowledge", {"X-CSRF-Token": client.csrf}
            assert client.post(url, json=body, headers=head).status_code == 200
            form = {"csrf": client.csrf, "revision": "1", "note": note}
            assert client.post(f"/alarms/{one.alarm}/acknowledge", data=form).status_code == 303
        assert [a["note"] for a in client.get(f"/v1/alarms/{one.alarm}").json()["actions"]] == [None]


def test_an_alarm_that_asks_anew_since_is_not_closed_by_who_saw_it_before(lab):
    lab.apply(one := told().model_copy(update={"severity": Severity.ORANGE}))
    lab.apply(told(2, "stepped"))
    with lab.signed_in() as client:
        answer = decide(client, one.alarm)
        assert (answer.status_code, answer.json()["code"]) == (409, "asks_anew")
        assert sent(lab) == []
        assert decide(client, one.alarm, revision=2).status_code == 200
    assert len(sent(lab)) == 1


def test_what_ends_by_itself_or_was_taken_back_is_not_closed(lab):
    own = change(1, start=START)
    balance = told(rule="cross-check.sold-over-produced")
    lab.apply(own, balance, told(2), told(3, "retracted"))
    with lab.signed_in() as client:
        for alarm, revision in ((own.alarm, 1), (balance.alarm, 1), (told().alarm, 3)):
            answer = decide(client, alarm, revision=revision)
            assert (answer.status_code, answer.json()["code"]) == (409, "not_latched")
    assert sent(lab) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"code": "data-fraud"}, 422, "contract"),  # by two officers: it is proposed
        ({"code": "grade-signed"}, 422, "contract"),
        ({"reason": ""}, 422, "contract"),
        ({"reason": "   "}, 422, "contract"),
        ({"reason": "\u3000\n\t\u00a0"}, 422, "contract"),
        ({"reason": "\u200b\u2800\u3164\u2060"}, 422, "contract"),  # seen by nobody
        ({"reason": "x" * 1001}, 422, "contract"),
        ({"revision": 2}, 409, "no_such_revision"),
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_is_sent(lab, body, status, code):
    lab.apply(one := told())
    with lab.signed_in() as client:
        answer = decide(client, one.alarm, **body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert decide(client, "0" * 32).json()["code"] == "no_such_alarm"
    assert sent(lab) == []


def test_who_may_not_act_decides_nothing_and_sees_no_form(lab):
    lab.apply(one := told())
    with lab.signed_in(role="reader") as client:
        assert decide(client, one.alarm).status_code == 403
        assert parse(client.get(f"/alarms/{one.alarm}").text).all("details", class_="decide") == []
    assert sent(lab) == []


def test_too_many_acts_and_a_store_that_waits_for_its_rebuild_decide_nothing(lab, monkeypatch):
    lab.apply(one := told())
    with lab.signed_in() as client:
        monkeypatch.setattr("monitor.alarms.decide.MAX_ACTS", 0)
        assert decide(client, one.alarm).json()["code"] == "too_many_acts"
        monkeypatch.undo()
        with lab.store.writing() as session:
            mark_restored(session.connection())
        answer = decide(client, one.alarm)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_rebuilt")
        assert client.get(f"/v1/alarms/{one.alarm}").json()["actions"] == []
    assert sent(lab) == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_of_a_latched_alarm_offers_the_form_and_sends_it_without_a_script(lab, language):
    lab.apply(one := told(), other := change(1, start=START))
    with lab.signed_in(language=language) as client:
        assert parse(client.get(f"/alarms/{other.alarm}").text).all("details", class_="decide") == []
        form = parse(client.get(f"/alarms/{one.alarm}").text).one("details", class_="decide").one("form")
        codes = [option["value"] for option in form.all("option")]
        assert codes == [
            "false-alarm",
            "equipment-fault",
            "marked-state",
            "breach",
            "duplicate",
            "close-latched",
            "data-fraud",
        ]
        assert text("act.takes_two", language) in form.text
        assert text("code.breach", language) in form.text
        fields = {"csrf": client.csrf, "revision": "1", "code": "false-alarm", "reason": " a wrong\x00 count "}
        empty = client.post(form["action"], data=fields | {"reason": " \x00 "})
        assert (empty.status_code, text("refused.no_reason", language) in empty.text) == (422, True)
        unseen = client.post(form["action"], data=fields | {"reason": "\u200b\u2800 "})
        assert (unseen.status_code, text("refused.no_reason", language) in unseen.text) == (422, True)
        assert client.post(form["action"], data=fields | {"code": "grade-signed"}).status_code == 422
        assert client.post(form["action"], data=fields | {"revision": "x"}).status_code == 409
        answer = client.post(form["action"], data=fields)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/alarms/{one.alarm}")
        page = client.get(f"/alarms/{one.alarm}").text
        assert text("action.decide-false-alarm", language) in page
        assert "a wrong  count" in page
    assert len(sent(lab)) == 1
