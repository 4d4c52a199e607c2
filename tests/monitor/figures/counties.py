"""Facts of a province in a desk's store: trial institutions by grade, their visits, and a laboratory's samples of two years."""

from __future__ import annotations

from monitor.deadlines import keeping as deadlines
from monitor.figures import keeping
from rules.figures.book import Sample, Step
from rules.figures.facts import FacilityFacts
from rules.instants import parse_instant

DAY = 86_400_000
MAKER = "BJ-MFR-0101"


def at(text):
    """Return an instant of a day and time in Beijing, ms."""
    return parse_instant(f"{text}+08:00")


def facility(name, grade=None, **more):
    """Return the facts of a registered facility."""
    told = {
        "facility": name, "registered": True, "grade": grade, "grades": [], "last_visit": None, "visits": [], "steps": [],
        "scopes": [("distribution", "drug")], "lines": {}, "samples": [], "dropped": 0,
    }  # fmt: skip
    return FacilityFacts.model_validate(told | more)


def institution(number, grade="B", **more):
    """Return a trial institution."""
    return facility(f"BJ-TRI-{number:04d}", grade, scopes=[("clinical-trials", "drug")], **more)


def laboratory(*samples, **more):
    """Return a laboratory that reported samples: what the sampled say of themselves does not count."""
    return facility("BJ-LAB-0002", samples=list(samples), **more)


def sample(number, drawn, *, passed=True, product="P-1", retest_of=None):
    """Return the report of a sample, received two days behind its drawing."""
    return Sample(f"R-{number}", 1, drawn + 2 * DAY, f"S-{number}", MAKER, product, drawn, passed, retest_of)


def samples(until):
    """Return 6 samples of drugs a day and 1 of devices for 430 days; of drugs some fail, all within one month of them."""
    found = []
    for back in range(430):
        drawn = until - back * DAY
        for turn in range(6):
            number = len(found)
            found.append(sample(number, drawn, passed=not (30 <= back < 60 and turn == 0 and back % 4 == 0)))
        found.append(sample(len(found), drawn, product="P-2", passed=back != 3))
    return found


def province(store, now):
    """Keep it: 20 trial institutions of grade B, nine of them visited in the first half of the year; A, C, D and one without a grade."""
    maker = facility(MAKER, "C", lines={"P-1": "drug", "P-2": "device"}, scopes=[("manufacture", "drug")], steps=[
        Step("a1", now - 20 * DAY, "signed", "D-1", 1), Step("a2", now - 8 * DAY, "open", "", 0),
        Step("a3", now - 90 * DAY, "refused", "D-2", 1),
    ])  # fmt: skip
    visits = [at("2026-05-12T10:00:00")]
    some = [institution(n, visits=visits if n < 9 else []) for n in range(20)]
    some += [institution(n, "A", last_visit="2026-03-03" if n % 2 else None) for n in range(30, 37)]
    some += [facility(f"BJ-WHS-{n:04d}", "D" if n % 3 else "C", visits=visits if n % 2 else []) for n in range(12)]
    keep(
        store,
        maker,
        facility("BJ-RTL-0001"),
        facility("BJ-LAB-0001", None, samples=samples(now)),
        *some,
        as_of=now - 30_000,
    )


def keep(store, *facts, as_of=None):
    """Keep facts as the desk's follower does."""
    with store.writing() as session:
        for one in facts:
            keeping.keep(session, one)
        if as_of is not None:
            deadlines.as_of(session, {0: as_of})
