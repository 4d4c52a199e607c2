"""The feed keys of simulated firms: a JSON object, facility to key, in a file that nobody else can read."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from rules.errors import BadInputError, Fault
from rules.models import FacilityId, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
Key = Annotated[SecretStr, Field(min_length=16, max_length=256)]
_KEYS: TypeAdapter[dict[FacilityId, Key]] = TypeAdapter(dict[FacilityId, Key])


def read_keys(path: Path, facilities: Iterable[str]) -> dict[str, str]:
    """Return the key of each of these facilities.

    Raises:
        BadInputError: unreadable, readable by others, not such an object, or a facility without a key; all faults.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInputError("keys", [Fault(str(path), "unreadable", error.strerror or str(error))]) from error
    if mode & 0o077:
        detail = (
            f"mode {mode:04o}: feed keys are secrets; run `chmod 600` on it and issue new keys if others had access"
        )
        raise BadInputError("keys", [Fault(str(path), "open_to_others", detail)])
    if len(text) > MAX_BYTES:
        raise BadInputError("keys", [Fault(str(path), "too_large", f"a file holds at most {MAX_BYTES // 1024} KiB")])
    try:
        keys = _KEYS.validate_json(text)
    except ValidationError as error:
        raise BadInputError("keys", faults_of(error, str(path))) from error
    missing = [Fault(str(path), "no_key", f"{name} has no key") for name in facilities if name not in keys]
    if missing:
        raise BadInputError("keys", missing)
    return {name: keys[name].get_secret_value() for name in facilities}
