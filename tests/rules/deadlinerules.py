"""Clocks of each sort, of hours and few days, so that a random log meets their ends; and packs with them and the shipped ones."""

from __future__ import annotations

from rules.calendar import Calendar
from rules.pack import Bundle, default_bundle
from rules.rule import DeadlineRule
from tests.rules.oracle.excursions import plain

KNOWN = {"key": "case_id", "at": "known_at"}


def rule(rule_id, **members):
    """Return a clock that takes the texts of a shipped one; of hours and few days, so that a random log meets its end."""
    base = default_bundle().rule("report-clock.adr-death").model_dump(mode="json", by_alias=True, exclude_none=True)
    del base["only"]
    return DeadlineRule.model_validate(
        base | {"id": rule_id, "scopes": [{"field": "all", "line": "all"}], "tests": []} | members
    )


def variants():
    """Return clocks of each sort."""
    death = {"report": "adr-death-investigation", **KNOWN}
    case = {"report": "adr-case", **KNOWN}
    return [
        rule(
            "test.await", starts=case, answer=death, only=[{"seriousness": ["death", "serious"]}],
            within=[{"where": {"seriousness": "death"}, "time": "2h"}, {"before": "2026-03-02", "time": "1d"}, {"time": "2d"}],
            reminder={"share": 0.8}, overdue=[{"after": "1h", "to": "red"}], severity={"base": "orange"},
        ),
        rule(
            "test.own", answer=case, severity={"base": "yellow"},
            within=[{"where": {"seriousness": "death"}, "time": "1h"}, {"where": {"is_new": True}, "time": "1d"}],
            overdue=[{"after": "2h", "to": "orange"}, {"after": "1d", "to": "red"}],
        ),
        rule(
            "test.again", starts={"report": "recall-notice", "key": "recall_id", "at": "received"},
            answer={"report": "recall-progress", "key": "recall_id"}, again_until={"report": "recall-final", "key": "recall_id"},
            within=[{"where": {"class": 1}, "time": "1h"}, {"where": {"class": 2}, "time": "1d"}], severity={"base": "orange"},
        ),
        rule(
            "test.notice", answer={"report": "recall-notice", "key": "recall_id", "at": "decided_at"}, judged="notified_at",
            within=[{"where": {"line": "drug", "class": 1}, "before": "2026-03-03", "time": "3h"}, {"time": "1d"}],
        ),
        rule(
            "test.visit", inspections=True, answer={"report": "rectification", "key": "inspection_id", "at": "handed_over_at"},
            within=[{"time": "2wd"}], plan="plan_date", reminder={"before": "6h"}, severity={"base": "orange"},
            overdue=[{"after": "1wd", "to": "red"}],
        ),
        rule(
            "test.list", starts={"report": "cosmetic-reaction", **KNOWN},
            answer={"report": "cosmetic-self-check", "key": "cases", "at": "known_at"},
            only=[{"class": "serious"}, {"class": "social"}], within=[{"where": {"class": "serious"}, "time": "1d"}, {"time": "5h"}],
            reminder={"share": 0.5}, severity={"base": "yellow"},
        ),
        rule(
            "test.phone", starts={"report": "device-event", "key": "event_id", "at": "known_at"},
            answer={"report": "device-event", "where": {"channel": "phone"}, "key": "event_id", "at": "known_at"},
            only=[{"class": "group"}], within=[{"time": "4h"}], reminder={"share": 0.25}, severity={"base": "red"},
        ),
        rule(
            "test.trials", yearly="trials", answer={"report": "dsur", "key": "trial_id"}, within=[{"time": "1d"}],
            reminder={"share": 0.8}, overdue=[{"after": "1d", "to": "orange"}], severity={"base": "yellow"},
        ),
        rule(
            "test.ahead", yearly="trials", answer={"report": "dsur", "key": "trial_id"}, within=[{"time": "3d"}],
            reminder={"before": "370d"}, severity={"base": "yellow"},
        ),
        rule(
            "test.holders", yearly="holders", answer={"report": "annual-report", "key": "year"}, within=[{"time": "3mo"}],
            reminder={"before": "20d"}, overdue=[{"after": "3wd", "to": "orange"}], severity={"base": "yellow"},
        ),
    ]  # fmt: skip


OWN = tuple(one.id for one in variants())
SHIPPED = tuple(one.id for one in default_bundle().rules if isinstance(one, DeadlineRule) and one.stage != "draft")
YEARS = default_bundle().calendars["cn"]
SHORT = YEARS.model_copy(update={"years": {"2025": YEARS.years["2025"]}})
"""A calendar that ends before any log begins."""
OTHER = Calendar.model_validate(
    {
        "schema": "calendar/1", "id": "there", "edition": "1", "title": {"en": "There", "zh": "彼处"}, "prefixes": ["1101", "71"],
        "years": {"2026": {"status": "own", "source": "own", "days_off": ["03-02", "03-03"], "worked": ["03-07"]}},
    }
)  # fmt: skip


def bundle(rules, calendars=(YEARS,), more=()):
    """Return packs of clocks, with `more` rules of the shipped ones."""
    others = [one for one in default_bundle().rules if one.id in more]
    return Bundle.of([*rules, *others], default_bundle().tables.values(), calendars=calendars)


def clocks():
    """Return all clocks, of random logs and shipped."""
    return [*variants(), *(default_bundle().rule(name) for name in SHIPPED)]


WHOLE = Bundle.of(
    [*plain(default_bundle().rules), *variants()],
    default_bundle().tables.values(),
    calendars=[*default_bundle().calendars.values(), OTHER],
)
"""Every shipped rule but those that are held against an oracle of their own."""
RARE = bundle(clocks(), [YEARS, OTHER], ("register.calibration-due", "data-integrity.audit-disabled"))
"""With rules over events and the register: versions of the register may change."""
SOME = bundle(clocks(), more=("cold-chain.store-out", "data-integrity.gap"))
"""With rules over series: packs may change."""
ALONE = bundle(variants())
"""Both may change."""
PACKS = {"whole": WHOLE, "rare": RARE, "some": SOME, "alone": ALONE}
"""By name."""
