"""One decorator for compiled kernels, and a cache that knows when any kernel's source has changed.

numba's own cache looks at the file of the function only, not at the functions it calls; a kernel that inlines a step
from another file would go stale. So the cache folder is named by a hash over all kernel sources. Reading them is the
one look at the disk that `rules/` takes besides packs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numba
from numba.types import unliteral

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def _source_hash() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(
        [
            *here.glob("kinds/*.py"),
            *(
                here / f"{name}.py"
                for name in (
                    "kernels",
                    "horizon",
                    "holes",
                    "held",
                    "prefetch",
                    "rises",
                    "rowclass",
                    "ring",
                    "layout",
                    "fields",
                    "jit",
                )
            ),
        ]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:
    _root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    numba.config.CACHE_DIR = str(_root / "offsite" / "kernels" / _source_hash())


def kernel(function: _Function) -> _Function:
    """Compile `function` with numba: cached, no fastmath (results must not depend on the machine), no GIL."""
    compiled: _Function = numba.njit(cache=True, fastmath=False, nogil=True, error_model="numpy")(function)
    return one_form(compiled)


def one_form(compiled: _Function) -> _Function:
    """Let a kernel that others call be compiled once for each type of its arguments.

    numba would do so for every number that stands literally in a call as well (21 times for one step of kind `limit`): half
    of a first start's compiling, and the compiled fold is no faster for it.
    """
    dispatcher: Any = compiled
    template = dispatcher.get_call_template

    def plain(args: Sequence[object], kws: Mapping[str, object]) -> object:
        return template([unliteral(each) for each in args], {name: unliteral(each) for name, each in kws.items()})

    dispatcher.get_call_template = plain
    return compiled
