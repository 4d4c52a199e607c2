"""Fixtures of the stream tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.streams.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.broker import EmbeddedBroker
    from tests.shared_broker import Broker


@pytest.fixture
def lab(kafka: EmbeddedBroker | Broker, tmp_path: Path) -> Iterator[Lab]:
    """Topics of the test's own on the session's broker, and worker processes that end with it."""
    value = Lab(kafka.bootstrap, tmp_path)
    value.create_topics()
    yield value
    value.close()
