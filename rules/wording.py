"""Messages and evidence of a change: the words in two languages, the operands, the limits used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict
from rules.instants import format_duration, format_local
from rules.layout import NEVER
from rules.models import Bilingual
from rules.register import ZONE
from rules.rule import DifferenceRule, FrozenRule, GapRule, JumpRule
from rules.scale import BY_TEMPERATURE
from rules.wording_digits import leaf as digit_leaf
from rules.wording_digits import raised as digits_raised
from rules.wording_during import no_record, silent_during
from rules.wording_during import raised as during_raised
from rules.wording_smooth import leaves as mean_leaves
from rules.wording_smooth import raised as mean_raised
from rules.wording_steadiness import leaf as steadiness_leaf
from rules.wording_steadiness import raised as steadiness_raised
from rules.wording_sums import leaf as sum_leaf
from rules.wording_sums import raised as sum_raised

if TYPE_CHECKING:
    from rules.exceptions import SiteException
    from rules.marks import Declaration
    from rules.plan import Instance

UNIT_SIGNS = {"Cel": "°C", "%RH": "% RH", "/m3": "/m³", "uS/cm": "µS/cm", "ug/L": "µg/L"}
SILENT_WHILE = frozenset({ChangeKind.RAISED, ChangeKind.STEPPED, ChangeKind.SUPPRESSED, ChangeKind.RELEASED})
"""Changes of a silence at which it still lasts."""
WHOLE_FEED = ("Whole feed", "全部数据")
WHOLE_REGISTER = ("Register", "登记")
_ENDINGS: dict[ChangeKind, tuple[str, str]] = {
    ChangeKind.STEPPED: ("colour changed", "等级变更"),
    ChangeKind.SUPPRESSED: ("covered by a wider alarm", "已并入范围更大的报警"),
    ChangeKind.RELEASED: ("still holds after the wider alarm ended", "上级报警结束后仍然存在"),
    ChangeKind.UNKNOWN: ("no good data: the condition is unknown", "缺少有效数据，状态未知"),
    ChangeKind.KNOWN: ("good data are back", "有效数据已恢复"),
    ChangeKind.CLEARED: ("back to normal", "已恢复正常"),
    ChangeKind.RETRACTED: ("late data show that it never held", "迟到数据表明该报警不成立"),
    ChangeKind.AMENDED: ("late data moved its start, end or colour", "迟到数据修正了起止时间或等级"),
}


def sign(unit: str) -> str:
    """Return the sign that people read for a UCUM unit.

    >>> sign("Cel")
    '°C'
    """
    return UNIT_SIGNS.get(unit, unit)


def crossed(instance: Instance, value: float) -> tuple[str, float] | None:
    """Return the operator and the bound that `value` is beyond, or None."""
    inclusive = getattr(getattr(instance.rule, "limits", None), "inclusive", False)
    if value > instance.high or (inclusive and value == instance.high):
        return (">=" if inclusive else ">"), instance.high
    if value < instance.low or (inclusive and value == instance.low):
        return ("<=" if inclusive else "<"), instance.low
    return None


def message(instance: Instance, kind: ChangeKind, value: float) -> Bilingual:
    """Return one sentence in both languages; names of places come from the register as text."""
    tag, unit = instance.label, sign(instance.unit)
    if (
        kind is ChangeKind.STEPPED
    ):  # who reads only the newest sentence must know what is wrong, not only that it is worse
        return _with_ending(message(instance, ChangeKind.RAISED, value), kind)
    if kind is not ChangeKind.RAISED:
        en, zh = _ENDINGS[kind]
        return Bilingual(en=f"{tag}: {en}", zh=f"{tag}：{zh}")
    of_kind = _raised_of_kind(instance, value)
    if of_kind is not None:
        return of_kind
    bound = None if math.isnan(value) else crossed(instance, value)
    what = ("difference ", "差值 ") if isinstance(instance.rule, DifferenceRule) else ("", "")
    if bound is None:
        return Bilingual(en=f"{tag}: {what[0]}outside its limits", zh=f"{tag}：{what[1]}超出限值")
    above = bound[0].startswith(">")
    en, zh = ("above", "高于上限") if above else ("below", "低于下限")
    return Bilingual(
        en=f"{tag}: {what[0]}{value:.10g} {unit}, {en} {bound[1]:.10g} {unit}",
        zh=f"{tag}：{what[1]}{value:.10g} {unit}，{zh} {bound[1]:.10g} {unit}",
    )


def _raised_of_kind(instance: Instance, value: float) -> Bilingual | None:
    """Return the sentence of a raise for the kinds that have one of their own."""
    tag, unit = instance.tag, sign(instance.unit)
    if isinstance(instance.rule, GapRule):
        en, zh = no_record(instance.rule)
        return Bilingual(en=f"{tag}: {en}", zh=f"{tag}：{zh}")
    if isinstance(instance.rule, FrozenRule):
        return Bilingual(
            en=f"{tag}: the value does not move ({value:.10g} {unit})",
            zh=f"{tag}：数值长时间不变（{value:.10g} {unit}）",
        )
    if isinstance(instance.rule, JumpRule):
        bound = crossed(instance, value)
        than = "" if bound is None else f" ({bound[0]} {bound[1]:+.10g} {unit})"
        return Bilingual(
            en=f"{tag}: changed by {value:+.10g} {unit} from one record to the next{than}",
            zh=f"{tag}：相邻两条记录之间变化 {value:+.10g} {unit}{than.replace(' (', '（').replace(')', '）')}",
        )
    if _scaled(instance):
        over = "" if math.isnan(value) else f" {value:.10g} {unit}"
        return Bilingual(
            en=f"{tag}:{over} above the limit for its temperature", zh=f"{tag}：高于该温度下的限值{over}",
        )  # fmt: skip
    words = (digits_raised, mean_raised, sum_raised, during_raised, steadiness_raised)
    return next((text for one in words if (text := one(instance, value, unit)) is not None), None)


def _with_ending(sentence: Bilingual, kind: ChangeKind) -> Bilingual:
    en, zh = _ENDINGS[kind]
    return Bilingual(en=f"{sentence.en}; {en}", zh=f"{sentence.zh}；{zh}")


def unwatched(place: str, whole: tuple[str, str] = WHOLE_FEED) -> Bilingual:
    """Return the sentence for an alarm that ends because its rule or subject is no longer in force (empty: the `whole`)."""
    en, zh = (place, place) if place else whole
    return Bilingual(
        en=f"{en}: no longer watched, by a change of register or rules", zh=f"{zh}：登记或规则变更，不再监测"
    )


FLAGS = {
    "maintenance": ("maintenance", "维护"),
    "calibration": ("calibration", "校准"),
    "fault": ("fault", "故障"),
    "stopped": ("stopped", "停用"),
    "comms": ("communication fault", "通信故障"),
    "set_value": ("set value", "设定值"),
}
"""Flag of a mark -> how people read it (workflow.md §3.1)."""


def declared(place: str, mark: Declaration) -> Bilingual:
    """Return the sentence for an alarm whose time the firm marked after it was raised; ids come from the mark as text."""
    (en, zh), begin = FLAGS[mark.flag], format_local(mark.begin, ZONE)
    until = (
        ("", "起，尚未结束")
        if mark.end == NEVER
        else (f" to {format_local(mark.end, ZONE)}", f" 至 {format_local(mark.end, ZONE)}")
    )
    return Bilingual(
        en=f"{place}: the firm declares {en} from {begin}{until[0]} (mark {mark.name}); the alarm stands, an officer decides",
        zh=f"{place}：企业申报{zh}，{begin}{until[1]}（标记 {mark.name}）；报警保留，由监管人员判定",
    )


def closed_by_officer(instance: Instance) -> Bilingual:
    """Return the sentence for a latched alarm that an officer's decision ends."""
    return Bilingual(
        en=f"{instance.label}: closed by an officer's decision", zh=f"{instance.label}：已由监管人员决定关闭"
    )


