"""What is refused is refused in words, with a status and the guard's headers, whatever was sent."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.console.texts import text
from monitor.desk.guard import HEADERS
from monitor.store.session import StoreDownError
from tests.monitor.alarms.changes import change
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab

pytestmark = pytest.mark.long

RAISED = change(1, start=NOW - 60_000)


@pytest.fixture
def lab(sqlite_store, tmp_path):
    made = DeskLab(sqlite_store, tmp_path / "archive")
    made.apply(RAISED)
    return made


@pytest.fixture
def either_lab(store, tmp_path):
    return DeskLab(store, tmp_path / "archive")


@pytest.fixture
def signed(either_lab):
    with either_lab.signed_in() as client:
        yield client


@pytest.fixture
def unsigned(either_lab):
    with either_lab.client() as client:
        yield client


def said(answer):
    return parse(answer.text).one("p", role="alert").text


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "not_found"), ("/alarms/xyz", 404, "not_found"), ("/alarms/" + "f" * 32, 404, "no_such_alarm"),
        ("/alarms/" + "F" * 32 + "/head", 404, "not_found"), ("/?status=odd", 422, "bad_filter"), ("/?after=bnVsbA", 422, "bad_filter"),
        ("/?limit=0", 422, "bad_filter"), ("/?rule=%00", 422, "bad_filter"), ("/queue/rows?x=1", 422, "bad_filter"), ("/static/../desk.py", 404, "not_found"),
    ],
)  # fmt: skip
def test_a_refused_page_says_why_and_leads_back(lab, path, status, code, language):
    with lab.signed_in(language=language) as client:
        if code == "not_found" and "alarms" not in path:
            client.headers["Accept-Language"] = language  # nobody has asked who this is
        answer = client.get(path)
        assert answer.status_code == status
        assert said(answer) == text(f"refused.{code}", language)
        page = parse(answer.text)
        assert page.one("html")["lang"].startswith(language)
        assert page.one("main").one("a")["href"] == "/"


@pytest.mark.parametrize(
    ("revision", "status"),
    [
        ("0", 409),
        ("2", 409),
        ("", 409),
        ("-1", 409),
        ("1.0", 409),
        ("1e0", 409),
        ("９", 409),
        ("9" * 16, 409),
        ("x" * 2001, 422),
        ("1", 303),
    ],
)
def test_a_revision_that_nobody_can_have_seen_acknowledges_nothing(lab, revision, status):
    with lab.signed_in() as client:
        url = f"/alarms/{RAISED.alarm}/acknowledge"
        answer = client.post(url, data={"csrf": client.csrf, "revision": revision})
        assert answer.status_code == status
        shown = client.get(f"/v1/alarms/{RAISED.alarm}").json()["alarm"]["attention"]
        assert (shown == "acknowledged") is (status == 303)


def test_a_field_that_is_too_long_is_refused_and_nothing_is_saved(lab):
    with lab.signed_in() as client:
        answer = client.post("/password", data={"csrf": client.csrf, "old": "x" * 1001, "new": "y", "again": "y"})
        assert (answer.status_code, said(answer)) == (422, text("refused.contract", "zh"))
        answer = client.post(
            "/sign-out", content=b"x" * 70_000, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code == 413
        answer = client.post("/sign-out", content=b"", headers={"Content-Length": "9" * 5000})
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/"), ("GET", "/sign-out"), ("POST", "/"), ("DELETE", "/alarms/" + "0" * 32), ("TRACE", "/")],
)
def test_a_method_that_is_none_is_405_and_names_those_there_are(lab, method, path):
    with lab.signed_in() as client:
        answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"]
    assert said(answer) == text("refused.other", "zh")


def test_every_answer_carries_the_headers_even_one_for_a_fault_of_ours(lab, monkeypatch):
    monkeypatch.setattr("monitor.console.pages.queries.queue", lambda *_: 1 / 0)
    monkeypatch.setattr("monitor.api.routes.queries.queue", lambda *_: 1 / 0)
    with lab.signed_in(language="en") as client:
        client._transport.raise_server_exceptions = False
        answers = {
            path: client.get(path)
            for path in ("/", "/v1/alarms", "/operators", "/nowhere", "/healthz", "/static/desk.css")
        }
    assert (answers["/"].status_code, said(answers["/"])) == (500, text("refused.internal", "en"))
    assert (answers["/v1/alarms"].status_code, answers["/v1/alarms"].json()["code"]) == (500, "internal")
    assert "ZeroDivision" not in answers["/"].text + answers["/v1/alarms"].text
    for answer in answers.values():
        for name, value in HEADERS:
            assert answer.headers.get_list(name.decode()) == [value.decode()]


def test_a_store_that_is_away_is_said_on_a_page_of_its_own(lab, monkeypatch):
    with lab.signed_in(language="en") as client:

        def away():
            raise StoreDownError("postgresql://offsite:***@db/x", RuntimeError("gone"))

        monkeypatch.setattr(lab.desk.store, "reading", away)
        client.headers["Accept-Language"] = "en"
        answer = client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert said(answer) == text("refused.store_down", "en")
    assert "postgresql" not in answer.text


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline():
    policy = dict(
        part.strip().partition(" ")[::2] for part in dict(HEADERS)[b"content-security-policy"].decode().split(";")
    )
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"


NASTY = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "\x00",
            "' OR 1=1 --",
            "%",
            "_",
            "\ud83d",
            "a\x00b",
            "[" * 50,
            "9" * 50,
            "-1",
            "1e999",
            "NaN",
            "${7*7}",
            "{{7*7}}",
        ]
    ),
)
FIELDS = ("status", "severity", "facility", "rule", "cause", "attention", "stage", "suppressed", "limit", "after", "x")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.dictionaries(st.sampled_from(FIELDS), NASTY, max_size=3))
def test_no_filter_breaks_a_page_on_either_database(signed, given_):
    query = {key: value.encode("utf-8", "replace") for key, value in given_.items()}
    for path in ("/", "/queue/rows", "/v1/alarms"):
        assert signed.get(path, params=query).status_code in {200, 422}


@pytest.mark.parametrize(
    "place",
    [
        '[3,0,1,"\\u0000"]',
        '[3,0,1,"' + "g" * 32 + '"]',
        "[3,0,1,null]",
        '[1e400,0,1,"x"]',
        '[3,0,4611686018427387904,"' + "0" * 32 + '"]',
        "{}",
        "[]",
        "3",
    ],
)
def test_a_cursor_that_is_not_ours_is_refused_on_either_database(either_lab, place):
    cursor = base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")
    with either_lab.signed_in() as client:
        assert client.get("/", params={"after": cursor}).status_code == 422
        assert client.get("/v1/alarms", params={"after": cursor}).status_code == 422


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NASTY, password=NASTY)
def test_no_name_or_password_breaks_the_form_on_either_database(either_lab, unsigned, name, password):
    either_lab.clock.ms += 10_000_000
    sent = {"name": name.encode("utf-8", "replace"), "password": password.encode("utf-8", "replace")}
    assert unsigned.post("/sign-in", data=sent).status_code in {401, 422}
    body = json.dumps({"name": name, "password": password}).encode()
    assert unsigned.post("/v1/session", content=body).status_code in {401, 422}
