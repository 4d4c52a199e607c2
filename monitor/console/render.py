"""Render a page: the language, what every page shows, and nothing from outside as markup."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monitor.console.formats import local, number, utc
from monitor.console.texts import text
from rules.wording import sign

if TYPE_CHECKING:
    from fastapi import Request, Response

    from monitor.accounts.sessions import Person
    from monitor.desk.parts import Desk, RefusedError

HERE = Path(__file__).parent
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals.update(local=local, utc=utc, number=number, sign=sign)
DEFAULTS: dict[str, object] = {"page": "", "live": None, "untold": None, "nojs": False}


def language_of(request: Request, person: Person | None) -> str:
    """Return the language of a page: chosen by the cookie, the account's, the browser's, else Chinese."""
    chosen = request.cookies.get("offsite_language", "")
    if chosen in {"zh", "en"}:
        return chosen
    if person is not None:
        return person.language
    wanted = request.headers.get("accept-language", "").lower()
    return "en" if wanted.startswith("en") else "zh"


def local_path(target: str) -> str:
    """Return a path of this site, or the queue for anything else: nobody is sent away by a link."""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if safe and not parts.scheme and not parts.netloc and len(target) <= 2000 else "/"  # noqa: PLR2004 - an address


def page(
    request: Request,
    desk: Desk,
    template: str,
    person: Person | None,
    *,
    status: int = HTTPStatus.OK,
    **context: object,
) -> Response:
    """Return a rendered page; it is never cached."""
    del desk
    language = language_of(request, person)
    query = f"?{request.url.query}" if request.url.query else ""
    here = f"{request.url.path}{query}" if request.method == "GET" else "/"
    shared = DEFAULTS | {"person": person, "lang": language, "t": partial(_text, language), "here": here}
    body = TEMPLATES.get_template(template).render(shared | context)
    return HTMLResponse(body, status, {"Cache-Control": "no-store"})


def refused(request: Request, desk: Desk, error: RefusedError) -> Response:
    """Return the page of a refusal; who is not signed in goes to the form and comes back."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if error.status == HTTPStatus.UNAUTHORIZED:
        back = path if request.method == "GET" and not path.startswith("/queue/") else "/"
        return RedirectResponse("/sign-in?" + urlencode({"next": local_path(back)}), HTTPStatus.SEE_OTHER)
    if error.code == "password_must_change":
        return RedirectResponse("/password", HTTPStatus.SEE_OTHER)
    language = language_of(request, None)
    key = f"refused.{error.code}"
    try:
        message = text(key, language)
    except KeyError:
        message = text("refused.other", language)
    answer = page(request, desk, "refused.html", None, status=error.status, message=message)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _text(language: str, key: str, **values: object) -> str:
    return text(key, language, **values)
