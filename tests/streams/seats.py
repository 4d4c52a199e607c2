"""A worker's group as the tests tell it: seats, and a coordinator that says what it is told to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

from streams.admin import BrokerDownError
from streams.group import Group, Seat, client_id
from streams.settings import KafkaSettings
from streams.worker_settings import WorkerSettings

SETTINGS = WorkerSettings(instance="w1", kafka=KafkaSettings(partitions=4), session_timeout_s=10, heartbeat_every_s=3)
MINE = Seat("w1-a", "w1", client_id(SETTINGS), "/10.0.0.1", frozenset())
ELSEWHERE = replace(MINE, member="w1-b", client="offsite-fold-w1-at-other", host="/10.0.0.2")
OTHERS = Seat("w2-a", "w2", "offsite-fold-w2-at-other", "/10.0.0.2", frozenset(range(4)))
STRANGER = replace(MINE, member="w1-b")
"""Kafka keeps client and host of a seat whose member is replaced: only the id is another."""


def group(*seats: Seat, stable: bool = True) -> Group:
    return Group(uuid4().hex, stable, seats)


@dataclass
class World:
    """What the coordinator says, answer by answer; time passes with each."""

    answers: list[Group | BrokerDownError]
    now: float = 100.0
    step_s: float = 0.5
    asked: int = 0

    def ask(self, _settings: WorkerSettings) -> Group:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        self.now += self.step_s
        if isinstance(answer, BrokerDownError):
            raise answer
        return answer
