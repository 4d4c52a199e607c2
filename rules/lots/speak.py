"""What an alarm of a lot says: who did what against what, in both languages, and the records that were read."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.lots.cases import Item
from rules.lots.judge import LISTED
from rules.lots.tally import Sum
from rules.models import Bilingual
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.lots.portions import Rated
    from rules.lots.rows import Exact
    from rules.lots.spell import Closed, Spell
    from rules.rule import LotRule

LISTED_FACILITIES: Final = 500
"""Facilities that the evidence of a change lists at most: 17 KiB of 64."""
NAMED: Final = 3
"""Facilities that a message names."""
_ENDINGS: Final[dict[ChangeKind, tuple[str, str]]] = {
    ChangeKind.UNKNOWN: ("the rule failed, the condition is unknown", "规则运行出错，状态未知"),
    ChangeKind.KNOWN: ("the rule is tried again, and it still holds", "规则已重新启用，该情形仍然存在"),
    ChangeKind.CLEARED: ("it does not hold any more", "该情形已不存在"),
    ChangeKind.RETRACTED: ("by what is known now it did not hold like this", "按现有信息，该情形并不如此成立"),
    ChangeKind.AMENDED: ("more is known of it", "已获知更多信息"),
}  # fmt: skip

_CLOSED: Final = ("closed by an officer's decision", "已由监管人员决定关闭")


def read_of(kind: str, name: str, teller: str, facility: str) -> RecordRead:
    """Return a record as the evidence of a facility's alarm names it: one that another facility sent with that in front.

    Ids of batches and reports are each facility's own. A decision is no facility's, and neither are packs.
    """
    own = teller in {"", facility} or kind == "decision"
    return RecordRead(kind=kind, id=name if own else f"{teller} {name}")


def _tellers(one: Item | Sum) -> tuple[str, ...]:
    return one.tellers if isinstance(one, Item) else tuple(one.facility for _ in one.records)


def proof_of(
    rule: LotRule, spell: Spell, read: Iterable[RecordRead], into: str | None = None, *, facility: str
) -> Evidence:
    """Return the evidence of a change of a facility's alarm: what makes the spell hold, the records that told it, the one that was being read last."""
    shown, left_out = spell.items[:LISTED], len(spell.items) - LISTED
    leaves = [*_head(rule, spell), *(leaf_of(rule, one) for one in shown)]
    if spell.closed is not None:
        leaves.insert(0, _decision(spell.closed))
    named, more = spell.facilities[:LISTED_FACILITIES], len(spell.facilities) - LISTED_FACILITIES
    heard = {name for one in shown for name in _who(one)}
    quiet = [name for name in spell.facilities if name not in heard][:LISTED]
    leaves += [Leaf(expr=f"{name}: as well", op="", verdict=Verdict.TRUE) for name in quiet]
    told = [(*record, teller) for one in shown for record, teller in zip(one.records, _tellers(one), strict=True)]
    told += [(*spell.closed.record, "")] if spell.closed else []
    records = [read_of(kind, name, teller, facility) for kind, name, teller in told if kind]
    once = list({(one.kind, one.id): one for one in [*records, *read]}.values())
    cut = {name: n for name, n in (("leaves", left_out), ("facilities", more)) if n > 0}
    return Evidence(leaves=leaves, records=once, into=into, left_out=cut, facilities=list(named))


def _head(rule: LotRule, spell: Spell) -> list[Leaf]:
    if isinstance(rule, LotBalanceRule | LotFollowUpRule) or (rule.n == 1 and spell.rated is None):
        return []
    within = format_duration(rule.within)
    if isinstance(rule, LotRatioRule) and spell.rated is not None:
        many = float(spell.rated.cases)
        reached = Leaf(expr=f"cases within {within}", left=many, op=">=", right=float(rule.n), verdict=Verdict.TRUE)
        return [reached, rated_leaf(rule, spell.rated, Verdict.TRUE)]
    inside = sum(1 for one in spell.items if one.at <= spell.start)
    return [Leaf(expr=f"cases within {within}", left=float(inside), op=">=", right=float(rule.n), verdict=Verdict.TRUE)]


