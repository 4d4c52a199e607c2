"""Why a rule over lots spoke of a lot at an instant, or why it did not (`offsite rules explain`): from the facts of all facilities of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.errors import BadInputError, Fault
from rules.evaluate import fold_one
from rules.explainparts import ROWS, rule_json, said_json
from rules.explaintext import PHASES, SIGNS, citation_line, leaf_line, said, speaker
from rules.instants import format_duration, format_instant
from rules.leaves.lots import leaves_of, seen_of
from rules.lotparts import BehindStop, CountedMoves
from rules.lots.facts import PRODUCT
from rules.lots.judge import items_of, sums_of
from rules.lots.offline import Lots
from rules.lots.ratio import rated_of, verdict_of
from rules.lots.speak import leaf_of, rated_leaf
from rules.records import Kind
from rules.rule import LotBalanceRule, LotFollowUpRule, LotRatioRule, LotRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.alarms import Alarm
    from rules.changes import Leaf as Said
    from rules.explaintext import Lang
    from rules.leaves.model import Leaf, Seen
    from rules.lots.book import Book
    from rules.lots.fold import LotFold
    from rules.pack import Bundle
    from rules.records import LogRecord

LOTS = 20
"""The most lots that one answer explains."""


@dataclass(slots=True)
class LotExplanation:
    """One rule and one lot at an instant (log time, ms)."""

    rule: LotRule
    packs: str
    lot: str
    at: int
    leaves: list[tuple[Leaf, Seen | None]]
    """Each leaf as it is; None: not asked."""
    alarms: list[Alarm]
    held: list[Said]
    """The newest moves, cases or balances that were held against the rule ..."""
    more: int
    """... and how many were before these."""
    failed: bool

    @property
    def standing(self) -> Alarm | None:
        """Return the alarm that stands, or None."""
        return next((one for one in reversed(self.alarms) if one.end is None and one.status != "retracted"), None)

    @property
    def phase(self) -> str:
        """Say where the condition stands."""
        return "active" if self.standing is not None else "normal"

    def numbers(self) -> list[dict[str, Any]]:
        """Return the times and counts of the rule."""
        rule, own = self.rule, f"{self.rule.id} {self.rule.version}"
        found: list[tuple[str, Any]] = []
        if isinstance(rule, LotBalanceRule):
            found = [("parts", ", ".join(rule.parts)), ("whole", ", ".join(rule.whole)), ("tolerance", rule.tolerance)]
        elif isinstance(rule, LotFollowUpRule):
            found = [("within", format_duration(rule.within))]
        elif isinstance(rule, LotRatioRule):
            found = [("n", rule.n), ("within", format_duration(rule.within))]
            found += [("over", format_duration(rule.over)), ("factor", rule.factor)]
        elif isinstance(rule.counted, CountedMoves):
            found = [("types", ", ".join(rule.counted.types))]
            found += [("notice", format_duration(rule.behind.notice))] if isinstance(rule.behind, BehindStop) else []
        else:
            found = [("n", rule.n), ("within", format_duration(rule.within))]
        return [{"name": name, "value": value, "origin": "rule", "edition": own} for name, value in found]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `offsite rules explain --json` prints, one a lot."""
        return {
            "rule": rule_json(self.rule), "packs": self.packs, "subject": {"lot": self.lot}, "at": format_instant(self.at),
            "limits": self.numbers(),
            "leaves": [{"says": leaf.words.model_dump(), **said_json(seen, leaf.name)} for leaf, seen in self.leaves],
            "state": {"phase": self.phase, "failed": self.failed},
            "held": [one.model_dump(mode="json", exclude_none=True) for one in self.held], "left_out": self.more,
            "alarms": [one.to_json() for one in self.alarms],
        }  # fmt: skip

    def lines(self, lang: Lang) -> list[str]:
        """Return it line by line."""
        say = speaker(lang)
        found = [
            f"{self.rule.id} {self.rule.version}  {said(self.rule.title, lang)} [{self.rule.kind}, {self.rule.stage}]",
            f"  {say('lot', '批号')} {self.lot}, {say('at', '时刻')} {format_instant(self.at)}",
            f"  => {self._answer(lang)}",
            f"  {say('numbers in force', '现行数值')}:",
            *(f"    {one['name']} = {one['value']} <- {one['origin']}, {one['edition']}" for one in self.numbers()),
            f"  {say('leaves', '条件')}:",
        ]
        for leaf, seen in self.leaves:
            words = f"{leaf.name}: {said(leaf.words, lang)}"
            asked = say("not asked now", "当前不适用")
            found.append(leaf_line(seen, words, lang) if seen else f"    -        {words} ({asked})")
        found.append(f"  {say('what was held against it, the newest last', '用于判定的事实，最新者在后')}:")
        for one in self.held:
            right = say("none known", "未知") if one.op and one.right is None else one.right
            found.append(f"    {say(*SIGNS[one.verdict])} {one.expr}  [{one.left} {one.op} {right if one.op else ''}]")
        if self.more:
            found.append("    " + say(f"and {self.more} before these", f"此前另有 {self.more} 条"))
        return [*found, f"  {say('citations', '依据')}:", *(f"    {citation_line(c, lang)}" for c in self.rule.cites)]

    def _answer(self, lang: Lang) -> str:
        say, alarm = speaker(lang), self.standing
        if self.failed:
            return say("the rule failed on this lot and is put aside", "规则对该批次运行出错，已停用")
        if alarm is None:
            return say(*PHASES["normal"])
        since = format_instant(alarm.start)
        return say(f"alarm since {since}, {alarm.facility}", f"自 {since} 起报警，{alarm.facility}")


