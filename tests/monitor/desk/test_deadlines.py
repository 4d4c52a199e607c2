"""What is due, by API and page: the same rows, in order, filtered, in both languages; what is missing is said."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.accounts import assignments
from monitor.console.texts import text
from monitor.deadlines import keeping
from monitor.deadlines.snapshots import Listed
from monitor.register.store import import_register
from rules.instants import format_instant
from rules.models import Bilingual
from tests.monitor.alarms.changes import change
from tests.monitor.deadlines.listed import DUE, INVESTIGATION, LATE, SOON, UNKNOWN, keep, province, told
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.register.samples import facility, register
from tests.rules.duelogs import DAY, HOUR

LANGUAGES = ("zh", "en")


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    province(made.store)
    return made


@pytest.fixture
def either_lab(store, tmp_path):
    made = DeskLab(store, tmp_path / "archive")
    province(made.store)
    return made


def registered(lab):
    named = {"name": {"zh": "京北（模拟）", "en": "Jingbei (simulated)"}}
    with lab.store.writing() as session:
        import_register(session, register(*(facility(name) | named for name in (LATE, SOON, DUE, UNKNOWN))), "u", NOW)


def cases(found):
    return [item["subject"]["report"] for item in found["items"]]


def shown(client, query=""):
    """Return the page and the cases of its rows."""
    answer = client.get(f"/deadlines{query}")
    assert answer.status_code == 200, answer.text[:300]
    page = parse(answer.text)
    return page, [row.all("span", class_="id")[-1].text for row in page.all("tr") if row.attributes.get("id")]


class TestApi:
    def test_a_page_of_all_that_runs(self, either_lab):
        registered(either_lab)
        with either_lab.signed_in(role="reader") as client:
            found = client.get("/v1/deadlines").json()
        assert cases(found) == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
        assert [item["state"] for item in found["items"]] == ["late", "soon", "due", "unknown"]
        assert [item["severity"] for item in found["items"]] == ["red", "blue", None, None]
        first = found["items"][0]
        assert first["rule"] == INVESTIGATION
        assert first["facility_name"] == {"zh": "京北（模拟）", "en": "Jingbei (simulated)"}
        assert (first["inspectors"], first["left"]["en"].endswith(" overdue"), first["left_ms"] < 0) == ([], True, True)
        assert {key: found[key] for key in ("total", "next", "counts", "at", "as_of")} == {
            "total": 4, "next": None, "counts": {"late": 1, "soon": 1, "due": 1, "unknown": 1},
            "at": format_instant(NOW), "as_of": format_instant(NOW - 30_000),
        }  # fmt: skip
        assert [found[key] for key in ("left_out", "aside", "quarantined", "unread")] == [0, 0, 0, 0]

    def test_as_time_goes_by_the_same_rows_say_more(self, lab):
        (row,) = _items(lab, SOON, "li.lei")
        assert row["state"] == "soon"
        lab.clock.ms += row["left_ms"] + 1
        assert [one["state"] for one in _items(lab, SOON, "han.mei")] == ["late"]

    def test_filters_and_pages(self, either_lab):
        registered(either_lab)
        with either_lab.signed_in() as client:
            with either_lab.store.writing() as session:
                assignments.assign(session, "li.lei", [SOON, UNKNOWN], "op", NOW)

            def ask(**wanted):
                return client.get("/v1/deadlines", params=wanted).json()

            assert cases(ask(state="late")) == ["C-LATE"]
            assert cases(ask(facility=DUE)) == ["C-DUE"]
            assert cases(ask(inspector="li.lei")) == ["C-SOON", "V-1"]
            assert cases(ask(inspector="-")) == ["C-LATE", "C-DUE"]
            assert [item["inspectors"] for item in ask()["items"]] == [[], ["li.lei"], [], ["li.lei"]]
            assert cases(ask(until=format_instant(NOW))) == ["C-LATE", "V-1"]
            first = ask(limit=3)
            assert cases(first) == ["C-LATE", "C-SOON", "C-DUE"]
            assert cases(ask(limit=3, after=first["next"])) == ["V-1"]

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            ({"state": "over"}, "contract"), ({"facility": "no id"}, "contract"), ({"inspector": "No One"}, "contract"),
            ({"until": "tomorrow"}, "contract"), ({"limit": 0}, "contract"), ({"odd": 1}, "contract"),
            ({"after": "nonsense"}, "bad_cursor"),
        ],
    )  # fmt: skip
    def test_what_is_no_filter_is_refused(self, lab, wanted, code):
        with lab.signed_in() as client:
            answer = client.get("/v1/deadlines", params=wanted)
        assert (answer.status_code, answer.json()["code"]) == (422, code)

    def test_only_who_is_signed_in_sees_it(self, lab):
        with lab.client() as client:
            assert client.get("/v1/deadlines").status_code == 401

    def test_what_is_missing_is_counted(self, lab):
        with lab.store.writing() as session:
            keeping.hold(session, DUE, held=True)
            keeping.keep(session, 0, Listed(LATE, "", fault="broken"))
            keeping.keep(session, 1, Listed(SOON, "x", [], 4, ["a.b", "a.c"]))
        with lab.signed_in() as client:
            found = client.get("/v1/deadlines").json()
        assert [found[key] for key in ("left_out", "aside", "quarantined", "unread")] == [4, 2, 1, 1]


class TestPage:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_rows_say_what_is_due_when_and_where(self, lab, language):
        registered(lab)
        with lab.signed_in(language=language) as client:
            page, found = shown(client)
        assert found == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
        late, soon, due, unknown = [row for row in page.all("tr") if row.attributes.get("id")]
        words = {
            "zh": ("死亡病例调查报告15d, 起算", INVESTIGATION, "京北（模拟）", "逾期13天22小时"),
            "en": ("Investigation of a death15d, since", INVESTIGATION, "Jingbei (simulated)", "13 d 22 h overdue"),
        }  # fmt: skip
        assert [one for one in words[language] if one not in late.text] == []
        assert text("due.late", language) in late.text
        assert text("severity.red", language) in late.text
        assert late.one("div", class_="left").has("class_", "over")
        assert text("severity.blue", language) in soon.text
        assert due.all("span", class_="colour") == []  # colour means abnormal
        assert text("deadlines.no_end", language) in unknown.text
        assert [tag.text for tag in unknown.all("span", class_="verify")] == [text("verify.citation", language)]
        assert late.all("time")[0].text.startswith("2026-")
        assert late.one("a", class_="sub")["href"] == f"/?facility={LATE}"
        assert page.one("h1").text == text("deadlines.title", language)
        (here,) = [a for a in page.one("header", class_="top").all("a") if a.has("aria-current", "page")]
        assert (here["href"], here.text) == ("/deadlines", text("nav.deadlines", language))
        assert text("deadlines.as_of", language, time="…").partition("…")[0] in page.one("main").text

    def test_the_part_that_is_refreshed_is_what_the_page_shows(self, lab):
        with lab.signed_in() as client:
            page, _ = shown(client, "?state=late")
            part = page.one("div", id="deadlines")
            assert part["hx-get"] == "/deadlines/rows?state=late"
            alone = parse(client.get(part["hx-get"]).text)
        assert [row.text for row in alone.all("tr")] == [row.text for row in part.all("tr")]

    def test_the_form_filters_by_state_officer_facility_and_day(self, lab):
        registered(lab)
        with lab.signed_in() as client:
            with lab.store.writing() as session:
                assignments.assign(session, "li.lei", [SOON], "op", NOW)
            page, _ = shown(client)
            names = [field["name"] for field in [*page.all("select"), *page.one("form", class_="filters").all("input")]]
            assert names == ["state", "inspector", "until", "facility"]
            assert [one["value"] for one in page.all("select")[1].all("option")] == ["", "li.lei", "-"]
            assert shown(client, "?state=&inspector=&until=&facility=")[1] == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
            mine, found = shown(client, "?inspector=li.lei")
            assert found == ["C-SOON"]
            assert "李雷" in mine.one("tbody").text
            assert shown(client, "?inspector=-")[1] == ["C-LATE", "C-DUE", "V-1"]
            chosen, found = shown(client, f"?facility={DUE}&state=due")
            assert found == ["C-DUE"]
            assert chosen.one("a", class_="clear")["href"] == "/deadlines"

    def test_a_day_is_the_whole_local_day(self, lab):
        with lab.signed_in() as client:
            (row,) = client.get("/v1/deadlines", params={"facility": SOON}).json()["items"]
            assert row["due"].endswith("T16:00:00.000Z")  # 24:00 in Beijing
            day = row["due"][:10]
            page, found = shown(client, f"?facility={SOON}&until={day}")
            assert found == ["C-SOON"]
            assert page.one("input", name="until")["value"] == day
            before = format_instant(NOW)[:10]
            assert shown(client, f"?facility={SOON}&until={before}")[1] == []
            assert shown(client, f"?facility={SOON}&until={row['due']}")[1] == ["C-SOON"]

    def test_tallies_lead_to_their_rows(self, lab):
        with lab.signed_in() as client:
            page, _ = shown(client, f"?facility={LATE}&limit=1")
            tally = page.one("ul", class_="tally")
            assert [one.text for one in tally.all("b")] == ["1", "0", "0", "0"]
            for link, found in zip(tally.all("a"), (["C-LATE"], [], [], []), strict=True):
                assert shown(client, urlsplit(link["href"])._replace(path="").geturl())[1] == found

    def test_pages_lead_on_and_back(self, lab):
        with lab.signed_in() as client:
            page, found = shown(client, "?limit=3")
            assert found == ["C-LATE", "C-SOON", "C-DUE"]
            onward = page.one("a", rel="next")["href"]
            assert parse_qs(urlsplit(onward).query).keys() == {"limit", "after"}
            second, found = shown(client, onward.removeprefix("/deadlines"))
            assert found == ["V-1"]
            assert second.all("a", rel="next") == []
            assert "/deadlines?limit=3" in [a["href"] for a in second.all("a")]

    def test_the_alarm_that_stands_is_a_link_where_the_desk_has_it(self, lab):
        (alarm,) = {row["alarm"] for row in _items(lab, LATE, "han.mei")}
        assert alarm is not None
        raised = change(1, stream=LATE).model_copy(update={"rule": INVESTIGATION, "alarm": alarm})
        with lab.signed_in() as client:
            assert shown(client)[0].all("a", href=f"/alarms/{alarm}") == []
            lab.apply(raised)
            assert len(shown(client)[0].all("a", href=f"/alarms/{alarm}")) == 1
            assert client.get(f"/alarms/{alarm}").status_code == 200

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_an_old_list_says_so_and_one_that_was_never_read_too(self, lab, sqlite_store, language):
        with lab.signed_in(language=language) as client:
            assert shown(client)[0].all("p", role="alert") == []
            with sqlite_store.writing() as session:
                keeping.as_of(session, {2: NOW - 4 * 60_000})
            (alert,) = shown(client)[0].all("p", role="alert")
            assert alert.text.startswith(text("deadlines.old", language, time="…").partition("…")[0])
            assert shown(client, f"?facility={LATE}")[0].all("p", role="alert") == []  # its own partition is new

    def test_before_the_first_snapshot_it_says_that_it_is_not_whole(self, store, tmp_path):
        with DeskLab(store, tmp_path / "archive").signed_in(language="en") as client:
            page, found = shown(client)
        assert found == []
        assert page.one("p", role="alert").text == text("deadlines.never", "en")
        assert text("deadlines.none", "en") in page.text

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_what_is_not_listed_is_said(self, lab, language):
        with lab.store.writing() as session:
            keeping.hold(session, DUE, held=True)
            keeping.keep(session, 0, Listed(LATE, "", fault="broken"))
            keeping.keep(session, 1, Listed(SOON, "x", [], 4, ["a.b", "a.c"]))
        with lab.signed_in(language=language) as client:
            said = [p.text for p in shown(client)[0].all("p", class_="fault")]
        assert said == [text(f"deadlines.{name}", language, n=n) for name, n in
                        (("left_out", 4), ("aside", 2), ("held", 1), ("unread", 1))]  # fmt: skip

    @pytest.mark.parametrize(
        "query",
        ["?state=over", "?after=x", "?until=2026-02-30", "?until=tomorrow..", "?inspector=%00", "?x=1", "?limit=501"],
    )
    def test_a_filter_that_is_none_is_refused(self, lab, query):
        with lab.signed_in(language="en") as client:
            answer = client.get(f"/deadlines{query}")
        assert answer.status_code == 422
        assert parse(answer.text).one("p", role="alert").text == text("refused.bad_filter", "en")

    def test_who_is_not_signed_in_is_led_to_the_form(self, lab):
        with lab.client() as client:
            assert client.get("/deadlines").status_code == 303

    def test_texts_from_outside_are_text(self, lab):
        hostile = "<script>alert(1)</script>"
        keep(lab.store, told(LATE, 30, f"C-{hostile.replace(' ', '')}"))
        with lab.store.writing() as session:
            row = session.query(keeping.DeadlineRow).filter_by(facility=LATE).one()
            body = json.loads(row.body)
            row.body = json.dumps(body | {"report": hostile, "title": Bilingual(zh=hostile, en=hostile).model_dump()})
        with lab.signed_in() as client:
            answer = client.get("/deadlines").text
        assert "<script>alert" not in answer
        assert answer.count("&lt;script&gt;alert(1)") >= 2

    def test_a_plan_and_a_calendar_that_is_not_certain_are_said(self, lab):
        log = told(LATE, 3).visit(12 * HOUR, "V-1", handed_over_at=0).visit(12 * HOUR, "V-2", handed_over_at=0)
        log.visit(DAY, "V-1", version=2, handed_over_at=0, plan_date="2026-12-31")
        keep(lab.store, log)
        with lab.signed_in(language="en") as client:
            page, found = shown(client, f"?facility={LATE}")
        tags = [
            [tag.text for tag in row.all("span", class_="tag")] for row in page.all("tr") if row.attributes.get("id")
        ]
        assert dict(zip(found, tags, strict=True)) == {
            "C-1": [], "V-2": ["verify: working days", "verify: citation"], "V-1": ["approved plan", "verify: citation"],
        }  # fmt: skip


def _items(lab, name, user):
    with lab.signed_in(user) as client:
        return client.get("/v1/deadlines", params={"facility": name}).json()["items"]
