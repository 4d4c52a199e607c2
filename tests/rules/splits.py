"""The same log in other batches: their rows, received at the same instant, in as many as one likes."""

from __future__ import annotations

from rules.records import LogRecord, Readings
from tests.rules import logs


def rows_of(payload):
    """Return the rows of a batch, in their order."""
    tags = [tag for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True) for _ in range(count)]
    columns = zip(tags, payload.time.tolist(), payload.value.tolist(), payload.quality.tolist(), strict=True)
    return [logs.Row(*row) for row in columns]


def split(log, random):
    """Return the log with batches of one instant cut into several."""
    return _with(log, lambda left: random.randint(1, left))


def row_by_row(log):
    """Return the log with a batch for every row."""
    return _with(log, lambda _: 1)


def _with(log, size):
    found = []
    for record in log:
        payload = record.payload
        parts = [payload]
        if isinstance(payload, Readings):
            rows, parts = rows_of(payload), []
            while rows:
                cut = size(len(rows))
                part, rows = rows[:cut], rows[cut:]
                parts.append(logs.readings(part, f"{payload.batch}-{len(rows)}"))
        for part in parts:
            found.append(LogRecord(0, len(found), record.received, record.kind, record.facility, part))
    return found
