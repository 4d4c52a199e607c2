"""Leaves of rules over lots: plainly said of each lot, or product, after each fact, from all that is known of it (rules/lots)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.lotparts import BehindExpiry, BehindStop, CountedCases
from rules.lots.book import Book
from rules.lots.facts import PRODUCT
from rules.lots.judge import items_of, spells_of, sums_of
from rules.lots.ratio import rated_of, verdict_of
from rules.lots.speak import rated_leaf, shown
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.lots.cases import Item
    from rules.lots.facts import LotFact
    from rules.rule import LotCountRule, LotRule


_ZH = {
    "shipped": "发货", "sold": "销售", "produced": "生产", "imported": "进口", "arrived": "到货", "returned": "退回",
    "death": "死亡", "serious": "严重", "other": "其他",
}  # fmt: skip


def _zh(names: Iterable[str], sign: str) -> str:
    return sign.join(_ZH[name] for name in names)


def leaves_of(rule: LotRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, LotBalanceRule):
        whole, parts = " + ".join(rule.whole), " + ".join(rule.parts)
        more = f" by more than {rule.tolerance:g}" if rule.tolerance else ""
        more_zh = f"达 {rule.tolerance:g} 以上" if rule.tolerance else ""
        over = both(
            f"{parts} of a facility exceed its {whole}{more}",
            f"单位的{_zh(rule.parts, '与')}数量超过其{_zh(rule.whole, '、')}数量{more_zh}",
        )
        return [Leaf("over", over)]
    if isinstance(rule, LotFollowUpRule):
        late = format_duration(rule.within)
        sold = f"something that must stay cold was sold online, and {late} behind that its seller knew of no telemetry of its store or the shipment"
        sold_zh = f"网络销售须冷链的产品，{late} 后销售单位仍无其库房或该批运输的监测数据"
        none = "nobody has told telemetry of the trip either, and none has come since"
        return [
            Leaf("sold", both(sold, sold_zh), TWO),
            Leaf("absent", both(none, "亦无其他单位提供该运输批次的监测数据，且此后仍未收到"), TWO),
        ]
    if isinstance(rule.counted, CountedCases):
        grave = " or ".join(rule.counted.seriousness)
        found = [Leaf("case", both(f"a case is {grave}", f"病例严重程度为{_zh(rule.counted.seriousness, '或')}"), TWO)]
    else:
        named, back = " or ".join(rule.counted.types), " that is no return" if rule.counted.back else ""
        back_zh = "（退回持有人或生产企业的除外）" if rule.counted.back else ""
        moved = both(f"something was {named}{back}", f"发生{_zh(rule.counted.types, '或')}{back_zh}")
        found = [Leaf("moved", moved, TWO)]
    if isinstance(rule, LotRatioRule):
        return [*found, *_ratio_leaves(rule)]
    if isinstance(rule.behind, BehindStop):
        late = format_duration(rule.behind.notice)
        known = f"at or behind the firm's own stop, or {late} behind the holder's notice"
        found.append(Leaf("stop", both(known, f"在本单位获知停用之后，或持有人通知 {late} 之后")))
    if isinstance(rule.behind, BehindExpiry):
        found.append(Leaf("expiry", both("at or behind 24:00 of the lot's expiry", "在有效期当日 24:00 之后")))
    if rule.n > 1:
        within = format_duration(rule.within)
        reached = both(f"at least {rule.n} of them within {within}", f"{within} 内至少 {rule.n} 例")
        found.append(Leaf("count", reached, TWO))
    return found


def _ratio_leaves(rule: LotRatioRule) -> list[Leaf]:
    within, over = format_duration(rule.within), format_duration(rule.over)
    reached = both(f"at least {rule.n} of one lot within {within}", f"同一批次 {within} 内至少 {rule.n} 例")
    above = (
        f"more than {rule.factor:g} times the expected ones: cases of the product in {over}, divided by its units sold in that "
        "time, times the units of the lot sold by then"
    )
    above_zh = f"超过预期病例数的 {rule.factor:g} 倍（预期病例数 = 该药品 {over} 内病例数 ÷ 同期销售量 × 该批次截至当日的销售量）"
    return [Leaf("count", reached, TWO), Leaf("ratio", both(above, above_zh))]


def seen_of(rule: LotRule, book: Book, fact: LotFact | None = None, *, lot: str | None = None) -> tuple[Seen, ...]:
    """Return the leaves of a lot as they are by all that is known of it; with a fact, of what that tells where it tells something.

    Of the book of a product they are those of a `lot`, without one of that which comes closest to an alarm.
    """
    if isinstance(rule, LotBalanceRule):
        return _balance(rule, book)
    items = list(items_of(rule, book))
    if isinstance(rule, LotFollowUpRule):
        return _follow_up(items)
    if isinstance(rule, LotRatioRule):
        return _ratio(
            rule, book, book.portions.of_lots() if lot is None else {lot: book.portions.of_lots().get(lot, [])}
        )
    name = "case" if isinstance(rule.counted, CountedCases) else "moved"
    if name == "moved":
        told = None if fact is None else getattr(fact.told, "type", fact.told.fact)
        counted = Seen("moved", verdict(bool(items)), told, "in", ", ".join(getattr(rule.counted, "types", ())))
    else:
        counting = sum(item.verdict is Verdict.TRUE for item in items)
        counted = Seen("case", verdict(counting > 0), float(counting), ">=", 1.0)
    if not items:
        return (counted,)
    found = [counted]
    if rule.behind is not None:
        best = max(items, key=lambda item: (item.verdict is Verdict.TRUE, item.verdict is Verdict.UNKNOWN, item.at))
        bound = None if best.against == NEVER else format_instant(best.against)
        found.append(Seen(rule.behind.fact, best.verdict, f"{best.facility} {format_instant(best.at)}", ">=", bound))
    if rule.n > 1:
        spells = spells_of(rule, book)
        found.append(Seen("count", verdict(bool(spells)), float(_most(rule, book)), ">=", float(rule.n)))
    return tuple(found)


def _most(rule: LotCountRule, book: Book) -> int:
    """Return the most that lie within the rule's time."""
    times = [item.at for item in items_of(rule, book) if item.verdict is Verdict.TRUE]
    return max((sum(at - rule.within <= other <= at for other in times) for at in times), default=0)


