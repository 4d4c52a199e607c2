"""What the desk says of a rule: the words and the time of the packs that an alarm was raised under, in Python and in SQL alike."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from monitor.alarms import rulebook as module
from monitor.alarms.projection import apply_batch
from monitor.alarms.queries import Filter, queue
from monitor.alarms.rulebook import DAY_MS, HOUR_MS, RESPOND, Rulebook, Shift
from monitor.store.desk_tables import AlarmRow
from rules.models import Bilingual, Severity
from rules.pack import Bundle, default_bundle
from rules.rule import TimeToRespond
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk.lab import NOW
from tests.rules.bundles import changed

RULE = "cold-chain.store-out"
MINUTE = 60_000


def bundle(number, *, triage=4 * HOUR_MS, base="orange", rule=RULE, drop=()):
    """Return the shipped packs with one rule told otherwise, or one more."""
    shipped = default_bundle()
    old = shipped.rule(RULE)
    new = old.model_copy(
        update={
            "id": rule,
            "title": Bilingual(zh=f"题{number}", en=f"Title {number}"),
            "time_to_respond": TimeToRespond.model_construct(triage=triage, answer=None),
            "severity": old.severity.model_copy(update={"base": Severity(base)}),
        }
    )
    rest = [each for each in shipped.rules if each.id not in {rule, *drop}]
    return Bundle.of([new, *rest], shipped.tables.values())


def test_an_alarm_is_told_in_the_words_of_its_own_packs():
    book = Rulebook(default_bundle())
    one, two = bundle(1), bundle(2)
    book.learn([one, two], two.sha256)
    assert book.sha256 == two.sha256
    assert book.title(RULE, one.sha256).en == "Title 1"
    assert book.title(RULE, default_bundle().sha256).en == "Cold room outside its limits"
    assert book.title(RULE).zh == "题2"
    assert book.title(RULE, "f" * 64).zh == "题2"  # packs that nobody here knows: the newest words


def test_a_rule_that_only_published_packs_have_and_one_that_they_dropped_are_both_told():
    book = Rulebook(default_bundle())
    assert book.rule("cold-chain.new") is None
    new = bundle(3, rule="cold-chain.new", drop={"data-integrity.gap"})
    book.learn([new], new.sha256)
    assert book.title("cold-chain.new", new.sha256).en == "Title 3"
    assert new.rule("data-integrity.gap") is None
    assert book.rule("data-integrity.gap", default_bundle().sha256) is not None
    assert "data-integrity.gap" in book.silences  # its open alarms are silences still


def test_the_fallback_is_what_is_in_force_not_what_was_noted_last():
    book = Rulebook(default_bundle())
    one, two = bundle(1), bundle(2)
    book.learn([one, two], one.sha256)
    assert book.title(RULE).en == "Title 1"
    book.learn([], two.sha256)
    assert book.title(RULE).en == "Title 2"
    book.learn([], "f" * 64)  # not known: what was in force stays
    assert book.title(RULE).en == "Title 2"


def test_the_oldest_are_forgotten_and_never_what_is_in_force(monkeypatch):
    monkeypatch.setattr(module, "MAX_BUNDLES", 3)
    book = Rulebook(default_bundle())
    made = [bundle(number) for number in range(5)]
    book.learn(made[:1], made[0].sha256)
    book.learn(made[1:])
    assert book.known == {made[0].sha256, made[3].sha256, made[4].sha256}
    assert book.title(RULE, made[1].sha256).en == "Title 0"


def test_shifts_are_those_of_the_packs():
    book = Rulebook(default_bundle())
    assert book.shift(RULE, Severity.ORANGE) == 0
    two_hours, quick = bundle(1, triage=2 * HOUR_MS), bundle(2, triage=30 * MINUTE)
    book.learn([two_hours, quick], quick.sha256)
    assert book.shift(RULE, Severity.ORANGE, two_hours.sha256) == -2 * HOUR_MS
    assert (
        book.shift(RULE, Severity.ORANGE, quick.sha256)
        == book.shift(RULE, Severity.ORANGE)
        == 30 * MINUTE - 4 * HOUR_MS
    )
    assert book.shift(RULE, Severity.ORANGE, default_bundle().sha256) == 0
    assert Shift(default_bundle().sha256, RULE, Severity.ORANGE, 0) in book.shifts
    assert [s.packs for s in book.shifts if s.rule == RULE][-1] is None  # the general one comes last


def test_a_colour_that_is_no_longer_the_rules_own_goes_by_the_table_again():
    book = Rulebook(default_bundle())
    red, orange = bundle(1, base="red", triage=10 * MINUTE), bundle(2, base="orange", triage=10 * MINUTE)
    book.learn([red, orange], orange.sha256)
    assert book.respond(RULE, Severity.RED, red.sha256) == 10 * MINUTE
    assert book.respond(RULE, Severity.ORANGE, red.sha256) == RESPOND[Severity.ORANGE]
    assert book.shift(RULE, Severity.ORANGE, red.sha256) == 0
    assert book.shift(RULE, Severity.RED, red.sha256) == 10 * MINUTE - HOUR_MS
    assert book.shift(RULE, Severity.RED, orange.sha256) == 0


def days(limit):
    return limit if isinstance(limit, int) else int(limit.removesuffix("wd")) * DAY_MS


@pytest.mark.long
def test_the_queue_is_ordered_by_what_each_row_says_of_itself_page_by_page(store):
    book = Rulebook(default_bundle())
    made = [bundle(1, triage=HOUR_MS), bundle(2, triage=6 * HOUR_MS), bundle(3, base="red", triage=HOUR_MS), changed()]
    book.learn(made, made[1].sha256)
    hashes = [default_bundle().sha256, *(each.sha256 for each in made), "f" * 64]
    rows = [
        change(i + 1, tag=f"T{i}", at=NOW - (i * 37 % 11) * 20 * MINUTE, severity=("orange", "red")[i % 2]).model_copy(
            update={"packs": hashes[i % len(hashes)]}
        )
        for i in range(30)
    ]
    with store.writing() as session:
        apply_batch(session, incoming(rows), NOW)
    with store.reading() as session:
        alarms = list(session.scalars(select(AlarmRow)))
        wanted = sorted(
            alarms,
            key=lambda row: (
                -row.severity_rank,
                row.asked_ms + days(book.respond(row.rule, Severity(row.severity), row.packs)),
                row.id,
            ),
        )
        found, after = [], None
        while True:
            page = queue(session, Filter(limit=4, after=after), book)
            found += page.rows
            after = page.next
            if after is None:
                break
    assert [row.id for row in found] == [row.id for row in wanted]
    assert len(found) == 30
