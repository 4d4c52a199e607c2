"""Which kind of clients a worker opens: aiokafka's, and Faust's transport over them. The one seam that tests use.

A worker in memory (streams.testing) is this worker with other kinds; nothing of the product imports those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.faust_seams import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ClientKinds:
    """What makes a worker's clients."""

    producer: Callable[..., Any] = AIOKafkaProducer
    """Takes the arguments of AIOKafkaProducer and behaves as one."""
    consumer: Callable[..., Any] = AIOKafkaConsumer
    """Takes the arguments of AIOKafkaConsumer and behaves as one."""
    scheme: str = SCHEME
    """Of the URLs that lead Faust to its transport."""


AIOKAFKA = ClientKinds()
"""What a worker is run with."""