def _follow_up(items: list[Item]) -> tuple[Seen, ...]:
    sold = Seen("sold", verdict(bool(items)), float(len(items)), ">=", 1.0)
    if not items:
        return (sold,)
    dark = sum(item.against == NEVER for item in items)
    return (sold, Seen("absent", verdict(dark > 0), float(dark), ">=", 1.0))


def _ratio(rule: LotRatioRule, book: Book, of_lots: dict[str, list[Item]]) -> tuple[Seen, ...]:
    """Return the leaves of some lots of a product: the most cases of one, and of those with enough the one that is farthest."""
    known = {item.name for items in of_lots.values() for item in items}
    counted = Seen("case", verdict(bool(known)), float(len(known)), ">=", 1.0)
    rated = [one for lot, items in of_lots.items() for *_, one in rated_of(rule, book, lot, items)]
    if not rated:
        return (counted,)
    most = max(one.cases for one in rated)
    reached = Seen("count", verdict(most >= rule.n), float(most), ">=", float(rule.n))
    enough = [one for one in rated if one.cases >= rule.n]
    if not enough:
        return (counted, reached)
    order = (Verdict.FALSE, Verdict.UNKNOWN, Verdict.TRUE)
    best = max(enough, key=lambda one: (order.index(verdict_of(rule, book, one)), one.at, one.lot))
    leaf = rated_leaf(rule, best, verdict_of(rule, book, best))
    return (counted, reached, Seen("ratio", leaf.verdict, f"{best.lot}: {best.cases}", ">", leaf.right))


def _balance(rule: LotBalanceRule, book: Book) -> tuple[Seen, ...]:
    order = (Verdict.FALSE, Verdict.UNKNOWN, Verdict.TRUE)
    found = []
    for one in sorted(sums_of(rule, book), key=lambda one: order.index(one.verdict), reverse=True):
        parts, whole = shown(one.parts), shown(one.whole)
        found.append(Seen("over", one.verdict, f"{one.facility}: {parts}", ">", whole))
    return tuple(found)


def moments_of(rule: LotRule, facts: Iterable[LotFact]) -> Iterator[Moment]:
    """Return what the leaves were behind each fact, of its lot."""
    books: dict[str, Book] = {}
    for fact in facts:
        if fact.lot.startswith(PRODUCT) != isinstance(rule, LotRatioRule):
            continue  # facts of a product say nothing to a rule over one lot, nor the reverse
        book = books.setdefault(fact.lot, Book())
        if not book.knows(fact):
            book.take(fact)
            yield Moment("event", fact.at, seen_of(rule, book, fact))
