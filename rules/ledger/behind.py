"""Of which places of a product something was counted behind an instant: looked up, where there may be thousands (kind `stock_balance`).

All of it follows from what is kept, and is in no snapshot.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from rules.layout import NEVER, NONE
from rules.ledger import stock
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.rare.store import Case

FEW = 16
"""Of so many times as many places as have other facts the times are sorted anew at once; of fewer each is put in its place."""


class Behind:
    """The places of each product by the event time of their newest count, and up to which instant somebody looked."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._product: dict[str, str] = {}
        """Place and product, as text -> product."""
        self._newest: dict[str, int] = {}
        self._times: dict[str, list[tuple[int, str]]] = {}
        """Product -> newest counts (event time, ms) with their places, sorted."""
        self._stale: dict[str, dict[str, None]] = {}
        """Product -> places whose facts are others since their counts were looked up."""
        self._looked: dict[str, tuple[int, int]] = {}
        """Product -> of which instant (log time, ms) `since` was asked, and behind which event time all were told."""

    def add(self, subject: str) -> None:
        """Take notice of a subject that is kept from now on; only of a place and a product anything is kept here."""
        named = subject_of(subject)
        if named.keys() == {"place", "product"}:
            self._product[subject] = named["product"]
            self.touch(subject)

    def touch(self, subject: str) -> None:
        """Take notice that the facts of a subject are others."""
        product = self._product.get(subject)
        if product is not None:
            self._stale.setdefault(product, {})[subject] = None

    def drop(self, subject: str) -> None:
        """Forget a subject."""
        product = self._product.pop(subject, None)
        if product is None:
            return
        self._take_out(product, subject)
        self._stale.get(product, {}).pop(subject, None)
        for kept in (self._times, self._stale):
            if not kept.get(product, True):
                del kept[product]
        if product not in self._times:
            self._looked.pop(product, None)

    def forget(self) -> None:
        """Let the next look tell all places: one of them was judged, and waits no more."""
        self._looked.clear()

    def since(self, product: str, t: int, received: int, cases: Mapping[str, Case]) -> list[str]:
        """Return the places that were counted behind an event time, but for those that were told of the same instant.

        Args:
            product: of the places.
            t: the event time, ms.
            received: the instant, log time, ms.
            cases: by subject; each that is noted here is one of them.
        """
        self._refresh(product, cases)
        looked, before = self._looked.get(product, (received, NEVER))
        least = before if looked == received else NEVER
        times = self._times.get(product)
        if times is None or t >= least:
            return []
        self._looked[product] = (received, t)
        first = bisect_right(times, t, key=_time_of)
        return [subject for _, subject in times[first : bisect_right(times, least, key=_time_of)]]

    def _refresh(self, product: str, cases: Mapping[str, Case]) -> None:
        stale = self._stale.pop(product, None)
        if not stale:
            return
        times = self._times.setdefault(product, [])
        is_few = len(stale) * FEW < len(times)
        for subject in stale:
            newest = stock.newest_count(cases[subject].facts)
            if self._newest.get(subject, NONE) == newest:
                continue
            if is_few:
                self._take_out(product, subject)
                if newest != NONE:
                    insort(times, (newest, subject))
            self._newest[subject] = newest
        if not is_few:
            self._times[product] = sorted(
                [one for one in times if one[1] not in stale]
                + [(self._newest[one], one) for one in stale if self._newest.get(one, NONE) != NONE]
            )
        if not self._times[product]:
            del self._times[product]

    def _take_out(self, product: str, subject: str) -> None:
        newest = self._newest.pop(subject, NONE)
        if newest != NONE:
            times = self._times[product]
            del times[bisect_left(times, (newest, subject))]


def _time_of(one: tuple[int, str]) -> int:
    return one[0]
