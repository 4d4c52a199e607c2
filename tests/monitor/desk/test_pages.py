"""Every page in both languages, without a browser: reading and acting with forms alone."""

# Above 400 lines on purpose: every page is held to the same few promises, side by side.

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from monitor.alarms import queries
from monitor.alarms.projection import apply_batch
from monitor.console.texts import TEXTS, text
from monitor.store.desk_tables import ActionRow
from rules.changes import Evidence, Leaf, LimitUsed, Verdict
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.alarms.test_rejections import refused, unread
from tests.monitor.desk import seeds
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab

pytestmark = pytest.mark.long

LANGUAGES = ("zh", "en")
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


@pytest.fixture
def either_lab(store, tmp_path):
    return DeskLab(store, tmp_path / "archive")


@pytest.fixture
def full(seeded, tmp_path):
    """A desk with the day of a province and an archive."""
    lab = seeded.copied(tmp_path)
    yield lab
    lab.store.close()


def read(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return parse(answer.text)


def send(client, form, **fields):
    """Submit a form as a browser without scripts does, following its redirect."""
    values = {field["name"]: field.attributes.get("value", "") for field in form.all("input")} | fields
    answer = client.post(form["action"], data=values)
    assert answer.status_code == 303, answer.text[:300]
    return answer.headers["location"]


def rows(page):
    return [row.one("a", class_="open").text for row in page.one("table", class_="queue").all("tr") if row.all("a")]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "path",
    ["/", "/alarms/{CR1.T1}", "/alarms/{REF2}", "/operators", "/password", "/?status=any&stage=any&suppressed=any"],
)
def test_every_page_is_whole_in_its_language(full, path, language):
    path = re.sub(r"\{(.+)\}", lambda m: full.ids[m[1]], path)
    with full.signed_in(language=language) as client:
        page = read(client, path)
    assert page.one("html")["lang"] == ("zh-CN" if language == "zh" else "en")
    assert page.one("title").text
    assert len(page.all("h1")) == 1
    frame = page.one("header", class_="top").text
    assert text("product", language) in frame
    assert text("product", "en" if language == "zh" else "zh") not in frame
    assert "李雷" in frame
    levels = [int(element.tag[1]) for element in page.all() if re.fullmatch("h[1-6]", element.tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    assert not re.search(r"\{\w*\}|None|Undefined", page.one("body").text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_of_a_sign_in_speaks_the_browsers_language(lab, language):
    with lab.client() as client:
        client.headers["Accept-Language"] = "fr-FR, en-GB;q=0.8, zh;q=0.5" if language == "en" else "zh-TW,en"
        page = read(client, "/sign-in")
    assert page.one("h1").text == text("sign_in.title", language)
    assert [label.text for label in page.all("label")] == [
        text("sign_in.name", language),
        text("sign_in.password", language),
    ]


def test_the_queue_shows_the_worst_first_what_is_left_and_what_to_press(full):
    with full.signed_in(language="en") as client:
        page = read(client, "/")
    table = page.one("table", class_="queue")
    first = table.all("tr")[1]
    assert first.one("td", class_="c-colour").text == "Red"
    assert (
        first.one("td", class_="c-left").text == "8 min 1 s"
    )  # 15 minutes of the rule's own, not the hour of its colour
    assert first.one("a", class_="open").text == "Oxygen low in a cryogenic room"
    assert first.one("button").text.startswith("Acknowledge")
    colours = [row.one("td", class_="c-colour").text for row in table.all("tr")[1:]]
    assert colours == sorted(colours, key=["Red", "Orange", "Yellow", "Blue"].index)
    assert [each.text for each in page.one("ul", class_="tally").all("li")][:4] == [
        "Red 3 2 unacknowledged", "Orange 4 3 unacknowledged 1 returned unseen", "Yellow 5 5 unacknowledged", "Blue 3 2 unacknowledged",
    ]  # fmt: skip
    assert "58 min over" in table.text
    assert "covers 3" in table.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_ended_unseen_stays_in_the_queue_and_says_so_until_it_is_acknowledged(full, language):
    with full.signed_in(language=language) as client:
        row = read(client, "/").one("tr", id=f"a-{full.ids['back']}")
        assert {"cleared", "unacknowledged", "orange"} <= set(row["class"].split())
        assert row.one("td", class_="c-state").text == text("state.returned-unacknowledged", language)
        assert row.one("td", class_="c-left").text == ""
        assert send(client, row.one("form")) == "/"
        page = read(client, "/")
        assert page.all("tr", id=f"a-{full.ids['back']}") == []
        assert text("tally.returned", language, n=1) not in page.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("tag", "key"), [("main", "silence.feed"), ("REF2", "silence.area")])
def test_a_silence_of_a_place_is_not_called_one_of_a_series(full, tag, key, language):
    with full.signed_in(language=language) as client:
        assert read(client, f"/alarms/{full.ids[tag]}").one("h1").text == text(key, language)
        assert text(key, language) in rows(read(client, "/"))


def leaves(client, alarm):
    table = parse(client.get(f"/alarms/{alarm}/why").text).all("table")[0]
    return [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]


@pytest.mark.parametrize(
    ("leaf", "zh", "en"),
    [
        (Leaf(expr="silence of RF1.T", op=">", right="2 x interval", verdict=Verdict.TRUE),
         ["RF1.T 未收到记录的时间", "> 2 × 登记的采集间隔", "成立"], ["Time without a record of RF1.T", "> 2 × registered interval", "true"]),
        (Leaf(expr="silence of RF1.T", op=">", right="31m", verdict=Verdict.FALSE),
         ["RF1.T 未收到记录的时间", "> 31m", "不成立"], ["Time without a record of RF1.T", "> 31m", "false"]),
        (Leaf(expr="rows received", left=0.0, op="=", right=0.0, verdict=Verdict.TRUE),
         ["收到的记录数", "0 = 0", "成立"], ["Records received", "0 = 0", "true"]),
        (Leaf(expr="rows received", op="=", right=0.0, verdict=Verdict.FALSE),
         ["收到的记录数", "= 0", "不成立"], ["Records received", "= 0", "false"]),
        (Leaf(expr="movement of T1", left=5.2, op="=", right=5.2, unit="Cel", verdict=Verdict.TRUE),
         ["T1 的变化", "5.2 = 5.2 °C", "成立"], ["Movement of T1", "5.2 = 5.2 °C", "true"]),
        (Leaf(expr="T1", op="in", right="limits", unit="Cel", verdict=Verdict.UNKNOWN),
         ["T1", "∈ 限值范围 °C", "未知"], ["T1", "∈ limits °C", "unknown"]),
        (Leaf(expr="occasions of terminal / 7d", left=3.0, op=">=", right=3.0, verdict=Verdict.TRUE),
         ["出现次数（terminal / 7d）", "3 ≥ 3", "成立"], ["Occasions of terminal / 7d", "3 ≥ 3", "true"]),
        (Leaf(expr="at once: terminal", left="T-1, T-2", op=">=", right=2.0, verdict=Verdict.TRUE),
         ["同时出现的 terminal", "T-1, T-2 ≥ 2", "成立"], ["At once: terminal", "T-1, T-2 ≥ 2", "true"]),
        (Leaf(expr="time since the newest audit heartbeat", left="62m", op=">", right="1h", verdict=Verdict.TRUE),
         ["距最近一次审计心跳的时间", "62m > 1h", "成立"], ["Time since the newest audit heartbeat", "62m > 1h", "true"]),
        (Leaf(expr="any record of the facility", op="heard", verdict=Verdict.UNKNOWN),
         ["该单位的任何数据", "", "未知"], ["Any record of the facility", "", "unknown"]),
        (Leaf(expr="rolling mean of P (36 x 0.0283 m3)", left=20.5, op=">", right=20.0, unit="/m3", verdict=Verdict.TRUE),
         ["P (36 x 0.0283 m3) 的滚动均值", "20.5 > 20 /m³", "成立"], ["Rolling mean of P (36 x 0.0283 m3)", "20.5 > 20 /m³", "true"]),
        (Leaf(expr="records with particles of P (1+ / 3)", op=">=", right=2.0, verdict=Verdict.TRUE),
         ["最近记录中检出粒子的条数（P (1+ / 3)）", "≥ 2", "成立"], ["Newest records with particles of P (1+ / 3)", "≥ 2", "true"]),
        (Leaf(expr="x > y", op="all", verdict=Verdict.TRUE), ["x > y", "", "成立"], ["x > y", "", "true"]),
    ],
    ids=lambda value: value.expr if isinstance(value, Leaf) else "",
)  # fmt: skip
def test_each_condition_of_the_engine_reads_in_both_languages(lab, leaf, zh, en):
    raised = change(1, start=NOW - 60_000, evidence=Evidence(leaves=[leaf]))
    lab.apply(raised)
    with lab.signed_in(language="zh") as client:
        assert leaves(client, raised.alarm) == [zh]
        client.cookies.set("offsite_language", "en")
        assert leaves(client, raised.alarm) == [en]


@pytest.mark.parametrize(("origin", "zh", "en"), [
    ("register", "登记的限值", "Registered limits"), ("rule", "本规则", "This rule"), ("my-own-table", "my-own-table", "my-own-table"),
    ("exception", "现场例外", "Site exception"),
    ("cleanroom-particles", "洁净区悬浮粒子限值表", "Table of cleanroom particle limits"),
])  # fmt: skip
def test_where_a_limit_comes_from_is_said_in_words(lab, origin, zh, en):
    raised = change(1, start=NOW - 60_000, evidence=Evidence(limits=[LimitUsed(name="high", value=8.0, origin=origin)]))
    lab.apply(raised)
    with lab.signed_in(language="zh") as client:
        cells = [
            cell.text for cell in read(client, f"/alarms/{raised.alarm}").one("div", id="why").all("table")[1].all("td")
        ]
        assert cells[2] == zh
        client.cookies.set("offsite_language", "en")
        cells = [
            cell.text for cell in read(client, f"/alarms/{raised.alarm}").one("div", id="why").all("table")[1].all("td")
        ]
        assert cells[2] == en


def test_an_alarm_under_a_site_exception_says_which_who_approved_it_and_until_when(lab):
    label = "EX-2026-014, <b>Wang Wei</b> 2026-02-25 → 2026-03-31 00:00:00+08:00"
    limits = [
        LimitUsed(name=n, value=v, unit=u, origin="exception", edition=label)
        for n, v, u in (("high", 9.5, "Cel"), ("on_delay", 60.0, "min"))
    ]
    raised = change(1, start=NOW - 60_000, evidence=Evidence(limits=limits))
    lab.apply(raised)
    with lab.signed_in(language="zh") as client:
        why = read(client, f"/alarms/{raised.alarm}").one("div", id="why")
        cells = [cell.text for cell in why.all("table")[1].all("td")]
        assert cells == [
            "上限",
            "9.5 °C",
            "现场例外",
            label,
            "报警延迟",
            "60 min",
            "现场例外",
            label,
        ]  # text, never markup


def test_what_only_a_script_can_do_is_not_offered_without_one(full):
    """The style sheet shows `scripted` once desk.js has said that it runs; the table stands open until the chart is drawn."""
    with full.signed_in() as client:
        for path in ("/", f"/alarms/{full.ids['CR1.T1']}"):
            hints = [element for element in read(client, path).all("p", class_="hint") if "键盘" in element.text]
            assert [hint.has("class_", "scripted") for hint in hints] == [True]
        page = read(client, f"/alarms/{full.ids['CR1.T1']}")
        assert page.one("p", class_="legend").has("class_", "scripted")
        assert "open" in page.one("details", id="table").attributes
        css = client.get("/static/desk.css").text
    assert ".scripted { display: none; } .js .scripted { display: revert; }" in css


def test_each_colour_has_a_shape_and_a_word_of_its_own(full):
    with full.signed_in() as client:
        page = read(client, "/")
    shapes = {}
    for mark in page.one("table", class_="queue").all("span", class_="colour"):
        drawn = mark.one("svg").children[0]
        shapes.setdefault(mark.text, set()).add((drawn.tag, drawn.attributes.get("d")))
    assert len(shapes) == 4
    assert all(len(shape) == 1 for shape in shapes.values())
    assert len({next(iter(shape)) for shape in shapes.values()}) == 4


@pytest.mark.parametrize("name", [*queries.UNSEEN, "operators"])
def test_what_is_not_told_is_counted_on_every_page_and_its_link_lists_exactly_that(full, name):
    with full.signed_in(language="en") as client:
        strips = [
            read(client, path).one("nav", id="untold") for path in ("/", f"/alarms/{full.ids['CR1.T1']}", "/operators")
        ]
        assert len({strip.text for strip in strips}) == 1
        item = strips[0].one("li", id=f"untold-{name}")
        count = int(item.one("b").text)
        assert count > 0
        page = read(client, item.one("a")["href"])
        if name == "operators":
            assert len(page.one("table", class_="faults").all("tr")) - 1 == count
        else:
            assert f"{count} in all" in page.one("main").text
            # the filter in force is shown, not hidden in the address
            chosen = {
                select["name"]: [o["value"] for o in select.all("option") if "selected" in o.attributes]
                for select in page.all("select")
            }
            for key, value in queries.UNSEEN[name].items():
                assert chosen[key] == [value]
        part = parse(client.get("/untold").text)
        assert part.one("li", id=f"untold-{name}").text == item.text


def test_filters_stand_in_the_address_and_in_the_form(full):
    with full.signed_in(language="en") as client:
        page = read(
            client, "/?severity=orange&attention=acknowledged&facility=BJ-WHS-0112&rule=cold-chain.store-out&status="
        )
        assert rows(page) == ["Cold room outside its limits"]
        form = page.one("form", class_="filters")
        assert form["method"] == "get"
        assert form.one("input", name="facility")["value"] == "BJ-WHS-0112"
        assert form.one("input", name="rule")["value"] == "cold-chain.store-out"
        assert page.one("a", class_="clear")["href"] == "/"
        assert page.one("div", id="rows")["hx-get"].startswith("/queue/rows?severity=orange&attention=acknowledged")
        part = parse(client.get(page.one("div", id="rows")["hx-get"]).text)
        assert rows(part) == rows(page)


def test_paging_shows_each_alarm_once_and_leads_back(full):
    with full.signed_in() as client:
        whole = rows(read(client, "/"))
        page, walked = read(client, "/?limit=4"), []
        while True:
            walked += rows(page)
            following = page.all("a", rel="next")
            if not following:
                break
            assert parse_qs(urlsplit(following[0]["href"]).query)["limit"] == ["4"]
            page = read(client, following[0]["href"])
        assert walked == whole
        assert [a["href"] for a in page.all("a") if a.text == text("queue.first", "zh")] == ["/?limit=4"]


def test_acknowledging_needs_no_script_and_comes_back_to_the_filtered_page(full):
    with full.signed_in() as client:
        page = read(client, "/?severity=red")
        form = page.one("table", class_="queue").all("form")[0]
        assert send(client, form) == "/?severity=red"
        after = read(client, "/?severity=red")
        assert "已确认" in after.text
        assert len(after.all("form", class_="ack")) == len(page.all("form", class_="ack")) - 1


def test_a_note_is_kept_as_text_and_shown_with_who_and_what_was_seen(full):
    alarm = full.ids["CR1.T1"]
    with full.signed_in(language="en") as client:
        form = read(client, f"/alarms/{alarm}").one("form", class_="ack")
        assert form.one("input", name="note")
        there = send(client, form, note="  called <b>QA</b>\x00\u202e, they\nmove the stock  ")
        assert there == f"/alarms/{alarm}"
        page = read(client, there)
        assert page.all("form", class_="ack") == []
        assert "li.lei acknowledged revision 3" in page.text
        assert "called <b>QA</b> , they move the stock" in page.text
        assert page.all("b") == page.one("nav", id="untold").all("b")
    with full.store.reading() as session:
        notes = [row.note for row in session.scalars(select(ActionRow)) if row.alarm == alarm]
    assert notes == ["called <b>QA</b>  , they move the stock"]


def test_an_alarm_that_changed_after_the_page_was_read_stays_unacknowledged(full):
    alarm = full.ids["CR1.T1"]
    with full.signed_in(language="en") as client:
        form = read(client, f"/alarms/{alarm}").one("form", class_="ack")
        start = NOW - 42 * seeds.MINUTE
        worse = full.streams[seeds.COLD].change(
            "stepped", "cold-chain.store-out", {"tag": "CR1.T1"}, "red", start, ("升级", "worse"), at=NOW
        )
        full.apply(worse)
        send(client, form)
        page = read(client, f"/alarms/{alarm}")
    assert "It changed after that: acknowledge again." in page.text
    assert page.one("form", class_="ack").one("input", name="revision")["value"] == str(worse.seq)


@pytest.mark.parametrize("role", ["reader", "operator"])
def test_who_only_looks_is_offered_no_button_and_refused(full, role):
    with full.signed_in("who.looks", role=role) as client:
        page = read(client, "/")
        assert page.all("form", class_="ack") == []
        alarm = read(client, f"/alarms/{full.ids['CR1.T1']}")
        assert alarm.all("form", class_="ack") == []
        answer = client.post(f"/alarms/{full.ids['CR1.T1']}/acknowledge", data={"csrf": client.csrf, "revision": "1"})
    assert answer.status_code == 403
    assert text("refused.role", "zh") in parse(answer.text).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_alarm_page_explains_itself(full, language):
    with full.signed_in(language=language) as client:
        page = read(client, f"/alarms/{full.ids['CR1.T1']}")
    words = page.one("main").text
    for wanted in (
        "9.6 > 8 °C", "GSP 2013", "2026-09-21 21:31:20", "cold-chain.store-out 1.0.0", "+86 10 5555 0100", "b-812", "3:5003",
        text("verdict.true", language), text("cite.own", language), text("alarm.left_out", language, n=3), text("legend.clears", language),
    ):  # fmt: skip
        assert wanted in words
    assert page.one("a", href="tel:+861055550100").text == "+86 10 5555 0100"
    assert ("转移或保护在库药品" in words) == (language == "zh")
    table = page.one("table", class_="readings")
    assert table.one("caption").text == (
        "CR1.T1 · 下限 2 °C · 上限 8 °C" if language == "zh" else "CR1.T1 · Low limit 2 °C · High limit 8 °C"
    )
    readings = [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]
    assert len(readings) == 101  # an hour before the start until now
    assert {row[2] for row in readings} == {text("quality.good", language), text("quality.fault", language)}
    assert sum(row[3] != "" for row in readings) == 3
    beyond = [row for row in table.all("tr") if row.all("td", class_="beyond")]
    assert all(text("alarm.beyond", language) in row.text for row in beyond)
    assert 30 < len(beyond) < 45


def test_an_alarm_without_sensors_or_archive_is_still_a_page(lab):
    lab.apply(change(1, start=NOW - 60_000))
    with lab.signed_in(language="en") as client:
        page = read(client, f"/alarms/{change(1, start=NOW - 60_000).alarm}")
        assert "There are no readings to show." in page.text
        assert "No contact is registered." in page.text


def test_an_archive_that_cannot_be_read_hides_no_alarm(full, monkeypatch):
    from monitor.archive.reader import ArchiveGapError

    def broken(*_, **__):
        raise ArchiveGapError("gone")

    monkeypatch.setattr("monitor.api.routes.chart_of", broken)
    with full.signed_in(language="en") as client:
        page = read(client, f"/alarms/{full.ids['CR1.T1']}")
        assert "The archive cannot be read just now." in page.text
        answer = client.get(f"/v1/alarms/{full.ids['CR1.T1']}/chart")
    assert (answer.status_code, answer.json()["code"]) == (503, "archive_down")


def test_covered_alarms_stand_under_the_one_that_covers_them(full):
    with full.signed_in(language="en") as client:
        page = read(client, f"/alarms/{full.ids['REF2']}")
        links = [a["href"] for a in page.one("div", id="why").all("a") if a.text == "A series is silent"]
        assert len(links) == 3  # the fourth has ended
        under = read(client, links[0])
    assert "Suppressed by a wider alarm" in under.text
    assert under.one("div", id="alarm").all("a", href=f"/alarms/{full.ids['REF2']}")


def test_a_long_history_says_what_it_leaves_out(lab):
    kinds = ["raised", *("unknown", "known") * 260]
    lab.apply(*(change(n, kind, start=NOW - 10_000_000) for n, kind in enumerate(kinds, start=1)))
    with lab.signed_in(language="en") as client:
        page = read(client, f"/alarms/{change(1, start=NOW - 10_000_000).alarm}")
    assert "21 more left out" in page.one("div", id="why").text
    assert len(page.one("div", id="why").all("table")[-1].all("tr")) - 1 == 500


def test_parts_for_the_live_update_are_what_the_page_holds(full):
    with full.signed_in() as client:
        for path in ("/", f"/alarms/{full.ids['CR1.T1']}", "/operators"):
            page = read(client, path)
            parts = [element for element in page.all() if "data-part" in element.attributes]
            assert len(parts) >= 2
            for part in parts:
                assert parse(client.get(part["hx-get"]).text).text == part.text


def test_a_chosen_language_stays_and_leads_back_to_the_page(full):
    with full.signed_in(language="zh") as client:
        page = read(client, "/?severity=red")
        form = next(form for form in page.all("form") if form["action"] == "/language")
        assert send(client, form) == "/?severity=red"
        assert read(client, "/operators").one("html")["lang"] == "en"
        form = next(form for form in read(client, "/operators").all("form") if form["action"] == "/language")
        assert send(client, form) == "/operators"
        assert read(client, "/operators").one("html")["lang"] == "zh-CN"
        assert client.post("/language", data={"language": "xx", "next": "/"}).status_code == 303
        assert read(client, "/operators").one("html")["lang"] == "zh-CN"


def test_faults_of_the_monitor_are_named_in_words_and_a_new_code_is_shown_as_it_is(lab):
    from monitor.alarms import operators

    with lab.store.writing() as session:
        operators.opened(session, "stream-gap", "A1", "change 4 is missing", NOW)
        operators.opened(session, "code-of-tomorrow", "<x>", "<script>alert(1)</script>", NOW)
    with lab.signed_in(language="en") as client:
        page = read(client, "/operators")
        assert TEXTS["monitor.stream-gap"][1] in page.text
        assert "code-of-tomorrow" in page.text
        assert "<script>alert(1)</script>" in page.text
        with lab.store.writing() as session:
            operators.closed(session, "stream-gap", "A1", NOW)
            operators.closed(session, "code-of-tomorrow", "<x>", NOW)
        assert "Nothing is wrong." in read(client, "/operators").text


def test_an_empty_queue_says_so(lab):
    with lab.signed_in(language="en") as client:
        assert "No alarm matches." in read(client, "/").text


@pytest.mark.parametrize(("language", "words"), [("en", "Show all alarms"), ("zh", "查看全部报警")])
def test_an_empty_queue_points_to_what_it_leaves_out(lab, language, words):
    with lab.store.writing() as session:
        apply_batch(session, incoming([change(1), change(2, "suppressed", by="f" * 32)]), NOW)
    with lab.signed_in(language=language) as client:
        page = read(client, "/")
        assert text("queue.none", language) in page.text
        link = next(a for a in page.all("a") if a.text.startswith(words))
        assert parse_qs(urlsplit(link["href"]).query) == {"status": ["any"], "suppressed": ["any"]}
        assert len([row for row in read(client, link["href"]).all("tr") if "data-alarm" in row.attributes]) == 1
        # A filter stays: of a facility without alarms there is nothing to show.
        assert words not in read(client, "/?facility=BJ-NONE").text


def test_the_pages_are_the_same_on_both_databases(either_lab):
    seeds.day(either_lab)
    with either_lab.signed_in(language="en") as client:
        page = read(client, "/")
        strip = page.one("nav", id="untold").text
    assert (
        strip
        == "What you are not being told Suppressed 3 Blind 1 Rules on trial 1 Silent 7 Returned while suppressed 1 Monitor faults 2"
    )
    assert len(rows(page)) == 16


def test_an_alarm_of_a_rule_that_this_desk_does_not_know_is_shown_by_its_id(lab):
    raised = change(1, start=NOW - 60_000).model_copy(update={"rule": "other-pack.some-rule"})
    with lab.store.writing() as session:
        apply_batch(session, incoming([raised]), NOW)
    with lab.signed_in() as client:
        assert rows(read(client, "/")) == ["other-pack.some-rule"]
        assert "other-pack.some-rule" in read(client, f"/alarms/{raised.alarm}").text


@pytest.mark.parametrize(("language", "by"), [("zh", ["判定进程", "前门"]), ("en", ["worker", "front door"])])
def test_what_could_not_be_taken_in_is_shown_to_everybody_with_counts_and_the_last_samples(full, language, by):
    full.desk.rejections.note([unread(), unread(8), refused("contract", contract=3)])
    with full.signed_in("r.reader", role="reader", language=language) as client:
        page = read(client, "/operators")
        counts = [
            [cell.text for cell in row.all("td")] for row in page.one("table", id="rejected-counts").all("tr")[1:]
        ]
        assert counts == [[by[1], "contract", "4"], [by[0], "undecodable", "2"]]
        last = page.one("table", id="rejected").all("tr")[1:]
        assert len(last) == 3
        assert "3:8" in last[1].text
        assert "<b>" in last[1].text, "bytes of a firm are text"
        assert not page.one("table", id="rejected").all("b")
        part = parse(client.get("/operators/rows").text)
        assert part.one("table", id="rejected").text == page.one("table", id="rejected").text


def test_nothing_rejected_is_said_too(full):
    with full.signed_in(language="en") as client:
        page = read(client, "/operators")
        assert page.all("table", id="rejected") == []
        assert "Nothing so far." in page.one("main").text
