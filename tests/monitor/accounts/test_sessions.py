"""Sessions begin, last and end; accounts are disabled and reset at once, on both databases."""

from __future__ import annotations

import hashlib
import threading

import pytest
from sqlalchemy import func, select

from monitor.accounts import passwords, sessions, users
from monitor.accounts.sessions import IDLE_MS, LIFE_MS, MAX_SESSIONS, TOUCH_MS, account_name, find, sign_in, touch
from monitor.accounts.users import Role
from monitor.store.desk_tables import SessionRow, UserRow
from rules.errors import BadInputError

pytestmark = pytest.mark.usefixtures("cheap_hashes")
NOW = 1_790_000_000_000
PASSWORD = "correct horse battery"


def add(store, name="li.lei", **more):
    wanted = {"display": "李雷", "role": "supervisor", "language": "zh", "now_ms": NOW} | more
    with store.writing() as session:
        return users.add(session, name, **wanted)


@pytest.fixture
def account(store):
    one_time = add(store)
    assert users.change_password(store, "li.lei", one_time, PASSWORD) == []
    return store


def look(store, token, now=NOW):
    with store.reading() as session:
        found = find(session, token, now)
    return None if found is None else found[0]


def count(store):
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(SessionRow))


def test_a_session_stands_for_its_account_and_the_store_keeps_only_a_hash(account):
    token, person = sign_in(account, "li.lei", PASSWORD, NOW)
    assert look(account, token) == person
    assert (person.name, person.display, person.role, person.language) == ("li.lei", "李雷", Role.SUPERVISOR, "zh")
    assert person.must_change is False
    with account.reading() as session:
        row = session.scalars(select(SessionRow)).one()
        assert row.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
        assert token not in f"{row.token_sha256}{row.csrf}"
        assert session.get(UserRow, "li.lei").password_hash.startswith("$argon2id$")


@pytest.mark.parametrize("token", ["", "guess", "\x00", "\ud800", "é", "a" * 100_000])
def test_no_other_token_is_anybody(account, token):
    sign_in(account, "li.lei", PASSWORD, NOW)
    assert look(account, token) is None


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("nobody", PASSWORD), ("li.lei", "wrong"), ("li.lei", ""), ("", ""), ("li.lei\x00", PASSWORD), ("\ud800", "x"),
        ("x" * 10_000, PASSWORD), ("LI.LEI'--", PASSWORD), ("%", PASSWORD), ("li.lei", PASSWORD + " "),
    ],
)  # fmt: skip
def test_nobody_else_gets_in_whatever_is_typed(account, name, password):
    assert sign_in(account, name, password, NOW) is None
    assert count(account) == 0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("li.lei", "li.lei"),
        (" LI.Lei\n", "li.lei"),
        ("\u3000li.lei\u00a0", "li.lei"),
        ("l i", ""),
        ("", ""),
        ("李雷", ""),
    ],
)
def test_a_typed_name_means_one_account_or_none(typed, meant):
    assert account_name(typed) == meant


def test_unknown_disabled_and_wrong_cost_the_same_one_hash(account, monkeypatch):
    add(account, "han.mei")
    with account.writing() as session:
        users.disable(session, "han.mei", NOW)
    asked = []
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda stored, typed: asked.append(1) or real(stored, typed))
    for name in ("li.lei", "han.mei", "no.such", "no such", "\x00"):
        asked.clear()
        assert sign_in(account, name, "wrong password", NOW) is None
        assert len(asked) == 1, name


def test_a_session_ends_when_idle_and_in_any_case_after_a_shift(account):
    token, person = sign_in(account, "li.lei", PASSWORD, NOW)
    assert look(account, token, NOW + IDLE_MS - 1)
    assert look(account, token, NOW + IDLE_MS) is None
    now = NOW
    while now < NOW + LIFE_MS:
        assert look(account, token, now) == person
        with account.writing() as session:
            touch(session, person.token_sha256, now)
        now += IDLE_MS - 1
    assert look(account, token, NOW + LIFE_MS) is None


def test_a_session_in_use_is_written_back_once_a_minute_and_never_backwards(account):
    token, person = sign_in(account, "li.lei", PASSWORD, NOW)
    with account.reading() as session:
        assert find(session, token, NOW + TOUCH_MS - 1)[1] is False
        assert find(session, token, NOW + TOUCH_MS)[1] is True
    for moment in (NOW + 2 * TOUCH_MS, NOW):
        with account.writing() as session:
            touch(session, person.token_sha256, moment)
    with account.reading() as session:
        assert session.scalars(select(SessionRow)).one().last_ms == NOW + 2 * TOUCH_MS


def test_disabling_ends_every_session_at_once_and_lets_nobody_in(account):
    tokens = [sign_in(account, "li.lei", PASSWORD, NOW)[0] for _ in range(2)]
    with account.writing() as session:
        users.disable(session, "li.lei", NOW)
    assert [look(account, token) for token in tokens] == [None, None]
    assert sign_in(account, "li.lei", PASSWORD, NOW) is None
    assert count(account) == 0


def test_a_reset_ends_every_session_and_the_old_password_and_must_be_changed(account):
    token, _ = sign_in(account, "li.lei", PASSWORD, NOW)
    with account.writing() as session:
        users.disable(session, "li.lei", NOW)
        one_time = users.reset(session, "li.lei")
    assert look(account, token) is None
    assert sign_in(account, "li.lei", PASSWORD, NOW) is None
    _, person = sign_in(account, "li.lei", one_time, NOW)
    assert person.must_change is True


