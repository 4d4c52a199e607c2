"""Load rule packs into a bundle, hash it, and carry it through the log as a `packs` record.

The one place in `rules/` that reads files: the packs themselves.
"""

from __future__ import annotations

import base64
import functools
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from rules.calendar import Calendar
from rules.canonical import canonical_bytes, sha256_hex
from rules.errors import BadInputError, Fault
from rules.exceptionfaults import exception_faults
from rules.exceptions import NONE_IN_FORCE, Allowed, SiteException, by_facility, in_force, next_border
from rules.faults import unreadable
from rules.records import SEMANTICS, PacksRecord
from rules.rule import Rule
from rules.salvage import NOTHING, Taken, read_calendar, read_exceptions, read_rule, read_table, touches
from rules.soundness import bundle_faults
from rules.tables import Table
from rules.yamlfile import OF_A_VALUE, Document, read_on

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

SHIPPED = Path(__file__).parent / "packs"
MAX_BUNDLE_BYTES = 8 * 1024 * 1024
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All rules, tables, calendars and site exceptions in force, by id; `sha256` is over canonical JSON without the tests."""

    rules: tuple[Rule, ...]
    tables: dict[str, Table]
    sha256: str
    exceptions: tuple[SiteException, ...] = ()
    calendars: dict[str, Calendar] = field(default_factory=dict)
    _of_facility: dict[str, tuple[SiteException, ...]] = field(default_factory=dict, repr=False, compare=False)
    _of_tag: dict[tuple[str, str], list[SiteException]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _ranks: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note the place of each rule, and which exceptions are for which series."""
        self._ranks.update((rule.id, rank) for rank, rule in enumerate(self.rules))
        for facility, own in self._of_facility.items():
            for one in own:
                self._of_tag.setdefault((facility, one.tag), []).append(one)

    @classmethod
    def of(
        cls, rules: Iterable[Rule], tables: Iterable[Table], exceptions: Iterable[SiteException] = (),
        calendars: Iterable[Calendar] = (),
    ) -> Bundle:  # fmt: skip
        """Return a bundle of rules, tables, exceptions and calendars whose ids are unique."""
        ordered = tuple(sorted(rules, key=lambda rule: rule.id))
        named = {table.id: table for table in sorted(tables, key=lambda table: table.id)}
        excepted = tuple(sorted(exceptions, key=lambda one: one.id))
        days = {one.id: one for one in sorted(calendars, key=lambda one: one.id)}
        sha256 = sha256_hex(_content(ordered, named, excepted, days))
        return cls(ordered, named, sha256, excepted, days, by_facility(excepted))

    def only(self, ids: set[str]) -> Bundle:
        """Return the bundle of these rules with the exceptions from them (and all tables and calendars)."""
        return Bundle.of(
            [rule for rule in self.rules if rule.id in ids],
            self.tables.values(),
            [one for one in self.exceptions if one.rule in ids],
            self.calendars.values(),
        )

    def excepted(self, facility: str, tag: str, at_ms: int) -> Allowed:
        """Return from which rules a series of a facility is excepted at an instant, and by what."""
        own = self._of_tag.get((facility, tag))
        return NONE_IN_FORCE if own is None else in_force(own, tag, at_ms)

    def next_border(self, facility: str, tags: Container[str], at_ms: int) -> int:
        """Return the next instant at which an exception for a tag of a facility begins or ends (NEVER_MS: none)."""
        return next_border(self._of_facility.get(facility, ()), tags, at_ms)

    def rule(self, rule_id: str) -> Rule | None:
        """Return a rule by id."""
        rank = self._ranks.get(rule_id)
        return None if rank is None else self.rules[rank]

    def rank(self, rule_id: str) -> int:
        """Return the place of a rule in the order by id.

        Raises:
            KeyError: there is no such rule.
        """
        return self._ranks[rule_id]

    def content(self) -> bytes:
        """Return the canonical JSON that the hash is over: rules without their tests, tables, and exceptions and calendars if there are some."""
        return canonical_bytes(_content(self.rules, self.tables, self.exceptions, self.calendars))

    def to_record(self) -> PacksRecord:
        """Return the bundle as a record; the hash is over the uncompressed canonical JSON."""
        packed = zlib.compress(self.content(), 9)
        return PacksRecord(sha256=self.sha256, semantics=SEMANTICS, bundle=base64.b64encode(packed).decode())

    @classmethod
    def from_record(cls, record: PacksRecord) -> Bundle:
        """Return the bundle of a record.

        Raises:
            BadInputError: it does not decompress, does not validate, no plan could be made of it, or its hash is another.
        """
        try:
            expander = zlib.decompressobj()
            raw = expander.decompress(base64.b64decode(record.bundle, validate=True), MAX_BUNDLE_BYTES)
            content: Any = None if expander.unconsumed_tail else json.loads(raw)
            rules = [_RULE.validate_python(rule) for rule in content["rules"]]
            tables = [Table.model_validate(table) for table in content["tables"]]
            exceptions = [SiteException.model_validate(one) for one in content.get("exceptions", [])]
            calendars = [Calendar.model_validate(one) for one in content.get("calendars", [])]
            unsound = bundle_faults(rules, tables, exceptions)
            bundle = cls.of(rules, tables, exceptions, calendars)
        except (ValueError, zlib.error, KeyError, TypeError, RecursionError) as error:
            raise BadInputError("rule bundle", [Fault("/bundle", "bundle", str(error)[:500])]) from error
        if unsound:
            raise BadInputError("rule bundle", unsound)
        if bundle.sha256 != record.sha256:
            raise BadInputError("rule bundle", [Fault("/sha256", "hash", "the bundle's content has another hash")])
        return bundle


