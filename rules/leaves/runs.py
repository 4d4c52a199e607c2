"""What goes on of a series when the numbers of its rule change: the run of its kind, or one begun anew."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, TypeAlias

from rules.leaves.cumulative import CumulativeNumbers, CumulativeRun
from rules.leaves.difference import DoorRun, PairNumbers
from rules.leaves.during import DuringNumbers, DuringRun
from rules.leaves.exposure import ExposureNumbers, ExposureRun
from rules.leaves.frozen import FrozenNumbers, FrozenRun
from rules.leaves.jump import JumpNumbers, JumpRun
from rules.leaves.last_digit import UniformNumbers, UniformRun
from rules.leaves.limit import LimitNumbers, LimitRun
from rules.leaves.mean_kinetic import MeanNumbers, MeanRun
from rules.leaves.smooth import SmoothNumbers, SmoothRun
from rules.leaves.steadiness import SteadinessNumbers, SteadinessRun
from rules.leaves.too_precise import DigitNumbers, DigitRun

if TYPE_CHECKING:
    from rules.leaves.model import See

RowRun: TypeAlias = (
    LimitRun
    | FrozenRun
    | CumulativeRun
    | MeanRun
    | DigitRun
    | SmoothRun
    | UniformRun
    | DuringRun
    | ExposureRun
    | SteadinessRun
)
RowNumbers: TypeAlias = (
    LimitNumbers
    | FrozenNumbers
    | CumulativeNumbers
    | MeanNumbers
    | PairNumbers
    | JumpNumbers
    | DigitNumbers
    | SmoothNumbers
    | UniformNumbers
    | DuringNumbers
    | ExposureNumbers
    | SteadinessNumbers
)


def run_of(run: RowRun | None, numbers: RowNumbers, see: See, begin: int) -> RowRun:
    """Return the run that goes on with these numbers: the same one where it is of their kind, else a new one.

    Args:
        run: what went on so far, if anything did.
        numbers: what rows are judged by from here on.
        see: hears of each moment.
        begin: log time, ms, from which on the numbers are in force.
    """
    if isinstance(numbers, PairNumbers | LimitNumbers | JumpNumbers):
        return _limit_run(run, numbers, see, begin)
    if isinstance(numbers, FrozenNumbers):
        return _frozen_run(run, numbers, see, begin)
    if isinstance(numbers, DuringNumbers | ExposureNumbers | DigitNumbers | UniformNumbers | SteadinessNumbers):
        return _clockless_run(run, numbers, see)
    if isinstance(numbers, CumulativeNumbers | SmoothNumbers):
        return _summed_run(run, numbers, see, begin)
    if not isinstance(run, MeanRun):
        return MeanRun(numbers, see)
    run.numbers, run.floor = numbers, begin
    return run


def _limit_run(run: RowRun | None, numbers: PairNumbers | LimitNumbers | JumpNumbers, see: See, begin: int) -> LimitRun:
    if isinstance(numbers, PairNumbers):
        return _pair_run(run, numbers, see, begin)
    if isinstance(numbers, JumpNumbers):
        if not isinstance(run, JumpRun):
            run = JumpRun(numbers.limits, see)
        run.adopt(numbers, begin)
        return run
    if not isinstance(run, LimitRun) or isinstance(run, JumpRun):
        return LimitRun(numbers, see)
    if run.numbers.rule.severity.steps != numbers.rule.severity.steps:
        run.reached, run.running = set(), {}
    run.numbers, run.floor = numbers, begin
    return run


def _pair_run(run: RowRun | None, numbers: PairNumbers, see: See, begin: int) -> LimitRun:
    found = _limit_run(run, numbers.limits, see, begin)
    if numbers.closed is None:
        if not isinstance(found, DoorRun):
            return found
        known = {each.name: getattr(found, each.name) for each in fields(LimitRun)}
        return LimitRun(**known | {"delay": None})
    if not isinstance(found, DoorRun):
        found = DoorRun(**{each.name: getattr(found, each.name) for each in fields(LimitRun)})
    found.closed = numbers.closed
    return found


def _frozen_run(run: RowRun | None, numbers: FrozenNumbers, see: See, begin: int) -> FrozenRun:
    if not isinstance(run, FrozenRun):
        return FrozenRun(numbers, see)
    run.numbers, run.floor = numbers, begin
    return run


def _summed_run(
    run: RowRun | None, numbers: CumulativeNumbers | SmoothNumbers, see: See, begin: int
) -> CumulativeRun | SmoothRun:
    if isinstance(numbers, SmoothNumbers):
        if not isinstance(run, SmoothRun):
            return SmoothRun(numbers, see)
        run.adopt(numbers, begin)
        return run
    if not isinstance(run, CumulativeRun):
        return CumulativeRun(numbers, see)
    run.adopt(numbers, begin)
    return run


def _clockless_run(
    run: RowRun | None, numbers: DuringNumbers | ExposureNumbers | DigitNumbers | UniformNumbers | SteadinessNumbers, see: See
) -> DuringRun | ExposureRun | DigitRun | UniformRun | SteadinessRun:  # fmt: skip
    if isinstance(numbers, SteadinessNumbers):
        return _steadiness_run(run, numbers, see)
    if isinstance(numbers, DigitNumbers | UniformNumbers):
        return _digit_run(run, numbers, see)
    return _during_run(run, numbers, see)


def _steadiness_run(run: RowRun | None, numbers: SteadinessNumbers, see: See) -> SteadinessRun:
    if not isinstance(run, SteadinessRun):
        return SteadinessRun(numbers, see)
    run.adopt(numbers)
    return run


def _during_run(
    run: RowRun | None, numbers: DuringNumbers | ExposureNumbers, see: See
) -> DuringRun | ExposureRun:  # fmt: skip
    if isinstance(numbers, ExposureNumbers):
        if not isinstance(run, ExposureRun):
            return ExposureRun(numbers, see)
        run.adopt(numbers)
        return run
    if not isinstance(run, DuringRun):
        return DuringRun(numbers, see)
    run.numbers = numbers
    return run


def _digit_run(run: RowRun | None, numbers: DigitNumbers | UniformNumbers, see: See) -> DigitRun | UniformRun:
    if isinstance(numbers, UniformNumbers):
        if not isinstance(run, UniformRun):
            return UniformRun(numbers, see)
        run.adopt(numbers)
        return run
    if not isinstance(run, DigitRun):
        return DigitRun(numbers, see)
    run.adopt(numbers)
    return run
