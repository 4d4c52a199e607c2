"""Rows as the templates take them: words chosen, lengths of time worked out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.alarms.axes import OPEN, Attention, attention, state
from monitor.alarms.moments import SILENCE
from monitor.console.conditions import condition, operand, operator
from monitor.console.formats import MINUTE
from monitor.console.texts import TEXTS, text
from rules.changes import Verdict
from rules.instants import span
from rules.models import Severity

if TYPE_CHECKING:
    from monitor.alarms.chart import Chart, Series
    from monitor.alarms.rulebook import Rulebook
    from monitor.store.desk_tables import AlarmRow, ChangeRow, OperatorAlarm
    from rules.changes import Evidence, Leaf

TABLE_ROWS = 240


def alarm(
    row: AlarmRow, rulebook: Rulebook, names: dict[str, dict[str, str]], language: str, now_ms: int, covers: int = 0
) -> dict[str, Any]:
    """Return one alarm for a template; texts from outside are plain text, the template escapes them."""
    until = row.end_ms if row.end_ms is not None else now_ms
    left = _left(row, rulebook, language, now_ms)
    return {
        "id": row.id,
        "severity": row.severity,
        "highest": row.highest,
        "status": row.status,
        "attention": attention(row).value,
        "state": state(row).value,
        "title": _title(row, rulebook, language),
        "message": row.message_zh if language == "zh" else row.message_en,
        "rule": row.rule,
        "version": row.version,
        "facility": row.facility,
        "facility_name": names.get(row.facility, {}).get(language, row.facility),
        "subject": json.loads(row.subject),
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "raised_ms": row.raised_ms,
        "asked_ms": row.asked_ms,
        "lasted": span(max(0, until - row.start_ms), language),
        "left": left,
        "late": row.late,
        "stage": row.stage,
        "suppressed_by": row.suppressed_by,
        "revision": row.revision,
        "acknowledged_by": row.acknowledged_by,
        "acknowledged_ms": row.acknowledged_ms,
        "acknowledged_revision": row.acknowledged_revision,
        "covers": covers,
    }


def _title(row: AlarmRow, rulebook: Rulebook, language: str) -> str:
    """Return the rule's title; a rule for silences speaks of a series, its alarm may be of an area or the whole feed."""
    subject = json.loads(row.subject)
    if row.rule in rulebook.silences and "tag" not in subject:
        return text("silence.area" if "area" in subject else "silence.feed", language)
    return str(getattr(rulebook.title(row.rule, row.packs), language))


def _left(row: AlarmRow, rulebook: Rulebook, language: str, now_ms: int) -> dict[str, Any] | None:
    """Return the time left to respond, for an open alarm that nobody has acknowledged; `share` is in percent."""
    if attention(row) is not Attention.UNACKNOWLEDGED or row.status not in OPEN:
        return None
    limit = rulebook.respond(row.rule, Severity(row.severity), row.packs)
    if not isinstance(limit, int):
        days = limit.removesuffix("wd")
        words = text("left.day" if days == "1" else "left.days", language, n=days)
        return {"text": words, "share": None, "over": False}
    rest = row.asked_ms + limit - now_ms
    if abs(rest) >= 10 * MINUTE:
        rest -= rest % MINUTE  # seconds matter at the end
    if rest < 0:
        return {"text": text("left.over", language, t=span(rest, language)), "share": 0, "over": True}
    return {"text": span(rest, language), "share": min(100, round(100 * rest / limit)), "over": False}


def tally(counts: dict[tuple[str, bool], int], returned: dict[str, int]) -> list[dict[str, Any]]:
    """Return the open alarms by colour, worst first, how many of them nobody has acknowledged, and how many ended unseen."""
    return [
        {
            "severity": severity.value,
            "open": counts.get((severity.value, False), 0) + counts.get((severity.value, True), 0),
            "unseen": counts.get((severity.value, False), 0),
            "returned": returned.get(severity.value, 0),
        }
        for severity in sorted(Severity, key=lambda each: -each.rank)
    ]


