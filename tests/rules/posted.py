"""What becomes of something posted: taken, or refused with faults whose pointers lead somewhere."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from rules.faults import FaultCode, PostRefusedError, json_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rules.records import Events, Mark, Report

CODES = set(FaultCode)
AT = "2026-03-05T09:00:00+08:00"
NOW = 1_772_672_400_000
"""The same instant in ms."""
texts = st.one_of(
    st.text(max_size=12), st.sampled_from(["2026-03-01", AT, "CR1.T1", "B2601", "0001-01-01", "9999-12-31", "\ud800"])
)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(2**53), 2**53 - 1, 1e308, NOW, 0, 1]))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def faults(read: Callable[[bytes], Report | Mark | Events], value: Any) -> dict[str, str]:
    """Return pointer -> code of a value that is posted; nothing where it is taken."""
    try:
        read(json.dumps(value).encode())
    except PostRefusedError as error:
        refused = error
    else:
        return {}
    assert sum(refused.counts.values()) >= len(refused.faults) > 0
    assert {fault.code for fault in refused.faults} <= CODES
    assert len({(fault.pointer, fault.code) for fault in refused.faults}) == len(refused.faults), "said twice"
    assert all(fault.detail and fault.detail.isprintable() for fault in refused.faults)
    places = pointers(value)
    for fault in refused.faults:
        parent, _, _ = fault.pointer.rpartition("/")
        assert fault.pointer in places or (fault.code == "missing" and parent in places), fault
    return {fault.pointer: fault.code for fault in refused.faults}


def pointers(value: Any, *path: str | int) -> set[str]:
    """Return the JSON pointer of everything in a value."""
    return {json_pointer(*path)}.union(*(pointers(inner, *path, name) for name, inner in _inner(value)))


def _inner(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Return a copy in which the member at a path is another one; `new` None with `...` leaves it out."""
    found = copy.deepcopy(value)
    inner = found
    for part in path[:-1]:
        inner = inner[part]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return found


def leaves(value: Any, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield path and value of everything inside of a value."""
    for name, inner in _inner(value):
        yield (*path, name), inner
        yield from leaves(inner, *path, name)


@st.composite
def altered(draw, examples):
    """Draw one of several examples with some of its members changed, left out, or more of them."""
    value = draw(st.sampled_from(examples))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path, _ in leaves(value)] or [()]))
        if not path:
            break
        value = changed(value, path, draw(st.one_of(anything, st.just(...))))
        if draw(st.integers(0, 4)) == 0 and isinstance(value, dict):
            value = value | {draw(texts): draw(anything)}
    return value


def read_or_refused(reader, value):
    """Return what was read of a value, None where it was refused as it should be."""
    body = json.dumps(value).encode()
    try:
        found = reader(body)
    except PostRefusedError as error:
        if error.grounds != "malformed":
            faults(reader, value)
        return None
    return found
