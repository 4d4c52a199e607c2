"""Signing in and out by the forms: one-time passwords, the brake, fixation, where one is led."""

from __future__ import annotations

import pytest

from monitor.accounts import users
from monitor.accounts.brake import FORGET_MS, name_key
from monitor.accounts.sessions import IDLE_MS, LIFE_MS, TOUCH_MS
from monitor.console.texts import text
from monitor.store.session import StoreDownError
from tests.monitor.alarms.changes import change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import BASE, NOW, PASSWORD, DeskLab, csrf_of

pytestmark = pytest.mark.long

NEW = "four unrelated quiet words"
FREE = name_key("x").free


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


def sign_in(client, name="li.lei", password=PASSWORD, **more):
    return client.post("/sign-in", data={"name": name, "password": password} | more)


def fault(answer):
    return parse(answer.text).one("p", role="alert").text


def test_who_is_not_signed_in_is_led_to_the_form_and_back(lab):
    lab.user()
    with lab.client() as client:
        first = client.get("/?severity=red&facility=BJ-1")
        assert (first.status_code, first.headers["location"]) == (
            303,
            "/sign-in?next=%2F%3Fseverity%3Dred%26facility%3DBJ-1",
        )
        form = parse(client.get(first.headers["location"]).text).one("form", action="/sign-in")
        back = form.one("input", name="next")["value"]
        assert back == "/?severity=red&facility=BJ-1"
        answer = sign_in(client, next=back)
        assert (answer.status_code, answer.headers["location"]) == (303, back)
        assert client.get(back).status_code == 200


@pytest.mark.parametrize(
    ("browser", "account", "shown"),
    [("zh-CN,en;q=0.5", "en", "zh-CN"), ("en-GB", "zh", "en"), ("en-GB", "en", "en"), ("fr-FR", "en", "en"), ("", "en", "en"), ("", "zh", "zh-CN")],
)  # fmt: skip
def test_the_pages_go_on_in_the_language_that_the_form_was_read_in(lab, browser, account, shown):
    """Whose browser asks for neither language reads what the account says."""
    lab.user(language=account)
    with lab.client() as client:
        client.headers["Accept-Language"] = browser
        form = parse(client.get("/sign-in").text).one("html")["lang"]
        answer = sign_in(client)
        page = parse(client.get("/").text).one("html")["lang"]
    assert page == shown
    if browser and not browser.startswith("fr"):
        assert form == page
    kept = [line for line in answer.headers.get_list("set-cookie") if line.startswith("offsite_language=")]
    assert bool(kept) is (form == page != {"zh": "zh-CN"}.get(account, account))
    assert not any("max-age" in line.lower() for line in kept)  # until the browser is closed


def test_a_language_that_was_chosen_is_not_changed_by_signing_in(lab):
    lab.user(language="zh")
    with lab.client() as client:
        client.headers["Accept-Language"] = "zh-CN"
        client.post("/language", data={"language": "en", "next": "/sign-in"})
        assert parse(client.get("/sign-in").text).one("html")["lang"] == "en"
        sign_in(client)
        assert parse(client.get("/").text).one("html")["lang"] == "en"


def test_the_cookie_is_not_for_scripts_other_sites_or_plain_http(sqlite_store, tmp_path):
    for https in (False, True):
        lab = DeskLab(sqlite_store, tmp_path / "archive", https=https)
        password = lab.user(f"who.{https}".lower())
        with lab.client() as client:
            origin = {"Origin": "https://127.0.0.1"} if https else {}
            answer = client.post(
                "/sign-in", data={"name": f"who.{https}".lower(), "password": password}, headers=origin
            )
            flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
            assert {"httponly", "samesite=strict", "path=/", f"max-age={LIFE_MS // 1000}"} <= flags
            assert ("secure" in flags) is https
            assert ("strict-transport-security" in answer.headers) is https
            if https:
                plain = client.post("/sign-in", data={}, headers={"Origin": "http://127.0.0.1"})
                assert plain.status_code == 403


