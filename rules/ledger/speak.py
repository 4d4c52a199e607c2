"""How what follows from a ledger becomes changes, and with which words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.rare.speak import close, open_case, tell
from rules.rare.store import subject_of
from rules.rule import is_latched

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.ledger.judged import Judged, Run
    from rules.rare.speak import Now
    from rules.rare.store import Case
    from rules.rule import LedgerRule


def open_alarm(rule: LedgerRule, subject: str, case: Case, run: Run, now: Now, emitter: Emitter) -> None:
    """Raise the alarm of a time in which the condition held."""
    late = now.received > run.timely
    open_case(rule, subject, case, run.start, run.rank, list(run.leaves), _with(now, run), emitter, late=late)


def end(rule: LedgerRule, subject: str, case: Case, judged: Judged, now: Now, emitter: Emitter) -> None:
    """End an alarm: the condition does not hold any more. What only an officer ends, and does not hold, never did."""
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    if is_latched(rule, subject_of(subject)):
        standing.retracted, standing.unknown = True, False
        tell(rule, subject, case, standing, ChangeKind.RETRACTED, list(judged.leaves), now, emitter)
    else:
        close(rule, subject, case, list(judged.leaves), _with(now, judged), emitter)


def move(rule: LedgerRule, subject: str, case: Case, run: Run, why: Run, now: Now, emitter: Emitter) -> None:
    """Tell that an alarm begins at another time, has another colour, or stands because of more from now on.

    Args:
        rule: that judges.
        subject: as text.
        case: of it.
        run: the time because of which it stands.
        why: the time that is told: the same, or the newest of which something was not told yet.
        now: of the decision.
        emitter: of the record.
    """
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    kind = ChangeKind.STEPPED if standing.start == run.start and standing.sev != run.rank else ChangeKind.AMENDED
    standing.start, standing.sev, standing.top = run.start, run.rank, max(standing.top, run.rank)
    tell(rule, subject, case, standing, kind, list(why.leaves), _with(now, why), emitter)


def know(rule: LedgerRule, subject: str, case: Case, judged: Judged, now: Now, emitter: Emitter) -> None:
    """Tell that what keeps an alarm standing is not known any more, or is again."""
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.unknown = judged.unknown
    kind = ChangeKind.UNKNOWN if judged.unknown else ChangeKind.KNOWN
    tell(rule, subject, case, standing, kind, list(judged.leaves), now, emitter)


def _with(now: Now, read: Run | Judged) -> Now:
    """Return the decision with the records beside the one that decides."""
    return replace(now, records=[*now.records, *(one for one in read.records if one not in now.records)])
