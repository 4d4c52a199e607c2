"""What registers of tests lack: a calibration that is in force whenever a test plays (else `register.calibration-due` speaks), and most other facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.pack import Bundle

CALIBRATION = {"done": "2026-01-05", "due": "2099-12-31"}
"""Without points: `register.sensor-error` has nothing to say of it."""

LISTING = "register.incomplete"


def unlisted(bundle: Bundle) -> Bundle:
    """Return packs without the rule that lists what a register lacks: those of most tests name what the test is about, and no more."""
    return bundle.only({rule.id for rule in bundle.rules} - {LISTING})
