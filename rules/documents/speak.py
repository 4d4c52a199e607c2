"""What an alarm over reports says: which report says what, and what it is compared with; in both languages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict, alarm_id
from rules.documents.checking import EARLIER
from rules.documents.condition import condition_of
from rules.documents.figures import alike
from rules.layout import NONE
from rules.models import Bilingual
from rules.occurrence import Occurrence
from rules.rare.store import subject_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.documents.condition import Condition
    from rules.documents.judge import Finding, Look
    from rules.documents.store import DocumentCase
    from rules.documents.values import Value
    from rules.emission import Emitter
    from rules.rare.speak import Now
    from rules.rule import ReportRule

LISTED: Final = 40
"""Looks at reports (each with all leaves of the condition) that the evidence of one change holds at most."""
ALIKE: Final = 5
"""Numbers that evidence names where whole reports are compared: enough to ask for the source data of three."""
NAMED: Final = 3
"""Reports that a message names."""
_ENDINGS: Final[dict[ChangeKind, tuple[str, str]]] = {
    ChangeKind.UNKNOWN: ("what it needs is not in the reports any more, the condition is unknown", "报告中已缺少判定所需内容，状态未知"),
    ChangeKind.KNOWN: ("the reports say enough again", "报告内容已可判定"),
    ChangeKind.CLEARED: ("by what the reports say now it does not hold", "按报告现有内容，该情形已不存在"),
    ChangeKind.AMENDED: ("corrected, and it still holds", "已更正，但该情形仍然存在"),
}  # fmt: skip


def open_alarm(
    rule: ReportRule, subject: str, case: DocumentCase, shown: list[Finding], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Raise the alarm of a subject: it starts when the report came by which it holds."""
    named = subject_of(subject)
    emitter.on_take_back(partial(case.put_back, dict(case.uses), case.last))
    alarm = alarm_id(rule.id, emitter.state.facility, named, now.received, case.use(now.received))
    rank = rule.severity.base.rank
    case.last, case.read = Occurrence(alarm, now.received, now.received, NONE, rank, rank, now.received), []
    tell(rule, subject, case, ChangeKind.RAISED, shown, now, emitter)


def close_alarm(
    rule: ReportRule, subject: str, case: DocumentCase, shown: list[Finding], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """End the alarm of a subject that stands, at the receipt of what ends it."""
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.end, standing.closed, standing.unknown = max(now.received, standing.start), now.received, False
    tell(rule, subject, case, ChangeKind.CLEARED, shown, now, emitter)


def tell(
    rule: ReportRule, subject: str, case: DocumentCase, kind: ChangeKind, shown: list[Finding], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Emit one change of the alarm of a subject."""
    occurrence, condition = case.last, condition_of(rule)
    assert occurrence is not None  # noqa: S101 - it was raised before
    looks = [look for finding in shown for look in finding.looks]
    leaves = [leaf for look in looks[:LISTED] for leaf in leaves_of(rule, condition, look)]
    read = list(dict.fromkeys(name for look in looks[:LISTED] for name in read_by(condition, look)))
    records = [RecordRead(kind=Kind.REPORT, id=name) for name in [*read, *case.read]]
    records += [*now.records, RecordRead(kind=Kind.REGISTER, id=str(emitter.state.version))]
    left_out = {"leaves": len(looks) - LISTED} if len(looks) > LISTED else {}
    once = [one for i, one in enumerate(records) if one not in records[:i]]
    proof = Evidence(leaves=leaves, records=once, left_out=left_out)
    case.read = read or case.read
    named = subject_of(subject)
    text = _message(rule, named, kind, shown)
    emitter.emit(rule, named, occurrence, kind, now.at, now.received, text, proof)


def leaves_of(rule: ReportRule, condition: Condition, look: Look) -> Iterator[Leaf]:
    """Yield the leaves of the condition as they are of one report, or of one entry of it."""
    of_report = rule.each is None or rule.each.subject == "report"
    entry = f" {look.entry}" if look.entry is not None and of_report else ""
    for part in condition.leaves:
        value = part.verdict(look.scope)
        left, right = (verdict_of(value).value, "true") if part.operands is None else (
            operand(part.operands[0](look.scope)), operand(part.operands[1](look.scope))
        )  # fmt: skip
        expr = f"{look.kept.named}{entry}: {part.text}"
        yield Leaf(expr=expr, left=left, op=part.op, right=right, verdict=verdict_of(value))
    own = look.scope.report.numbers(condition.left_out) if condition.compared else {}
    for name in condition.compared:
        other = getattr(look.scope, name)
        same = [] if other is None else alike(own, other.numbers(condition.left_out), ALIKE)
        for path, number in same:
            expr = f"{look.kept.named}: {path} = {name}"
            yield Leaf(expr=expr, left=number, op="==", right=number, verdict=Verdict.TRUE)


def read_by(condition: Condition, look: Look) -> Iterator[str]:
    """Yield the reports with their revisions that were looked at: the report, its revision before, those that it is compared with."""
    yield look.kept.named
    if look.kept.earlier is not None and EARLIER in condition.reads:
        yield f"{look.kept.key[1]}/{look.kept.earlier.revision}"
    for partner in (look.previous, look.before):
        if partner is not None:
            yield partner.named


def verdict_of(value: bool | None) -> Verdict:  # noqa: FBT001 - a value
    """Return a truth value, or None for unknown, as a verdict."""
    return Verdict.UNKNOWN if value is None else Verdict.TRUE if value else Verdict.FALSE


def operand(value: Value) -> float | str | None:
    """Return a value as evidence shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return value[:200]
    return None if value is None else ", ".join(map(str, value))[:200]


def _message(rule: ReportRule, named: dict[str, str], kind: ChangeKind, shown: list[Finding]) -> Bilingual:
    who = " ".join(named.values())
    reports = list(dict.fromkeys(finding.kept.key[1] for finding in shown))
    said = "" if "report" in named or not reports else ", ".join(reports[:NAMED])
    more = len(reports) - NAMED
    en = f" ({said}{f' and {more} more' if more > 0 else ''})" if said else ""
    zh = f"（{said}{f' 等共 {len(reports)} 份' if more > 0 else ''}）" if said else ""
    en, zh = f"{who}: {rule.title.en}{en}", f"{who}：{rule.title.zh}{zh}"
    ending = _ENDINGS.get(kind)
    return Bilingual(
        en=en if ending is None else f"{en}; {ending[0]}", zh=zh if ending is None else f"{zh}；{ending[1]}"
    )
