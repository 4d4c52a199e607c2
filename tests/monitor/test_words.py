"""What people write: blank is told from words, whatever the blank is made of."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import words
from monitor.words import is_name, one_line, says_something

BLANK = [
    "",
    " ",
    "\t\r\n",
    "\u3000",
    "\u00a0\u2003",
    "\u200b\u200d\u2060",
    "\ufeff",
    "\u2800",
    "\u3164\u115f\uffa0",
    "\x00",
    "\u202e",
    "\u0301",
]


@pytest.mark.parametrize("blank", BLANK)
def test_what_nobody_sees_says_nothing(blank):
    assert not says_something(blank)
    assert one_line(blank, 10) == ""
    assert not is_name(blank, 10)


@pytest.mark.parametrize("said", ["a", "0", "封", ".", "é", "-", "€", "\u200b!"])
def test_one_sign_is_enough(said):
    assert says_something(said)
    assert one_line(f" {said}\n", 10).strip() != ""


@given(st.text(max_size=30))
def test_a_line_is_printable_short_and_empty_only_where_nothing_is_said(text):
    line = one_line(text, 10)
    assert len(line) <= 10
    assert line.isprintable()
    assert line == line.lstrip()
    assert line == "" or says_something(line)
    assert one_line(text, 30) != "" or not any(c.isalnum() for c in text if c.isprintable() and says_something(c))


def test_what_is_cut_off_before_anything_is_said_is_no_line():
    assert one_line("\u0301" * 10 + "a", 10) == ""


def test_a_name_is_bounded_and_of_one_line():
    assert is_name("x" * 128, 128)
    assert not is_name("x" * 129, 128)
    assert not is_name("li\nlei", 128)


def test_the_examples_hold():
    assert doctest.testmod(words).failed == 0
