"""Ask the processor for memory that is needed soon, where the order of work is known before: no result depends on it.

A batch has a row of each of a hundred series; the books of each are some twenty lines of memory that nobody looked at for a minute, and
waiting for them one after the other was half of what such a batch took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np import arrayobj

from rules import ring
from rules.jit import kernel
from rules.layout import (
    AT_PROGRAM,
    AT_RING,
    AT_STATE,
    CALL_STATE,
    CALL_WORDS,
    CALLS,
    INSTANCES,
    RING_HEAD,
    RING_LEN,
    RING_ROOM,
)

if TYPE_CHECKING:
    from rules.layout import Words

LINE_WORDS = 8
"""Words of a line of memory: 64 bytes on all that this runs on; another size makes it slower, not wrong."""
_WRITE, _KEEP, _MEMORY = 1, 3, 1


@intrinsic
def _ask(_context: Any, words: Any, at: Any) -> Any:
    """Return the call of LLVM's own prefetch for one line."""
    signature = types.void(words, at)

    def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = arrayobj.make_array(kind)(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        byte = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte.type,), ir.FunctionType(ir.VoidType(), [byte.type, number, number, number])
        )
        builder.call(function, [byte, number(_WRITE), number(_KEEP), number(_MEMORY)])
        return context.get_dummy_value()

    return signature, generated


@kernel
def books(a: Words, places: Words, slot: int, w: Words) -> None:
    """Ask for the header of a series and where each of its instances begins."""
    place = slot * 4
    s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
    _ask(w, s)
    _ask(w, s + LINE_WORDS)
    _ask(w, s + 2 * LINE_WORDS)
    for j in range(a[g + INSTANCES]):
        x = s + a[g + CALLS + CALL_WORDS * j + CALL_STATE]
        _ask(w, x)
        _ask(w, x + LINE_WORDS)
        _ask(w, x + 2 * LINE_WORDS)


@kernel
def next_row(a: Words, places: Words, slot: int, w: Words, rings: Words) -> None:
    """Ask for where the next row of a series will be written, whose header is here."""
    place = slot * 4
    s, g = places[place + AT_STATE], places[place + AT_PROGRAM]
    _ask(rings, ring.at(places[place + AT_RING], a[g + RING_ROOM], w[s + RING_HEAD], w[s + RING_LEN]))
