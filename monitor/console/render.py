"""Render a page: the language, what every page shows, and nothing from outside as markup."""

from __future__ import annotations

import unicodedata
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor.console.asking import preferred
from monitor.console.citations import cited
from monitor.console.formats import local, number, utc
from monitor.console.texts import TEXTS, text
from monitor.desk.parts import seen_person
from rules.wording import sign

if TYPE_CHECKING:
    from fastapi import Request

    from monitor.accounts.sessions import Person
    from monitor.desk.parts import RefusedError

HERE = Path(__file__).parent
LANGUAGE_COOKIE = "offsite_language"
LONGEST_PATH = 2000


def visible(value: object) -> object:
    """Return a value with the characters that would act on the page (control, direction) as signs that only show.

    >>> visible("a" + chr(0x202E) + "b" + chr(0) + "c")
    'a⟨202E⟩b⟨0000⟩c'
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(f"⟨{ord(c):04X}⟩" if c not in "\n\t" and _acts(c) else c for c in value)


def _acts(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=visible,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals.update(local=local, utc=utc, number=number, sign=sign)
DEFAULTS: dict[str, object] = {
    "page": "",
    "live": None,
    "untold": None,
    "old": None,
    "fresh": None,
    "mark": "",
    "waits": 0,
}


def language_of(request: Request, person: Person | None) -> str:
    """Return the language of a page: chosen by the cookie, the account's, what the browser asks for, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in {"zh", "en"}:
        return chosen
    if person is not None:
        return person.language
    return browser_language(request) or "zh"


def browser_language(request: Request) -> str | None:
    """Return which of our languages the browser asks for, if one; several lines of the header are one list."""
    return preferred(",".join(request.headers.getlist("accept-language")))


def local_path(target: str) -> str:
    """Return a path of this site, or the queue for anything else: nobody is sent away by a link.

    >>> local_path("/alarms/1?x=2"), local_path("//evil.example"), local_path("https://evil.example"), local_path("//[")
    ('/alarms/1?x=2', '/', '/', '/')
    """
    safe = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if safe and len(target) <= LONGEST_PATH else "/"


def page(
    request: Request, template: str, person: Person | None, *, status: int = HTTPStatus.OK, **context: object
) -> Response:
    """Return a rendered page; it is never cached."""
    language = language_of(request, person)
    here = _path(request) if request.method == "GET" else "/"
    words = {
        "t": partial(_text, language),
        "origin": partial(_origin, language),
        "cited": partial(cited, language=language),
    }
    shared = DEFAULTS | words | {"person": person, "lang": language, "here": here}
    body = TEMPLATES.get_template(template).render(shared | context)
    return HTMLResponse(body, status, {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"})


def refused(request: Request, error: RefusedError) -> Response:
    """Return the page of a refusal; who is not signed in goes to the form and comes back."""
    goes = {"not_signed_in": "/sign-in", "password_must_change": "/password"}.get(error.code)
    if goes is not None and request.headers.get("hx-request"):
        # A part of a page was asked for: the whole page is loaded again, and is sent on by itself.
        return Response(status_code=error.status, headers={"HX-Refresh": "true", "Cache-Control": "no-store"})
    if goes == "/sign-in":
        back = local_path(_path(request)) if request.method == "GET" else "/"
        return RedirectResponse("/sign-in?" + urlencode({"next": back}), HTTPStatus.SEE_OTHER)
    if goes is not None:
        return RedirectResponse(goes, HTTPStatus.SEE_OTHER)
    person = seen_person(request)
    key = f"refused.{error.code}"
    message = text(key if key in TEXTS else "refused.other", language_of(request, person))
    answer = page(request, "refused.html", person, status=error.status, message=message)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _text(language: str, key: str, **values: object) -> str:
    return text(key, language, **values)


def _origin(language: str, name: str) -> str:
    """Return where a limit comes from; a table or rule of a pack without words here is named as it is."""
    key = f"origin.{name}"
    return text(key, language) if key in TEXTS else name
