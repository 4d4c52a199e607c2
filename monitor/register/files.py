"""Read a register file (YAML or JSON) into its model; every fault with file, line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.models import faults_of
from rules.plan import contradictions
from rules.register import RegisterFile
from rules.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from rules.pack import Bundle


def read_register(path: Path, bundle: Bundle | None = None) -> RegisterFile:
    """Return the register of a file; with rules, limits that leave one of them no room are faults too.

    Raises:
        BadInputError: unreadable, not YAML, or not a register; with every fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError("register", [Fault(str(path), "unreadable", str(error))]) from error
    document = read_yaml(text, path.name)
    if not isinstance(document, Document):
        raise BadInputError("register", document)
    try:
        register = RegisterFile.model_validate(document.value)
    except ValidationError as error:
        raise BadInputError("register", [document.place(fault) for fault in faults_of(error)]) from error
    ids = [facility.id for facility in register.facilities]
    faults = [
        Fault(document.where(f"/facilities/{i}/id"), "duplicate_id", f"facility {name} stands twice")
        for i, name in enumerate(ids)
        if name in ids[:i]
    ]
    if bundle is not None:
        faults += [
            document.place(Fault(f"/facilities/{i}{fault.pointer}", fault.code, fault.detail))
            for i, facility in enumerate(register.facilities)
            for fault in contradictions(facility, bundle)
        ]
    if faults:
        raise BadInputError("register", faults)
    return register
