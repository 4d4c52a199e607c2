"""Accept-Language is weighed as RFC 9110 section 12.5.4 and RFC 4647 say, and no header costs more than its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.console.asking import LONGEST, MOST, preferred
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import DeskLab


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        # the highest weight wins, wherever it stands; without one it is 1
        ("zh", "zh"), ("en", "en"), ("en;q=0.1, zh;q=0.9", "zh"), ("en-GB;q=0.1, zh;q=0.9", "zh"), ("zh;q=0.8,en", "en"),
        ("en;q=0.999,zh", "zh"), ("fr-FR, en-GB;q=0.8, zh;q=0.5", "en"), ("zh-TW,en", "zh"),
        # of equal weights the first
        ("en,zh", "en"), ("zh,en", "zh"), ("zh;q=0.5, en;q=0.5", "zh"), ("en-GB;q=0.2, en, zh", "en"), ("zh, en-GB;q=0.2, en", "zh"),
        # a weight of nothing excludes
        ("en;q=0,zh", "zh"), ("en;q=0.000, zh;q=0.001", "zh"), ("en;q=0", None), ("en;q=0, zh;q=0", None), ("zh;q=0, fr, en;q=0.1", "en"),
        ("en;q=0, en-GB, zh;q=0.1", "zh"), ("en-GB;q=0, en;q=0.5", "en"), ("zh-CN;q=0, zh, en;q=0.1", "en"), ("zh-TW;q=0, zh", "zh"),
        # `*` is what nothing else names
        ("*", None), ("fr, *;q=0.5", None), ("en;q=0, *", "zh"), ("zh;q=0.2, *;q=0.5", "en"), ("en, *;q=0.5", "en"),
        ("zh;q=0, *;q=0.1", "en"), ("*;q=0", None), ("*;q=0, en", "en"), ("*, en", "en"), ("en;q=0.1, *;q=0", "en"),
        # a range is a language by its whole first subtag
        ("eng", None), ("english,zh", "zh"), ("zhx", None), ("enm-GB, zh;q=0.1", "zh"), ("en-Latn-GB", "en"), ("zh-Hans-CN, en", "zh"),
        # letters, blanks and empty parts
        ("EN-gb", "en"), ("ZH ; Q=0.3 ,\ten;q=0.2", "zh"), (", ,en,", "en"), ("en;q=1.000,zh;q=0.5", "en"), ("en;q=0.,zh;q=0.1", "zh"),
        # what is no range is left out
        ("", None), ("en;q=2", None), ("en;q=0.1234,zh;q=0.1", "zh"), ("en;q=1.5,zh;q=0.1", "zh"), ("en;q=-1", None), ("en;q=", None),
        ("en;level=1", None), ("en_GB", None), ("en-", None), ("-en", None), ("*-en", None), ("en zh", None), ("en;q=nan,zh;q=0.1", "zh"),
        ("en;q=0.5;q=0.6", None), ("\u0435n", None), ("en\n", None), ("en;q=\u0661,zh;q=0.1", "zh"), ("toolonglanguage, en;q=0.1", "en"),
    ],
)  # fmt: skip
def test_the_language_asked_for(header, wanted):
    assert preferred(header) == wanted


def test_a_header_is_read_to_its_bound_and_never_to_half_a_weight():
    filler = "fr-" + "x" * 8 + ";q=0.5,"
    pad = filler * 49
    assert preferred(pad + "en") == "en"
    assert preferred(pad + "fr,en") is None, "the range past the most that are read"
    for read, rest in (("zh;q=0", ".9"), ("zh", ";q=0.1")):  # the half that would be read: not at all, and above all
        first = "zh;q=0.5," if rest == ".9" else "en;q=0.5,"
        whole = f"{first}{'x' * (LONGEST - len(first) - len(read) - 1)},{read}{rest}"
        assert whole[:LONGEST].endswith(f",{read}")
        assert preferred(whole) == first[:2]
    assert preferred(f"zh;q=0.2,{'x' * LONGEST},en") == "zh"
    assert preferred("x" * 1_000_000) is None
    assert MOST == 50


@given(st.text(alphabet="enzh*-;q=01. ,\t", max_size=60))
def test_any_header_has_an_answer(header):
    assert preferred(header) in {None, "zh", "en"}
    assert preferred(header) == preferred(header.upper())


@given(st.lists(st.sampled_from(["fr", "de;q=0.9", "eng", "zha", "en_US", "", "zh;q=9"]), max_size=8), st.booleans())
def test_languages_that_there_are_not_change_nothing(others, first):
    around = ",".join(others)
    header = f"en;q=0.4,{around},zh;q=0.6" if first else f"zh;q=0.6,{around},en;q=0.4"
    assert preferred(header) == "zh"


@pytest.fixture
def form(sqlite_store, tmp_path):
    """The language of the sign-in form for lines of the header."""
    lab = DeskLab(sqlite_store, tmp_path / "archive")
    with lab.client() as client:

        def read(*lines):
            answer = client.get("/sign-in", headers=[("Accept-Language", line) for line in lines])
            return parse(answer.text).one("html")["lang"]

        yield read


def test_the_form_is_in_the_language_that_weighs_most(form):
    assert form("en;q=0,zh") == "zh-CN"
    assert form("en-GB;q=0.1, zh;q=0.9") == "zh-CN"
    assert form("zh;q=0.1, en;q=0.9") == "en"
    assert form("eng") == form("*") == form("en;q=0") == "zh-CN", "Chinese where nothing is asked for"


def test_several_lines_are_one_list(form):
    """RFC 9110 section 5.3."""
    assert form("fr, zh;q=0.2", "en;q=0.7") == "en"
    assert form("en;q=0.2", "zh;q=0.7") == "zh-CN"
