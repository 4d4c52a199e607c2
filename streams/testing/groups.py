"""A consumer group in memory: members, generations, an assignment that moves on command, committed offsets."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka.errors import UnknownError

if TYPE_CHECKING:
    from streams.testing.broker import Broker
    from streams.testing.process import Process

FENCED = "another member of this instance name has joined (82)"
LOOK_S = 0.1
"""How often a member's life is looked at; a session ends up to so much late."""


@dataclass(eq=False)
class Member:
    """One member."""

    id: str
    instance: str | None
    process: Process | None
    topics: frozenset[str]
    session_s: float
    owned: frozenset[tuple[str, int]] = frozenset()
    generation: int = -1
    joined: bool = False
    """Whether it has joined the round that is under way."""
    left: bool = False
    silent_since: float | None = None


@dataclass
class Group:
    """The group and its coordinator."""

    name: str
    broker: Broker
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    generation: int = 0
    turned: int = 0
    """How far the assignment is turned: each rebalance on command moves every partition to the next member."""
    _preparing: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0
    _looking: asyncio.Task[None] | None = None

    def enter(self, member: Member) -> None:
        """Take a member in; one with a known instance name takes that one's place, and in a stable group nobody moves."""
        self._count += 1
        member.id = f"{member.instance or 'member'}-{self._count}"
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(
                self._look(),
                context=contextvars.Context(),  # nobody's process: it outlives all of them
            )
        before = next((m for m in self.members.values() if m.instance and m.instance == member.instance), None)
        if before is None:
            self.members[member.id] = member
            self._prepare()
            return
        del self.members[before.id]
        self.members[member.id] = member
        if self._preparing or before.topics != member.topics:
            self._prepare()
        else:
            member.owned, member.generation, member.joined = before.owned, before.generation, True
            self._tell()

    async def join(self, member: Member) -> frozenset[tuple[str, int]]:
        """Wait until every member has joined; returns what this one is to own.

        Raises:
            UnknownError: another member took its name; aiokafka has no name for FENCED_INSTANCE_ID.
        """
        if member.id not in self.members:
            twin = [m for m in self.members.values() if m.instance and m.instance == member.instance]
            if twin:
                raise UnknownError(FENCED)
            self.enter(member)
        if self._preparing:
            member.joined, before = True, member.generation
            self._settle()
            # Its own generation tells: the next round may have begun by the time this one is heard of.
            while member.generation == before and member.id in self.members:
                await self._wait()
            if member.id not in self.members:
                return await self.join(member)
        return member.owned

    async def until_moved(self, member: Member, generation: int) -> None:
        """Wait until this member has to join anew, because the group changes or has forgotten it.

        Raises:
            UnknownError: another member took its name; aiokafka has no name for FENCED_INSTANCE_ID.
        """
        while member.id in self.members and not self._preparing and self.generation == generation:
            await self._wait()
        if member.id not in self.members and any(
            m.instance and m.instance == member.instance for m in self.members.values()
        ):
            raise UnknownError(FENCED)

    def leave(self, member: Member) -> None:
        """Let a member go; one with an instance name keeps its seat until its session ends, as in Kafka."""
        if member.instance is None:
            self.expel(member)
        else:
            member.left = True

    def expel(self, member: Member) -> None:
        """End a member's session now."""
        if self.members.pop(member.id, None) is not None:
            self._prepare()
            self._settle()

    def rebalance(self) -> None:
        """Let everybody join anew; every partition goes to the next member."""
        self.turned += 1
        self._prepare()

    def seats(self) -> dict[str, list[int]]:
        """Return who owns which partitions, by instance or member id."""
        return {m.instance or m.id: sorted(p for _, p in m.owned) for m in self.members.values()}

    def _prepare(self) -> None:
        if not self._preparing:
            self._preparing = True
            for member in self.members.values():
                member.joined = False
        self._tell()

    def _settle(self) -> None:
        if not self._preparing or not all(member.joined for member in self.members.values()):
            return
        self._preparing = False
        self.generation += 1
        members = sorted(self.members.values(), key=lambda m: m.id)
        for member in members:
            member.owned, member.generation = frozenset(), self.generation
        topics = sorted({topic for member in members for topic in member.topics})
        places = [(t, place.number) for t in topics for place in self.broker.topics.get(t, [])]
        for i, place in enumerate(places):
            member = members[(i + self.turned) % len(members)]
            member.owned |= {place}
        self._tell()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self.members:
            await asyncio.sleep(LOOK_S)
            for member in list(self.members.values()):
                process = member.process
                silent = member.left or (process is not None and (process.paused or not process.alive))
                if not silent:
                    member.silent_since = None
                elif member.silent_since is None:
                    member.silent_since = loop.time()
                elif loop.time() - member.silent_since > member.session_s:
                    self.expel(member)

    async def _wait(self) -> None:
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
