"""Read a request's body: streamed, decoded, never more than the cap in memory."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import zstandard

from monitor.gateway.problems import RefusedError
from streams.rejected import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_BODY_BYTES = 4 * 1024 * 1024
"""After decoding (contracts.md §1)."""
GZIP_WINDOW = 31
MAX_ZSTD_WINDOW = 8 * 1024 * 1024


class _Decoder(Protocol):
    def feed(self, chunk: bytes, room: int) -> bytes: ...
    def finished(self) -> bool: ...


class _Plain:
    def feed(self, chunk: bytes, room: int) -> bytes:
        return chunk[: room + 1]

    def finished(self) -> bool:
        return True


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(GZIP_WINDOW)

    def feed(self, chunk: bytes, room: int) -> bytes:
        if self._inner.eof and chunk:
            raise ValueError("bytes behind the end of the gzip stream")
        return self._inner.decompress(chunk, room + 1)

    def finished(self) -> bool:
        return self._inner.eof and not self._inner.unused_data


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).decompressobj()
        self._step = 64

    def feed(self, chunk: bytes, room: int) -> bytes:
        # The library has no output cap: small steps of input bound what one step can blow up to before the cap is seen.
        parts: list[bytes] = []
        size = 0
        for begin in range(0, len(chunk), self._step):
            parts.append(self._inner.decompress(chunk[begin : begin + self._step]))
            size += len(parts[-1])
            if size > room:
                break
        return b"".join(parts)

    def finished(self) -> bool:
        return self._inner.eof and not self._inner.unused_data


_DECODERS: dict[str, type[_Decoder]] = {"": _Plain, "identity": _Plain, "gzip": _Gzip, "zstd": _Zstd}


async def read_body(chunks: AsyncIterator[bytes], encoding: str, head: bytearray | None = None) -> bytes:
    """Return the decoded body; `head` takes its first 4 KiB on the way, so that they are there if it is refused.

    Raises:
        RefusedError: 413 above 4 MiB after decoding, 415 for another or a second encoding, 400 for broken compressed data.
    """
    maker = _DECODERS.get(encoding.strip().lower())
    if maker is None:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Content-Encoding: one of gzip, zstd")
    decoder = maker()
    parts: list[bytes] = []
    size = raw = 0
    async for chunk in chunks:
        raw += len(chunk)
        try:
            piece = decoder.feed(chunk, MAX_BODY_BYTES - size)
        except (zlib.error, zstandard.ZstdError, ValueError, EOFError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "malformed", f"broken {encoding} data: {error}") from None
        size += len(piece)
        if head is not None and len(head) < SAMPLE_BYTES:
            head += piece[: SAMPLE_BYTES - len(head)]
        if raw > MAX_BODY_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"at most {MAX_BODY_BYTES} bytes")
        if size > MAX_BODY_BYTES:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"at most {MAX_BODY_BYTES} bytes after decoding"
            )
        parts.append(piece)
    if not decoder.finished():
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "malformed", f"the {encoding} data end too early, or more follows them"
        )
    return b"".join(parts)
