"""What is decided for one facility in a record of all ends the process: that facility is quarantined, and nobody else.

In memory, with the worker as it is: ticks, files of crumbs, a supervisor that starts it again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import SEMANTICS, PacksRecord, Readings, RegisterRecord
from streams import tenure as module
from streams.codec import encode
from streams.crumbs import Crumbs, crumbs_path
from streams.history import concerns
from streams.quarantine import DEATHS, Release, encode_note, place_of
from streams.testing import MemoryWorker, simulate
from tests.coldlog import cold_store
from tests.streams.memory_lab import NewFold, Scene
from tests.streams.toy import ToyFold, ToyState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rules.changes import Change
    from rules.records import LogRecord, Rejected
    from streams.fold import Fold
    from streams.tenure import Tenure

ALL = ("FAC-0", "FAC-1", "FAC-2")


class Defective(ToyFold):
    """Ends the process when it folds for some facilities: in ticks, in packs, or their own records."""

    def __init__(self, where: str, sick: tuple[str, ...]) -> None:
        super().__init__()
        self._where, self._sick = where, sick

    def alone(self) -> ToyFold:
        return Defective(self._where, self._sick)

    def _meet(self, where: str, facility: str) -> None:
        if where == self._where and facility in self._sick:
            raise MemoryError(f"to fold {where} for {facility} is more than this release can do")

    def fold(self, record: LogRecord) -> list[Change]:
        if isinstance(record.payload, PacksRecord):
            for facility in self.facilities(record.partition):
                self._step(record.partition, facility)
                self._meet("packs", facility)
            self._step(record.partition, "")
        if isinstance(record.payload, Readings) and record.payload.batch != "b0":
            self._meet("own", record.facility)
        return super().fold(record)

    def _silence(self, state: ToyState, record: LogRecord, now: int) -> list[Change]:
        found = super()._silence(state, record, now)
        if found:
            self._meet("tick", state.facility)
        return found


async def with_defect(where: str, sick: tuple[str, ...], folder: Path, **settings: Any) -> Scene:
    """Everybody posts twice, and falls silent; packs come."""
    options = {"folder": folder, "release_every_s": 0.5} | settings
    here = Scene(3, partitions=1, facilities=len(ALL), **options)
    here.broker.commits.clear()  # what is held back is not published: `agree` judges once it is released
    here.new_fold = lambda: Defective(where, sick)
    await here.add()
    await here.until("it folds", lambda: here.workers["w1"].owned == [0])
    here.feed(2 * len(ALL))
    if where == "packs":
        headers, value = encode(ToyFold().bundle.to_record())
        here.put(0, b"", value, headers)
    return here


def tenure(here: Scene) -> Tenure | None:
    worker = here.workers["w1"]
    return worker.custody.tenures.get(0) if worker.owned else None


def quarantined(here: Scene) -> set[str]:
    found = tenure(here)
    return set() if found is None else set(found.ward.quarantined)


def silences(here: Scene) -> set[str]:
    return {row["stream"] for row in here.changes() if row["change"] == "unknown"}


def told(here: Scene, by: str) -> list[dict[str, Any]]:
    rows = [json.loads(entry.value or b"") for _, entry in here.rows(here.settings.rejected_topic)]
    return [row for row in rows if row["by"] == by]


def worker_crumbs(here: Scene) -> Path:
    chosen, kafka = here.workers["w1"].settings, here.kafka
    path = crumbs_path(chosen.folder, "w1", kafka.bootstrap, chosen.log_topic, chosen.group_id)
    assert path is not None
    assert path.exists()
    return path


def wish(here: Scene, facility: str) -> None:
    """Ask for a release, as `offsite quarantine release` does."""
    owner = tenure(here)
    assert owner is not None
    standing = owner.ward.quarantined[facility]
    note = Release(id=uuid4().hex, facility=facility, offset=standing.offset, by="ops")
    row = (f"release-{facility}".encode(), encode_note(note), (), None)
    here.broker.append(here.settings.state_topic, 0, [row])


async def mended(here: Scene) -> None:
    """Install a release that can fold everything."""
    await here.workers["w1"].stop()
    here.new_fold = ToyFold
    await here.add()
    await here.until("it folds", lambda: tenure(here) is not None)


@pytest.mark.parametrize("sick", [("FAC-1",), ("FAC-0", "FAC-2"), ALL], ids=["one", "two", "all"])
@pytest.mark.parametrize("where", ["tick", "packs"])
def test_who_kills_in_a_record_of_all_is_quarantined_alone_and_released(
    where: str, sick: tuple[str, ...], tmp_path: Path
) -> None:
    async def scene() -> None:
        here = await with_defect(where, sick, tmp_path)
        well = set(ALL) - set(sick)
        await here.until("the sick are held", lambda: quarantined(here) == set(sick), within_s=120)
        assert len(here.ended) == DEATHS * len(sick), "each after its own three"
        await here.until("the silence of the others is published", lambda: silences(here) >= well)
        assert silences(here) == well
        here.feed(2 * len(ALL))
        await here.until("what comes is kept", lambda: bool(t := tenure(here)) and set(t.ward.kept) == set(sick))
        owner = tenure(here)
        assert owner is not None
        assert (owner.ward.watch.skipped, told(here, "worker")) == ([], []), "the record itself was folded"
        await here.until(
            "operators are told", lambda: {row["facility"] for row in told(here, "quarantine")} == set(sick)
        )
        assert {(row["state"], row["deaths"]) for row in told(here, "quarantine")} == {("held", DEATHS)}
        await mended(here)
        assert quarantined(here) == set(sick), "a release is for an operator to ask for"
        for facility in sick:
            wish(here, facility)
        await here.until("they are folded again", lambda: tenure(here) is not None and not quarantined(here))
        here.feed(len(ALL))
        await here.agree()

    simulate(scene())


def test_a_change_of_a_tick_that_kills_on_its_way_out_is_its_facilitys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = module.change_bytes

    def change_bytes(change: Change) -> bytes:
        if change.facility == "FAC-1" and change.change.value == "unknown":
            raise MemoryError("a row that is more than this release can make")
        return written(change)

    async def scene() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(module, "change_bytes", change_bytes)
            here = await with_defect("", (), tmp_path)
            await here.until("it is held", lambda: quarantined(here) == {"FAC-1"})
            assert len(here.ended) == DEATHS
            await here.until("the others are silent", lambda: silences(here) == {"FAC-0", "FAC-2"})
            await here.workers["w1"].stop()
        await mended(here)
        wish(here, "FAC-1")
        await here.until("it is folded again", lambda: tenure(here) is not None and not quarantined(here))
        await here.agree()

    simulate(scene())


def test_a_release_that_kills_again_is_refused_after_one_death(tmp_path: Path) -> None:
    async def scene() -> None:
        here = await with_defect("tick", ("FAC-1",), tmp_path)
        await here.until("it is held", lambda: quarantined(here) == {"FAC-1"})
        wish(here, "FAC-1")
        await here.until("it is refused", lambda: [r["state"] for r in told(here, "quarantine")][-1:] == ["refused"])
        await here.until("it folds", lambda: tenure(here) is not None)
        assert (quarantined(here), len(here.ended)) == ({"FAC-1"}, DEATHS + 1)
        await mended(here)
        wish(here, "FAC-1")
        await here.until("it is folded again", lambda: tenure(here) is not None and not quarantined(here))
        await here.agree()

    simulate(scene())


def test_a_record_of_ones_own_kills_as_before(tmp_path: Path) -> None:
    async def scene() -> None:
        here = await with_defect("own", ("FAC-1",), tmp_path)
        await here.until("it is held", lambda: quarantined(here) == {"FAC-1"})
        owner = tenure(here)
        assert owner is not None
        assert (len(here.ended), owner.ward.watch.deaths) == (DEATHS, {1: DEATHS})
        assert owner.ward.quarantined["FAC-1"].offset == 1
        await mended(here)
        wish(here, "FAC-1")
        await here.until("it is folded again", lambda: tenure(here) is not None and not quarantined(here))
        await here.agree()

    simulate(scene())


def test_who_kills_in_a_tick_while_it_is_folded_anew_is_found_out_too(tmp_path: Path) -> None:
    async def scene() -> None:
        here = Scene(3, partitions=1, facilities=len(ALL), folder=tmp_path, release_every_s=0.5)
        here.broker.commits.clear()
        fold: list[NewFold] = [ToyFold]

        class Past:
            def records(
                self, _: int, facilities: frozenset[str] | None, begin: int, end: int
            ) -> Iterator[LogRecord | Rejected]:
                yield from (r for r in here.log() if begin <= r.offset < end and concerns(r, facilities))

        def new_fold() -> Fold:
            return fold[0]()

        worker = MemoryWorker(here.settings, new_fold, Past())
        here.workers["w1"] = worker
        await worker.start()
        await here.until("it folds", lambda: worker.owned == [0])
        here.feed(2 * len(ALL))
        await here.until("they are silent", lambda: silences(here) == set(ALL))
        await worker.stop()
        # Its snapshot went bad, and the release that folds it anew has a defect.
        here.broker.append(here.settings.state_topic, 0, [(b"FAC-1", b"broken", (("part", b"0/1"),), None)])
        fold[0] = lambda: Defective("tick", ("FAC-1",))
        await worker.start()
        await here.until("it is held", lambda: quarantined(here) == {"FAC-1"}, within_s=120)
        owner = tenure(here)
        assert owner is not None
        standing = owner.ward.quarantined["FAC-1"]
        assert (len(here.ended), owner.ward.watch.skipped, standing.source) == (DEATHS, [], "origin")
        assert owner.ward.watch.deaths == {place_of(standing.offset, "FAC-1"): DEATHS}
        await worker.stop()
        fold[0] = ToyFold
        await worker.start()
        await here.until("it folds", lambda: tenure(here) is not None)
        wish(here, "FAC-1")
        await here.until("it is folded again", lambda: tenure(here) is not None and not quarantined(here))
        await here.agree()

    simulate(scene())


def test_the_engine_says_whose_silence_it_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = Engine._decide

    def decide(self: Engine, state: Any, emitter: Any) -> None:
        if state.facility == "COLD-1":
            raise IndexError("a defect of the engine, outside of any rule's step")
        decided(self, state, emitter)

    async def scene() -> None:
        bundle = default_bundle()
        here = Scene(
            3, partitions=1, new_fold=lambda: Engine(bundle), folder=tmp_path, tick_every_s=20.0, release_every_s=5.0
        )
        here.broker.commits.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Engine, "_decide", decide)
            await here.add()
            for name in ("COLD-0", "COLD-1"):
                here.append(RegisterRecord(version=1, facility=cold_store(name)), name)
            await here.until("COLD-1 is held", lambda: quarantined(here) == {"COLD-1"}, within_s=1_800)
            assert len(here.ended) == DEATHS
            await here.until("COLD-0 is silent", lambda: {r["stream"] for r in here.changes()} == {"COLD-0"})
            owner = tenure(here)
            assert owner is not None
            assert owner.ward.watch.skipped == []
            await here.workers["w1"].stop()
        await here.add()
        await here.until("it folds", lambda: tenure(here) is not None)
        wish(here, "COLD-1")
        await here.until("it is folded again", lambda: tenure(here) is not None and not quarantined(here))
        await here.agree()
        assert {row["stream"] for row in here.changes()} == {"COLD-0", "COLD-1"}

    simulate(scene())


def test_packs_of_another_engine_are_refused_at_every_start_and_never_passed_over(tmp_path: Path) -> None:
    async def scene() -> None:
        here = Scene(3, partitions=1, facilities=2, new_fold=lambda: Engine(default_bundle()), folder=tmp_path)
        here.broker.commits.clear()
        worker = await here.add()
        await here.until("it folds", lambda: worker.owned == [0])
        here.feed(4)
        other = default_bundle().to_record().model_copy(update={"semantics": SEMANTICS + 1})
        headers, value = encode(other)
        at = here.put(0, b"", value, headers)
        ended = []
        for _ in range(10):
            ended.append((await here.died("w1"), worker.process.told()))
            left = Crumbs(worker_crumbs(here), 2)
            assert (left.found, left.stepped) == ({}, {}), "an answer is no death"
            left.close()
            await worker.start()
        assert len(set(ended)) == 1
        status, words = ended[0]
        assert status == 4
        assert f"packs of engine semantics {SEMANTICS + 1}; this engine has {SEMANTICS}" in words
        assert await here.died("w1") == 4
        state = here.broker.partition(here.settings.state_topic, 0).decided()
        assert not [entry.key for entry in state if (entry.key or b"").startswith((b"watch", b"quarantine"))]
        assert here.committed().get(0, 0) <= at
        assert told(here, "worker") == []
        await here.close()

    simulate(scene())
