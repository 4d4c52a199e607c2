"""An officer decides on an alarm that a product's facts made: the desk names the product, and the alarm of that lot alone ends (ADR 0075, 0090)."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from monitor.alarms.decide import lot_of
from monitor.store.desk_tables import AlarmRow
from monitor.store.tables import OutboxRow
from rules.engine import Engine
from rules.lots.fold import LotFold
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Kind, LogRecord
from tests.monitor.desk.lab import DeskLab
from tests.rules.tracelogs import BEGIN, DAY, HOUR, batch, case, moved

RATIO = "vigilance.lot-ratio"
RULES = Bundle.of([default_bundle().rule(RATIO).model_copy(update={"stage": "live"})], ())
LOG = [
    batch("b-1", [moved("sold", 0, f"L-{i}", 10, product="P-1") for i in (1, 2)], HOUR, "SHOP-1", 1),
    batch("b-2", [moved("sold", 0, "L-3", 980, product="P-1")], HOUR, "SHOP-2", 2),
    case("R-1", ["L-1", "L-2"], 2 * DAY, known=DAY, offset=3),
    case("R-2", ["L-1", "L-2"], 3 * DAY, known=2 * DAY, firm="HOSP-2", offset=4),
]


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


class Both:
    """Both folds, one behind the other."""

    def __init__(self):
        self.engine, self.lots = Engine(Bundle.of((), ()), keep_facts=True), LotFold(RULES)

    def fold(self, *records):
        found = []
        for record in records:
            self.engine.fold(record)
            for fact in self.engine.take_facts(record.partition):
                found += self.lots.fold(0, fact, None)
        return found


def sent(lab):
    with lab.store.reading() as session:
        return [(row.lane, row.value) for row in session.scalars(select(OutboxRow).order_by(OutboxRow.id))]


def ends(lab):
    with lab.store.reading() as session:
        return {row.id: row.end_ms for row in session.scalars(select(AlarmRow))}


def test_the_decision_names_the_product_reaches_it_by_the_log_and_ends_the_alarm_of_that_lot_alone(lab):
    folds = Both()
    one, other = folds.fold(*LOG)
    assert (one.stream, one.subject, other.subject) == ("product:P-1", {"lot": "L-1"}, {"lot": "L-2"})
    lab.apply(one, other)
    with lab.signed_in() as client:
        assert "L-1" in client.get(f"/alarms/{one.alarm}").text
        body = {"revision": 1, "code": "breach", "reason": "stock blocked"}
        answer = client.post(f"/v1/alarms/{one.alarm}/decision", json=body, headers={"X-CSRF-Token": client.csrf})
        assert answer.status_code == 200, answer.text
        ((lane, value),) = sent(lab)
        decision = Decision.model_validate_json(value)
        assert (lane, decision.lot, decision.subject) == (
            "offsite.log.v1|HOSP-2", "product P-1", {"alarm": one.alarm},
        )  # fmt: skip
        changes = folds.fold(LogRecord(0, 9, BEGIN + 4 * DAY, Kind.DECISION, "HOSP-2", decision))
        assert [(change.change, change.alarm) for change in changes] == [("cleared", one.alarm)]
        lab.apply(*changes)
        assert ends(lab) == {one.alarm: BEGIN + 4 * DAY, other.alarm: None}
        assert client.get(f"/v1/alarms/{one.alarm}").json()["alarm"]["status"] == "cleared"
        again = client.post(
            f"/v1/alarms/{one.alarm}/decision", json=body | {"reason": "other"}, headers={"X-CSRF-Token": client.csrf}
        )
        assert (again.status_code, again.json()["code"]) == (409, "not_latched")


def test_the_desk_says_from_which_topic_it_is_and_shows_its_evidence_in_chinese(lab):
    lab.apply(*Both().fold(*LOG))
    with lab.store.reading() as session:
        (alarm,) = session.scalars(select(AlarmRow.id).where(AlarmRow.stream == "product:P-1").limit(1))
    with lab.signed_in() as client:
        page = client.get(f"/alarms/{alarm}").text
    assert "超过" in page
    assert "cases within" not in page.split("<pre", maxsplit=1)[0]
    assert "倍（该药品 365d 内 2 例" in page


@pytest.mark.parametrize(
    ("stream", "lot"),
    [("product:P-1", "product P-1"), ("lot:product", "product"), ("lot:L-1", "L-1"), ("SHOP-1", None)],
)
def test_a_stream_names_a_lot_a_product_or_none(stream, lot):
    assert lot_of(stream) == lot
    body = {
        "id": "D-1", "version": 1, "subject": {"alarm": "0" * 32}, "lot": lot, "code": "breach", "officer": "li.lei",
        "revision_seen": 1, "reason_sha256": "0" * 64,
    }  # fmt: skip
    assert Decision.model_validate(body).lot == lot
    assert Decision.model_validate_json(json.dumps(body)).lot == lot
