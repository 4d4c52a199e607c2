"""State rebuilt from a backup that was made while a facility was quarantined: it stays so, and is folded on when it is released."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from rules.engine import Engine
from rules.records import Kind, LogRecord
from streams.crumbs import Crumbs
from streams.quarantine import Watch, encode_note
from streams.refold import Known, Refold
from streams.release import release
from tests.streams.lab import judge, offline
from tests.streams.test_quarantine import BUNDLE, SICK, WELL, alarming, feed, owner, read
from tests.streams.test_tenure import SETTINGS, MemoryBroker, published, settle


def with_packs(log: list[LogRecord]) -> list[LogRecord]:
    """Return the log with other packs from its tenth record on, and others again from its fortieth."""
    quiet = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {"data-integrity.frozen"})
    silent = BUNDLE.only({rule.id for rule in quiet.rules} - {"data-integrity.gap"})
    made = list(log)
    for at, bundle in ((40, silent), (10, quiet)):
        made.insert(at, LogRecord(0, 0, made[at].received, Kind.PACKS, "", bundle.to_record()))
    return [replace(record, offset=offset) for offset, record in enumerate(made)]


PLAIN = alarming()


@dataclass(frozen=True)
class Story:
    """A log, and where in it SICK is quarantined, the backup is made, the state is lost."""

    log: list[LogRecord]

    @property
    def places(self) -> tuple[int, int, int]:
        mine = [record.offset for record in self.log if record.facility == SICK]
        return mine[8], mine[25], mine[32]


STORIES = [Story(PLAIN), Story(with_packs(PLAIN))]
BOTH = pytest.mark.parametrize("story", STORIES, ids=["the same packs", "packs that change"])


async def backed_up(story: Story) -> tuple[MemoryBroker, MemoryBroker]:
    """Return a broker whose state says that SICK is quarantined, and one that went on from there for a while."""
    broker, log = MemoryBroker(), story.log
    killer, upto, end = story.places
    first = await owner(broker, None, log)
    feed(first, log, killer)
    await settle(first)
    await first.close()
    second = await owner(broker, killer, log)
    feed(second, log, upto)
    await settle(second)
    await second.close()
    watch = Watch(partition=0, deaths={killer: 3}, skipped=[])
    broker.rows[SETTINGS.state_topic].append((b"watch-p0", encode_note(watch), []))
    later = MemoryBroker({topic: list(rows) for topic, rows in broker.rows.items()}, broker.offset)
    third = await owner(later, None, log)
    feed(third, log, end)
    await settle(third)
    await third.close()
    return broker, later


async def rebuilt(story: Story, backup: MemoryBroker, later: MemoryBroker, *, source: str = "snapshot") -> Refold:
    """Rebuild from the backup's state what `later` has lost, and put it into its state topic."""
    state, end = backup.state(SETTINGS.state_topic), story.places[2]
    if source != "snapshot":
        del state._parts[SICK]
    known = Known.of([value for _, value, _ in later.rows[SETTINGS.alarms_topic]])
    made = Refold(0, Engine(BUNDLE), known, SETTINGS, end)
    begin = await made.from_state(state)
    made.run(story.log[begin:end], told=end)
    made.finish()
    assert made.changes() == []  # the workers had published all of it
    later.rows[SETTINGS.state_topic] = [(row.key, row.value, row.headers) for row in made.state([])]
    later.offset = end
    return made


@BOTH
async def test_it_stays_quarantined_and_is_whole_when_it_is_released(story: Story) -> None:
    backup, later = await backed_up(story)
    log, (killer, _, end) = story.log, story.places
    made = await rebuilt(story, backup, later)
    assert made.done.facilities == 1
    tenure = await owner(later, None, log)
    standing = tenure.ward.quarantined[SICK]
    assert (standing.begin, tenure.next) == (killer, end)
    assert tenure.fold.facilities(0) == [WELL]
    await release(
        tenure, standing, tenure.ward.snapshots.get(SICK), Crumbs(None, 1), read(log[:end], standing.begin, 7)
    )
    feed(tenure, log, len(log))
    await settle(tenure)
    whole = Engine(BUNDLE)
    expected = offline([*log], whole)
    assert {n: tenure.fold.snapshot(0, n) for n in (SICK, WELL)} == {n: whole.snapshot(0, n) for n in (SICK, WELL)}
    assert judge(published(later), expected) == 0
    await tenure.close()


@BOTH
async def test_its_rows_and_what_is_known_of_deaths_are_those_of_the_backup(story: Story) -> None:
    backup, later = await backed_up(story)
    before = backup.state(SETTINGS.state_topic)
    await rebuilt(story, backup, later)
    after = later.state(SETTINGS.state_topic)
    assert after.notes == before.notes
    assert set(after.notes) == {f"quarantine-{SICK}", "watch-p0"}
    assert after.snapshot(SICK) == before.snapshot(SICK)
    assert before.packs.keys() <= after.packs.keys()
    marker = after.checked_marker(story.places[2])
    assert marker is not None
    assert sorted(after.rostered(marker)) == [SICK, WELL]


@pytest.mark.parametrize("wish", [True, False])
@BOTH
async def test_a_wish_to_release_it_is_no_state(story: Story, wish: bool) -> None:
    backup, later = await backed_up(story)
    if wish:
        backup.rows[SETTINGS.state_topic].append((f"release-{SICK}".encode(), b"{}", []))
    await rebuilt(story, backup, later)
    assert set(later.state(SETTINGS.state_topic).notes) == {f"quarantine-{SICK}", "watch-p0"}


@BOTH
async def test_without_a_whole_snapshot_there_is_none_afterwards(story: Story) -> None:
    backup, later = await backed_up(story)
    await rebuilt(story, backup, later, source="lost")
    assert set(later.state(SETTINGS.state_topic).parts) == {WELL}
