"""What of this folder runs in `make test`: every scenario on SQLite, the one of equality and the kills on PostgreSQL too.

The other scenarios on PostgreSQL and the outages of whole servers run in `make test-full`: they cost minutes of waiting.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
ON_BOTH = ("test_the_archive_holds_what_the_topics_hold", "test_kills_at_random_points")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE not in item.path.parents:
            continue
        names = set(getattr(item, "fixturenames", ()))
        on_postgres = "postgresql" in getattr(getattr(item, "callspec", None), "params", {}).values()
        if item.path.name == "test_archive_outages.py" or (
            on_postgres and "kafka_settings" in names and not item.name.startswith(ON_BOTH)
        ):
            item.add_marker(pytest.mark.slow)
        if item.path.name == "test_archive_outages.py":
            item.add_marker(pytest.mark.kafka)  # brokers of its own, which the session's fixture does not show
