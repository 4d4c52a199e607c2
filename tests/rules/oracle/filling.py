"""What events say of filling and of monitors, from scratch: every event that ever came, asked anew."""

from __future__ import annotations

from rules.instants import parse_instant
from tests.rules.oracle.devices import device

MONTH = 30 * 24 * 3_600_000
FOREVER = 1 << 62


def take(of, event, area, t):
    """Take an event of an area in which is filled: a step of a batch, or what its monitor says."""
    if (event.stream, event.type) == ("device", "monitor"):
        if event.fields.get("state") in ("on", "off"):
            of.switches.append((area, device(event), t, event.fields["state"]))
        return
    begin, end = (instant(event.fields.get(name)) for name in ("from", "to"))
    readable = begin is not None and end != "" and event.fields.get("batch")
    if event.fields.get("step") == "filling" and readable and (end is None or end >= begin):
        of.fillings.append((area, event.fields["batch"], begin, end))


def instant(value):
    """Return an instant, None where there is none, and an empty text where it cannot be read."""
    if value is None or isinstance(value, int):
        return value
    try:
        return parse_instant(value)
    except ValueError:
        return ""


def spans(past, area):
    """Return when it is filled; what overlaps or touches is one."""
    own = [event for event in past if event[0] == area]
    single = []
    for _, batch, begin, _ in own:
        ends = [end for _, other, same, end in own if (other, same) == (batch, begin) and end is not None]
        single.append((begin, min([begin + MONTH, *([max(ends)] if ends else [])])))
    return union(single, 1)


def off(past, area):
    """Return when a monitor was off: from an event that says so to the next one of its device that says on."""
    single = []
    for where, who, t, state in past:
        own = [(at, said) for a, d, at, said in past if (a, d) == (area, who)]
        if where == area and state == "off" and (t, "on") not in own:
            single.append((t, min((at for at, said in own if said == "on" and at > t), default=FOREVER)))
    return union(single, 0)


def union(single, apart):
    found = []
    for begin, end in sorted(single):
        if found and begin <= found[-1][1] + apart:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
