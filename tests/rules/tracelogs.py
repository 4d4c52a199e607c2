"""Hypothesis strategies: logs in which several firms tell of lots, by trace events, cases and recall notices."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.instants import format_instant, parse_instant
from rules.records import Event, Events, Kind, LogRecord, Report, Tick

BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
HOUR, DAY = 3_600_000, 86_400_000
FIRMS = ("HOSP-1", "MAKER-1", "SHOP-1")


def event(kind, at, *, stream="trace", source="WMS", **fields):
    fields = {name.rstrip("_"): value for name, value in fields.items()}
    return Event(stream=stream, type=kind, time=BEGIN + at, source=source, fields=fields)


def moved(kind, at, lot, quantity, *, from_="A", to="B", **fields):
    return event(kind, at, lot=lot, quantity=quantity, from_=from_, to=to, **fields)


def batch(name, events, received, firm="MAKER-1", offset=0):
    payload = Events(batch=name, events=list(events))
    return LogRecord(0, offset, BEGIN + received, Kind.EVENTS, firm, payload)


def case(name, lots, received, *, firm="HOSP-1", revision=1, offset=0, known=0, reason="more is known", **fields):
    said = {
        "case_id": f"C-{name}", "known_at": format_instant(BEGIN + known), "onset": "2026-02-27", "seriousness": "serious",
        "is_new": False, "product": "P-1", "outcome": "recovered", "source_channel": "hospital",
    } | ({} if lots is None else {"lots": lots}) | fields  # fmt: skip
    return report("adr-case", name, said, received, firm=firm, revision=revision, offset=offset, reason=reason)


def notice(
    name, lots, received, *, firm="MAKER-1", revision=1, offset=0, decided=0, notified=HOUR, reason="more is known"
):
    said = {
        "recall_id": f"RC-{name}", "line": "drug", "class": 1, "decided_at": format_instant(BEGIN + decided),
        "notified_at": format_instant(BEGIN + notified), "lots": [{"lot": lot, "shipped": 5} for lot in lots],
    }  # fmt: skip
    return report("recall-notice", name, said, received, firm=firm, revision=revision, offset=offset, reason=reason)


def report(kind, name, fields, received, *, firm, revision, offset, reason):
    payload = Report(type=kind, id=name, revision=revision, sent=BEGIN + received, reason=reason, fields=fields)
    return LogRecord(0, offset, BEGIN + received, Kind.REPORT, firm, payload)


_LOT = st.sampled_from(["L-1", "L-2", "L" * 64, "M" * 65])
_TIME = st.integers(0, 40).map(lambda hours: hours * HOUR)
_EVENT = st.one_of(
    st.builds(lambda kind, at, lot, q: event(kind, at, lot=lot, quantity=q), st.sampled_from(["produced", "imported", "destroyed"]), _TIME, _LOT, st.sampled_from([0, 1, 2.5])),
    st.builds(lambda kind, at, lot: moved(kind, at, lot, 1, to="SHOP-1"), st.sampled_from(["shipped", "sold", "arrived", "returned"]), _TIME, _LOT),
    st.builds(lambda at, lot: event("stop-order", at, lot=lot), _TIME, _LOT),
    st.builds(lambda at: event("heartbeat", at, stream="audit", system="LIMS"), _TIME),
    st.builds(lambda at, lot: event("sold", at, lot=lot), _TIME, _LOT),
    st.builds(lambda at: event("used", at, place="NS-1", product="P-40", quantity=1), _TIME),
)  # fmt: skip


@st.composite
def logs(draw, most=12):
    """Draw a log: batches that come again, revisions in any order, ticks in between."""
    found, received = [], 0
    for i in range(draw(st.integers(1, most))):
        received += draw(st.sampled_from([0, 1, 1_000, HOUR, DAY]))
        firm = draw(st.sampled_from(FIRMS))
        what = draw(st.sampled_from(["events", "events", "events", "case", "notice", "tick"]))
        if what == "tick":
            payload = Tick(by="gw-1", role="gateway", now=BEGIN + received)
            found.append(LogRecord(0, i, BEGIN + received, Kind.TICK, "", payload))
        elif what == "events":
            events = draw(st.lists(_EVENT, min_size=1, max_size=5))
            found.append(batch(draw(st.sampled_from(["b-1", "b-2", f"b-{i}"])), events, received, firm, i))
        else:
            lots = draw(st.lists(_LOT, min_size=what == "notice", max_size=3, unique=True))
            revision, name = draw(st.integers(1, 4)), draw(st.sampled_from(["R-1", "R-2"]))
            reason = draw(st.sampled_from([None, "more is known", "more is known"]))
            make = case if what == "case" else notice
            found.append(make(name, lots, received, firm=firm, revision=revision, offset=i, reason=reason))
    return found