def _content(
    rules: tuple[Rule, ...], tables: dict[str, Table], exceptions: tuple[SiteException, ...],
    calendars: dict[str, Calendar],
) -> dict[str, Any]:  # fmt: skip
    content: dict[str, Any] = {
        "rules": [rule.model_dump(mode="json", by_alias=True, exclude={"tests"}, exclude_none=True) for rule in rules],
        "tables": [table.model_dump(mode="json", by_alias=True, exclude_none=True) for table in tables.values()],
    }
    if exceptions:  # a bundle without keeps the hash that it had before there were any
        content["exceptions"] = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in exceptions]
    if calendars:
        content["calendars"] = [one.model_dump(mode="json", by_alias=True) for one in calendars.values()]
    return content


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file of a rule, a table, a calendar or exceptions as read: the model and the document that knows its lines.

    Of a file with faults the model is what could be read beside them, or None; `taken` says what was left out. Of a text that could not
    be read to its end there is no model.
    """

    path: Path
    document: Document
    rule: Rule | None = None
    table: Table | None = None
    taken: Taken = NOTHING
    exceptions: tuple[tuple[int, SiteException], ...] = ()
    """Each with its place in the file."""
    calendar: Calendar | None = None

    @property
    def names(self) -> frozenset[str]:
        """Return the ids that the file gives; of one that could not be read to its end also those that its place says."""
        value = self.document.value
        if isinstance(value, dict) and "id" in value:
            return frozenset({str(value["id"])})
        return (
            frozenset()
            if self.document.whole
            else frozenset({self.path.stem, f"{self.path.parent.name}.{self.path.stem}"})
        )

    def place(self, fault: Fault) -> Fault:
        """Return a fault of the model with its place in the file."""
        return self.document.place(Fault(self.taken.origin(fault.pointer), fault.code, fault.detail))


def load_files(folders: Iterable[Path]) -> tuple[list[Loaded], list[Fault]]:
    """Read every YAML file below `folders`; returns what could be read, also of files with faults, and every fault."""
    loaded: list[Loaded] = []
    faults: list[Fault] = []
    for folder in folders:
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*.yaml"))
        if not folder.exists():
            faults.append(Fault(str(folder), "unreadable", "no such file or folder"))
        elif not paths:
            faults.append(Fault(str(folder), "empty", "no .yaml file is here"))
        for path in paths:
            name = str(path.relative_to(folder.parent)) if path != folder else path.name
            try:
                document, wrong = read_on(path.read_text(encoding="utf-8"), name)
            except (OSError, UnicodeDecodeError) as error:
                document, wrong = Document(name, None, None, whole=False), [_unreadable(name, error)]
            item, found = _model(path, document)
            loaded.append(item)
            doubtful = document.doubtful
            faults += [*wrong, *_told(document, [fault for fault in found if not touches(fault.pointer, doubtful)])]
    return loaded, faults


def _told(document: Document, faults: Iterable[Fault]) -> list[Fault]:
    """Place the faults of a model; what each of several forms of a value wants is one fault of the value."""
    found: dict[tuple[str, str], Fault] = {}
    for number, fault in enumerate(faults):
        placed = document.place(fault)
        label, _, wanted = placed.detail.partition(": ")
        key = (placed.pointer, label) if fault.code in OF_A_VALUE else (placed.pointer, f"{number}")
        before = found.get(key)
        if before is None:
            found[key] = placed
        elif wanted not in before.detail:
            found[key] = Fault(before.pointer, before.code, f"{before.detail}, or: {wanted}")
    return list(found.values())


def _unreadable(name: str, error: OSError | UnicodeDecodeError) -> Fault:
    if isinstance(error, OSError):
        return Fault(f"{name}:1:1", "unreadable", unreadable(error))
    before = error.object[: error.start].decode(errors="replace")
    at = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return Fault(at, "unreadable", unreadable(error))


def _model(path: Path, document: Document) -> tuple[Loaded, list[Fault]]:
    value, whole = document.value, document.whole
    if not whole and not isinstance(value, dict):
        return Loaded(path, document), []
    schema = value.get("schema") if isinstance(value, dict) else None
    taken = Taken(document.doubtful)
    if schema == "table/1":
        table, faults, out = read_table(value, whole=whole)
        item = Loaded(path, document, table=table, taken=out.also(taken))
    elif schema == "calendar/1":
        calendar, faults, out = read_calendar(value, whole=whole)
        item = Loaded(path, document, calendar=calendar, taken=out.also(taken))
    elif schema == "exceptions/1":
        exceptions, faults, out = read_exceptions(value, whole=whole)
        item = Loaded(path, document, exceptions=exceptions, taken=out.also(taken))
    else:
        rule, faults, out = read_rule(value, whole=whole)
        item = Loaded(path, document, rule=rule, taken=out.also(taken))
    return item if whole else Loaded(path, document), faults


def bundle_of(loaded: Iterable[Loaded]) -> tuple[Bundle, list[Fault]]:
    """Make a bundle of loaded files: a later file of an id replaces an earlier one only with an `override` reason.

    Exceptions are never replaced: all files together make them, and what their rules do not allow is a fault here already.
    """
    loaded = list(loaded)
    rules: dict[str, Rule] = {}
    tables: dict[str, Table] = {}
    calendars: dict[str, Calendar] = {}
    faults: list[Fault] = []
    for item in loaded:
        if item.taken.touches("/id"):
            continue  # nobody knows which it is: that is told of its id
        at = item.document.where("/id")
        if item.calendar is not None:
            before = calendars.get(item.calendar.id)
            if before is not None and before.edition == item.calendar.edition:
                told = f"calendar {item.calendar.id} stands twice; one that replaces it has another edition"
                faults.append(Fault(at, "duplicate_id", told))
            calendars[item.calendar.id] = item.calendar
        reason = "a jurisdiction that changes it says so with override: {reason: …}"
        sure = not item.taken.touches("/override")
        if item.table is not None:
            if item.table.id in tables and item.table.override is None and sure:
                faults.append(Fault(at, "duplicate_id", f"table {item.table.id} stands twice; {reason}"))
            tables[item.table.id] = item.table
        if item.rule is not None:
            if item.rule.id in rules and item.rule.override is None and sure:
                faults.append(Fault(at, "duplicate_id", f"rule {item.rule.id} stands twice; {reason}"))
            rules[item.rule.id] = item.rule
    exceptions = [(item, i, one) for item in loaded for i, one in item.exceptions]
    unsure = _half_read(loaded)
    for number, fault in exception_faults([one for _, _, one in exceptions], rules):
        item, i, one = exceptions[number]
        of_rule = fault.pointer.startswith(("/rule", "/allow")) or (fault.pointer == "/to" and one.to > one.from_)
        if not (of_rule and one.rule in unsure) and not _unknown(item, i, fault.pointer):
            faults.append(item.document.place(Fault(f"/exceptions/{i}{fault.pointer}", fault.code, fault.detail)))
    excepted = [one for _, _, one in exceptions]
    return Bundle.of(rules.values(), tables.values(), excepted, calendars.values()), faults


_COMPARED = {
    "/to": ("/from", "/rule"),
    "/approved_date": ("/from",),
    "/from": ("/to", "/rule", "/facility", "/tag"),
    "/allow": ("/rule",),
}
"""Where a fault of an exception is told -> with what that was compared."""


def _unknown(item: Loaded, i: int, pointer: str) -> bool:
    """Say whether what a fault of an exception is about could not be read."""
    member = "/" + pointer.split("/")[1]
    return any(item.taken.touches(f"/exceptions/{i}{at}") for at in (pointer, *_COMPARED.get(member, ())))


def _half_read(loaded: Iterable[Loaded]) -> set[str]:
    """Return the rules of which nobody knows what exceptions they allow, for that part of their file could not be read."""
    return {
        name
        for item in loaded
        for name in item.names
        if item.rule is None or any(item.taken.touches(part) for part in ("/kind", "/exceptions"))
    }


def load_bundle(folders: Iterable[Path | str]) -> Bundle:
    """Load packs into one bundle; the text `default` names the shipped ones.

    Raises:
        BadInputError: with every fault of every file.
    """
    loaded, faults = load_files(SHIPPED if str(folder) == "default" else Path(folder) for folder in folders)
    bundle, more = bundle_of(loaded)
    if faults or more:
        raise BadInputError("rule packs", [*faults, *more])
    return bundle


@functools.cache
def default_bundle() -> Bundle:
    """Return the shipped packs."""
    return load_bundle(["default"])
