"""How a kind writes down what it decided."""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.layout import NONE, Array


@kernel
def emit(
    out: Array, n: int, row: int, kind: int, inst: int, code: int, sev: int,
    at: int, recv: int, start: int, end: int, decided: int, value: float,
) -> int:  # fmt: skip
    """Write one transition and return the next free place."""
    out[n]["row"] = row
    out[n]["kind"] = kind
    out[n]["inst"] = inst
    out[n]["code"] = code
    out[n]["sev"] = sev
    out[n]["at"] = at
    out[n]["recv"] = recv
    out[n]["start"] = start
    out[n]["end"] = end
    out[n]["decided"] = decided
    out[n]["value"] = value
    out[n]["peak"] = np.nan
    out[n]["first"] = NONE
    return n + 1
