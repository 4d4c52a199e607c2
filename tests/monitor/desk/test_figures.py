"""Figures over all facilities, by API, page and metrics: the same numbers, in both languages; what is missing is said."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from monitor.deadlines import keeping as deadlines
from monitor.deadlines.snapshots import Listed
from rules.instants import format_instant
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import BASE, DeskLab
from tests.monitor.figures.counties import MAKER, at, facility, institution, keep, province, sample

LANGUAGES = ("zh", "en")
NOW = at("2026-11-15T10:00:00")


@pytest.fixture
def empty(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    made.clock.ms = NOW
    return made


@pytest.fixture
def lab(empty):
    province(empty.store, NOW)
    return empty


@pytest.fixture
def either_lab(store, tmp_path):
    made = DeskLab(store, tmp_path / "archive")
    made.clock.ms = NOW
    province(store, NOW)
    return made


def shown(client, query=""):
    answer = client.get(f"/figures{query}")
    assert answer.status_code == 200, answer.text[:300]
    return parse(answer.text)


def rows(page, section):
    (part,) = [one for one in page.all("section") if one.attributes.get("id") == section]
    return [[cell.text for cell in row.all("td")] for row in part.all("tr")[1:]]


class TestApi:
    def test_all_of_it(self, either_lab):
        with either_lab.signed_in(role="reader") as client:
            found = client.get("/v1/figures").json()
        assert found["grades"] == {"A": 7, "B": 20, "C": 5, "D": 8, "none": 2}
        assert (found["at"], found["as_of"], found["facilities"]) == (
            format_instant(NOW),
            format_instant(NOW - 30_000),
            42,
        )
        month = [one for one in found["sampling"] if one["period"] == "2026-10"]
        assert [(one["line"], one["samples"], one["passed"], one["percent"], one["missed"]) for one in month] == [
            ("drug", 186, 182, 97.84, True), ("device", 31, 31, 100.0, False),
        ]  # fmt: skip
        (judged,) = found["years"][0]["judged"]
        assert judged == {
            "target": "b-share-step", "at": "2026-09-30T16:00:00.000Z", "missed": True, "severity": "blue",
            "share": {"facilities": 20, "visited": 9, "percent": 45.0},
        }  # fmt: skip
        assert found["years"][0]["steps"] == {"proposed": 3, "open": 1, "signed": 1, "refused": 1, "withdrawn": 0}
        assert [(one["name"], one["cites"][0]["status"]) for one in found["targets"]] == [
            ("sampling", "verify"), ("b-share-step", "own"), ("b-share", "cited"),
        ]  # fmt: skip

    def test_one_kind_of_period(self, lab):
        with lab.signed_in() as client:
            found = client.get("/v1/figures", params={"period": "quarter"}).json()
            assert client.get("/v1/figures", params={"period": "week"}).json()["code"] == "contract"
        assert {one["kind"] for one in found["sampling"]} == {"quarter"}
        assert found["sampling"][0]["period"] == "2026-Q4"

    def test_nothing_is_known(self, empty):
        with empty.signed_in() as client:
            found = client.get("/v1/figures").json()
        assert (found["sampling"], found["as_of"], found["facilities"]) == ([], None, 0)
        assert found["years"][0]["trials"]["B"] == {"facilities": 0, "visited": 0, "percent": None}
        assert found["years"][0]["judged"][0]["missed"] is None

    def test_nobody_sees_it_without_signing_in(self, lab):
        with TestClient(lab.app, base_url=BASE) as client:
            assert client.get("/v1/figures").status_code == 401
            assert client.get("/figures", follow_redirects=False).status_code == 303

    def test_time_alone_judges(self, lab):
        with lab.signed_in() as client:
            lab.clock.ms = at("2026-09-30T23:59:59")
            assert client.get("/v1/figures").json()["years"][0]["judged"] == []
            lab.clock.ms += 1_000
            assert len(client.get("/v1/figures").json()["years"][0]["judged"]) == 1


class TestPage:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_tables(self, lab, language):
        with lab.signed_in(language=language) as client:
            page = shown(client)
        months = rows(page, "sampling")
        assert len(months) == 13
        assert "97.84 %" in months[1][0]
        assert "182 / 186" in months[1][0]
        assert [cell[:7] for row in rows(page, "visits") for cell in row][:4] == [
            "42.85 %",
            "42.85 %",
            "45.00 %",
            "45.00 %",
        ]
        assert rows(page, "visits")[2][1] == "–"
        assert rows(page, "steps")[0] == ["3", "1", "1", "1", "0"]

    @pytest.mark.parametrize(
        ("language", "told"),
        [("zh", ("低于 99 %", "待核实", "低于 50 %")), ("en", ("below 99 %", "to be verified", "below 50 %"))],
    )
    def test_what_is_missed_is_marked_with_its_citation_and_status(self, lab, language, told):
        with lab.signed_in(language=language) as client:
            page = shown(client)
        lines = [one for one in page.all("div") if one.attributes.get("class", "").startswith("missed")]
        assert [one.attributes["class"] for one in lines] == ["missed yellow", "missed yellow", "missed blue"]
        assert told[0] in lines[0].text
        assert told[1] in lines[0].text
        assert told[2] in lines[2].text

    def test_what_was_reached_is_said_without_a_colour(self, empty):
        keep(empty.store, *(institution(n, visits=[at("2026-03-01T00:00:00")]) for n in range(2)), as_of=NOW)
        with empty.signed_in(language="en") as client:
            page = shown(client)
        assert not [one for one in page.all("div") if one.attributes.get("class", "").startswith("missed")]
        assert any("50 % reached" in one.text for one in page.all("div"))

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_other_periods_and_years(self, lab, language):
        with lab.signed_in(language=language) as client:
            page = shown(client, "?by=quarter&year=2025")
            assert len(rows(page, "sampling")) == 9
            assert [cell for row in rows(page, "visits") for cell in row][:2] == ["0.00 % 0 / 7"] * 2
            assert len(rows(shown(client, "?by=year"), "sampling")) == 3
            part = client.get("/figures/rows?by=year")
            assert part.status_code == 200
            assert "<html" not in part.text

    @pytest.mark.parametrize("query", ["?by=week", "?year=1999", "?year=x", "?other=1"])
    def test_what_is_no_filter_is_refused(self, lab, query):
        with lab.signed_in() as client:
            assert client.get(f"/figures{query}").status_code == 422

    @pytest.mark.parametrize(
        ("language", "told"), [("zh", "所示期间没有抽检报告"), ("en", "No sample drawn in these periods")]
    )
    def test_an_empty_desk_says_so(self, empty, language, told):
        with empty.signed_in(language=language) as client:
            text = client.get("/figures").text
        assert told in text
        assert ("尚未读到任何快照" if language == "zh" else "No snapshot was read yet") in text

    def test_what_is_missing_or_old_is_said(self, empty):
        keep(empty.store, facility(MAKER, dropped=7), as_of=NOW - 200_000)
        with empty.store.writing() as session:
            deadlines.keep(session, 0, Listed("BJ-X-0001", "", fault="broken"))
        with empty.signed_in(language="en") as client:
            text = client.get("/figures").text
        assert "These figures are old" in text
        assert "7 older reports of samples" in text
        assert "Of 1 facilities the newest snapshot cannot be read" in text

    def test_a_line_that_nobody_knows_has_its_column(self, empty):
        keep(empty.store, facility("BJ-LAB-0001", samples=[sample(1, NOW)]), as_of=NOW)
        with empty.signed_in(language="en") as client:
            assert "Line not known" in client.get("/figures").text


def test_metrics_show_them(lab):
    with lab.signed_in() as client:
        told = client.get("/metrics").text
    assert 'offsite_desk_facilities{grade="B"} 20.0' in told
    assert 'offsite_desk_figure_missed{target="sampling"} 1.0' in told
    assert 'offsite_desk_visited_ratio{grade="B",of="trials"} 0.45' in told
