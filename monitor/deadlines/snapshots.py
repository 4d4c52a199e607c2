"""Read the clocks that run, and what figures are made of, out of facilities' snapshots: no fold, no plan, and no arrays; a millisecond each, most of it to unpack."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pydantic import ValidationError

from monitor.store.session import StoreDownError
from rules.clocks.listing import asked, rows
from rules.clocks.peek import peek
from rules.errors import BadInputError
from rules.faults import printable
from rules.figures.facts import facts
from rules.pack import Bundle, default_bundle
from rules.register import Facility
from rules.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.calendar import WorkingDays
    from rules.clocks.listing import Running
    from rules.clocks.peek import Peek
    from rules.figures.facts import FacilityFacts
    from rules.records import PacksRecord
    from rules.rule import DeadlineRule

log = logging.getLogger(__name__)
FORM = 2
"""Whoever changes what rows hold, or what is listed of the same snapshot, raises it: rows of another form are made anew."""
MOST = 1_000
"""Clocks of one facility that are kept, those that are due first; the others are counted."""
BUNDLES = 8
"""Bundles at hand; what is older is looked up again."""
CONTEXTS = 4_096
"""Facilities whose rules and working days are at hand; a register is read again when it changes."""
FAULT = 300
Context: TypeAlias = "tuple[tuple[DeadlineRule, ...], WorkingDays | None]"


class UnknownPacksError(Exception):
    """A snapshot names packs that are not known yet; they stand behind it in the state topic."""

    def __init__(self, sha256: str) -> None:
        """Name them."""
        super().__init__(sha256)
        self.sha256 = sha256


@dataclass(frozen=True, slots=True)
class Listed:
    """What a snapshot says of the clocks of its facility."""

    facility: str
    digest: str
    """Equal: the same is listed. Empty where it could not be read."""
    rows: list[Running] = field(default_factory=list)
    left_out: int = 0
    aside: list[str] = field(default_factory=list)
    """Rules of kind `deadline` that raised here."""
    fault: str | None = None
    """Why it cannot be read."""
    figures: FacilityFacts | None = None
    """What figures over all facilities need of it; None where it could not be read."""


class Reader:
    """Lists clocks; knows packs and registers that it met before."""

    def __init__(self, find: Callable[[str], PacksRecord | None]) -> None:
        """Take where packs are looked up by their hash."""
        self._find = find
        first = default_bundle()
        self._bundles: OrderedDict[str, Bundle | None] = OrderedDict({first.sha256: first})
        self._contexts: OrderedDict[tuple[bytes, str], Context] = OrderedDict()

    def learn(self, record: PacksRecord) -> None:
        """Take in packs; such as this release cannot read are known not to be readable."""
        if self._bundles.get(record.sha256) is None:
            self._note(record.sha256, record)

    def read(self, facility: str, snapshot: bytes, known: str) -> Listed | None:
        """Return what a snapshot lists; None where that is what is known already.

        Args:
            facility: under whose key it stands.
            snapshot: its bytes, whole.
            known: the digest of what was listed before; empty: nothing was.

        Raises:
            UnknownPacksError: it names packs that are nowhere yet.
            StoreDownError: they cannot be looked up.
        """
        try:
            seen = peek(snapshot)
            digest = f"{FORM}:{seen.digest.hex()}"
            return None if digest == known else self._list(facility, seen, digest)
        except (UnknownPacksError, StoreDownError, MemoryError):
            raise  # they say nothing of the snapshot
        except (SnapshotError, ValidationError) as error:
            return Listed(facility, "", fault=printable(str(error), FAULT))
        except Exception as error:
            log.exception("clocks of %s", facility)
            return Listed(facility, "", fault=printable(f"{type(error).__name__}: {error}", FAULT))

    def _list(self, facility: str, seen: Peek, digest: str) -> Listed:
        if seen.facility != facility:
            raise SnapshotError(f"a snapshot of {seen.facility} stands under the key {facility}")
        clocks, closed = seen.clocks()
        muted, told = seen.muted(), facts(facility, seen.register, seen.figures())
        if seen.register is None or not (clocks or muted):
            return Listed(facility, digest, figures=told)
        rules, days = self._context(seen.register, seen.packs)
        found = rows(facility, clocks, rules, days, closed)
        aside = [rule.id for rule in rules if rule.id in muted]
        return Listed(facility, digest, found[:MOST], max(0, len(found) - MOST), aside, figures=told)

    def _context(self, register: str, packs: str) -> Context:
        key = (hashlib.blake2b(register.encode(), digest_size=16).digest(), packs)
        known = self._contexts.pop(key, None)
        if known is None:
            known = asked(Facility.model_validate_json(register), self._bundle(packs))
        self._contexts[key] = known
        if len(self._contexts) > CONTEXTS:
            self._contexts.popitem(last=False)
        return known

    def _bundle(self, sha256: str) -> Bundle:
        if sha256 not in self._bundles:
            record = self._find(sha256)
            if record is None:
                raise UnknownPacksError(sha256)
            self._note(sha256, record)
        self._bundles.move_to_end(sha256)
        found = self._bundles[sha256]
        if found is None:
            raise SnapshotError(f"its packs {sha256[:12]} cannot be read by this release")
        return found

    def _note(self, sha256: str, record: PacksRecord) -> None:
        try:
            self._bundles[sha256] = Bundle.from_record(record)
        except BadInputError as error:
            log.warning("packs %s cannot be read by this release: %s", sha256[:12], error.report())
            self._bundles[sha256] = None
        if len(self._bundles) > BUNDLES:
            self._bundles.popitem(last=False)
