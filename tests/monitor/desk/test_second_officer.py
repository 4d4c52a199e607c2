"""Data fraud takes two officers: what is proposed waits, another confirms or refuses it, and only then is there a decision."""

from __future__ import annotations

import hashlib
import json

import pytest
from sqlalchemy import select
from sqlalchemy import text as sql

from monitor.alarms import acts
from monitor.console.texts import text
from monitor.store.desk_tables import ActionRow, LiveRow
from monitor.store.restored import mark_restored
from rules.decisions import closes
from rules.instants import format_instant
from rules.models import Severity
from rules.records import Decision
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.desk.test_decisions import FRAUD, decide, sent, told

WHY, YES, NO = "two logs of one run, 两份原始记录", "seen on the instrument", "the other log is a copy"


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


@pytest.fixture
def pair(lab):
    """An alarm that only a decision ends, and two officers."""
    lab.apply(one := told(**FRAUD))
    lab.alarm = one.alarm
    with lab.signed_in() as first, lab.signed_in("han.mei", role="lead", language="en") as second:
        yield first, second


def propose(client, alarm, **more):
    body = {"revision": 1, "code": "data-fraud", "reason": WHY} | more
    return client.post(f"/v1/alarms/{alarm}/proposals", json=body, headers={"X-CSRF-Token": client.csrf})


def answer(client, alarm, number, what="confirm", **more):
    body = {"revision": 1, "answer": what, "reason": YES if what == "confirm" else NO} | more
    url = f"/v1/alarms/{alarm}/proposals/{number}/answer"
    return client.post(url, json=body, headers={"X-CSRF-Token": client.csrf})


def acted(lab):
    with lab.store.reading() as session:
        rows = session.scalars(select(ActionRow).order_by(ActionRow.id))
        return [(row.action, row.actor, row.note) for row in rows if row.action != "acknowledge"]


def test_what_one_proposes_decides_nothing_and_what_another_confirms_is_the_decision_of_both(lab, pair):
    first, second = pair
    made = propose(first, lab.alarm)
    assert made.status_code == 200, made.text
    proposal = made.json()["proposal"]
    assert proposal == {
        "proposal": proposal["proposal"], "code": "data-fraud", "officer": "li.lei", "revision": 1,
        "at": format_instant(NOW), "reason": WHY,
    }  # fmt: skip
    assert made.json()["alarm"]["attention"] == "acknowledged"
    assert sent(lab) == []
    assert second.get(f"/v1/alarms/{lab.alarm}").json()["proposal"] == proposal
    lab.clock.ms += 60_000
    done = answer(second, lab.alarm, proposal["proposal"])
    assert done.status_code == 200, done.text
    ((lane, headers, value),) = sent(lab)
    assert (lane, headers["kind"]) == ("offsite.log.v1|SHOP-1", "decision")
    decision = Decision.model_validate_json(value)
    assert (decision.code, decision.officer, decision.second) == ("data-fraud", "li.lei", "han.mei")
    assert (decision.id, decision.version, decision.revision_seen) == (done.json()["decision"], 1, 1)
    assert decision.reason_sha256 == hashlib.sha256(WHY.encode()).hexdigest()
    assert closes(decision) == lab.alarm, "the engine takes it for one of two officers"
    assert acted(lab) == [("propose-data-fraud", "li.lei", WHY), ("decide-data-fraud", "han.mei", YES)]
    told_now = second.get(f"/v1/alarms/{lab.alarm}").json()
    assert told_now["proposal"] is None
    assert told_now["decision"] == {"code": "data-fraud", "officer": "han.mei", "at": format_instant(NOW + 60_000)}
    with lab.store.reading() as session:
        kinds = list(session.scalars(select(LiveRow.kind).order_by(LiveRow.id)))
    assert kinds[-2:] == ["proposed", "decided"]


def test_the_decision_over_a_lot_names_the_lot(lab):
    lab.apply(one := told())
    with lab.signed_in() as first, lab.signed_in("han.mei") as second:
        answer(second, one.alarm, propose(first, one.alarm).json()["proposal"]["proposal"])
    ((_, _, value),) = sent(lab)
    assert json.loads(value)["lot"] == "B-1"


def test_nobody_confirms_his_own_and_who_proposed_may_take_it_back(lab, pair):
    first, second = pair
    number = propose(first, lab.alarm).json()["proposal"]["proposal"]
    refused = answer(first, lab.alarm, number)
    assert (refused.status_code, refused.json()["code"]) == (403, "same_officer")
    back = answer(first, lab.alarm, number, "refuse")
    assert (back.status_code, back.json()["decision"]) == (200, None)
    late = answer(second, lab.alarm, number)
    assert (late.status_code, late.json()["code"]) == (409, "no_such_proposal")
    assert acted(lab) == [("propose-data-fraud", "li.lei", WHY), ("withdraw-data-fraud", "li.lei", NO)]
    assert sent(lab) == []


