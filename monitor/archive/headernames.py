"""Let kafka-python read header names that are no UTF-8.

Kafka does not look at header names; kafka-python decodes them strictly and calls the whole batch corrupt otherwise, for ever:
one foreign record would stop the archive. A batch that fails so is read again with the names' bytes kept.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class HeaderName(str):
    """A header name whose bytes are no UTF-8; it is shown with escapes and encodes to what it was."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: object, **__: object) -> bytes:  # type: ignore[override]  # the bytes are what they are
        """Return the bytes that stand in Kafka."""
        return self.raw


class _Lenient(bytes):
    """The bytes of a batch; what is cut out of it decodes whatever it holds."""

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - an index gives a number, a slice gives bytes
        found = super().__getitem__(place)
        return _Lenient(found) if isinstance(found, bytes) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        try:
            return super().decode(encoding)
        except UnicodeDecodeError:
            name = HeaderName(super().decode(encoding, "backslashreplace"))
            name.raw = bytes(self)
            return name


class LenientBatch(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python ships no types
    """A batch of records with header names of any bytes."""

    _buffer: Any

    def _read_msg(self, *arguments: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            strict, self._buffer = self._buffer, _Lenient(self._buffer)
            try:
                return super()._read_msg(*arguments)
            finally:
                self._buffer = strict


def allow_any_header_name() -> None:
    """Make kafka-python's consumers of this process read such records; done twice it changes nothing."""
    memory_records.DefaultRecordBatch = LenientBatch
