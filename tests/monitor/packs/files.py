"""Folders of rule files for tests: the shipped ones, edited as text."""

from __future__ import annotations

import shutil

from rules.pack import SHIPPED

STORE_OUT = "cold-chain/store-out.yaml"
STRICTER = (
    ("version: 1.0.0", "version: 1.1.0"),
    ("from: {low: 2, high: 8}", "from: {low: 2, high: 7}"),
    ("8.0 and 2.0 are inside", "7.0 and 2.0 are inside"),
    ("5x2 8.0x5 2.0x5", "5x2 7.0x5 2.0x5"),
    ("8.0x3 8.1x2", "7.0x3 7.1x2"),
    ("7x5 9x2 7x10", "6x5 9x2 6x10"),
    ("5x2 9x2 7.6x4 7.5x3", "5x2 9x2 6.6x4 6.5x3"),
    (
        "7.6 is inside the deadband and does not clear it; 7.5 does",
        "6.6 is inside the deadband and does not clear it; 6.5 does",
    ),
)
"""The high limit of the cold room's rule becomes 7, and its tests follow."""


def pack(folder, *edits, name=STORE_OUT):
    """Copy the shipped packs and replace text in one of their files; returns the folder."""
    shutil.copytree(SHIPPED, folder)
    path = folder / name
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return folder
