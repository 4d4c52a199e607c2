"""Hypothesis strategies: site exceptions from rules of random logs, and what rules allow of them."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.allowances import Allowances
from rules.exceptions import SiteException
from rules.pack import Bundle
from tests.rules import logs

STORE, TANK, JUMP, FROZEN = (
    "cold-chain.store-out", "cell-storage.vapour-high", "test.leap", "data-integrity.frozen",
)  # fmt: skip
ALLOWED = {
    STORE: {
        "limits.high": {"min": 8, "max": 20}, "limits.low": {"min": -5, "max": 2}, "when.on_delay": {"max": "2h"},
        "mute": True,
    },
    TANK: {"limits.high": {"min": -155, "max": -100}, "when.on_delay": {"max": "2h"}, "mute": True},
    JUMP: {"mute": True},
    FROZEN: {"mute": True},
}  # fmt: skip
TAKEN = {
    STORE: [
        {"limits.high": 8.5}, {"limits.high": 12, "limits.low": 1.5}, {"limits.low": 0}, {"when.on_delay": "20m"}, {"mute": True},
    ],
    TANK: [{"limits.high": -152}, {"limits.high": -130, "when.on_delay": "1h"}, {"mute": True}],
    JUMP: [{"mute": True}],
    FROZEN: [{"mute": True}],
}  # fmt: skip
"""What exceptions take; the first numbers of the store lie between values of the logs."""


def allowing(bundle, allowed=ALLOWED, exceptions=()):
    """Return the packs with what some rules allow, `{rule: members}`, and with exceptions."""
    rules = [
        rule.model_copy(update={"exceptions": Allowances.model_validate(allowed[rule.id])})
        if rule.id in allowed
        else rule
        for rule in bundle.rules
    ]
    return Bundle.of(rules, bundle.tables.values(), exceptions, bundle.calendars.values())


def exception(**members):
    """Return an exception: the facility of the logs, its T0, all time that matters, unless said otherwise."""
    entry = {
        "id": "EX-1", "rule": STORE, "facility": logs.FACILITY, "tag": "T0", "from": logs.BEGIN, "to": logs.BEGIN + 86_400_000,
        "allow": {"limits.high": 12}, "reason": {"zh": "压缩机更换", "en": "Compressor is replaced"}, "approver": "Wang Wei",
        "approved_date": "2026-02-01", **members,
    }  # fmt: skip
    return SiteException.model_validate(entry)


@st.composite
def exceptions(draw, instants, taken=TAKEN):
    """Draw exceptions whose windows begin and end at, or a millisecond beside, some instants; those of one rule and tag apart."""
    found = []
    for rule in sorted(taken):
        for tag in ("T0", "T1"):
            near = st.sampled_from(sorted(set(instants))).flatmap(lambda at: st.sampled_from([at - 1, at, at, at + 1]))
            borders = sorted(draw(st.sets(near, min_size=2, max_size=4)))
            for begin, end in zip(borders[::2], borders[1::2], strict=False):
                allow = draw(st.sampled_from(taken[rule]))
                found.append(
                    exception(id=f"EX-{len(found)}", rule=rule, tag=tag, allow=allow, **{"from": begin, "to": end})
                )
    return found


def instants_of(log, until):
    """Return instants at which something of a log is decided: when records came, when rows were measured."""
    found = {until, *(record.received for record in log)}
    for record in log:
        times = getattr(record.payload, "time", None)
        found |= set() if times is None else set(times.tolist()[:40])
    return found
