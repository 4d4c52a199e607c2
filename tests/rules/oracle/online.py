"""Online sales without telemetry, as slowly and plainly as it can be said: from the whole log at once, nothing kept."""

from __future__ import annotations

from rules.records import Events, Readings, RegisterRecord, Tick

DAY = 86_400_000
COLD = {
    "cold-room", "cool-store", "freezer-room", "refrigerator", "freezer", "cryo-tank", "cryo-room", "online-store",
}  # fmt: skip


def alarms(records):
    """Return {(lot, trip, facility, start, end)} of all that was found by the end of a log."""
    darks, proofs = facts(records)
    found = set()
    for lot, trip in {(one[0], one[1]) for one in darks}:
        times = []
        for sold, who, due in sorted(one[2:] for one in darks if one[:2] == (lot, trip)):
            known = [at for *of, sent, _, at in proofs if of == [lot, trip] and abs(sent - sold) <= DAY]
            first = min(known, default=None)
            if first is None or first >= due:
                times.append((sold + DAY, float("inf") if first is None else first, who))
        for begin, end, who in joined(times):
            found.add((lot, trip, who, begin, None if end == float("inf") else end))
    return found


def joined(times):
    spans = []
    for begin, end, who in times:
        if spans and begin <= spans[-1][1]:
            first, last, by = spans[-1]
            spans[-1] = (first, max(last, end), max(by, who) if begin == first else by)
        else:
            spans.append((begin, end, who))
    return spans


def facts(records):
    """Return what is dark, as (lot, trip, sold at, who, due), and what is lit, as (lot, trip, sent at, who, known at)."""
    registers, darks, proofs, seen = {}, set(), set(), set()
    final = max(record.received for record in records if isinstance(record.payload, Tick))
    for i, record in enumerate(records):
        if isinstance(record.payload, RegisterRecord):
            registers[record.facility] = record.payload.facility
        for event in record.payload.events if isinstance(record.payload, Events) else ():
            said, who, sent = event.fields, record.facility, event.time
            sale = event.type == "sold" and said.get("channel") == "online"
            cold, trip = said.get("cold_chain"), said.get("trip", "")
            if said["quantity"] == 0 or not (
                (sale and cold) or (event.type == "shipped" and trip and cold is not False)
            ):
                continue
            if (who, sale, said["lot"], trip, sent) in seen:
                continue
            seen.add((who, sale, said["lot"], trip, sent))
            tags = series(registers.get(who), event.area, said["from"], store=bool(cold))
            before = rows(records[:i], who, tags)
            newest = max((at for _, at in before), default=float("-inf"))
            later = [known for known, at in rows(records[i:], who, tags) if sent <= at <= sent + DAY]
            lit = later[0] if later else None
            if not sale:
                lit = record.received if sent <= newest <= sent + DAY else lit
                proofs |= {(said["lot"], trip, sent, who, lit)} if lit is not None else set()
                continue
            due = max(sent + DAY, record.received) + 60_000
            if newest >= sent or due > final or (lit is not None and lit < due):
                continue
            darks.add((said["lot"], trip, sent, who, due))
            proofs |= {(said["lot"], trip, sent, who, lit)} if lit is not None else set()
    # Of whom nobody has registered it is not known whether the rule is for it (ADR 0095); a first register counts since ever.
    return {one for one in darks if one[3] in registers}, proofs


def series(register, area, sent_from, *, store):
    """Return the tags whose readings belong to what is sent."""
    if register is None:
        return set()
    kinds = {one.id: one.kind for one in register.areas}
    areas = {area} if kinds.get(area) in {"vehicle", "box"} else set()
    named = [one for one in (sent_from, area) if kinds.get(one) in COLD]
    if store:
        areas |= set(named[:1]) or {name for name, kind in kinds.items() if kind in COLD}
    return {one.tag for one in register.sensors if one.area in areas and one.quantity == "temperature"}


def rows(records, who, tags):
    """Return (receipt, event time) of the readings of a facility's tags, in the order of the log."""
    found = []
    for record in records:
        if isinstance(record.payload, Readings) and record.facility == who:
            named = [tag for tag, n in zip(record.payload.tags, record.payload.counts, strict=True) for _ in range(n)]
            found += [
                (record.received, int(at)) for tag, at in zip(named, record.payload.time, strict=True) if tag in tags
            ]
    return found
