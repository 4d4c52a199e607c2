"""The last refusals per facility and key, so that `GET /v1/feed` can tell them: bounded, in memory, of this process only."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.gateway.answers import ProblemFault, Refusals, RefusalSeen
from rules.faults import FaultCode

if TYPE_CHECKING:
    from monitor.gateway.problems import RefusedError

LAST = 10
FAULTS = 5
REMEMBERED = 10_000
DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class _Kept:
    counts: Counter[str] = field(default_factory=Counter)
    last: deque[RefusalSeen] = field(default_factory=lambda: deque(maxlen=LAST))


class RefusalBook:
    """Refusals under a facility, or under a key's hash where no facility was named rightly; the longest unused go first."""

    def __init__(self, gateway: str, since: int) -> None:
        self._gateway, self._since = gateway, since
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def note(self, owner: str, key_name: str, endpoint: str, refused: RefusedError, now: int) -> None:
        """Keep one refusal; `owner` is a facility id or a key's hash, `now` in ms."""
        kept = self._kept.setdefault(owner, _Kept())
        self._kept.move_to_end(owner)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)
        kept.counts[refused.code] += 1
        kept.last.appendleft(
            RefusalSeen(
                at=now,
                key=key_name,
                endpoint=endpoint,
                status=refused.status.value,
                code=refused.code,
                detail=refused.detail[:DETAIL_CHARACTERS],
                errors=[
                    ProblemFault(pointer=f.pointer, code=FaultCode(f.code), detail=f.detail[:DETAIL_CHARACTERS])
                    for f in refused.faults[:FAULTS]
                ],
            )
        )

    def told(self, *owners: str) -> Refusals:
        """Return the refusals of these owners together, newest first."""
        kept = [self._kept[owner] for owner in owners if owner in self._kept]
        counts: Counter[str] = sum((one.counts for one in kept), Counter())
        last = sorted((refusal for one in kept for refusal in one.last), key=lambda r: -r.at)
        return Refusals(gateway=self._gateway, since=self._since, counts=dict(sorted(counts.items())), last=last[:LAST])
