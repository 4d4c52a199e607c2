"""Real argon2id hashes, one-time passwords, and what a new password must be."""

from __future__ import annotations

import re
import threading

import pytest
from argon2 import Type, extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from monitor.accounts import passwords
from monitor.accounts.passwords import MAX_LENGTH, hashed, matches, one_time, weaknesses

pytestmark = pytest.mark.long

GOOD = "correct horse battery"


@pytest.fixture(scope="module")
def stored():
    return hashed(GOOD)


def test_a_hash_is_argon2id_with_the_cost_of_rfc_9106_and_a_salt_of_its_own(stored):
    found = extract_parameters(stored)
    assert found.type is Type.ID
    assert (found.memory_cost, found.time_cost, found.parallelism) >= (65_536, 3, 4)
    assert found.salt_len >= 16
    assert hashed(GOOD) != stored
    assert GOOD not in stored


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        (GOOD, True), (GOOD + " ", False), (GOOD.upper(), False), ("", False), ("\x00", False), ("\ud800", False),
        (GOOD + "\x00", False), (GOOD * 10_000, False),
    ],
)  # fmt: skip
def test_only_the_very_password_matches(stored, typed, right):
    assert matches(stored, typed) is right


def test_an_unknown_account_costs_a_hash_and_never_matches(monkeypatch):
    asked = []

    class Watched:
        def verify(self, stored, _):
            asked.append(stored)
            return True

    monkeypatch.setattr(passwords, "_HASHER", Watched())
    assert matches(None, GOOD) is False
    assert asked == [passwords._NOBODY]


def test_what_stands_for_an_unknown_account_is_a_whole_hash_of_the_same_cost(stored):
    assert extract_parameters(passwords._NOBODY) == extract_parameters(stored)
    # It is compared to the end, and not refused as damaged: that would take no time.
    with pytest.raises(VerifyMismatchError):
        passwords._HASHER.verify(passwords._NOBODY, GOOD)


@pytest.mark.parametrize("damaged", ["", "plain text", "$argon2id$v=19$m=1,t=1", "$2b$12$" + "a" * 53])
def test_a_damaged_hash_lets_nobody_in(damaged):
    assert matches(damaged, GOOD) is False


def test_a_password_is_one_however_a_keyboard_composes_its_characters():
    assert matches(hashed("pass-e\u0301toile-longue"), "pass-\u00e9toile-longue")
    assert not matches(hashed("pass-\ud800-longue-x"), "pass-?-longue-x")


def test_the_longest_password_is_not_cut():
    longest = "0123456789abcdef" * (MAX_LENGTH // 16) + "x" * (MAX_LENGTH % 16)
    known = hashed(longest)
    assert matches(known, longest)
    assert not matches(known, longest[:-1])
    assert not matches(known, longest + "y")


def test_one_time_passwords_are_long_readable_and_never_the_same():
    made = {one_time() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"(?:[a-hj-km-np-z2-9]{4}-){3}[a-hj-km-np-z2-9]{4}", each) for each in made)
    assert not any(weaknesses(each, "li.lei") for each in made)


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        (GOOD, []), ("四个不相关的词语组成密码", []), ("Tr0ub4dor-and-3-more", []), ("k7#mQ2!vX9zL", []),
        ("short", ["short", "repeated"]), ("", ["short", "repeated"]), ("eleven-ch@r", ["short"]),
        ("x1 y2 z3 " * 23, ["long"]), ("my li.lei secret", ["name"]), ("MY LI.LEI SECRET", ["name"]),
        ("aaaaaaaaaaaaaaaa", ["repeated"]), ("abababababab", ["repeated"]),
        ("password1234", ["common"]), ("Password2026!", ["common"]), ("123456789012", ["common"]), ("qwertyuiop12", ["common"]),
        ("1qaz2wsx3edc", ["common"]), ("abcdefghijkl", ["common"]), ("lkjihgfedcba", ["common"]), ("offsite-monitor-2026", ["common"]),
    ],
)  # fmt: skip
def test_each_weakness_is_named(password, codes):
    assert weaknesses(password, "li.lei") == codes


def test_a_name_of_three_letters_may_stand_in_a_password():
    assert weaknesses("mountain lizard kettle", "li") == []


@given(st.text(max_size=300), st.text(max_size=40))
def test_no_text_breaks_the_check(password, name):
    assert set(weaknesses(password, name)) <= {"short", "long", "name", "repeated", "common"}


def test_hashes_at_work_are_bounded(monkeypatch):
    """Each takes 64 MiB, and anybody may ask for one."""
    busy, most, lock, gate = 0, 0, threading.Lock(), threading.Event()

    class Slow:
        def verify(self, *_):
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
                if busy == passwords.SLOTS:
                    gate.set()
            assert gate.wait(60)
            with lock:
                busy -= 1
            return True

    monkeypatch.setattr(passwords, "_HASHER", Slow())
    threads = [threading.Thread(target=matches, args=("x", "y")) for _ in range(3 * passwords.SLOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == passwords.SLOTS
