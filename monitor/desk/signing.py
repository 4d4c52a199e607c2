"""Sign in and out, for API and console alike: the brake on guessing, the cookie."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from monitor.accounts import sessions, users
from monitor.accounts.brake import Key, address_key, name_key
from monitor.desk.parts import COOKIE, Desk, RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

    from monitor.accounts.sessions import Person


def sign_in(desk: Desk, request: Request, name: str, password: str) -> tuple[str, Person]:
    """Return a new token and the person; the session that the browser had before ends.

    Raises:
        RefusedError: 429 after too many failures, 401 for a wrong name or password.
    """
    own = name_key(sessions.account_name(name))
    shared = address_key(request.client.host if request.client else "unknown")
    now = desk.clock_ms()
    _admitted(desk, (own, shared), now)
    found = sessions.sign_in(desk.store, name, password, now, instead_of=request.cookies.get(COOKIE))
    if found is None:
        desk.figures.sign_ins.labels("refused").inc()
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "wrong_credentials")
    desk.brake.passed(own, shared)
    desk.figures.sign_ins.labels("passed").inc()
    return found


def change_password(desk: Desk, person: Person, old: str, new: str) -> tuple[list[str], str | None]:
    """Set a person's own password; returns what is wrong with it, or a token: every session before it has ended.

    Raises:
        RefusedError: 429 after too many wrong old passwords.
    """
    own = Key(f"password:{person.name}", name_key("").free)
    now = desk.clock_ms()
    _admitted(desk, (own,), now)
    faults = users.change_password(desk.store, person.name, old, new)
    if "wrong" in faults:
        return faults, None
    desk.brake.passed(own)
    if faults:
        return faults, None
    found = sessions.sign_in(desk.store, person.name, new, now)
    return [], None if found is None else found[0]


def set_cookie(response: Response, desk: Desk, token: str) -> None:
    """Give the session's cookie: not for scripts, not for other sites, and over TLS only where the desk is served so."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=sessions.LIFE_MS // 1000,
        httponly=True,
        secure=desk.settings.https,
        samesite="strict",
        path="/",
    )


def sign_out(desk: Desk, person: Person) -> None:
    """End the session."""
    with desk.store.writing() as session:
        sessions.sign_out(session, person.token_sha256)


def _admitted(desk: Desk, keys: tuple[Key, ...], now_ms: int) -> None:
    wait = desk.brake.admit(keys, now_ms)
    if wait > 0:
        desk.figures.sign_ins.labels("braked").inc()
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_tries", retry_after_s=-(-wait // 1000))
