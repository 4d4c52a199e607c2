"""What every kind over series must bear: engine, oracle and leaves agree; splits of batches and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import note
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.engine import Engine
from rules.leaves.watch import leaves_of
from tests.rules import logs
from tests.rules.leaves.test_leaves_agree import compare, said
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import split
from tests.rules.test_engine_properties import END, plain, proved, without_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.pack import Bundle


@dataclass(frozen=True)
class Kinds:
    """Some rules of one kind, how long behind a log the clock goes on, and what a change of theirs proves."""

    bundle: Bundle
    own: tuple[str, ...]
    behind: int = END
    proved: Callable[[Any], Any] = proved

    def log(self, drawn):
        """Return facility, log and the instant up to which the clock goes on."""
        entity, entries = drawn
        log = logs.records(entity, entries)
        return entity, log, max(record.received for record in log) + self.behind

    def run(self, log, until=None, engine=None):
        engine = engine or Engine(self.bundle)
        changes = [change for record in log for change in engine.fold(record)]
        return changes if until is None else changes + engine.advance(0, until)

    def agree(self, drawn):
        """Compare with the oracle, and what the changes say with what it counted; returns what the rules told."""
        entity, log, until = self.log(drawn)
        changes = self.run(log, until)
        got = plain(changes)
        wanted, proofs = fold(log, self.bundle, until)[entity.id]
        for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
            if a != b:
                note(f"change {i}: engine {a}\noracle {b}")
                break
        assert got == wanted
        for change, proof in zip(changes, proofs, strict=True):
            if isinstance(proof, tuple):
                assert (self.proved if change.rule in self.own else proved)(change) == proof
            elif proof is not None:  # kinds that sum tell one number
                (leaf,) = change.evidence.leaves
                assert leaf.left == proof
        return self._counted(changes)

    def told(self, drawn):
        """Return what the rules tell of a log: what random logs reach is asked of the engine alone, which is many times as quick."""
        _, log, until = self.log(drawn)
        return self._counted(self.run(log, until))

    def _counted(self, changes):
        return Counter((c.rule, "raised late" if c.late else c.change.value) for c in changes if c.rule in self.own)

    def splits_change_nothing(self, drawn, random):
        _, log, until = self.log(drawn)
        assert without_records(self.run(log, until)) == without_records(self.run(split(log, random), until))

    def restarts_change_nothing(self, drawn, data):
        entity, log, until = self.log(drawn)
        restarted(self.bundle, entity.id, log, data.draw(st.integers(1, len(log))), until)

    def stands_in_the_leaves(self, drawn, *leaves):
        """Where an alarm stands in the engine, one of these leaves was true; no leaf had a verdict that it cannot have."""
        _, log, until = self.log(drawn)
        only = self.bundle.only({*self.own, "data-integrity.physical-range"})
        tracers, alarms = compare(log, only, until=until)
        for name in self.own:
            known = {leaf.name: leaf.verdicts for leaf in leaves_of(only.rule(name), only)}
            moments = []
            said(tracers[name], "T0", moments)
            seen = {(leaf.name, leaf.verdict) for moment in moments for leaf in moment.leaves}
            assert all(verdict in known[leaf] for leaf, verdict in seen if leaf in known)
            if alarms.standing(name, "T0") is not None:
                assert {(leaf, Verdict.TRUE) for leaf in leaves} & seen
