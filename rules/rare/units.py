"""Units of laboratory results: what spellings mean the same, and values in them exactly, in decimals."""

from __future__ import annotations

import sys
import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.tables import TableRow


def spelled(unit: str) -> str:
    """Return a unit without what does not tell it from others: small and capital letters, spaces, raised digits.

    >>> spelled("CFU / m³") == spelled("cfu/m3"), spelled("CFU/mL") == spelled("CFU/100 mL")
    (True, False)
    """
    return "".join(unicodedata.normalize("NFKC", unit).casefold().split())


def number_of(value: object) -> Fraction | None:
    """Return a value as its decimals say, None of what is no number of colonies or units: words, what lies below zero, what no float holds.

    >>> number_of(0.1), number_of("0.1"), number_of(-1), number_of(True), number_of(10**400)
    (Fraction(1, 10), None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        return None
    return Fraction(repr(value))


def factor_of(row: TableRow, unit: str) -> Fraction | None:
    """Return what a value in a unit is multiplied by to be one in the row's, None of a unit that the row does not know."""
    name = spelled(unit)
    if name == spelled(row.unit):
        return Fraction(1)
    return next((Fraction(repr(times)) for other, times in (row.units or {}).items() if spelled(other) == name), None)
