"""Real parts that tests need: found, or the test is skipped; under OFFSITE_REQUIRE_REAL_PARTS=1 (CI) it fails instead."""

from __future__ import annotations

import os

import pytest


def require(found: object, what: str) -> None:
    """Go on if `found`; else skip, or fail where CI demands every real part."""
    if found:
        return
    if os.environ.get("OFFSITE_REQUIRE_REAL_PARTS") == "1":
        pytest.fail(f"{what} is missing, and this run demands every real part")
    pytest.skip(f"{what} is missing")