def test_a_one_time_password_opens_nothing_but_the_form_for_a_new_one(lab):
    lab.apply(change(1, start=NOW - 60_000))
    alarm = change(1, start=NOW - 60_000).alarm
    one_time = lab.user(settled=False)
    with lab.client() as client:
        assert sign_in(client, password=one_time, next="/operators").headers["location"] == "/password"
        form = client.get("/password")
        token = csrf_of(form.text)
        for path in ("/", "/queue/rows", "/untold", "/operators", f"/alarms/{alarm}", f"/alarms/{alarm}/head"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/password"), path
        for path in ("/v1/alarms", "/v1/stream", "/v1/session", "/v1/operator-alarms", f"/v1/alarms/{alarm}/chart"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "password_must_change"), path
        refused = client.post(f"/alarms/{alarm}/acknowledge", data={"csrf": token, "revision": "1"})
        assert refused.headers["location"] == "/password"
        assert parse(form.text).all("nav") == []  # no way that leads nowhere
        answer = client.post("/password", data={"csrf": token, "old": one_time, "new": NEW, "again": NEW})
        assert answer.headers["location"] == "/"
        assert client.get("/").status_code == 200
        assert client.get("/v1/session").json()["name"] == "li.lei"


def test_a_new_password_gives_this_browser_a_new_session_and_ends_every_other(lab):
    lab.user()
    with lab.client() as other, lab.client() as client:
        sign_in(other)
        sign_in(client)
        before = client.cookies["offsite_session"]
        token = csrf_of(client.get("/password").text)
        client.post("/password", data={"csrf": token, "old": PASSWORD, "new": NEW, "again": NEW})
        assert client.cookies["offsite_session"] != before
        assert client.get("/").status_code == 200
        assert other.get("/").headers["location"].startswith("/sign-in")
        client.cookies.set("offsite_session", before)
        assert client.get("/").headers["location"].startswith("/sign-in")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"old": "wrong password"}, "wrong"), ({"new": "short one", "again": "short one"}, "short"), ({"again": NEW + "x"}, "differs"),
        ({"new": PASSWORD, "again": PASSWORD}, "same"), ({"new": "my name is li.lei", "again": "my name is li.lei"}, "name"),
        ({"new": "password2026!", "again": "password2026!"}, "common"), ({"again": ""}, "differs"),
    ],
)  # fmt: skip
def test_a_refused_password_is_explained_and_nothing_changes(lab, fields, code):
    with lab.signed_in(language="en") as client:
        body = {"csrf": client.csrf, "old": PASSWORD, "new": NEW, "again": NEW} | fields
        answer = client.post("/password", data=body)
        assert answer.status_code == 422
        assert text(f"fault.{code}", "en") in parse(answer.text).text
        for secret in body["old"], body["new"]:
            assert f'value="{secret}"' not in answer.text
        assert client.get("/").status_code == 200
        client.cookies.clear()
        assert sign_in(client).status_code == 303


def test_guessing_the_old_password_is_braked_too(lab):
    with lab.signed_in() as client:
        body = {"csrf": client.csrf, "old": "wrong", "new": NEW, "again": NEW}
        answers = [client.post("/password", data=body).status_code for _ in range(FREE + 1)]
        assert answers == [422] * FREE + [429]
        assert client.post("/password", data=body | {"old": PASSWORD}).headers["retry-after"] == "15"


def test_wrong_unknown_and_disabled_look_the_same(lab):
    lab.user()
    lab.user("han.mei")
    with lab.store.writing() as session:
        users.disable(session, "han.mei", NOW)
    seen = set()
    with lab.client() as client:
        for name in ("li.lei", "han.mei", "no.such"):
            page = sign_in(client, name, "wrong password")
            assert page.status_code == 401
            headers = {key: value for key, value in page.headers.items() if key != "content-length"}
            seen.add((page.text.replace(name, "NAME"), tuple(sorted(headers.items()))))
            tool = client.post("/v1/session", json={"name": name, "password": "wrong password"})
            assert tool.status_code == 401
            assert tool.json() == client.post("/v1/session", json={"name": "x", "password": "y"}).json()
    assert len(seen) == 1


def test_every_spelling_of_a_name_shares_one_brake(lab):
    lab.user()
    spellings = ["li.lei", " li.lei", "li.lei ", "LI.LEI", "\tLi.Lei\n", "\u3000li.lei"]
    with lab.client() as client:
        codes = [sign_in(client, name, "wrong password").status_code for name in spellings]
        assert codes == [401] * FREE + [429]
        answer = sign_in(client, "li.lei", PASSWORD)  # even the right one waits: nobody learns that it was right
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "15"
        assert fault(answer) == text("sign_in.wait", "zh", n=15)
        lab.clock.ms += 15_000
        assert sign_in(client, "li.lei", PASSWORD).status_code == 303


def test_api_and_console_share_the_brake_and_a_restart_of_the_clock_forgives(lab):
    lab.user()
    with lab.client() as client:
        for _ in range(FREE):
            client.post("/v1/session", json={"name": "li.lei", "password": "wrong"})
        assert sign_in(client).status_code == 429
        answer = client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")
        lab.clock.ms += FORGET_MS
        assert sign_in(client).status_code == 303
        metrics = client.get("/metrics").text
    assert 'offsite_desk_sign_ins_total{outcome="braked"} 2.0' in metrics
    assert 'offsite_desk_sign_ins_total{outcome="refused"} 5.0' in metrics


def test_a_session_put_into_the_browser_beforehand_is_worth_nothing(lab):
    lab.user()
    lab.user("mallory", role="reader")
    with lab.client() as attacker, lab.client() as victim:
        sign_in(attacker, "mallory")
        planted = attacker.cookies["offsite_session"]
        victim.cookies.set("offsite_session", planted)
        answer = sign_in(victim)
        given = answer.cookies["offsite_session"]
        assert given != planted
        assert attacker.get("/").status_code == 303  # the planted session has ended
        victim.cookies.set("offsite_session", "chosen-by-somebody-else")
        assert sign_in(victim).cookies["offsite_session"] != "chosen-by-somebody-else"


