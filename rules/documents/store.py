"""The reports of a facility that rules over reports read, and the alarms of these rules: bounded, in the snapshot, the same after a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.documents.kept import Kept, Version
from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence, Packed
from rules.rare.store import AnyCase, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.documents.series import DocumentKey

MAX_REPORT_BYTES: Final = 256 * 1024
"""Fields of one revision: a larger one is not kept, and nothing is said of it."""
MAX_BYTES: Final = 2 * 1024 * 1024
"""Fields of all revisions that are kept of a facility ..."""
MAX_DOCUMENTS: Final = 2_000
"""... and its reports: the one that was touched longest ago goes out first, never one because of which an alarm stands."""
MAX_CASES: Final = 5_000
"""Subjects of one rule of which an alarm was raised; the one that was touched longest ago goes out first, never one that stands."""
COUNTERS: Final = (
    "document_dropped", "document_left_out", "document_too_large", "document_stale", "document_entry_left_out",
    "document_case_left_out",
)  # fmt: skip

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
PackedCause: TypeAlias = tuple[str, str, str, bool]
PackedCase: TypeAlias = tuple[str, str, list[PackedCause], list[str], Packed | None, list[tuple[_At, _Some]]]
PackedDocuments: TypeAlias = tuple[
    list[tuple[str, str, list[tuple[_Some, str]]]], list[tuple[str, _Some]], list[PackedCase]
]
"""In a snapshot: reports (type, id, revisions with their fields, newest first), counters, cases of rules."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A report because of which an alarm stands; `known`: it is so by what is known now, else it was so and is unknown."""

    group: str
    """The text of the series it stands in (rules/documents/series.py), or stood in when it was judged last."""
    key: DocumentKey
    known: bool


@dataclass(slots=True)
class DocumentCase(AnyCase):
    """One rule on one subject of which an alarm was raised."""

    causes: list[Cause] = field(default_factory=list)
    """Because of which reports it stands; by type and id, or by series."""
    read: list[str] = field(default_factory=list)
    """Reports with their revisions that its alarm was last told by."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What keeping a report changed."""

    key: DocumentKey
    touched: tuple[Kept, ...]
    """The report as it was and as it is, and those that went out for it."""
    corrected: bool
    """An older revision was corrected."""


