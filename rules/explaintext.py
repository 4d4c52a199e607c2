"""An explanation as people read it, in Chinese, English or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from rules.changes import Verdict
from rules.faults import printable
from rules.instants import format_duration, format_instant
from rules.models import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.exceptions import SiteException
    from rules.explain import Explanation
    from rules.leaves.model import Seen
    from rules.models import Bilingual
    from rules.rule import Citation

Lang: TypeAlias = Literal["zh", "en", "both"]
SIGNS = {Verdict.TRUE: ("true", "真"), Verdict.FALSE: ("false", "假"), Verdict.UNKNOWN: ("unknown", "未知")}
PHASES = {
    "normal": ("normal", "正常"), "pending": ("pending: outside, not yet an alarm", "待定：已超限，尚未报警"),
    "active": ("active", "报警中"), "clearing": ("clearing: back inside, not yet closed", "恢复中：已回到限值内，尚未解除"),
}  # fmt: skip
STATUSES = {
    "cited": ("cited", "已核对原文"),
    "verify": ("VERIFY: the text is still to be read", "待核实：原文尚未核对"),
    "own": ("our own choice", "本系统自定"),
}
COLOURS = {Severity.BLUE: "蓝色", Severity.YELLOW: "黄色", Severity.ORANGE: "橙色", Severity.RED: "红色"}


def speaker(lang: Lang) -> Callable[[str, str], str]:
    """Return what joins an English and a Chinese text in the language asked for."""
    if lang == "both":
        return lambda en, zh: en if en == zh else f"{zh} / {en}"
    return lambda en, zh: zh if lang == "zh" else en


def said(text: Bilingual, lang: Lang) -> str:
    """Return a bilingual text in the language asked for."""
    return speaker(lang)(text.en, text.zh)


def citation_line(cite: Citation, lang: Lang) -> str:
    """Return a citation with clause, edition, dates and status; `verify` is shown as such."""
    parts = [cite.instrument]
    parts += [cite.clause] if cite.clause else []
    parts += [speaker(lang)(f"edition {cite.edition}", f"版本 {cite.edition}")] if cite.edition else []
    if cite.effective is not None:
        parts.append(f"{cite.effective.from_} – {cite.effective.to or ''}".rstrip())
    parts += [f"({cite.of})"] if cite.of else []
    return f"[{speaker(lang)(*STATUSES[cite.status])}] " + ", ".join(parts)


def lines(e: Explanation, lang: Lang) -> list[str]:
    """Return an explanation line by line."""
    say = speaker(lang)
    title = "" if e.rule is None else f" {e.rule.version}  {said(e.rule.title, lang)} [{e.rule.kind}, {e.rule.stage}]"
    found = [
        f"{e.rule_id}{title}",
        f"  {say('facility', '单位')} {e.facility}, {say('tag', '测点')} {e.tag}, {say('at', '时刻')} {format_instant(e.at)}",
        f"  => {answer(e, lang)}",
    ]
    if e.line is None:
        return found
    found.append(f"  {say('facts of register version', '登记事实，版本')} {e.version}:")
    found.append("    " + ", ".join(f"{name} = {value}" for name, value in e.facts().items()))
    found.append(f"  {say('does the rule watch it', '规则是否适用')}:")
    found += [leaf_line(c, c.name, lang) for c in e.line.watch.conditions]
    if e.line.watch.exception is not None:
        found += exception_lines(e.line.watch.exception, lang)
    if not e.watched:
        return [*found, *_cites(e, lang)]
    found.append(f"  {say('numbers in force', '现行数值')}:")
    for number in e.numbers():
        edition = f", {number['edition']}" if "edition" in number else ""
        found.append(
            f"    {number['name']} = {number['value']} {number.get('unit', '')} <- {number['origin']}{edition}"
        )
    found.append(f"  {say('leaves', '条件')}:")
    for leaf, seen in e.leaves:
        words = f"{leaf.name}: {said(leaf.words, lang)}"
        found.append(
            leaf_line(seen, words, lang) if seen else f"    -        {words} ({say('not asked now', '当前不适用')})"
        )
    found.append(f"  {say('state', '状态')}: {say(*PHASES[e.standing.phase])}{_progress(e, lang)}")
    found.append(
        f"  {say('newest readings (event time, receive time, batch)', '最近读数（事件时间、接收时间、批次）')}:"
    )
    for row in e.rows:
        late = say(" late", " 迟到") if row.m != row.received else ""
        marked = say(f" mark {row.mark}", f" 标记 {row.mark}") if row.mark else ""
        found.append(
            f"    {format_instant(row.t)}  {row.value:.10g}  q{row.quality}  <- {format_instant(row.received)}  {row.batch}{late}{marked}"
        )
    if e.line.refused:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(e.line.refused.items()))
        found.append(f"  {say('readings not used', '未采用的读数')}: {counts}")
    return [*found, *_cites(e, lang)]


def exception_lines(one: SiteException, lang: Lang) -> list[str]:
    """Return what a site exception takes of the rule, for how long, why, and who approved it."""
    say = speaker(lang)
    taken = ", ".join(
        f"{name} = {value}"
        for name, value in one.allow.model_dump(mode="json", by_alias=True, exclude_none=True).items()
    )
    document = f", {one.document}" if one.document else ""
    return [
        f"  {say('site exception in force', '有效的现场例外')}: {one.id}",
        f"    {taken}",
        f"    {format_instant(one.from_)} – {format_instant(one.to)}",
        f"    {say('reason', '理由')}: {printable(said(one.reason, lang), 400)}",
        f"    {say('approved by', '批准')}: {one.approver}, {one.approved_date}{document}",
    ]


def answer(e: Explanation, lang: Lang) -> str:  # noqa: PLR0911 - one return a case
    """Return the one sentence that answers: did it fire, and why or why not."""
    say = speaker(lang)
    if e.rule is None:
        return say("the rule is not in the packs in force", "现行规则包中没有该规则")
    if e.line is None:
        return say("no such tag is in force in the register", "登记中没有该测点")
    if e.failed:
        return say("the rule failed here and is switched off", "规则在该单位运行出错，已停用")
    if not e.watched:
        unmet = [c for c in e.line.watch.conditions if c.verdict is not Verdict.TRUE]
        names = "; ".join(f"{c.name}: {c.left} {c.op} {c.right or ''}".rstrip() for c in unmet)
        return say(f"not watched, because: {names}", f"不监测，原因：{names}")
    if not e.agrees:
        why = (
            ("the log begins with a saved state; the leaves know only what came after", "日志从保存的状态开始，条件只含其后的数据")
            if e.seeded
            else ("the leaves disagree with the engine: report this", "条件与引擎不一致，请报告")
        )  # fmt: skip
        return say(*why)
    alarm = e.standing_alarm
    if alarm is not None:
        since, colour = format_instant(alarm.start), alarm.current
        text = say(f"it fired: {colour} since {since}", f"已报警：{COLOURS[colour]}，始于 {since}")
        text += say("; unknown by now", "；目前状态未知") if alarm.status == "unknown" else ""
        return text + (say("; suppressed by a wider alarm", "；已并入范围更大的报警") if alarm.suppressed_by else "")
    return say("it did not fire", "未报警") + _quiet(e, lang)


def _quiet(e: Explanation, lang: Lang) -> str:
    say = speaker(lang)
    past = [a for a in e.alarms if a.subject == e.subject and a.end is not None]
    if not past:
        return _progress(e, lang)
    end = format_instant(past[-1].end or 0)
    if past[-1].status == "retracted":
        begun = format_instant(past[-1].start)
        text = say(
            f"; the last alarm, from {begun} to {end}, was taken back: late data show that it never held",
            f"；上次报警（{begun} 至 {end}）已撤回：迟到数据表明其不成立",
        )
    else:
        text = say(f"; the last alarm ended at {end}", f"；上次报警止于 {end}")
    return text + _progress(e, lang)


def _progress(e: Explanation, lang: Lang) -> str:
    """Return how far counts and delays are, such as 1 of 2 and 4m of 10m."""
    parts = []
    for leaf, seen in e.leaves:
        counted = leaf.name in {
            "consecutive",
            "full",
            "on_delay",
            "clear_consecutive",
            "off_delay",
            "identical",
            "span",
            "moves",
            "silence",
        }
        if seen is not None and counted and isinstance(seen.left, float | int) and seen.right is not None:
            parts.append(
                f"{leaf.name} {_value(seen.left, seen.unit)} {'/' if lang != 'en' else 'of'} {_value(seen.right, seen.unit)}"
            )
    return f" ({', '.join(parts)})" if parts else ""


def leaf_line(seen: Seen, words: str, lang: Lang) -> str:
    """Return a leaf with its verdict and operands."""
    mark = speaker(lang)(*SIGNS[seen.verdict])
    if seen.left is None and seen.right is None:
        return f"    {mark:8} {words}"
    return f"    {mark:8} {words}  [{_value(seen.left, seen.unit)} {seen.op} {_value(seen.right, seen.unit)}]"


def _value(value: float | str | None, unit: str | None) -> str:
    if isinstance(value, int | float):
        return format_duration(int(value)) if unit == "ms" else f"{value:.10g}{f' {unit}' if unit else ''}"
    return "-" if value is None else value


def _cites(e: Explanation, lang: Lang) -> list[str]:
    if e.rule is None:
        return []
    return [f"  {speaker(lang)('citations', '依据')}:", *(f"    {citation_line(c, lang)}" for c in e.rule.cites)]
