"""What every model of the product shares: strict base, ids, texts in two languages."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rules.errors import Fault
from rules.faults import told

if TYPE_CHECKING:
    from collections.abc import Sequence


class Strict(BaseModel):
    """Unknown members are errors, numbers are finite, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


def _printable(text: str) -> str:
    for character in "" if text.isprintable() else text:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t":
            raise ValueError("control characters are not text")
    return text


FacilityId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}$")]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
Identifier = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
_FACILITY_ID = re.compile(r"[A-Z0-9][A-Z0-9-]{1,31}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_TAG_LINES = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._/-]{0,63}\n)*")
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,128}")
PRINTABLE = AfterValidator(_printable)
Text = Annotated[str, Field(max_length=4000), PRINTABLE]
"""Free text from outside: data, never markup and never a template."""
Number = Annotated[float, Field(strict=True)]
"""A number, whole or not; a text of digits is none, nor is true."""
Whole = Annotated[int, Field(strict=True)]
"""A whole number, written as one."""
Flag = Annotated[bool, Field(strict=True)]
"""true or false; neither a number nor a word."""


def is_facility_id(text: str) -> bool:
    """Say whether a text is the id of a facility, where no model is at hand."""
    return _FACILITY_ID.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    r"""Say whether a text is a tag, where no model is at hand.

    >>> is_tag("CR1.T1"), is_tag("CR1.T1\n")
    (True, False)
    """
    return _TAG.fullmatch(text) is not None


def are_tags(texts: Sequence[str]) -> bool:
    r"""Say whether all texts are tags; one pass for thousands.

    >>> are_tags(["CR1.T1", "CR1.T2"]), are_tags(["CR1.T1\nCR1.T2"]), are_tags([""])
    (True, False, False)
    """
    lines = "\n".join(texts) + "\n" if texts else ""
    return _TAG_LINES.fullmatch(lines) is not None and lines.count("\n") == len(texts)


def is_identifier(text: str) -> bool:
    """Say whether a text is an id of anything else, where no model is at hand."""
    return _IDENTIFIER.fullmatch(text) is not None


class Bilingual(Strict):
    """One text in Chinese and English."""

    zh: Text
    en: Text


class Severity(StrEnum):
    """The four colours of alarm, mildest first."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"

    @property
    def rank(self) -> int:
        """Return 0 for blue to 3 for red."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def faults_of(error: ValidationError, prefix: str = "") -> list[Fault]:
    """Turn every error of a pydantic ValidationError into a Fault with a JSON pointer and a code of the closed list."""
    return [
        Fault(prefix + _pointer(item["loc"]), *told(item))
        for item in error.errors(include_url=False, include_input=False)
    ]


def _pointer(location: tuple[Any, ...]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
