"""What the benches say of a process, of a folder, and of several runs."""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JIFFIES_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / JIFFIES_A_SECOND


def status(pid: int, name: str) -> int:
    """Return a number of the process's status: VmRSS and VmHWM (KiB), Threads."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def resident_mb(pid: int) -> float:
    """Return the resident memory."""
    return status(pid, "VmRSS") / 1024


def open_files(pid: int) -> int:
    """Return how many descriptors a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def size_of(*paths: Path) -> int:
    """Return the bytes of files, and of what lies in folders; what goes away meanwhile counts nothing."""
    total = 0
    for path in paths:
        for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
            try:
                total += 0 if entry.is_dir() else entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Return median, least, most, and of how many."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
        "n": len(values),
    }


def spreads(runs: Sequence[Mapping[str, float]], digits: int = 2) -> dict[str, dict[str, float]]:
    """Return the spread of each figure over the runs."""
    return {name: spread([run[name] for run in runs], digits) for name in runs[0]}


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of values a second; 0 of fewer than two instants."""
    if len(set(times_s)) < 2:  # noqa: PLR2004 - a line needs two
        return 0.0
    return statistics.linear_regression(times_s, values).slope


def end_gently() -> None:
    """Let SIGTERM end a bench as an error would: whatever it started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def emit(bench: str, figures: Mapping[str, Any]) -> None:
    """Print the result as JSON, with the machine it is of and how busy it was at the end."""
    about = {
        "bench": bench,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_at_end": [round(load, 1) for load in os.getloadavg()],
    }
    json.dump(about | dict(figures), sys.stdout, indent=1)
    sys.stdout.write("\n")
