"""Snapshots of older formats, brought forward one format at a time.

A format is what `rules.snapshot.Body` holds and means. Whoever changes that (a member, its meaning, a field of an array)
raises `FORMAT`, adds the migrator from the format before to `MIGRATORS`, freezes in it whatever of the old code it needs,
and keeps a golden file of the old format (tests/streams/golden). Migrators are pure functions over the decoded body;
they run in order, so that each knows two formats only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

FORMAT = 4
OLDEST = 2
"""Format 1 never left a workshop."""
Layout: TypeAlias = list[tuple[str, str, list[int]]]
"""Fields of an array: name, format, shape; of an array without fields the name is empty."""


class MigrationError(Exception):
    """A body has a format that nobody here knows, or does not hold what its format promises."""


def migrated(body: object) -> dict[str, Any]:
    """Return the body at the newest format; the same object where it has it already.

    Raises:
        MigrationError: its format is not known here, or a migrator cannot read it.
    """
    if not isinstance(body, dict) or not isinstance(body.get("format"), int):
        raise MigrationError("a snapshot names no format")
    found: dict[str, Any] = body
    if not OLDEST <= found["format"] <= FORMAT:
        raise MigrationError(f"snapshot format {found['format']} is not known here: {OLDEST} to {FORMAT} are")
    while found["format"] < FORMAT:
        number = found["format"]
        try:
            found = MIGRATORS[number](found) | {"format": number + 1}
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise MigrationError(f"a snapshot of format {number} cannot be migrated: {error!r:.300}") from error
    return found


def describe(dtype: np.dtype[Any]) -> Layout:
    """Return the layout of an array's type.

    >>> describe(np.dtype("<i8"))
    [('', '<i8', [])]
    >>> describe(np.dtype([("due", "<i8"), ("low", "<f8", (4,))]))
    [('due', '<i8', []), ('low', '<f8', [4])]
    """
    return [(field[0], field[1], list(field[2]) if len(field) > 2 else []) for field in dtype.descr]  # noqa: PLR2004


def recast(rows: bytes, old: Layout, new: Layout, fill: Mapping[str, Any]) -> bytes:
    """Return the rows of an array in another layout: fields keep their values by name, fields that go are dropped.

    Args:
        rows: of the array as it was.
        old: its layout.
        new: the layout wanted.
        fill: the value of each field that `old` does not have.

    Raises:
        KeyError: a field is new and `fill` does not name it.
        ValueError: the rows are not a whole number, or a value has no place in the new format.
    """
    source = np.frombuffer(rows, _dtype(old))
    target: npt.NDArray[Any] = np.zeros(source.size, _dtype(new))
    known = set(source.dtype.names or ())
    for name in target.dtype.names or ():
        target[name] = source[name] if name in known else fill[name]
    return target.tobytes()


def _dtype(layout: Layout) -> np.dtype[Any]:
    if [name for name, *_ in layout] == [""]:
        return np.dtype(layout[0][1])
    return np.dtype([(name, form, tuple(shape)) for name, form, shape in layout])


_STEPS, _HOURS = [4], [24]
_SERIES_2: Layout = [
    *[(name, "<i8", []) for name in ("last_t", "last_m", "recv", "ext", "shut", "tail_t", "tail_m", "interval", "delivery")],
    ("range_low", "<f8", []),
    ("range_high", "<f8", []),
    *[(name, "<i4", []) for name in ("ring_off", "ring_cap", "ring_head", "ring_len")],
    *[(name, "<i4", []) for name in ("limit_lo", "limit_hi", "frozen_lo", "frozen_hi", "gap_lo", "gap_hi")],
    *[(name, "<i8", []) for name in ("rows", "duplicate", "conflict", "late", "stale", "future")],
]  # fmt: skip
_LIMIT_2: Layout = [
    *[(name, "<i8", []) for name in ("start_t", "start_m", "known_t", "last_t", "last_m", "end_t", "due")],
    ("step_t", "<i8", _STEPS),
    ("step_m", "<i8", _STEPS),
    ("peak", "<f8", []),
    ("count", "<i4", []),
    ("clear_count", "<i4", []),
    *[(name, "|u1", []) for name in ("phase", "unknown", "sev", "top", "reached")],
]
_FROZEN_2: Layout = [
    *[(name, "<i8", []) for name in ("run_t", "known_t", "last_t", "last_m", "start_t", "move_t", "due", "hour")],
    ("value", "<f8", []),
    ("before", "<f8", []),
    ("run", "<i4", []),
    ("moves", "<i4", []),
    *[(name, "|u1", []) for name in ("phase", "unknown", "by_span", "sev")],
    ("low", "<f8", _HOURS),
    ("high", "<f8", _HOURS),
    ("known", "<i4", _HOURS),
    ("cur_low", "<f8", []),
    ("cur_high", "<f8", []),
    ("cur_known", "<i4", []),
]
_GAP_2: Layout = [
    *[(name, "<i8", []) for name in ("lo", "start_t", "due", "raised")],
    *[(name, "|u1", []) for name in ("active", "hole", "sev", "fresh")],
]
_LAYOUTS_2: dict[str, Layout] = {
    "series": _SERIES_2, "instants": [("", "<i8", [])], "values": [("", "<f8", [])], "qualities": [("", "|u1", [])],
    "limit": _LIMIT_2, "frozen": _FROZEN_2, "gap": _GAP_2,
}  # fmt: skip
_ARRAYS_2 = (
    ("series", "series"), ("ring_t", "instants"), ("ring_m", "instants"), ("ring_v", "values"), ("ring_q", "qualities"),
    ("limit_head", "limit"), ("limit_tail", "limit"), ("frozen_head", "frozen"), ("frozen_tail", "frozen"), ("gaps", "gap"),
)  # fmt: skip
_KINDS_2 = ("limit", "frozen", "gap")
_NEW_3: dict[str, dict[str, Any]] = {
    "series": {"batch": -1}, "limit": {"start_b": -1, "value": float("nan")}, "frozen": {"run_b": -1},
}  # fmt: skip
"""Fields that came with format 3: which batch a row came with, and the newest known value; of old rows nobody knows."""


def _with(layout: Layout, behind: str, *new: tuple[str, str, list[int]]) -> Layout:
    at = [name for name, *_ in layout].index(behind) + 1
    return [*layout[:at], *new, *layout[at:]]


_LAYOUTS_3: dict[str, Layout] = _LAYOUTS_2 | {
    "series": _with(_SERIES_2, "recv", ("batch", "<i8", [])),
    "limit": _with(_LIMIT_2, "step_m", ("start_b", "<i8", []), ("value", "<f8", [])),
    "frozen": _with(_FROZEN_2, "run_t", ("run_b", "<i8", [])),
}


def _from_2(body: dict[str, Any]) -> dict[str, Any]:
    """Give kinds and arrays names, and arrays their fields: in format 2 their places alone said what they were.

    Rules put aside were left out where there were none.
    """
    planned = body["register"] is not None
    keys = body["keys"] if planned else []
    arrays: dict[str, list[Any]] = {}
    for (name, layout), rows in zip(_ARRAYS_2 if planned else (), body["arrays"] if planned else (), strict=True):
        new = recast(rows, _LAYOUTS_2[layout], _LAYOUTS_3[layout], _NEW_3[layout]) if layout in _NEW_3 else rows
        arrays[name] = [layout, new]
    if planned:
        arrays["ring_b"] = ["instants", np.full(len(arrays["ring_m"][1]) // 8, -1, "<i8").tobytes()]
    return body | {
        "aside": body.get("aside", []),
        "occurrences": sorted([_KINDS_2[kind], rule, tag, found] for kind, rule, tag, found in body["occurrences"]),
        "keys": dict(zip(_KINDS_2, keys, strict=True)) if planned else {},
        "layouts": _LAYOUTS_3 if planned else {},
        "arrays": arrays,
        "batches": [0, [], b"", b""],
        "repeated": 0,
        "conflicting": 0,
    }


_SERIES_4: Layout = [
    (name, "<i8", [])
    for name in (
        "last_t", "last_m", "recv", "batch", "rows", "ring_head", "ring_len", "ext", "shut", "gone_t", "tail_t", "tail_m",
        "duplicate", "conflict", "late", "stale", "future",
    )
]  # fmt: skip
_ROW_4: Layout = [("time", "<i8", []), ("received", "<i8", []), ("batch_quality", "<i8", []), ("value", "<f8", [])]
_LIMIT_4: Layout = [
    ("phase", "<i8", []), ("due", "<i8", []), ("known_t", "<i8", []), ("value", "<f8", []),
    *[(name, "<i8", []) for name in ("count", "clear_count", "start_t", "start_m", "start_b")],
    ("peak", "<f8", []),
    *[(name, "<i8", []) for name in ("end_t", "unknown", "sev", "top", "reached")],
    ("step_t", "<i8", _STEPS), ("step_m", "<i8", _STEPS),
]  # fmt: skip
_FROZEN_4: Layout = [
    ("phase", "<i8", []), ("value", "<f8", []),
    *[(name, "<i8", []) for name in ("known_t", "run", "run_t", "run_b", "moves")],
    ("before", "<f8", []), ("hour", "<i8", []), ("cur_known", "<i8", []), ("cur_low", "<f8", []), ("cur_high", "<f8", []),
    *[(name, "<i8", []) for name in ("move_t", "by_span", "due", "start_t", "unknown", "sev")],
    ("low", "<f8", _HOURS), ("high", "<f8", _HOURS), ("known", "<i8", _HOURS),
]  # fmt: skip
_GAP_4: Layout = [(name, "<i8", []) for name in ("lo", "due", "active", "fresh", "start_t", "raised", "hole", "sev")]
_CUMULATIVE_4: Layout = [
    ("phase", "<i8", []),
    ("due", "<i8", []),
    ("known_t", "<i8", []),
    ("beyond", "<i8", []),
    ("last_t", "<i8", []),
    ("last_m", "<i8", []),
    ("part", "<i8", []),
    ("sum_beyond", "<i8", []),
    ("sum_covered", "<i8", []),
    ("value", "<f8", []),
    ("start_t", "<i8", []),
    ("unknown", "<i8", []),
    ("sev", "<i8", []),
    ("before", "<i8", []),
    ("parts", "<i8", [48]),
    ("single_phase", "<i8", []),
    ("single_due", "<i8", []),
    ("single_known_t", "<i8", []),
    ("single_value", "<f8", []),
    ("single_count", "<i8", []),
    ("single_clear_count", "<i8", []),
    ("single_start_t", "<i8", []),
    ("single_start_m", "<i8", []),
    ("single_start_b", "<i8", []),
    ("single_peak", "<f8", []),
    ("single_end_t", "<i8", []),
    ("single_unknown", "<i8", []),
    ("single_sev", "<i8", []),
    ("single_top", "<i8", []),
    ("single_reached", "<i8", []),
    ("single_step_t", "<i8", [4]),
    ("single_step_m", "<i8", [4]),
]
_MEAN_KINETIC_4: Layout = [
    ("phase", "<i8", []),
    ("due", "<i8", []),
    ("known_t", "<i8", []),
    ("seen", "<f8", []),
    ("rate", "<f8", []),
    ("month", "<i8", []),
    ("ends", "<i8", []),
    ("judged", "<i8", []),
    ("value", "<f8", []),
    ("start_t", "<i8", []),
    ("unknown", "<i8", []),
    ("sev", "<i8", []),
    ("weight", "<i8", [12]),
    ("sum", "<f8", [12]),
]
_DIFFERENCE_4: Layout = [
    *_LIMIT_4,
    ("held_t", "<i8", [2]),
    ("held", "<f8", [2]),
    *[(name, "<i8", []) for name in ("seen_t", "seen_m", "floor", "waits", "late")],
]
_JUMP_4: Layout = [*_LIMIT_4, ("held_t", "<i8", []), ("held", "<f8", [])]
_REPEAT_DAY_4: Layout = [
    ("day", "<i8", []), ("next", "<i8", []), ("wake", "<i8", []), ("mix", "<f8", []), ("due", "<i8", []), ("grid", "<i8", [147]),
]  # fmt: skip
"""Of kinds that came since format 4 was begun: a snapshot that was written before one came holds nothing of it."""
_TOO_PRECISE_4: Layout = [
    ("phase", "<i8", []), ("due", "<i8", []), ("start_t", "<i8", []), ("unknown", "<i8", []), ("sev", "<i8", []),
    ("value", "<f8", []), ("known_t", "<i8", []), ("calm_t", "<i8", []), ("calm", "<i8", []), ("count", "<i8", []),
    ("times", "<i8", [16]),
]  # fmt: skip
_SMOOTH_4: Layout = [
    ("phase", "<i8", []), ("due", "<i8", []), ("known_t", "<i8", []), ("value", "<f8", []), ("clear_count", "<i8", []),
    ("inside", "<i8", []), ("start_t", "<i8", []), ("start_b", "<i8", []), ("peak", "<f8", []), ("end_t", "<i8", []),
    *[(name, "<i8", []) for name in ("unknown", "sev", "top", "held_t", "count", "at", "total")],
    ("early_t", "<i8", [4]), ("early_b", "<i8", [4]), ("window", "<i8", [128]),
]  # fmt: skip
_LAST_DIGIT_4: Layout = [
    *[(name, "<i8", []) for name in ("phase", "due", "start_t", "unknown", "sev")], ("value", "<f8", []),
    *[(name, "<i8", []) for name in ("begin_t", "pace", "base", "sum", "squares", "products", "last")],
    ("digits", "<i8", [2]), ("decades", "<i8", [2]),
]  # fmt: skip
_DURING_4: Layout = [
    ("phase", "<i8", []), ("due", "<i8", []), ("known_t", "<i8", []), ("value", "<f8", []), ("count", "<i8", []),
    ("start_t", "<i8", []), ("start_b", "<i8", []), ("peak", "<f8", []),
    *[(name, "<i8", []) for name in ("unknown", "sev", "top", "done_t")], ("spans", "<i8", [16]),
]  # fmt: skip
_EXPOSURE_4: Layout = [
    *[(name, "<i8", []) for name in ("phase", "due", "known_t", "beyond", "sum", "sum_t")], ("value", "<f8", []),
    *[(name, "<i8", []) for name in ("start_t", "unknown", "sev", "done_t")], ("spans", "<i8", [16]),
]  # fmt: skip
_STEADINESS_4: Layout = [
    *[(name, "<i8", []) for name in ("phase", "due", "start_t", "unknown", "sev")],
    ("value", "<f8", []), ("baseline", "<f8", []), ("day", "<i8", []),
    *[(name, "<f8", []) for name in ("base", "sum", "squares")], ("seen_t", "<i8", []), ("seen", "<f8", []),
    ("counts", "<i8", [2]), ("days", "<i8", [6]), ("weeks", "<i8", [7]),
]  # fmt: skip
_ABSENCE_4: Layout = [
    *[(name, "<i8", []) for name in ("lo", "edge", "due", "active", "lost", "lost_t", "count")], ("distance", "<i8", [64]), ("door", "<i8", [16]),
]  # fmt: skip
_LAYOUTS_4: dict[str, Layout] = {
    "series": _SERIES_4, "row": _ROW_4, "limit": _LIMIT_4, "frozen": _FROZEN_4, "gap": _GAP_4,
    "cumulative": _CUMULATIVE_4, "mean_kinetic": _MEAN_KINETIC_4,
    "difference": _DIFFERENCE_4, "inputs": [("rows", "<i8", [2])], "jump": _JUMP_4,
    "repeat_day": _REPEAT_DAY_4, "too_precise": _TOO_PRECISE_4, "smooth": _SMOOTH_4, "last_digit": _LAST_DIGIT_4,
    "during": _DURING_4, "exposure": _EXPOSURE_4, "steadiness": _STEADINESS_4, "absence": _ABSENCE_4,
}  # fmt: skip
_ARRAYS_4 = (
    ("limit_head", "limit_head", "limit"), ("limit_tail", "limit_tail", "limit"),
    ("frozen_head", "frozen_head", "frozen"), ("frozen_tail", "frozen_tail", "frozen"), ("gaps", "gap_head", "gap"),
)  # fmt: skip
_NORMAL_4 = {
    "due": 1 << 62,
    "value": np.nan,
    **dict.fromkeys(("known_t", "start_t", "start_m", "start_b", "end_t"), -1),
}
"""What a limit's block holds in the normal phase; the rest of it is 0, steps stand at -1."""


