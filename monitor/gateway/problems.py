"""Refusals as RFC 9457 problem+json, with all faults at once."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from monitor.gateway.texts import TITLES

if TYPE_CHECKING:
    from rules.errors import Fault
    from rules.faults import PostRefusedError


class RefusedError(Exception):
    """A request that gets no receipt; `code` is stable."""

    def __init__(self, status: HTTPStatus, code: str, detail: str = "", retry_after_s: int | None = None) -> None:
        self.status, self.code, self.detail, self.retry_after_s = status, code, detail, retry_after_s
        self.faults: list[Fault] = []
        self.counts: dict[str, int] = {}
        super().__init__(f"{status.value} {code}: {detail}")

    @classmethod
    def of_post(cls, error: PostRefusedError) -> RefusedError:
        """Return the refusal of a body that breaks the contract."""
        status = {
            "malformed": HTTPStatus.BAD_REQUEST,
            "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "contract": HTTPStatus.UNPROCESSABLE_ENTITY,
        }[error.grounds]
        refused = cls(status, error.grounds, str(error))
        refused.faults, refused.counts = error.faults, error.counts
        return refused

    def response(self) -> Response:
        """Return the problem document."""
        body: dict[str, Any] = {
            "type": f"urn:offsite:problem:{self.code}",
            "title": TITLES[self.code].en,
            "title_zh": TITLES[self.code].zh,
            "status": self.status.value,
            "code": self.code,
            "errors": [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in self.faults],
        }
        if self.detail:
            body["detail"] = self.detail
        if self.counts:
            body["counts"] = self.counts
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(msgspec.json.encode(body), self.status.value, headers, "application/problem+json")
