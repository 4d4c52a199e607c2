"""The consumer group from outside, as its coordinator tells it: aiokafka's own view is what has to be judged."""

from __future__ import annotations

import hashlib
import logging
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.admin import admin_client

if TYPE_CHECKING:
    from streams.worker_settings import WorkerSettings

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ANY_BOOT = secrets.token_bytes(16)
# kafka-python writes the whole group, twice, whenever it cannot read what a member says of itself: Faust's words.
logging.getLogger("kafka.admin._groups").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Seat:
    """One member of the group, as the coordinator sees it."""

    member: str
    instance: str | None
    client: str
    host: str
    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Group:
    """The group as the coordinator sees it."""

    cluster: str
    stable: bool
    seats: tuple[Seat, ...]

    def under(self, instance: str) -> Seat | None:
        """Return the seat under an instance name; a group has one at most."""
        return next((seat for seat in self.seats if seat.instance == instance), None)


def here() -> str:
    """Return a name for the reach of a name (streams.names): host and boot of the kernel.

    A container that is started again keeps both, and so gets its seat back at once. Two containers of one machine that were
    given one host name *and* one worker name are not told apart: they throw each other out, with 70, until a person looks.
    """
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
    try:
        boot = BOOT_ID.read_bytes()
    except OSError:  # not Linux: a predecessor of this machine is waited for like one from elsewhere
        boot = _ANY_BOOT
    return f"{host}-{hashlib.sha256(boot).hexdigest()[:8]}"


def client_id(settings: WorkerSettings, place: str | None = None) -> str:
    """Return what the worker calls itself towards the brokers; it says where the worker runs."""
    return f"{settings.group_id}-{settings.instance}-at-{place or here()}"


def describe(settings: WorkerSettings) -> Group:
    """Ask the coordinator for the group.

    Raises:
        BrokerDownError: it does not answer, or not yet.
    """
    with admin_client(settings.kafka) as client:
        cluster = str(client.describe_cluster().get("cluster_id"))
        told = client.describe_groups([settings.group_id])[settings.group_id]
    seats = tuple(_seat(member, settings.log_topic) for member in told["members"])
    return Group(cluster, told["group_state"] == "Stable", seats)


def _seat(member: dict[str, Any], topic: str) -> Seat:
    assignment = member["member_assignment"]  # bytes while the group has none
    rows = assignment.get("assigned_partitions", ()) if isinstance(assignment, dict) else ()
    owned = frozenset(p for row in rows if row["topic"] == topic for p in row["partitions"])
    return Seat(member["member_id"], member["group_instance_id"], member["client_id"], member["client_host"], owned)
