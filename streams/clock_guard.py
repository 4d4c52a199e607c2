"""A partition waits where the broker's clock says a time that no second clock knows yet (architecture.md, "Time"; ADR 0022).

The fold takes `received` as it stands: one record stamped an hour ahead would make a silence of everything that is due
within the hour. So live, a record that lies more than a minute behind the one before it, and more than a minute ahead of
this worker's own clock, is held back with all that follow it, until

- a tick of somebody else, stamped and sent in the new time, says the same time (the broker is right, this worker is not);
- this worker's own clock gets there (what was stamped wrongly is folded together with what came after it, so that what the
  wrong stamp says is taken back in the same breath);
- or the wait has lasted too long: then the log is folded as it stands, and operators know.

Nothing is decided and nothing is lost here: the records stay in the log and are sought again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.records import LogRecord, Tick
from streams.codec import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.custody import RawRecord
    from streams.rejected import ClockState

JUMP_MS = 60_000
"""How far two clocks may differ, and how far apart two records of a partition may lie without a question."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A partition that waits."""

    offset: int
    received: int
    """What the broker says, ms."""
    own: int
    """What this worker's clock said then, ms."""
    since_s: float


class ClockGuard:
    """Judges each jump of `received`; one object per process, clocks injected.

    Args:
        name: of this worker: its own ticks are no second source.
        own_ms: this worker's wall clock.
        monotonic_s: measures the wait.
        wait_s: how long a partition waits at most.
    """

    def __init__(self, name: str, own_ms: Callable[[], int], monotonic_s: Callable[[], float], wait_s: float) -> None:
        self._name, self._own_ms, self._monotonic_s, self._wait_s = name, own_ms, monotonic_s, wait_s
        self.holds: dict[int, Hold] = {}
        self._passed: dict[int, int] = {}

    def judge(self, partition: int, last: int, records: Sequence[RawRecord]) -> ClockState | None:
        """Judge the first of `records`, which comes after one received at `last`; None if nothing is to be asked.

        Args:
            partition: theirs.
            last: receive time of the record before, ms.
            records: what was fetched, from the record in question on; ticks among them may settle it.
        """
        record = records[0]
        own = self._own_ms()
        if record.timestamp - last <= JUMP_MS or record.timestamp - own <= JUMP_MS:
            return None
        if self._passed.get(partition) == record.offset:
            return None
        if self._agreed(records, record.timestamp):
            self._passed[partition] = record.offset
            return "agreed"
        self.holds[partition] = Hold(record.offset, record.timestamp, own, self._monotonic_s())
        return "held"

    def ask(self, partition: int, records: Sequence[RawRecord]) -> ClockState:
        """Say whether a partition that waits may go on, given what was fetched of it since."""
        hold = self.holds[partition]
        verdict: ClockState = "held"
        if hold.received - self._own_ms() <= JUMP_MS:
            verdict = "reached"
        elif self._agreed([record for record in records if record.offset >= hold.offset], hold.received):
            verdict = "agreed"
        elif self._monotonic_s() - hold.since_s >= self._wait_s:
            verdict = "waited"
        if verdict != "held":
            del self.holds[partition]
            self._passed[partition] = hold.offset
        return verdict

    def forget(self, partition: int) -> None:
        """A partition was given up: its next owner judges for itself."""
        self.holds.pop(partition, None)
        self._passed.pop(partition, None)

    def _agreed(self, records: Sequence[RawRecord], jumped_to: int) -> bool:
        """Say whether somebody else's tick in the new time says what the broker says."""
        for raw in records:
            if raw.timestamp < jumped_to - JUMP_MS or dict(raw.headers).get("kind") != b"tick":
                continue
            record = decode(raw.partition, raw.offset, raw.timestamp, raw.key, raw.headers, raw.value)
            if not isinstance(record, LogRecord) or not isinstance(record.payload, Tick):
                continue
            if record.payload.by != self._name and abs(record.payload.now - raw.timestamp) <= JUMP_MS:
                return True
        return False