def test_what_is_refused_leaves_the_alarm_to_any_other_decision_and_is_not_proposed_again_in_the_same_words(lab, pair):
    first, second = pair
    number = propose(first, lab.alarm).json()["proposal"]["proposal"]
    assert answer(second, lab.alarm, number, "refuse").json()["decision"] is None
    assert answer(second, lab.alarm, number, "refuse").status_code == 200, "the same again is one"
    assert answer(second, lab.alarm, number).json()["code"] == "no_such_proposal"
    again = propose(first, lab.alarm)
    assert (again.status_code, again.json()["code"]) == (409, "refused_before")
    assert propose(first, lab.alarm, reason="a third log").status_code == 200
    with lab.store.reading() as session:
        assert acts.count_waiting(session) == 1
    number = propose(first, lab.alarm, reason="a third log").json()["proposal"]["proposal"]
    answer(second, lab.alarm, number, "refuse", reason="no")
    assert decide(second, lab.alarm, code="equipment-fault").status_code == 200
    assert len(sent(lab)) == 1
    assert [one[0] for one in acted(lab)] == [
        "propose-data-fraud", "refuse-data-fraud", "propose-data-fraud", "refuse-data-fraud", "decide-equipment-fault",
    ]  # fmt: skip


def test_while_it_waits_nobody_decides_otherwise_and_nobody_proposes_beside_it(lab, pair):
    first, second = pair
    number = propose(first, lab.alarm).json()["proposal"]["proposal"]
    for client in pair:
        closed = decide(client, lab.alarm, code="false-alarm")
        assert (closed.status_code, closed.json()["code"]) == (409, "proposal_waits")
    beside = propose(second, lab.alarm)
    assert (beside.status_code, beside.json()["code"]) == (409, "proposal_waits")
    assert propose(first, lab.alarm).json()["proposal"]["proposal"] == number, "the same again is one"
    answer(second, lab.alarm, number)
    assert answer(second, lab.alarm, number).json()["decision"] is not None, "the same again is one"
    for late in (propose(first, lab.alarm, reason="more"), decide(second, lab.alarm)):
        assert (late.status_code, late.json()["code"]) == (409, "decision_under_way")
    assert len(sent(lab)) == 1
    assert len(acted(lab)) == 2


def test_an_alarm_that_asks_anew_or_ends_lets_no_proposal_wait(lab):
    lab.apply(one := told(**FRAUD).model_copy(update={"severity": Severity.ORANGE}))
    with lab.signed_in() as first, lab.signed_in("han.mei") as second:
        number = propose(first, one.alarm).json()["proposal"]["proposal"]
        lab.apply(told(2, "stepped", **FRAUD))
        assert second.get("/v1/proposals").json() == {"items": [], "left_out": 0}
        assert propose(first, one.alarm, reason="old").json()["code"] == "asks_anew"
        assert answer(second, one.alarm, number, revision=2).json()["code"] == "no_such_proposal"
        number = propose(first, one.alarm, revision=2).json()["proposal"]["proposal"]
        assert answer(second, one.alarm, number).json()["code"] == "asks_anew", "what the second has not seen"
        assert answer(second, one.alarm, number, revision=3).json()["code"] == "no_such_revision"
        lab.apply(told(3, "retracted", **FRAUD))
        assert answer(second, one.alarm, number, revision=3).json()["code"] == "no_such_proposal"
        assert propose(first, one.alarm, revision=3).json()["code"] == "not_latched"
        assert second.get("/v1/proposals").json()["items"] == []
    assert sent(lab) == []


def test_a_proposal_of_another_alarm_is_none_of_this_one(lab, pair):
    first, second = pair
    lab.apply(other := told())
    number = propose(first, other.alarm).json()["proposal"]["proposal"]
    assert answer(second, lab.alarm, number).json()["code"] == "no_such_proposal"
    assert answer(second, lab.alarm, number + 500).json()["code"] == "no_such_proposal"
    assert answer(second, "0" * 32, number).status_code == 404
    acknowledged = number - 1
    assert answer(second, other.alarm, acknowledged).json()["code"] == "no_such_proposal", "an act of another kind"
    assert sent(lab) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [({"reason": "  "}, 422), ({"reason": "\u200b"}, 422), ({"reason": "x" * 1001}, 422), ({"code": "breach"}, 422), ({"revision": 9}, 409)],
)  # fmt: skip
def test_what_is_no_proposal_is_refused(lab, pair, body, status):
    assert propose(pair[0], lab.alarm, **body).status_code == status
    assert acted(lab) == []


@pytest.mark.parametrize("body", [{"reason": " "}, {"reason": "\u3164"}, {"answer": "perhaps"}, {"revision": 0}])
def test_what_is_no_answer_is_refused(lab, pair, body):
    number = propose(pair[0], lab.alarm).json()["proposal"]["proposal"]
    assert answer(pair[1], lab.alarm, number, **body).status_code == 422
    assert len(acted(lab)) == 1


