"""What a rule rests on reads in the language of the page; a pack of one's own is shown as it is written."""

from __future__ import annotations

import re

import pytest

from monitor.console.citations import ZH, cited
from rules.figures.targets import B_SHARE, SAMPLING
from rules.pack import default_bundle
from tests.monitor.alarms.changes import change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab

HAN = re.compile(r"[\u4e00-\u9fff]")
CITES = [cite for rule in (*default_bundle().rules, SAMPLING, *B_SHARE) for cite in rule.cites]
"""Of rules, and of what figures over all facilities are held against."""
WORDS = sorted({words for cite in CITES for words in (cite.instrument, cite.of) if words})


@pytest.mark.parametrize("words", WORDS)
def test_every_citation_that_ships_with_us_has_chinese_words(words):
    said = cited(words, "zh")
    assert words in ZH
    assert HAN.search(said) or re.fullmatch(r"[-\d.]+ (°C|%)", said)
    assert [number for number in re.findall(r"\d+(?:\.\d+)?", words) if number not in said and number != "1"] == []
    assert cited(words, "en") == words


def test_there_are_no_words_for_what_nobody_cites():
    assert set(ZH) == set(WORDS)


def test_a_citation_of_a_pack_of_ones_own_is_shown_as_written():
    assert cited("Works standard 7", "zh") == "Works standard 7"


@pytest.mark.parametrize(("language", "wanted", "not_wanted"), [("zh", "温湿度自动监测", "alarm when out of range"), ("en", "alarm when out of range", "超出范围报警")])  # fmt: skip
def test_the_alarm_page_cites_in_its_language(sqlite_store, tmp_path, language, wanted, not_wanted):
    lab = DeskLab(sqlite_store, tmp_path)
    raised = change(1, start=NOW - 60_000)
    lab.apply(raised)
    with lab.signed_in(language=language) as client:
        cites = parse(client.get(f"/alarms/{raised.alarm}").text).one("ul", class_="cites").text
    assert wanted in cites
    assert not_wanted not in cites
