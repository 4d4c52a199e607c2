"""`cleanroom.pressure-low` with doors (ADR 0091), plainly: each instant asks every event of a door anew. All times in ms.

Not the engine's way: nothing is kept from row to row but the run and the alarm, and a door is gone through second by second where it matters.
"""

from __future__ import annotations

MINUTE, HOUR = 60_000, 3_600_000


def door_at(told, t):
    """Return what one door is at an instant: None before it was told of, else `open`, `closed` or `unknown`."""
    before = [(at, word) for at, word in told if at <= t]
    if not before:
        return None
    newest = max(at for at, _ in before)
    if ("closed") in {word for at, word in before if at == newest}:
        return "closed"
    return "unknown" if t - newest >= HOUR else "open"


def doors_at(told, t):
    """Return what the doors of a room are at an instant; `told`: door -> [(event time, word)]."""
    now = [state for state in (door_at(one, t) for one in told.values()) if state is not None]
    return "open" if "open" in now else "unknown" if "unknown" in now or not now else "closed"


def broke_between(told, begin, end):
    """Say whether a run of records that began at `begin` does not reach `end`: what the doors are became another thing, or began anew."""
    points = {at + more for one in told.values() for at, _ in one for more in (0, HOUR)}
    for t in sorted(point for point in points if begin < point <= end):
        if doors_at(told, t) != doors_at(told, t - 1):
            return True
        if any(door_at(one, t - 1) is None and door_at(one, t) == "closed" for one in told.values()):
            return True
    return False


def alarms(rows, told, *, interval=MINUTE, low=10, deadband=1, closed=MINUTE, fallback=3 * MINUTE, opens=2, clears=3):
    """Return (start, raised at, end or None) of each alarm over the rows (event time, Pa or None) of one pair of rooms.

    Args:
        rows: by event time.
        told: of the doors of the cleaner room.
        interval: of the sensor; a distance of more than two ends a run.
        low: Pa; below is outside.
        deadband: Pa above `low` that clears.
        closed: a run with the doors closed is told if it is as long as this.
        fallback: one with doors that are not known, if it is as long as this.
        opens: records that a run needs.
        clears: records that end an alarm.
    """
    found, run, standing, inside, known = [], [], False, [], None
    for t, value in rows:
        state = doors_at(told, t)
        if not standing and (state == "open" or (run and broke_between(told, run[0], t))):
            run = []
        if value is None:
            continue
        if (run or standing) and t - known > 2 * interval:
            run, inside = ([], inside) if not standing else (run, [])
        if not standing:
            if state == "open":
                continue
            run = [*run, t] if value < low else []
            known = t if run else known
            lasts = t - run[0] if run else 0
            if len(run) >= opens and (lasts >= closed if state == "closed" else lasts >= fallback):
                found.append([run[0], t, None])
                standing, inside = True, []
            continue
        known = t
        inside = [*inside, t] if value >= low + deadband else []
        if len(inside) >= clears:
            found[-1][2] = inside[0]
            standing, run, inside = False, [], []
    return [tuple(one) for one in found]
