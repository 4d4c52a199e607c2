"""Colours are read from the style sheet and weighed: text on every ground it stands on, marks on theirs (WCAG 2.2 AA)."""

from __future__ import annotations

import re

import pytest

from monitor.console.files import STATIC

CSS = (STATIC / "desk.css").read_text(encoding="utf-8")
NAMED = dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{3,6})\b", CSS))
GROUNDS = {"page": NAMED["page"], "paper": NAMED["paper"], "row": "#ffffff", "chosen": "#d5e2f0"}


def luminance(colour):
    digits = colour.lstrip("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_weighing_is_right():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("colour", ["red", "orange", "yellow", "blue", "ink", "ink-2", "accent", "limit"])
def test_text_can_be_read_on_every_ground(colour, ground):
    assert contrast(NAMED[colour], GROUNDS[ground]) >= 4.5


@pytest.mark.parametrize("mark", ["bar", "limit", "bad", "late"])
def test_marks_are_seen(mark):
    assert contrast(NAMED[mark], NAMED["paper"]) >= 3


def test_what_is_left_of_a_bar_is_told_from_what_has_gone():
    assert contrast(NAMED["bar"], NAMED["room"]) >= 3


def test_the_grounds_are_grey():
    """ISA-101: colour means abnormal and nothing else."""
    for name in ("page", "paper", "line", "hair", "room", "grid", "bar"):
        red, green, blue = (int(NAMED[name][i : i + 2], 16) for i in (1, 3, 5))
        assert max(red, green, blue) - min(red, green, blue) <= 24, name


def test_the_grounds_weighed_here_are_those_of_the_sheet():
    assert re.search(r"tr\.chosen td \{ background: #d5e2f0; \}", CSS)
    assert re.search(r"tr\.unacknowledged td \{ background: #fff; \}", CSS)


def test_one_thing_blinks():
    assert len(re.findall(r"animation: (?!none)", CSS)) == 1
    assert "prefers-reduced-motion" in CSS
