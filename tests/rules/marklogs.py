"""Random logs with marks in between: of series and areas, in time and late, open and closed, revised, again, out of order."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Mark
from rules.rule import LatenessRule, RevisionRule
from tests.rules import jumplogs, logs, meanlogs, pairlogs, sums, triplogs
from tests.rules.oracle.marks import DAY

QUIET = {
    "id": "test.quiet", "kind": "gap", "applies_to": {}, "factor": 3,
    "severity": {"base": "blue", "steps": [
        {"after": "12m", "to": "yellow", "unless_marked": ["fault"]},
        {"after": "40m", "to": "orange", "unless_marked": ["stopped", "fault", "maintenance", "comms"]},
    ]},
}  # fmt: skip
"""A silence whose colours come soon enough for a random log."""


def bundle():
    """Return the shipped rules and a silence that marks keep away."""
    shipped = default_bundle()
    rules = [
        rule for rule in shipped.rules if not isinstance(rule, LatenessRule | RevisionRule)
    ]  # latenesslogs, revisionlogs
    return Bundle.of([*rules, sums.rule(QUIET)], shipped.tables.values())


FLAGS = ["maintenance", "maintenance", "calibration", "fault", "stopped", "set_value", "comms"]
MINUTE = 60_000
BACK = [0, 1, MINUTE, 3 * MINUTE, 10 * MINUTE, 60 * MINUTE, 130 * MINUTE, DAY - 1, DAY, DAY + 1]
LONG = [0, 1, MINUTE, 5 * MINUTE, 30 * MINUTE, 120 * MINUTE, 600 * MINUTE]


def mark(name, revision=1, *, begin, to=None, tags=None, area=None, flag="maintenance", author="u-1"):
    """Return a mark; it names area A1 where it names nothing."""
    area = "A1" if tags is None and area is None else area
    said = {
        "id": name,
        "revision": revision,
        "flag": flag,
        "from": begin,
        "to": to,
        "reason": "service",
        "author": author,
    }
    return Mark.model_validate({**said, **({"area": area} if tags is None else {"tags": tags})})


def among(draw, drawn):
    """Put marks between the entries of a drawn log."""
    entity, entries = drawn
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    tags, areas = [sensor.tag for sensor in entity.sensors], [area.id for area in entity.areas]
    found, made, now = [], [], logs.BEGIN
    share = draw(st.sampled_from([0.1, 0.3, 0.6]))
    for received, what in entries:
        now = max(now, received)
        found.append((received, what))
        while random.random() < share:
            found.append((now + random.choice([0, 0, 1, MINUTE]), _one(random, made, tags, areas, now, what)))
            now = max(now, found[-1][0])
    return entity, found


def _one(random, made, tags, areas, now, what):
    """Return a mark, often of rows that came just before."""
    if made and random.random() < 0.4:
        old = random.choice(made)
        if random.random() < 0.2:
            return old
        revision, begin = max(1, old.revision + random.choice([1, 1, 1, 2, -1, 0])), old.from_
        to = random.choice([None, now, begin + random.choice(LONG), old.to])
        said = {
            "name": old.id,
            "revision": revision,
            "begin": begin,
            "flag": old.flag,
            "tags": old.tags,
            "area": old.area,
        }
        if random.random() < 0.15:
            said |= {"tags": [random.choice(tags)], "area": None}
        if random.random() < 0.15:
            said["flag"] = random.choice(FLAGS)
        new = mark(**said, to=None if to is None else max(to, begin))
    else:
        rows = what if isinstance(what, list) and what and isinstance(what[0], logs.Row) else None
        begin = random.choice(rows).t if rows and random.random() < 0.7 else now - random.choice(BACK)
        begin = max(0, begin + random.choice([0, 0, 0, 1, -1]))
        to = None if random.random() < 0.3 else begin + random.choice(LONG)
        if rows and random.random() < 0.3:
            to = max(begin, random.choice(rows).t)
        whole = random.random() < 0.3
        named = [random.choice(tags)] if random.random() < 0.6 else [*tags, "NOPE"]
        new = mark(
            f"M-{len(made)}", random.choice([1, 1, 1, 3]), begin=begin, to=to, tags=None if whole else named,
            area=random.choice(areas) if whole else None, flag=random.choice(FLAGS),
        )  # fmt: skip
    made.append(new)
    return new


@st.composite
def plain(draw):
    """Draw a log of cold rooms, tanks and others, for every kind that the shipped packs have."""
    return among(draw, draw(logs.logs()))


@st.composite
def pairs(draw):
    """Draw a log of rooms under pressure."""
    return among(draw, draw(pairlogs.logs()))


@st.composite
def means(draw):
    """Draw a log of particles."""
    return among(draw, draw(meanlogs.counts()))


@st.composite
def totals(draw):
    """Draw a log of sums."""
    return among(draw, draw(sums.hours()))


@st.composite
def steps(draw):
    """Draw a log of jumps."""
    return among(draw, draw(jumplogs.leaps()))


@st.composite
def trips(draw):
    """Draw a log of trips."""
    return among(draw, draw(triplogs.trips()))
