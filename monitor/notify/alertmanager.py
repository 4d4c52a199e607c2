"""Alertmanager, API v2: open alarms are posted and posted again, ended ones are posted once more with their end.

Level-triggered: each round compares the alarms with what the channel was last told (table `notice`), so a round that
fails, a desk that was down or an Alertmanager that lost its memory is made good by the next round. An alarm that is
covered by a wider one is not announced, but its end is always sent if it was announced before.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import and_, or_, select

from monitor.alarms.axes import OPEN, attention, state
from monitor.store.desk_tables import AlarmRow, NoticeRow
from rules.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.alarms.rulebook import Rulebook
    from monitor.desk.figures import Figures
    from monitor.store.session import Store

log = logging.getLogger(__name__)
CHANNEL = "alertmanager"
RESEND_MS = 60_000
LASTS_MS = 4 * RESEND_MS
"""Alertmanager resolves what it hears nothing of; the end we give lies this far ahead and moves with each post."""
BATCH = 200
TIMEOUT_S = 5.0
MAX_LABEL = 1000


class Alertmanager:
    """The channel; `round_once` does what is due."""

    def __init__(
        self, store: Store, url: str, *, rulebook: Rulebook, figures: Figures, clock_ms: Callable[[], int], link: str
    ) -> None:
        """Take the base URL of the Alertmanager; `link` is how people reach the desk."""
        self._store, self._rulebook, self._figures, self._now = store, rulebook, figures, clock_ms
        self._link = link.rstrip("/")
        self._client = httpx.Client(
            base_url=url.rstrip("/"), timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def round_once(self) -> int:
        """Post what is new, ended or due again; returns how many alarms. Nothing is noted unless it was taken."""
        now, done = self._now(), 0
        while True:
            with self._store.reading() as session:
                due = self._due(session, now)
            if not due:
                return done
            try:
                answer = self._client.post("/api/v2/alerts", json=[self._alert(row, now) for row in due])
                answer.raise_for_status()
            except httpx.HTTPError as error:
                self._figures.notices.labels(CHANNEL, "failed").inc(len(due))
                log.warning("alertmanager: %s %s; the alarms are posted again", type(error).__name__, error)
                return done
            self._note(due, now)
            self._figures.notices.labels(CHANNEL, "sent").inc(len(due))
            done += len(due)

    def _due(self, session: Any, now: int) -> list[AlarmRow]:  # noqa: ANN401 - a session
        fires = and_(AlarmRow.status.in_(OPEN), AlarmRow.stage == "live", AlarmRow.suppressed_by.is_(None))
        told = and_(NoticeRow.alarm == AlarmRow.id, NoticeRow.channel == CHANNEL)
        rows = (
            select(AlarmRow)
            .outerjoin(NoticeRow, told)
            .where(
                or_(
                    and_(fires, or_(NoticeRow.alarm.is_(None), NoticeRow.firing.is_(False))),
                    and_(fires, NoticeRow.revision != AlarmRow.revision),
                    and_(fires, NoticeRow.sent_ms <= now - RESEND_MS),
                    and_(~fires, NoticeRow.firing.is_(True)),
                )
            )
            .order_by(AlarmRow.severity_rank.desc(), AlarmRow.raised_ms)
            .limit(BATCH)
        )
        return list(session.scalars(rows))

    def _note(self, rows: list[AlarmRow], now: int) -> None:
        with self._store.writing() as session:
            for row in rows:
                session.merge(
                    NoticeRow(channel=CHANNEL, alarm=row.id, revision=row.revision, firing=_fires(row), sent_ms=now)
                )

    def _alert(self, row: AlarmRow, now: int) -> dict[str, Any]:
        """Return the alert. Its labels name the occurrence only: one that changed colour stays one alert."""
        title = self._rulebook.title(row.rule, row.packs)
        ends = now + LASTS_MS if _fires(row) else min(row.end_ms or now, now)
        return {
            "labels": {
                "alertname": row.rule,
                "alarm": row.id,
                "facility": row.facility,
                "subject": row.subject[:MAX_LABEL],
            },
            "annotations": {
                "severity": row.severity,
                "state": state(row).value,
                "attention": attention(row).value,
                "title_zh": title.zh,
                "title_en": title.en,
                "message_zh": row.message_zh,
                "message_en": row.message_en,
                "revision": str(row.revision),
            },
            "startsAt": format_instant(row.start_ms),
            "endsAt": format_instant(max(ends, row.start_ms + 1)),
            "generatorURL": f"{self._link}/alarms/{row.id}" if self._link else "",
        }


def _fires(row: AlarmRow) -> bool:
    return row.status in OPEN and row.stage == "live" and row.suppressed_by is None
