"""Poison: what nobody of ours would append, straight into the log; each piece is kept by its place, for the judgement."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from rules.pack import default_bundle
from rules.records import SEMANTICS
from streams.topics import LOG

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

HUGE = 7 * 1024 * 1024
ATTEMPTS = 200


def piece(
    name: str, facility: str, other: str, chance: random.Random
) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Return key, value and headers of a piece of poison."""
    key, noise = facility.encode(), chance.randbytes(40)
    register = {"version": 999, "facility": {"id": other}}
    return {
        "bytes": (key, b"\xff\xfe" + noise, []),
        "columns": (key, b"\x87" + noise, _kind("readings")),
        "foreign-register": (key, json.dumps(register).encode(), _kind("register")),
        "deep": (key, b'{"a":' * 3_000 + noise.hex().encode(), _kind("report")),
        "unknown-kind": (key, b"{}" + noise, _kind("nonsense")),
        "null": (key, None, _kind("readings")),
        "no-key": (b"", b"{}" + noise, _kind("mark")),
        "huge-garbage": (key, noise * (HUGE // len(noise)), _kind("readings")),
        "packs": (b"", _packs("0" * 64, noise), _kind("packs")),
        "packs-known-hash": (b"", _packs(default_bundle().sha256, noise), _kind("packs")),
        "state": (key, _state(noise), _kind("state")),
    }[name]


def _kind(name: str) -> list[tuple[str, bytes]]:
    return [("kind", name.encode()), ("v", b"1")]


def _packs(sha256: str, noise: bytes) -> bytes:
    return json.dumps({"sha256": sha256, "semantics": SEMANTICS, "bundle": "AAAA" + noise.hex()}).encode()


def _state(noise: bytes) -> bytes:
    return json.dumps(
        {"format": 1, "semantics": SEMANTICS, "packs": default_bundle().sha256, "clock": "2026-03-01T00:00:00Z", "seq": 3,
         "snapshot": noise.hex(), "checksum": "0" * 64}
    ).encode()  # fmt: skip


async def send(kafka: KafkaSettings, names: list[str], partition: int, number: int) -> dict[tuple[bytes, str], str]:
    """Append poison until the broker takes it; returns what was sent, by key and hash of the value.

    A piece whose acknowledgement was lost is sent again and may stand twice: so it is known by its bytes, not by its place.
    """
    chance = random.Random(f"poison/{number}/{names}")  # noqa: S311 - repeatable, not secret
    sent: dict[tuple[bytes, str], str] = {}
    for name in names:
        key, value, headers = piece(name, "CH-0001", "CH-0002", chance)
        await _append(kafka, partition, key, value, headers)
        sent[print_of(key, value)] = name
    return sent


def print_of(key: bytes | None, value: bytes | None) -> tuple[bytes, str]:
    """Return by what a piece is known again."""
    return key or b"", "" if value is None else hashlib.sha256(value).hexdigest()


async def _append(kafka: KafkaSettings, partition: int, key: bytes, value: bytes | None, headers: Any) -> None:
    for attempt in range(ATTEMPTS):
        producer = AIOKafkaProducer(
            acks="all", max_request_size=9_000_000, request_timeout_ms=10_000, **kafka.for_aiokafka()
        )
        try:
            await producer.start()
            await producer.send_and_wait(kafka.topic(LOG), value, key, partition=partition, headers=headers)
        except (KafkaError, OSError):
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.5)
        else:
            return
        finally:
            await producer.stop()