def excepted(place: str, one: SiteException) -> Bilingual:
    """Return the sentence for an alarm that ends because a site exception keeps its rule from watching; names come from its file as text."""
    until = format_local(one.to, ZONE)
    return Bilingual(
        en=f"{place}: not watched until {until}, by site exception {one.id}, approved by {one.approver} {one.approved_date}",
        zh=f"{place}：按现场例外 {one.id}（{one.approver} {one.approved_date} 批准），在 {until} 之前不监测",
    )


def begun_anew(place: str, whole: tuple[str, str] = WHOLE_FEED) -> Bilingual:
    """Return the sentence for an alarm that ends because packs changed its rule, which says `migration: close`."""
    en, zh = (place, place) if place else whole
    return Bilingual(en=f"{en}: the rule was changed and begins anew", zh=f"{zh}：规则已变更，重新开始判断")


def group_message(place: str, kind: ChangeKind) -> Bilingual:
    """Return the sentence for an area's or the facility's silence; `place` is the area id or empty."""
    en, zh = (place, place) if place else WHOLE_FEED
    if kind is ChangeKind.STEPPED:
        return _with_ending(group_message(place, ChangeKind.RAISED), kind)
    if kind is ChangeKind.RAISED:
        return Bilingual(en=f"{en}: no record arrives from any sensor", zh=f"{zh}：所有测点均未收到记录")
    return Bilingual(en=f"{en}: {_ENDINGS[kind][0]}", zh=f"{zh}：{_ENDINGS[kind][1]}")


