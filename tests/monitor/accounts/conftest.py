"""Cheap hashes where the cost is not the point: the tests of sessions and accounts. test_passwords looks at the real ones."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from monitor.accounts import passwords


@pytest.fixture
def cheap_hashes(monkeypatch):
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_NOBODY", hasher.hash("nobody"))
