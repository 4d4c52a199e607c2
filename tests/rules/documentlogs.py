"""Hypothesis strategies: logs of reports in every order, of registers and of packs, that rules over what reports say look at."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.documentparts import Each
from rules.instants import parse_instant
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, PacksRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.rule import BalanceRule, DocumentRule

BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
FACILITY = "TEST-0001"
MINUTE, HOUR = 60_000, 3_600_000
FALL, OVER, COPIED = "vigilance.recall-totals-fall", "vigilance.recall-over-returned", "cross-check.copied-report"
SHIPPED = (FALL, OVER, COPIED)
LOTS = Each(of="totals", key="lot", before="previous", subject="lot")
ALIKE = "count_compared(previous) >= 3 && share_equal(previous) >= 0.5"


def variants():
    """Return rules beside the shipped ones, one for each way in which a rule may look at reports."""
    shipped = default_bundle()
    fall, over, copied = (shipped.rule(name) for name in SHIPPED)
    assert isinstance(fall, DocumentRule)
    assert isinstance(over, BalanceRule)
    assert isinstance(copied, DocumentRule)

    def like(rule, name, **more):
        return rule.model_copy(update={"id": f"zz.{name}", **more})

    return [
        like(copied, "alike", condition=ALIKE, leave_out=["limit"]),
        like(copied, "alike-before", condition=ALIKE.replace("previous", "earlier"), leave_out=[]),
        like(fall, "newest-fall", judged="newest"),
        like(fall, "corrected-lots", condition="entry.returned < before.returned",
             each=LOTS.model_copy(update={"before": "earlier", "subject": "report"})),
        like(fall, "any-lot", condition="entry.returned > before.shipped || report.seq > 2.0",
             each=LOTS.model_copy(update={"subject": "report"})),
        like(fall, "fewer-lots", condition="size(report.totals) < size(earlier.totals) || report.seq < previous.seq + 1.0", each=None),
        like(fall, "graver", reports=["recall-notice"], condition="!(report.class >= earlier.class) && report.line in ['drug']", each=None),
        like(fall, "filed-late", reports=["recall-notice"], condition="report.filed_at > report.notified_at", each=None),
        like(fall, "gone-quick", reports=["recall-notice"], condition="entry.shipped / report.class > 2.0",
             each=Each(of="lots", key="lot", subject="lot")),
        like(over, "every", judged="every", tolerance=0.1),
        like(over, "of-report", reports=["annual-report"], each=None, judged="every", parts=["recalls"], whole=["deviations"]),
    ]  # fmt: skip


def rules():
    """Return the shipped rules and the variants."""
    shipped = default_bundle()
    return [*(shipped.rule(name) for name in SHIPPED), *variants()]


def bundle():
    return Bundle.of(rules(), [])


def other_bundles():
    """Return packs that change something: rules that go, other conditions carried or begun anew, other reports that are read."""
    own = {rule.id: rule for rule in rules()}
    fall, alike, newest = own[FALL], own["zz.alike"], own["zz.newest-fall"]
    stricter = "entry.returned < before.returned"
    return [
        Bundle.of([fall, own[OVER]], []),
        Bundle.of([rule for rule in own.values() if rule.id != FALL], []),
        Bundle.of([own[COPIED]], []),
        Bundle.of([fall.model_copy(update={"condition": stricter}), alike, newest], []),
        Bundle.of([fall.model_copy(update={"condition": stricter, "migration": "close"}), own[OVER], alike], []),
        Bundle.of(
            [newest.model_copy(update={"judged": "every"}), own[OVER].model_copy(update={"tolerance": 2.0}), alike], []
        ),
    ]


def entity(scopes):
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "areas": [], "sensors": [],
            "scopes": scopes,
        }
    )  # fmt: skip


SCOPES = [
    [{"field": "vigilance", "line": "drug"}],
    [{"field": "vigilance", "line": "drug"}],
    [{"field": "distribution", "line": "drug"}],
]
AMOUNTS = [0, 1, 2, 2, 3, 0.1, 0.2, 0.3]
FIGURES = [0, 1, 1, 1, 2]


@st.composite
def fields(draw, kind):
    """Draw the fields of a report of a type; now and then ones that cannot be read."""
    if draw(st.integers(0, 39)) == 0:
        return {"nothing": 1}
    if kind.startswith("recall-") and kind != "recall-notice":
        lots = draw(st.lists(st.sampled_from(["L1", "L1", "L2"]), min_size=1, max_size=3))
        totals = [
            {"lot": lot, **{name: draw(st.sampled_from(AMOUNTS)) for name in ("shipped", "returned", "destroyed")}}
            for lot in lots
        ]
        return {
            "recall_id": draw(st.sampled_from(["C1", "C1", "C2"])), "seq": draw(st.integers(1, 3)), "as_of": "2026-02-28",
            "totals": totals,
        }  # fmt: skip
    if kind == "recall-notice":
        lots = draw(st.lists(st.sampled_from(["L1", "L2"]), min_size=1, max_size=2))
        found = {
            "recall_id": "C1", "line": draw(st.sampled_from(["drug", "device"])), "class": draw(st.integers(1, 3)),
            "decided_at": BEGIN - 2 * HOUR, "notified_at": BEGIN - HOUR,
            "lots": [{"lot": lot, "shipped": draw(st.sampled_from([1, 2, 5, 8]))} for lot in lots],
        }  # fmt: skip
        filed = draw(st.sampled_from([None, BEGIN - HOUR, BEGIN - HOUR + 1]))
        return found if filed is None else found | {"filed_at": filed}
    figures = {
        name: draw(st.sampled_from(FIGURES))
        for name in draw(st.sets(st.sampled_from(["a", "b", "c", "d", "a limit"]), min_size=2))
    }
    if kind == "quality-review":
        period = draw(st.sampled_from(["2024", "2025", "2025", "2025-Q1"]))
        return {"product": draw(st.sampled_from(["P1", "P1", "P1", "P2"])), "period": period, "figures": figures}
    if kind == "dsur":
        return {"trial_id": "T1", "anniversary": "2026-02-01", "susar_count": 1}
    products = draw(st.lists(st.sampled_from(["P1", "P2"]), max_size=2, unique=True))
    made = [
        {"product": one, "batches": draw(st.integers(0, 2)), "volume": draw(st.sampled_from(FIGURES)), "unit": "vial"}
        for one in products
    ]
    return {
        "year": draw(st.integers(2024, 2025)), "products": made, "changes": [], "deviations": draw(st.integers(0, 1)),
        "recalls": draw(st.integers(0, 1)), "figures": figures,
    }  # fmt: skip


TYPES = ["recall-progress"] * 5 + [
    "recall-final",
    "recall-notice",
    "quality-review",
    "quality-review",
    "annual-report",
    "dsur",
    "susar",
]

RECALLS, NOTICES = ["recall-progress", "recall-progress", "recall-final"], ["recall-notice"]
YEARLY = ["quality-review", "quality-review", "annual-report"]


@st.composite
def reports(draw, kinds=TYPES):
    """Draw one report; a revision above 1 mostly says why."""
    kind, revision = draw(st.sampled_from(kinds)), draw(st.integers(1, 5))
    reason = draw(st.sampled_from(["typing error"] * 7 + [None, " "])) if revision > 1 else None
    value = {
        "type": kind, "id": f"R{draw(st.integers(1, 3))}", "revision": revision, "sent": BEGIN, "reason": reason,
        "fields": draw(fields(kind)),
    }  # fmt: skip
    return Report.model_validate(value)


@st.composite
def logs(draw):
    """Draw a log: a register, then reports, some of which come again, with other registers, packs and ticks between."""
    packs = [bundle(), *other_bundles()]
    at, version = BEGIN, 0
    entries = [(Kind.REGISTER, FACILITY, RegisterRecord(version=0, facility=entity(SCOPES[0])))]
    times, come = [at], []
    kinds = draw(st.sampled_from([RECALLS, RECALLS, YEARLY, YEARLY, NOTICES, TYPES]))
    for _ in range(draw(st.integers(6, 30))):
        what = draw(st.sampled_from(["report"] * 26 + ["again", "again", "packs", "register", "tick"]))
        at += draw(st.sampled_from([0, 0, 1, MINUTE, HOUR]))
        times.append(at)
        if what == "register":
            version += draw(st.integers(0, 1))
            entries.append(
                (
                    Kind.REGISTER,
                    FACILITY,
                    RegisterRecord(version=version, facility=entity(draw(st.sampled_from(SCOPES)))),
                )
            )
        elif what == "packs":
            entries.append((Kind.PACKS, "", draw(st.sampled_from(packs)).to_record()))
        elif what == "tick":
            entries.append((Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        else:
            report = draw(st.sampled_from(come)) if what == "again" and come else draw(reports(kinds))
            come.append(report)
            entries.append((Kind.REPORT, FACILITY, report))
    return [
        LogRecord(0, i, when, kind, name, payload)
        for i, (when, (kind, name, payload)) in enumerate(zip(times, entries, strict=True))
    ]


def of(payloads, *, begin=BEGIN):
    """Return a log of a register and reports, a minute apart."""
    first = RegisterRecord(version=0, facility=entity(SCOPES[0]))
    found = [(Kind.REGISTER, first), *((Kind.REPORT, one) for one in payloads)]
    return [LogRecord(0, i, begin + i * MINUTE, kind, FACILITY, payload) for i, (kind, payload) in enumerate(found)]


def without_packs(log):
    return [record for record in log if not isinstance(record.payload, PacksRecord)]
