"""Facts of lots, by hand and at random: a few firms, a few lots, times that touch every boundary of the shipped rules."""

from __future__ import annotations

import zlib
from dataclasses import replace

from hypothesis import strategies as st

from rules.instants import parse_instant
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, RegisterRecord
from rules.register import Facility

RULES = (
    "cross-check.expired-moving",
    "cross-check.sold-over-produced",
    "vigilance.lot-cluster",
    "vigilance.moved-after-stop",
)
BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
HOUR, DAY = 3_600_000, 86_400_000
FIRMS = ("HOSP-1", "MAKER-1", "SHOP-1", "SHOP-2")
LOTS = ("L-1", "L-2")


def bundle(*more) -> Bundle:
    whole = default_bundle()
    return Bundle.of([rule for rule in whole.rules if rule.id in RULES] + list(more), ())


SHIPPED = bundle()


def altered(rule_id, **members):
    """Return the bundle with other numbers in one rule."""
    own = bundle()
    return Bundle.of([rule.model_copy(update=members) if rule.id == rule_id else rule for rule in own.rules], ())


def facility(name, *scopes):
    """Return a facility that is registered for (field, line) pairs; none: for what the rules over lots are for."""
    pairs = scopes or [(field, "drug") for field in ("distribution", "retail", "vigilance")]
    named = {"id": name, "name": {"zh": name, "en": name}, "jurisdiction": "110000"}
    return Facility.model_validate(named | {"scopes": [{"field": field, "line": line} for field, line in pairs]})


def registered(log):
    """Return a log with a register, in front of each partition, of every facility that it names and that has none in it."""
    have = {record.facility for record in log if record.kind is Kind.REGISTER}
    homes = {record.facility: record.partition for record in log if record.facility and record.facility not in have}
    first = min((record.received for record in log), default=BEGIN)
    fronts = [
        LogRecord(home, -1, first, Kind.REGISTER, name, RegisterRecord(version=0, facility=facility(name)))
        for name, home in sorted(homes.items())
    ]
    return [*fronts, *log]


def numbered(log):
    """Return such a log with offsets that begin at its registers, as a file of lines has them."""
    whole = registered(log)
    return [
        replace(one, offset=sum(other.partition == one.partition for other in whole[:i])) for i, one in enumerate(whole)
    ]


class Teller:
    """Makes facts with the numbers that each firm counts them by."""

    def __init__(self):
        self.told = dict.fromkeys(FIRMS, 0)
        self.clock = BEGIN

    def __call__(self, facility, at, told, *, lot="L-1", event=None, received=None, record=None, scoped=None):
        self.told[facility] = self.told.get(facility, 0) + 1
        n = self.told[facility]
        self.clock = max(self.clock + 1, BEGIN + at) if received is None else BEGIN + received
        kind = "report" if "report" in told else "decision" if told["fact"] == "decided" else "events"
        name = f"{told['report']}/{told['revision']}" if kind == "report" else f"b-{n}"
        return LotFact.model_validate(
            {
                "facility": facility, "n": n, "lot": lot, "received": self.clock, "at": BEGIN + at,
                "record": {"kind": kind, "id": record or name},
                "event": (event or f"{zlib.crc32(f'{facility} {n}'.encode()):016x}") if kind == "events" else None,
                "told": told, "scoped": scoped,
            }
        )  # fmt: skip

    def made(self, facility, at, quantity, *, kind="produced", expiry=None, **more):
        return self(facility, at, {"fact": "made", "type": kind, "quantity": float(quantity), "expiry": expiry}, **more)

    def moved(self, facility, at, quantity, *, kind="sold", to="a patient", from_=None, **more):
        told = {"fact": "moved", "type": kind, "quantity": float(quantity), "to": to, "from": from_ or facility}
        return self(facility, at, told, **more)

    def stop(self, facility, at, known=None, *, basis="order", **more):
        known = None if known is None else BEGIN + known
        return self(facility, at, {"fact": "stop", "basis": basis, "known_at": known}, **more)

    def notice(self, facility, decided, notified, *, report="N-1", revision=1, named=True, **more):
        told = {
            "fact": "notice", "report": report, "revision": revision, "named": named, "recall_id": f"RC-{report}", "class": 1,
            "decided_at": BEGIN + decided, "notified_at": BEGIN + notified,
        }  # fmt: skip
        return self(facility, notified, told, **more)

    def case(self, facility, known, case, *, report=None, revision=1, named=True, seriousness="serious", **more):
        told = {
            "fact": "case", "report": report or f"R-{case}", "revision": revision, "named": named, "case_id": case,
            "seriousness": seriousness, "known_at": BEGIN + known,
        }  # fmt: skip
        return self(facility, known, told, **more)

    def decided(self, facility, alarm, *, code="close-latched", decision="D-1/1", at=0, **more):
        fact = self(facility, at, {"fact": "decided", "alarm": alarm, "code": code}, record=decision, **more)
        return fact.model_copy(update={"at": fact.received})


