"""A store with many alarms, written in bulk: for query plans and for pages that must not grow with them."""

from __future__ import annotations

import hashlib
import random

from sqlalchemy import insert, text

from monitor.store.desk_tables import AlarmRow
from tests.monitor.desk.lab import NOW

COLOURS = ("blue", "yellow", "orange", "red")
RULES = ("cold-chain.store-out", "data-integrity.gap", "cell-storage.oxygen-low", "data-integrity.frozen")


def crowd(store, opened, ended, facilities=100):
    """Write open alarms and cleared ones; every tenth cleared one was never acknowledged.

    PostgreSQL keeps statistics by itself, SQLite has none unless somebody asks for them: so it is here.
    """
    chance = random.Random(7)  # noqa: S311 - a seed makes the run repeatable
    rows = [_row(chance, n, n < opened, facilities) for n in range(opened + ended)]
    with store.writing() as session:
        for start in range(0, len(rows), 5_000):
            session.execute(insert(AlarmRow), rows[start : start + 5_000])
    if store.dialect == "postgresql":
        with store.engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()


def _row(chance, n, is_open, facilities):
    rank = chance.randrange(4)
    start = NOW - chance.randrange(10_000_000)
    name = f"F{n % facilities}"
    return {
        "id": hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest(),
        "stream": name, "facility": name, "rule": chance.choice(RULES), "version": "1.0.0", "packs": "x",
        "subject": f'{{"tag":"T{n}"}}', "status": "active" if is_open else "cleared", "severity": COLOURS[rank],
        "severity_rank": rank, "highest": COLOURS[rank], "stage": "live", "start_ms": start,
        "end_ms": None if is_open else start + 1, "raised_ms": start, "asked_ms": start + chance.randrange(1_000_000), "changed_ms": start,
        "suppressed_by": None, "late": False, "changes": 1, "revision": 1, "attention_revision": 1,
        "acknowledged_revision": int((n % 3 == 0) if is_open else (n % 10 != 0)), "acknowledged_by": None,
        "acknowledged_ms": None, "message_en": "x", "message_zh": "某", "evidence": "{}",
    }  # fmt: skip
