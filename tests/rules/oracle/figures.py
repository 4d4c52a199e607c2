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


def history(records, name):
    """Return receipt and register of all versions of a facility that came into force, oldest first."""
    found, highest = [], 0
    for record in records:
        if isinstance(record.payload, RegisterRecord) and record.facility == name and record.payload.version > highest:
            highest = record.payload.version
            found.append((record.received, record.payload.facility))
    return found


def scopes(records, name, instant):
    """Return fields and lines that were registered at an instant; before the first of them, those of the first."""
    told = history(records, name)
    now = [facts for since, facts in told if since <= instant][-1:] or [facts for _, facts in told][:1]
    return {(scope.field, scope.line) for facts in now for scope in facts.scopes}


def days(records, name):
    """Return the days of visits that any register names; one before the last corrects it."""
    found = []
    for _, facts in history(records, name):
        day = None if facts.risk is None else facts.risk.last_visit
        if day is not None:
            found = [one for one in found if one < str(day)] + [str(day)]
    return found


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
        known = any(field == "laboratory" for field, _ in scopes(records, sender, received))
        if key not in last or (known, received, sender, name) > last[key][0]:
            last[key] = ((known, received, sender, name), fields)

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
    found = []
    for first, keys in groups.items():
        again = sorted(
            (key for key in keys if key != first), key=lambda key: (last[key][1]["drawn_at"], last[key][0][1], key[1])
        )
        begun = first if first in last else min(keys, key=lambda key: (last[key][1]["drawn_at"], key[1]))
        told = last[begun][1]
        verdict = last[again[-1] if again else begun][1]["verdict"]
        where = told["facility_sampled"]
        classes = {one.id: one.class_ for _, facts in history(records, where) for one in facts.products}
        lines = {line for _, line in scopes(records, where, last[begun][0][1])}
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
        seen = [local(one.done_at) for one in newest.values() if one.mode == "on-site" and one.full]
        seen += [datetime.fromisoformat(day).replace(tzinfo=ZONE) for day in days(records, name)]
        whole += 1
        part += any(day.year == year and day < local(until) for day in seen)
    return whole, part


def months(at, count):
    """Return the names of so many months, the one that holds `at` first."""
    day, found = local(at).replace(day=15), []
    while len(found) < count:
        found.append(f"{day:%Y-%m}")
        day = (day.replace(day=1) - timedelta(days=1)).replace(day=15)
    return found
