"""The device of an event, plainly: what the envelope says, else what the fields say, else its source."""

from __future__ import annotations


def named(event):
    """The device that an event names, None of one that names none."""
    told = event.device or event.fields.get("device")
    return told if isinstance(told, str) and 0 < len(told) <= 128 and all("!" <= c <= "~" for c in told) else None


def device(event):
    return named(event) or event.source
