"""Facts of a product, by hand and at random: a few firms, lots and cases, times that touch every boundary of the rule over ratios."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.lots.facts import LotFact
from rules.lots.fold import LotFold
from rules.pack import Bundle, default_bundle
from tests.rules.lotlogs import BEGIN, DAY, HOUR, Teller

RATIO = "vigilance.lot-ratio"
PRODUCT = "product P-1"
FIRMS = ("HOSP-1", "SHOP-1", "SHOP-2")
LOTS = ("L-1", "L-2", "L-3")


def ratio(**members):
    """Return a bundle with the shipped rule alone, with other numbers where some are given."""
    return Bundle.of([default_bundle().rule(RATIO).model_copy(update=members)], ())


SHIPPED = ratio()


class ProductTeller(Teller):
    """Makes facts of one product."""

    def __call__(self, facility, at, told, *, lot=PRODUCT, **more):
        return super().__call__(facility, at, told, lot=lot, **more)

    def sold(self, at, quantity, *, of="L-1", firm="SHOP-1", **more):
        return self(firm, at, {"fact": "sold-of", "of": of, "quantity": float(quantity)}, **more)

    def case_of(self, known, case, *lots, firm="HOSP-1", report=None, revision=1, named=True, **more):
        told = {
            "fact": "case-of", "report": report or f"R-{case}", "revision": revision, "named": named, "case_id": case,
            "known_at": BEGIN + known, "lots": sorted(lots),
        }  # fmt: skip
        return self(firm, known, told, **more)


TIMES = st.one_of(
    st.integers(0, 12).map(lambda hours: hours * HOUR),
    st.integers(0, 40).map(lambda days: days * DAY),
    st.sampled_from([DAY - 1, DAY + 1, 30 * DAY, 30 * DAY + 1, 31 * DAY - 1]),
)
QUANTITIES = st.sampled_from([0.1, 1, 2, 10, 10, 30, 100])


def ids(facts, bundle):
    """Return the ids of the alarms that some facts make."""
    lots = LotFold(bundle)
    return sorted({change.alarm for fact in facts for change in lots.fold(0, fact, None)})


@st.composite
def facts(draw, bundle=SHIPPED, most=25):
    """Draw facts of a product in the order in which they are told; some sales are told twice, some reports are revised."""
    tell, found, revisions = ProductTeller(), [], {}
    for i in range(draw(st.integers(1, most))):
        what = draw(st.sampled_from(["sold", "sold", "case", "case", "case", "again", "decided"]))
        firm, at = draw(st.sampled_from(FIRMS)), draw(TIMES)
        received = draw(st.sampled_from([None, None, at + HOUR]))
        if what == "sold":
            found.append(tell.sold(at, draw(QUANTITIES), of=draw(st.sampled_from(LOTS)), firm=firm, received=received))
        elif what == "case":
            report = f"R-{draw(st.integers(1, 8))}"
            number = revisions[firm, report] = revisions.get((firm, report), 0) + 1
            lots = draw(st.sampled_from([(), ("L-1",), ("L-1",), ("L-2",), ("L-1", "L-2")]))
            case, named = f"C-{draw(st.integers(1, 9))}", draw(st.sampled_from([True, True, True, False]))
            found.append(
                tell.case_of(at, case, *lots, firm=firm, report=report, revision=number, named=named, received=received)
            )
        elif what == "decided":
            alarm = draw(st.sampled_from([*ids(found, bundle), "0" * 32]))
            found.append(tell.decided(firm, alarm, decision=f"D-{i}/1"))
        elif sales := [one for one in found if one.event is not None]:
            one = draw(st.sampled_from(sales))
            tell.told[one.facility] += 1
            n = tell.told[one.facility]
            record = one.record.model_copy(update={"id": f"again-{n}"})
            moved = draw(st.sampled_from([0, 0, -DAY]))
            found.append(one.model_copy(update={"n": n, "record": record, "at": one.at + moved}))
    return found or [tell.sold(0, 1)]


def parsed(fact):
    """Return a fact as it comes from its bytes."""
    return LotFact.from_bytes(fact.to_bytes())
