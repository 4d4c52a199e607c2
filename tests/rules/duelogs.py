"""Logs of submitted reports, findings of visits and ticks of one firm that owes all of them: told one by one, or drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from rules.engine import Engine
from rules.instants import format_instant, parse_instant
from rules.pack import default_bundle
from rules.records import Inspection, Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.rule import DeadlineRule

if TYPE_CHECKING:
    from random import Random

    from rules.pack import Bundle
    from rules.records import Payload

BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIRM = "BJ-DUE-0001"
SCOPES = [
    {"field": field, "line": line}
    for field in ("manufacture", "vigilance", "clinical-trials", "medical-use")
    for line in ("drug", "device", "cosmetics")
]
CLOCKS = default_bundle().only({rule.id for rule in default_bundle().rules if isinstance(rule, DeadlineRule)})


def firm(name: str = FIRM, **more: Any) -> Facility:
    """Return a firm of every field and line."""
    facts = {"id": name, "name": {"zh": "应报", "en": "Due"}, "jurisdiction": "110115", "scopes": SCOPES}
    return Facility.model_validate(facts | more)


class DueLog:
    """One partition of a log; every method appends a record at so many ms behind its beginning."""

    def __init__(self, name: str = FIRM, *, partition: int = 0, begin: int = BEGIN, **facts: Any) -> None:
        self.name, self.partition, self.begin = name, partition, begin
        self.records: list[LogRecord] = []
        self.register(0, **facts)

    def append(self, at: int, kind: Kind, payload: Payload, *, facility: str | None = None) -> DueLog:
        """Append any record of the firm."""
        name = self.name if facility is None else facility
        place = (self.partition, len(self.records), self.begin + at)
        self.records.append(LogRecord(*place, kind, name, payload))
        return self

    def register(self, at: int, **facts: Any) -> DueLog:
        """Append a newer version of its registered facts."""
        version = sum(record.kind is Kind.REGISTER for record in self.records)
        return self.append(at, Kind.REGISTER, RegisterRecord(version=version, facility=firm(self.name, **facts)))

    def report(self, at: int, kind: str, fields: dict[str, Any], **more: Any) -> DueLog:
        """Append a report; instants among its fields are ms behind the log's beginning where their name says so."""
        told = {key: self.begin + value if key.endswith("_at") else value for key, value in fields.items()}
        said = {"type": kind, "id": f"R-{len(self.records)}", "revision": 1, "sent": self.begin + at}
        return self.append(at, Kind.REPORT, Report.model_validate(said | {"fields": told} | more))

    def death(self, at: int, case: str = "C-1", **more: Any) -> DueLog:
        """Append a case of an adverse reaction that ended in death, known when it is sent."""
        fields = {
            "case_id": case, "known_at": at, "onset": "2026-02-27", "seriousness": "death", "is_new": False,
            "product": "P-1", "outcome": "died", "source_channel": "hospital",
        }  # fmt: skip
        return self.report(at, "adr-case", fields | more.pop("fields", {}), **more)

    def investigation(self, at: int, case: str = "C-1", **more: Any) -> DueLog:
        """Append the report that answers a death."""
        fields = {"case_id": case, "known_at": 0, "conclusion": "no link", "lots": []}
        return self.report(at, "adr-death-investigation", fields, **more)

    def visit(self, at: int, visit: str = "V-1", version: int = 1, **more: Any) -> DueLog:
        """Append a visit; `handed_over_at` is behind the log's beginning."""
        told = {key: self.begin + value if key.endswith("_at") else value for key, value in more.items()}
        said = {"visit": visit, "version": version, "mode": "on-site", "done_at": self.begin, "full": True}
        payload = Inspection.model_validate(said | {"findings": {"major": 1}} | told)
        return self.append(at, Kind.INSPECTION, payload)

    def tick(self, at: int, role: str = "gateway") -> DueLog:
        """Append a tick."""
        said = {"by": "gw-1", "role": role, "now": format_instant(self.begin + at)}
        return self.append(at, Kind.TICK, Tick.model_validate(said), facility="")

    def engine(self, bundle: Bundle = CLOCKS) -> Engine:
        """Return an engine that has folded it, with the legal clocks alone unless others are given."""
        engine = Engine(bundle)
        for record in self.records:
            engine.fold(record)
        return engine


