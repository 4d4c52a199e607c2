"""The brake on guessing: by name and address, at once for many, bounded, and forgetful."""

from __future__ import annotations

import threading

import pytest

from monitor.accounts.brake import (
    FIRST_WAIT_MS,
    FORGET_MS,
    LONGEST_WAIT_MS,
    MAX_REMEMBERED,
    Brake,
    Key,
    address_key,
    name_key,
)

NAME, ADDRESS = name_key("li.lei"), address_key("192.0.2.7")
NOW = 1_790_000_000_000


def fail(brake, keys, times, now=NOW):
    for _ in range(times):
        while wait := brake.admit(keys, now):
            now += wait
    return now


def test_a_few_failures_are_free_then_each_waits_longer_up_to_a_quarter_of_an_hour():
    brake, now, waits = Brake(), NOW, []
    assert [brake.admit((NAME,), NOW) for _ in range(NAME.free)] == [0] * NAME.free
    for _ in range(9):
        wait = brake.admit((NAME,), now)
        waits.append(wait)
        now += wait
        assert brake.admit((NAME,), now) == 0
    assert waits[:4] == [FIRST_WAIT_MS, 2 * FIRST_WAIT_MS, 4 * FIRST_WAIT_MS, 8 * FIRST_WAIT_MS]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_MS < FORGET_MS


def test_a_refused_try_does_not_lengthen_the_wait():
    brake = Brake()
    fail(brake, (NAME,), NAME.free)
    first = brake.admit((NAME,), NOW)
    assert brake.admit((NAME,), NOW + 1000) == first - 1000


def test_one_name_from_many_addresses_and_many_names_from_one_address_are_both_braked():
    brake = Brake()
    for n in range(NAME.free):
        assert brake.admit((NAME, address_key(f"192.0.2.{n}")), NOW) == 0
    assert brake.admit((NAME, address_key("198.51.100.9")), NOW) > 0
    brake = Brake()
    for n in range(ADDRESS.free):
        assert brake.admit((name_key(f"u{n}"), ADDRESS), NOW) == 0
    assert brake.admit((name_key("somebody.else"), ADDRESS), NOW) > 0
    assert brake.admit((name_key("somebody.else"), address_key("198.51.100.9")), NOW) == 0


def test_who_passes_is_forgotten_and_the_office_keeps_only_its_failures():
    brake = Brake()
    fail(brake, (NAME, ADDRESS), NAME.free - 1)
    for _ in range(10 * ADDRESS.free):  # a day of good sign-ins from one address is no attack
        assert brake.admit((NAME, ADDRESS), NOW) == 0
        brake.passed(NAME, ADDRESS)
    fail(brake, (NAME,), NAME.free - 1)
    assert brake.admit((NAME,), NOW) == 0


def test_an_hour_of_quiet_is_forgiven_so_that_typing_errors_do_not_add_up():
    brake, now = Brake(), NOW
    for _ in range(20):
        assert brake.admit((NAME,), now) == 0
        now += FORGET_MS
    fail(brake, (NAME,), NAME.free, now)
    assert brake.admit((NAME,), now) > 0
    assert brake.admit((NAME,), now + FORGET_MS) == 0


def test_many_tries_at_once_get_no_more_than_the_free_ones():
    brake, start, passed = Brake(), threading.Barrier(32), []

    def guess():
        start.wait(60)
        if brake.admit((NAME,), NOW) == 0:
            passed.append(1)

    threads = [threading.Thread(target=guess) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(passed) == NAME.free


def test_memory_is_bounded_and_the_oldest_key_goes_first():
    brake = Brake()
    fail(brake, (NAME,), NAME.free)
    for n in range(MAX_REMEMBERED - 1):
        brake.admit((Key(f"name:{n}", 5),), NOW)
    assert brake.remembered() == MAX_REMEMBERED
    assert brake.admit((NAME,), NOW) > 0
    brake.admit((Key("name:one more", 5),), NOW)
    assert brake.remembered() == MAX_REMEMBERED
    assert brake.admit((NAME,), NOW) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True), ("192.0.2.7", "192.0.2.8", False), ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True), ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("testclient", "testclient", True), ("x" * 500, "x" * 64, True),
    ],
)  # fmt: skip
def test_an_address_is_what_one_client_owns(one, other, same):
    assert (address_key(one) == address_key(other)) is same
