"""Conditions of evidence, in Chinese: the engine writes them in English. What no pattern fits is shown as written, as the name of a sensor is."""

from __future__ import annotations

import re

_PATTERNS: tuple[tuple[str, str], ...] = (
    # readings
    (r"(.+) less the limit for its temperature", r"\1 减去其温度对应的限值"),
    (r"difference (.+)", r"差值 \1"),
    (r"doors of (.+)", r"\1 的门"),
    (r"mean kinetic temperature of (.+) over twelve months", r"\1 十二个月的平均动力学温度"),
    (r"time of (\S+) (.+) within (\S+)", r"\1 在 \3 内处于 \2 的累计时间"),
    (r"time of (\S+) (.+) on a trip", r"\1 在运输途中处于 \2 的累计时间"),
    (r"time of (\S+) (.+) in a filling step", r"\1 在灌装期间处于 \2 的累计时间"),
    (
        r"share of a day's values of (.+) within a step of the detection limit",
        r"\1 全日数值中与检出限相差不超过一个分度的比例",
    ),
    (
        r"standard deviation of (values|differences) of (.+) in seven days over the median of the weeks before",
        r"\2 七日\1的标准差与此前各周中位数之比",
    ),
    (r"chi square of the last digits of (.+)", r"\1 末位数字的卡方值"),
    (r"marked share of the month from (.+)", r"自 \1 起当月的标记比例"),
    (r"effective rate of the month from (.+)", r"自 \1 起当月的有效数据率"),
    (r"alarm of (.+)", r"\1 的报警"),
    # reports
    (r"time until mark (.+)", r"距标记 \1 提交的时间"),
    (r"time until (.+)", r"距提交 \1 的时间"),
    (r"start told by (.+)", r"报告 \1 所述的起算时间"),
    (r"deviation report", r"偏差报告"),
    (r"investigation of (.+) of (.+)", r"\2 的 \1 调查"),
    (r"open of lot (.+)", r"批 \1 的未关闭事项"),
    (r"last full on-site visit", r"上次全项现场检查"),
    (r"risk grade", r"风险等级"),
    (r"red alarms", r"红色报警数"),
    (r"orange and red alarms", r"橙色及以上报警数"),
    (r"filing of the set-point of (.+)", r"\1 设定值变更的备案"),
    (r"filing of the equipment of (.+)", r"\1 设备变更的备案"),
    (r"filing of the (.+) of (.+)", r"\2 的 \1 变更的备案"),
    (r"batches of (.+) in (\d+)", r"\2 年 \1 的生产批次数"),
    (r"volume of (.+) in (\d+)", r"\2 年 \1 的产量"),
    (r"run (.+) of (.+)", r"\2 第 \1 次运行的交代时间"),
    (r"runs (.+) to (.+) of (.+)", r"\3 第 \1 至 \2 次运行中已有交代的序号数"),
    (r"stock of (.+) in (.+)", r"\2 处 \1 的库存"),
    (r"opening of (.+) in (.+)", r"\2 处 \1 的上次盘点数"),
    (r"booked in of (.+) in (.+), (\d+) times", r"\2 处 \1 的入库合计（\3 笔）"),
    (r"booked out of (.+) in (.+), (\d+) times", r"\2 处 \1 的出库合计（\3 笔）"),
    (r"failed (.+) of (.+)", r"\2 的 \1 不合格结果"),
    (r"set-point of (.+)", r"\1 的设定值"),
    (r"equipment of (.+)", r"\1 的设备编号"),
    (r"(major|moderate|minor) filing (.+)", r"\1变更备案 \2"),
    (r"stated duration", r"报告所述持续时间"),
    (r"stated peak", r"报告所述峰值"),
    (r"known share of the time", r"所述时段内已知部分的比例"),
    (r"stated max \((.+)\)", r"报告所述最大值（\1）"),
    (r"stated min \((.+)\)", r"报告所述最小值（\1）"),
    (r"stated mean-kinetic \((.+)\)", r"报告所述平均动力学温度（\1）"),
    (r"stated outside \((.+)\)", r"报告所述超限时长（\1）"),
    (r"stated excursions \((.+)\)", r"报告所述超限次数（\1）"),
    # lots
    (
        r"cases within (\S+) by (\S+) against (\S+) times the expected: (\S+) of the product in (\S+) on (\S+) units, (\S+) of lot (.+)",
        r"截至 \2，\1 内的病例数，对比预期病例数的 \3 倍（该药品 \5 内 \4 例、销售 \6，批次 \8 销售 \7）",
    ),
    (r"cases within (\S+) up to (\S+)", r"截至 \2 的 \1 内病例数"),
    (r"(.*?)(?:: report |)(\S+), case (\S+) known (\S+)", r"\1 报告 \2：病例 \3，获知于 \4"),
    (r"(.*?)(?:: report |)(\S+) names the lot, recall (\S+) told", r"\1 报告 \2 列有该批号，召回 \3 的告知时间"),
    (r"(.*?)(?:: report |)(\S+) names the lot", r"\1 报告 \2 列有该批号"),
    (r"cases within (\S+)", r"\1 内的病例数"),
    (r"(.+): case (\S+) known", r"\1 获知病例 \2"),
    (r"(.+): (\S+) against the stop by (.+)", r"\1 的\2，对比 \3 告知的停用时间"),
    (r"(.+): (\S+) against the expiry by (.+)", r"\1 的\2，对比 \3 告知的有效期"),
    (r"(.+): (\S+) against the stop", r"\1 的\2，对比停用时间"),
    (r"(.+): (\S+) against the expiry", r"\1 的\2，对比有效期"),
    (
        r"(.+): sold online (\S+), trip (.+), telemetry within (\S+)",
        r"\1 于 \2 网络销售（运输批次 \3），\4 内监测数据的获知时间",
    ),
    (r"(.+): sold online (\S+), telemetry within (\S+)", r"\1 于 \2 网络销售，\3 内监测数据的获知时间"),
    (r"(.+): as well", r"\1 亦涉及"),
    (r"([^:]+): (.+) by (\S+)", r"\1 截至 \3 的\2"),
    # events and decisions
    (r"events (\S+) (\S+)", r"事件 \1 \2"),
    (r"decision", r"决定"),
    (r"received", r"接收时间"),
    (r"proof", r"证明材料"),
    (r"content of report (.+)", r"报告 \1 的内容摘要"),
    (r"content of mark (.+)", r"标记 \1 的内容摘要"),
    (r"content of batch (.+)", r"批次 \1 的内容摘要"),
    (r"reason of report (.+)", r"报告 \1 的修订原因"),
    (r"parallel value at (.+)", r"与 \1 比对值之差"),
    (r"data that report (.+) names", r"报告 \1 所指的数据条数"),
    (r"mark (.+)", r"标记 \1"),
    (r"started", r"开始"),
    (r"front door", r"接收入口"),
    (r"(\S+ \S+) after (\S+)", r"\2 之后的 \1"),
    (r"(\S+ \S+) at (\S+) of (.+)", r"\3 发生 \2 时的 \1"),
    (r"change within (\S+) of the opening at (.+)", r"\2 开门后 \1 内的变化"),
    (r"of the last (\d+) openings without a change of (\S+) within (\S+)", r"最近 \1 次开门中 \3 内变化不足 \2 的次数"),
    (r"restart of what sends (.+)", r"\1 的发送端重新启动"),
    (r"number (\d+) of (.+) at (.+)", r"\2 于 \3 的序号 \1"),
    (r"numbers missing of ([^:]+): (.+)", r"\1 缺失的序号：\2"),
    (r"numbers missing of (.+)", r"\1 缺失的序号数"),
    # register
    (r"temperature sensors in (.+)", r"\1 的测温点数"),
    (r"calibration of (.+)", r"\1 的校准"),
    (r"error of (.+)", r"\1 的误差"),
    (r"serial of (.+)", r"\1 的编号"),
    (r"config hash of (.+)", r"\1 的配置校验值"),
    (r"replacement by (.+)", r"更换为 \1"),
    (r"(low|high) limit of (.+)", r"\2 的\1"),
    (r"facts that rules need and the register lacks", r"规则所需而登记中缺少的事项"),
    (r"time since the first reading of (.+), received at (.+)", r"距首次收到 \1 读数（\2）的时间"),
    (r"time since the newest of (\d+) readings of (.+)", r"距 \2 最近一条读数的时间（共 \1 条）"),
    (r"readings of (.+) before, the newest received at (.+)", r"此前收到的 \1 读数条数（最近于 \2 收到）"),
    (r"(.+) is not registered", r"\1 未登记"),
    (r"the rule is for this facility", r"规则适用于该单位"),
    (r"rule (\S+)", r"规则 \1"),
)
_WORDS = {
    "low": "下限", "high": "上限", "values": "数值", "differences": "差分", "shipped": "发货", "sold": "销售",
    "major": "重大", "moderate": "中等", "minor": "微小",
    "shipped + sold": "发货与销售", "sold + shipped": "销售与发货",
}  # fmt: skip
_OPERATORS = {
    "after": "晚于", "against": "对比", "are": "为", "at": "于", "before": "早于", "beyond": "超过", "by": "不晚于", "closes": "关闭", "covers": "涵盖",
    "due": "到期", "explains": "可说明", "for longer than": "持续超过", "heard": "已收到", "in force": "生效于", "is": "为", "is due": "到期", "missing": "缺失",
    "needed by": "用于", "on file": "已登记", "raised": "运行出错", "registered": "已登记", "since": "始于", "told": "已告知", "until": "直至",
    "within": "在时限内",
}  # fmt: skip
_SIGNS = {">=": "≥", "<=": "≤", "!=": "≠", "in": "∈"}
_OPERANDS = {
    "closed": "已关闭", "registered": "已登记", "off": "关", "on": "开", "grade": "等级", "register": "登记", "none": "无",
    "open": "打开", "not known": "未知",
}  # fmt: skip
_MORE = re.compile(r" and (\d+) more$")
_SIDES = (("at or above ", "≥ "), ("at or below ", "≤ "), ("above ", "> "), ("below ", "< "), (" or ", " 或 "))
_CHINESE = tuple((re.compile(pattern), words) for pattern, words in _PATTERNS)


