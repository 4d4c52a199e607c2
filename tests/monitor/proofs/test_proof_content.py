"""What content is of which type: told by its bytes, however they are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.proofs.content import MEDIA, SUFFIXES, Look, MediaType, media_type, suffix
from tests.monitor.proofs.samples import CSV, JPEG, PDF, PNG, SAMPLES


def fault(media, *pieces):
    look = Look(media)
    for piece in pieces:
        look.feed(piece)
    return look.end()


@pytest.mark.parametrize("media", SAMPLES)
def test_each_type_is_what_its_sample_is(media):
    assert fault(media, SAMPLES[media]) == ""
    assert suffix(media) in set(SUFFIXES.values())


def test_every_type_has_a_sample_and_a_suffix():
    assert set(SAMPLES) == set(get_args(MediaType))
    assert set(MEDIA) == set(SUFFIXES)


@pytest.mark.parametrize("media", ["application/pdf", "image/png", "image/jpeg"])
def test_no_type_is_taken_for_another_whatever_the_header_says(media):
    for other, content in SAMPLES.items():
        assert (fault(media, content) == "") is (other == media)


@pytest.mark.parametrize("content", [PNG, JPEG, PDF + b"\x00", b"MZ\x90\x00\x03", "温度".encode("utf-16")])
def test_a_text_holds_no_binary(content):
    assert fault("text/plain; charset=utf-8", content)
    assert fault("text/csv; charset=gb18030", content)


@pytest.mark.parametrize(
    ("media", "content", "words"),
    [
        ("application/pdf", b"", "empty"), ("text/csv; charset=utf-8", b"", "empty"),
        ("application/pdf", b"<html>%PDF-1.4 %%EOF", "first bytes"), ("application/pdf", PDF[:-7], "last bytes"),
        ("application/pdf", PDF + b" " * 1019, "last bytes"),
        ("image/png", PNG[:-1], "last bytes"), ("image/png", PNG + b"<script>", "last bytes"), ("image/png", PNG[:8], "first bytes"),
        ("image/jpeg", b"\xff\xd8", "first bytes"),
        ("text/plain; charset=utf-8", b"t\xe9 ", "no utf-8 text"), ("text/plain; charset=utf-8", "温".encode()[:-1], "no utf-8 text"),
        ("text/plain; charset=utf-8", b"\x1b[2J", "U+001B"), ("text/plain; charset=utf-8", b"a\x7fb", "U+007F"),
    ],
)  # fmt: skip
def test_what_is_not_whole_or_not_of_its_type_is_told(media, content, words):
    assert words in fault(media, content)


def test_the_end_of_a_pdf_may_lie_anywhere_in_its_last_kilobyte():
    assert fault("application/pdf", PDF + b" " * (1024 - len(b"%%EOF\n"))) == ""
    assert fault("application/pdf", PDF + b" " * (1025 - len(b"%%EOF\n")))


def test_a_text_may_have_tabs_lines_and_a_mark_of_its_order():
    assert fault("text/csv; charset=utf-8", b"\xef\xbb\xbfa\tb\r\nc\n") == ""


@given(
    st.sampled_from(sorted(SAMPLES)), st.binary(max_size=30), st.lists(st.integers(0, 200), max_size=6), st.booleans()
)
def test_where_content_is_cut_into_pieces_changes_nothing(media, more, cuts, before):
    content = more + SAMPLES[media] if before else SAMPLES[media] + more
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[a:b] for a, b in pairwise(places)]
    assert (fault(media, *pieces) == "") is (fault(media, content) == "")


@pytest.mark.parametrize(
    ("header", "media"),
    [
        ("application/pdf", "application/pdf"), (" Image/PNG ", "image/png"), ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv;charset=UTF-8", "text/csv; charset=utf-8"), ("text/plain; charset=gbk", "text/plain; charset=gb18030"),
        ("", None), ("text/html", None), ("text/plain; charset=latin-1", None), ("text/plain; format=flowed", None),
        ("application/pdf; charset=utf-8", None), ("text/plain; charset=utf-8; x=y", None), ("image/svg+xml", None),
        ("application/octet-stream", None), ("multipart/form-data; boundary=x", None),
    ],
)  # fmt: skip
def test_a_content_type_names_one_of_the_types_or_none(header, media):
    assert media_type(header) == media


def test_looking_keeps_no_more_than_the_ends():
    look = Look("application/pdf")
    look.feed(PDF[:9])
    for _ in range(100):
        look.feed(b"x" * 65536)
    assert len(look._head) + len(look._tail) < 2000
    look.feed(b"%%EOF")
    assert look.end() == ""
    assert CSV
