"""Kind `annual`: batches and volume of a product in the annual report, against what was told to be produced in the local year.

By year. Batches are the lots of which something was produced, volumes the quantities as they were written, added up exactly. The newest
report speaks. Nothing is known of a year in which the facility was not connected throughout, or in which an event named no product.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rules.calendar import day_of
from rules.changes import Leaf, Verdict
from rules.instants import start_of_day
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, newest, read_of, reads_of, report_of, text_of
from rules.ledger.judged import Judged, Run, shown
from rules.rare.beats import WHOLE
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import Fact, subject_of
from rules.rare.units import number_of, spelled
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.rare.speak import Now
    from rules.rare.store import Rare
    from rules.records import Event, Report
    from rules.rule import AnnualRule

MADE, UNNAMED, REPORT, OLD, BASE = "made", "unnamed", "report", "old", "base"
"""UNNAMED: something was produced, and the product, lot or quantity is not known, or the quantity is not `is_plain`. OLD: a report that another one replaced: whether it was wrong."""
FIRST_YEAR, BEHIND_LAST = 1970, 2099
YEARS = 5
"""Of years that lie farther behind the one in which a fact came, and of those that lie before it, nothing is kept."""
QUARTERS: Final = 4
HALF_MS = 365 * 86_400_000 // 8
"""Records of the facility are one span while no more than twice this, a quarter of 365 days, lies between them (`Heard.hear`)."""
PRODUCTS = 1_000
"""Products of a report, and of the events that were made one, that are kept; of others nothing is said."""
KNOWN = 4_096
"""Events, and lots, that are known again when the events were made one."""
REPORTS = 8
"""Reports of a year that are kept whole."""
MOST, STEPS = 10**15, 10**9
"""Quantities and volumes above the first, or finer than one of so many parts, are not added up: their exact sums have up to a thousand digits."""
DIGITS = 10
SHOWN = 8
"""Figures that evidence names."""


def subject_for(year: int) -> dict[str, str]:
    """Return whom the alarm of a year is about, as its clock does (settled.md).

    >>> subject_for(2025)
    {'report': 'annual-report+2025'}
    """
    return {"report": f"annual-report+{year}"}


def year_of(subject: dict[str, str]) -> int | None:
    """Return the year of a subject, None where it is that of a report that names none."""
    kind, _, year = subject.get("report", "").rpartition("+")
    return int(year) if kind == "annual-report" and year.isascii() and year.isdigit() else None


def bounds_of(year: int) -> tuple[int, int]:
    """Return when a year begins and is over, local, ms."""
    return start_of_day(date(year, 1, 1), ZONE), start_of_day(date(year + 1, 1, 1), ZONE)


def is_kept(year: int, received: int) -> bool:
    """Say whether what came at a log time (ms) about a year is kept."""
    came = day_of(received).year
    return max(FIRST_YEAR, came - YEARS) <= year <= min(came, BEHIND_LAST - 1)


def is_plain(amount: Fraction) -> bool:
    """Say whether an amount is one that is added up: at most 1e15, in steps of 1e-9. Nobody makes or weighs others."""
    return amount <= MOST and STEPS % amount.denominator == 0


def met(rule: AnnualRule, event: Event, now: Now) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean; `now.at` is the event time that counts."""
    if is_meant(event, rule.made) is not Verdict.TRUE:
        return None
    year = day_of(now.at).year
    product, lot, quantity = (
        text_of_field(event, "product"),
        text_of_field(event, "lot"),
        number_of(event.fields.get("quantity")),
    )
    if not is_kept(year, max(now.at, now.received)):
        return Met(None, "")
    if product is None or lot is None or quantity is None or not is_plain(quantity):
        return Met(subject_for(year), text_of(UNNAMED))
    return Met(subject_for(year), text_of(MADE, product=product, lot=lot, quantity=str(quantity)))


