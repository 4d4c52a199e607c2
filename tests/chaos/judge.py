"""The judgement: what was promised, what the log holds, what was published, what the desk and the archive have.

Pure functions over values; each returns what is wrong, in words. Nothing wrong is an empty list.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from rules.canonical import canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.chaos.feeding import Receipt

Place = tuple[int, int]
SHOWN = 12


def receipts_hold(
    dump: Iterable[Mapping[str, Any]], posted: Mapping[tuple[str, str], Mapping[str, Any]], receipts: Iterable[Receipt],
    attempts: Mapping[tuple[str, str], int],
) -> list[str]:  # fmt: skip
    """Every receipt names a record with the batch as posted, each another one; the log holds no reading that nobody posted."""
    held = {(line["partition"], line["offset"]): line for line in dump if line["kind"] == "readings"}
    wrong: list[str] = []
    promised: dict[Place, Receipt] = {}
    for receipt in receipts:
        place = (receipt.partition, receipt.offset)
        if place in promised:
            other = promised[place]
            wrong.append(
                f"{place}: promised to {other.facility} {other.batch} and to {receipt.facility} {receipt.batch}"
            )
        promised[place] = receipt
        line = held.get(place)
        if line is None:
            wrong.append(f"LOST {receipt.facility} {receipt.batch}: {place} holds no readings")
        elif (line["facility"], line["data"]["batch"], line["received"]) != (
            receipt.facility, receipt.batch, receipt.received,
        ):  # fmt: skip
            wrong.append(
                f"{receipt}: the log has {line['facility']} {line['data']['batch']} received {line['received']}"
            )
    copies: Counter[tuple[str, str]] = Counter()
    for place, line in held.items():
        key = (line["facility"], line["data"]["batch"])
        body = posted.get(key)
        copies[key] += 1
        if body is None:
            wrong.append(f"INVENTED {place}: {key} was never posted")
        elif comparable(line["data"]) != comparable(body):
            wrong.append(f"{place}: {key} is not what was posted")
    promises = Counter((r.facility, r.batch) for r in promised.values())
    wrong += [f"{key}: {copies[key]} records, {n} receipts" for key, n in promises.items() if copies[key] < n]
    wrong += [
        f"{key}: {n} records of {attempts.get(key, 0)} posts" for key, n in copies.items() if n > attempts.get(key, 0)
    ]
    return wrong


def comparable(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return readings so that two spellings of the same are equal: quality that is all good need not be said."""
    return {
        "batch": data["batch"],
        "seq": data.get("seq"),
        "series": [
            (s["tag"], s["time"], s["value"], s.get("quality") or ["good"] * len(s["time"])) for s in data["series"]
        ],
    }


def others_are_known(
    dump: Iterable[Mapping[str, Any]], versions: Iterable[tuple[str, int]], tickers: Iterable[str]
) -> list[str]:
    """What is no reading is a tick of ours or a version of the register; every version stands in the log, in order."""
    wrong: list[str] = []
    known, names = set(versions), set(tickers)
    seen: dict[str, list[int]] = {}
    for line in dump:
        place = (line["partition"], line["offset"])
        if line["kind"] == "register":
            seen.setdefault(line["facility"], []).append(line["data"]["version"])
            if (line["facility"], line["data"]["version"]) not in known:
                wrong.append(f"INVENTED {place}: register {line['facility']} version {line['data']['version']}")
        elif line["kind"] == "tick":
            if line["data"]["by"] not in names:
                wrong.append(f"INVENTED {place}: a tick by {line['data']['by']}")
        elif line["kind"] != "readings":
            wrong.append(f"INVENTED {place}: a record of kind {line['kind']}")
    wrong += [f"LOST {name}: version {v} is not in the log" for name, v in sorted(known) if v not in seen.get(name, [])]
    for name, numbers in seen.items():
        firsts = list(dict.fromkeys(numbers))
        if firsts != sorted(firsts):
            wrong.append(f"{name}: versions came as {numbers}")
    return wrong


def ticked(records: Iterable[tuple[int, int, bool]]) -> bool:
    """Whether every partition holds a tick that was received later than all else in it.

    Args:
        records: of each its partition, its receive time in ms, and whether it is a tick.
    """
    ticks: dict[int, int] = {}
    others: dict[int, int] = {}
    for partition, received, is_tick in records:
        newest = ticks if is_tick else others
        newest[partition] = max(received, newest.get(partition, received))
    return all(partition in ticks and ticks[partition] > received for partition, received in others.items())


