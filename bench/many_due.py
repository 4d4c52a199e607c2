"""What many things that fall due at one instant, and many places, cost the fold: CPU seconds by the number of areas, JSON on stdout.

Every scene (`bench/many_scenes.py`, `bench/report_scenes.py`) is folded with few areas and with four times as many; the ratio is the one over the other, so 4 is a cost that
grows with the number, 16 one that grows with its square. Only what a scene is about is measured, not the register and the rows that lead there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from bench.figures import emit, spread
from bench.many_scenes import SCENES
from bench.report_scenes import REPORTED
from rules import kernels
from rules.engine import Engine
from rules.pack import default_bundle

if TYPE_CHECKING:
    from bench.many_scenes import Scene

ALL: Final = SCENES | REPORTED
WIDE: Final = {"limits_by_clock"}
"""Scenes with five sensors an area: of half as many areas, for a facility has 5,000 series at most."""


def once(scene: Scene) -> tuple[float, int]:
    """Return the CPU seconds of what is measured of a scene, and how many changes it makes."""
    engine = Engine(default_bundle())
    for record in scene.before:
        engine.fold(record)
    began, changes = time.process_time(), 0
    for record in scene.measured:
        changes += len(engine.fold(record))
    return time.process_time() - began, changes


def measure(name: str, few: int, repetitions: int) -> dict[str, Any]:
    """Measure a scene with few and with four times as many areas, in turn."""
    share = 2 if name in WIDE else 1
    scenes = {areas: ALL[name](areas) for areas in (few // share, 4 * few // share)}
    taken: dict[int, list[float]] = {areas: [] for areas in scenes}
    changes = dict.fromkeys(scenes, 0)
    for _ in range(repetitions):
        for areas, scene in scenes.items():
            spent, changes[areas] = once(scene)
            taken[areas].append(spent)
    sizes = [
        {"areas": areas, "cpu_s": spread(taken[areas], 3), "changes": changes[areas]} for areas in scenes
    ]  # fmt: skip
    ratio = statistics.median(b / a for a, b in zip(*taken.values(), strict=True))
    return {"scene": name, "sizes": sizes, "ratio_of_four_times_as_many": round(ratio, 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", type=int, default=500, help="few areas; four times as many are many, 2,000 at most")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--scenes", nargs="*", default=list(ALL), choices=list(ALL))
    parser.add_argument("--quick", action="store_true", help="shows that it works; the figures mean little")
    given = parser.parse_args()
    areas, repetitions = (20, 1) if given.quick else (given.areas, given.repetitions)
    kernels.warm()
    measure(given.scenes[0], 5, 1)
    found = [measure(name, areas, repetitions) for name in given.scenes]
    emit("many_due", {"rules": len(default_bundle().rules), "repetitions": repetitions, "scenes": found})


if __name__ == "__main__":
    main()
