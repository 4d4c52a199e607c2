"""What is wrong with something posted: a closed list of codes, the first 500 faults, and a count of all per code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MAX_FAULTS = 500
"""Faults listed in one answer; all are counted (contracts.md §1)."""
_MAX_NAME = 100


class FaultCode(StrEnum):
    """Every code that a refused post can name; facilities' software may switch on them, so the list only grows."""

    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    TOO_MANY_SERIES = "too_many_series"
    TOO_MANY_READINGS = "too_many_readings"
    TOO_MANY = "too_many"
    TOO_FEW = "too_few"
    EMPTY = "empty"
    WRONG_TYPE = "wrong_type"
    WRONG_FORM = "wrong_form"
    MISSING = "missing"
    UNKNOWN_MEMBER = "unknown_member"
    UNSUPPORTED_MEMBER = "unsupported_member"
    UNKNOWN_VALUE = "unknown_value"
    BAD_ID = "bad_id"
    BAD_TAG = "bad_tag"
    OUT_OF_RANGE = "out_of_range"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    NOT_FINITE = "not_finite"
    UNKNOWN_QUALITY = "unknown_quality"
    LENGTH_MISMATCH = "length_mismatch"
    NULL_WITH_GOOD_QUALITY = "null_with_good_quality"
    DUPLICATE_TAG = "duplicate_tag"
    WRONG_UNIT = "wrong_unit"
    IN_THE_FUTURE = "in_the_future"
    IMPOSSIBLE_TIME = "impossible_time"
    NOT_TOGETHER = "not_together"
    WRONG_CONTENT = "wrong_content"
    WRONG_DIGEST = "wrong_digest"


Grounds = Literal["malformed", "too_large", "contract"]
_TOO_LARGE = frozenset(
    {FaultCode.TOO_DEEP, FaultCode.TOO_MANY_SERIES, FaultCode.TOO_MANY_READINGS, FaultCode.TOO_MANY},
)


class PostRefusedError(BadInputError):
    """Something posted breaks the contract; `faults` holds the first 500, `counts` the number of all per code."""

    code: ClassVar[str] = "post_refused"
    action: ClassVar[str] = "Correct the places named and send it again with the same id; nothing was stored."

    def __init__(self, what: str, faults: list[Fault], counts: dict[str, int]) -> None:
        super().__init__(what, faults)
        self.counts = counts
        total = sum(counts.values())
        self.args = (f"{what}: {total} fault{'s' if total != 1 else ''}",)

    @property
    def grounds(self) -> Grounds:
        """Say what kind of refusal it is: not JSON at all, too large, or against the contract."""
        if FaultCode.MALFORMED in self.counts:
            return "malformed"
        return "contract" if _TOO_LARGE.isdisjoint(self.counts) else "too_large"


@dataclass(slots=True)
class FaultList:
    """Collects faults: lists the first 500, counts all. Pointers are spelled only for those listed."""

    listed: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        """Say whether anything is wrong."""
        return bool(self.counts)

    @property
    def has_room(self) -> bool:
        """Say whether one more fault would be listed."""
        return len(self.listed) < MAX_FAULTS

    def add(self, code: StrEnum, detail: str, *path: str | int) -> None:
        """Add the fault at the JSON pointer that `path` makes."""
        self.counts[code.value] += 1
        if self.has_room:
            self.listed.append(Fault(json_pointer(*path), code.value, detail))

    def extend(self, other: FaultList, *path: str | int) -> None:
        """Add the faults of something that stands at `path`."""
        self.counts.update(other.counts)
        begin, room = json_pointer(*path), MAX_FAULTS - len(self.listed)
        self.listed += [
            Fault(begin + fault.pointer, fault.code, fault.detail) for fault in other.listed[: max(0, room)]
        ]

    def refuse(self, what: str) -> None:
        """Raise PostRefusedError if anything is wrong.

        Raises:
            PostRefusedError: with the faults so far.
        """
        if self.counts:
            raise PostRefusedError(what, self.listed, dict(sorted(self.counts.items())))


