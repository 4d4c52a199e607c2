"""Logs of what figures over all facilities are made of: samples, visits, grades, decisions about grades; told one by one, or drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.evaluate import evaluate
from rules.figures.facts import facts_of
from rules.pack import default_bundle
from rules.records import Decision, Events, Kind
from tests.rules.duelogs import DAY, HOUR, DueLog

if TYPE_CHECKING:
    from random import Random

    from rules.engine import Engine
    from rules.figures.facts import FacilityFacts
    from rules.pack import Bundle

LAB, MAKER, SHOP = "BJ-LAB-0001", "BJ-MFR-0101", "BJ-RTL-0102"
STEP_UP = default_bundle().only({"risk.step-up", "data-integrity.audit-disabled"})
"""The rule that proposes steps, and one that it hears."""
PRODUCTS = [
    {"id": name, "name": {"zh": name, "en": name}, "class": of, "storage": "room"}
    for name, of in (("P-1", "chemical"), ("P-2", "device"), ("P-3", "cosmetic"))
]


def risk(grade: str, last_visit: str | None = None) -> dict[str, Any]:
    """Return what a register says of the risk of a facility."""
    return {"grade": grade, "since": "2026-01-01"} | ({} if last_visit is None else {"last_visit": last_visit})


class FigureLog(DueLog):
    """One partition of a log; every method appends a record at so many ms behind its beginning."""

    def sample(
        self, at: int, sample: str = "S-1", *, passed: bool = True, drawn: int | None = None, of: str = MAKER,
        product: str = "P-1", retest_of: str | None = None, facility: str | None = None, **more: Any,
    ) -> FigureLog:  # fmt: skip
        """Append the report of a sample, drawn an hour before unless `drawn` (ms behind the log's beginning) says otherwise."""
        verdict = "pass" if passed else "fail"
        fields = {
            "sample_id": sample, "facility_sampled": of, "product": product, "lot": "L-1",
            "drawn_at": at - HOUR if drawn is None else drawn, "tests": [{"name": "assay", "verdict": verdict}],
            "verdict": verdict,
        }  # fmt: skip
        fields |= {} if retest_of is None else {"retest_of": retest_of}
        name, self.name = self.name, self.name if facility is None else facility
        self.report(at, "sampling-result", fields, **more)
        self.name = name
        return self

    def disabled(self, at: int, system: str = "S-1") -> FigureLog:
        """Append an audit trail that was switched off: a red alarm."""
        event = {"stream": "audit", "type": "audit-disabled", "source": "LIMS", "time": self.begin + at}
        said = {"batch": f"b{len(self.records)}", "events": [event | {"fields": {"system": system}}]}
        self.append(at, Kind.EVENTS, Events.model_validate(said))
        return self

    def decided(
        self, at: int, code: str = "grade-signed", name: str = "D-1", version: int = 1, **subject: str
    ) -> FigureLog:
        """Append a decision, about the grade unless a subject is named."""
        said = {
            "id": name, "version": version, "subject": subject or {"grade": "B"}, "code": code, "officer": "li.lei",
            "revision_seen": 1, "reason_sha256": "0" * 64,
        }  # fmt: skip
        self.append(at, Kind.DECISION, Decision.model_validate(said))
        return self

    def facts(self, bundle: Bundle | None = None) -> list[FacilityFacts]:
        """Return what figures need of every facility of the log."""
        return facts_in(self.engine(bundle or STEP_UP), self.partition)

    def alarm(self, bundle: Bundle | None = None) -> str:
        """Return the first alarm that a rule over the grade does not tell."""
        changes = evaluate(self.records, bundle or STEP_UP)
        return next(change.alarm for change in changes if change.rule != "risk.step-up")


def facts_in(engine: Engine, partition: int = 0) -> list[FacilityFacts]:
    """Return what figures need of the facilities that an engine holds in a partition."""
    return [facts_of(engine.state_of(name)) for name in engine.facilities(partition)]


def drawn(random: Random, length: int = 40) -> FigureLog:
    """Return a log of a laboratory, a maker and a shop: samples in revisions, re-tests, visits in versions, grades, decisions."""
    log, at = FigureLog(LAB, risk=None), 0
    for name in (MAKER, SHOP, LAB):
        _register(log, random, at, name)
    for _ in range(length):
        at += random.choice([0, HOUR, DAY, 20 * DAY])
        _step(log, random, at)
    return log


def _register(log: FigureLog, random: Random, at: int, name: str) -> None:
    grade = random.choice([None, "A", "B", "C"])
    last = random.choice([None, "2026-02-01", "2025-12-31", "2026-05-05"])
    scopes = [{"field": random.choice(["laboratory", "retail"]), "line": random.choice(["drug", "device", "all"])}]
    log.name, before = name, log.name
    log.register(
        at, products=random.choice([PRODUCTS, PRODUCTS[:2], PRODUCTS[1:]]), scopes=scopes,
        risk=None if grade is None else risk(grade, last),
    )  # fmt: skip
    log.name = before


def _step(log: FigureLog, random: Random, at: int) -> None:
    name = random.choice([MAKER, SHOP])
    revision = random.choice([1, 1, 2, 3])
    more = {"revision": revision} | ({"reason": "mistyped"} if revision > 1 and random.random() < 0.9 else {})
    chosen = random.randrange(10)
    if chosen < 6:
        sample = random.choice(["S-1", "S-2", "S-3", "S-4"])
        log.sample(
            at, sample, passed=random.random() < 0.6, drawn=at - random.choice([HOUR, 10 * DAY, 40 * DAY]), of=name,
            product=random.choice(["P-1", "P-2", "P-3", "P-9"]), facility=random.choice([LAB, SHOP]), id=f"R-{random.randrange(6)}",
            retest_of=random.choice([None, None, "S-1", "S-2", "S-5"]), **more,
        )  # fmt: skip
    elif chosen < 8:
        log.name, before = name, log.name
        log.visit(
            at, random.choice(["V-1", "V-2"]), random.choice([1, 2]), done_at=at - random.choice([0, 5 * DAY, 60 * DAY]),
            mode=random.choice(["on-site", "on-site", "written"]), full=random.random() < 0.8,
        )  # fmt: skip
        log.name = before
    elif chosen == 8:
        _register(log, random, at, random.choice([name, LAB]))
    else:
        log.tick(at)
