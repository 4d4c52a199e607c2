"""Who may post what: the compacted topic `offsite.access.v1`, and the table that a gateway keeps of it in memory.

Two kinds of entry: under the SHA-256 of a feed key, what the key may do; under `f:<facility>`, the tags that are registered.
A gateway needs no database, and a revocation holds as soon as its entry is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from typing import TYPE_CHECKING, Annotated, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import Field, ValidationError

from rules.instants import Instant
from rules.models import FacilityId, Strict, Tag, Text
from streams.topics import ACCESS

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
FACILITY_PREFIX = "f:"
Endpoint = Literal["readings", "reports", "marks", "events", "feed", "register", "proofs"]
RETRY_S = 1.0
MAX_FACTS = 400_000


class KeyEntry(Strict):
    """What one feed key may do; the key itself is nowhere but with the firm."""

    name: Annotated[Text, Field(min_length=1, max_length=100)]
    facilities: Annotated[list[FacilityId], Field(min_length=1, max_length=10_000)]
    endpoints: list[Endpoint]
    tags: list[Tag] | None = None
    """Only these tags, or any."""
    expires: Instant | None = None


class FacilityEntry(Strict):
    """The tags that a facility has registered."""

    facility: FacilityId
    tags: dict[Tag, str]
    """Tag -> unit."""
    version: Annotated[int, Field(ge=0)] | None = None
    """Version of the register that this is of."""
    facts: Annotated[str, Field(max_length=MAX_FACTS)] | None = None
    """The facility as registered (contracts.md §2) as JSON text, so that a gateway can show a firm its facts however old
    they are; left out where it would be too large for a record of this topic, the log has it then."""


def new_key() -> tuple[str, str]:
    """Return a new feed key (256 random bits, shown once) and its SHA-256."""
    key = secrets.token_urlsafe(32)
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """Return the SHA-256 of a feed key in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


class AccessTable:
    """The access topic in memory, kept up by a consumer of its own; `ready` once it has been read to its end."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyEntry] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.facts: dict[str, tuple[int, bytes]] = {}
        """Version and JSON of each facility's registered facts."""
        self.foreign = 0
        """Entries that could not be read; they grant nothing."""
        self.ready = asyncio.Event()

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one entry; no value is a tombstone (a revocation), a broken one revokes what stood there."""
        name = (key or b"").decode("utf-8", "replace")
        self.keys.pop(name, None)
        facility = name.removeprefix(FACILITY_PREFIX)
        if name.startswith(FACILITY_PREFIX):
            self.tags.pop(facility, None)
            self.facts.pop(facility, None)
        if not value:
            return
        try:
            if name.startswith(FACILITY_PREFIX):
                entry = FacilityEntry.model_validate_json(value)
                self.tags[facility] = entry.tags
                if entry.facts is not None and entry.version is not None:
                    self.facts[facility] = entry.version, entry.facts.encode()
            else:
                self.keys[name] = KeyEntry.model_validate_json(value)
        except ValidationError:
            self.foreign += 1

    def find(self, presented: str) -> KeyEntry | None:
        """Return the entry of a presented key; a look-up by hash tells nothing about other keys."""
        return self.keys.get(hash_key(presented))

    async def follow(self, settings: KafkaSettings) -> None:
        """Read the topic from its beginning and on, for ever; a broker that is away is asked again each second."""
        while True:
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="earliest",
                **settings.for_aiokafka(),
            )  # fmt: skip
            try:
                await consumer.start()
                await self._read(consumer, TopicPartition(settings.topic(ACCESS), 0))
            except (KafkaError, OSError) as error:
                log.warning("access topic: %s; asking again", type(error).__name__)
                await asyncio.sleep(RETRY_S)
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        consumer.assign([partition])
        begin = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, begin)
        while True:
            if await consumer.position(partition) >= end:
                self.ready.set()
            batches = await consumer.getmany(timeout_ms=500)
            for record in batches.get(partition, []):
                self.apply(record.key, record.value)