def rated_leaf(rule: LotRatioRule, rated: Rated, verdict: Verdict) -> Leaf:
    """Return the cases of a lot against those that its product lets expect, as evidence shows them."""
    expected = rated.expected()
    right = None if expected is None else shown(Fraction(repr(rule.factor)) * expected)
    expr = (
        f"cases within {format_duration(rule.within)} by {format_instant(rated.at)} against {rule.factor:g} times the expected: "
        f"{rated.all_cases} of the product in {format_duration(rule.over)} on {float(rated.all_sold):g} units, {float(rated.sold):g} of lot {rated.lot}"
    )
    return Leaf(expr=expr, left=float(rated.cases), op=">", right=right, verdict=verdict)


def _decision(closed: Closed) -> Leaf:
    at = format_instant(closed.received)
    return Leaf(expr="decision", left=closed.code, op="closes", right=at, verdict=Verdict.FALSE)


def _who(one: Item | Sum) -> tuple[str, ...]:
    return (one.facilities if isinstance(one, Item) else ()) or (one.facility,)


def leaf_of(rule: LotRule, one: Item | Sum) -> Leaf:
    """Return one thing that counts, or does not, as evidence shows it; the facilities it is of stand in front."""
    who = ", ".join(_who(one))
    if isinstance(rule, LotFollowUpRule):
        assert isinstance(one, Item)  # noqa: S101 - of a follow-up there are sales
        named = f", trip {one.name}" if one.name else ""
        expr = f"{who}: sold online {format_instant(one.at)}{named}, telemetry within {format_duration(rule.within)}"
        known, op = "none", "until"
        if one.against != NEVER:
            known = f"{one.tellers[1]} {format_instant(one.against)}"
            op = "after" if one.verdict is Verdict.TRUE else "before"
        return Leaf(expr=expr, left=known, op=op, right=format_instant(one.received), verdict=one.verdict)
    if isinstance(one, Sum) or isinstance(rule, LotBalanceRule):
        assert isinstance(one, Sum) and isinstance(rule, LotBalanceRule)  # noqa: S101, PT018 - of a balance there are sums
        expr = f"{who}: {' + '.join(rule.parts)} by {format_instant(one.at)}"
        return Leaf(expr=expr, left=shown(one.parts), op=">", right=shown(one.whole), verdict=one.verdict)
    if isinstance(rule, LotRatioRule) or rule.behind is None:
        return Leaf(expr=f"{who}: case {one.name} known", left=format_instant(one.at), op="", verdict=one.verdict)
    bound = None if one.against == NEVER else format_instant(one.against)
    what = "stop" if rule.behind.fact == "stop" else "expiry"
    named = f" by {one.tellers[1]}" if len(one.tellers) > 1 else ""
    expr = f"{who}: {one.name} against the {what}{named}"
    return Leaf(expr=expr, left=format_instant(one.at), op=">=", right=bound, verdict=one.verdict)


def shown(total: Exact) -> float | str:
    """Return an exact sum as evidence shows it; one that no double holds as text."""
    return float(total) if total < 10**300 else f"above 10^{len(str(int(total))) - 1}"


def message_of(
    lot: str, title: Bilingual, kind: ChangeKind, facilities: tuple[str, ...], *, closed: bool = False, trip: str = ""
) -> Bilingual:
    """Return what a change says to a person; `closed`: an officer's decision ended what it is of; `trip`: that it is of."""
    more = len(facilities) - NAMED
    named = ", ".join(facilities[:NAMED])
    of_en, of_zh = (f", trip {trip}", f"、运输批次 {trip}") if trip else ("", "")
    en = f"Lot {lot}{of_en}: {title.en}" + (f" ({named}{f' and {more} more' if more > 0 else ''})" if named else "")
    zh = f"批号 {lot}{of_zh}：{title.zh}" + (
        f"（{named}{f' 等共 {len(facilities)} 家' if more > 0 else ''}）" if named else ""
    )
    ending = _CLOSED if closed and kind is ChangeKind.CLEARED else _ENDINGS.get(kind)
    return Bilingual(
        en=en if ending is None else f"{en}; {ending[0]}", zh=zh if ending is None else f"{zh}；{ending[1]}"
    )
