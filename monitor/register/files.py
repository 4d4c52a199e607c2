"""Read a register file (YAML or JSON) into its model; every fault with file, line and column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.faults import FaultCode, unreadable
from rules.models import faults_of
from rules.register import RegisterFile
from rules.registerfaults import entry_faults
from rules.watching import Registered, contradictions
from rules.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rules.pack import Bundle

_WHOLES = (3, 5)
"""Parts of the pointer of a facility (`/facilities/0`) and of one of its entries (`/facilities/0/sensors/0`)."""
MAX_BYTES = 256 * 1024 * 1024
"""Whatever `export` writes of a register of the largest size is read again."""


def read_register(path: Path, bundle: Bundle | None = None) -> RegisterFile:
    """Return the register of a file; with rules, limits that leave one of them no room are faults too.

    Raises:
        BadInputError: unreadable, not YAML, or not a register; with every fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError("register", [Fault(str(path), "unreadable", unreadable(error))]) from error
    value = _quickly(text)
    if value is None:
        document = _document(text, path.name)
        value = document.value
    crossed = list(_crossed(value))
    faults: list[Fault] = []
    try:
        register = RegisterFile.model_validate(value)
    except ValidationError as error:
        # What the models say of a facility, an area or a sensor as a whole is said at its places by `_crossed`.
        parts = [fault.pointer.split("/") for fault in crossed]
        said = {"/".join(part[:level]) for part in parts for level in _WHOLES if level < len(part)}
        faults = [f for f in faults_of(error) if f.code != FaultCode.WRONG_FORM or f.pointer not in said]
    else:
        crossed += _contradictions(register, bundle)
    if faults or crossed:
        document = _document(text, path.name)
        places = [document.place(fault) for fault in [*faults, *crossed]]
        raise BadInputError("register", sorted(places, key=_line))
    return register


def _contradictions(register: RegisterFile, bundle: Bundle | None) -> list[Fault]:
    if bundle is None:
        return []
    return [
        Fault(f"/facilities/{i}{fault.pointer}", fault.code, fault.detail)
        for i, facility in enumerate(register.facilities)
        for fault in contradictions(Registered(facility, bundle))
    ]


def _quickly(text: str) -> Any:  # noqa: ANN401 - a JSON value
    """Return the value of a JSON text, None if it is none: YAML's own reader takes a minute where JSON's takes a second."""
    if not text.lstrip().startswith("{") or len(text) > MAX_BYTES:
        return None
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None  # YAML's reader names the place


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _document(text: str, name: str) -> Document:
    document = read_yaml(text, name, MAX_BYTES)
    if not isinstance(document, Document):
        raise BadInputError("register", document)
    return document


def _crossed(value: Any) -> Iterator[Fault]:  # noqa: ANN401 - whatever the file holds
    """Say what `entry_faults` finds, and what stands twice, in all facilities, whatever else is wrong with them."""
    entries = value.get("facilities") if isinstance(value, dict) else None
    seen: set[str] = set()
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        for fault in entry_faults(entry):
            yield Fault(f"/facilities/{i}{fault.pointer}", fault.code, fault.detail)
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield Fault(f"/facilities/{i}/id", "duplicate_id", f"facility {name} stands twice")
            seen.add(name)


def _line(fault: Fault) -> tuple[int, int]:
    _, line, column = fault.pointer.rsplit(":", 2)
    return int(line), int(column)
