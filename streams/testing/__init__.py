"""A broker in memory with Faust's own transport code over it: kills, rebalances, zombies and outages in milliseconds.

For tests, ours and others'; the product imports nothing of it (import-linter checks that). `simulate` runs a coroutine in
virtual time, `Broker` is the broker, `MemoryWorker` the product's worker over it. What a real broker does is held against
this one by tests/streams/test_memory_contract.py.
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
