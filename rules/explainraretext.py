"""An explanation of a rule over rare records as people read it, in Chinese, English or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.explainlacks import lacks_lines
from rules.explainparts import FATES, ROWS
from rules.explaintext import COLOURS, PHASES, citation_line, leaf_line, said, speaker
from rules.instants import format_instant
from rules.rule import TOLD, UNKNOWN_TAG, CompletenessRule, LatenessRule, RegisterCheckRule, RevisionRule, is_latched

if TYPE_CHECKING:
    from rules.explainparts import Told
    from rules.explainrare import RareExplanation
    from rules.explaintext import Lang

_JUDGED = {
    "mark-share": (
        ("nothing was marked when it was judged last", "最近一次判定时没有标记"),
        ("rows are flagged, and no interval is registered", "有带标记的记录而未登记采样间隔"),
    ),
    "effective-rate": (
        (
            "it lacked nothing when it was judged last, or no month of it was judged",
            "最近一次判定无缺失，或尚未按月判定",
        ),
        (
            "no interval is registered, or nothing was expected, or too much of it is known by its length only",
            "未登记采样间隔，或当月无应有数据，或缺失时段过多而仅知其长短",
        ),
    ),
}
"""What explains that a rule over months says nothing: where nothing was judged, and where it is unknown."""
_NOTHING = {
    UNKNOWN_TAG: ("; every tag that came is registered", "；收到的测点均已登记"),
    "amendment": ("; no amendment came", "；未收到补正"),
    "revision": ("; all that came has its effect", "；所提交内容均已采用"),
    "mark": ("; no mark came of a registered sensor", "；未收到已登记测点的标记"),
}
"""What explains that a check of the register, or of what the firm declares, was asked nothing."""
LATCHED = ("; it stands until an officer's decision", "；须由监管人员决定关闭")


def rare_lines(e: RareExplanation, lang: Lang) -> list[str]:
    """Return an explanation line by line."""
    say = speaker(lang)
    subject = ", ".join(f"{name}={value}" for name, value in e.subject.items()) or "-"
    found = [
        f"{e.rule.id} {e.rule.version}  {said(e.rule.title, lang)} [{e.rule.kind}, {e.rule.stage}]",
        f"  {say('facility', '单位')} {e.facility}, {say('subject', '对象')} {subject}, {say('at', '时刻')} {format_instant(e.at)}",
        f"  => {rare_answer(e, lang)}",
        f"  {say('facts of register version', '登记事实，版本')} {e.version}:",
        "    " + ", ".join(f"{name} = {value}" for name, value in e.facts.items()),
        f"  {say('does the rule watch it', '规则是否适用')}:",
        *(leaf_line(seen, seen.name, lang) for seen in e.conditions),
    ]
    numbers = e.numbers()
    if numbers:
        found.append(f"  {say('numbers in force', '现行数值')}:")
        found += [f"    {one['name']} = {one['value']} <- {one['origin']}, {one['edition']}" for one in numbers]
    found.append(f"  {say('leaves', '条件')}:")
    for leaf, seen in e.leaves:
        words = f"{leaf.name}: {said(leaf.words, lang)}"
        asked = say("not asked now", "当前不适用")
        found.append(leaf_line(seen, words, lang) if seen else f"    -        {words} ({asked})")
    found.append(f"  {say('state', '状态')}: {say(*PHASES[e.phase])}")
    if isinstance(e.rule, CompletenessRule):
        found += _marked(e, lang)
    elif e.lacks is not None:
        found += lacks_lines(e.lacks, lang)
    elif isinstance(e.rule, RegisterCheckRule) and e.rule.check not in {*TOLD, UNKNOWN_TAG}:
        found += _differs(e, lang)
    else:
        strays = isinstance(e.rule, RegisterCheckRule) and e.rule.check == UNKNOWN_TAG
        what = (
            ("readings (of the first event time", "数据（首条事件时间")
            if strays
            else ("events (event time", "事件（事件时间")
        )
        if isinstance(e.rule, LatenessRule):
            what = ("marks (beginning", "标记（开始时间")
            what = what if e.rule.of == "mark" else ("amendments (earliest reading", "补正（最早数据时间")
        if isinstance(e.rule, RevisionRule):
            what = ("posts (their own time", "提交内容（自述时间")
        found.append(f"  {say(what[0] + ', receive time, batch)', what[1] + '、接收时间、批次）')}:")
        for told in e.events[-ROWS:]:
            found += _event(told, lang)
        if len(e.events) > ROWS:
            more = len(e.events) - ROWS
            found.append("    " + say(f"and {more} before these", f"此前另有 {more} 条"))
    return [*found, f"  {say('citations', '依据')}:", *(f"    {citation_line(c, lang)}" for c in e.rule.cites)]


def rare_answer(e: RareExplanation, lang: Lang) -> str:
    """Return the one sentence that answers: did it fire, and why or why not."""
    say = speaker(lang)
    if e.failed:
        return say("the rule failed here and is switched off", "规则在该单位运行出错，已停用")
    alarm = e.standing_alarm
    if not e.agrees:
        return say("what counts disagrees with the engine: report this", "计入的记录与引擎不一致，请报告")
    if alarm is not None:
        since, colour = format_instant(alarm.start), alarm.current
        en, zh = f"it fired: {colour} since {since}", f"已报警：{COLOURS[colour]}，始于 {since}"
        if alarm.status == "unknown":
            en, zh = en + "; unknown by now", zh + "；目前状态未知"
        if is_latched(e.rule, e.subject):
            en, zh = en + LATCHED[0], zh + LATCHED[1]
        return say(en, zh)
    if not e.watched:
        unmet = [c for c in e.conditions if c.verdict is not Verdict.TRUE]
        names = "; ".join(f"{c.name}: {c.left} {c.op} {c.right or ''}".rstrip() for c in unmet)
        return say(f"not watched, because: {names}", f"不监测，原因：{names}")
    en, zh = _quiet(e)
    return say("it did not fire" + en, "未报警" + zh)


def _quiet(e: RareExplanation) -> tuple[str, str]:
    told = e.awaited
    if told is not None:
        until, due = format_instant(told.until or 0), format_instant(told.decided or 0)
        return (f"; awaited until {until}, decided at {due}", f"；等待至 {until}，于 {due} 判定")
    if e.alarms:
        last = e.alarms[-1]
        if last.status == "retracted":
            return ("; the last alarm was taken back", "；上次报警已撤回")
        end = format_instant(last.end or 0)
        return (f"; the last alarm ended at {end}", f"；上次报警止于 {end}")
    if isinstance(e.rule, CompletenessRule):
        return _little(e, _JUDGED[e.rule.check])
    check: str = e.rule.check if isinstance(e.rule, RegisterCheckRule) else ""
    if isinstance(e.rule, LatenessRule):
        check = e.rule.of
    if isinstance(e.rule, RevisionRule):
        check = e.rule.kind
    if not e.subject and check in {"", *TOLD, *_NOTHING}:
        return _NOTHING.get(check, ("; no event came that it means", "；未收到规则所指的事件"))
    unknown = e.finding is not None and e.finding.verdict is Verdict.UNKNOWN
    return ("; the register does not say enough", "；登记信息不足，无法判断") if unknown else ("", "")


def _little(e: RareExplanation, words: tuple[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    if e.finding is None:
        return f"; {words[0][0]}", f"；{words[0][1]}"
    if e.finding.verdict is Verdict.UNKNOWN:
        return f"; {words[1][0]}", f"；{words[1][1]}"
    return "", ""


def _event(told: Told, lang: Lang) -> list[str]:
    say = speaker(lang)
    what = " ".join(str(value) for name, value in told.event.items() if name in {"stream", "type"}) or "-"
    said_of_it = ", ".join(f"{n} = {v}" for n, v in told.event.items() if n not in {"stream", "type"})
    said_of_it = f" ({said_of_it})" if said_of_it else ""
    found = [
        f"    {format_instant(told.t)}  {what}{said_of_it}  <- {format_instant(told.received)}  {told.batch}",
        f"      {say(*FATES[told.fate])}",
    ]
    if told.until is not None:
        until = format_instant(told.until)
        due = (
            ""
            if told.decided is None
            else say(f", decided at {format_instant(told.decided)}", f"，于 {format_instant(told.decided)} 判定")
        )
        found.append("      " + say(f"awaited until {until}", f"等待至 {until}") + due)
    if told.answer is not None:
        by = told.answer
        when = f"{format_instant(by.t)} <- {format_instant(by.received)}  {by.batch}"
        found.append(f"      {say('followed by', '后续事件')} {by.event.stream} {by.event.type} {when}")
    return found


def _differs(e: RareExplanation, lang: Lang) -> list[str]:
    say = speaker(lang)
    leaf = e.differs()
    if leaf is None:
        return [f"  {say('the register has no such thing any more', '登记中已无此项')}"]
    name = {
        "true": ("the fact that differs", "不符的登记事实"),
        "false": ("the fact as it should be", "符合要求的登记事实"),
    }
    words = name.get(leaf["verdict"], ("the fact that is missing", "缺少的登记事实"))
    unit = f" {leaf['unit']}" if "unit" in leaf else ""
    values = f"{_plain(leaf.get('left'))} {leaf['op']} {_plain(leaf.get('right'))}".rstrip()
    found = [f"  {say(*words)}: {leaf['expr']}: {values}{unit}"]
    if "changes" in leaf:
        found.append("  " + say(f"a date changes it at {leaf['changes']}", f"到 {leaf['changes']} 因日期而改变"))
    return found


def _marked(e: RareExplanation, lang: Lang) -> list[str]:
    say = speaker(lang)
    leaf = e.differs()
    if leaf is None:
        assert isinstance(e.rule, CompletenessRule)  # noqa: S101 - asked for such a rule only
        return [f"  {say(*_JUDGED[e.rule.check][0])}"]
    share = f"{_plain(leaf.get('left'))} % {leaf['op']} {_plain(leaf.get('right'))} %"
    found = [f"  {say('what was found when it was judged last', '最近一次判定的结果')}: {leaf['expr']}: {share}"]
    if "changes" in leaf:
        found.append("  " + say(f"judged again at {leaf['changes']}", f"下次判定时间 {leaf['changes']}"))
    return found


def _plain(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