def condition(words: str, language: str) -> str:
    """Return a condition of the evidence in a language; in English it is as the engine wrote it.

    >>> condition("calibration of T1", "zh"), condition("time of T1 above 25 °C within 24h", "zh"), condition("T1", "zh")
    ('T1 的校准', 'T1 在 24h 内处于 > 25 °C 的累计时间', 'T1')
    """
    if language != "zh":
        return words
    for pattern, chinese in _CHINESE:
        found = pattern.fullmatch(words)
        if found is not None:
            return _filled(chinese, [_part(part) for part in found.groups()])
    return words


def operator(op: str, language: str) -> str:
    """Return what two sides are compared by, in a language; what has no words is shown as written.

    >>> operator(">=", "en"), operator("within", "en"), operator("within", "zh")
    ('≥', 'within', '在时限内')
    """
    words = _SIGNS.get(op, op)
    return _OPERATORS.get(words, words) if language == "zh" else words


def operand(side: str, language: str) -> str:
    """Return a text that was compared, in a language: names and instants stay, the engine's own words do not.

    >>> operand("closed", "zh"), operand("D-1, D-2 and 3 more", "zh"), operand("T1", "zh")
    ('已关闭', 'D-1, D-2 等另 3 项', 'T1')
    """
    if language != "zh":
        return side
    return _OPERANDS.get(side, _MORE.sub(r" 等另 \1 项", side))


def _part(part: str) -> str:
    if part.startswith(("above ", "below ", "at or ")):
        for english, sign in _SIDES:
            part = part.replace(english, sign)
    return _WORDS.get(part, part)


def _filled(words: str, parts: list[str]) -> str:
    return re.sub(r"\\(\d)", lambda number: parts[int(number[1]) - 1], words)
