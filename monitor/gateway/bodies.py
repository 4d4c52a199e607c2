"""Read a request's body: streamed, decoded, never more than the cap in memory, never longer than it may take."""

from __future__ import annotations

import asyncio
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import zstandard

from monitor.gateway.problems import RefusedError
from streams.rejected import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.gateway.hall import Place

MAX_BODY_BYTES = 4 * 1024 * 1024
"""After decoding (contracts.md §1)."""
GRACE_S = 20.0
LEAST_BYTES_S = 16 * 1024
"""A body may take its grace, and a second more for each 16 KiB that came (128 kbit/s)."""
DIGITS = 16
"""Of a `Content-Length`; as many are too many bytes, whatever follows."""
GZIP_WINDOW = 31
MAX_ZSTD_WINDOW = 8 * 1024 * 1024


class _Decoder(Protocol):
    holds: int
    """Bytes held per decoded byte."""

    def feed(self, chunk: bytes, room: int) -> bytes: ...
    def finished(self) -> bool: ...


class _Plain:
    holds = 1

    def feed(self, chunk: bytes, room: int) -> bytes:
        return chunk[: room + 1]

    def finished(self) -> bool:
        return True


class _Gzip:
    holds = 1

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(GZIP_WINDOW)

    def feed(self, chunk: bytes, room: int) -> bytes:
        if self._inner.eof and chunk:
            raise ValueError("bytes behind the end of the gzip stream")
        return self._inner.decompress(chunk, room + 1)

    def finished(self) -> bool:
        return self._inner.eof and not self._inner.unused_data


class _Zstd:
    holds = 2  # its window grows with what was decoded

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


async def read_body(
    chunks: AsyncIterator[bytes], encoding: str, head: bytearray, place: Place, declared: int = 0
) -> bytes:
    """Return the decoded body; `head` takes its first 4 KiB on the way, so that they are there if it is refused.

    `place` holds what is in memory of it, and from the beginning what is declared.

    Raises:
        RefusedError: 413 above 4 MiB after decoding, 415 for another or a second encoding, 400 for broken compressed data,
            408 where it comes too slowly, 429 or 503 where there is no room for it.
    """
    maker = _DECODERS.get(encoding.strip().lower())
    if maker is None:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", "Content-Encoding: one of gzip, zstd")
    if declared <= MAX_BODY_BYTES:
        place.hold(declared)
    decoder = maker()
    parts: list[bytes] = []
    size = raw = 0
    due = asyncio.get_running_loop().time() + GRACE_S
    while (chunk := await next_chunk(chunks, due + raw / LEAST_BYTES_S)) is not None:
        raw += len(chunk)
        try:
            if maker is _Plain:
                piece = decoder.feed(chunk, MAX_BODY_BYTES - size)
            else:
                async with place.turn():  # a few bytes may be four mebibytes
                    piece = decoder.feed(chunk, MAX_BODY_BYTES - size)
        except (zlib.error, zstandard.ZstdError, ValueError, EOFError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "malformed", f"broken {encoding} data: {error}") from None
        size += len(piece)
        if len(head) < SAMPLE_BYTES:
            head += piece[: SAMPLE_BYTES - len(head)]
        if max(raw, declared) > MAX_BODY_BYTES:
            raise too_large()
        if size > MAX_BODY_BYTES:
            raise too_large(" after decoding")
        place.hold(size * decoder.holds)
        parts.append(piece)
    if not decoder.finished():
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "malformed", f"the {encoding} data end too early, or more follows them"
        )
    return b"".join(parts)


def declared_bytes(length: str | None) -> int:
    """Return how many bytes a `Content-Length` announces, 0 where it does not: such a body takes room as it comes."""
    known = length is not None and length.isascii() and length.isdigit()
    return int(length[:DIGITS]) if length is not None and known else 0


def too_large(how: str = "", most: int = MAX_BODY_BYTES) -> RefusedError:
    """Return the refusal of a body above the cap."""
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"at most {most} bytes{how}")


async def next_chunk(chunks: AsyncIterator[bytes], due: float) -> bytes | None:
    """Return the next chunk, None behind the last.

    Raises:
        RefusedError: 408 where it has not come by `due` (the loop's time).
    """
    try:
        async with asyncio.timeout_at(due):
            return await anext(chunks, None)
    except TimeoutError:
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the body") from None