def published_equals(published: Iterable[tuple[int, int, bytes]], evaluated: Iterable[bytes]) -> tuple[list[str], int]:
    """Compare the topic of changes, in its order, with `offsite evaluate`; returns what is wrong and the repeats."""
    expected: dict[str, list[bytes]] = {}
    for line in evaluated:
        expected.setdefault(json.loads(line)["stream"], []).append(line)
    wrong: list[str] = []
    seen: dict[str, list[bytes]] = {}
    homes: dict[str, int] = {}
    repeats = 0
    for partition, offset, value in published:
        change = json.loads(value)
        change.pop("source", None)
        body, stream, seq = canonical_bytes(change), change["stream"], change["seq"]
        known = seen.setdefault(stream, [])
        if homes.setdefault(stream, partition) != partition:
            wrong.append(f"{stream} {seq}: in partition {partition}, before in {homes[stream]}")
        if seq <= len(known):
            repeats += 1
            if known[seq - 1] != body:
                wrong.append(f"{stream} {seq}: published again at {partition}/{offset} with other content")
        elif seq == len(known) + 1:
            known.append(body)
        else:
            wrong.append(f"{stream}: {seq} follows {len(known)} at {partition}/{offset}")
    return wrong + differences("published", seen, expected), repeats


def desk_equals(rows: Iterable[tuple[str, int, str]], evaluated: Iterable[bytes]) -> list[str]:
    """Compare the desk's changes with `offsite evaluate`."""
    expected: dict[str, list[bytes]] = {}
    for line in evaluated:
        expected.setdefault(json.loads(line)["stream"], []).append(line)
    seen: dict[str, list[bytes]] = {}
    wrong = []
    for stream, seq, body in sorted(rows):
        known = seen.setdefault(stream, [])
        if seq != len(known) + 1:
            wrong.append(f"{stream}: on the desk {seq} follows {len(known)}")
        known.append(body.encode())
    return wrong + differences("on the desk", seen, expected)


def differences(where: str, seen: Mapping[str, list[bytes]], expected: Mapping[str, list[bytes]]) -> list[str]:
    """Compare streams of changes."""
    wrong = []
    for stream in sorted({*seen, *expected}):
        mine, theirs = seen.get(stream, []), expected.get(stream, [])
        if len(mine) < len(theirs):
            wrong.append(
                f"LOST {stream}: {len(mine)} {where}, {len(theirs)} evaluated; first missing {_told(theirs[len(mine)])}"
            )
        if len(mine) > len(theirs):
            wrong.append(
                f"INVENTED {stream}: {len(mine)} {where}, {len(theirs)} evaluated; first {_told(mine[len(theirs)])}"
            )
        unlike = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=False), 1) if a != b]
        if unlike:
            first = unlike[0] - 1
            wrong.append(
                f"{stream}: {len(unlike)} of {len(theirs)} differ {where}, first {unlike[0]}:\n"
                f"      is        {mine[first].decode()[:1500]}\n      evaluated {theirs[first].decode()[:1500]}"
            )
    return wrong


def alarms_equal(rows: Iterable[Mapping[str, Any]], evaluated: Iterable[bytes]) -> list[str]:
    """Compare the desk's alarms, in the members of contracts.md §5, with `offsite evaluate --alarms`."""
    mine = {row["alarm"]: dict(row) for row in rows}
    theirs = {value["alarm"]: value for value in map(json.loads, evaluated)}
    wrong = [f"LOST alarm {theirs[name]}" for name in sorted(theirs.keys() - mine.keys())]
    wrong += [f"INVENTED alarm {mine[name]}" for name in sorted(mine.keys() - theirs.keys())]
    wrong += [
        f"alarm {name}: on the desk {mine[name]}, evaluated {theirs[name]}"
        for name in sorted(mine.keys() & theirs.keys())
        if mine[name] != theirs[name]
    ]
    return wrong


def rejections_hold(poisoned: Mapping[Place, str], left_out: Iterable[Place], kept: Iterable[Place]) -> list[str]:
    """What the dump leaves out is what was poisoned, and every poison is kept by its place in the topic of rejections."""
    out, shown = set(left_out), set(kept)
    wrong = [f"{place}: poison ({poisoned[place]}) stands in the dump" for place in sorted(poisoned.keys() - out)]
    wrong += [f"LOST {place}: left out of the dump, and no poison" for place in sorted(out - poisoned.keys())]
    wrong += [f"LOST {place}: poison ({poisoned[place]}) was not kept" for place in sorted(poisoned.keys() - shown)]
    wrong += [f"INVENTED {place}: kept as rejected, and no poison" for place in sorted(shown - poisoned.keys())]
    return wrong


def same_lines(name: str, one: bytes, other: bytes) -> list[str]:
    """Compare two dumps byte by byte."""
    if one == other:
        return []
    a, b = one.splitlines(), other.splitlines()
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    told = [_told(lines[first]) if first < len(lines) else "nothing" for lines in (a, b)]
    return [f"{name}: {len(a)} and {len(b)} lines, the first that differs is {first + 1}: {told[0]} and {told[1]}"]


def _told(line: bytes) -> str:
    return line.decode(errors="replace")[:400]