def refusal(what: str, code: StrEnum, detail: str, *path: str | int) -> PostRefusedError:
    """Return the refusal of one fault."""
    return PostRefusedError(what, [Fault(json_pointer(*path), code.value, detail)], {code.value: 1})


def json_pointer(*path: str | int) -> str:
    r"""Return the JSON pointer of a path; long names are cut and unprintable characters spelled out.

    >>> json_pointer("series", 1, "a/b")
    '/series/1/a~1b'
    >>> json_pointer("\x1b[2J")
    '/\\u001b[2J'
    """
    return "".join("/" + (str(part) if isinstance(part, int) else _escaped(part)) for part in path)


def printable(text: str, limit: int = _MAX_NAME) -> str:
    r"""Return text from outside fit for one line of a terminal: cut, unprintable characters as `\uXXXX`."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)


def _escaped(name: str) -> str:
    return printable(name).replace("~", "~0").replace("/", "~1")


_BY_TYPE = {
    "missing": FaultCode.MISSING,
    "union_tag_not_found": FaultCode.MISSING,
    "union_tag_invalid": FaultCode.UNKNOWN_VALUE,
    "extra_forbidden": FaultCode.UNKNOWN_MEMBER,
    "finite_number": FaultCode.NOT_FINITE,
    "string_pattern_mismatch": FaultCode.WRONG_FORM,
    "string_too_long": FaultCode.WRONG_FORM,
    "string_too_short": FaultCode.WRONG_FORM,
    "value_error": FaultCode.WRONG_FORM,
    "literal_error": FaultCode.UNKNOWN_VALUE,
    "enum": FaultCode.UNKNOWN_VALUE,
    "greater_than": FaultCode.OUT_OF_RANGE,
    "greater_than_equal": FaultCode.OUT_OF_RANGE,
    "less_than": FaultCode.OUT_OF_RANGE,
    "less_than_equal": FaultCode.OUT_OF_RANGE,
    "too_long": FaultCode.TOO_MANY,
    "too_short": FaultCode.TOO_FEW,
    "json_invalid": FaultCode.MALFORMED,
}


_TEXTS = {
    "missing": "this member is needed",
    "extra_forbidden": "no such member",
    "finite_number": "a finite number is needed",
    "union_tag_not_found": "this member is needed: it says which form the rest has",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "dataclass_type"), "an object is needed"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list is needed"),
    "string_type": "a text is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
}


def code_of(item: ErrorDetails) -> FaultCode:
    """Return the code of a pydantic error."""
    return _BY_TYPE.get(item["type"], FaultCode.WRONG_TYPE)


def told(item: ErrorDetails) -> tuple[FaultCode, str]:
    """Return the code of a pydantic error and what is wrong, in words that need no knowledge of our models."""
    kind, context = item["type"], item.get("ctx", {})
    code = code_of(item)
    if kind in {"literal_error", "enum"}:
        text = f"one of {context['expected']} is needed"
    elif kind == "union_tag_invalid":
        text = f"one of {context['expected_tags']} is needed"
    elif kind == "value_error":
        text = str(context["error"])  # what our own validator says, without pydantic's words before it
    elif kind in {"too_short", "too_long"}:
        text = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
    elif kind == "string_pattern_mismatch":
        text = f"the form is {context['pattern']}"
    else:
        text = _TEXTS.get(kind) or item["msg"].replace("Input should", "should")
    return code, printable(text, 500)


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read, in words that need no knowledge of Python.

    >>> unreadable(UnicodeDecodeError("utf-8", bytes([97, 255]), 1, 2, "invalid start byte"))
    'not UTF-8: byte 1 is 0xff'
    """
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
    return error.strerror or str(error)


def model_faults(error: ValidationError, *prefix: str | int) -> FaultList:
    """Return the faults of a pydantic error in the closed codes, below the path `prefix`."""
    found = FaultList()
    for item in error.errors(include_url=False, include_input=False):
        location: tuple[Any, ...] = item["loc"]
        code, text = told(item)
        found.add(code, text, *prefix, *location)
    return found
