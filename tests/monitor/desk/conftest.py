"""A day that is made once a session, and cheap password hashes: what argon2 costs is not what these tests are about
(test_accounts looks at the real ones).
"""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from monitor.accounts import passwords
from tests.monitor.desk.seeded import Seeded


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch):
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_NOBODY", hasher.hash("nobody"))


@pytest.fixture(scope="session")
def seeded(sqlite_template, tmp_path_factory):
    """Make the province's day, once."""
    return Seeded(tmp_path_factory.mktemp("seeded"), sqlite_template)
