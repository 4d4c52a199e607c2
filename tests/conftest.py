"""Fixtures that every suite shares: one embedded Kafka a session, topics of their own for each test."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from rules.errors import PartMissingError
from streams import admin, jars
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from tests.real_parts import require

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline: a kernel that is compiled or a busy machine is no failure of the code.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the broker, so that `make check` can leave it out."""
    for item in items:
        if {"kafka", "kafka_settings"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One embedded Kafka for the session."""
    try:
        jars.ensure_jars()
    except PartMissingError as error:
        require(None, f"Kafka ({error})")
    with EmbeddedBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka_settings(kafka: EmbeddedBroker) -> KafkaSettings:
    """Settings of a test's own topics on the session's broker."""
    value = KafkaSettings(bootstrap=kafka.bootstrap, partitions=3, topic_prefix=f"t{next(_numbers)}-{os.getpid()}.")
    admin.create(value)
    return value
