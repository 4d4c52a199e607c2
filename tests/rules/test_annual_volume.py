"""Annual reports against what was produced (kind `annual`, ADR 0080): engine, plain oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from random import Random
from time import process_time

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.errors import Fault
from rules.ledger import annual, entry, room
from rules.ledgersound import ledger_faults
from rules.pack import Bundle, default_bundle
from rules.rare import store
from rules.rare.speak import Now
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from tests.examples import examples
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.volumes import DAY, RULE, Oracle, begin_of, year_at
from tests.rules.test_engine_properties import plain

FACILITY, HOUR = "TEST-0001", 3_600_000
BUNDLE = Bundle.of(default_bundle().only({RULE}).rules, ())
BEGIN = begin_of(2025) - 5 * DAY
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
ODD = [1.7e308, 1e-10]
"""Amounts that are not added up."""
KINDS = Kinds(BUNDLE, FACILITY, (RULE,), BEGIN, 40 * DAY)


def register():
    facts = {
        "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
        "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [], "sensors": [],
    }  # fmt: skip
    return RegisterRecord(version=1, facility=Facility.model_validate(facts))


def made(at, lot, quantity=10, product="P", **more):
    fields = {"lot": lot, "product": product, "quantity": quantity} | more
    whole = {"stream": "trace", "type": "produced", "time": at, "source": "ERP", "fields": fields}
    return Event.model_validate(whole)


def report(at, rows, revision=1, name="Y", year=2025):
    """Return a report; rows are (product, batches, volume)."""
    products = [{"product": p, "batches": b, "volume": v, "unit": "vial"} for p, b, v in rows]
    fields = {"year": year, "products": products, "changes": [], "deviations": 0, "recalls": 0, "figures": {}}
    return Report.model_validate(
        {"type": "annual-report", "id": name, "revision": revision, "sent": at, "fields": fields}
        | ({"reason": "lots"} if revision > 1 else {})
    )


def log(seed):
    """Return a random log over two years: lots made, told of late or twice or spoilt; reports nearly right, corrected, of another year.

    No more reports than are kept whole.
    """
    random, odd = Random(seed), Random(~seed)  # noqa: S311 - a log, no secret
    beyond = odd.choice([0, 0, 0, 0, 0.2])
    now = BEGIN + random.choice([0, 0, 0, 5 * DAY - 1, 6 * DAY - 1, 6 * DAY])
    found = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, register())]
    said, revisions, free = [], Counter(), 0
    for _ in range(random.randint(6, 30)):
        if random.random() < 0.7:
            at = max(BEGIN, now - random.choice([0, 0, 1, HOUR, DAY, 40 * DAY, 200 * DAY]))
            many = [
                made(at - i, f"L{random.randint(1, 6)}", random.choice([0, 1, 50, 49, 0.1]), random.choice("PPQ"))
                for i in range(random.randint(1, 4))
            ]
            if random.random() < (0.15 if now > begin_of(2026) else 0.02):
                spoilt = random.choice(
                    [{"product": None}, {"lot": ""}, {"quantity": odd.choice(["7", *ODD])}, {"quantity": True}]
                )
                many[-1] = many[-1].model_copy(update={"fields": many[-1].fields | spoilt})
            again = [random.choice(said)] if said and random.random() < 0.2 else []
            said += many
            found.append(
                LogRecord(
                    0, len(found), now, Kind.EVENTS, FACILITY, Events(batch=f"e{len(found)}", events=many + again)
                )
            )
        reports = sum(isinstance(one.payload, Report) for one in found)
        if reports < annual.REPORTS and (now > begin_of(2025) + 280 * DAY or random.random() < 0.05):
            year, rows = random.choice([2024, *[2025] * 6, random.choice([2018, 2020, 2025, 2026, 2028])]), []
            for product in "PQ":
                mine = [
                    e
                    for e in {e.model_dump_json(): e for e in said}.values()
                    if year_at(e.time) == year and e.fields["product"] == product
                ]
                good = [
                    e for e in mine if isinstance(e.fields["quantity"], float | int) and e.fields["quantity"] not in ODD
                ]
                volume = sum(e.fields["quantity"] for e in good) * random.choice([1, 1, 1, 0.98, 1.02, 0.97, 1.03])
                batches = len({e.fields["lot"] for e in good if e.fields["quantity"]})
                volume = odd.choice(ODD) if odd.random() < beyond else round(volume, 3)
                rows.append((product, max(0, batches + random.choice([0, 0, 0, 0, 1, -1])), volume))
            name = random.choice(["Y", "Y", "Y", "Z"])
            revisions[name] += random.choice([1, 1, 2])
            old = free if free and random.random() < 0.1 and name == "Y" else 0
            free = revisions["Y"] - 1 if name == "Y" and revisions["Y"] not in (1, free + 1) else 0 if old else free
            payload = report(now, rows, old or revisions[name], name, year)
            found.append(LogRecord(0, len(found), now, Kind.REPORT, FACILITY, payload))
        if random.random() < 0.1:
            found.append(LogRecord(0, len(found), now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        now += random.choice([0, 1, HOUR, 10 * DAY, 20 * DAY, 30 * DAY, 60 * DAY, 90 * DAY, 20 * DAY, 30 * DAY])
        if random.random() < 0.02:
            now += 70 * DAY
    taken = set()
    kept = []
    for record in found:  # what has no number of its own is a conflict, and nothing of this rule's
        key = (record.payload.id, record.payload.revision) if isinstance(record.payload, Report) else None
        if key is None or key not in taken:
            kept.append(record)
        taken.add(key)
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(kept)]


LOGS = st.builds(log, st.integers(0, 2**32))


@given(LOGS)
@QUICK
def test_engine_and_oracle_agree(drawn):
    changes = KINDS.run(drawn, KINDS.until(drawn))
    got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
    wanted = Oracle().run(drawn, KINDS.until(drawn))
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarted(drawn, data.draw(st.integers(1, len(drawn))))


@given(LOGS, st.lists(st.sampled_from([HOUR, DAY, 7 * DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(drawn, distances):
    KINDS.splits_change_nothing(drawn, distances)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(drawn):
    KINDS.explained(drawn)


def test_random_logs_reach_what_is_asked_of_them():
    told, late = Counter(), 0
    for seed in range(200):
        changes = KINDS.run(log(seed), None, Engine(BUNDLE))
        told.update(c.change.value for c in changes)
        late += sum(c.late for c in changes)
    assert all(told[kind] > 20 for kind in ("raised", "amended", "cleared")), told
    assert told["unknown"] > 1, told
    assert late > 5


def folded(payloads):
    """Fold (receipt, events or a report) behind the register; returns engine and changes."""
    engine, changes = Engine(BUNDLE), []
    for i, (received, payload) in enumerate([(BEGIN, register()), *payloads]):
        kind = Kind.EVENTS if isinstance(payload, Events) else Kind.REPORT if i else Kind.REGISTER
        changes += engine.fold(LogRecord(0, i, received, kind, FACILITY, payload))
    return engine, changes


def test_a_year_of_more_lots_than_facts_is_added_up_whole(monkeypatch):
    """Sixteen facts are room for what leaves as a sum; what comes again is known, also with another batch, and late is no matter."""
    monkeypatch.setattr(store, "MAX_FACTS", 16)
    begin, over = begin_of(2025), begin_of(2026) + DAY
    every = [
        (begin + i * DAY, Events(batch=f"e{i}", events=[made(begin + i * DAY, f"L-{i // 2}")])) for i in range(200)
    ]
    beats = [(begin + d * DAY, Events(batch=f"b{d}", events=[made(begin + d * DAY, f"M-{d}")])) for d in (270, 340)]
    late = [(begin + 341 * DAY, Events(batch="late", events=[made(begin, "L-new"), made(begin + DAY, "L-0")]))]
    again = [(begin + 342 * DAY + i, Events(batch=f"a{i}", events=one.events)) for i, (_, one) in enumerate(every)]
    told = [(over, report(over, [("P", 103, 2030)]))]
    engine, changes = folded([*every, *beats, *late, *again, *told])
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    made_up = annual.tally_of(annual.entries_of(case.facts)).products["P"]
    assert len(case.facts) <= 16
    assert (made_up.batches, made_up.volume) == (103, 2030)
    assert changes == []


def test_reports_that_were_replaced_are_kept_as_whether_they_were_wrong(monkeypatch):
    monkeypatch.setattr(store, "MAX_FACTS", 4)
    over = begin_of(2026) + DAY
    quarters = [begin_of(2025) + d * DAY for d in (0, 85, 170, 255, 340)]
    events = [(at, Events(batch=f"e{i}", events=[made(at, f"L-{i}")])) for i, at in enumerate(quarters)]
    reports = [(over + i, report(over, [("P", 5, 90 - i)], i + 1)) for i in range(annual.REPORTS + 2)]
    engine, changes = folded([*events, *reports])
    changes += engine.advance(0, over + DAY)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) <= 4
    assert changes[0].change.value == "raised"
    assert {c.change.value for c in changes[1:]} == {"amended"}
    assert changes[0].start == over


def test_products_beyond_what_is_kept_are_not_judged(monkeypatch):
    monkeypatch.setattr(annual, "PRODUCTS", 2)
    monkeypatch.setattr(store, "MAX_FACTS", 2)
    over = begin_of(2026) + DAY
    quarters = [begin_of(2025) + d * DAY for d in (0, 85, 170, 255, 340)]
    events = [(at, Events(batch=f"e{i}", events=[made(at, f"L-{i}", 10, f"P{i}")])) for i, at in enumerate(quarters)]
    _, changes = folded([*events, (over, report(over, [("P0", 1, 10), ("P1", 1, 10), ("P2", 7, 70)]))])
    assert changes == []
    engine, _ = folded([*events, (over, report(over, [("P0", 2, 10), ("P1", 1, 10), ("P2", 7, 70)]))])
    assert [c.change.value for c in engine.advance(0, over + 1)] == ["raised"]


def test_events_and_reports_of_years_beyond_all_are_none_of_its():
    at = begin_of(2099)
    assert annual.met(BUNDLE.rule(RULE), made(at, "L-1"), Now(at, at)) == annual.Met(None, "")
    _, changes = folded([(BEGIN + 1, report(BEGIN, [("P", 1, 1)], year=2099))])
    assert changes == []


def test_a_number_of_batches_counts_from_so_many_on():
    rule, told = BUNDLE.rule(RULE), annual.Tally(products={"P": annual.Made(3, annual.Fraction(30))})
    facts = [
        store.Fact(
            0, 0, "annual-report Y/1", "", annual.text_of("report", revision=1, products={"P": [2, "30"]}, whole=True)
        )
    ]
    (entry,) = annual.entries_of(facts)
    assert [one.name for one in annual.wrong_in(rule, entry, told)] == ["batches"]
    assert annual.wrong_in(rule.model_copy(update={"batches": 2}), entry, told) == []


@pytest.mark.parametrize(("year", "kept"), [(2019, False), (2020, True), (2025, True), (2026, False)])
def test_nothing_is_kept_of_years_long_ago_and_to_come(year, kept):
    rule, came = BUNDLE.rule(RULE), begin_of(2026) - 1
    told = annual.met(rule, made(0, "L-1"), Now(min(begin_of(year), came), came))
    assert (told.subject == annual.subject_for(year)) is kept
    payload = report(came, [("P", 1, 1)], year=year)
    fields = payload.fields | {"products": []}
    assert bool(annual.said(payload, fields, came)) is kept


def test_a_clock_that_is_minutes_ahead_at_new_year_tells_of_the_new_year():
    at = begin_of(2026)
    told = annual.met(BUNDLE.rule(RULE), made(at, "L-1"), Now(at, at - 1))
    assert told.subject == annual.subject_for(2026)


def quarters():
    """Return events of one lot each, none of which lies a quarter of the year behind the one before."""
    every = [begin_of(2025) + d * DAY for d in (0, 85, 170, 255, 340)]
    return [(at, Events(batch=f"e{i}", events=[made(at, f"L-{i}")])) for i, at in enumerate(every)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_revisions_of_one_instant_the_newest_alone_speaks(order):
    """The one of number 9 agrees, the one of number 10 does not: what is wrong began with number 1."""
    over = begin_of(2026) + DAY
    both = [(over + 1, report(over, [("P", 5, 50)], 9)), (over + 1, report(over, [("P", 5, 60)], 10))]
    engine, changes = folded([*quarters(), (over, report(over, [("P", 4, 40)])), *[both[i] for i in order]])
    changes += engine.advance(0, over + DAY)
    assert [(c.change.value, c.start) for c in changes] == [("raised", over), ("amended", over)]


def test_the_report_that_speaks_is_kept_whole_however_many_older_ones_come_behind_it():
    over = begin_of(2026) + DAY
    older = [(over + 1 + i, report(over, [("P", 5, 50)], 1 + i)) for i in range(annual.REPORTS + 3)]
    engine, changes = folded([*quarters(), (over, report(over, [("P", 4, 40)], 99)), *older])
    late = (over + DAY, Events(batch="late", events=[made(begin_of(2025), "L-9", 0.5)]))
    changes += engine.fold(LogRecord(0, 99, late[0], Kind.EVENTS, FACILITY, late[1])) + engine.advance(
        0, over + 2 * DAY
    )
    assert [(c.change.value, c.start) for c in changes] == [("raised", over)]
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    kinds_of = Counter(one.what for one in annual.entries_of(case.facts))
    assert kinds_of == {"made": 6, "old": 3, "report": annual.REPORTS + 1}


def test_a_year_of_which_the_newest_report_is_not_kept_is_unknown():
    """Of two reports the one that came last names another year in its next revision, and what the other one said has left."""
    over = begin_of(2026) + DAY
    many = [(over + i, report(over, [("P", 4, 40)], 1, f"Y{i}")) for i in range(annual.REPORTS + 1)]
    moved = [(over + 60_000 + i, report(over, [], 2, f"Y{i}", 2024)) for i in range(1, annual.REPORTS + 1)]
    engine, changes = folded([*quarters(), *many, *moved])
    changes += engine.advance(0, over + DAY)
    assert [c.change.value for c in changes if c.subject == annual.subject_for(2025)][-1] == "unknown"
    assert "cleared" not in {c.change.value for c in changes}


def test_reports_that_name_no_year_that_is_kept_keep_nothing_open(monkeypatch):
    monkeypatch.setattr(room, "MAX_ANSWERS", 20)
    engine, _ = folded([(BEGIN + i, report(BEGIN, [("P", 1, 1)], name=f"Y{i}", year=2090)) for i in range(60)])
    engine.advance(0, BEGIN + DAY)
    assert len(engine.state_of(FACILITY).rare.of(RULE)) == 20


def test_a_thousand_lots_of_a_batch_take_no_time_also_where_thousands_were_made_one():
    begin, engine = begin_of(2025), Engine(BUNDLE)
    engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, register()))
    begun = process_time()
    for i in range(6):
        at = begin + i * 60 * DAY
        events = [made(at + j, f"L-{i}-{j}", 10, f"P{j % 400}") for j in range(1000)]
        engine.fold(LogRecord(0, 1 + i, at + DAY, Kind.EVENTS, FACILITY, Events(batch=f"e{i}", events=events)))
    over = begin_of(2026) + DAY
    engine.fold(LogRecord(0, 7, over, Kind.REPORT, FACILITY, report(over, [(f"P{j}", 15, 150) for j in range(400)])))
    assert engine.advance(0, over + 1) == []
    assert process_time() - begun < 6.0
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) <= store.MAX_FACTS
    assert sum(len(fact.text) for fact in case.facts) < 200_000
    assert entry._said_long.cache_info().maxsize == 32


@pytest.mark.parametrize("match", [{"stream": "lab"}, {"type": "imported"}])
def test_only_events_of_production_tell_what_was_produced(match):
    rule = BUNDLE.rule(RULE)
    wrong = rule.model_copy(update={"made": rule.made.model_copy(update=match)})
    assert ledger_faults(wrong) == [Fault("/made", "annual", "what was produced are events trace produced")]
    assert ledger_faults(rule) == []
