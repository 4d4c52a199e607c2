"""The second fold offline: facts in the order in which a log tells them, or as lines of `offsite.lots.v1` say (contracts.md §5).

Without such lines all lots stand in one partition, and facts and packs meet in the order of their receive times. With them each line's partition
counts, its facts stay in the order of the lines, and packs of a partition come into force among them by receive time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from rules.errors import ContractError
from rules.layout import NONE
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.changes import Change
    from rules.pack import Bundle

NAMED: Final = 20
"""Facts that one error names."""
_Step: TypeAlias = "tuple[int, int, int, LotFact | Bundle, tuple[int, int] | None]"


class FactsError(ContractError):
    """The facts of lots that a dump holds are not those that its log tells."""

    code: ClassVar[str] = "lot_facts_differ"
    action: ClassVar[str] = "Dump log and lots anew, up to one checkpoint; report it if they still differ."


@dataclass(frozen=True, slots=True)
class FactLine:
    """One line of kind `fact`: a fact with its place in `offsite.lots.v1` and its append time there (ms)."""

    partition: int
    offset: int
    received: int
    fact: LotFact


@dataclass(slots=True)
class Lots:
    """What the second fold needs of a log: collected while that is folded, decided at its end."""

    facts: list[tuple[tuple[int, int] | None, LotFact]] = field(default_factory=list)
    """Place of the record that told it, None: the clock did behind the log; and the fact."""
    packs: list[tuple[int, int, Bundle]] = field(default_factory=list)
    """Receive time and partition of a `packs` record, and the packs in force behind it."""
    seeded: dict[str, int] = field(default_factory=dict)
    """Facility -> facts that it had told when its state was taken over from a `state` record."""

    def tell(self, place: tuple[int, int] | None, facts: Iterable[LotFact]) -> None:
        """Note the facts that a record told, or the clock with it; `place` None: the clock behind the log."""
        self.facts += [(place, fact) for fact in facts]

    def adopt(self, received: int, partition: int, bundle: Bundle) -> None:
        """Note that packs came into force for a partition of the log."""
        self.packs.append((received, partition, bundle))

    def seed(self, facility: str, told: int) -> None:
        """Note how many facts a facility had told before the log begins."""
        self.seeded[facility] = told

    def decide(self, bundle: Bundle, lines: Sequence[FactLine] = ()) -> list[Change]:
        """Return the changes of all lots, in the order in which they were decided.

        Args:
            bundle: in force before the first packs.
            lines: the facts as the topic holds them; none: those that the log told.

        Raises:
            FactsError: lines that the log does not tell, or the reverse.
        """
        return self.folded(bundle, lines)[0]

    def folded(self, bundle: Bundle, lines: Sequence[FactLine] = ()) -> tuple[list[Change], LotFold]:
        """Return the fold as well, with the books of all lots; arguments and errors as of `decide`."""
        if lines:
            self._check(lines)
        fold = LotFold(bundle)
        changes: list[Change] = []
        for received, _, partition, what, place in self._by_line(lines) if lines else self._by_log():
            if isinstance(what, LotFact):
                changes += fold.fold(partition, what, place)
            else:
                changes += fold.adopt(partition, what, received)
        return changes, fold

    def _by_log(self) -> list[_Step]:
        """Return packs and facts by receive time: of one instant packs, what the clock told (whichever record moved it), what records told."""
        steps: list[_Step] = [(received, 0, 0, bundle, None) for received, _, bundle in self.packs]
        clocked = [one for one in self.facts if one[1].told.fact == "dark"]
        steps += [(fact.received, 1, 0, fact, place) for place, fact in sorted(clocked, key=_by_number)]
        steps += [(fact.received, 2, 0, fact, place) for place, fact in self.facts if fact.told.fact != "dark"]
        return sorted(steps, key=lambda step: step[:2])

    def _by_line(self, lines: Sequence[FactLine]) -> list[_Step]:
        steps: list[_Step] = []
        newest: dict[int, int] = {}
        homes = {line.fact.lot: line.partition for line in lines}
        for line in lines:
            at = newest[line.partition] = max(line.received, newest.get(line.partition, NONE))
            steps.append((at, 1, line.partition, line.fact, (line.partition, line.offset)))
        for _, fact in sorted((one for one in self.facts if one[0] is None), key=_by_number):
            home = homes.get(fact.lot, 0)
            at = newest[home] = max(fact.received, newest.get(home, NONE))
            steps.append((at, 1, home, fact, None))
        steps += [
            (received, 0, partition, bundle, None) for received, partition, bundle in self.packs if partition in newest
        ]
        return sorted(steps, key=lambda step: (step[2], step[0], step[1]))

    def _check(self, lines: Sequence[FactLine]) -> None:
        told = {(fact.facility, fact.n): fact for place, fact in self.facts if place is not None}
        lined = {(line.fact.facility, line.fact.n): line.fact for line in lines}
        found = [
            f"{who} {n}, lot {told[who, n].lot}: told by the log, no line" for who, n in sorted(told.keys() - lined)
        ]
        found += [
            f"{who} {n}, lot {lined[who, n].lot}: a line, not told by the log"
            for who, n in sorted(lined.keys() - told)
            if n > self.seeded.get(who, 0)
        ]
        both = sorted(told.keys() & lined)
        found += [
            f"{key[0]} {key[1]}, lot {told[key].lot}: another content"
            for key in both
            if not _same(told[key], lined[key])
        ]
        if found:
            more = f"\n  and {len(found) - NAMED} more" if len(found) > NAMED else ""
            listed = "".join(f"\n  {one}" for one in found[:NAMED])
            raise FactsError(f"{len(found)} facts of lots differ between the log and the lines:{listed}{more}")


def _same(told: LotFact, lined: LotFact) -> bool:
    """Say whether a line is what the log tells; a worker of before did not say what the facility is registered for."""
    return told == (lined.model_copy(update={"scoped": told.scoped}) if lined.scoped is None else lined)


def _by_number(one: tuple[tuple[int, int] | None, LotFact]) -> tuple[str, int]:
    return one[1].facility, one[1].n