def said(payload: Report, fields: Mapping[str, Any], received: int) -> list[tuple[dict[str, str], int, str]]:
    """Return what an annual report that came at a log time (ms) says: subject, when its year is over (ms), content.

    Rows of one product are added up. `plain`: false where a volume is not `is_plain`; what is then compared is not known.
    """
    year = fields["year"]
    if not is_kept(year, received):
        return []
    batches: dict[str, int] = defaultdict(int)
    volumes: dict[str, Fraction] = defaultdict(Fraction)
    units: dict[str, set[str]] = defaultdict(set)
    beyond: dict[str, bool] = {}
    for row in fields["products"]:
        volume = Fraction(repr(row.volume))
        batches[row.product] += row.batches
        if is_plain(volume):
            volumes[row.product] += volume
        else:
            beyond["plain"] = False
        units[row.product].add(spelled(row.unit))
    products = {
        name: [batches[name], str(volumes[name]) if len(units[name]) == 1 and not beyond else None]
        for name in sorted(batches)[:PRODUCTS]
    }
    text = text_of(REPORT, revision=payload.revision, products=products, whole=len(batches) <= PRODUCTS, **beyond)
    return [(subject_for(year), bounds_of(year)[1], text)]


@dataclass(slots=True)
class Made:
    """What was produced of one product."""

    batches: int = 0
    volume: Fraction = field(default_factory=Fraction)
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What was produced in a year."""

    products: dict[str, Made] = field(default_factory=dict)
    unnamed: bool = False
    """Something was produced of which it is not known what ..."""
    whole: bool = True
    """... or of so many products that some are not kept."""
    known: list[str] = field(default_factory=list)
    """Events that were made one ..."""
    lots: list[str] = field(default_factory=list)
    """... and lots, by their digests; the newest stand last."""


def tally_of(entries: Sequence[Entry]) -> Tally:
    """Return what was produced, by event time."""
    found = Tally()
    lots: set[str] = set()
    for one in entries:
        if one.what == BASE:
            told = one.said
            found.products = {name: Made(many, Fraction(volume)) for name, (many, volume) in told["products"].items()}
            found.unnamed, found.whole = told["unnamed"], told["whole"]
            found.known, found.lots = list(told["known"]), list(told["lots"])
            lots.update(found.lots)
        elif one.what == UNNAMED:
            found.unnamed = True
        elif one.what == MADE:
            _add(found, lots, one)
    return found


def _add(found: Tally, lots: set[str], one: Entry) -> None:
    name = one.said["product"]
    made = found.products.get(name)
    if made is None:
        if not found.whole:
            return
        made = found.products[name] = Made()
    lot = _digest_of(f"{name}\n{one.said['lot']}")
    quantity = Fraction(one.said["quantity"])
    if quantity and lot not in lots:
        lots.add(lot)
        found.lots.append(lot)
        made.batches += 1
    made.volume += quantity
    made.entries.append(one)


def _digest_of(text: str) -> str:
    return blake2b(text.encode(), digest_size=DIGITS // 2).hexdigest()


class Wrong(NamedTuple):
    """A figure of a report that differs from what was told."""

    name: str
    """`batches` or `volume` ..."""
    product: str
    """... of which product."""
    reported: Fraction
    told: Fraction


def wrong_in(rule: AnnualRule, report: Entry, made: Tally) -> list[Wrong]:
    """Return the figures of a report that differ by more than they may, by product: also of what it does not name."""
    found = []
    products = report.said["products"]
    names = {name for name in products if made.whole or name in made.products}
    names |= {name for name in made.products if report.said["whole"] or name in products}
    for name in sorted(names):
        batches, volume = products.get(name, (0, "0"))
        told = made.products.get(name, Made())
        if _differs(rule, Fraction(batches), Fraction(told.batches)) and abs(batches - told.batches) >= rule.batches:
            found.append(Wrong("batches", name, Fraction(batches), Fraction(told.batches)))
        if volume is not None and _differs(rule, Fraction(volume), told.volume):
            found.append(Wrong("volume", name, Fraction(volume), told.volume))
    return found


def _differs(rule: AnnualRule, reported: Fraction, told: Fraction) -> bool:
    return abs(reported - told) * 100 > Fraction(repr(rule.percent)) * told


def spoke(entries: Sequence[Entry]) -> list[Entry]:
    """Return the reports of a year that were the newest when the instant was over at which they came, in that order.

    Of a report that names another year now, none.
    """
    now = {report_of(one) for one in newest(entries)}
    found: list[Entry] = []
    highest: dict[str | None, int] = {}
    for one in sorted(entries, key=_came):
        name = report_of(one)
        if one.what in {REPORT, OLD} and name in now and one.said["revision"] > highest.get(name, 0):
            highest[name] = one.said["revision"]
            found.append(one)
    return found


def _came(one: Entry) -> tuple[int, str, int]:
    """Return by what reports are ordered: receipt, name, and of one instant the newest revision first: the others never spoke."""
    return one.fact.received, report_of(one) or "", -one.said.get("revision", 0)


def is_connected(spans: Sequence[tuple[int, int]], year: int) -> bool:
    """Say whether a facility was heard (log times of its records, ms) from 1 January on, with no silence above a quarter of the year in it."""
    begin, end = bounds_of(year)
    if not spans or spans[0][0] >= begin + 86_400_000:
        return False
    ends = [last for _, last in spans]
    begins = [first for first, _ in spans[1:]] + [end]
    silences = [min(after, end) - max(last, begin) for last, after in zip(ends, begins, strict=True)]
    return all(silence * QUARTERS <= end - begin for silence in silences)


def spans_of(rule_id: str, rare: Rare) -> Sequence[tuple[int, int]]:
    """Return when the facility was heard, log times, ms, by time."""
    heard = rare.areas.get((rule_id, WHOLE))
    return () if heard is None else heard.runs


def alive(rule: AnnualRule, rare: Rare, received: int) -> None:
    """Note that a record of the facility came (log time, ms)."""
    rare.heard(rule.id, WHOLE).hear(received, HALF_MS)


def judge(
    rule: AnnualRule, subject: str, facts: list[Fact], now: int, delivery: int, spans: Sequence[tuple[int, int]]
) -> Judged:
    """Return whether the newest report of a year is wrong at `now` (log time, ms).

    Args:
        rule: that asks.
        subject: the year, as text.
        facts: of the year.
        now: log time, ms.
        delivery: how long behind it the facility's records may come, ms: nothing is judged before the year is over, and that too.
        spans: when the facility was heard.
    """
    entries, year = entries_of(facts), year_of(subject_of(subject))
    reports = spoke(entries)
    if year is None or not reports or reports[-1].what == OLD:
        return Judged(unknown=bool(reports))  # what the newest one says is not kept
    due = bounds_of(year)[1] + delivery
    if now < due:
        return Judged(again=due)
    made, connected = tally_of(entries), is_connected(spans, year)
    named = not made.unnamed and reports[-1].said.get("plain", True)
    known = connected and named
    wrong = wrong_in(rule, reports[-1], made)
    seen = (
        Seen("connected", Verdict.TRUE if connected else Verdict.UNKNOWN),
        Seen("named", Verdict.TRUE if named else Verdict.UNKNOWN),
        _seen(known, wrong),
    )
    leaves = _leaves(year, wrong, reports[-1], made, known=known)
    if not known or not wrong:
        return Judged((), leaves, unknown=not known, seen=seen)
    since = len(reports) - 1
    while since > 0 and _was_wrong(rule, reports[since - 1], made):
        since -= 1
    start = reports[since].fact.received
    told = [one for each in wrong[:1] for one in made.products.get(each.product, Made()).entries]
    records = (*reads_of(told), read_of(reports[-1]))
    run = Run(start, tuple(reports[since:]), True, leaves, max(start, due), rule.severity.base.rank, records)  # noqa: FBT003
    return Judged((run,), leaves, records, seen=seen)


def _was_wrong(rule: AnnualRule, report: Entry, made: Tally) -> bool:
    return bool(report.said["wrong"]) if report.what == OLD else bool(wrong_in(rule, report, made))


def _seen(known: bool, wrong: list[Wrong]) -> Seen:  # noqa: FBT001
    if not wrong:
        return Seen("differs", Verdict.FALSE if known else Verdict.UNKNOWN)
    first = wrong[0]
    said_of = verdict(True) if known else Verdict.UNKNOWN  # noqa: FBT003
    return Seen("differs", said_of, shown(first.reported), "!=", shown(first.told))


def _leaves(year: int, wrong: list[Wrong], report: Entry, made: Tally, *, known: bool) -> tuple[Leaf, ...]:
    """Return the figures that differ; where none does, those of the first product that the report names."""
    said_of = Verdict.UNKNOWN if not known else verdict(bool(wrong))
    figures = wrong[:SHOWN]
    if not wrong and report.what == REPORT:
        for name, (batches, _) in sorted(report.said["products"].items())[:1]:
            figures = [Wrong("batches", name, Fraction(batches), Fraction(made.products.get(name, Made()).batches))]
    return tuple(
        Leaf(
            expr=_words(one, year), left=shown(one.reported), op="!=", right=shown(one.told),
            verdict=said_of,
        )
        for one in figures
    )  # fmt: skip


def _words(one: Wrong, year: int) -> str:
    """Return what a figure is, as evidence names it."""
    if one.name == "volume":
        return f"volume of {one.product} in {year}"
    return f"batches of {one.product} in {year}"


def shortened(rule: AnnualRule, facts: list[Fact], most: int) -> list[Fact]:
    """Return facts with at most so many: events become one, reports that others replaced are kept as whether they were wrong.

    So nothing that was told changes; an event that comes again is known among the last `KNOWN`, and so is a lot. The events and the
    newest report stay.
    """
    entries = entries_of(facts)
    reports = sorted((one for one in entries if one.what == REPORT), key=_came)
    speaks = next((one.fact for one in reversed(spoke(entries))), None) if len(reports) > REPORTS else None
    if away := [one for one in reports[:-REPORTS] if one.fact is not speaks]:
        made = tally_of(entries)
        old = {
            id(one.fact): text_of(OLD, revision=one.said["revision"], wrong=bool(wrong_in(rule, one, made)))
            for one in away
        }
        facts = [replace(fact, text=old[id(fact)]) if id(fact) in old else fact for fact in facts]
    if len(facts) <= most:
        return facts
    entries = entries_of(facts)
    events = [one for one in entries if one.what in {MADE, UNNAMED, BASE}]
    others = [one.fact for one in entries if one.what not in {MADE, UNNAMED, BASE}]
    # Half of the room is made free at once: a year of thousands of events is not written anew with each of them.
    joined = [*events[: max(2, len(events) - most // 2)]] if len(events) > 1 else []
    if joined:
        rest = [one.fact for one in events[len(joined) :]]
        facts = [_base(joined), *rest, *others]
    speaks = next((one.fact for one in reversed(spoke(entries))), None)
    spare = [fact for fact in others if fact is not speaks]
    gone = {id(fact) for fact in sorted(spare, key=lambda fact: fact.received)[: max(0, len(facts) - most)]}
    return sorted((fact for fact in facts if id(fact) not in gone), key=lambda fact: (fact.t, *order_of(fact)))


def _base(events: list[Entry]) -> Fact:
    """Return events as one: what they come to, and by what they are known again."""
    made = tally_of(events)
    kept = dict(sorted(made.products.items())[:PRODUCTS])
    known = made.known + [one.fact.digest[:DIGITS] for one in events if one.what != BASE]
    text = text_of(
        BASE, products={name: [one.batches, str(one.volume)] for name, one in kept.items()}, unnamed=made.unnamed,
        whole=made.whole and len(made.products) < PRODUCTS, known=known[-KNOWN:], lots=made.lots[-KNOWN:],
    )  # fmt: skip
    begin = bounds_of(day_of(events[-1].at).year)[0]
    return Fact(begin, begin, BASE, "", text)


def is_known(facts: Sequence[Fact], digest: str) -> bool:
    """Say whether an event is one of those that were made one."""
    base = next((fact for fact in facts if fact.digest == BASE), None)
    return base is not None and digest[:DIGITS] in entries_of([base])[0].said["known"]


def order_of(fact: Fact) -> tuple[bool, str]:
    """Return by what facts of one event time are ordered: what became one stands first."""
    return (fact.digest != BASE, fact.digest)
