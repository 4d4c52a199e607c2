"""The name that a worker runs under (its instance, Kafka's static membership): one living process has it.

Kafka does not refuse a second member of the same instance name, it replaces the first one in silence. So whoever starts takes
its name first: a socket name of this machine, which ends with the process, shows a twin here at once; a seat held from
elsewhere is waited for, as long as a dead worker would keep it, and then respected.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar

from rules.errors import OffsiteError
from streams.admin import BrokerDownError
from streams.group import client_id, describe

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Container

    from streams.group import Group, Seat
    from streams.worker_settings import WorkerSettings

LOOK_S = 0.5
SESSION_SLACK_S = 3.0
"""A dead member leaves the group up to a heartbeat and a turn of the broker after its session."""
SIGHTINGS = 2
"""One stranger under its name may be itself: joined a moment ago, and not yet told under which id."""
_log = logging.getLogger("offsite.worker")


class InstanceTakenError(OffsiteError):
    """Another process works under this worker's name."""

    code: ClassVar[str] = "instance_taken"
    action: ClassVar[str] = (
        "Give every worker a name of its own, on whatever machine: OFFSITE_WORKER_INSTANCE or --instance; then start it "
        "again. Nothing is lost: only one of the two could publish."
    )


class Name:
    """The name of a worker, held on this machine until the process ends, however it ends."""

    def __init__(self, cluster: str, group: str, instance: str) -> None:
        """Take it.

        Raises:
            InstanceTakenError: a process of this machine has it.
        """
        self._socket: socket.socket | None = None
        if sys.platform != "linux":  # no names that end with their process; seats from elsewhere are waited for
            return
        digest = hashlib.sha256(f"{cluster}\0{group}\0{instance}".encode()).hexdigest()[:40]
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0offsite-worker-{digest}")
        except OSError as error:
            held.close()
            raise InstanceTakenError(f"a worker named {instance} of group {group} runs on this machine") from error
        self._socket = held

    def give_up(self) -> None:
        """Free it."""
        if self._socket is not None:
            self._socket.close()


def claim(
    settings: WorkerSettings,
    stop: threading.Event,
    ask: Callable[[WorkerSettings], Group] = describe,
    clock: Callable[[], float] = monotonic,
) -> Name | None:
    """Take this worker's name before it joins the group; None if `stop` was set meanwhile.

    A seat of a predecessor on this machine is taken over at once, and its partitions with it. One from elsewhere may be a
    living twin, whom joining would throw out: it has to be gone first. A coordinator that does not answer is asked again:
    on a new cluster its own topic must be made first, and an outage ends.

    Raises:
        InstanceTakenError: somebody else has it, and lives.
    """
    name: Name | None = None
    mine = client_id(settings)
    # Since when it is held from elsewhere. Dead members stay through an outage: that begins the time anew.
    seen: float | None = None
    while not stop.is_set():
        try:
            group = ask(settings)
        except BrokerDownError as error:
            seen = None
            _log.warning("waiting to take the name %s: %s", settings.instance, error)
            stop.wait(LOOK_S)
            continue
        name = name or Name(group.cluster, settings.group_id, settings.instance)
        seat = group.under(settings.instance)
        if seat is None or seat.client == mine:
            return name
        if seen is None:
            seen = clock()
            _log.info("the name %s is held by %s at %s; waiting", settings.instance, seat.client, seat.host)
        if clock() - seen > settings.session_timeout_s + settings.heartbeat_every_s + SESSION_SLACK_S:
            name.give_up()
            raise _taken(settings, seat)
        stop.wait(LOOK_S)
    if name is not None:
        name.give_up()
    return None


def _taken(settings: WorkerSettings, seat: Seat) -> InstanceTakenError:
    return InstanceTakenError(
        f"the name {settings.instance} of group {settings.group_id} belongs to {seat.client} at {seat.host}, which lives"
    )


def twin(
    settings: WorkerSettings,
    mine: Callable[[], Container[str]],
    ask: Callable[[WorkerSettings], Group] = describe,
    clock: Callable[[], float] = monotonic,
    wait: Callable[[float], None] = sleep,
) -> InstanceTakenError | None:
    """Return why this worker was thrown out, if another process took its name; a broker that is away tells nothing.

    aiokafka may have taken the seat back meanwhile. This process joins no more, so a twin that lives has it within a heartbeat.

    Args:
        settings: of this worker.
        mine: the member ids that this worker had; whoever sits under its name with another one is somebody else. (Kafka keeps
            client id and host of a seat when its member is replaced, so those do not tell.)
        ask: asks the group.
        clock: in seconds.
        wait: passes time.
    """
    until = clock() + settings.heartbeat_every_s + SESSION_SLACK_S
    seen = 0
    while clock() <= until:
        try:
            group = ask(settings)
        except BrokerDownError:
            return None
        seat = group.under(settings.instance)
        if seat is None:
            return None
        if group.stable and seat.member not in mine():
            seen += 1
            if seen >= SIGHTINGS:
                return thrown_out(settings)
        wait(LOOK_S)
    return None


def thrown_out(settings: WorkerSettings) -> InstanceTakenError:
    """Return what to say of a twin that took the seat."""
    return InstanceTakenError(
        f"another process joined group {settings.group_id} as {settings.instance} and took this worker's place: two workers "
        f"have one name"
    )
