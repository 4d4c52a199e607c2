"""Static files: types that do not hang on the machine's own table, and how long a browser may keep them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from fastapi.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import Response
    from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}


class Files(StaticFiles):
    """The console's files. A vendored file has its version in its name and is kept; ours are asked for again (ETag)."""

    def __init__(self) -> None:
        """Serve the folder of the package, and nothing that leads out of it."""
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or what HTTP says of it."""
        answer = await super().get_response(path, scope)
        kind = TYPES.get(PurePosixPath(path).suffix)
        if kind is not None:
            answer.headers["content-type"] = kind
        kept = PurePosixPath(path).parts[:1] == ("vendor",)
        answer.headers["cache-control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return answer
