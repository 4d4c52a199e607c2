"""What legal clocks cost: 100,000 that run over 100 facilities, and 20,000 at one; memory, snapshots, ticks, a thousand due at once.

`python -m bench.clocks` prints JSON (about eight minutes), `--quick` a small setting, `--only open` one part. The shipped packs are in force; CPU time. A clock
that runs is a death whose investigation is awaited; its report is a case of four rules, three of which it answers itself.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
import tracemalloc
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

from bench.figures import emit, resident_mb, spread, spreads
from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Report, Tick
from rules.register import Facility
from rules.reports.types import TYPES
from rules.snapshot import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rules.pack import Bundle

BEGIN: Final = 1_772_294_400_000
DAY: Final = 86_400_000
AWAITED: Final = "report-clock.adr-death-investigation"
FIELDS: Final = ("vigilance", "manufacture", "clinical-trials")
LINES: Final = ("drug", "device", "cosmetics")
TICKS: Final = 200
ROUNDS: Final = 5


def facility(name: str) -> Facility:
    """Return a firm that every shipped clock watches."""
    return Facility.model_validate(
        {
            "id": name, "name": {"zh": "测试", "en": "Bench"}, "jurisdiction": "110000",
            "scopes": [{"field": field, "line": line} for field in FIELDS for line in LINES],
            "licences": [{"number": "N-1", "kind": "drug-mah", "from": "2020-01-01"}],
            "trials": [{"id": "CTR-1", "anniversary": "2024-03-10"}],
        }
    )  # fmt: skip


def death(number: int, known: int) -> Report:
    """Return the report of a death."""
    fields = {
        **TYPES["adr-case"].example,
        "case_id": f"C-{number}",
        "known_at": known,
        "seriousness": "death",
        "onset": "2026-01-01",
    }
    return Report.model_validate(
        {"type": "adr-case", "id": f"R-{number:08d}", "revision": 1, "sent": BEGIN, "fields": fields}
    )


def mixed(number: int) -> Report:
    """Return a report of one of the types that clocks read, one type after another."""
    kinds = sorted(MIXED)
    kind = kinds[number % len(kinds)]
    fields: dict[str, Any] = dict(TYPES[kind].example)
    for name in ("case_id", "event_id", "recall_id", "inspection_id"):
        if name in fields:
            fields[name] = f"{fields[name]}-{number // 7}"
    return Report.model_validate(
        {"type": kind, "id": f"M-{number:08d}", "revision": 1, "sent": BEGIN, "fields": fields}
    )


MIXED: Final = frozenset(TYPES) - {
    "adr-group", "quality-review", "deviation", "oos-investigation", "change-filing", "amendment", "sampling-result",
    "significant-change", "adr-group-investigation", "psur", "device-group-case", "recall-plan",
}  # fmt: skip
"""Types that a shipped clock reads."""


class Log:
    """Folds records one behind the other, each with the next offset."""

    def __init__(self, names: Sequence[str], bundle: Bundle | None = None) -> None:
        """Begin with the register of each facility."""
        self.engine, self.offset, self.names = Engine(bundle or default_bundle()), 0, names
        for name in names:
            self.fold(BEGIN, Kind.REGISTER, name, RegisterRecord(version=1, facility=facility(name)))

    def fold(self, received: int, kind: Kind, name: str, payload: Any) -> int:  # noqa: ANN401 - any payload
        """Fold a record; returns how many changes it made."""
        made = self.engine.fold(LogRecord(0, self.offset, received, kind, name, payload))
        self.offset += 1
        return len(made)

    def tick(self, at: int) -> tuple[float, int]:
        """Fold a tick; returns CPU seconds and changes."""
        begun = time.process_time()
        made = self.fold(at, Kind.TICK, "", Tick(by="bench", role="worker", now=at))
        return time.process_time() - begun, made

    def changed(self) -> dict[str, float]:
        """Return CPU seconds of another version of the register of one facility, and of a front door that was closed for an hour."""
        name = self.names[0]
        begun = time.process_time()
        self.fold(BEGIN + DAY // 2, Kind.REGISTER, name, RegisterRecord(version=2, facility=facility(name)))
        register = time.process_time() - begun
        self.fold(BEGIN + DAY // 2, Kind.TICK, "", Tick(by="bench", role="gateway", now=BEGIN))
        begun = time.process_time()
        self.fold(BEGIN + DAY // 2 + DAY // 24, Kind.TICK, "", Tick(by="bench", role="gateway", now=BEGIN))
        door = time.process_time() - begun
        return {"register_of_one_cpu_s": round(register, 3), "closed_door_cpu_s": round(door, 3)}

    def kept(self) -> int:
        """Return how many clocks are kept, of all rules."""
        states = [self.engine.state_of(name) for name in self.names]
        return sum(len(cases) for state in states for cases in state.clocks.cases.values())


def deaths(many: int, names: Sequence[str]) -> Iterator[tuple[str, Report]]:
    """Yield facility and report, in time; the last thousand came to be known days before all others: they are late, and due first, at one instant."""
    for number in range(many):
        early = number >= many - due_at_once(many)
        yield names[number % len(names)], death(number, BEGIN - (6 * DAY if early else DAY // 2))


def due_at_once(many: int) -> int:
    """Return how many fall due at one instant."""
    return min(1_000, many // 10)


def filled(many: int, facilities: int) -> dict[str, Any]:
    """Return what so many clocks that run cost."""
    log = Log([f"F-{number:04d}" for number in range(facilities)])
    reports = list(deaths(many, log.names))
    begun = time.process_time()
    for number, (name, report) in enumerate(reports):
        log.fold(BEGIN + number, Kind.REPORT, name, report)
    spent = time.process_time() - begun
    running = sum(c.due != 1 << 62 for n in log.names for c in log.engine.state_of(n).clocks.of(AWAITED).values())
    return {
        "facilities": facilities, "running": running, "clocks_kept": log.kept(),
        "reports_per_cpu_s": round(many / spent), "cpu_us_per_report": round(spent / many * 1e6, 1),
        "snapshots": snapshots(log, many), "ticks": ticks(log, many),
    }  # fmt: skip


def memory(many: int) -> dict[str, Any]:
    """Return what Python allocated for so many clocks that run, over ten facilities; the reports themselves are not counted."""
    log = Log([f"F-{number:04d}" for number in range(10)])
    reports = list(deaths(many, log.names))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number, (name, report) in enumerate(reports):
        log.fold(BEGIN + number, Kind.REPORT, name, report)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    kept = log.kept()
    return {
        "running": many,
        "bytes_per_running_clock": round(grown / many),
        "clocks_kept": kept,
        "bytes_per_kept_clock": round(grown / kept),
    }


def snapshots(log: Log, many: int) -> dict[str, Any]:
    """Return bytes and CPU of snapshots."""
    begun = time.process_time()
    made = [log.engine.snapshot(0, name) for name in log.names]
    spent = time.process_time() - begun
    again, begun = log.engine.alone(), time.process_time()
    again.restore_partition(0, log.engine.partition_state(0))
    for name, snapshot in zip(log.names, made, strict=True):
        again.restore(0, name, snapshot)
    restored = time.process_time() - begun
    return {
        "bytes_per_running_clock": round(sum(map(len, made)) / many, 1),
        "bytes_per_running_clock_unpacked": round(sum(len(unpacked(snapshot)) for snapshot in made) / many, 1),
        "written_cpu_us_per_running_clock": round(spent / many * 1e6, 1),
        "restored_cpu_us_per_running_clock": round(restored / many * 1e6, 1),
    }


def ticks(log: Log, many: int) -> dict[str, Any]:
    """Return what ticks cost: where nothing is due, where a thousand reminders or times are over at one instant, and all the rest."""
    changed = log.changed()
    idle = [log.tick(BEGIN + DAY + i)[0] for i in range(TICKS)]
    once = due_at_once(many)
    found: dict[str, Any] = {
        **changed,
        "nothing_due_cpu_us": round(statistics.median(idle) * 1e6, 1),
        "due_at_once": once,
    }
    for name, at in (("reminder", 7 * DAY), ("over", 10 * DAY + 1)):
        spent, made = log.tick(BEGIN + at)
        found[name] = {
            "cpu_s": round(spent, 3),
            "changes": made,
            "cpu_us_per_change": round(spent / max(made, 1) * 1e6, 1),
        }
    spent, made = log.tick(BEGIN + 20 * DAY)
    rest = {"cpu_s": round(spent, 3), "changes": made, "cpu_us_per_change": round(spent / max(made, 1) * 1e6, 1)}
    return found | {"all_others": rest}


def submitted(many: int) -> dict[str, Any]:
    """Return reports a CPU second, of all types that the nineteen clocks read, over ten facilities."""
    windows = []
    for _ in range(ROUNDS):
        log = Log([f"F-{number:04d}" for number in range(10)])
        reports = [mixed(number) for number in range(many)]
        begun = time.process_time()
        for number, report in enumerate(reports):
            log.fold(BEGIN + number, Kind.REPORT, log.names[number % 10], report)
        windows.append(many / (time.process_time() - begun))
    return {"types": len(MIXED), "reports": many, "reports_per_cpu_s": spread(windows, 0)}


def open_once(many: int, facilities: int) -> dict[str, float]:
    """Return what so many clocks that run take of a process that holds nothing else: its memory, a tick, a tick of a gateway.

    The rule of the awaited report alone is in force, so that nothing else is kept of a report.
    """
    log = Log([f"F-{number:04d}" for number in range(facilities)], default_bundle().only({AWAITED}))
    log.fold(BEGIN, Kind.REPORT, log.names[0], death(many, BEGIN))  # what is made once is made
    gc.collect()
    before = resident_mb(os.getpid())
    idle = [log.tick(BEGIN + i)[0] for i in range(TICKS)]
    for number, (name, report) in enumerate(deaths(many, log.names)):
        log.fold(BEGIN + TICKS + number, Kind.REPORT, name, report)
    gc.collect()
    grown = resident_mb(os.getpid()) - before
    full = [log.tick(BEGIN + DAY + i)[0] for i in range(TICKS)]
    begun = time.process_time()
    for i in range(TICKS):
        log.fold(BEGIN + DAY + TICKS + i, Kind.TICK, "", Tick(by="bench", role="gateway", now=BEGIN))
    return {
        "rss_mb": grown,
        "bytes_per_running_clock": grown * 1024 * 1024 / many,
        "tick_us_without": statistics.median(idle) * 1e6,
        "tick_us": statistics.median(full) * 1e6,
        "gateway_tick_us": (time.process_time() - begun) / TICKS * 1e6,
    }


def opened(many: int, facilities: int) -> dict[str, Any]:
    """Return the same of several processes, one behind the other; ticks with clocks over ticks without are of one process."""
    runs = []
    for _ in range(ROUNDS):
        with get_context("spawn").Pool(1) as one:
            runs.append(one.apply(open_once, (many, facilities)))
    ratio = spread([run["tick_us"] / run["tick_us_without"] for run in runs])
    return {"running": many, "facilities": facilities, **spreads(runs, 1), "tick_over_tick_without": ratio}


def main() -> None:
    """Print the figures."""
    quick = "--quick" in sys.argv
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "submitted": lambda: submitted(500 if quick else 10_000),
        "open": lambda: opened(500 if quick else 100_000, 5 if quick else 100),
        "memory": lambda: memory(500 if quick else 10_000),
        "at_one": lambda: filled(200 if quick else 20_000, 1),
        "over_many": lambda: filled(500 if quick else 100_000, 5 if quick else 100),
    }
    shipped = sum(rule.kind == "deadline" and rule.stage == "live" for rule in default_bundle().rules)
    found = {name: part() for name, part in parts.items() if only in {None, name}}
    emit("clocks", {"clocks_shipped": shipped, **found})


if __name__ == "__main__":
    main()
