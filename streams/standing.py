"""Where this worker stands with its group: the name it runs under, and whether the group still knows it.

The group is asked from outside (DescribeGroups): aiokafka's own view is what has to be judged. Two things depend on it.

A worker to whom the group gives nothing is of use as a standby, and of none once the group has lost it: from inside both
look the same, an empty assignment.

Kafka does not refuse a second member of the same instance name, it replaces the first one in silence. So whoever starts takes
its name first: a socket name of this machine, which ends with the process, shows a twin here at once; a seat held from
elsewhere is waited for, as long as a dead worker would keep it, and then respected.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import socket
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ClassVar

from rules.errors import OffsiteError
from streams.admin import BrokerDownError, admin_client

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from streams.halt import Halt
    from streams.worker_settings import WorkerSettings

LOOK_S = 5.0
CLAIM_LOOK_S = 0.5
SESSION_SLACK_S = 3.0
"""A dead member leaves the group up to a heartbeat and a turn of the broker after its session."""
SIGHTINGS = 2
"""One stranger under its name may be itself: joined a moment ago, and not yet told under which id."""
STRANGERS_S = 60.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ANY_BOOT = secrets.token_bytes(16)
_log = logging.getLogger("offsite.worker")


class InstanceTakenError(OffsiteError):
    """Another process works under this worker's name."""

    code: ClassVar[str] = "instance_taken"
    action: ClassVar[str] = (
        "Give every worker a name of its own, on whatever machine: OFFSITE_WORKER_INSTANCE or --instance; then start it "
        "again. Nothing is lost: only one of the two could publish."
    )


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
    """Return a name for the reach of `Name`: host and boot of the kernel.

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
            stop.wait(CLAIM_LOOK_S)
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
        stop.wait(CLAIM_LOOK_S)
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
                return _thrown_out(settings)
        wait(CLAIM_LOOK_S)
    return None


def _thrown_out(settings: WorkerSettings) -> InstanceTakenError:
    return InstanceTakenError(
        f"another process joined group {settings.group_id} as {settings.instance} and took this worker's place: two workers "
        f"have one name"
    )


class Standing:
    """Asks the group about this worker while it owns nothing; `confirmed` says when the group last knew it as a standby."""

    def __init__(
        self,
        settings: WorkerSettings,
        idle: Callable[[], bool],
        mine: Callable[[], Container[str]],
        halt: Halt,
        *,
        ask: Callable[[WorkerSettings], Group] = describe,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings, self._idle, self._mine, self._halt = settings, idle, mine, halt
        self._ask, self._clock = ask, clock
        self.confirmed: float | None = None
        self.why = "the group was not asked yet"
        self._joined = False
        """Whether it was seen in the group: before, a seat under its name is its predecessor's."""
        self._strangers: deque[float] = deque(maxlen=SIGHTINGS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standing", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self) -> None:
        """Ask once; ends the process if somebody else sits under its name."""
        try:
            group = self._ask(self._settings)
        except BrokerDownError as error:
            self.why = f"the coordinator does not answer: {error}"
            return
        if not self._idle():
            return  # it was given partitions meanwhile
        self.why = self._judge(group)
        if not self.why:
            self.confirmed = self._clock()

    def _judge(self, group: Group) -> str:
        """Return why this worker is no standby; empty if it is one."""
        settings, mine = self._settings, self._mine()
        if not group.stable:
            return "the group is rebalancing"
        seat = group.under(settings.instance)
        if seat is not None and self._joined and seat.member not in mine:
            self._strangers.append(self._clock())
            if len(self._strangers) == SIGHTINGS and self._clock() - self._strangers[0] < STRANGERS_S:
                self._halt("another worker took this one's name", _thrown_out(settings))
        if seat is None or seat.member not in mine:
            return "the group does not know this worker"
        self._joined = True
        if seat.partitions:
            return f"the group gave partitions {sorted(seat.partitions)}, and they did not arrive"
        left = set(range(settings.kafka.partitions)).difference(*(other.partitions for other in group.seats))
        return f"nobody was given partitions {sorted(left)}" if left else ""

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            if self._idle():
                self.look()
