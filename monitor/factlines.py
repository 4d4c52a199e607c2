"""Lines of kind `fact` in a dump: facts of lots as `offsite.lots.v1` holds them, taken out from among the records of the log.

The one place that knows how such a line is written: `{"partition", "offset", "received", "kind": "fact", "facility", "data"}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from rules.errors import BadInputError, Fault
from rules.instants import format_instant, parse_instant
from rules.lots.facts import LotFact
from rules.lots.offline import FactLine
from rules.models import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KIND = "fact"
_SIGN = b'"fact"'
"""Stands in every such line; a line without it is not looked at."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    partition: int
    offset: int
    received: str
    kind: str
    facility: str
    data: msgspec.Raw


class _Kind(msgspec.Struct):
    kind: Any = None


_LINE, _KIND = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Kind)


def format_fact_line(line: FactLine) -> bytes:
    """Return a fact as a line of a dump, without its end."""
    return msgspec.json.encode(
        {
            "partition": line.partition, "offset": line.offset, "received": format_instant(line.received), "kind": KIND,
            "facility": line.fact.facility, "data": msgspec.Raw(line.fact.to_bytes()),
        }
    )  # fmt: skip


def without_facts(lines: Iterable[bytes], name: str, found: list[FactLine], faults: list[Fault]) -> Iterator[bytes]:
    """Yield the lines of a dump, an empty one in the place of each that holds a fact: so that lines keep their numbers.

    Args:
        lines: of the dump.
        name: of it, for faults.
        found: takes the facts.
        faults: takes what is wrong with such lines, as `name:line/pointer`.
    """
    for number, raw in enumerate(lines, 1):
        if not _is_fact(raw):
            yield raw
            continue
        try:
            found.append(read_fact_line(raw))
        except BadInputError as error:
            faults += [Fault(f"{name}:{number}{fault.pointer}", fault.code, fault.detail) for fault in error.faults]
        yield b""


def _is_fact(raw: bytes) -> bool:
    if _SIGN not in raw:
        return False
    try:
        return bool(_KIND.decode(raw).kind == KIND)
    except msgspec.MsgspecError:
        return False


def read_fact_line(raw: bytes) -> FactLine:
    """Return the fact of one line.

    Raises:
        BadInputError: with every fault of it; pointers are into the line.
    """
    try:
        line = _LINE.decode(raw)
        received = parse_instant(line.received)
        fact = LotFact.from_bytes(bytes(line.data))
    except ValidationError as error:
        raise BadInputError("line", faults_of(error, "/data")) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInputError("line", [Fault("", "malformed", str(error))]) from error
    if line.facility != fact.facility:
        told = f"the line is of {line.facility}, its fact of {fact.facility}"
        raise BadInputError("line", [Fault("/facility", "bad_facility", told)])
    return FactLine(line.partition, line.offset, received, fact)
