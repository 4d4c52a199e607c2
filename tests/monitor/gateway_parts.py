"""A gateway without a broker: a door that keeps what is appended, a key, a client."""

from __future__ import annotations

import json
import tempfile

import httpx

from monitor.gateway.app import create_gateway
from monitor.gateway.door import Receipt
from monitor.settings import GatewayEnvironment, ProofsEnvironment
from streams.access import new_key
from streams.codec import decode
from streams.settings import KafkaSettings

KEY, HASH = new_key()
FACILITY = "BJ-MFR-0007"
ENDPOINTS = ["readings", "reports", "marks", "events", "feed", "register", "proofs"]
GOOD = {"batch": "b-1", "series": [{"tag": "CR1.T1", "time": [1767225600000, 1767225660000], "value": [4.8, 4.9]}]}


class Shelf:
    """A door that keeps what is appended in memory."""

    def __init__(self):
        self.open = True
        self.closed_because = None
        self.failing = False
        self.kept = []
        self.refusal = None

        self.refused = 0

    def turned_away(self):
        self.refused += 1

    async def append(self, facility, record):
        if self.refusal:
            raise self.refusal
        self.kept.append((facility, decode(0, 0, 1, facility.encode(), *record).payload))
        return Receipt(3, len(self.kept) - 1, 1767225661123)


def put(table, key_hash=HASH, **members):
    """Admit a key."""
    entry = {"name": "feed", "facilities": [FACILITY], "endpoints": ENDPOINTS} | members
    table.apply(key_hash.encode(), json.dumps(entry).encode())


def open_gateway(kafka=None, proofs=None, **settings):
    """Return an application whose door is a shelf and whose keys are known; proofs go into a folder of its own."""
    kept = ProofsEnvironment(**({"folder": tempfile.mkdtemp(prefix="proofs-"), "keep_free_bytes": 0} | (proofs or {})))
    app = create_gateway(GatewayEnvironment(**settings), kafka or KafkaSettings(partitions=2), proofs=kept)
    parts = app.state.gateway
    parts.door = Shelf()
    parts.access.ready.set()
    put(parts.access)
    parts.access.apply(
        b"f:" + FACILITY.encode(), json.dumps({"facility": FACILITY, "tags": {"CR1.T1": "Cel"}}).encode()
    )
    return app


def client_of(app, key=KEY):
    """Return a client that presents a key."""
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://gw", headers={"Authorization": f"Bearer {key}"})
