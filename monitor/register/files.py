"""Read a register file (YAML or JSON) into its model; every fault with file, line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.models import faults_of
from rules.register import RegisterFile
from rules.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def read_register(path: Path) -> RegisterFile:
    """Return the register of a file.

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
    twice = [
        Fault(document.where(f"/facilities/{i}/id"), "duplicate_id", f"facility {name} stands twice")
        for i, name in enumerate(ids)
        if name in ids[:i]
    ]
    if twice:
        raise BadInputError("register", twice)
    return register
