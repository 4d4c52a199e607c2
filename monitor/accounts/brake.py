"""The brake on guessing: each failure of a name or an address makes the next try wait longer. Bounded, in memory.

A restart forgets, the cost of argon2 stays. A try counts before it is checked, so that many at once are no way round.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass

FIRST_WAIT_MS = 15_000
LONGEST_WAIT_MS = 15 * 60_000
FORGET_MS = 60 * 60_000
"""After so long without a failure a key starts afresh: typing errors of a year do not add up."""
MAX_REMEMBERED = 10_000
_MAX_SHIFT = 10


@dataclass(frozen=True, slots=True)
class Key:
    """What is counted, and how many failures are free."""

    text: str
    free: int


def name_key(name: str) -> Key:
    """Return the key of an account, as it is looked up: no spelling of the name has a count of its own."""
    return Key(f"name:{name}", 5)


def address_key(host: str) -> Key:
    """Return the key of a client; one office may share an address, one client owns an IPv6 /64."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Key(f"address:{host[:64]}", 30)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return Key(f"address:{address.ipv4_mapped}", 30)
        return Key(f"address:{ipaddress.ip_network((int(address), 64), strict=False)}", 30)
    return Key(f"address:{address}", 30)


class Brake:
    """Counts failures by key. Thread-safe."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, keys: tuple[Key, ...], now_ms: int) -> int:
        """Return how many ms these keys must still wait, or 0: then the try counts as a failure until `passed`."""
        with self._lock:
            wait = max(self._until(key, now_ms) - now_ms for key in keys)
            if wait > 0:
                return wait
            for key in keys:
                count, last = self._failures.pop(key.text, (0, now_ms))
                if now_ms - last >= FORGET_MS:
                    count = 0
                self._failures[key.text] = (count + 1, now_ms)
            while len(self._failures) > MAX_REMEMBERED:
                self._failures.popitem(last=False)
            return 0

    def passed(self, own: Key, shared: Key | None = None) -> None:
        """Forget the failures of who passed; from the shared key only this try is taken back."""
        with self._lock:
            self._failures.pop(own.text, None)
            if shared is not None and shared.text in self._failures:
                count, last = self._failures[shared.text]
                self._failures[shared.text] = (max(0, count - 1), last)

    def remembered(self) -> int:
        """Return how many keys are counted."""
        return len(self._failures)

    def _until(self, key: Key, now_ms: int) -> int:
        count, last = self._failures.get(key.text, (0, 0))
        if count < key.free or now_ms - last >= FORGET_MS:
            return 0
        return last + min(FIRST_WAIT_MS << min(count - key.free, _MAX_SHIFT), LONGEST_WAIT_MS)