def test_who_may_not_act_and_a_write_without_the_token_do_nothing(lab, pair):
    first, second = pair
    number = propose(first, lab.alarm).json()["proposal"]["proposal"]
    with lab.signed_in("xiao.li", role="reader") as reader:
        assert propose(reader, lab.alarm).status_code == answer(reader, lab.alarm, number).status_code == 403
        page = parse(reader.get(f"/alarms/{lab.alarm}").text)
        assert WHY in page.one("div", class_="proposal").text
        assert page.one("div", class_="proposal").all("form") == []
    second.csrf = "another"
    assert answer(second, lab.alarm, number).json()["code"] == "csrf"
    assert len(acted(lab)) == 1


def test_too_many_acts_and_a_store_that_waits_for_its_rebuild_confirm_nothing(lab, pair, monkeypatch):
    first, second = pair
    number = propose(first, lab.alarm).json()["proposal"]["proposal"]
    monkeypatch.setattr("monitor.alarms.decide.MAX_ACTS", 1)
    assert answer(second, lab.alarm, number).json()["code"] == "too_many_acts"
    monkeypatch.undo()
    with lab.store.writing() as session:
        mark_restored(session.connection())
    down = answer(second, lab.alarm, number)
    assert (down.status_code, down.json()["code"]) == (503, "not_rebuilt")
    assert len(acted(lab)) == 1
    assert sent(lab) == []


def test_what_waits_is_listed_oldest_first_and_counted_on_every_page(lab, pair, monkeypatch):
    first, second = pair
    lab.apply(other := told())
    propose(first, lab.alarm)
    lab.clock.ms += 1_000
    propose(first, other.alarm)
    items = second.get("/v1/proposals").json()["items"]
    assert [one["alarm"]["alarm"] for one in items] == [lab.alarm, other.alarm]
    assert items[0]["proposal"]["reason"] == WHY
    page = second.get("/proposals").text
    assert page.index(lab.alarm) < page.index(other.alarm)
    for path in ("/", "/proposals", "/deadlines", "/figures"):
        (link,) = [a for a in parse(second.get(path).text).all("a") if a["href"] == "/proposals" and "2" in a.text]
        assert text("nav.proposals", "en") in link.text
    assert second.get("/").text.count(text("proposals.tag", "en")) == 2
    monkeypatch.setattr(acts, "LISTED", 1)
    assert (len(second.get("/v1/proposals").json()["items"]), second.get("/v1/proposals").json()["left_out"]) == (1, 1)
    assert text("alarm.left_out", "en", n=1) in second.get("/proposals").text


def test_what_waits_is_found_by_its_index(lab, pair):
    propose(pair[0], lab.alarm)
    with lab.store.reading() as session:
        waits = acts._waits(select(ActionRow.id)).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in session.execute(sql(f"EXPLAIN QUERY PLAN {waits}")))
    assert "ix_alarm_action_proposed" in plan


@pytest.mark.parametrize("language", ["zh", "en"])
def test_two_officers_do_it_by_pages_without_a_script(lab, language):
    lab.apply(one := told())
    with lab.signed_in(language=language) as first, lab.signed_in("han.mei", language=language) as second:
        assert text("proposals.none", language) in second.get("/proposals").text
        form = parse(first.get(f"/alarms/{one.alarm}").text).one("details", class_="decide").one("form")
        fields = {"csrf": first.csrf, "revision": "1", "code": "data-fraud", "reason": f" {WHY} "}
        assert first.post(form["action"], data=fields).headers["location"] == f"/alarms/{one.alarm}"
        own = parse(first.get(f"/alarms/{one.alarm}").text)
        assert own.all("details", class_="decide") == []
        (button,) = own.one("div", class_="proposal").all("button")
        assert button.text == text("act.withdraw", language)
        assert f"/alarms/{one.alarm}" in second.get("/proposals").text
        box = parse(second.get(f"/alarms/{one.alarm}").text).one("div", class_="proposal")
        assert WHY in box.text
        assert [b["value"] for b in box.all("button")] == ["confirm", "refuse"]
        action = box.one("form")["action"]
        for bad in ({"reason": " \u200b"}, {"answer": "perhaps"}):
            told_ = second.post(
                action, data={"csrf": second.csrf, "revision": "1", "answer": "confirm", "reason": YES} | bad
            )
            assert (told_.status_code, text("refused.no_answer", language) in told_.text) == (422, True)
        mine = first.post(action, data={"csrf": first.csrf, "revision": "1", "answer": "confirm", "reason": YES})
        assert (mine.status_code, text("refused.same_officer", language) in mine.text) == (403, True)
        done = second.post(action, data={"csrf": second.csrf, "revision": "1", "answer": "confirm", "reason": YES})
        assert (done.status_code, done.headers["location"]) == (303, f"/alarms/{one.alarm}")
        page = first.get(f"/alarms/{one.alarm}").text
        for key in ("action.propose-data-fraud", "action.decide-data-fraud", "act.under_way"):
            assert text(key, language) in page
    ((_, _, value),) = sent(lab)
    assert json.loads(value)["second"] == "han.mei"