@dataclass(slots=True)
class Documents:
    """Everything that is kept for rules over reports."""

    kept: dict[DocumentKey, Kept] = field(default_factory=dict)
    """By type and id; the one that was touched last stands last."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    cases: dict[str, dict[str, DocumentCase]] = field(default_factory=dict)
    """Rule -> subject as text -> its case; the one that was touched last stands last."""
    size: int = 0
    """Bytes of all that is kept; follows from it, ..."""
    _groups: dict[str, dict[DocumentKey, Kept]] = field(default_factory=dict)
    """... as do its reports by the series that they stand in."""

    def put(self, key: DocumentKey, revision: int, text: str) -> Taken | None:
        """Keep a revision of a report, by its number, whatever came before; None: it changes nothing, or there is no room.

        Args:
            key: type and id.
            revision: its number, which did not come before.
            text: its fields (`rules.documents.kept.text_of`).
        """
        version = Version(revision, text)
        if version.size > MAX_REPORT_BYTES:
            self.counts["document_too_large"] += 1
            return None
        before = self.kept.get(key)
        made = _with(before, Kept(key, version))
        if made is None:
            self.counts["document_stale"] += 1
            return None
        gone = self._room_for(key, made.size - (0 if before is None else before.size))
        if gone is None:
            self.counts["document_left_out"] += 1
            return None
        if before is not None:
            self.forget(key)
        self.add(made)
        touched = (*gone, made) if before is None else (*gone, before, made)
        return Taken(key, touched, before is not None and made.newest is version)

    def add(self, made: Kept) -> None:
        """Keep a report that is not kept."""
        self.kept[made.key] = made
        self.size += made.size
        self._groups.setdefault(made.place.group, {})[made.key] = made

    def _room_for(self, key: DocumentKey, more: int) -> list[Kept] | None:
        """Let reports go out for `more` bytes of a report; returns them, None where too few may go: then none does."""
        size, number = self.size + more, len(self.kept) + (key not in self.kept)
        if size <= MAX_BYTES and number <= MAX_DOCUMENTS:
            return []
        held = {cause.key for of in self.cases.values() for case in of.values() for cause in case.causes}
        leaving = []
        for other, one in self.kept.items():
            if size <= MAX_BYTES and number <= MAX_DOCUMENTS:
                break
            if other != key and other not in held:
                leaving.append(other)
                size, number = size - one.size, number - 1
        if size > MAX_BYTES or number > MAX_DOCUMENTS:
            return None
        gone = [self.forget(other) for other in leaving]
        self.counts["document_dropped"] += len(leaving)
        return gone

    def forget(self, key: DocumentKey) -> Kept:
        """Keep a report no longer; returns it."""
        gone = self.kept.pop(key)
        self.size -= gone.size
        group = self._groups[gone.place.group]
        del group[key]
        if not group:
            del self._groups[gone.place.group]
        return gone

    def in_group(self, group: str) -> Iterable[Kept]:
        """Return the reports that stand in a series."""
        return self._groups.get(group, {}).values()

    @property
    def groups(self) -> Iterable[str]:
        """Return the series of which reports are kept."""
        return self._groups.keys()

    def of(self, rule: str) -> dict[str, DocumentCase]:
        """Return the cases of a rule, by subject."""
        return self.cases.get(rule, {})

    def case(self, rule: str, subject: str) -> DocumentCase | None:
        """Return the case of a rule and a subject, touched; a new one if there is room. None: left out, and counted."""
        cases = self.cases.setdefault(rule, {})
        case = cases.pop(subject, None)
        if case is None:
            if len(cases) >= MAX_CASES:
                idle = next((name for name, one in cases.items() if one.standing is None), None)
                if idle is None:
                    self.counts["document_case_left_out"] += 1
                    return None
                del cases[idle]
            case = DocumentCase()
        cases[subject] = case
        return case

    def vacate(self, rule: str) -> None:
        """Forget the cases of a rule, but what tells a later alarm from an earlier one."""
        kept = {name: DocumentCase(uses=case.uses) for name, case in self.cases.pop(rule, {}).items() if case.uses}
        if kept:
            self.cases[rule] = kept

    @property
    def are_nothing(self) -> bool:
        """Say whether nothing was ever kept: then a snapshot does not hold it."""
        return not self.kept and not self.cases and not any(self.counts.values())

    def pack(self) -> PackedDocuments:
        """Return the members for a snapshot, in the order in which they are kept."""
        reports = [
            (*key, [(one.revision, one.text) for one in (kept.newest, kept.earlier) if one is not None])
            for key, kept in self.kept.items()
        ]
        counts = [(name, number) for name, number in self.counts.items() if number]
        cases = [
            (
                rule, subject, [(cause.group, *cause.key, cause.known) for cause in case.causes], list(case.read),
                None if case.last is None else case.last.pack(), list(case.uses.items()),
            )
            for rule, of in sorted(self.cases.items())
            for subject, case in of.items()
        ]  # fmt: skip
        return (reports, counts, cases)


def _with(before: Kept | None, new: Kept) -> Kept | None:
    """Return a report with a revision more: the two with the highest numbers; None: it is neither."""
    if before is None:
        return new
    version = new.newest
    if version.revision > before.newest.revision:
        return Kept(new.key, version, before.newest)
    if before.earlier is None or version.revision > before.earlier.revision:
        return Kept(new.key, before.newest, version)
    return None


def unpack(packed: PackedDocuments | msgspec.UnsetType) -> Documents:
    """Return what packed members say, nothing where a snapshot has none.

    Raises:
        ValueError: a report without a revision, a case without a subject.
    """
    if isinstance(packed, msgspec.UnsetType):
        return Documents()
    reports, counts, cases = packed
    found = Documents(counts=dict.fromkeys(COUNTERS, 0) | dict(counts))
    for kind, name, versions in reports:
        first, *others = (Version(*one) for one in versions)
        found.add(Kept((kind, name), first, others[0] if others else None))
    for rule, subject, causes, read, last, uses in cases:
        subject_of(subject)  # a snapshot that names no subject is none
        found.cases.setdefault(rule, {})[subject] = DocumentCase(
            last=None if last is None else Occurrence.unpack(last), uses=dict(uses), read=[*read],
            causes=[Cause(group, (kind, name), known) for group, kind, name, known in causes],
        )  # fmt: skip
    return found
