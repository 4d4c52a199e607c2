"""The desk's API: what it shows, what it takes, what it refuses."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from monitor.register.store import import_register
from rules.alarms import fold_alarms
from rules.instants import format_instant
from tests.monitor.alarms.changes import change
from tests.monitor.deadlines.listed import province
from tests.monitor.desk.lab import BASE, NOW, DeskLab
from tests.monitor.register.samples import facility, register

START = NOW - 600_000


@pytest.fixture
def lab(sqlite_store, tmp_path):
    return DeskLab(sqlite_store, tmp_path / "archive")


@pytest.fixture
def either_lab(store, tmp_path):
    """On each database in turn, where queries or locks are what the test is about."""
    return DeskLab(store, tmp_path / "archive")


def life(seq=1, **more):
    return change(seq, **({"start": START} | more))


def test_an_alarm_is_shown_as_evaluate_writes_it_with_what_people_need_besides(either_lab):
    changes = [life(), life(2, kind="stepped", severity="red")]
    either_lab.apply(*changes)
    with either_lab.signed_in() as client:
        page = client.get("/v1/alarms").json()
    (item,) = page["items"]
    (line,) = [alarm.to_json() for alarm in fold_alarms(changes)]
    assert {key: item[key] for key in line} == line
    assert (item["revision"], item["attention"], item["state"]) == (2, "unacknowledged", "unacknowledged")
    assert item["rule_title"] == {"zh": "冷库温度超限", "en": "Cold room outside its limits"}
    assert (page["total"], page["next"]) == (1, None)


def test_the_time_to_respond_to_a_step_up_begins_with_the_step(either_lab):
    nine_hours = 9 * 3_600_000
    raised = life(start=NOW - nine_hours, at=NOW - nine_hours)
    either_lab.apply(raised, life(2, kind="stepped", severity="red", start=NOW - nine_hours, at=NOW - 60_000))
    with either_lab.signed_in(language="en") as client:
        (item,) = client.get("/v1/alarms").json()["items"]
        queue = client.get("/").text
        page = client.get(f"/alarms/{raised.alarm}").text
    assert item["raised"] == format_instant(raised.received)
    assert item["asked"] == format_instant(NOW - 59_500)
    assert item["respond_by"] == format_instant(NOW - 59_500 + 3_600_000)
    assert "59 min" in queue
    assert "over" not in queue.partition("<tbody>")[2]
    assert "Announced again" in page


def test_a_revision_of_another_alarm_is_refused_by_name(either_lab):
    either_lab.apply(life(), life(2, tag="T2"), life(3, kind="amended"))
    with either_lab.signed_in() as client:
        answer = client.post(
            f"/v1/alarms/{life().alarm}/acknowledge", json={"revision": 2}, headers={"X-CSRF-Token": client.csrf}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "no_such_revision")
        assert client.get(f"/v1/alarms/{life().alarm}").json()["actions"] == []


def test_what_a_second_supervisor_notes_is_kept_until_there_is_too_much_of_it(lab, monkeypatch):
    monkeypatch.setattr("monitor.alarms.acknowledge.MAX_ACTS", 3)
    lab.apply(life())
    with lab.signed_in() as client:
        url, headers = f"/v1/alarms/{life().alarm}", {"X-CSRF-Token": client.csrf}
        codes = [
            client.post(f"{url}/acknowledge", json={"revision": 1, "note": f"n{n}"}, headers=headers) for n in range(4)
        ]
        assert [answer.status_code for answer in codes] == [200, 200, 200, 409]
        assert codes[-1].json()["code"] == "too_many_acts"
        assert [a["note"] for a in client.get(url).json()["actions"]] == ["n0", "n1", "n2"]


def test_acknowledging_names_the_revision_and_says_whether_there_is_a_newer_one(either_lab):
    either_lab.apply(life(), life(2, kind="stepped", severity="red"))
    with either_lab.signed_in() as client:
        url = f"/v1/alarms/{life().alarm}"
        headers = {"X-CSRF-Token": client.csrf}
        first = client.post(f"{url}/acknowledge", json={"revision": 1, "note": "电话联系"}, headers=headers)
        assert (first.status_code, first.json()["newer"]) == (200, True)
        second = client.post(f"{url}/acknowledge", json={"revision": 2}, headers=headers).json()
        assert (second["newer"], second["alarm"]["attention"]) == (False, "acknowledged")
        detail = client.get(url).json()
    assert [(a["actor"], a["revision"], a["note"]) for a in detail["actions"]] == [
        ("li.lei", 1, "电话联系"), ("li.lei", 2, None),
    ]  # fmt: skip
    assert [c["change"] for c in detail["history"]] == ["raised", "stepped"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/alarms"), ("GET", f"/v1/alarms/{'0' * 32}"), ("GET", f"/v1/alarms/{'0' * 32}/chart"),
        ("POST", f"/v1/alarms/{'0' * 32}/acknowledge"), ("GET", "/v1/stream"), ("GET", "/v1/session"),
        ("GET", "/v1/operator-alarms"), ("DELETE", "/v1/session"),
    ],
)  # fmt: skip
def test_nobody_gets_in_without_a_session(lab, method, path):
    with lab.client() as client:
        answer = client.request(method, path, json={"revision": 1} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
        assert answer.headers["content-type"] == "application/problem+json"
        client.cookies.set("offsite_session", "guess")
        assert client.request(method, path, json={"revision": 1} if method == "POST" else None).status_code == 401


def test_a_write_needs_the_sessions_own_token_the_same_origin_and_a_role_that_acts(lab):
    lab.apply(life())
    url, body = f"/v1/alarms/{life().alarm}/acknowledge", {"revision": 1}
    with lab.signed_in() as client:
        assert client.post(url, json=body).json()["code"] == "csrf"
        assert client.post(url, json=body, headers={"X-CSRF-Token": "x" * 32}).json()["code"] == "csrf"
        headers = {"X-CSRF-Token": client.csrf, "Origin": "http://evil.example"}
        assert client.post(url, json=body, headers=headers).json()["code"] == "foreign_origin"
        headers["Origin"] = BASE
        assert client.post(url, json=body, headers=headers).status_code == 200
    for role in ("reader", "operator"):
        with lab.signed_in(role, role=role) as client:
            answer = client.post(url, json=body, headers={"X-CSRF-Token": client.csrf})
            assert (answer.status_code, answer.json()["code"]) == (403, "role")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422), ({"revision": 0}, 422), ({"revision": 1}, 200), ({"revision": "1"}, 422), ({"revision": 1, "x": 1}, 422), ({"revision": 9}, 409),
        ({"revision": 1, "note": "a\x00b"}, 422), ({"revision": 1, "note": "n" * 1001}, 422), ([], 422), ({"revision": 2**60}, 422),
        ({"revision": True}, 422),
    ],
)  # fmt: skip
def test_a_bad_acknowledgement_says_every_fault_and_changes_nothing(lab, body, status):
    lab.apply(life())
    with lab.signed_in() as client:
        url = f"/v1/alarms/{life().alarm}"
        answer = client.post(f"{url}/acknowledge", json=body, headers={"X-CSRF-Token": client.csrf})
        assert answer.status_code == status, answer.text
        if status != 200:
            assert client.get(url).json()["alarm"]["attention"] == "unacknowledged"


def test_bodies_that_are_no_json_or_too_large_are_refused(lab):
    with lab.signed_in() as client:
        url = f"/v1/alarms/{'0' * 32}/acknowledge"
        headers = {"X-CSRF-Token": client.csrf, "Content-Type": "application/json"}
        assert client.post(url, content=b"{", headers=headers).status_code == 422
        assert client.post(url, content=b'{"revision": NaN}', headers=headers).status_code == 422
        assert client.post(url, content=b"[" * 60_000, headers=headers).status_code == 400
        assert client.post(url, content=b" " * 70_000, headers=headers).status_code == 413
        chunks = (b" " * 10_000 for _ in range(10))
        assert client.post(url, content=chunks, headers=headers).status_code == 413
        assert client.post(url, json={"revision": 1}, headers=headers).json()["code"] == "no_such_alarm"


def test_the_queue_is_ordered_by_colour_attention_and_time_left_and_pages_without_loss(either_lab):
    colours = ("blue", "red", "yellow", "red", "orange", "yellow", "red")
    tags = [
        life(seq, tag=f"T{seq}", severity=colour, at=START + (7 - seq) * 1000)
        for seq, colour in enumerate(colours, start=1)
    ]
    either_lab.apply(*tags)
    with either_lab.signed_in() as client:
        oldest_red = tags[6].alarm
        client.post(f"/v1/alarms/{oldest_red}/acknowledge", json={"revision": 7}, headers={"X-CSRF-Token": client.csrf})
        whole = client.get("/v1/alarms").json()
        assert [i["subject"]["tag"] for i in whole["items"]] == ["T4", "T2", "T7", "T5", "T6", "T3", "T1"]
        walked, after = [], None
        while True:
            page = client.get("/v1/alarms", params={"limit": 2} | ({"after": after} if after else {})).json()
            walked += page["items"]
            after = page["next"]
            if after is None:
                break
        assert walked == whole["items"]


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, {"T1", "T2", "T3"}), ({"status": "open"}, {"T1", "T2"}), ({"severity": "red"}, {"T2"}), ({"status": "cleared"}, {"T3"}), ({"facility": "B2"}, set()),
        ({"stage": "any"}, {"T1", "T2", "T3", "T4"}), ({"suppressed": "only"}, {"T5"}), ({"suppressed": "any"}, {"T1", "T2", "T3", "T5"}),
        ({"attention": "acknowledged"}, set()), ({"status": "any", "stage": "any", "suppressed": "any"}, {"T1", "T2", "T3", "T4", "T5"}),
        ({"rule": "cold-chain.store-out"}, {"T1", "T2", "T3"}), ({"rule": "no.such"}, set()),
    ],
)  # fmt: skip
def test_each_filter_shows_what_it_says(either_lab, params, wanted):
    either_lab.apply(
        life(1, tag="T1"), life(2, tag="T2", severity="red"), life(3, tag="T3"),
        life(4, kind="cleared", tag="T3", end=START + 5000), life(5, tag="T4", stage="shadow"), life(6, tag="T5"),
        life(7, kind="suppressed", tag="T5", by=life(1, tag="T1").alarm),
    )  # fmt: skip
    with either_lab.signed_in() as client:
        page = client.get("/v1/alarms", params=params).json()
    assert {item["subject"]["tag"] for item in page["items"]} == wanted
    assert page["total"] == len(wanted)


@pytest.mark.parametrize(
    "params",
    [
        {"status": "odd"},
        {"limit": "0"},
        {"limit": "501"},
        {"x": "1"},
        {"facility": "a b"},
        {"after": "!!"},
        {"after": "bnVsbA"},
    ],
)
def test_a_bad_filter_is_refused_by_name(lab, params):
    with lab.signed_in() as client:
        answer = client.get("/v1/alarms", params=params)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"contract", "bad_cursor"}


def test_names_come_from_the_register_and_a_text_is_never_markup_in_json(lab):
    named = facility("A1") | {"name": {"zh": "<b>甲</b>", "en": "A & <i>B</i>"}}
    with lab.store.writing() as session:
        import_register(session, register(named), "u", NOW)
    lab.apply(life())
    with lab.signed_in() as client:
        answer = client.get("/v1/alarms")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["items"][0]["facility_name"] == named["name"]


def test_every_answer_carries_the_guards_headers_and_another_host_is_refused(lab):
    with lab.client() as client:
        for path in ("/healthz", "/sign-in", "/v1/alarms", "/static/desk.css", "/nowhere"):
            headers = client.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in headers
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400


def test_readiness_says_why_and_metrics_count_open_alarms(lab):
    lab.apply(life(severity="red"))
    with lab.client() as client:
        assert client.get("/readyz").status_code == 200
        lab.reasons = ["the broker does not answer"]
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, lab.reasons)
        assert 'offsite_desk_alarms{attention="unacknowledged",severity="red"} 1.0' in client.get("/metrics").text


def test_openapi_describes_every_route_of_the_api_and_its_answers_hold(lab):
    lab.apply(life())
    province(lab.store)
    with lab.signed_in() as client:
        document = client.get("/openapi.json").json()
        served = {
            (route.path, method.lower())
            for route in lab.app.routes
            for method in getattr(route, "methods", None) or ()
            if getattr(route, "path", "").startswith("/v1/") and method != "HEAD"
        } or {(path, m) for path in document["paths"] for m in document["paths"][path]}
        described = {(path, method) for path, methods in document["paths"].items() for method in methods}
        assert served == described
        assert {"/v1/alarms", "/v1/stream", "/v1/session"} <= set(document["paths"])
        for path in ("/v1/alarms", f"/v1/alarms/{life().alarm}", "/v1/session", "/v1/operator-alarms", "/v1/deadlines"):
            template = path.replace(life().alarm, "{alarm}")
            schema = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            validator = Draft202012Validator({**schema, "components": document["components"]})
            validator.validate(client.get(path).json())


def test_a_store_that_is_away_is_an_honest_503(lab, monkeypatch):
    with lab.signed_in() as client:
        from monitor.store.session import StoreDownError

        def away():
            raise StoreDownError("postgresql://offsite:***@db/x", RuntimeError("gone"))

        monkeypatch.setattr(lab.desk.store, "reading", away)
        answer = client.get("/v1/alarms")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_down", "5")
    assert "postgresql" not in json.dumps(answer.json())
