"""Hypothesis strategies for every kind of record, as facilities, gateways, desks and migrations make them."""

from __future__ import annotations

import base64
import hashlib
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from rules.instants import EARLIEST_MS, LATEST_MS, format_instant
from rules.pack import default_bundle
from rules.records import MODELS, SEMANTICS, Kind, LogRecord, Payload, Readings

SHARED = {Kind.TICK, Kind.PACKS}

facility_ids = st.from_regex(r"[A-Z0-9][A-Z0-9-]{1,31}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", fullmatch=True)
identifiers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
names = st.from_regex(r"[a-z][a-z0-9-]{0,63}", fullmatch=True)
instants_ms = st.integers(EARLIEST_MS, LATEST_MS)
instants = instants_ms.map(format_instant)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60)
sha256s = st.binary(max_size=8).map(lambda raw: hashlib.sha256(raw).hexdigest())
_characters = st.characters(codec="utf-8")
_kinds = st.sampled_from(Kind)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**300), 10**300) | finite | st.text(_characters, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(_characters, max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def readings(draw: st.DrawFn, max_series: int = 4, max_rows: int = 6) -> Readings:
    """Draw packed readings that may be posted: NaN stands for null and has a quality that is not good."""
    names_drawn = draw(st.lists(tags, min_size=1, max_size=max_series, unique=True))
    counts = [draw(st.integers(1, max_rows)) for _ in names_drawn]
    total = sum(counts)
    times = draw(st.lists(instants_ms, min_size=total, max_size=total))
    rows = [
        draw(st.tuples(finite, st.integers(0, 8)) | st.tuples(st.just(math.nan), st.integers(1, 8)))
        for _ in range(total)
    ]
    if draw(st.booleans()):
        rows = [(0.0 if math.isnan(value) else value, 0) for value, _ in rows]
    return Readings(
        batch=draw(identifiers),
        tags=tuple(names_drawn),
        counts=np.array(counts, np.int32),
        time=np.array(times, np.int64),
        value=np.array([value for value, _ in rows], np.float64),
        quality=np.array([quality for _, quality in rows], np.uint8),
        seq=draw(st.none() | st.integers(0, (1 << 53) - 1)),
    )


def _optional(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


_EVENT = _optional(
    {
        "stream": st.sampled_from(["device", "audit", "lab", "trace"]),
        "type": names,
        "time": instants,
        "source": identifiers,
    },
    {
        "seq": st.integers(0, 1 << 40),
        "area": identifiers,
        "device": identifiers,
        "fields": st.dictionaries(identifiers, json_values, max_size=3),
    },
)


@st.composite
def _mark(draw: st.DrawFn) -> dict[str, Any]:
    """A mark names tags or an area, and does not end before it begins."""
    flags = ["maintenance", "calibration", "stopped", "fault", "comms", "set_value"]
    required = {
        "id": identifiers,
        "revision": st.integers(1, 9),
        "flag": st.sampled_from(flags),
        "from": instants,
        "reason": texts,
        "author": identifiers,
    }
    said = draw(_optional(required, {"proof": identifiers}))
    named = draw(
        st.fixed_dictionaries({"tags": st.lists(tags, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"area": identifiers})
    )
    return {**said, **named, "to": draw(st.sampled_from([None, said["from"]]))}


@st.composite
def _facility(draw: st.DrawFn, facility: str) -> dict[str, Any]:
    areas = draw(st.lists(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), min_size=1, max_size=3, unique=True))
    sensors = draw(st.lists(tags, max_size=4, unique=True))
    return {
        "id": facility,
        "name": {"zh": draw(texts), "en": draw(texts)},
        "jurisdiction": draw(st.from_regex(r"[0-9]{6}", fullmatch=True)),
        "delivery": draw(st.sampled_from(["1s", "60s", "10m"])),
        "labels": draw(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), max_size=2)),
        "risk": draw(st.none() | st.just({"grade": "B", "since": "2026-01-10", "last_visit": None})),
        "areas": [
            {"id": area, "kind": "cold-room", "floor_m2": draw(st.floats(1, 1000)), "from": draw(st.none() | instants)}
            for area in areas
        ],
        "sensors": [
            {
                "tag": tag,
                "area": draw(st.sampled_from(areas)),
                "quantity": "temperature",
                "unit": "Cel",
                "interval": draw(st.sampled_from(["10s", "60s", "1h"])),
                "limits": draw(st.none() | st.just({"low": 2, "high": 8}) | st.just({"high": 8.5})),
                "resolution": draw(st.none() | st.just(0.1)),
            }
            for tag in sensors
        ],
    }


def _data(kind: Kind, facility: str) -> st.SearchStrategy[dict[str, Any]]:
    revision = st.integers(1, 100_000)
    version = st.integers(1, 1 << 40)
    forms: dict[Kind, st.SearchStrategy[dict[str, Any]]] = {
        Kind.REGISTER: st.fixed_dictionaries({"version": version, "facility": _facility(facility)}),
        Kind.REPORT: _optional(
            {
                "type": names,
                "id": identifiers,
                "revision": revision,
                "sent": instants,
                "fields": st.dictionaries(identifiers, json_values, max_size=5),
            },
            {"reason": texts},
        ),
        Kind.MARK: _mark(),
        Kind.EVENTS: st.fixed_dictionaries({"batch": identifiers, "events": st.lists(_EVENT, min_size=1, max_size=3)}),
        Kind.ANSWER: st.fixed_dictionaries(
            {
                "id": identifiers,
                "version": version,
                "case": identifiers,
                "question": identifiers,
                "kind": st.sampled_from(["explain", "mark", "correct"]),
                "refs": st.lists(identifiers, max_size=3),
                "text_sha256": sha256s,
            }
        ),
        Kind.DECISION: _optional(
            {
                "id": identifiers,
                "version": version,
                "subject": st.dictionaries(
                    st.sampled_from(["alarm", "case", "report", "grade"]), identifiers, min_size=1, max_size=1
                ),
                "code": st.sampled_from(["false-alarm", "breach", "close-latched"]),
                "officer": identifiers,
                "revision_seen": st.integers(0, 9),
                "reason_sha256": sha256s,
            },
            {"second": identifiers},
        ),
        Kind.INSPECTION: _optional(
            {
                "visit": identifiers,
                "version": version,
                "mode": st.sampled_from(["on-site", "off-site", "written"]),
                "done_at": instants,
                "full": st.booleans(),
                "findings": st.fixed_dictionaries({"critical": st.integers(0, 9), "major": st.integers(0, 9)}),
            },
            {"handed_over_at": instants, "plan_date": st.dates().map(str)},
        ),
        Kind.PACKS: _packs(),
        Kind.TICK: st.fixed_dictionaries(
            {"by": identifiers, "role": st.sampled_from(["gateway", "worker"]), "now": instants}
        ),
        Kind.STATE: st.fixed_dictionaries(
            {
                "format": st.integers(1, 9),
                "semantics": st.integers(1, 9),
                "packs": sha256s,
                "clock": instants,
                "seq": st.integers(0, 1 << 40),
                "snapshot": st.binary(max_size=40).map(_base64),
            }
        ).map(_with_checksum),
    }
    return forms[kind]


def _packs() -> st.SearchStrategy[dict[str, Any]]:
    """Packs of this engine hold what their hash promises; those of another may hold anything."""
    of_others = st.fixed_dictionaries(
        {"sha256": sha256s, "semantics": st.integers(SEMANTICS + 1, 9), "bundle": st.binary(max_size=40).map(_base64)}
    )
    ids = [rule.id for rule in default_bundle().rules]
    ours = st.sets(st.sampled_from(ids), max_size=2).map(
        lambda some: default_bundle().only(some).to_record().model_dump(mode="json")
    )
    return st.one_of(ours, of_others)


def _with_checksum(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"checksum": hashlib.sha256(base64.b64decode(state["snapshot"])).hexdigest()}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@st.composite
def records(draw: st.DrawFn, kinds: st.SearchStrategy[Kind] = _kinds) -> LogRecord:
    """Draw one record of any kind."""
    kind = draw(kinds)
    facility = "" if kind in SHARED else draw(facility_ids)
    payload: Payload
    if kind is Kind.READINGS:
        payload = draw(readings())
    else:
        model: Any = MODELS[kind]
        payload = model.model_validate(draw(_data(kind, facility)))
    return LogRecord(
        partition=draw(st.integers(0, 47)),
        offset=draw(st.integers(0, 1 << 40)),
        received=draw(instants_ms),
        kind=kind,
        facility=facility,
        payload=payload,
    )
