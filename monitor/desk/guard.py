"""What every answer carries and every request must keep to: headers against injection, a cap on bodies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
CSP = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """ASGI middleware: adds the headers, ends a body that is too large with 413."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """Wrap an app; behind TLS browsers are told to stay there."""
        self._app = app
        self._headers = [*HEADERS, HSTS] if https else list(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 9 or int(declared) > MAX_BODY:  # noqa: PLR2004 - no number of ours
            await self._too_large(send)
            return
        seen, refused = 0, False

        async def counted() -> Message:
            nonlocal seen, refused
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > MAX_BODY:
                    refused = True  # whatever the app makes of the error, the answer below is 413
                    raise TooLargeError
            return message

        async def with_headers(message: Message) -> None:
            if refused:
                return
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                named = {name.lower() for name, _ in own}  # a download has a stricter policy of its own
                message["headers"] = [*own, *(header for header in self._headers if header[0] not in named)]
            await send(message)

        with contextlib.suppress(TooLargeError):
            await self._app(scope, counted, with_headers)
        if refused:
            await self._too_large(send)

    async def _too_large(self, send: Send) -> None:
        body = b'{"type":"about:blank","title":"Content Too Large","status":413,"code":"too_large"}'
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": [*headers, *self._headers]})
        await send({"type": "http.response.body", "body": body})


class TooLargeError(Exception):
    """More bytes came than any form of ours has."""