TIMES = st.one_of(
    st.integers(0, 12).map(lambda hours: hours * HOUR),
    st.integers(0, 9).map(lambda days: days * DAY),
    st.sampled_from([DAY - 1, DAY + 1, 2 * DAY - 1, 7 * DAY, 7 * DAY + 1, 8 * DAY - 1]),
)
EXPIRIES = st.sampled_from([None, None, "2026-03-01", "2026-03-02", "2026-03-05"])
QUANTITIES = st.sampled_from([0, 0.1, 0.2, 0.3, 1, 2, 5, 10])


def alarms(found):
    """Return a strategy of ids: of alarms that some facts make, of one that nobody raised."""
    lots = LotFold(SHIPPED)
    told = [change.alarm for fact in found for change in lots.fold(0, fact, None)]
    return st.sampled_from(sorted({*told, "0" * 32}))


@st.composite
def facts(draw, most=25):
    """Draw facts in the order in which they are told; some events are told twice, some reports are revised."""
    tell, found = Teller(), []
    revisions = {}
    for _ in range(draw(st.integers(1, most))):
        firm, lot, at = (
            draw(st.sampled_from(FIRMS)),
            draw(st.sampled_from(LOTS[: draw(st.integers(1, 2))])),
            draw(TIMES),
        )
        what = draw(
            st.sampled_from([*["made", "arrived", "stop", "notice", "again"], *["moved"] * 3, *["case", "decided"] * 2])
        )
        if what == "made":
            kind = draw(st.sampled_from(["produced", "imported"]))
            found.append(tell.made(firm, at, draw(QUANTITIES), kind=kind, expiry=draw(EXPIRIES), lot=lot))
        elif what in {"moved", "arrived"}:
            kind = draw(st.sampled_from(["shipped", "sold", "returned", "destroyed"])) if what == "moved" else "arrived"
            to, from_ = draw(st.sampled_from(["a patient", *FIRMS])), draw(st.sampled_from(["somebody", firm]))
            found.append(tell.moved(firm, at, draw(QUANTITIES), kind=kind, to=to, from_=from_, lot=lot))
        elif what == "stop":
            basis = draw(st.sampled_from(["order", "recall", None]))
            found.append(tell.stop(firm, at, draw(st.none() | TIMES), basis=basis, lot=lot))
        elif what in {"notice", "case"}:
            report = f"{what[0].upper()}-{draw(st.integers(1, 4))}"
            number = revisions[firm, report] = revisions.get((firm, report), 0) + 1
            named = draw(st.sampled_from([True, True, True, False]))
            if what == "notice":
                found.append(tell.notice(firm, at, at + HOUR, report=report, revision=number, named=named, lot=lot))
            else:
                grave = draw(st.sampled_from(["serious", "serious", "death", "other"]))
                case = f"C-{draw(st.integers(1, 5))}"
                found.append(
                    tell.case(firm, at, case, report=report, revision=number, named=named, seriousness=grave, lot=lot)
                )
        elif what == "decided":
            code = draw(st.sampled_from(["close-latched", "breach"]))
            name = f"D-{draw(st.integers(1, 6))}/1"
            received = draw(st.sampled_from([None, None, tell.clock - BEGIN]))
            found.append(tell.decided(firm, draw(alarms(found)), code=code, decision=name, received=received, lot=lot))
        elif found:
            one = draw(st.sampled_from(found))
            if one.event is not None:
                tell.told[one.facility] += 1
                n = tell.told[one.facility]
                found.append(
                    one.model_copy(
                        update={
                            "n": n, "record": one.record.model_copy(update={"id": f"again-{n}"}),
                            "received": one.received + draw(st.sampled_from([-DAY, 0, DAY])),
                        }
                    )
                )  # fmt: skip
    return found or [tell.made("MAKER-1", 0, 1)]