def _from_3(body: dict[str, Any]) -> dict[str, Any]:
    """Give everything words of one size, rows of a ring together and in order, and the normal phase of a limit a blank block.

    A ring's rows beyond its horizon came with format 4: of an old ring none are known, its tails stand where it begins.
    Nor did occurrences say which version of their rule and which packs had raised them.
    """
    body = body | {
        "occurrences": [[*row[:3], [[*one, "", ""] for one in row[3]]] for row in body["occurrences"]],
        "groups": [[*row[:2], [*row[2], "", ""], *row[3:]] for row in body["groups"]],
        "aside": [
            [rule, [[*one[0], "", ""], *one[1:3], [[subject, [*told, "", ""]] for subject, told in one[3]]]]
            for rule, one in body["aside"]
        ],
    }
    if body["register"] is None:
        return body
    arrays, old = body["arrays"], body["layouts"]
    series = np.frombuffer(arrays["series"][1], _dtype(old["series"]))
    gone = {"gone_t": series["tail_t"]}
    headers = np.frombuffer(recast(arrays["series"][1], old["series"], _SERIES_4, gone), _dtype(_SERIES_4)).copy()
    headers["ring_head"] = 0
    found = {"series": ["series", headers.tobytes()], "rings": ["row", _rows_of(series, arrays)]}
    for name, new, of in _ARRAYS_4:
        rows = np.frombuffer(recast(arrays[name][1], old[of], _LAYOUTS_4[of], {}), _dtype(_LAYOUTS_4[of])).copy()
        if of == "limit":
            normal = rows["phase"] == 0
            for field in rows.dtype.names or ():
                rows[field][normal] = -1 if field.startswith("step_") else _NORMAL_4.get(field, 0)
        found[new] = [of, rows.tobytes()]
    return body | {"layouts": _LAYOUTS_4, "arrays": found}


def _rows_of(series: npt.NDArray[Any], arrays: Mapping[str, Any]) -> bytes:
    """Return the rows of all rings of format 3, series by series and by event time."""
    columns = [np.frombuffer(arrays[f"ring_{name}"][1], form) for name, form in zip("tmbqv", _RING_3, strict=True)]
    order = [
        int(one["ring_off"]) + (int(one["ring_head"]) + np.arange(int(one["ring_len"]))) % max(1, int(one["ring_cap"]))
        for one in series
    ]
    at = np.concatenate(order) if order else np.zeros(0, np.int64)
    time, received, batch, quality, value = (column[at] for column in columns)
    rows = np.zeros(at.size, _dtype(_ROW_4))
    rows["time"], rows["received"], rows["value"] = time, received, value
    rows["batch_quality"] = (batch << 4) | quality
    return rows.tobytes()


_RING_3 = ("<i8", "<i8", "<i8", "|u1", "<f8")
"""Times, receive times, batches, qualities and values of format 3."""

MIGRATORS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {2: _from_2, 3: _from_3}
"""Format -> what makes the next one of it."""