def fault(row: OperatorAlarm, language: str) -> dict[str, Any]:
    """Return one fault of the monitor for a template; a code without words of its own is shown as it is."""
    key = f"monitor.{row.code}"
    return {
        "code": row.code,
        "title": text(key, language) if key in TEXTS else row.code,
        "subject": row.subject,
        "opened_ms": row.opened_ms,
        "last_ms": row.last_ms,
        "count": row.count,
        "detail": row.detail,
    }


def change(row: ChangeRow, language: str) -> dict[str, Any]:
    """Return one change of an alarm's history for a template."""
    body = json.loads(row.body)
    return {
        "seq": row.seq,
        "received_ms": row.received_ms,
        "change": body["change"],
        "severity": body["severity"],
        "message": body["message"][language],
        "by": body.get("by"),
        "source": row.source,
    }


def peak(evidence: Evidence, at_ms: int | None) -> dict[str, Any] | None:
    """Return the value farthest outside for a template, with its unit and its time as far as they are known."""
    if evidence.peak is None:
        return None
    units = [limit.unit for limit in evidence.limits] + [leaf.unit for leaf in evidence.leaves]
    return {"value": evidence.peak, "unit": next((unit for unit in units if unit), None), "at_ms": at_ms}


def leaf(found: Leaf, language: str, silent_ms: int | None = None) -> dict[str, Any]:
    """Return one condition of the evidence for a template: the engine writes it in one language, this is the other.

    `silent_ms` is the time since the last reading: a silence has no value of its own. It stands only where the silence
    holds: beside a verdict of false (a record came, or late data show that none was missing) it would contradict it.
    """
    words, right, left = found.expr, found.right, found.left
    holds = found.verdict is Verdict.TRUE
    if holds and left is None and silent_ms is not None and words.startswith(SILENCE):
        left = span(silent_ms, language)
    for begins, key in _SPOKEN.items():
        if words.startswith(begins):
            words = text(key, language, tag=words.removeprefix(begins))
            break
    else:
        words = condition(words, language)
    if isinstance(left, str):
        left = operand(left, language)
    if isinstance(right, str):
        right = text(_BOUNDS[right], language) if right in _BOUNDS else operand(right, language)
        number, _, rest = right.partition(" x ")
        right = text("leaf.intervals", language, n=number) if rest == "interval" else right
    # A silence whose last reading is not archived has no value on its left, nor has a value that is not known; a dash there
    # would say that one is missing.
    compared = left is not None or right is not None
    return {
        "expr": words, "left": left, "op": operator(found.op, language), "right": right, "unit": found.unit,
        "behind_left": isinstance(right, str) and isinstance(left, float | int), "verdict": found.verdict.value, "compared": compared,
    }  # fmt: skip


_SPOKEN = {SILENCE: "leaf.silence", "rows received": "leaf.rows", "movement of ": "leaf.movement",
           "change of ": "leaf.change", "second value of ": "leaf.second", "time ahead of ": "leaf.ahead", "age of ": "leaf.age",
           "event time of ": "leaf.time", "event time in open gaps of ": "leaf.gap-time", "rules that judged nothing in open gaps of ": "leaf.gap-rules", "equal values of ": "leaf.equal", "decimals of ": "leaf.decimals", "records without more decimals of ": "leaf.clean",
           "clock offset, median of ": "leaf.offset", "clock drift a day": "leaf.drift", "clock of the device": "leaf.clock",
           "occasions of ": "leaf.occasions", "at once: ": "leaf.at-once", "time since the newest audit heartbeat": "leaf.beat",
           "any record of the facility": "leaf.any", "rolling mean of ": "leaf.mean", "records with particles of ": "leaf.particles"}  # fmt: skip
_BOUNDS = {"limits": "leaf.limits", "horizon": "leaf.horizon"}


def table_rows(series: Series, chart: Chart) -> list[int]:
    """Return which readings the table shows, newest first: those nearest to the start of the alarm."""
    order = sorted(range(len(series.time)), key=lambda i: abs(series.time[i] - chart.start_ms))[:TABLE_ROWS]
    return sorted(order, reverse=True)


def beyond(series: Series, i: int) -> bool:
    """Say whether a reading lies beyond one of the limits drawn."""
    value = series.value[i]
    if value is None:
        return False
    return any(value < line.value if line.name == "low" else value > line.value for line in series.lines)
