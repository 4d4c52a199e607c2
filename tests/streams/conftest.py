"""Fixtures of the stream tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests import coldlog
from tests.streams.lab import Lab
from tests.streams.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.broker import EmbeddedBroker
    from streams.settings import KafkaSettings
    from tests.shared_broker import Broker


@pytest.fixture
def lab(kafka: EmbeddedBroker | Broker, tmp_path: Path) -> Iterator[Lab]:
    """Topics of the test's own on the session's broker, and worker processes that end with it."""
    value = Lab(kafka.bootstrap, tmp_path)
    value.create_topics()
    yield value
    value.close()


@pytest.fixture
def site(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A partition with one firm, whose story was an hour and a half ago."""
    monkeypatch.setattr(coldlog, "BEGIN", (time.time_ns() // 1_000_000 // 60_000 - 90) * 60_000)
    return Site(kafka_settings)
