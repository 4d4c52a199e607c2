"""Changes without a filing: against a plain oracle for any log, and by hand in hours."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from monitor.console.conditions import condition
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.lint import lint
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.rule import ChangeRule, is_latched
from tests.examples import examples
from tests.rules.byhand import BUNDLE, HandLog, ms, since
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.filings import RULE, Oracle
from tests.rules.test_engine_properties import plain

if TYPE_CHECKING:
    from pathlib import Path

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
OWN = Bundle.of(default_bundle().only({RULE}).rules, ())
KINDS = Kinds(OWN, FACILITY, (RULE,), BEGIN, DAY)
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def facility(random):
    devices = [{"id": name, "area": "A1"} for name in ("D1", "D2") if random.random() < 0.8]
    sensor = {"tag": "T1", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s"}
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [{"id": "A1", "kind": "cold-room"}],
            "sensors": [sensor], "devices": devices,
        }
    )  # fmt: skip


def day(at):
    """The day in Beijing of an instant, ms."""
    return str((datetime.fromtimestamp(at / 1000, UTC) + timedelta(hours=8)).date())


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.said, self.version = random, BEGIN, [], [], 0
        self.register()

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def register(self):
        self.version += 1
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=facility(self.random)))

    def event(self):
        random = self.random
        body = {
            "stream": "device",
            "source": "PLC",
            "time": self.now - random.choice([0, 0, MINUTE, HOUR, 2 * DAY, -HOUR]),
        }
        if random.random() < 0.6:
            value = random.choice([5, 5.0, 6, 6.5, "low"])
            inside = {"set_point": value} if random.random() < 0.9 else {"other": 1}
            point = {"point": "T1"} if random.random() < 0.6 else {}
            body |= {"type": "config", "fields": {"hash": "h", "fields": inside} | point}
            body |= {} if point else {"device": random.choice(["D1", "D2"])}
        else:
            body |= {"type": "replacement", "device": random.choice(["D1", "D2", "D9"])}
            body["fields"] = {"old": random.choice(["a", "b"]), "new": random.choice(["b", "c"])}
        return Event.model_validate(body)

    def events(self):
        found = [self.event() for _ in range(self.random.randint(1, 3))]
        if self.said and self.random.random() < 0.15:
            found.append(self.random.choice(self.said))
        self.said += found
        self.add(Kind.EVENTS, Events(batch=f"e{len(self.log)}", events=found))

    def report(self):
        random = self.random
        filed = self.now - random.choice([0, HOUR, DAY, 3 * DAY])
        body = {
            "filing_id": "F", "class": random.choice(["major", "moderate", "moderate", "minor"]),
            "subject": random.choice(["set-point", "set-point", "equipment", "equipment", "site"]),
            "asset": random.choice(["T1", "D1", "D2", "A1", "X"]), "old": 5, "new": random.choice([5, 6, 6.5, "low"]),
            "filed_at": format_instant(filed), "in_force_from": day(self.now + random.choice([-400, -2, -1, 0, 1, 5]) * DAY),
        }  # fmt: skip
        if random.random() < 0.5:
            body["approved_at"] = format_instant(filed + random.choice([0, HOUR]))
        revision = random.choice([1, 1, 2, 3])
        whole = {
            "type": "change-filing",
            "id": f"R{random.randint(1, 5)}",
            "revision": revision,
            "sent": self.now,
            "fields": body,
        }
        self.add(Kind.REPORT, Report.model_validate(whole | ({"reason": "more"} if revision > 1 else {})))

    def step(self):
        random = self.random
        self.now += random.choice([1, MINUTE, HOUR, 5 * HOUR, DAY])
        what = random.random()
        if what < 0.55:
            self.events()
        elif what < 0.88:
            self.report()
        elif what < 0.94:
            self.register()
        else:
            self.add(Kind.TICK, Tick(by="t", role="worker", now=self.now))


def log_of(seed):
    drawn = Drawn(Random(seed))  # noqa: S311 - a log, no secret
    for _ in range(drawn.random.randint(5, 35)):
        drawn.step()
    return drawn.log


LOGS = st.builds(log_of, st.integers(0, 2**32))


@given(LOGS)
@QUICK
def test_engine_and_oracle_agree(log):
    got = [{n: v for n, v in one.items() if n not in ("seq", "by")} for one in plain(KINDS.run(log, KINDS.until(log)))]
    wanted = Oracle().run(log)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(LOGS, st.lists(st.sampled_from([HOUR, 7 * HOUR, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_random_logs_reach_what_is_asked_of_them():
    told = Counter(c.change.value for seed in range(300) for c in KINDS.run(log_of(seed), None, Engine(OWN)))
    assert all(told[kind] > 15 for kind in ("raised", "amended", "cleared")), told


def config(hand: HandLog, at: float, value: object, **more: Any) -> HandLog:
    body = {"stream": "device", "type": "config", "time": ms(at), "source": "PLC"}
    body["fields"] = {"point": "T1", "hash": "h", "fields": {"set_point": value}} | more
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [body]})


def told(hand: HandLog) -> list[tuple[Any, ...]]:
    found = [c for c in hand.changes_behind() if c.rule == RULE]
    return [(c.change.value, c.subject["asset"], since(c.start), since(c.received)) for c in found]


def test_a_configuration_that_comes_late_becomes_the_base_and_decides_again() -> None:
    hand = config(config(HandLog().register(0), 20, 6), 30, 6)
    assert told(hand) == []
    late = {
        "stream": "device",
        "type": "config",
        "time": ms(10),
        "source": "PLC",
        "fields": {"point": "T1", "hash": "h", "fields": {"set_point": 5}},
    }
    hand.line(40, "events", {"batch": "late", "events": [late]})
    assert told(hand) == [("raised", "T1", 20, 40)]


@pytest.mark.parametrize("value", ["x" * 200, {"a": list(range(80))}])
def test_a_set_point_that_is_too_long_says_too_little(value: object) -> None:
    hand = config(config(HandLog().register(0), 10, 5), 20, value)
    assert told(hand) == []
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    assert engine.counters(0, hand.facility)["ledger_unknown"] == 1


def test_explained() -> None:
    hand = config(config(HandLog().register(0), 10, 5), 20, 6)
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(30))
    assert one.agrees
    assert all("T1" in "\n".join(rare_lines(one, lang)) for lang in ("en", "zh"))
    (raised,) = [c for c in hand.changes_behind() if c.rule == RULE]
    assert [(leaf.expr, leaf.left, leaf.right) for leaf in raised.evidence.leaves] == [
        ("filing of the set-point of T1", None, format_instant(ms(20))), ("set-point of T1", 6.0, 5.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(5, 5.0), (5.0, 5), ({"low": 2.0}, {"low": 2}), ([1.0], [1])])
def test_one_number_is_one_set_point_however_it_is_written(first: object, second: object) -> None:
    assert told(config(config(HandLog().register(0), 10, first), 20, second)) == []


@pytest.mark.parametrize(("first", "second"), [(1, True), (5, "5"), (5, 5.0000001), (2**53 + 1, float(2**53))])
def test_what_is_another_value_is_another_set_point(first: object, second: object) -> None:
    assert told(config(config(HandLog().register(0), 10, first), 20, second)) == [("raised", "T1", 20, 20)]


def filed(hand: HandLog, at: float, new: float, *, name: str = "C-1") -> HandLog:
    said = {"filing_id": "F", "class": "moderate", "subject": "set-point", "asset": "T1", "old": 5, "new": new,
            "filed_at": format_instant(ms(at)), "in_force_from": "2026-02-01"}  # fmt: skip
    return hand.line(at, "report", {"type": "change-filing", "id": name, "revision": 1, "sent": ms(at), "fields": said})


def test_a_set_point_that_is_put_back_ends_it_and_is_no_change_itself() -> None:
    hand = config(config(config(HandLog().register(0), 10, 5), 20, 6), 30, 5)
    assert told(hand) == [("raised", "T1", 20, 20), ("cleared", "T1", 20, 30)]
    assert told(config(hand, 40, 6))[2:] == [("raised", "T1", 40, 40)], "changed again, it is one again"
    assert told(filed(hand, 50, 6))[3:] == [("cleared", "T1", 40, 50)]


def test_it_is_put_back_to_what_was_approved_last_and_to_nothing_else() -> None:
    hand = filed(config(HandLog().register(0), 10, 5), 15, 6)
    for at, value in ((20, 6), (30, 7), (40, 8)):
        config(hand, at, value)
    assert told(hand) == [("raised", "T1", 30, 30), ("amended", "T1", 30, 40)]
    assert told(config(hand, 50, 5))[2:] == [("amended", "T1", 30, 50)], "that was before the filing"
    assert told(config(hand, 60, 6))[3:] == [("cleared", "T1", 30, 60)]


def test_the_evidence_says_when_a_filing_was_approved_and_from_when_on_it_holds() -> None:
    hand = filed(config(config(HandLog().register(0), 10, 5), 20, 6), 30, 6)
    last = [c for c in hand.changes_behind() if c.rule == RULE][-1]
    leaf = last.evidence.leaves[-1]
    assert (leaf.expr, leaf.left, leaf.op) == ("moderate filing C-1/1", format_instant(ms(30)), "in force")
    assert condition(leaf.expr, "zh") == "中等变更备案 C-1/1"


def test_as_it_ships() -> None:
    rule = BUNDLE.rule(RULE)
    assert isinstance(rule, ChangeRule)
    assert (rule.stage, rule.severity.base.value) == ("live", "orange")
    assert not is_latched(rule, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("report: change-filing", "report: deviation", ": report: "),
        ("within: 366d", "within: 1h", ": within: "),
        ("set_point: {stream: device", "set_point: {stream: lab", "change: set_point/stream: what is configured"),
        ("type: replacement}", "type: config}", "change: equipment: what configures and what replaces"),
    ],
)
def test_lint(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (SHIPPED / "cross-check" / "change-unfiled.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "cross-check").mkdir()
    (tmp_path / "cross-check" / "change-unfiled.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [str(fault) for fault in lint([tmp_path])]
    assert any(said in one for one in found), found
