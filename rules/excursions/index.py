"""Which cases of a book stand under which names: looked up, where there may be thousands of them. Nothing of it is in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Index:
    """Keys under names; of several names they come in the order in which they were put last."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._under: dict[str, dict[str, int]] = {}
        """Name -> key -> its turn."""
        self._names: dict[str, tuple[str, ...]] = {}
        self._turn = 0

    def put(self, key: str, names: Iterable[str]) -> None:
        """Put a key under these names, and under no others, behind all other keys.

        >>> index = Index()
        >>> index.put("a", ["x"]), index.put("b", ["x", "y"]), index.put("a", ["x"])
        (None, None, None)
        >>> index.of(["x", "y"]), index.of(["y"]), index.of(["z"])
        (['b', 'a'], ['b'], [])
        """
        self.strike(key)
        self._turn += 1
        self._names[key] = tuple(dict.fromkeys(names))
        for name in self._names[key]:
            self._under.setdefault(name, {})[key] = self._turn

    def strike(self, key: str) -> None:
        """Strike a key out; nothing happens where it is under no name."""
        for name in self._names.pop(key, ()):
            del self._under[name][key]
            if not self._under[name]:
                del self._under[name]

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the keys under some names."""
        found = {key: turn for name in names for key, turn in self._under.get(name, {}).items()}
        return sorted(found, key=found.__getitem__)