def _step(log: DueLog, random: Random, at: int) -> None:
    case = f"C-{random.randint(1, 3)}"
    known = max(0, at - random.choice([0, HOUR, 5 * DAY, 14 * DAY, 40 * DAY]))
    revision = random.choice([1, 1, 1, 2])
    more = {"revision": revision, "reason": "corrected"} if revision > 1 else {}
    chosen = random.randrange(12)
    if chosen == 0:
        log.death(
            at, case, fields={"known_at": known, "seriousness": random.choice(["death", "death", "serious"])}, **more
        )
    elif chosen == 1:
        log.investigation(at, case)
    elif chosen == 2:
        day0 = format_instant(log.begin + known)[:10]
        fatal, follow = random.random() < 0.7, random.random() < 0.4
        fields = {"trial_id": "T-1", "case_id": case, "day0": day0, "fatal_or_life_threatening": fatal}
        log.report(at, "susar", fields | {"follow_up": follow}, **more)
    elif chosen == 3:
        fields = {
            "case_id": case,
            "class": random.choice(["ordinary", "serious", "social"]),
            "known_at": known,
            "filing_id": "F-1",
        }
        log.report(at, "cosmetic-reaction", fields, **more)
    elif chosen == 4:
        fields = {"cases": [case, "C-9"], "class": "serious", "known_at": known, "finding": "none"}
        log.report(at, "cosmetic-self-check", fields)
    elif chosen == 5:
        fields = {
            "event_id": case,
            "class": random.choice(["group", "death"]),
            "known_at": known,
            "udi": "U",
            "lot": "L",
        }
        log.report(at, "device-event", fields | {"channel": random.choice(["phone", "online", "online"])}, **more)
    elif chosen == 6:
        fields = {
            "recall_id": case,
            "line": "drug",
            "class": random.randint(1, 3),
            "decided_at": known,
            "notified_at": known,
        }
        log.report(at, "recall-notice", fields | {"lots": [{"lot": "L", "shipped": 5}]}, **more)
    elif chosen == 7:
        totals = [{"lot": "L", "shipped": 5, "returned": 1, "destroyed": 0}]
        fields = {"recall_id": case, "seq": 1, "as_of": "2026-03-01", "totals": totals}
        log.report(at, "recall-progress", fields)
    elif chosen == 8:
        plan = random.choice([{}, {}, {"plan_date": "2026-06-30"}, {"plan_date": "2026-03-20"}])
        over = {"handed_over_at": known} if random.random() < 0.8 else {}
        log.visit(at, f"V-{random.randint(1, 2)}", random.randint(1, 3), **over, **plan)
    elif chosen == 9:
        fields = {"inspection_id": f"V-{random.randint(1, 2)}", "handed_over_at": known, "actions": ["a seal"]}
        log.report(at, "rectification", fields)
    elif chosen == 10:
        log.report(at, "dsur", {"trial_id": "T-1", "anniversary": "2026-03-10", "susar_count": 0})
    else:
        log.register(at, **_facts(random))


def _facts(random: Random) -> dict[str, Any]:
    ended = {"ended": "2026-04-01"} if random.random() < 0.3 else {}
    licences = [{"number": "N-1", "kind": "drug-mah", "from": "2020-01-01"}]
    return {
        "trials": [{"id": "T-1", "anniversary": "2024-03-10"} | ended] if random.random() < 0.8 else [],
        "licences": licences if random.random() < 0.6 else [],
        "jurisdiction": random.choice(["110115", "110115", "810000"]),
    }


@st.composite
def logs(draw: st.DrawFn) -> DueLog:
    """Draw a log of months, with ticks as dense as its days, and now and then a closed front door."""
    random = draw(st.randoms(use_true_random=False))
    begin = random.choice(
        [BEGIN, BEGIN, parse_instant("2025-12-20T00:00:00+08:00"), parse_instant("2027-11-01T09:00:00+08:00")]
    )
    log = DueLog(begin=begin, **_facts(random))
    at = 0
    for _ in range(draw(st.integers(1, 14))):
        at += random.choice([0, 1, MINUTE, HOUR, 11 * HOUR, DAY, 3 * DAY, 12 * DAY, 20 * DAY])
        if random.random() < 0.3:
            log.tick(at).tick(at + random.choice([5 * MINUTE, 20 * MINUTE, 2 * HOUR, 2 * DAY]))
            at = log.records[-1].received - begin
        _step(log, random, at)
    return log
