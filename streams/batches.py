"""Read batches with kafka-python as archive, dump and desk must: whatever the header names are, and with the checksum in C.

Kafka does not look at header names; kafka-python decodes them strictly and calls the whole batch corrupt otherwise, for ever:
one foreign record would stop them. A batch that fails so is read again with the names' bytes kept.
Its checksum (CRC-32C) in plain Python reads 8 MB a second, aiokafka's in C 1.9 GB; without the package `crc32c` it is all
that kafka-python has.
"""

from __future__ import annotations

from typing import Any

from aiokafka.record.util import calc_crc32c
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class HeaderName(str):
    """A header name whose bytes are no UTF-8; it is shown with escapes and encodes to what it was."""

    __slots__ = ("raw",)
    raw: bytes

    def encode(self, *_: object, **__: object) -> bytes:
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

    def validate_crc(self) -> bool:
        """Say whether the batch is what its producer sent; as the parent, asked before the records are read."""
        return bool(self.crc == calc_crc32c(memoryview(self._buffer)[self.ATTRIBUTES_OFFSET :]))

    def _read_msg(self, *arguments: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            strict, self._buffer = self._buffer, _Lenient(self._buffer)
            try:
                return super()._read_msg(*arguments)
            finally:
                self._buffer = strict


def install() -> None:
    """Make kafka-python's consumers of this process read batches so; done twice it changes nothing."""
    memory_records.DefaultRecordBatch = LenientBatch