def test_an_account_disabled_while_its_password_is_checked_gets_no_session(account, monkeypatch):
    real = passwords.matches

    def meanwhile(stored, typed):
        with account.writing() as session:
            users.disable(session, "li.lei", NOW)
        return real(stored, typed)

    monkeypatch.setattr(passwords, "matches", meanwhile)
    assert sign_in(account, "li.lei", PASSWORD, NOW) is None
    assert count(account) == 0


def test_guessing_holds_up_no_writer(account, monkeypatch):
    """The hash is worked out in no transaction: on SQLite a write lock would stop the changes meanwhile."""
    at_work, go_on = threading.Event(), threading.Event()

    def slow(*_):
        at_work.set()
        return not go_on.wait(60)

    monkeypatch.setattr(passwords, "matches", slow)
    guess = threading.Thread(target=sign_in, args=(account, "li.lei", "wrong", NOW))
    guess.start()
    assert at_work.wait(60)
    add(account, "han.mei")  # would wait 15 s for the lock, then fail
    go_on.set()
    guess.join(60)


def test_a_sign_in_ends_the_session_the_browser_had(account):
    first, _ = sign_in(account, "li.lei", PASSWORD, NOW)
    second, _ = sign_in(account, "li.lei", PASSWORD, NOW, instead_of=first)
    third, _ = sign_in(account, "li.lei", PASSWORD, NOW, instead_of="somebody else's or nothing")
    assert len({first, second, third}) == 3
    assert look(account, first) is None
    assert look(account, second) is not None
    assert look(account, third) is not None


def test_sessions_of_an_account_are_bounded_and_expired_ones_are_swept(account):
    tokens = [sign_in(account, "li.lei", PASSWORD, NOW + n)[0] for n in range(MAX_SESSIONS + 3)]
    assert count(account) == MAX_SESSIONS
    assert [look(account, token) is not None for token in tokens] == [False] * 3 + [True] * MAX_SESSIONS
    sign_in(account, "li.lei", PASSWORD, NOW + 2 * LIFE_MS)
    assert count(account) == 1


def test_signing_out_ends_this_session_alone(account):
    first, person = sign_in(account, "li.lei", PASSWORD, NOW)
    second, _ = sign_in(account, "li.lei", PASSWORD, NOW)
    with account.writing() as session:
        sessions.sign_out(session, person.token_sha256)
    assert look(account, first) is None
    assert look(account, second) is not None


def test_a_new_password_ends_every_session(account):
    token, _ = sign_in(account, "li.lei", PASSWORD, NOW)
    assert users.change_password(account, "li.lei", PASSWORD, "another long secret") == []
    assert look(account, token) is None
    assert sign_in(account, "li.lei", PASSWORD, NOW) is None
    assert sign_in(account, "li.lei", "another long secret", NOW) is not None


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("wrong", "another long secret", ["wrong"]),
        (PASSWORD, PASSWORD, ["same"]),
        (PASSWORD, "short", ["short", "repeated"]),
        (PASSWORD, "li.lei and more words", ["name"]),
    ],
)
def test_a_refused_password_changes_nothing(account, old, new, codes):
    token, _ = sign_in(account, "li.lei", PASSWORD, NOW)
    assert users.change_password(account, "li.lei", old, new) == codes
    assert look(account, token) is not None
    assert sign_in(account, "li.lei", PASSWORD, NOW) is not None


def test_a_reset_that_comes_in_between_wins_over_a_new_password(account, monkeypatch):
    real = users.hashed

    def meanwhile(password):
        monkeypatch.setattr(users, "hashed", real)
        with account.writing() as session:
            users.reset(session, "li.lei")
        return real(password)

    monkeypatch.setattr(users, "hashed", meanwhile)
    assert users.change_password(account, "li.lei", PASSWORD, "another long secret") == ["wrong"]
    assert sign_in(account, "li.lei", "another long secret", NOW) is None


@pytest.mark.parametrize("display", ["", "   ", "\u200b", "x" * 101, "a\x00b"])
def test_adding_an_account_names_every_fault_at_once(store, display):
    add(store)
    with pytest.raises(BadInputError) as caught:
        add(store, "Li Lei", display=display, role="king", language="fr")
    assert {fault.pointer for fault in caught.value.faults} == {"/name", "/display", "/role", "/language"}
    with pytest.raises(BadInputError) as caught:
        add(store)
    assert [fault.code for fault in caught.value.faults] == ["taken"]
    assert "offsite users reset" in caught.value.report()


@pytest.mark.parametrize("name", ["nobody", "", "x\x00y", "李雷"])
def test_an_account_that_is_not_there_is_named(store, name):
    for act in (lambda s: users.reset(s, name), lambda s: users.disable(s, name, NOW)):
        with pytest.raises(BadInputError, match="user"), store.writing() as session:
            act(session)


def test_who_acts_on_alarms(store):
    assert [role.value for role in Role if role.acts] == ["supervisor", "lead"]
    for role in Role:
        add(store, f"a.{role.value}", role=role.value)
    with store.reading() as session:
        assert [u.role for u in users.every(session)] == sorted(role.value for role in Role)
