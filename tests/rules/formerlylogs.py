"""Logs of a cold room whose limits change while its data are late: by other versions of the register, or by facts with `from`."""

from __future__ import annotations

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, RegisterRecord
from rules.register import Facility
from tests.rules import logs

STORE = default_bundle().rule("cold-chain.store-out")
GAP = default_bundle().rule("data-integrity.gap")
LIMITS = [{"low": 2, "high": 8}, {"low": 2.45, "high": 7.45}, {"low": 2, "high": 6}, {"low": 4.95, "high": 8}]


def _slow():
    """Return a rule with a delay and steps, that takes its limits from the register alone."""
    said = STORE.model_dump(mode="json", by_alias=True, exclude_none=True)
    said |= {"id": "test.slow", "limits": {"from": "sensor"}, "when": {"consecutive": 1, "on_delay": "4m"}}
    said["severity"] = {
        "base": "yellow",
        "steps": [{"after": "7m", "to": "orange"}, {"beyond": {"high": 8.5}, "for": "3m", "to": "red"}],
    }
    said["clear"] = {**said.get("clear", {}), "consecutive": 2}
    return type(STORE).model_validate(said)


BUNDLE = Bundle.of([STORE, GAP, _slow()], [])
MINUTE = 60_000


class Drawn:
    """A facility, its log, and when limits change; Hypothesis would write out every reading of one."""

    def __init__(self, entity, log):
        self.entity, self.log = entity, log

    def __repr__(self):
        """Tell what came when, in minutes."""
        told = []
        for record in self.log:
            at = (record.received - logs.BEGIN) / MINUTE
            if record.kind is Kind.READINGS:
                told.append((at, [(tag, (t - logs.BEGIN) / MINUTE, v) for tag, t, v in _rows(record.payload)]))
            elif record.kind is Kind.REGISTER:
                entries = record.payload.facility.sensors
                told.append(
                    (at, [(s.tag, (s.from_ or logs.BEGIN) - logs.BEGIN, s.limits.low, s.limits.high) for s in entries])
                )
            else:
                told.append((at, record.kind.value))
        return "\n".join(map(str, told))[:20_000]


def _rows(payload):
    tags = [tag for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True) for _ in range(count)]
    return zip(tags, payload.time.tolist(), payload.value.tolist(), strict=True)


def with_limits(entity, chosen):
    """Return a register with these limits: {tag: [(from or None, limits)]}."""
    said = entity.model_dump(mode="json", by_alias=True, exclude_none=True)
    own = {one["tag"]: one for one in said["sensors"]}
    said["sensors"] = [
        {**own[tag], "limits": limits} | ({} if begin is None else {"from": begin})
        for tag, entries in chosen.items()
        for begin, limits in entries
    ]
    return Facility.model_validate(said)


@st.composite
def changing(draw, *, registers=True):
    """Draw a facility, and a log in which limits change; without `registers` by facts with `from` alone."""
    interval = draw(st.sampled_from([60, 60, 300]))
    tags = ["T0", "T1"][: draw(st.integers(1, 2))]
    entity = logs.facility([(tag, "A1", interval) for tag in tags], delivery=draw(st.sampled_from([10_000, 60_000])))
    step, now = interval * 1000, logs.BEGIN
    heads, kept, entries = dict.fromkeys(tags, logs.BEGIN), [], []
    moved = {tag: [(None, LIMITS[0])] for tag in tags}
    for _ in range(draw(st.integers(3, 16))):
        kind = draw(
            st.sampled_from(["run", "run", "hold", "stored", "stored", "release", "pause", "tick", "change", "change"])
        )
        tag = draw(st.sampled_from(tags))
        if kind in ("run", "hold", "stored"):
            most = 160 if kind == "stored" and draw(st.integers(0, 4)) == 0 else 8
            rows = []
            for _ in range(draw(st.integers(1, most))):
                heads[tag] += step * draw(st.sampled_from([1, 1, 1, 1, 4]))
                value = (
                    draw(st.sampled_from(logs.COLD))
                    if most == 8 or not rows or draw(st.integers(0, 5)) == 0
                    else rows[-1].v
                )
                rows.append(logs.Row(tag, heads[tag], value, draw(st.sampled_from([0] * 9 + [8]))))
            if kind == "hold":
                kept += rows
                continue
            now = max(now, rows[-1].t + draw(st.sampled_from([-200_000, 0, 500, 30_000])))
            if kind == "stored" or draw(st.booleans()):
                entries.append((now, rows))
            else:
                entries += [(max(row.t, now - 600_000 + i), [row]) for i, row in enumerate(rows)]
        elif kind == "release" and kept:
            rows, kept = kept, []
            if draw(st.booleans()):
                draw(st.randoms(use_true_random=False)).shuffle(rows)
            now += draw(st.sampled_from([0, 1, 1000]))
            size = draw(st.sampled_from([len(rows), 1 + len(rows) // 3]))
            entries += [(now, rows[i : i + size]) for i in range(0, len(rows), size)]
        elif kind == "pause":  # what is measured meanwhile comes behind it
            now += draw(st.sampled_from([step, 3 * step, 2_400_000, 7_500_000]))
        elif kind == "tick":
            now += draw(st.sampled_from([0, 1000, 60_000]))
            entries.append((now, "worker"))
        elif kind == "change":
            now += draw(st.sampled_from([0, 0, 1, 30_000]))
            limits = draw(st.sampled_from(LIMITS))
            if registers and draw(st.booleans()):
                entries.append((now, {tag: limits}))
            else:
                moved[tag].append((now + draw(st.sampled_from([1, 90_000, 1_200_000])), limits))
    return _log(entity, entries, moved, registers=registers)


def _log(entity, entries, moved, *, registers):
    """Return the records: facts with `from` stand in the first register, and in each later one, which adds limits without one."""
    moved = {
        tag: sorted({begin: (begin, limits) for begin, limits in found}.values(), key=lambda one: one[0] or 0)
        for tag, found in moved.items()
    }
    log = [
        LogRecord(
            0, 0, logs.BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=with_limits(entity, moved))
        )
    ]
    for received, what in entries:
        if isinstance(what, dict):
            assert registers
            for tag, limits in what.items():  # it takes the place of what was in force, and of nothing to come
                moved[tag] = [(None, limits), *((b, one) for b, one in moved[tag] if b is not None and b > received)]
            payload = RegisterRecord(version=1 + len(log), facility=with_limits(entity, moved))
            log.append(LogRecord(0, len(log), received, Kind.REGISTER, entity.id, payload))
        else:
            other = logs.records(entity, [(received, what)])[1]
            if other.kind is Kind.READINGS:
                other = LogRecord(0, 0, received, Kind.READINGS, entity.id, logs.readings(what, f"b{len(log)}"))
            log.append(LogRecord(0, len(log), received, other.kind, other.facility, other.payload))
    return Drawn(entity, log)
