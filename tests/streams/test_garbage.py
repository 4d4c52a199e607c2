"""Where a worker looks for garbage: not while it restores, and not among what it has restored, until it gives that up."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from streams import garbage
from streams.testing import simulate
from tests.streams.memory_lab import Scene
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.enable()
    garbage.given_up()
    gc.freeze()


def test_what_is_made_stays_unsearched_until_it_is_given_up() -> None:
    gc.unfreeze()
    with garbage.much_is_made():
        assert not gc.isenabled()
        made = [[i] for i in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    garbage.given_up()
    assert gc.get_freeze_count() == 0


def test_an_error_inside_leaves_the_search_on() -> None:
    with pytest.raises(ValueError, match="broken"), garbage.much_is_made():
        raise ValueError("broken")
    assert gc.isenabled()


def test_whoever_has_switched_it_off_finds_it_off() -> None:
    gc.disable()
    before = gc.get_freeze_count()
    with garbage.much_is_made():
        made = [[i] for i in range(1_000)]
    assert not gc.isenabled()
    assert gc.get_freeze_count() < before + len(made), "some that lay aside may have gone, none of these came"
    gc.freeze()
    garbage.given_up()
    assert gc.get_freeze_count() > 0, "nothing of it was put aside here"


def test_a_worker_restores_without_a_search_and_searches_everything_once_it_has_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, bool]] = []

    async def scene() -> None:
        gc.enable()  # a simulation looks for garbage at its end alone
        here = Scene(1)
        await here.add("w1")
        here.feed(20)
        await here.caught_up()
        restore, given_up = ToyFold.restore_partition, garbage.given_up

        def seen_to_restore(self: ToyFold, *state: Any) -> None:
            seen.append(("restore", gc.isenabled()))
            restore(self, *state)

        monkeypatch.setattr(ToyFold, "restore_partition", seen_to_restore)
        monkeypatch.setattr(garbage, "given_up", lambda: (seen.append(("given up", gc.isenabled())), given_up()))
        here.broker.group(here.settings.group_id).rebalance()
        await here.until("it was restored again", lambda: ("restore", False) in seen)
        await here.agree()

    simulate(scene())
    assert ("restore", True) not in seen
    assert ("given up", True) in seen
    assert gc.isenabled()