def test_signing_out_ends_the_session_on_the_server(lab):
    with lab.signed_in() as client:
        kept = client.cookies["offsite_session"]
        answer = client.post("/sign-out", data={"csrf": client.csrf})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "offsite_session" not in client.cookies
        client.cookies.set("offsite_session", kept)
        assert client.get("/").status_code == 303


def test_a_session_ends_when_idle_when_the_shift_is_over_and_when_an_operator_says_so(lab):
    with lab.signed_in() as client:
        lab.clock.ms += IDLE_MS - 1
        assert client.get("/").status_code == 200  # use keeps it
        lab.clock.ms += IDLE_MS - 1
        assert client.get("/").status_code == 200
        lab.clock.ms += IDLE_MS
        assert client.get("/").status_code == 303
        sign_in(client)
        end = lab.clock.ms + LIFE_MS
        while lab.clock.ms < end - 1:
            assert client.get("/").status_code == 200
            lab.clock.ms = min(lab.clock.ms + IDLE_MS - 1, end - 1)
        assert client.get("/").status_code == 200
        lab.clock.ms = end
        assert client.get("/").status_code == 303
        sign_in(client)
        with lab.store.writing() as session:
            users.disable(session, "li.lei", lab.clock())
        assert client.get("/v1/session").status_code == 401


def test_a_store_that_is_busy_writing_still_lets_people_read(lab, monkeypatch):
    with lab.signed_in() as client:
        lab.clock.ms += TOUCH_MS

        def busy():
            raise StoreDownError("sqlite", RuntimeError("database is locked"))

        monkeypatch.setattr(lab.desk.store, "writing", busy)
        assert client.get("/").status_code == 200


def test_a_part_of_a_page_never_becomes_the_form_for_signing_in(lab):
    """htmx would put the form into the middle of the queue: it is told to load the page again instead."""
    with lab.client() as client:
        for path in ("/queue/rows", "/untold", "/operators/rows"):
            answer = client.get(path, headers={"HX-Request": "true"})
            assert (answer.status_code, answer.headers["hx-refresh"], answer.text) == (401, "true", "")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "//[", "/\t/evil.example",
        "/\n/evil.example", " //evil.example", "", "evil", "/%09/..//evil.example\r\nSet-Cookie: x=1", "///evil.example", "/" + "a" * 990 + "\x00",
    ],
)  # fmt: skip
def test_nobody_is_sent_away_by_a_link(lab, target):
    lab.user()
    with lab.client() as client:
        form = client.get("/sign-in", params={"next": target})
        assert form.status_code == 200
        assert parse(form.text).one("form", action="/sign-in").one("input", name="next")["value"] == "/"
        answer = sign_in(client, next=target)
        assert answer.headers["location"] == "/"
        assert client.post("/language", data={"language": "en", "next": target}).headers["location"] == "/"


@pytest.mark.parametrize(
    "target", ["/operators", "/?severity=red&facility=A-1", "/alarms/" + "0" * 32, "/a//b", "/查询"]
)
def test_a_path_of_this_site_is_kept(lab, target):
    lab.user()
    with lab.client() as client:
        answer = sign_in(client, next=target)
    assert answer.headers["location"].isascii()
    assert answer.headers["location"].startswith(target[:2] if target.isascii() else "/%")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", "x", "http://127.0.0.1:1", ""],
)
@pytest.mark.parametrize("path", ["/sign-in", "/language", "/sign-out", "/password", "/v1/session"])
def test_a_form_of_another_site_is_refused(lab, path, origin):
    with lab.signed_in() as client:
        kept = client.cookies["offsite_session"]
        body = {"csrf": client.csrf, "name": "li.lei", "password": PASSWORD}
        answer = client.post(
            path, headers={"Origin": origin}, **({"json": body} if path.startswith("/v1") else {"data": body})
        )
        assert answer.status_code == 403
        client.cookies.set("offsite_session", kept)
        assert client.get("/").status_code == 200
        assert client.post("/language", data={"language": "en"}, headers={"Origin": BASE}).status_code == 303


@pytest.mark.parametrize("path", ["/sign-out", "/password", "/alarms/{alarm}/acknowledge"])
@pytest.mark.parametrize("token", [None, "", "guess", "é" * 10, "\x00"])
def test_a_form_needs_the_sessions_own_token(lab, path, token):
    raised = change(1, start=NOW - 60_000)
    lab.apply(raised)
    lab.user("somebody.else")
    with lab.signed_in() as client:
        body = {"revision": "1", "old": PASSWORD, "new": NEW, "again": NEW} | ({} if token is None else {"csrf": token})
        answer = client.post(path.format(alarm=raised.alarm), data=body)
        assert answer.status_code == 403
        assert text("refused.csrf", "zh") in parse(answer.text).text
        assert client.get(f"/v1/alarms/{raised.alarm}").json()["alarm"]["attention"] == "unacknowledged"
        with lab.client() as other:
            other.post("/sign-in", data={"name": "somebody.else", "password": PASSWORD})
            stolen = other.get("/v1/session").json()["csrf"]
        assert client.post(path.format(alarm=raised.alarm), data=body | {"csrf": stolen}).status_code == 403
