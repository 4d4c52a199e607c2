"""All workers of a run get one broker, started for the first who asks and gone with the run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from streams.broker import BrokerStartError
from tests.shared_broker import Broker, BrokerKeeper, shared


class Made:
    """Stands for an EmbeddedBroker: counts starts and ends."""

    events: ClassVar[list[str]] = []
    bootstrap, pid, cluster_id = "127.0.0.1:9", 7, "c"

    def __init__(self, folder):
        assert folder.parent.stat().st_mode & 0o077 == 0

    def start(self):
        self.events.append("start")
        return self

    def kill(self):
        self.events.append("end")


class Refused(Made):
    def start(self):
        raise BrokerStartError("the port is taken")


@pytest.fixture(autouse=True)
def _none_made():
    Made.events.clear()


def test_many_who_ask_at_once_get_one_broker_that_ends_with_the_run():
    keeper = BrokerKeeper(Made)
    assert Made.events == []  # nobody asked yet
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(shared, [keeper.address] * 32))
    assert found == [Broker("127.0.0.1:9", 7, "c")] * 32
    assert Made.events == ["start"]
    keeper.close()
    assert Made.events == ["start", "end"]
    assert not Path(keeper.address).parent.exists()


def test_a_run_that_asked_for_none_starts_none():
    BrokerKeeper(Made).close()
    assert Made.events == []


class Late(Made):
    """Starts at the second try, in a folder of its own."""

    def __init__(self, folder):
        super().__init__(folder)
        self.folder = folder

    def start(self):
        if self.folder.name.endswith("-0"):
            raise BrokerStartError("no answer within 60 s")
        return super().start()


def test_a_broker_that_got_no_turn_is_started_again():
    keeper = BrokerKeeper(Late)
    assert shared(keeper.address) == Broker("127.0.0.1:9", 7, "c")
    keeper.close()
    assert Made.events == ["start", "end"]


def test_each_who_asks_is_told_why_there_is_none():
    keeper = BrokerKeeper(Refused)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the port is taken"):
            shared(keeper.address)
    keeper.close()


@pytest.mark.kafka
def test_the_broker_of_a_run_with_workers_is_the_shared_one(request, kafka):
    given = getattr(request.config, "workerinput", None)
    if given is None:
        assert not isinstance(kafka, Broker)  # a run without workers has its own
    else:
        assert kafka == shared(given["broker"])