def explain_lots(
    records: Iterable[LogRecord], bundle: Bundle, rule_id: str, *, at: int, lot: str | None = None, ignore_pack_records: bool = False
) -> tuple[list[LotExplanation], int]:  # fmt: skip
    """Return why a rule over lots spoke, or did not, of each lot at `at` (log time, ms), and how many lots were left out.

    Records received after `at` are not read. All facilities of the log are: of a part of them the answer is of that part.

    Args:
        records: of the log.
        bundle: in force before the first packs record.
        rule_id: of the rule.
        at: the instant.
        lot: only this one; None: all that the log names, those with an alarm first.
        ignore_pack_records: keep `bundle` throughout.

    Raises:
        BadInputError: the log names no such lot, or no longer holds the rule; or what `evaluate` raises.
    """
    engine = Engine(bundle, ignore_pack_records=ignore_pack_records, keep_facts=True)
    lots, now = Lots(), bundle
    for record in records:
        if record.received <= at:
            fold_one(engine, record)
            lots.tell((record.partition, record.offset), engine.take_facts(record.partition))
            if record.kind is Kind.PACKS:
                now = engine.packs_of(record.partition)
                lots.adopt(record.received, record.partition, now)
    changes, fold = lots.folded(bundle)
    rule = now.rule(rule_id)
    if not isinstance(rule, LotRule):
        raise BadInputError(
            "rule", [Fault("/rule", "unknown_rule", f"{rule_id} is no rule over lots in the packs then")]
        )
    names = _names(rule, fold)
    if lot is not None and lot not in names:
        raise BadInputError("subject", [Fault("/subject", "unknown_subject", f"the log names no lot {lot} until then")])
    alarms = fold_alarms(change for change in changes if change.rule == rule_id)
    stand = {one.subject["lot"] for one in alarms}
    chosen = sorted(names, key=lambda name: (name not in stand, name)) if lot is None else [lot]
    found = []
    for name in chosen[:LOTS]:
        state = fold.state_of(0, names[name])
        leaves = {seen.name: seen for seen in reversed(seen_of(rule, state.book, lot=name))}
        held = _held(rule, state.book, name)
        found.append(
            LotExplanation(
                rule, now.sha256, name, at, [(leaf, leaves.get(leaf.name)) for leaf in leaves_of(rule)],
                [one for one in alarms if one.subject["lot"] == name], held[-ROWS:], max(0, len(held) - ROWS),
                state.is_muted(rule_id),
            )
        )  # fmt: skip
    return found, max(0, len(chosen) - LOTS)


def _names(rule: LotRule, fold: LotFold) -> dict[str, str]:
    """Return the lots that a rule looks at, each with the name under which its facts stand: its own, or that of a product."""
    if not isinstance(rule, LotRatioRule):
        return {name: name for name in fold.lots(0) if not name.startswith(PRODUCT)}
    found: dict[str, str] = {}
    for name in fold.lots(0):
        portions = fold.state_of(0, name).book.portions
        for lot in {*portions.lots, *portions.of_lots()}:
            found.setdefault(lot, name)
    return dict(sorted(found.items()))


def _held(rule: LotRule, book: Book, lot: str) -> list[Said]:
    if isinstance(rule, LotRatioRule):
        items = book.portions.of_lots().get(lot, [])
        rated = [rated_leaf(rule, one, verdict_of(rule, book, one)) for *_, one in rated_of(rule, book, lot, items)]
        return [*(leaf_of(rule, one) for one in items), *rated[-1:]]
    if isinstance(rule, LotBalanceRule):
        return [leaf_of(rule, one) for one in sums_of(rule, book)]
    return [leaf_of(rule, one) for one in items_of(rule, book)]
