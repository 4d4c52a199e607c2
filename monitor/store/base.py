"""What all tables share: one metadata with stable constraint names, and the column types.

Instants are milliseconds since the epoch (UTC) in 64-bit integers, as in the log; documents are JSON text.
"""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import BigInteger, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=CONVENTION)


# SQLite numbers rows by itself only in a column that it calls INTEGER.
RowId = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
Ms = Annotated[int, mapped_column(BigInteger)]
"""An instant: milliseconds since the epoch, UTC."""
Offset = Annotated[int, mapped_column(BigInteger)]
FacilityKey = Annotated[str, mapped_column(String(32))]
AlarmKey = Annotated[str, mapped_column(String(32))]
Sha256Hex = Annotated[str, mapped_column(String(64))]
Short = Annotated[str, mapped_column(String(128))]
Document = Annotated[str, mapped_column(Text)]
"""JSON text."""
