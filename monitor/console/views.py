"""Rows as the templates take them: words chosen, lengths of time worked out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.alarms.axes import OPEN, attention, state
from monitor.console.formats import span
from monitor.console.texts import text
from rules.models import Severity

if TYPE_CHECKING:
    from monitor.alarms.chart import Chart, Series
    from monitor.alarms.rulebook import Rulebook
    from monitor.store.desk_tables import AlarmRow, ChangeRow

TABLE_ROWS = 240


def alarm(
    row: AlarmRow, rulebook: Rulebook, names: dict[str, dict[str, str]], language: str, now_ms: int, covers: int = 0
) -> dict[str, Any]:
    """Return one alarm for a template; texts from outside are plain text, the template escapes them."""
    until = row.end_ms if row.end_ms is not None else now_ms
    return {
        "id": row.id,
        "severity": row.severity,
        "highest": row.highest,
        "status": row.status,
        "attention": attention(row).value,
        "state": state(row).value,
        "title": getattr(rulebook.title(row.rule), language),
        "message": row.message_zh if language == "zh" else row.message_en,
        "rule": row.rule,
        "version": row.version,
        "facility": row.facility,
        "facility_name": names.get(row.facility, {}).get(language, row.facility),
        "subject": json.loads(row.subject),
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "raised_ms": row.raised_ms,
        "lasted": span(max(0, until - row.start_ms), language),
        "left": _left(row, rulebook, language, now_ms),
        "late": row.late,
        "suppressed_by": row.suppressed_by,
        "revision": row.revision,
        "acknowledged_by": row.acknowledged_by,
        "acknowledged_ms": row.acknowledged_ms,
        "acknowledged_revision": row.acknowledged_revision,
        "covers": covers,
    }


def _left(row: AlarmRow, rulebook: Rulebook, language: str, now_ms: int) -> dict[str, Any] | None:
    """Return the time left to respond, for an open alarm that nobody has acknowledged."""
    if attention(row).value != "unacknowledged" or row.status not in OPEN:
        return None
    limit = rulebook.respond(row.rule, Severity(row.severity))
    if not isinstance(limit, int):
        return {"text": text("left.days", language, n=limit.removesuffix("wd")), "share": None, "over": False}
    rest = row.raised_ms + limit - now_ms
    if rest < 0:
        return {"text": text("left.over", language, t=span(rest, language)), "share": 0, "over": True}
    return {"text": span(rest, language), "share": round(100 * rest / limit), "over": False}


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
