"""Random numbers by counter: the n-th draw of a key is a function of both, so any split of time draws the same.

SplitMix64 (Steele, Lea, Flood 2014) over the key and the counter; no generator, no state.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_MANY = 400.0
"""Poisson means above it are drawn from the normal distribution: closer than one resolution step there."""


def key_of(*names: object) -> int:
    """Return the 64-bit key of some names; the order counts.

    >>> key_of(7, "CR1.T1") == key_of(7, "CR1.T1"), key_of(7, "CR1.T1") == key_of(8, "CR1.T1")
    (True, False)
    """
    text = "\x1f".join(map(str, names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def uniform(key: int, n: Ints) -> Floats:
    """Return the draws number `n` of a key, evenly spread over (0, 1)."""
    z = n.astype(np.uint64) * _GOLDEN + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(key: int, n: Ints) -> Floats:
    """Return the draws number `n` of a key, normal with mean 0 and deviation 1 (Box-Muller)."""
    radius = np.sqrt(-2.0 * np.log(uniform(key, n)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(key ^ 0x5851F42D4C957F2D, n)))


def poisson(key: int, n: Ints, mean: Floats) -> Floats:
    """Return the draws number `n` of a key, Poisson with a mean per draw (whole numbers, by inversion)."""
    drawn = uniform(key, n)
    count = np.zeros(n.shape)
    small = mean <= _MANY
    chance = np.exp(-np.where(small, mean, 0.0))
    reached = chance.copy()
    k = 0
    while np.any(below := small & (drawn > reached) & (chance > 0.0)):
        k += 1
        chance = chance * mean / k
        reached = reached + chance
        count[below] = k
        if k > 2 * _MANY:
            break
    large = np.maximum(np.rint(mean + np.sqrt(np.maximum(mean, 0.0)) * normal(key, n)), 0.0)
    return np.where(small, count, large)
