"""What a clock says: which report is due when, by which text, and what came; in both languages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict, alarm_id
from rules.clocks import saying as sayings
from rules.clocks import sums
from rules.clocks.due import hours
from rules.instants import format_instant, format_local
from rules.layout import NONE
from rules.models import Bilingual
from rules.occurrence import Occurrence
from rules.rare.store import subject_of
from rules.records import Kind
from rules.register import ZONE

if TYPE_CHECKING:
    from rules.clocks.due import Terms
    from rules.clocks.store import Clock
    from rules.emission import Emitter
    from rules.rare.speak import Now
    from rules.rule import DeadlineRule

TWO = 2
MAX_TOLD = 8
"""Starts that evidence names where reports of a case tell different ones."""
_ENDINGS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("the report has come", "报告已提交"),
    ChangeKind.AMENDED: ("it is due at another instant than was said", "截止时间与此前所述不同"),
    ChangeKind.UNKNOWN: (
        "no calendar of working days reaches so far: it is not known when it is due",
        "工作日历未覆盖该期限，截止时间未知",
    ),
    ChangeKind.KNOWN: ("it is known again when it is due", "截止时间已重新确定"),
    ChangeKind.RETRACTED: ("our own front door was closed at that instant", "届时本系统接收中断，报警撤回"),
}


def open_alarm(
    rule: DeadlineRule, subject: str, clock: Clock, rank: int, terms: Terms, now: Now, emitter: Emitter
) -> None:
    """Raise the alarm of a case: its start is the due instant."""
    named = subject_of(subject)
    assert terms.due is not None  # noqa: S101 - of what is not known nothing is raised
    emitter.on_take_back(partial(clock.put_back, clock.uses, clock.last))
    alarm = alarm_id(rule.id, emitter.state.facility, named, terms.due, clock.use(terms.due))
    clock.last = Occurrence(alarm, terms.due, terms.due, NONE, rank, rank, now.received)
    tell(rule, subject, clock, ChangeKind.RAISED, terms, now, emitter)


def close_alarm(
    rule: DeadlineRule, subject: str, clock: Clock, terms: Terms | None, now: Now, emitter: Emitter,
    ending: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """End the alarm of a case that stands, with the receipt of what answered it; one that only announced it ends where it begins."""
    standing = clock.standing
    assert standing is not None  # noqa: S101 - asked before
    end = now.received if terms is None or clock.answered == NONE else clock.answered
    if clock.answered != NONE and clock.judged <= standing.start and standing.top >= rule.severity.base.rank:
        end = now.received  # a corrected report took it away that it was late (settled.md)
    standing.end, standing.closed, standing.unknown = max(end, standing.start), now.received, False
    tell(rule, subject, clock, ChangeKind.CLEARED, terms, now, emitter, ending)


def tell(
    rule: DeadlineRule, subject: str, clock: Clock, kind: ChangeKind, terms: Terms | None, now: Now, emitter: Emitter,
    ending: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """Emit one change of the alarm of a case."""
    occurrence, named = clock.last, subject_of(subject)
    assert occurrence is not None  # noqa: S101 - it was raised before
    others = differing(rule, subject, clock, emitter)
    found = [RecordRead(kind=kind_, id=id_) for kind_, id_ in clock.documents]
    found += [*(RecordRead(kind=Kind.REPORT, id=name) for _, name in others), *now.records]
    found.append(RecordRead(kind=Kind.REGISTER, id=str(emitter.state.version)))
    records = [read for i, read in enumerate(found) if read not in found[:i]]
    leaves = [] if terms is None else [*leaves_of(rule, clock, terms, now), *leaves_of_others(clock, others)]
    proof = Evidence(leaves=leaves, records=records)
    text = message(rule, named, occurrence, kind, terms, ending or _ENDINGS.get(kind))
    emitter.emit(rule, named, occurrence, kind, now.at, now.received, text, proof)


def leaves_of(rule: DeadlineRule, clock: Clock, terms: Terms, now: Now) -> list[Leaf]:
    """Return what was compared: from the start until the answer, or until now, with the time that the text gives."""
    until = clock.judged
    if until == NONE:
        until = now.received if now.judged is None else now.judged
    late = Verdict.UNKNOWN if terms.due is None else Verdict.TRUE if until > terms.due else Verdict.FALSE
    status = " (calendar: verify)" if terms.verify else ""
    return [
        Leaf(expr=f"time until {rule.answer.report}", left=round(hours(until - clock.start), 6), op="beyond",
             right=f"{terms.time}{status}", unit="h", verdict=late),
        Leaf(expr="started", left=format_instant(clock.start), op="due",
             right=None if terms.due is None else format_instant(terms.due), verdict=late),
    ]  # fmt: skip


def differing(rule: DeadlineRule, subject: str, clock: Clock, emitter: Emitter) -> list[tuple[int, str]]:
    """Return start (ms) and `id/revision` of the reports of a case, the earliest first, where they tell different starts (deadlines.md §0)."""
    if len(clock.reports) < TWO:
        return []
    key, found = subject_of(subject)["report"], []
    for name in clock.reports:
        saying = sayings.unpack(emitter.state.clocks.book.said(name))
        if saying is not None:
            kind, _, own = name.partition(" ")
            found += [(at, f"{own}/{saying.revision}") for at in sums.told(rule, key, kind, saying)]
    return sorted(set(found))[:MAX_TOLD] if len({at for at, _ in found}) > 1 else []


def leaves_of_others(clock: Clock, others: list[tuple[int, str]]) -> list[Leaf]:
    """Return that reports tell another start than the earliest: late knowledge is a finding of its own."""
    return [
        Leaf(expr=f"start told by {name}", left=format_instant(at), op="after", right=format_instant(clock.start),
             verdict=Verdict.TRUE)
        for at, name in others
        if at > clock.start
    ]  # fmt: skip


def message(
    rule: DeadlineRule, named: dict[str, str], occurrence: Occurrence, kind: ChangeKind, terms: Terms | None,
    ending: tuple[str, str] | None,
) -> Bilingual:  # fmt: skip
    """Return what people read: the case, the rule's title, when it was due, and what became of it."""
    who = " / ".join(named.values())
    due = format_local(occurrence.start, ZONE)
    early = occurrence.top < rule.severity.base.rank
    title_en, title_zh = (
        (f"{rule.title.en}: soon due", f"{rule.title.zh}：即将到期") if early else (rule.title.en, rule.title.zh)
    )
    time = "" if terms is None else f" ({terms.time})"
    en, zh = f"{who}: {title_en}, due {due}{time}", f"{who}：{title_zh}，截止 {due}{time}"
    if ending is not None and kind is not ChangeKind.RAISED:
        en, zh = f"{en}; {ending[0]}", f"{zh}；{ending[1]}"
    return Bilingual(en=en, zh=zh)