def evidence(
    instance: Instance, kind: ChangeKind, value: float, peak: float, records: list[RecordRead], into: str | None = None
) -> Evidence:
    """Return the evidence of a change of one instance: what decided, the value farthest outside, limits, records read."""
    leaves: list[Leaf] = []
    frozen = isinstance(instance.rule, FrozenRule)
    means = mean_leaves(instance, kind, value)
    summed = digit_leaf(instance, kind, value) or sum_leaf(instance, kind, value, sign(instance.unit))
    summed = summed or steadiness_leaf(instance, kind, value)
    if means is not None:
        leaves += means
    elif summed is not None:
        leaves.append(summed)
    elif isinstance(instance.rule, GapRule):
        silent = instance.rule.threshold or 0
        wait = (
            f"{instance.rule.factor:g} x interval"
            if instance.rule.factor
            else format_duration(silent + instance.rule.grace)
        )
        if instance.rule.at_least is not None:
            wait = f"{wait}, at least {format_duration(instance.rule.at_least)}"
        if instance.rule.off is not None:
            wait = f"{wait}, or {instance.rule.off} off"
        verdict = Verdict.TRUE if kind in SILENT_WHILE else Verdict.FALSE
        during = silent_during(instance.rule)[0]
        leaves.append(Leaf(expr=f"silence of {instance.tag}{during}", left=None, op=">", right=wait, verdict=verdict))
    elif kind is ChangeKind.UNKNOWN:
        leaves.append(
            Leaf(expr=_expr(instance), left=None, op="in", right="limits", unit=instance.unit, verdict=Verdict.UNKNOWN)
        )
    elif not math.isnan(value):
        leaves.append(_movement(instance, kind, value) if frozen else _value_leaf(instance, value, peak))
    farthest = None if math.isnan(peak) else peak
    return Evidence(leaves=leaves, limits=list(instance.limits), records=records, into=into, peak=farthest)


def _scaled(instance: Instance) -> bool:
    return isinstance(instance.rule, DifferenceRule) and instance.rule.pairs == BY_TEMPERATURE


def _expr(instance: Instance) -> str:
    if isinstance(instance.rule, JumpRule):
        return f"change of {instance.tag}"
    if _scaled(instance):
        return f"{instance.tag} less the limit for its temperature"
    return f"difference {instance.label}" if isinstance(instance.rule, DifferenceRule) else instance.tag


def _movement(instance: Instance, kind: ChangeKind, value: float) -> Leaf:
    verdict = Verdict.FALSE if kind is ChangeKind.CLEARED else Verdict.TRUE
    right = "the value before" if kind is ChangeKind.CLEARED else value
    return Leaf(
        expr=f"movement of {instance.tag}", left=value, op="=", right=right, unit=instance.unit, verdict=verdict
    )


def _value_leaf(instance: Instance, value: float, peak: float) -> Leaf:
    """Return the comparison of a value: with the bound it is beyond, else with the one that the peak is beyond."""
    bound = crossed(instance, value)
    verdict = Verdict.FALSE if bound is None else Verdict.TRUE
    bound = bound or crossed(instance, peak)
    if bound is None:
        high = math.isfinite(instance.high)
        bound = (">", instance.high) if high else ("<", instance.low)
    return Leaf(expr=_expr(instance), left=value, op=bound[0], right=bound[1], unit=instance.unit, verdict=verdict)
