"""A broker in memory with Faust's own transport code over it: kills, rebalances, zombies and outages in milliseconds.

Lives here: `simulate` (virtual time), `Broker` (topics, transactions with fencing, groups, faults on command), the two
aiokafka clients over it, and `MemoryWorker`, the product's worker as a process that can be killed and paused. Shipped, so
that others' tests can use it. tests/streams/test_memory_contract.py holds the broker against Apache Kafka.

May not: be imported by the product (import-linter), wait in real time, or decide anything the worker decides.
"""

from streams.testing.broker import Broker, Commit
from streams.testing.clock import StandstillError, simulate
from streams.testing.consumer import MemoryConsumer
from streams.testing.process import KILLED, Process
from streams.testing.producer import MemoryProducer
from streams.testing.transport import MEMORY, STOCK_SCHEME
from streams.testing.worker import MemoryWorker

__all__ = [
    "KILLED", "MEMORY", "STOCK_SCHEME", "Broker", "Commit", "MemoryConsumer", "MemoryProducer", "MemoryWorker", "Process",
    "StandstillError", "simulate",
]  # fmt: skip
