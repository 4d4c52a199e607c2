"""Sign in and out, for API and console alike: the brake on guessing, the cookie."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from monitor.accounts import sessions
from monitor.desk.parts import COOKIE, Desk, RefusedError

if TYPE_CHECKING:
    from fastapi import Request, Response

    from monitor.accounts.sessions import Person


def sign_in(desk: Desk, request: Request, name: str, password: str) -> tuple[str, Person]:
    """Return the token and the person.

    Raises:
        RefusedError: 429 after too many failures, 401 for a wrong name or password.
    """
    address = request.client.host if request.client else "unknown"
    keys = (f"name:{name[:64].lower()}", f"address:{address}")
    now = desk.clock_ms()
    wait = desk.brake.wait_ms(keys, now)
    if wait > 0:
        desk.figures.sign_ins.labels("braked").inc()
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_tries", retry_after_s=-(-wait // 1000))
    with desk.store.writing() as session:
        found = sessions.sign_in(session, name.strip().lower(), password, now)
    if found is None:
        desk.brake.failed(keys, now)
        desk.figures.sign_ins.labels("refused").inc()
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "wrong_credentials")
    desk.brake.passed(keys[0])
    desk.figures.sign_ins.labels("passed").inc()
    return found


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
