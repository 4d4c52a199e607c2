"""Figures over all facilities, worked out anew from the records of a log: nothing is kept, every question looks at all of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rules.records import Inspection, RegisterRecord, Report

ZONE = ZoneInfo("Asia/Shanghai")
OF_CLASS = {"chemical": "drug", "device": "device", "cosmetic": "cosmetics"}


def local(ms):
    return datetime.fromtimestamp(ms / 1000, ZONE)


def registered(records, until=None):
    """Return facility -> what is registered, by the highest version that came first."""
    found = {}
    for record in records:
        if isinstance(record.payload, RegisterRecord) and (until is None or record.received < until):
            known = found.get(record.facility)
            if known is None or record.payload.version > known.version:
                found[record.facility] = record.payload
    return {name: one.facility for name, one in found.items()}


def reports(records):
    """Return sender and report id -> fields of the newest revision and when it came."""
    found = {}
    for record in records:
        said = record.payload
        if not isinstance(said, Report) or said.type != "sampling-result" or (said.revision > 1 and not said.reason):
            continue
        key = (record.facility, said.id)
        if key not in found or said.revision > found[key][0]:
            found[key] = (said.revision, record.received, said.fields)
    return found


def samples(records):
    """Return every sample once: when it was drawn, its line, its verdict, whether it was re-tested."""
    last = {}
    for (sender, name), (_, received, fields) in reports(records).items():
        if sender == fields["facility_sampled"]:
            continue
        key = (fields["facility_sampled"], fields["sample_id"])
        if key not in last or (received, sender, name) > last[key][0]:
            last[key] = ((received, sender, name), fields)

    def root(key):
        path = [key]
        while path[-1] in last and last[path[-1]][1].get("retest_of"):
            back = (path[-1][0], last[path[-1]][1]["retest_of"])
            if back in path:
                return min(path[path.index(back) :])
            path.append(back)
        return path[-1]

    groups = {}
    for key in last:
        groups.setdefault(root(key), []).append(key)
    facts, found = registered(records), []
    for first, keys in groups.items():
        again = sorted(
            (key for key in keys if key != first), key=lambda key: (last[key][1]["drawn_at"], last[key][0][0], key[1])
        )
        begun = first if first in last else min(keys, key=lambda key: (last[key][1]["drawn_at"], key[1]))
        told = last[begun][1]
        verdict = last[again[-1] if again else begun][1]["verdict"]
        where = facts.get(told["facility_sampled"])
        classes = {} if where is None else {one.id: one.class_ for one in where.products}
        lines = set() if where is None else {scope.line for scope in where.scopes}
        only = lines.pop() if len(lines) == 1 else None
        line = OF_CLASS[classes[told["product"]]] if told["product"] in classes else only if only != "all" else None
        found.append((local(told["drawn_at"]), line, verdict == "pass", bool(again)))
    return found


def name_of(when, kind):
    return {"month": f"{when:%Y-%m}", "quarter": f"{when.year}-Q{(when.month + 2) // 3}", "year": f"{when.year}"}[kind]


def rate(records, kind, period, line):
    """Return samples, passed, and failed without a re-test."""
    found = [one for one in samples(records) if name_of(one[0], kind) == period and one[1] == line]
    return len(found), sum(one[2] for one in found), sum(not (one[2] or one[3]) for one in found)


def share(records, year, grade, until):
    """Return facilities of a grade, and those visited in the year, before `until`."""
    whole = part = 0
    for name, facts in registered(records, until).items():
        if facts.risk is None or facts.risk.grade != grade:
            continue
        newest = {}
        mine = [one.payload for one in records if isinstance(one.payload, Inspection) and one.facility == name]
        for said in mine:
            if said.visit not in newest or said.version > newest[said.visit].version:
                newest[said.visit] = said
        days = [local(one.done_at) for one in newest.values() if one.mode == "on-site" and one.full]
        told = registered(records)[name].risk
        if told is not None and told.last_visit is not None:
            days.append(datetime.fromisoformat(str(told.last_visit)).replace(tzinfo=ZONE))
        whole += 1
        part += any(day.year == year and day < local(until) for day in days)
    return whole, part


def months(at, count):
    """Return the names of so many months, the one that holds `at` first."""
    day, found = local(at).replace(day=15), []
    while len(found) < count:
        found.append(f"{day:%Y-%m}")
        day = (day.replace(day=1) - timedelta(days=1)).replace(day=15)
    return found
