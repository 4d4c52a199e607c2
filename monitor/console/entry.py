"""The pages around a session: sign in and out, a new password, the language."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from monitor.accounts import users
from monitor.console.render import LANGUAGE_COOKIE, browser_language, language_of, local_path, page
from monitor.console.texts import text
from monitor.desk import signing
from monitor.desk.parts import COOKIE, Parts, RefusedError, Unsettled, check_csrf, check_origin

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_origin)])
Text = Annotated[str, Form(max_length=1000)]
YEAR_S = 365 * 86_400


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Show the form."""
    return page(request, "sign_in.html", None, next=local_path(next), name="", fault=None)


@router.post("/sign-in")
def sign_in(
    request: Request, desk: Parts, name: Text = "", password: Text = "", next: Text = "/"  # noqa: A002 - form fields
) -> Response:  # fmt: skip
    """Sign in and go on to where the person wanted to go."""
    try:
        token, person = signing.sign_in(desk, request, name, password)
    except RefusedError as error:
        fault = text(f"refused.{error.code}", language_of(request, None))
        if error.retry_after_s is not None:
            fault = text("sign_in.wait", language_of(request, None), n=error.retry_after_s)
        answer = page(
            request, "sign_in.html", None, status=error.status, next=local_path(next), name=name[:32], fault=fault
        )
        if error.retry_after_s is not None:
            answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    answer = to("/password" if person.must_change else local_path(next))
    signing.set_cookie(answer, desk, token)
    read_in = browser_language(request)
    if LANGUAGE_COOKIE not in request.cookies and read_in is not None and read_in != person.language:
        # The form was read in the browser's language: the pages behind it go on in it until the browser is closed.
        answer.set_cookie(LANGUAGE_COOKIE, read_in, httponly=True, samesite="strict", secure=desk.settings.https)
    return answer


@router.post("/sign-out")
def sign_out(desk: Parts, person: Unsettled, csrf: Text = "") -> Response:
    """End the session."""
    check_csrf(person, csrf)
    signing.sign_out(desk, person)
    answer = to("/sign-in")
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.post("/language")
def set_language(desk: Parts, language: Text = "zh", next: Text = "/") -> Response:  # noqa: A002 - the name of the field
    """Choose the language of the pages, kept in a cookie of its own."""
    answer = to(local_path(next))
    chosen = language if language in users.LANGUAGES else "zh"
    answer.set_cookie(
        LANGUAGE_COOKIE, chosen, max_age=YEAR_S, httponly=True, samesite="strict", secure=desk.settings.https
    )
    return answer


@router.get("/password")
def password_page(request: Request, person: Unsettled) -> Response:
    """Show the form for a new password."""
    return page(request, "password.html", person, faults=[])


@router.post("/password")
def set_password(
    request: Request, desk: Parts, person: Unsettled,
    old: Text = "", new: Text = "", again: Text = "", csrf: Text = "",
) -> Response:  # fmt: skip
    """Set one's own password; every session of the account ends, this browser gets a new one."""
    check_csrf(person, csrf)
    if again != new:
        faults, token = ["differs"], None
    else:
        faults, token = signing.change_password(desk, person, old, new)
    if faults:
        words = [text(f"fault.{fault}", language_of(request, person)) for fault in faults]
        return page(request, "password.html", person, status=HTTPStatus.UNPROCESSABLE_ENTITY, faults=words)
    answer = to("/" if token else "/sign-in")
    if token:
        signing.set_cookie(answer, desk, token)
    return answer


def to(path: str) -> Response:
    """Send the browser on after a form, so that loading the page again repeats nothing."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
