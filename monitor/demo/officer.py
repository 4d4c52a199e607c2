"""The simulated officer on duty: signs in as anybody would, acknowledges what it has seen, through the public API."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import httpx

from rules.errors import PartMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class OfficerError(PartMissingError):
    """The desk refused what an officer may do."""


class Officer:
    """A client of the desk. `sign_in` changes the one-time password by the form, as a person does."""

    def __init__(self, desk: str, name: str, one_time: str) -> None:
        """Take the desk's address and the account."""
        self._client = httpx.Client(base_url=desk, timeout=10, trust_env=False, follow_redirects=False)
        self._name, self._one_time = name, one_time
        self._csrf = ""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def sign_in(self) -> None:
        """Sign in and set a password of one's own.

        Raises:
            OfficerError: the desk refused.
        """
        self._ok(self._client.post("/sign-in", data={"name": self._name, "password": self._one_time}))
        found = CSRF.search(self._ok(self._client.get("/password")).text)
        if found is None:
            raise OfficerError("the form for a new password has no token")
        chosen = secrets.token_urlsafe(24)
        form = {"old": self._one_time, "new": chosen, "again": chosen, "csrf": found.group(1)}
        if self._client.post("/password", data=form).status_code != httpx.codes.SEE_OTHER:
            raise OfficerError("the new password was refused")
        self._csrf = self._ok(self._client.get("/v1/session")).json()["csrf"]

    def alarms(self, **filters: str) -> list[dict[str, Any]]:
        """Return alarms of the API, all pages."""
        return list(self._pages(filters))

    def detail(self, alarm: str) -> dict[str, Any]:
        """Return one alarm with its history."""
        return dict(self._ok(self._client.get(f"/v1/alarms/{alarm}")).json())

    def chart(self, alarm: str) -> dict[str, Any]:
        """Return the chart of an alarm."""
        return dict(self._ok(self._client.get(f"/v1/alarms/{alarm}/chart")).json())

    def page(self, path: str) -> str:
        """Return a page as a browser without JavaScript gets it."""
        return self._ok(self._client.get(path)).text

    def acknowledge(self, alarm: dict[str, Any], note: str) -> None:
        """Acknowledge an alarm at the revision seen."""
        body = {"revision": alarm["revision"], "note": note}
        url = f"/v1/alarms/{alarm['alarm']}/acknowledge"
        self._ok(self._client.post(url, json=body, headers={"X-CSRF-Token": self._csrf}))

    def _pages(self, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while True:
            page = self._ok(self._client.get("/v1/alarms", params=filters | after)).json()
            yield from page["items"]
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    @staticmethod
    def _ok(answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise OfficerError(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
            )
        return answer
