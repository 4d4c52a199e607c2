"""Do the acts of the plan to the stage, one after another, and say what was done."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from streams import admin
from tests.chaos import poison

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.chaos.feeding import Feeder
    from tests.chaos.firms import Firm
    from tests.chaos.plan import Act
    from tests.chaos.stage import Stage

WITHIN_S = 240.0
GROUP = "offsite-fold"


class Attacker:
    """Knows the stage, the firms and what was done so far."""

    def __init__(self, stage: Stage, firms: list[Firm], feeder: Feeder, seed: int) -> None:
        self.stage, self.firms, self.feeder = stage, firms, feeder
        self.kills: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.poisons: dict[tuple[bytes, str], str] = {}
        self.versions: Counter[str] = Counter({firm.id: 1 for firm in firms})
        self.left_out: list[str] = []
        self.takeovers_s: list[float] = []
        self._seed = seed
        self._grown = 0

    async def do(self, act: Act) -> None:
        """Wait the act's pause, then do it."""
        await asyncio.sleep(act.pause_s)
        doing: Callable[[Act], Awaitable[str]] = getattr(self, f"_{act.kind}")
        began = time.monotonic()
        said = await doing(act)
        took = time.monotonic() - began
        self.done[act.kind] += 1
        self.stage.tell(f"{act.kind} {said}" + (f" ({took:.1f} s)" if took > 1 else ""))

    async def _kill(self, act: Act) -> str:
        if act.what == "broker":
            if not self.stage.broker_up:
                await self._until("the broker runs", lambda: self.stage.broker_up)
            pid = await self.stage.kill_broker()
            self.kills["broker"] += 1
            return f"broker (pid {pid})"
        name = self._pick(act.size) if act.what == "worker" else act.what
        await self._until(f"{name} runs", lambda: self.stage.kept[name].alive)
        pid = self.stage.kept[name].signal(signal.SIGKILL)
        self.kills[act.what] += 1
        return f"{name} (pid {pid})"

    async def _pause(self, act: Act) -> str:
        """Freeze a worker until another has its partitions, then let it go on: nothing of it may ever be seen."""
        await self.stage.ready()
        name = self._pick(act.size % 1)
        kept = self.stage.kept[name]
        owned = set((await self.stage.told(name)).get("partitions", []))
        pid, starts = kept.signal(signal.SIGSTOP), kept.starts
        began = time.monotonic()
        try:
            taken = await self._taken_over(name, owned)
            self.takeovers_s.append(time.monotonic() - began)
            await asyncio.sleep(act.size)
        finally:
            kept.signal(signal.SIGCONT)
        how = "taken over" if taken else "NOT taken over"
        if not taken:
            self.stage.unexpected.append(f"{name} was paused for {WITHIN_S:.0f} s and nobody took over {sorted(owned)}")
        await self._within(30, lambda: kept.starts > starts)
        after = "ended by itself" if kept.starts > starts else "joined again"
        return f"{name} (pid {pid}), {sorted(owned)} {how} after {self.takeovers_s[-1]:.1f} s; then it {after}"

    async def _taken_over(self, name: str, owned: set[int]) -> bool:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            others = [other for other in self._workers() if other != name]
            told = [await self.stage.told(other) for other in others]
            if owned <= {p for one in told if one.get("restored") for p in one.get("partitions", [])}:
                return True
            await asyncio.sleep(0.1)
        return False

    async def _group(self, _: Act) -> str:
        """Take all workers down and delete their group with its offsets."""
        names = self._workers()
        for name in names:
            self.stage.kept[name].wanted = False
            self.stage.kept[name].signal(signal.SIGKILL)
            self.kills["worker"] += 1
        for name in names:
            await self.stage.kept.pop(name).task  # type: ignore[misc]  # it has one
        deleted = await asyncio.to_thread(self._delete_group, names)
        for name in names:
            self.stage.add(name)
        if not deleted:
            self.stage.unexpected.append("the group could not be deleted")
        return f"{GROUP} with its offsets, {', '.join(names)} killed"

    def _delete_group(self, names: list[str]) -> bool:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            try:
                with admin.admin_client(self.stage.kafka) as client:
                    client.remove_group_members(GROUP, [MemberToRemove(group_instance_id=name) for name in names])
                    client.delete_groups([GROUP])
                    if GROUP not in {row["group_id"] for row in client.list_groups()}:
                        return True
            except (KafkaError, admin.BrokerDownError):
                pass
            time.sleep(0.3)
        return False

    async def _grow(self, _: Act) -> str:
        self._grown += 1
        name = f"worker-{2 + self._grown}"
        self.stage.add(name)
        return name

    async def _shrink(self, act: Act) -> str:
        await asyncio.sleep(act.size)
        name = f"worker-{2 + self._grown}"
        self._grown -= 1
        await self.stage.stop_processes([name])
        return f"{name} by SIGTERM"

    async def _poison(self, act: Act) -> str:
        partition = int(act.size * self.stage.kafka.partitions)
        number = self._seed * 1_000 + self.done["poison"]
        names = act.what.split(",")
        self.poisons |= await poison.send(self.stage.kafka, names, partition, number)
        return f"{act.what} into partition {partition}"

    async def _large(self, act: Act) -> str:
        firm = self.firms[int(act.size * len(self.firms))]
        self.feeder.large(firm)
        return f"post of {firm.id}: 50,000 readings"

    async def _register(self, act: Act) -> str:
        """Change the limits of a few firms, as an officer does."""
        chance = random.Random(act.size)  # noqa: S311 - repeatable, not secret
        some = sorted(chance.sample(self.firms, 3), key=lambda firm: firm.id)
        for firm in some:
            self.versions[firm.id] += 1
            self.stage.register([firm], self.versions[firm.id])
        return f"new limits of {', '.join(firm.id for firm in some)}"

    async def _outage(self, act: Act) -> str:
        await self.stage.outage(act.size)
        return f"of the broker for {act.size:.0f} s"

    async def _disk(self, act: Act) -> str:
        """Fill the broker's disk until the broker gives up, or for some time, then make room again."""
        if not self.stage.mounted:
            self.left_out.append("a full disk of the broker: no small disk could be mounted")
            return "left out: no small disk could be mounted"
        await self._until("the broker runs", lambda: self.stage.broker_up)
        starts = self.stage.broker_starts
        filler = self.stage.folder / "kafka" / "filler"
        size = await asyncio.to_thread(_fill, filler)
        gave_up = await self._within(30, lambda: not self.stage.broker_up)
        await asyncio.sleep(act.size)
        filler.unlink()  # the room is there again
        if not gave_up and self.stage.broker_up:
            await self.stage.kill_broker()
        await self._until("the broker was started again", lambda: self.stage.broker_starts > starts)
        return f"full ({size >> 20} MiB more), the broker {'gave up' if gave_up else 'lived on and was killed'}"

    def _workers(self) -> list[str]:
        return sorted(name for name in self.stage.kept if name.startswith("worker"))

    def _pick(self, share: float) -> str:
        names = self._workers()
        return names[int(share * len(names))]

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        if not await self._within(WITHIN_S, condition):
            raise AssertionError(f"not within {WITHIN_S:.0f} s: {what}")

    @staticmethod
    async def _within(seconds: float, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True


def _fill(path: Path) -> int:
    """Write a file until the disk is full; returns its size."""
    block = bytes(1 << 20)
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(block)
            except OSError:
                return path.stat().st_size
