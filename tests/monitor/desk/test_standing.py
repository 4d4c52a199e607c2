"""The pages say when they are old: at once for a failure, after 20 s behind, never while all is well."""

from __future__ import annotations

import pytest

from monitor.console.texts import TEXTS
from monitor.desk.standing import OLD_MS, REASONS, Standing, Watch
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, Clock, DeskLab


@pytest.fixture
def clock():
    return Clock()


def test_before_the_first_end_is_seen_it_is_behind_and_then_stands_still(clock):
    watch = Watch(clock)
    assert watch.standing() is Standing.BEHIND
    clock.ms += OLD_MS + 1
    assert watch.standing() is Standing.STILL
    watch.turned()
    assert watch.standing() is Standing.BEHIND


def test_what_was_whole_a_moment_ago_is_no_fault(clock):
    watch = Watch(clock)
    watch.turned(fresh_ms=clock.ms)
    clock.ms += OLD_MS
    assert watch.standing() is None
    clock.ms += 1
    assert watch.standing() is Standing.STILL
    watch.turned()
    assert watch.standing() is Standing.BEHIND
    watch.turned(fresh_ms=clock.ms)
    assert watch.standing() is None


@pytest.mark.parametrize("reason", [Standing.BROKER_AWAY, Standing.STORE_AWAY])
def test_a_failure_is_said_at_once_and_is_over_with_the_next_turn(clock, reason):
    watch = Watch(clock)
    watch.turned(fresh_ms=clock.ms)
    watch.fails(reason)
    assert watch.standing() is reason
    assert watch.fresh_ms == clock.ms
    watch.turned()
    assert watch.standing() is None


def test_every_reason_has_words_for_operators():
    assert set(REASONS) == set(Standing)
    assert len(set(REASONS.values())) == len(Standing)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("reason", list(Standing))
def test_each_page_and_its_live_part_say_that_they_are_old_and_of_when(sqlite_store, tmp_path, reason, language):
    lab = DeskLab(sqlite_store, tmp_path)
    lab.desk.watch = watch = Watch(lab.clock)
    watch.turned(fresh_ms=NOW)
    words = TEXTS[f"old.{reason.value}"][language == "en"]
    with lab.signed_in(language=language) as client:
        for path in ("/", "/operators", "/untold"):
            assert words not in client.get(path).text
        watch.standing = lambda: reason
        for path in ("/", "/operators", "/untold"):
            note = parse(client.get(path).text).one("p", role="alert").text
            assert note.startswith(words)
            assert "2026-09-21" in note
        watch.fresh_ms = None
        assert parse(client.get("/").text).one("p", role="alert").text == words
