"""Messages of rules over rare records: who it is about, and what the rule's title says, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import ChangeKind
from rules.models import Bilingual
from rules.rule import (
    INCOMPLETE,
    SEQUENCE,
    TOLD,
    UNKNOWN_TAG,
    ClockRule,
    CompletenessRule,
    CountRule,
    FollowUpRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    RegisterCheckRule,
)

if TYPE_CHECKING:
    from rules.rule import Rule

_ENDINGS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.STEPPED: ("colour changed", "等级变更"),
    ChangeKind.UNKNOWN: ("a registered fact is missing, the condition is unknown", "缺少登记信息，状态未知"),
    ChangeKind.KNOWN: ("the registered fact is there again", "登记信息已补齐"),
    ChangeKind.CLEARED: ("settled by a newer fact", "已由新的事实消除"),
    ChangeKind.RETRACTED: ("what was missed has come, it never held", "缺失的记录已补到，该报警不成立"),
    ChangeKind.AMENDED: ("its start moved by what came late", "迟到的记录修正了开始时间"),
}
_OF_CLOCKS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: ("no heartbeat any more, the condition is unknown", "不再收到心跳，状态未知"),
    ChangeKind.KNOWN: ("heartbeats are back", "心跳已恢复"),
    ChangeKind.CLEARED: ("the clock agrees again", "时钟已恢复一致"),
}
_OF_BEATS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: ("nothing of the facility is heard, the condition is unknown", "该单位无任何数据，状态未知"),
    ChangeKind.KNOWN: ("the facility is heard again", "该单位数据已恢复"),
    ChangeKind.CLEARED: ("heartbeats are back", "心跳已恢复"),
    ChangeKind.RETRACTED: (
        "our own front door was closed, nothing could arrive",
        "系本系统接收中断，数据无法到达，报警撤回",
    ),
}
_OF_NUMBERS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("what was missing has come, or a restart explains it", "缺失的序号已补到，或已由重启事件说明"),
    ChangeKind.RETRACTED: (
        "a restart explains that numbers began anew, it never held",
        "序号重新开始已由重启事件说明，该报警不成立",
    ),
}
_OF_TOLD: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: (
        "the registered fact, or what the device tells, is missing: the condition is unknown",
        "缺少登记信息或设备上报，状态未知",
    ),
    ChangeKind.KNOWN: ("it is registered and told again", "登记信息与设备上报已恢复"),
    ChangeKind.CLEARED: ("it is what is registered", "已与登记一致"),
    ChangeKind.RETRACTED: ("its replacement had been declared", "更换已申报，该报警不成立"),
}
_OF_STRAYS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("it is registered, or is not sent any more", "已登记，或已不再上报"),
}
_OF_LACKS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("every rule in force finds what it needs", "现行各规则所需登记信息已齐全"),
}
_OF_CHECKS = {**dict.fromkeys(TOLD, _OF_TOLD), UNKNOWN_TAG: _OF_STRAYS, INCOMPLETE: _OF_LACKS}
_OF_OCCASIONS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("it has not been seen again for long", "长时间未再出现"),
}
_OF_APPROVALS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: (
        "nothing is registered to compare it with, the condition is unknown",
        "缺少可比对的登记信息，状态未知",
    ),
    ChangeKind.CLEARED: ("it was set back, or is registered now", "已恢复，或现已登记"),
    ChangeKind.AMENDED: ("its start moved to the earliest change that stands", "开始时间已改为仍有效的最早一次更改"),
}
_OF_RESULTS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("the awaited result has come", "所等待的结果已到"),
    ChangeKind.RETRACTED: (
        "the result was there in time, or nothing asked for it",
        "结果已按时得出，或本无需检验，该报警不成立",
    ),
}
_OF_TRACES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: (
        "openings show in its values again, or it is no longer that door's sensor",
        "开门后数值已恢复可见变化，或该测点不再对应此门",
    ),
}
_OF_SHARES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: (
        "rows are flagged, and no interval is registered: the share is unknown", "有带标记的记录而未登记采样间隔，占比未知",
    ),
    ChangeKind.KNOWN: ("the share is known again", "占比已恢复可知"),
    ChangeKind.CLEARED: ("a new month, or marks that were revised", "新的月份开始，或标记已修订"),
}  # fmt: skip
_OF_RATES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: ("nothing was expected, or no interval is registered", "当月无应有数据，或未登记采样间隔"),
    ChangeKind.KNOWN: ("a month can be judged again", "已恢复按月判定"),
    ChangeKind.CLEARED: (
        "a month with enough measured time, or what was missing has come",
        "当月有效数据达标，或缺失数据已补传",
    ),
    ChangeKind.RETRACTED: (
        "our own front door was closed; the month is judged when what waits has had time to come",
        "系本系统接收中断，报警撤回，待积压数据到达后再判定该月",
    ),
}
_OF_LATENESS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.RETRACTED: (
        "our own front door was closed when its time was over",
        "时限届满时本系统接收中断，报警撤回",
    ),
    ChangeKind.AMENDED: ("its start is the earliest time that was over", "开始时间为最早届满的时限"),
}
_OF_STOCK: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: ("it was not counted again, the condition is unknown", "未再盘点，状态未知"),
    ChangeKind.KNOWN: ("it was counted again, and still does not agree", "已再次盘点，仍不相符"),
    ChangeKind.CLEARED: (
        "a newer count agrees, or a booking that came later explains it", "新的盘点相符，或后到的收发记录已说明",
    ),
}  # fmt: skip
_OF_RETESTS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("an investigation was reported", "已提交调查报告"),
}
_OF_RELEASES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.RETRACTED: (
        "all that was open had been closed before the release, it never held",
        "放行前均已关闭，该报警不成立",
    ),
    ChangeKind.AMENDED: ("its start moved to the earliest release that holds", "开始时间已改为仍成立的最早一次放行"),
}
_OF_CHANGES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("it is filed now", "现已批准或备案"),
    ChangeKind.AMENDED: (
        "its start moved to the earliest change that is not filed",
        "开始时间已改为最早一次未备案的变更",
    ),
}
_OF_GRADES: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: ("no grade is registered, the condition is unknown", "未登记风险等级，状态未知"),
    ChangeKind.KNOWN: ("a grade is registered again", "风险等级已重新登记"),
    ChangeKind.RETRACTED: ("what was counted was taken back, it never held", "所计报警已撤回或排除，该提示不成立"),
}
_OF_VISITS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.STEPPED: ("the colour changed with the day", "随日期变更等级"),
    ChangeKind.CLEARED: ("visited, or no visit is due any more", "已检查，或已无需检查"),
    ChangeKind.AMENDED: ("due on another day, by the register or a visit", "登记或检查记录已改变到期日"),
}
_OF_RUNS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.CLEARED: ("every run and number is accounted for", "各次运行及序号均已有交代"),
    ChangeKind.AMENDED: (
        "its start moved to the earliest run or number that is not accounted for",
        "开始时间已改为最早一次尚无交代的运行或序号",
    ),
}
_OF_YEARS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.UNKNOWN: (
        "something was produced that names no product, lot or quantity, the condition is unknown",
        "有生产记录未注明产品、批号或数量，状态未知",
    ),
    ChangeKind.KNOWN: ("what was produced is known again", "生产记录已恢复可知"),
    ChangeKind.CLEARED: ("the report agrees with what was told to be produced", "年度报告与上报的生产记录已相符"),
    ChangeKind.AMENDED: (
        "a corrected report does not agree either, or its start moved to the earliest one that does not",
        "更正后的报告仍不相符，或开始时间已改为最早一次不相符的报告",
    ),
}
_OF_LEDGERS = {
    "annual": _OF_YEARS,
    "stock_balance": _OF_STOCK,
    "retest": _OF_RETESTS,
    "runs": _OF_RUNS,
    "release": _OF_RELEASES,
    "visit": _OF_VISITS,
    "grade": _OF_GRADES,
    "change": _OF_CHANGES,
}
_CLOSED = ("closed by an officer's decision", "已由监管人员决定关闭")


def message(rule: Rule, subject: dict[str, str], kind: ChangeKind, *, by_officer: bool = False) -> Bilingual:
    """Return one sentence in both languages; ids of subjects stand as they are, and the facility as a whole is not named."""
    name = " ".join(value for _, value in sorted(subject.items()))
    title = Bilingual(en=f"{name}: {rule.title.en}", zh=f"{name}：{rule.title.zh}") if name else rule.title
    if kind is ChangeKind.RAISED:
        return title
    en, zh = _CLOSED if by_officer else _endings(rule)[kind]
    return Bilingual(en=f"{title.en}; {en}", zh=f"{title.zh}；{zh}")


def _endings(rule: Rule) -> dict[ChangeKind, tuple[str, str]]:
    if isinstance(rule, ClockRule):
        return _ENDINGS | {"heartbeat": _OF_BEATS, SEQUENCE: _OF_NUMBERS}.get(rule.check, _OF_CLOCKS)
    if isinstance(rule, RegisterCheckRule):
        return _ENDINGS | _OF_CHECKS.get(rule.check, {})
    if isinstance(rule, FollowUpRule):
        by_trace = _OF_TRACES if rule.trace else {}
        return _ENDINGS | (_OF_APPROVALS if rule.before else _OF_RESULTS if rule.result else by_trace)
    if isinstance(rule, CompletenessRule | LedgerRule | GradeRule):
        of_months = _OF_SHARES if getattr(rule, "check", None) == "mark-share" else _OF_RATES
        return _ENDINGS | _OF_LEDGERS.get(rule.kind, of_months)
    if isinstance(rule, CountRule) and rule.occasions is not None:
        return _ENDINGS | _OF_OCCASIONS
    return _ENDINGS | _OF_LATENESS if isinstance(rule, LatenessRule) else _ENDINGS
