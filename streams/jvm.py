"""How the embedded broker's Java is started: options of the operator, and Kafka's classes kept from an earlier start.

The archive of classes (JEP 350) is made once per user by `offsite setup` and lies beside the jars: a broker starts in half
the time with it. Java looks at the jars' sizes and times itself, and goes on without an archive that does not fit.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from rules.errors import BadInputError, Fault

VARIABLE = "OFFSITE_BROKER_JAVA_OPTIONS"
"""Options for the embedded broker's Java, as a shell reads them; none in every installation."""
QUIET = "-Xlog:cds=off,cds+dynamic=off"


def archive_of(libraries: Path, program: str) -> Path:
    """Return where the archive for these jars and this Java lies, or would lie."""
    real = Path(program).resolve()
    made = f"{real} {real.stat().st_mtime_ns}" if real.exists() else str(real)
    return libraries.with_name(f"{libraries.name}-{hashlib.sha256(made.encode()).hexdigest()[:12]}.jsa")


def options(libraries: Path, program: str) -> list[str]:
    """Return the options to start Java with.

    Raises:
        BadInputError: the operator's options are no shell words.
    """
    try:
        chosen = shlex.split(os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise BadInputError("settings", [Fault(VARIABLE, "wrong_form", str(error))]) from error
    archive = archive_of(libraries, program)
    return [QUIET, *chosen, *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else [])]
